//! AWS on loopback (`moto`, an emulator), with real checks of signatures and policies; and AWS's own client (`boto3`).

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{self, ServerProcess};
use crate::tools;

/// The number of the emulated account.
pub const ACCOUNT: &str = "123456789012";

/// Long enough for a slow machine.
const LIMIT: Duration = Duration::from_secs(180);

/// An access key with its secret, and its token where it is of a session.
#[derive(Debug, Clone)]
pub struct AwsKey {
    /// The public half.
    pub id: String,
    /// The secret half.
    pub secret: String,
    /// Of a session only.
    pub token: Option<String>,
}

/// The account. Until [`AwsServer::check_requests`] it takes every request from everybody.
#[derive(Debug)]
pub struct AwsServer {
    process: ServerProcess,
    port: u16,
}

impl AwsServer {
    /// Starts an empty account.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start() -> Self {
        let folder = process::new_folder("aws");
        let port = process::free_port();
        let mut command = vec!["env".into(), "MOTO_IAM_LOAD_MANAGED_POLICIES=true".into()];
        command.push(tools::program("moto_server").into());
        command.extend(["-H", "127.0.0.1", "-p", &port.to_string()].map(Into::into));
        let process = ServerProcess::start(&folder, &command);
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        process.wait_until_ready(LIMIT, || process::listens(here, port));
        Self { process, port }
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A folder of its own.
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// From now on every request is checked: its signature, and the policies of whoever signed it.
    ///
    /// # Panics
    /// Where that cannot be switched on.
    pub fn check_requests(&self) {
        // A form would be taken apart before the switch reads it.
        let script = "import sys, urllib.request as r; \
                      q = r.Request(sys.argv[1], data=b'0', headers={'Content-Type': 'text/plain'}, method='POST'); \
                      r.build_opener(r.ProxyHandler({})).open(q).read()";
        let switch = format!("{}/moto-api/reset-auth", self.url());
        crate::programs::succeed(Command::new(tools::program("python3")).args(["-c", script, &switch]));
    }

    /// Calls by AWS's own client, one after another: for each its result, or the code of the error.
    ///
    /// # Panics
    /// Where the client itself fails.
    pub fn try_calls(
        &self,
        key: &AwsKey,
        service: &str,
        calls: &[(&str, Value)],
    ) -> Vec<Result<Value, String>> {
        let by_one =
            calls.iter().map(|(operation, parameters)| (key, service, *operation, parameters.clone()));
        self.try_calls_as(&by_one.collect::<Vec<_>>())
    }

    /// The same by several keys: each call is a key, a service, an operation, and what it is given.
    ///
    /// # Panics
    /// Where the client itself fails.
    pub fn try_calls_as(&self, calls: &[(&AwsKey, &str, &str, Value)]) -> Vec<Result<Value, String>> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("aws/client.py");
        let mut client = Command::new(tools::program("python3"))
            .arg(script)
            .arg(self.url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start AWS's client");
        let asked = calls.iter().map(|(key, service, operation, parameters)| {
            json!({
                "key": key.id, "secret": key.secret, "token": key.token, "service": service,
                "operation": operation, "parameters": parameters,
            })
        });
        let asked: Value = asked.collect();
        let mut input = client.stdin.take().expect("the client's input");
        input.write_all(asked.to_string().as_bytes()).expect("ask AWS's client");
        drop(input);
        let output = client.wait_with_output().expect("wait for AWS's client");
        assert!(output.status.success(), "AWS's client failed: {asked}");
        let answers: Vec<Value> = serde_json::from_slice(&output.stdout).expect("the client's answers");
        let answer = |mut answer: Value| match answer["error"].as_str() {
            Some(code) => Err(code.to_owned()),
            None => Ok(answer["result"].take()),
        };
        answers.into_iter().map(answer).collect()
    }

    /// Calls that must succeed.
    ///
    /// # Panics
    /// Where one does not.
    pub fn calls(&self, key: &AwsKey, service: &str, calls: &[(&str, Value)]) -> Vec<Value> {
        let answers = self.try_calls(key, service, calls);
        let named = answers.into_iter().zip(calls);
        named.map(|(answer, call)| answer.unwrap_or_else(|code| panic!("{call:?}: {code}"))).collect()
    }

    /// One call: its result, or the code of the error.
    ///
    /// # Panics
    /// Where the client itself fails.
    pub fn try_call(
        &self,
        key: &AwsKey,
        service: &str,
        operation: &str,
        parameters: Value,
    ) -> Result<Value, String> {
        self.try_calls(key, service, &[(operation, parameters)]).pop().expect("one answer")
    }

    /// A call that must succeed.
    ///
    /// # Panics
    /// Where it does not.
    pub fn call(&self, key: &AwsKey, service: &str, operation: &str, parameters: Value) -> Value {
        self.try_call(key, service, operation, parameters.clone())
            .unwrap_or_else(|code| panic!("{operation} {parameters}: {code}"))
    }

    /// A new access key of a user.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn access_key(&self, by: &AwsKey, user: &str) -> AwsKey {
        let made = self.call(by, "iam", "create_access_key", json!({"UserName": user}));
        key_of(&made)
    }

    /// A file that holds a secret, for settings that name one.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn secret_file(&self, name: &str, secret: &str) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, secret).expect("write a secret");
        path
    }
}

/// Anybody, while requests are not checked.
pub fn anybody() -> AwsKey {
    AwsKey { id: "anybody".to_owned(), secret: "anything".to_owned(), token: None }
}

/// The key in the answer of `create_access_key`.
///
/// # Panics
/// Where it holds none.
pub fn key_of(made: &Value) -> AwsKey {
    let text = |name: &str| made["AccessKey"][name].as_str().expect("a key").to_owned();
    AwsKey { id: text("AccessKeyId"), secret: text("SecretAccessKey"), token: None }
}
