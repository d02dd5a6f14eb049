//! A real OpenBao server on loopback, with everything in memory; and its own client `bao`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::process::{self, ServerProcess};
use crate::{programs, tools};

/// The root token. Everything here is reachable from this machine only and is gone after the test.
pub const ROOT_TOKEN: &str = "planted-root-token";

/// Long enough for a slow machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A running server, unsealed.
#[derive(Debug)]
pub struct OpenBaoServer {
    process: ServerProcess,
    port: u16,
}

impl OpenBaoServer {
    /// Starts an empty server.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start() -> Self {
        let folder = process::new_folder("openbao");
        let port = process::free_port();
        // Its home is where a development server writes its token to.
        let mut command = vec!["env".into(), format!("HOME={}", folder.display()).into()];
        command.push(tools::program("bao").into());
        command.extend(["server", "-dev", "-dev-no-store-token"].map(Into::into));
        command.push(format!("-dev-root-token-id={ROOT_TOKEN}").into());
        command.push(format!("-dev-listen-address=127.0.0.1:{port}").into());
        let process = ServerProcess::start(&folder, &command);
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        process.wait_until_ready(LIMIT, || process::listens(here, port));
        let server = Self { process, port };
        server.process.wait_until_ready(LIMIT, || server.try_bao(ROOT_TOKEN, &["token", "lookup"]).is_ok());
        server
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A folder of its own.
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// Runs `bao` with a token: what it wrote, or what it said was wrong.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn try_bao(&self, token: &str, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(tools::program("bao"))
            .args(arguments)
            .env("HOME", self.folder())
            .env("BAO_ADDR", self.url())
            .env("BAO_TOKEN", token)
            .output()
            .expect("run bao");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Runs `bao` as root; it must succeed.
    ///
    /// # Panics
    /// Where it does not.
    pub fn bao(&self, arguments: &[&str]) -> String {
        self.try_bao(ROOT_TOKEN, arguments).unwrap_or_else(|error| panic!("bao {arguments:?}: {error}"))
    }

    /// The same with an answer in JSON: `command` is one or two words, `arguments` the rest.
    ///
    /// # Panics
    /// Where it does not succeed.
    pub fn bao_json(&self, command: &[&str], arguments: &[&str]) -> Value {
        let all: Vec<&str> = command.iter().chain(&["-format=json"]).chain(arguments).copied().collect();
        serde_json::from_str(&self.bao(&all)).expect("an answer in JSON")
    }

    /// Writes a policy, in the server's own language.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn write_policy(&self, name: &str, policy: &str) {
        let file = self.folder().join(format!("{name}.hcl"));
        std::fs::write(&file, policy).expect("write the policy's file");
        let mut bao = Command::new(tools::program("bao"));
        bao.args(["policy", "write", name]).arg(file).env("HOME", self.folder());
        programs::succeed(bao.env("BAO_ADDR", self.url()).env("BAO_TOKEN", ROOT_TOKEN));
    }

    /// A file that holds a token, for settings that name one.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn token_file(&self, name: &str, token: &str) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, token).expect("write a token");
        path
    }
}
