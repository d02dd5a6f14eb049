//! `ledger verify` beside the store: what is missing, forged, not published yet, or signed with another key.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use leasehold_model::event::EventKind;
use leasehold_store::{Event, Store, StoreOptions};
use sqlx::Connection as _;

use crate::installation::{Installation, Ran};

const PEOPLE: &str = "email,status\ndana@example.com,active\nlee@example.com,active\n";
const CONFIGURATION: &str =
    "[system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\nauthoritative = true\nkey = \"email\"\n";

/// An installation with a log of three entries.
fn synced() -> Installation {
    let mut installation = Installation::new();
    installation.write("leasehold.toml", CONFIGURATION);
    installation.write("people.csv", PEOPLE);
    for _ in 0..3 {
        installation.run(&["sync"]).expect(0);
    }
    installation
}

/// Runs something beside the binary.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(future)
}

/// Records entries as a command does that is killed before it publishes.
fn record(installation: &Installation, number: usize) {
    block_on(async {
        let url = format!("sqlite:{}", installation.path().join("leasehold.db").display());
        let store = Store::open(&url, StoreOptions::default()).await.expect("opens");
        for _ in 0..number {
            let event = Event {
                kind: EventKind::PolicyApplied,
                subject: "1".to_owned(),
                body: serde_json::json!({}),
                personal: BTreeMap::new(),
            };
            store.record(event, jiff::Timestamp::now()).await.expect("records");
        }
        store.close().await;
    });
}

/// Changes the store's file as somebody does who has it.
fn sql(installation: &Installation, text: &'static str) {
    block_on(async {
        let url = format!("sqlite:{}", installation.path().join("leasehold.db").display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.expect("connects");
        sqlx::raw_sql(text).execute(&mut connection).await.expect("runs");
        connection.close().await.expect("closes");
    });
}

#[track_caller]
fn says(ran: &Ran, texts: &[&str]) {
    for text in texts {
        assert!(ran.stdout.contains(text) || ran.stderr.contains(text), "`{text}` is not in {ran:#?}");
    }
}

#[test]
fn what_an_interrupted_command_recorded_is_outstanding_and_no_sameness_is_claimed() {
    let mut installation = synced();
    let clean = installation.run(&["ledger", "verify"]).expect(0);
    says(&clean, &["verified: 3 entries", "the store holds the same entries"]);
    record(&installation, 2);
    let verified = installation.run(&["ledger", "verify"]).expect(2);
    says(
        &verified,
        &["verified: 3 entries", "2 entries of the store are not in the signed log yet", "leasehold sync"],
    );
    assert!(!verified.stdout.contains("the store holds the same entries\n"), "{verified:#?}");
    let json = installation.run(&["ledger", "verify", "--json"]).expect(2).json();
    assert_eq!(
        (&json["summary"]["size"], &json["summary"]["unpublished"]),
        (&3.into(), &2.into()),
        "{json:#}"
    );
    installation.run(&["sync"]).expect(0);
    says(&installation.run(&["ledger", "verify"]).expect(0), &["verified: 6 entries"]);
}

#[test]
fn rows_that_are_missing_or_forged_in_the_store_are_findings() {
    let cases: &[(&str, &'static str, &[&str])] = &[
        (
            "a row of the unpublished part is deleted",
            "DELETE FROM ledger_entry WHERE entry_index = 4",
            &["the store lacks entry 4"],
        ),
        (
            "the end is deleted",
            "DELETE FROM ledger_entry WHERE entry_index >= 4",
            &["the store lacks entries 4 to 5"],
        ),
        (
            "a row of the published part is deleted",
            "DELETE FROM ledger_entry WHERE entry_index = 1",
            &["the store lacks entry 1"],
        ),
        (
            "a row beyond the length is forged",
            "INSERT INTO ledger_entry (entry_index, bytes) SELECT 9, bytes FROM ledger_entry WHERE entry_index = 3",
            &["the store has entry 9"],
        ),
        (
            "a row of the unpublished part is replaced",
            "UPDATE ledger_entry SET bytes = 'mine' WHERE entry_index = 5",
            &["entry 5 of the store is no entry"],
        ),
        (
            "a row of the published part is replaced",
            "UPDATE ledger_entry SET bytes = 'mine' WHERE entry_index = 2",
            &["entry changed: index 2"],
        ),
    ];
    for (what, text, found) in cases {
        let mut installation = synced();
        record(&installation, 3);
        sql(&installation, text);
        let verified = installation.run(&["ledger", "verify"]).expect(1);
        for finding in *found {
            assert!(verified.stdout.contains(finding), "{what}: `{finding}` is not in {verified:#?}");
        }
        assert!(!verified.stdout.contains("verified:"), "{what}: {verified:#?}");
    }
    // What `sync` refuses to go on from, `ledger verify` names.
    let mut installation = synced();
    record(&installation, 3);
    sql(&installation, "DELETE FROM ledger_entry WHERE entry_index = 4");
    says(&installation.run(&["sync"]).expect(1), &["entry 4 is missing"]);
    says(&installation.run(&["ledger", "verify"]).expect(1), &["the store lacks entry 4"]);
}

#[test]
fn a_log_is_signed_with_one_key_and_another_is_refused_and_found() {
    let mut installation = synced();
    let ours = installation.run(&["ledger", "key"]).expect(0).stdout.trim().to_owned();
    let label = |key: &str| key.split('+').take(2).collect::<Vec<_>>().join("+");
    let mut other = synced();
    let theirs = other.run(&["ledger", "key"]).expect(0).stdout.trim().to_owned();
    let key_file = installation.path().join("ledger.key");
    std::fs::copy(other.path().join("ledger.key"), &key_file).expect("copies the key");

    let refused = installation.run(&["sync"]).expect(1);
    says(&refused, &[&label(&ours), &label(&theirs), "nothing is signed", "backup"]);
    let found = installation.run(&["ledger", "verify"]).expect(1);
    says(&found, &[&label(&ours), &label(&theirs), "other key: "]);
    assert_eq!(installation.run(&["ledger", "key"]).expect(0).stdout.trim(), ours, "the key of the log");

    // A log that somebody signed anew with the other key, beside its store.
    let ledger = installation.path().join("ledger");
    std::fs::remove_dir_all(&ledger).expect("removes the log");
    sql(&installation, "UPDATE head SET published_length = 0");
    installation.run(&["sync"]).expect(1);
    sql(&installation, "DELETE FROM ledger_key");
    installation.run(&["sync"]).expect(0);
    sql_kept(&installation, &ours);
    let found = installation.run(&["ledger", "verify"]).expect(1);
    says(&found, &["signed by another key", &label(&ours), &label(&theirs)]);
    says(&installation.run(&["ledger", "verify", "--key", &theirs]).expect(0), &["verified"]);

    // A store from before keys were kept is told by its checkpoint.
    let mut installation = synced();
    sql(&installation, "DELETE FROM ledger_key");
    std::fs::copy(other.path().join("ledger.key"), installation.path().join("ledger.key")).expect("copies");
    says(&installation.run(&["sync"]).expect(1), &[&label(&theirs), "nothing is signed"]);
}

#[test]
fn a_kept_checkpoint_is_compared_with_and_named() {
    let mut installation = synced();
    says(&installation.run(&["ledger", "verify"]).expect(0), &["kept checkpoint", "ledger checkpoint --out"]);
    let kept = installation.run(&["ledger", "checkpoint", "--out", "kept", "--json"]).expect(0).json();
    assert_eq!(kept["size"], 3, "{kept:#}");
    installation.run(&["sync"]).expect(0);
    says(&installation.run(&["ledger", "checkpoint", "--out", "kept"]).expect(1), &["kept", "new file"]);
    let verified = installation.run(&["ledger", "verify", "--since", "kept"]).expect(0);
    says(&verified, &["verified: 4 entries", "kept checkpoint kept", "its 3 entries"]);
    let json = installation.run(&["ledger", "verify", "--since", "kept", "--json"]).expect(0).json();
    assert_eq!(json["summary"]["since"], serde_json::json!({"file": "kept", "size": 3}), "{json:#}");

    // The checkpoint of another log is none of this one's beginnings.
    let mut other = synced();
    other.run(&["ledger", "checkpoint", "--out", "kept"]).expect(0);
    std::fs::copy(other.path().join("kept"), installation.path().join("theirs")).expect("copies");
    installation.run(&["ledger", "verify", "--since", "theirs"]).expect(1);
    says(
        &installation.run(&["ledger", "verify", "--since", "people.csv"]).expect(1),
        &["people.csv is no checkpoint"],
    );
    let both = ["ledger", "verify", "--bundle", "proof.json", "--key", "k", "--since", "kept"];
    says(&installation.run(&both).expect(1), &["--since", "--bundle"]);
}

#[test]
fn a_command_waits_for_another_that_writes_the_log() {
    let mut installation = synced();
    let lock = std::fs::File::options()
        .write(true)
        .open(installation.path().join("ledger/lock"))
        .expect("opens the lock");
    lock.lock().expect("locks");
    let refused = installation.run(&["sync", "--wait", "1"]).expect(1);
    says(&refused, &["another command writes the ledger", "within 1 s", "nothing was changed", "--wait"]);
    let begun = Instant::now();
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(1_500));
        drop(lock);
    });
    installation.run(&["sync"]).expect(0);
    assert!(begun.elapsed() >= Duration::from_millis(1_400), "it waited");
    release.join().expect("releases");
    several_at_once(&installation);
    installation.run(&["ledger", "verify"]).expect(0);
    // Also where none was before, and each of them would make the key.
    for _ in 0..6 {
        let mut installation = Installation::new();
        installation.write("leasehold.toml", CONFIGURATION);
        installation.write("people.csv", PEOPLE);
        // Makes the store, and no key.
        installation.run(&["drift"]).expect(1);
        several_at_once(&installation);
        installation.run(&["ledger", "verify"]).expect(0);
    }
}

/// Several `sync`s at once: all come through, but for a reading that a later one overtook.
fn several_at_once(installation: &Installation) {
    let running: Vec<_> = (0..4)
        .map(|_| {
            std::process::Command::new(env!("CARGO_BIN_EXE_leasehold"))
                .arg("sync")
                .current_dir(installation.path())
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .expect("runs")
        })
        .collect();
    for child in running {
        let output = child.wait_with_output().expect("ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || said.contains("overtaken"), "{said}");
    }
}

/// Puts the key back into the store that was kept there.
fn sql_kept(installation: &Installation, key: &str) {
    block_on(async {
        let url = format!("sqlite:{}", installation.path().join("leasehold.db").display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.expect("connects");
        sqlx::query("UPDATE ledger_key SET public_key = $1")
            .bind(key)
            .execute(&mut connection)
            .await
            .expect("runs");
        connection.close().await.expect("closes");
    });
}
