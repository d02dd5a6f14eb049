//! Webhooks as receivers see them: every message is checked by another implementation of Standard Webhooks, in a process
//! of its own, while receivers fail, secrets change and servers are killed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use leasehold_testing::process::free_port;
use leasehold_testing::{PostgresServer, WebhookReceiver};
use serde_json::{Value, json};

use crate::installation::{Installation, holds};

/// Long enough for a slow machine. Nothing waits for it unless something is lost.
const LIMIT: Duration = Duration::from_secs(240);

const CONFIGURATION: &str = r#"
[server]
interval = "1d"

[server.webhooks]
allow = ["127.0.0.1"]

[system.hr]
connector     = "csv"
path          = "people.csv"
authoritative = true
key           = "email"
"#;

/// A server in the background, killed when it is dropped.
struct Running {
    child: Child,
    url: String,
}

impl Running {
    fn start(installation: &Installation) -> Self {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(installation.path().join("server.log"))
            .expect("open the log");
        let mut child = installation
            .command(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("run leasehold");
        let mut first = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        output.read_line(&mut first).expect("a line");
        let url = first
            .trim()
            .strip_prefix("leasehold serves ")
            .expect("an address")
            .trim_end_matches('/')
            .to_owned();
        // Goes on reading, so that the server never waits for a reader.
        std::thread::spawn(move || output.lines().for_each(drop));
        Self { child, url }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that calls the API of a server.
struct Program {
    client: reqwest::Client,
    token: String,
}

impl Program {
    fn new(installation: &mut Installation) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        installation.run(&["user", "add", "dana@example.com", "--role", "administrator"]).expect(0);
        let token = installation.run(&["token", "create", "--scope", "admin"]).expect(0).stdout;
        Self { client: reqwest::Client::new(), token: token.trim().to_owned() }
    }

    async fn send(&self, method: &str, url: &str, body: Option<&Value>) -> (u16, Value) {
        let method = method.parse().expect("a method");
        let mut request =
            self.client.request(method, url).header("authorization", format!("Bearer {}", self.token));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.expect("answers");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn call(&self, server: &Running, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.send(method, &format!("{}{path}", server.url), Some(&body)).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer:#}");
        answer
    }

    async fn get(&self, server: &Running, path: &str) -> Value {
        let (status, answer) = self.send("GET", &format!("{}{path}", server.url), None).await;
        assert_eq!(status, 200, "{path}: {answer:#}");
        answer
    }

    /// Makes a webhook, tells the receiver its secret, and gives its id and the secret.
    async fn webhook(
        &self,
        server: &Running,
        receiver: &WebhookReceiver,
        name: &str,
        events: &[&str],
    ) -> (String, String) {
        let new = json!({ "url": receiver.url(&format!("hook/{name}")), "events": events });
        let made = self.call(server, "POST", "/api/v1/webhooks", new).await;
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let (id, secret) = (text(&made["webhook"]["id"]), text(&made["secret"]));
        assert!(secret.starts_with("whsec_"), "{secret}");
        self.tell(receiver, &format!("secrets/{name}"), json!([secret])).await;
        (id, secret)
    }

    async fn tell(&self, receiver: &WebhookReceiver, path: &str, what: Value) {
        let (status, _) = self.send("PUT", &receiver.url(path), Some(&what)).await;
        assert_eq!(status, 204);
    }

    async fn messages(&self, receiver: &WebhookReceiver, name: &str) -> Vec<Value> {
        let (status, messages) = self.send("GET", &receiver.url(&format!("messages/{name}")), None).await;
        assert_eq!(status, 200);
        messages.as_array().expect("a list").clone()
    }

    /// Waits until a receiver has so many messages, and gives them all.
    async fn wait_for(&self, receiver: &WebhookReceiver, name: &str, count: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let messages = self.messages(receiver, name).await;
            if messages.len() >= count {
                return messages;
            }
            assert!(begun.elapsed() < LIMIT, "{name}: {} of {count} messages: {messages:#?}", messages.len());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until something of the API is as it should be.
    async fn wait_until(&self, server: &Running, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let answer = self.get(server, path).await;
            if is_so(&answer) {
                return answer;
            }
            assert!(begun.elapsed() < LIMIT, "{path}: {answer:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn read(&self, server: &Running) {
        self.call(server, "POST", "/api/v1/systems/hr/sync", json!({})).await;
    }
}

fn installation() -> Installation {
    let installation = Installation::new();
    installation.write("people.csv", "email,status\nada@example.com,active\n");
    installation.write("leasehold.toml", CONFIGURATION);
    installation
}

fn told(message: &Value) -> Value {
    serde_json::from_str(message["body"].as_str().expect("a body")).expect("JSON")
}

/// Every message was signed with the first secret, and with nothing else where it was changed.
fn check_signed(messages: &[Value]) {
    for message in messages {
        assert_eq!(message["signed_with"][0], true, "{message:#}");
        assert_eq!(message["tampered_is_refused"], true, "{message:#}");
        assert_eq!(message["content_type"], "application/json");
        let told = told(message);
        assert!(
            told["type"].is_string() && told["timestamp"].is_string() && told["data"].is_object(),
            "{told:#}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_get_signed_messages_also_late_and_with_a_secret_that_was_replaced() {
    let mut installation = installation();
    let port = free_port();
    let mut receiver = WebhookReceiver::start(port);
    let server = Running::start(&installation);
    let program = Program::new(&mut installation);
    program.wait_until(&server, "/api/v1/tasks?state=done", |tasks| tasks["items"][0].is_object()).await;
    let (id, secret) =
        program.webhook(&server, &receiver, "a", &["reading.complete", "webhook.disabled"]).await;
    let (_, hang) = program.webhook(&server, &receiver, "slow", &["reading.complete"]).await;
    program.tell(&receiver, "answer/slow", json!({ "status": 204, "delay_s": 3600 })).await;

    // A test, and something that happened.
    program.call(&server, "POST", &format!("/api/v1/webhooks/{id}/test"), json!({})).await;
    program.wait_for(&receiver, "a", 1).await;
    program.read(&server).await;
    let messages = program.wait_for(&receiver, "a", 2).await;
    check_signed(&messages);
    assert_eq!(told(&messages[0])["type"], "webhook.test");
    let reading = told(&messages[1]);
    assert_eq!((&reading["type"], &reading["data"]["system"]), (&json!("reading.complete"), &json!("hr")));
    let entry = reading["data"]["entry"].as_u64().expect("an entry");
    let recorded = program.get(&server, &format!("/api/v1/ledger/entries/{entry}")).await;
    assert!(recorded.to_string().contains("epoch.ended"), "{recorded:#}");

    // Down, and up again: what it missed comes late, with the same id.
    drop(receiver);
    program.read(&server).await;
    let deliveries = format!("/api/v1/webhooks/{id}/deliveries");
    let missed = program.wait_until(&server, &deliveries, |list| list["items"][0]["error"].is_string()).await
        ["items"][0]
        .clone();
    assert_eq!((&missed["state"], &missed["status"]), (&json!("waiting"), &Value::Null), "{missed:#}");
    receiver = WebhookReceiver::start(port);
    program.tell(&receiver, "answer/slow", json!({ "status": 204, "delay_s": 3600 })).await;
    program.tell(&receiver, "secrets/a", json!([secret])).await;
    let late = program.wait_for(&receiver, "a", 1).await;
    check_signed(&late);
    assert_eq!(late[0]["id"], missed["id"]);
    program.wait_until(&server, &deliveries, |list| list["items"][0]["state"] == "delivered").await;

    // Sent once more because somebody wants that: with the same id.
    let again = format!("{deliveries}/{}/redeliver", missed["id"].as_str().expect("an id"));
    program.call(&server, "POST", &again, json!({})).await;
    let twice = program.wait_for(&receiver, "a", 2).await;
    assert_eq!(twice[1]["id"], missed["id"]);

    // Another secret: for a while both sign, and then the new one only.
    let secrets = format!("/api/v1/webhooks/{id}/secret");
    let rotated = program.call(&server, "POST", &secrets, json!({})).await;
    let second = rotated["secret"].as_str().expect("a secret").to_owned();
    assert!(rotated["webhook"]["previous_secret_until"].is_string(), "{rotated:#}");
    program.tell(&receiver, "secrets/a", json!([secret, second])).await;
    program.read(&server).await;
    let both = program.wait_for(&receiver, "a", 3).await[2].clone();
    assert_eq!((&both["signed_with"], &both["signatures"]), (&json!([true, true]), &json!(2)), "{both:#}");
    let third =
        program.call(&server, "POST", &secrets, json!({ "overlap_hours": 0 })).await["secret"].clone();
    program.tell(&receiver, "secrets/a", json!([third, second])).await;
    program.read(&server).await;
    let one = program.wait_for(&receiver, "a", 4).await[3].clone();
    assert_eq!((&one["signed_with"], &one["signatures"]), (&json!([true, false]), &json!(1)), "{one:#}");

    // A redirect is not followed.
    program.tell(&receiver, "answer/moved", json!({ "status": 307 })).await;
    let (moved, _) = program.webhook(&server, &receiver, "moved", &[]).await;
    program.call(&server, "POST", &format!("/api/v1/webhooks/{moved}/test"), json!({})).await;
    let list = format!("/api/v1/webhooks/{moved}/deliveries");
    let refused = program.wait_until(&server, &list, |list| list["items"][0]["status"] == 307).await;
    assert!(refused["items"][0]["error"].to_string().contains("redirects"), "{refused:#}");
    assert_eq!(program.messages(&receiver, "moved-moved").await, Vec::<Value>::new());

    // Gone for good: disabled, which the other one is told.
    program.tell(&receiver, "answer/gone", json!({ "status": 410 })).await;
    let (gone, _) = program.webhook(&server, &receiver, "gone", &[]).await;
    program.call(&server, "POST", &format!("/api/v1/webhooks/{gone}/test"), json!({})).await;
    let disabled = program
        .wait_until(&server, &format!("/api/v1/webhooks/{gone}"), |row| row["state"] == "disabled")
        .await;
    assert!(disabled["reason"].to_string().contains("410"), "{disabled:#}");
    let event = told(&program.wait_for(&receiver, "a", 5).await[4]);
    assert_eq!((&event["type"], &event["data"]["webhook"]), (&json!("webhook.disabled"), &json!(gone)));

    // Who never answers has kept nobody waiting, and is cut off by itself.
    let slow = program.get(&server, "/api/v1/webhooks").await;
    let slow =
        slow["items"].as_array().expect("a list").iter().find(|row| row["url"].to_string().contains("slow"));
    let slow = slow.expect("is there")["id"].as_str().expect("an id").to_owned();
    let cut = |list: &Value| list["items"].to_string().contains("no answer within 15 s");
    program.wait_until(&server, &format!("/api/v1/webhooks/{slow}/deliveries"), cut).await;

    // No secret is kept or told.
    let bytes = installation.all_bytes();
    for secret in [secret.as_str(), &second, third.as_str().expect("a secret"), &hang] {
        assert!(!holds(&bytes, secret), "a secret is kept in a file");
        assert!(!holds(&bytes, secret.trim_start_matches("whsec_")), "a secret is kept in a file");
    }
}

/// Everything that was recorded about the system, by index, and how often each message came.
async fn check_all_told(
    program: &Program,
    server: &Running,
    receiver: &WebhookReceiver,
    id: &str,
    count: usize,
) -> BTreeMap<String, usize> {
    let list = format!("/api/v1/webhooks/{id}/deliveries?limit=500");
    let all = program
        .wait_until(server, &list, |list| {
            let items = list["items"].as_array().expect("a list");
            items.len() == count && items.iter().all(|item| item["state"] == "delivered")
        })
        .await;
    let messages = program.messages(receiver, "a").await;
    check_signed(&messages);
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for message in &messages {
        *times.entry(message["id"].as_str().expect("an id").to_owned()).or_default() += 1;
    }
    let entries: BTreeSet<u64> =
        messages.iter().filter_map(|message| told(message)["data"]["entry"].as_u64()).collect();
    assert_eq!((times.len(), entries.len()), (count, count), "{all:#}");
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_between_deliveries_loses_none() {
    const ROUNDS: usize = 8;
    let mut installation = installation();
    let receiver = WebhookReceiver::start(free_port());
    let mut server = Running::start(&installation);
    let program = Program::new(&mut installation);
    program.wait_until(&server, "/api/v1/tasks?state=done", |tasks| tasks["items"][0].is_object()).await;
    let (id, _) = program.webhook(&server, &receiver, "a", &["reading.complete"]).await;
    for round in 0..ROUNDS {
        // Recorded by a process that sends nothing; the server is killed before, while or after it sends that.
        installation.run(&["sync"]).expect(0);
        tokio::time::sleep(Duration::from_millis(round as u64 * 137 % 900)).await;
        drop(server);
        installation.run(&["sync"]).expect(0);
        server = Running::start(&installation);
    }
    // A claim of a process that was killed passes after a minute.
    check_all_told(&program, &server, &receiver, &id, 2 * ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_on_one_store_one_sends_each_message() {
    const PASSWORD: &str = "planted-0c55-store-secret";
    const READINGS: usize = 15;
    let postgres = PostgresServer::start();
    postgres.sql(&format!("create role leasehold_store login password '{PASSWORD}'"));
    postgres.sql("create database leasehold owner leasehold_store");
    let mut installation = installation();
    installation.set("STORE_PASSWORD", PASSWORD);
    let url = postgres.url("leasehold_store", "leasehold");
    installation.write(
        "leasehold.toml",
        &format!(
            "[store]\nurl = \"{url}?sslmode=disable\"\npassword = \"env:STORE_PASSWORD\"\n{CONFIGURATION}"
        ),
    );
    let receiver = WebhookReceiver::start(free_port());
    let servers = [Running::start(&installation), Running::start(&installation)];
    let program = Program::new(&mut installation);
    program.wait_until(&servers[0], "/api/v1/tasks?state=done", |tasks| tasks["items"][0].is_object()).await;
    let (id, _) = program.webhook(&servers[1], &receiver, "a", &["reading.complete"]).await;
    for _ in 0..READINGS {
        installation.run(&["sync"]).expect(0);
    }
    let times = check_all_told(&program, &servers[0], &receiver, &id, READINGS).await;
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "sent by both: {twice:?}");
}

#[test]
fn webhooks_that_are_set_up_wrongly_are_named_with_their_place() {
    let mut installation = Installation::new();
    for (written, wanted) in [
        ("[server]\nwebhooks = true\n", "a table is wanted here"),
        ("[server.webhooks]\nallow = \"127.0.0.1\"\n", "not a list of addresses and networks"),
        ("[server.webhooks]\nallow = [\"everywhere\"]\n", "not a list of addresses and networks"),
        ("[server.webhooks]\nalow = []\n", "did you mean `allow`"),
    ] {
        installation.write("leasehold.toml", written);
        let refused = installation.run(&["user", "list"]).expect(1);
        assert!(
            refused.stderr.contains(wanted) && refused.stderr.contains("leasehold.toml:"),
            "{}",
            refused.stderr
        );
    }
}
