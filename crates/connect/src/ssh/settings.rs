//! The settings of an `ssh` system, checked before anything is reached.

use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, PrivateKey, PublicKey};
use secrecy::ExposeSecret;

use crate::error::ConnectError;
use crate::settings::Settings;

/// What is known of the host before it is reached.
pub(super) struct SshSettings {
    pub system: String,
    pub host: String,
    pub port: u16,
    pub user: String,
    /// The one key by which the host may prove who it is.
    pub host_key: PublicKey,
    /// Whether commands need `sudo`.
    pub sudo: bool,
    /// Of new accounts.
    pub new_account_shell: String,
    pub timeout: Duration,
    pub private_key: Arc<PrivateKey>,
}

impl SshSettings {
    /// Host and port, for messages.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Reads them.
pub(super) fn read(settings: &mut Settings) -> Result<SshSettings, ConnectError> {
    let host = settings.string("host", "server.example.com")?;
    let user = settings.string("user", "leasehold")?;
    let port = settings.integer_or("port", 22, 1, u64::from(u16::MAX))?;
    let text = settings.string("host_key", "ssh-ed25519 AAAA…")?;
    let host_key = PublicKey::from_openssh(&text).map_err(|error| {
        let how = "write the line of /etc/ssh/ssh_host_ed25519_key.pub, read on the host itself";
        settings.error("host_key", format!("is not a public key: {error}; {how}"))
    })?;
    if !is_offered(&host_key.algorithm()) {
        return Err(settings.error("host_key", "is neither Ed25519 nor ECDSA; use the host's other key"));
    }
    let secret = settings.secret("private_key")?.ok_or_else(|| {
        settings
            .error("private_key", "is missing; write for example `private_key = \"file:leasehold_ed25519\"`")
    })?;
    // The library's message could tell of the key itself.
    let private_key = russh::keys::decode_secret_key(secret.expose_secret(), None).map_err(|_| {
        settings
            .error("private_key", "cannot be used; it must be as ssh-keygen writes it, without a passphrase")
    })?;
    if !is_offered(&private_key.algorithm()) {
        return Err(
            settings.error("private_key", "is neither Ed25519 nor ECDSA; make one: ssh-keygen -t ed25519")
        );
    }
    let shell = settings.optional_string("new_account_shell")?.unwrap_or_else(|| "/bin/bash".to_owned());
    if !shell.starts_with('/') || shell.contains(|c: char| c == ':' || c.is_control()) {
        return Err(settings.error("new_account_shell", "is no absolute path, such as `/bin/bash`"));
    }
    Ok(SshSettings {
        system: settings.system().to_string(),
        port: u16::try_from(port).unwrap_or(u16::MAX),
        sudo: settings.bool_or("sudo", user != "root")?,
        new_account_shell: shell,
        timeout: Duration::from_millis(settings.integer_or("timeout_ms", 30_000, 100, 3_600_000)?),
        private_key: Arc::new(private_key),
        host,
        user,
        host_key,
    })
}

fn is_offered(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::Ed25519 | Algorithm::Ecdsa { .. })
}
