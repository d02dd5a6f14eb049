//! Reaching the host: a connection for each call, a pinned host key, time limits on every wait, and bounded answers.

use std::borrow::Cow;
use std::sync::Arc;

use russh::client::{self, Handle};
use russh::keys::{PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{ChannelMsg, Disconnect, Preferred};

use crate::error::ConnectError;
use crate::ssh::scripts::Script;
use crate::ssh::settings::SshSettings;

/// More than this is no answer of a host that is well.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Of an error message.
const MESSAGE_BYTES_MAX: usize = 4096;

/// The host.
pub(super) struct Client {
    pub settings: SshSettings,
}

/// A connection that is logged in.
pub(super) struct Session<'client> {
    client: &'client Client,
    handle: Handle<PinnedKey>,
}

/// What a command answered.
pub(super) struct Answer {
    pub status: u32,
    pub output: Vec<u8>,
    pub message: String,
}

/// Accepts exactly the host key of the settings.
struct PinnedKey(PublicKey);

impl client::Handler for PinnedKey {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(
            matches!(shown, PublicKeyOrCertificate::PublicKey { key, .. } if key.key_data() == self.0.key_data()),
        )
    }
}

impl Client {
    pub fn new(settings: SshSettings) -> Self {
        Self { settings }
    }

    /// Connects and logs in.
    pub async fn session(&self) -> Result<Session<'_>, ConnectError> {
        let settings = &self.settings;
        let config = client::Config {
            inactivity_timeout: Some(settings.timeout),
            preferred: Preferred {
                // A host has several keys; it must show the one that is known.
                key: Cow::Owned(vec![settings.host_key.algorithm()]),
                ..Preferred::default()
            },
            ..client::Config::default()
        };
        let pinned = PinnedKey(settings.host_key.clone());
        let address = (settings.host.as_str(), settings.port);
        let connecting = client::connect(Arc::new(config), address, pinned);
        let mut handle = match tokio::time::timeout(settings.timeout, connecting).await {
            Ok(connected) => connected.map_err(|error| self.connect_error(&error))?,
            Err(_) => return Err(self.timed_out("connecting")),
        };
        let key = PrivateKeyWithHashAlg::new(Arc::clone(&settings.private_key), None);
        let logging_in = handle.authenticate_publickey(settings.user.clone(), key);
        match tokio::time::timeout(settings.timeout, logging_in).await {
            Ok(Ok(answer)) if answer.success() => Ok(Session { client: self, handle }),
            Ok(Ok(_)) => Err(ConnectError::Authentication {
                system: settings.system.clone(),
                address: settings.address(),
                login: settings.user.clone(),
                message: "the key was refused; check `private_key` and that account's authorized_keys"
                    .to_owned(),
            }),
            Ok(Err(error)) => Err(self.wrong("logging in", error.to_string())),
            Err(_) => Err(self.timed_out("logging in")),
        }
    }

    fn connect_error(&self, error: &russh::Error) -> ConnectError {
        let (system, address) = (self.settings.system.clone(), self.settings.address());
        match error {
            russh::Error::UnknownKey | russh::Error::NoCommonAlgo { .. } => ConnectError::Certificate {
                system,
                address,
                message: "the host did not show the key of `host_key`; compare the two on the host itself"
                    .to_owned(),
            },
            error => ConnectError::Unreachable {
                system,
                address,
                message: format!("{error}; check the address, the network and that sshd runs"),
            },
        }
    }

    fn timed_out(&self, operation: &str) -> ConnectError {
        ConnectError::Timeout {
            system: self.settings.system.clone(),
            operation: operation.to_owned(),
            timeout_ms: u64::try_from(self.settings.timeout.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// An answer that is not as it must be.
    pub fn wrong(&self, operation: &str, message: impl Into<String>) -> ConnectError {
        ConnectError::Target {
            system: self.settings.system.clone(),
            operation: operation.to_owned(),
            message: message.into(),
        }
    }
}

impl Session<'_> {
    /// Runs a command with this standard input.
    pub async fn run(&self, operation: &str, script: &Script, input: &[u8]) -> Result<Answer, ConnectError> {
        let timeout = self.client.settings.timeout;
        match tokio::time::timeout(timeout, self.run_unlimited(script, input)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(message)) => Err(self.client.wrong(operation, message)),
            Err(_) => Err(self.client.timed_out(operation)),
        }
    }

    async fn run_unlimited(&self, script: &Script, input: &[u8]) -> Result<Answer, String> {
        let text = |error: russh::Error| error.to_string();
        let mut channel = self.handle.channel_open_session().await.map_err(text)?;
        let command = if self.client.settings.sudo { script.by_sudo } else { script.as_root };
        channel.exec(true, command).await.map_err(text)?;
        channel.data(input).await.map_err(text)?;
        channel.eof().await.map_err(text)?;
        let (mut output, mut message, mut status) = (Vec::new(), Vec::new(), None);
        while let Some(said) = channel.wait().await {
            match said {
                ChannelMsg::Data { data } => output.extend_from_slice(&data),
                ChannelMsg::ExtendedData { data, .. } if message.len() < MESSAGE_BYTES_MAX => {
                    message.extend_from_slice(&data);
                }
                ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
                ChannelMsg::Failure => return Err("the host runs no command for this account".to_owned()),
                _ => {}
            }
            if output.len() > ANSWER_BYTES_MAX {
                return Err(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes"));
            }
        }
        let status = status.ok_or("the connection ended before the command did")?;
        message.truncate(MESSAGE_BYTES_MAX);
        let message = String::from_utf8_lossy(&message).trim().to_owned();
        Ok(Answer { status, output, message })
    }

    /// Says good-bye. What was asked for is done by then, so how the host takes it does not matter.
    pub async fn close(self) {
        let leaving = self.handle.disconnect(Disconnect::ByApplication, "", "en");
        let _ = tokio::time::timeout(self.client.settings.timeout, leaving).await;
    }
}
