//! A real receiver of webhooks on loopback, which checks every message with PyPI's `standardwebhooks`, and a sender that signs
//! with it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::process::{self, ServerProcess};
use crate::tools;

/// Long enough for a slow machine.
const LIMIT: Duration = Duration::from_secs(120);

/// The receiver. What it can be told is at the head of `webhook/receiver.py`.
#[derive(Debug)]
pub struct WebhookReceiver {
    _process: ServerProcess,
    port: u16,
}

impl WebhookReceiver {
    /// Starts it.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start(port: u16) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("webhook/receiver.py");
        let folder = process::new_folder("webhook");
        let command = [tools::program("python3").into(), script.into(), port.to_string().into()];
        let process = ServerProcess::start(&folder, &command);
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        process.wait_until_ready(LIMIT, || process::listens(here, port));
        Self { _process: process, port }
    }

    /// An address of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

/// Sends a message that PyPI's `standardwebhooks` signs with a secret: the status of the answer, and its body.
///
/// # Panics
/// Where nothing answers.
pub fn send_signed(url: &str, secret: &str, body: &str) -> (u16, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("webhook/sender.py");
    let sender = Command::new(tools::program("python3"))
        .arg(script)
        .args([url, body])
        .env("WEBHOOK_SECRET", secret)
        .output()
        .expect("start the sender");
    let answer = String::from_utf8_lossy(&sender.stdout).into_owned();
    let (status, body) = answer.trim().split_once(' ').unwrap_or_else(|| panic!("no answer: {sender:?}"));
    (status.parse().expect("a status"), body.to_owned())
}
