//! An emergency: with a system that never answers, everything of somebody else's systems is read back as gone, and the receipt of it
//! is written, within a minute; at the terminal, and by a server that somebody asks.

use std::time::{Duration, Instant};

use leasehold_store::{Store, StoreOptions};
use serde_json::Value;

use crate::browser::Served;
use crate::installation::{Installation, Ran};
use crate::offboard::company;

/// An emergency lasts no longer.
const MINUTE: Duration = Duration::from_secs(60);

/// The company, whose cloud answers after a minute at the earliest.
fn with_silent_cloud() -> (Installation, String) {
    let (mut installation, whom) = company();
    // Something is to be ended in there.
    let held = installation.run(&["explain", &whom, "--json"]).json();
    assert!(held.to_string().contains("\"cloud\""), "{held:#}");
    let configuration = installation.read("leasehold.toml");
    let silent = configuration.replace(
        "[system.cloud]\nconnector = \"simulated\"\n",
        "[system.cloud]\nconnector = \"simulated\"\nlatency_ms = 60000\n",
    );
    assert_ne!(silent, configuration, "the cloud is configured otherwise");
    // What is due by a schedule, or closed by itself, is no part of it.
    let silent = silent.replace("enforce   = \"enforce\"", "enforce = \"propose\"");
    installation.write("leasehold.toml", &format!("[server]\ninterval = \"24h\"\n\n{silent}"));
    (installation, whom)
}

/// Everything but what the cloud holds is gone, that is listed as not known to be, and the receipt proves both.
fn check(installation: &mut Installation, ran: Ran, lasted: Duration) {
    let done = ran.expect(2).json();
    assert!(lasted < MINUTE, "it lasted {lasted:?}");
    let items = done["items"].as_array().expect("items");
    let (cloud, others): (Vec<&Value>, Vec<&Value>) =
        items.iter().partition(|item| item["system"] == "cloud");
    assert!(!cloud.is_empty() && !others.is_empty(), "{done:#}");
    assert!(others.iter().all(|item| item["state"] == "verified"), "{others:#?}");
    for item in cloud {
        assert!(!["verified", "void"].contains(&item["state"].as_str().expect("a state")), "{item:#}");
    }
    let key = installation.run(&["ledger", "key"]).expect(0).stdout.trim().to_owned();
    installation.run(&["ledger", "verify", "--bundle", "receipt.json", "--key", &key]).expect(0);
}

#[test]
fn a_system_that_never_answers_holds_up_nothing_at_the_terminal() {
    let (mut installation, whom) = with_silent_cloud();
    let began = Instant::now();
    let ran = installation.run(&["offboard", &whom, "--now", "--json", "--out", "receipt.json"]);
    check(&mut installation, ran, began.elapsed());
}

/// A server of the company, whom its administrator asks.
fn serve(installation: &mut Installation) -> Served {
    let served = Served::start(installation, &["serve", "--listen", "127.0.0.1:0"]);
    installation.run(&["user", "add", "dana@example.com", "--role", "administrator"]).expect(0);
    let token = installation.run(&["token", "create", "--scope", "admin"]).expect(0).stdout.trim().to_owned();
    installation.printed.clear();
    installation.set("LEASEHOLD_TOKEN", &token);
    served
}

#[test]
fn a_system_that_never_answers_holds_up_nothing_on_a_server() {
    let (mut installation, whom) = with_silent_cloud();
    let served = serve(&mut installation);
    let url = served.url().to_owned();
    let began = Instant::now();
    let ran =
        installation.run(&["offboard", &whom, "--now", "--json", "--out", "receipt.json", "--server", &url]);
    check(&mut installation, ran, began.elapsed());
}

#[test]
fn nor_does_it_hold_up_a_departure_whose_time_has_come_and_its_receipt() {
    let (mut installation, whom) = with_silent_cloud();
    let served = serve(&mut installation);
    let url = served.url().to_owned();
    let leaves_at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3);
    installation.run(&["offboard", &whom, "--at", &leaves_at.to_string(), "--server", &url]).expect(0);
    let began = Instant::now();
    // The server writes it by itself, before anybody asks.
    let store = format!("sqlite:{}", installation.path().join("leasehold.db").display());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(&store, StoreOptions::default()).await.expect("opens");
        while store.receipts(&whom.as_str().into()).await.expect("receipts").is_empty() {
            assert!(began.elapsed() < MINUTE, "there is no receipt yet");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    let lasted = began.elapsed();
    let ran = installation.run(&["receipt", &whom, "--json", "--out", "receipt.json", "--server", &url]);
    check(&mut installation, ran, lasted);
}
