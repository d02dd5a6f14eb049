//! A real JupyterHub on loopback with its proxy; another application that its users let do things in their name; and a browser.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{self, ServerProcess};
use crate::tools;

/// What Leasehold's own service logs in with. Everything here is reachable from this machine only and is gone after the test.
pub const OWN_TOKEN: &str = "planted-hub-token-8d25";
/// What the other application logs in with: its client's secret.
pub const GRADER_TOKEN: &str = "planted-grader-token-77c1";
/// What the service `caretaker` logs in with, which may do anything: by it the tests change the hub and look at it.
pub const CARETAKER_TOKEN: &str = "planted-caretaker-token-02fe";
/// What whoever the hub knows logs in with.
pub const PASSWORD: &str = "planted-hub-password";
/// A user who may do anything.
pub const ADMINISTRATOR: &str = "root";
/// Whom the configuration gives the role `usage`.
pub const WITH_ROLE: &str = "alice";

/// How many users or groups are on a page, so that few of them make several.
const PAGE_SIZE_MAX: u32 = 3;
/// Where the other application wants the browser back. Nobody listens: the code is taken from the address.
const REDIRECT_URI: &str = "http://127.0.0.1:9/callback";
/// Long enough for a slow machine.
const LIMIT: Duration = Duration::from_secs(180);

/// A running hub with the users [`ADMINISTRATOR`] and [`WITH_ROLE`] and the empty groups `students` and `teachers`; whoever
/// is in `teachers` has the role `roster`.
#[derive(Debug)]
pub struct JupyterHubServer {
    process: ServerProcess,
    url: String,
}

impl JupyterHubServer {
    /// Starts a hub. `own` is the part of its configuration that is about Leasehold's service, as the documents have it; the
    /// service's token is in `LEASEHOLD_TOKEN`.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start(own: &str) -> Self {
        let folder = process::new_folder("jupyterhub");
        let [port, hub_port, proxy_port] = [(); 3].map(|()| process::free_port());
        let support = Path::new(env!("CARGO_MANIFEST_DIR")).join("jupyterhub");
        let chosen = json!({
            "port": port, "hub_port": hub_port, "proxy_port": proxy_port, "page_size_max": PAGE_SIZE_MAX,
            "password": PASSWORD, "server": support.join("server.py"),
            "own": own,
            "caretaker_token": CARETAKER_TOKEN, "grader_token": GRADER_TOKEN, "redirect_uri": REDIRECT_URI,
            "administrator": ADMINISTRATOR, "usage": [WITH_ROLE],
        });
        std::fs::write(folder.join("chosen.json"), chosen.to_string()).expect("write what is chosen");
        let proxy =
            tools::folder().join("npm/node_modules/configurable-http-proxy/bin/configurable-http-proxy");
        // The hub would start its proxy in a session of its own, which would live on where the test is killed.
        let script = r#"cd "$1" && export CONFIGPROXY_AUTH_TOKEN=planted LEASEHOLD_HUB="$1/chosen.json" LEASEHOLD_TOKEN="$8"
            "$2" "$3" --ip 127.0.0.1 --port "$4" --api-ip 127.0.0.1 --api-port "$5" &
            exec "$6" -f "$7""#;
        let mut command =
            vec!["/bin/sh".into(), "-c".into(), script.into(), "hub".into(), folder.clone().into()];
        command.extend([tools::program("node").into(), proxy.into()]);
        command.extend([port.to_string().into(), proxy_port.to_string().into()]);
        command.extend([
            tools::program("jupyterhub").into(),
            support.join("config.py").into(),
            OWN_TOKEN.into(),
        ]);
        let process = ServerProcess::start(&folder, &command);
        let url = format!("http://127.0.0.1:{port}");
        let server = Self { process, url };
        server.process.wait_until_ready(LIMIT, || server.try_ask("GET", "user", OWN_TOKEN, "").0 == 200);
        server
    }

    /// What the hub's pages and its API are below.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A folder of its own.
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// What the API answers to whoever has a token, with its status; 0 where nobody answered.
    pub fn try_ask(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, Value) {
        let host = self.url.trim_start_matches("http://");
        // HTTP/1.0, so that the answer ends with the connection.
        let request = format!(
            "{method} /hub/api/{path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: token {token}\r\nAccept: \
             application/json\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut answer = String::new();
        let asked = TcpStream::connect(host).and_then(|mut stream| {
            stream.write_all(request.as_bytes())?;
            stream.read_to_string(&mut answer)
        });
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let (Ok(_), Some(status)) = (asked, status) else { return (0, Value::Null) };
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// What the API answers to the caretaker; it must do as it is told.
    ///
    /// # Panics
    /// Where it does not.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = self.try_ask(method, path, CARETAKER_TOKEN, &body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// Makes a user, who can log in then.
    ///
    /// # Panics
    /// Where it is not made.
    pub fn add_user(&self, name: &str) {
        self.ask("POST", &format!("users/{name}"), &json!({}));
    }

    /// Puts users into a group.
    ///
    /// # Panics
    /// Where that fails.
    pub fn add_members(&self, group: &str, users: &[&str]) {
        self.ask("POST", &format!("groups/{group}/users"), &json!({ "users": users }));
    }

    /// Makes a token of a user: what it is sent as, and its id.
    ///
    /// # Panics
    /// Where it is not made.
    pub fn add_token(&self, user: &str, note: &str) -> (String, String) {
        let made =
            self.ask("POST", &format!("users/{user}/tokens"), &json!({"note": note, "expires_in": 86_400}));
        let text = |key: &str| made[key].as_str().expect("a text").to_owned();
        (text("token"), text("id"))
    }

    /// Shares a user's server with another, or with a group: `{"user": …}` or `{"group": …}`.
    ///
    /// # Panics
    /// Where that fails.
    pub fn share(&self, owner: &str, with: &Value) {
        self.ask("POST", &format!("shares/{owner}/"), with);
    }

    /// Starts the server of a user, and waits until it runs.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start_server(&self, user: &str) {
        self.ask("POST", &format!("users/{user}/server"), &json!({}));
        self.process.wait_until_ready(LIMIT, || self.has_server(user));
    }

    /// Whether a user's server runs.
    ///
    /// # Panics
    /// Where there is no such user.
    pub fn has_server(&self, user: &str) -> bool {
        self.ask("GET", &format!("users/{user}"), &Value::Null)["servers"][""]["ready"] == true
    }

    /// The ids of a user's tokens that another application got, or else of those that somebody made.
    ///
    /// # Panics
    /// Where there is no such user.
    pub fn token_ids(&self, user: &str, of_applications: bool) -> Vec<String> {
        let found = self.ask("GET", &format!("users/{user}/tokens"), &Value::Null);
        let tokens = found["api_tokens"].as_array().expect("tokens");
        let wanted = tokens.iter().filter(|token| token["session_id"].is_string() == of_applications);
        wanted.map(|token| token["id"].as_str().expect("an id").to_owned()).collect()
    }

    /// Whose a token is, by the hub's own word; `None` where the hub refuses it.
    ///
    /// # Panics
    /// Where nobody answers.
    pub fn whose(&self, token: &str) -> Option<String> {
        match self.try_ask("GET", "user", token, "") {
            (200, answer) => Some(answer["name"].as_str().expect("a name").to_owned()),
            (401 | 403, _) => None,
            (status, answer) => panic!("{status} {answer}"),
        }
    }

    /// Whether a user is in a group.
    ///
    /// # Panics
    /// Where there is no such group.
    pub fn is_member(&self, user: &str, group: &str) -> bool {
        let found = self.ask("GET", &format!("groups/{group}"), &Value::Null);
        found["users"].as_array().expect("users").iter().any(|member| member == user)
    }

    /// Whether somebody gets in with a password, as a browser does.
    ///
    /// # Panics
    /// Where the hub neither lets them in nor refuses.
    pub fn logs_in(&self, user: &str, password: &str) -> bool {
        self.browse(&json!({"do": "log_in", "user": user, "password": password})) == true
    }

    /// Lets the other application do things in a user's name, by the authorization code flow of OAuth 2.0 with everything
    /// that a browser sends: the access token that the application gets.
    ///
    /// # Panics
    /// Where the flow does not end with one.
    pub fn authorize(&self, user: &str) -> String {
        let token = self.browse(&json!({
            "do": "authorize", "user": user, "password": PASSWORD, "client_id": "service-grader",
            "client_secret": GRADER_TOKEN, "redirect_uri": REDIRECT_URI,
        }));
        token.as_str().expect("an access token").to_owned()
    }

    fn browse(&self, asked: &Value) -> Value {
        let support = Path::new(env!("CARGO_MANIFEST_DIR")).join("jupyterhub");
        let mut client = Command::new(tools::program("python3"))
            .arg(support.join("client.py"))
            .arg(&self.url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the browser");
        let mut pipe = client.stdin.take().expect("the browser's input");
        pipe.write_all(asked.to_string().as_bytes()).expect("ask the browser");
        drop(pipe);
        let output = client.wait_with_output().expect("wait for the browser");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {error}\n{}", asked["do"], self.process.log());
        serde_json::from_slice(&output.stdout).expect("an answer in JSON")
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
