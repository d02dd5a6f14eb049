//! Webhooks: who may set them up, what is refused, and that a receiver which takes nothing for days is told of no more.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;
use leasehold_web::Deliverer;
use serde_json::{Value, json};

use crate::support::{Installation, Program, webhooks};

const PATH: &str = "/api/v1/webhooks";
const HOUR_MS: u64 = 3_600_000;

/// Somebody who is always busy, and how often that was asked.
fn busy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(&connection);
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                if let Some(text) = line.to_lowercase().strip_prefix("content-length:") {
                    length = text.trim().parse().expect("a number");
                }
                line.clear();
            }
            reader.read_exact(&mut vec![0; length]).expect("a body");
            counted.fetch_add(1, Ordering::SeqCst);
            let answer =
                "HTTP/1.1 503 Busy\r\ncontent-length: 15\r\nconnection: close\r\n\r\n<b>too busy</b>";
            (&connection).write_all(answer.as_bytes()).expect("answers");
        }
    });
    (url, asked)
}

async fn made(program: &mut Program, new: Value) -> Value {
    let answer = program.call("POST", PATH, new).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    answer.json()
}

fn deliverer(installation: &Installation) -> Deliverer {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (store, clock) = (installation.store.clone(), installation.clock.clone());
    Deliverer::new(store, clock, installation.settings.seal_key.clone(), webhooks(), "test")
}

#[tokio::test]
async fn who_administers_webhooks_sets_them_up_and_who_sees_settings_sees_no_secret_of_them() {
    let installation = Installation::with_company().await;
    let mut program = installation.program().await;
    let url = "https://siem.example.com/hooks/planted-receiver-key";
    let made = made(&mut program, json!({ "url": url, "events": ["action.stuck", "action.stuck"] })).await;
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    let id = made["webhook"]["id"].as_str().expect("an id").to_owned();
    let path = format!("{PATH}/{id}");
    let known = program.get(&path).await;
    assert_eq!(known.json()["url"], url);
    assert_eq!(known.json()["events"], json!(["action.stuck"]));
    assert!(!known.text.contains("secret\":"), "{}", known.text);

    let auditor = installation.make_user("auditor@example.com", &["auditor"]).await;
    let mut auditing = installation.program_of(&auditor, &["read"]).await;
    let seen = auditing.get(PATH).await;
    assert_eq!(seen.json()["items"][0]["url"], "https://siem.example.com");
    assert!(!seen.text.contains("planted-receiver-key"), "{}", seen.text);
    let operator = installation.make_user("operator@example.com", &["operator"]).await;
    let mut operating = installation.program_of(&operator, &["admin"]).await;
    for (method, path) in [
        ("POST", PATH.to_owned()),
        ("PATCH", path.clone()),
        ("DELETE", path.clone()),
        ("POST", format!("{path}/secret")),
        ("POST", format!("{path}/test")),
    ] {
        let refused = operating.call(method, &path, json!({ "url": url })).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{method} {path}: {}", refused.text);
    }

    let tag = known.header("etag").to_owned();
    let paused = program.call_with("PATCH", &path, &[("if-match", &tag)], json!({ "state": "paused" })).await;
    assert_eq!(
        (paused.status, &paused.json()["state"]),
        (StatusCode::OK, &json!("paused")),
        "{}",
        paused.text
    );
    let moved = program.call_with("PATCH", &path, &[("if-match", &tag)], json!({ "state": "active" })).await;
    assert_eq!(moved.status, StatusCode::PRECONDITION_FAILED, "{}", moved.text);
    assert_eq!(program.call("DELETE", &path, json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(program.get(&path).await.status, StatusCode::NOT_FOUND);
    // The ledger says what was done, and neither address nor secret.
    let entries = installation.store.ledger_entries(0, 1_000).await.expect("reads");
    let entries: Vec<String> =
        entries.into_iter().map(|(_, bytes)| String::from_utf8(bytes).expect("text")).collect();
    for change in ["created", "changed", "deleted"] {
        let change_is = format!("\"change\":\"{change}\"");
        let told = |entry: &&String| entry.contains("webhook.changed") && entry.contains(&change_is);
        assert_eq!(entries.iter().filter(told).count(), 1, "{change}");
    }
    assert!(!entries.concat().contains("planted-receiver-key") && !entries.concat().contains(&secret));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_the_field() {
    let installation = Installation::with_company().await;
    let mut program = installation.program().await;
    let fine = "https://siem.example.com/";
    for (body, field, says) in [
        (json!({ "url": "siem" }), "url", "write an address such as"),
        (json!({ "url": "http://siem.example.com" }), "url", "with https"),
        (json!({ "url": "https://10.0.0.8/" }), "url", "[server.webhooks]"),
        (json!({ "url": "https://169.254.169.254/latest" }), "url", "not public"),
        (json!({ "url": "https://dana:x@siem.example.com" }), "url", "without a user"),
        (json!({ "url": fine, "events": ["action.stuckk"] }), "events", "`action.stuckk` is no event"),
        (json!({ "url": fine, "description": "x".repeat(201) }), "description", "200 characters"),
    ] {
        let refused = program.call("POST", PATH, body.clone()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", refused.text);
        let error = &refused.json()["errors"][0];
        assert_eq!(error["field"], field, "{}", refused.text);
        assert!(error["message"].to_string().contains(says), "{}", refused.text);
    }
    assert_eq!(program.get(PATH).await.json(), json!({ "items": [] }));
    let id =
        made(&mut program, json!({ "url": fine })).await["webhook"]["id"].as_str().expect("an id").to_owned();
    for (path, body) in
        [("secret", json!({ "overlap_hours": 169 })), ("secret", json!({ "overlap_hours": -1 }))]
    {
        let refused = program.call("POST", &format!("{PATH}/{id}/{path}"), body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    }
    let refused = program.call("PATCH", &format!("{PATH}/{id}"), json!({ "state": "disabled" })).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    let events = program.get("/api/v1/webhook-events").await.json();
    assert!(events["items"].as_array().expect("a list").len() > 10, "{events:#}");
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_for_days_is_disabled_and_can_be_begun_with_again() {
    let installation = Installation::with_company().await;
    let mut program = installation.program().await;
    let (url, asked) = busy();
    let id =
        made(&mut program, json!({ "url": url })).await["webhook"]["id"].as_str().expect("an id").to_owned();
    let path = format!("{PATH}/{id}");
    assert_eq!(program.call("POST", &format!("{path}/test"), json!({})).await.status, StatusCode::ACCEPTED);
    let deliverer = deliverer(&installation);
    // Before each try is due nothing is sent; a day and a tenth is longer than every wait.
    for attempt in 1..=10 {
        assert_eq!(deliverer.turn().await.expect("sends"), 1);
        assert_eq!(deliverer.turn().await.expect("waits"), 0);
        assert_eq!(asked.load(Ordering::SeqCst), attempt);
        let list = program.get(&format!("{path}/deliveries")).await.json();
        let delivery = &list["items"][0];
        assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!(503), &json!(attempt)), "{list:#}");
        // A receiver's words are a text and nothing else.
        assert_eq!(delivery["error"], "answered 503: <b>too busy</b>");
        installation.clock.advance_ms(27 * HOUR_MS);
    }
    let list = program.get(&format!("{path}/deliveries?state=failed")).await.json();
    assert_eq!(list["items"].as_array().expect("a list").len(), 1, "{list:#}");
    let disabled = program.get(&path).await.json();
    assert_eq!(disabled["state"], "disabled", "{disabled:#}");
    assert!(disabled["reason"].to_string().contains("10 attempts"), "{disabled:#}");
    let metrics = program.get("/metrics").await.text;
    assert!(metrics.contains("leasehold_webhooks{state=\"disabled\"} 1"), "{metrics}");
    assert!(metrics.contains("leasehold_webhook_deliveries{state=\"failed\"} 1"), "{metrics}");

    // Nothing is sent to it until somebody says so.
    let message = list["items"][0]["id"].as_str().expect("an id");
    let again = format!("{path}/deliveries/{message}/redeliver");
    assert_eq!(program.call("POST", &again, json!({})).await.status, StatusCode::ACCEPTED);
    assert_eq!(deliverer.turn().await.expect("looks"), 0);
    let active = program.call("PATCH", &path, json!({ "state": "active" })).await.json();
    assert_eq!((&active["state"], &active["reason"]), (&json!("active"), &Value::Null));
    assert_eq!(deliverer.turn().await.expect("sends"), 1);
    assert_eq!(asked.load(Ordering::SeqCst), 11);
}

#[tokio::test]
async fn a_secret_that_the_servers_cannot_open_is_said_and_nothing_is_sent_unsigned() {
    let installation = Installation::with_company().await;
    let mut program = installation.program().await;
    let (url, asked) = busy();
    let id =
        made(&mut program, json!({ "url": url })).await["webhook"]["id"].as_str().expect("an id").to_owned();
    program.call("POST", &format!("{PATH}/{id}/test"), json!({})).await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let other = leasehold_web::SealKey::generate().expect("a key");
    let deliverer =
        Deliverer::new(installation.store.clone(), installation.clock.clone(), other, webhooks(), "test");
    assert_eq!(deliverer.turn().await.expect("tries"), 1);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    let list = program.get(&format!("{PATH}/{id}/deliveries")).await.json();
    assert!(list["items"][0]["error"].to_string().contains("seal key"), "{list:#}");
}

#[tokio::test]
async fn the_page_makes_a_webhook_shows_its_secret_once_and_what_was_sent_to_it() {
    let installation = Installation::with_company().await;
    let mut browser = installation.signed_in().await;
    let csrf = browser.csrf("/webhooks").await;
    let typed = "ftp://siem.example.com/\"><b>";
    let wrong =
        [("csrf", csrf.as_str()), ("url", typed), ("description", "The alarms"), ("event", "action.stuck")];
    let refused = browser.post("/webhooks", &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert!(refused.text.contains("class=\"wrong\"") && refused.text.contains("value=\"The alarms\""));
    assert!(refused.text.contains("value=\"action.stuck\" checked") && !refused.text.contains("<b>"));

    let (url, _) = busy();
    let right = [("csrf", csrf.as_str()), ("url", url.as_str()), ("description", "The <b>alarms</b>")];
    let made = browser.post("/webhooks", &right).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    assert!(made.text.contains("whsec_") && !made.text.contains("<b>alarms"), "{}", made.text);
    let webhook = installation.store.webhooks().await.expect("reads").remove(0);
    let page = format!("/webhooks/{}", webhook.id);
    let sent = browser.post(&format!("{page}/test"), &[("csrf", &csrf)]).await;
    assert_eq!((sent.status, sent.location()), (StatusCode::SEE_OTHER, page.as_str()));
    assert_eq!(deliverer(&installation).turn().await.expect("sends"), 1);
    let shown = browser.get(&page).await;
    for told in ["webhook.test", "waiting", "answered 503", url.as_str()] {
        assert!(shown.text.contains(told), "{told}: {}", shown.text);
    }
    assert!(!shown.text.contains("whsec_") && !shown.text.contains("<b>"), "{}", shown.text);
    let rotated = browser.post(&format!("{page}/secret"), &[("csrf", &csrf)]).await;
    assert!(
        rotated.text.contains("whsec_") && rotated.text.contains("signs, too, until"),
        "{}",
        rotated.text
    );
    browser.post(&format!("{page}/state"), &[("csrf", &csrf), ("state", "paused")]).await;
    assert!(browser.get("/webhooks").await.text.contains("paused"));
    let deleted = browser.post(&format!("{page}/delete"), &[("csrf", &csrf)]).await;
    assert_eq!(deleted.location(), "/webhooks");
    assert_eq!(browser.get(&page).await.status, StatusCode::NOT_FOUND);
}
