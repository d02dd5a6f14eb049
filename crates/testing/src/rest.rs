//! A real JSON API on loopback: npm's `json-server` with people in it, behind a token.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{self, ServerProcess};
use crate::tools;

/// What the API lets in. Everything here is reachable from this machine only and is gone after the test.
pub const TOKEN: &str = "planted-rest-token-8e21";

/// Long enough for a slow machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A running API. `/people` has `_page` and `_limit`, links to other pages and `X-Total-Count`.
#[derive(Debug)]
pub struct RestServer {
    process: ServerProcess,
    port: u16,
}

impl RestServer {
    /// Starts it with these people, each an object with an `id`.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start(people: &Value) -> Self {
        let (folder, port) = (process::new_folder("json-server"), process::free_port());
        let database = folder.join("database.json");
        std::fs::write(&database, json!({"people": people}).to_string()).expect("write people");
        let middleware = Path::new(env!("CARGO_MANIFEST_DIR")).join("rest/authorize.cjs");
        let program = tools::folder().join("npm/node_modules/json-server/lib/cli/bin.js");
        let mut command = vec!["env".into(), format!("LEASEHOLD_REST_TOKEN={TOKEN}").into()];
        command.extend([tools::program("node").into(), program.into_os_string()]);
        command.extend(["--host", "127.0.0.1", "--port", &port.to_string(), "--middlewares"].map(Into::into));
        command.extend([middleware.into_os_string(), "--".into(), database.into_os_string()]);
        let process = ServerProcess::start(&folder, &command);
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        process.wait_until_ready(LIMIT, || process::listens(here, port));
        Self { process, port }
    }

    /// An address of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// A file that holds the token, for settings that name one.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn token_file(&self) -> PathBuf {
        let path = self.process.folder().join("connector.token");
        std::fs::write(&path, TOKEN).expect("write the token");
        path
    }

    /// Changes a person, as whoever keeps the API does.
    ///
    /// # Panics
    /// Where the API does not take it.
    pub fn change(&self, id: u64, change: &Value) {
        let body = change.to_string();
        let request = format!(
            "PATCH /people/{id} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: \
             application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        );
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("reach the API");
        stream.write_all(request.as_bytes()).expect("ask the API");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains(" 200 OK"), "{answer}");
    }
}
