//! Two SCIM 2.0 servers on loopback that differ in much (`scim2-server`, and `scimmy` under Express), each with everything in
//! memory; and a client of neither (`scim2`).

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{self, ServerProcess};
use crate::tools;

/// What both servers let in. Everything here is reachable from this machine only and is gone after the test.
pub const TOKEN: &str = "planted-scim-token-51c7";

/// Long enough for a slow machine.
const LIMIT: Duration = Duration::from_secs(120);
/// What both servers take in one bulk request.
const OPERATIONS_MAX: usize = 1000;

/// A running server.
#[derive(Debug)]
pub struct ScimServer {
    process: ServerProcess,
    url: String,
}

impl ScimServer {
    /// Starts `scim2-server`, empty: with versions, sorting and PATCH in all forms.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start_scim2_server() -> Self {
        let (folder, port) = (process::new_folder("scim2-server"), process::free_port());
        let mut command = vec![tools::program("scim2-server").into()];
        command.extend(["--hostname", "127.0.0.1", "--port", &port.to_string()].map(Into::into));
        command.extend(["--bearer-token", TOKEN].map(Into::into));
        let process = ServerProcess::start(&folder, &command);
        Self::ready(process, port, "v2")
    }

    /// Starts `scimmy`, empty: without versions, and with its own ideas of paging and errors.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start_scimmy() -> Self {
        let (folder, port) = (process::new_folder("scimmy"), process::free_port());
        let settings = [
            format!("LEASEHOLD_NPM={}", tools::folder().join("npm").display()),
            format!("LEASEHOLD_SCIM_PORT={port}"),
            format!("LEASEHOLD_SCIM_TOKEN={TOKEN}"),
        ];
        let mut command = vec!["env".into()];
        command.extend(settings.map(Into::into));
        command.push(tools::program("node").into());
        command.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("scim/scimmy.mjs").into());
        let process = ServerProcess::start(&folder, &command);
        Self::ready(process, port, "scim/v2")
    }

    fn ready(process: ServerProcess, port: u16, path: &str) -> Self {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        process.wait_until_ready(LIMIT, || process::listens(here, port));
        let server = Self { process, url: format!("http://127.0.0.1:{port}/{path}") };
        // It may listen before it answers.
        let is_served = || server.exchange("GET", "ServiceProviderConfig", "").is_ok();
        server.process.wait_until_ready(LIMIT, is_served);
        server
    }

    /// What `Users` and `Groups` are below.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A folder of its own.
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// Runs `scim2` with something to read: its answer, or the error that the server sent.
    ///
    /// # Panics
    /// Where it cannot be started, or its answer is no JSON.
    pub fn try_scim2(&self, arguments: &[&str], input: Option<&Value>) -> Result<Value, Value> {
        let mut client = Command::new(tools::program("scim2"))
            .args(["--url", &self.url])
            .args(arguments)
            .env("SCIM_CLI_HEADERS", format!("Authorization: Bearer {TOKEN}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start scim2");
        let mut pipe = client.stdin.take().expect("the client's input");
        pipe.write_all(input.map(Value::to_string).unwrap_or_default().as_bytes()).expect("ask scim2");
        drop(pipe);
        let output = client.wait_with_output().expect("wait for scim2");
        let text = String::from_utf8_lossy(&output.stdout);
        let answer = match text.trim() {
            "" => Value::Null,
            text => serde_json::from_str(text)
                .unwrap_or_else(|error| panic!("scim2 {arguments:?}: {error}: {text}")),
        };
        if output.status.success() { Ok(answer) } else { Err(answer) }
    }

    /// The same, and it must succeed.
    ///
    /// # Panics
    /// Where it does not.
    pub fn scim2(&self, arguments: &[&str], input: Option<&Value>) -> Value {
        self.try_scim2(arguments, input).unwrap_or_else(|error| panic!("scim2 {arguments:?}: {error}"))
    }

    /// Asks without a client's checks, which take their time.
    ///
    /// # Panics
    /// Where there is no answer, or it is no JSON.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let answer = self.exchange(method, path, body).unwrap_or_else(|error| {
            panic!("{method} {path}: {error}; the server says:\n{}", self.process.log())
        });
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
    }

    /// The body of an answer. HTTP/1.0, so that it ends with the connection.
    fn exchange(&self, method: &str, path: &str, body: &str) -> std::io::Result<String> {
        let (host, base) = self.url["http://".len()..].split_once('/').expect("an address with a path");
        let request = format!(
            "{method} /{base}/{path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: \
             application/scim+json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let parted = answer.split_once("\r\n\r\n");
        parted.map(|(_, body)| body.to_owned()).ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    /// Makes resources at once, and gives their ids. What lacks `schemas` gets those of its type.
    ///
    /// # Panics
    /// Where one cannot be made.
    pub fn make(&self, resource: &str, written: impl IntoIterator<Item = Value>) -> Vec<String> {
        let schema = format!("urn:ietf:params:scim:schemas:core:2.0:{}", resource.trim_end_matches('s'));
        let operations: Vec<Value> = written
            .into_iter()
            .enumerate()
            .map(|(number, mut data)| {
                if data["schemas"].is_null() {
                    data["schemas"] = json!([schema]);
                }
                json!({"method": "POST", "path": format!("/{resource}"), "bulkId": format!("b{number}"), "data": data})
            })
            .collect();
        let mut ids = Vec::new();
        for part in operations.chunks(OPERATIONS_MAX) {
            let request = json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": part,
            });
            let answer = self.ask("POST", "Bulk", &request.to_string());
            for made in answer["Operations"].as_array().expect("the operations of a bulk answer") {
                let location = made["location"].as_str().unwrap_or_else(|| panic!("not made: {made}"));
                ids.extend(location.rsplit('/').next().map(str::to_owned));
            }
        }
        assert_eq!(ids.len(), operations.len(), "not everything was made");
        ids
    }

    /// One resource, `user` or `group`, as the other client reads it; `None` where the server knows none.
    ///
    /// # Panics
    /// Where the answer is neither.
    pub fn find(&self, resource: &str, id: &str) -> Option<Value> {
        match self.try_scim2(&["query", resource, id], None) {
            Ok(found) => Some(found),
            Err(error) if error["status"] == "404" => None,
            Err(error) => panic!("{resource} {id}: {error}"),
        }
    }

    /// Whether a user has this password. Neither server has a log-in and neither shows a password, but both compare it with one that
    /// is looked for, as the other client does here.
    ///
    /// # Panics
    /// Where the server does not answer.
    pub fn has_password(&self, login: &str, password: &str) -> bool {
        let filter = format!("password eq {}", Value::from(password));
        let found = self.scim2(&["query", "user", "--filter", &filter], None);
        found["Resources"].as_array().into_iter().flatten().any(|user| user["userName"] == login)
    }

    /// Whether somebody is among a group's own members, as the other client reads it.
    ///
    /// # Panics
    /// Where there is no such group.
    pub fn is_member(&self, group: &str, member: &str) -> bool {
        let group = self.find("group", group).expect("a group");
        group["members"].as_array().into_iter().flatten().any(|found| found["value"] == member)
    }

    /// A file that holds the token, for settings that name one.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn token_file(&self) -> PathBuf {
        let path = self.folder().join("connector.token");
        std::fs::write(&path, TOKEN).expect("write a token");
        path
    }
}
