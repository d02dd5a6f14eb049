//! The ledger's pages: what is shown, what is proved, and what is said where something does not fit.

use axum::http::StatusCode;
use leasehold_ledger::bundle::Bundle;
use leasehold_ledger::entry::Entry;

use crate::practice::{Practice, words};

#[tokio::test]
async fn entries_are_listed_newest_first_and_found() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let store = &practice.installation.store;
    let length = store.ledger_len().await.expect("reads");
    let page = browser.get("/ledger").await;
    assert_eq!(page.status, StatusCode::OK);
    let text = words(&page);
    assert!(text.contains(&format!("Entries 0 to {} of {length}", length - 1)), "{text}");
    assert!(text.contains("Nothing of the log is published yet"), "{text}");
    let first = page.text.find("/ledger/0\"").expect("the first entry");
    let last = page.text.find(&format!("/ledger/{}\"", length - 1)).expect("the last entry");
    assert!(last < first, "newest first");

    let policies = browser.get("/ledger?kind=policy.applied").await;
    assert!(words(&policies).contains("1 found among entries"), "{}", words(&policies));
    let none = browser.get("/ledger?subject=no+such+subject").await;
    assert!(words(&none).contains("No entry like this"), "{}", words(&none));
    assert_eq!(browser.get("/ledger?kind=nonsense").await.status, StatusCode::BAD_REQUEST);
    let typed = browser.get("/ledger?before=soon").await;
    assert!(words(&typed).contains("write the number of an entry"), "{}", words(&typed));
    for path in ["/ledger/99999", "/ledger/-1", "/ledger/one"] {
        assert_eq!(browser.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn an_entry_is_verified_and_its_proof_holds_elsewhere() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let store = &practice.installation.store;
    let entries = store.ledger_entries(0, 1_000).await.expect("reads");
    let of_kind =
        |(_, bytes): &&(u64, Vec<u8>)| Entry::from_bytes(bytes).expect("an entry").kind == "policy.applied";
    let index = entries.iter().find(of_kind).expect("an applied policy").0;
    let path = format!("/ledger/{index}");
    let before = words(&browser.get(&path).await);
    assert!(before.contains("not published yet"), "{before}");
    assert_eq!(browser.get(&format!("{path}/proof")).await.status, StatusCode::NOT_FOUND);

    let publisher = practice.publish().await;
    let page = words(&browser.get(&path).await);
    assert!(page.contains("Verified in this page"), "{page}");
    assert!(page.contains("by dana@example.com fits the commitment"), "{page}");
    let key = publisher.key.verifying_key();
    assert!(page.contains(&key.to_text()), "{page}");
    let answer = browser.get(&format!("{path}/proof")).await;
    assert!(answer.header("content-disposition").contains(&format!("leasehold-proof-{index}.json")));
    let report = Bundle::from_json(&answer.text).expect("a bundle").verify(&key).expect("it holds");
    assert_eq!(
        (report.entries[0].index, report.entries[0].opened.as_slice()),
        (index, &["by".to_owned()][..])
    );
    let closed = browser.get(&format!("{path}/proof?closed=1")).await;
    assert!(!closed.text.contains("dana@example.com"), "{}", closed.text);
    Bundle::from_json(&closed.text).expect("a bundle").verify(&key).expect("it holds, too");
}

#[tokio::test]
async fn what_was_changed_or_erased_beside_the_log_is_said() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let installation = &practice.installation;
    let publisher = practice.publish().await;
    let entries = installation.store.ledger_entries(0, 1_000).await.expect("reads");
    let of_kind =
        |(_, bytes): &&(u64, Vec<u8>)| Entry::from_bytes(bytes).expect("an entry").kind == "policy.applied";
    let index = entries.iter().find(of_kind).expect("an applied policy").0;
    installation.store.erase_openings("dana@example.com").await.expect("erases");
    let erased = words(&browser.get(&format!("/ledger/{index}")).await);
    assert!(erased.contains("by erased") && erased.contains("Verified in this page"), "{erased}");

    // Somebody who can write the published files changes one.
    let checkpoint = publisher.directory.join("checkpoint");
    let text = std::fs::read_to_string(&checkpoint).expect("a checkpoint");
    let size = entries.len();
    std::fs::write(&checkpoint, text.replacen(&format!("\n{size}\n"), &format!("\n{}\n", size - 1), 1))
        .expect("written");
    let page = words(&browser.get(&format!("/ledger/{index}")).await);
    assert!(page.contains("does not verify") && page.contains("cannot be relied on"), "{page}");
    assert_eq!(browser.get(&format!("/ledger/{index}/proof")).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn only_those_who_may_see_the_ledger_do() {
    let practice = Practice::new().await;
    let plain = practice.installation.make_user("nobody@example.com", &[]).await;
    let mut browser = practice.installation.browser_of(&plain).await;
    for path in ["/ledger", "/ledger/0", "/ledger/0/proof"] {
        assert_eq!(browser.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let auditor = practice.installation.make_user("auditor@example.com", &["auditor"]).await;
    let mut browser = practice.installation.browser_of(&auditor).await;
    assert_eq!(browser.get("/ledger").await.status, StatusCode::OK);
}

#[tokio::test]
async fn programs_get_the_checkpoint_entries_and_proofs() {
    let practice = Practice::new().await;
    let installation = &practice.installation;
    let mut program = installation.program().await;
    for path in ["/api/v1/ledger/checkpoint", "/api/v1/ledger/entries/0/proof"] {
        assert_eq!(program.get(path).await.status, StatusCode::NOT_FOUND, "{path} before it is published");
    }
    let publisher = practice.publish().await;
    let key = publisher.key.verifying_key();
    let size = installation.store.ledger_len().await.expect("reads");
    let checkpoint = program.get("/api/v1/ledger/checkpoint").await.json();
    assert_eq!(
        (checkpoint["size"].as_u64(), checkpoint["key"].as_str()),
        (Some(size), Some(&*key.to_text()))
    );
    let text = checkpoint["checkpoint"].as_str().expect("a text");
    assert_eq!(text, std::fs::read_to_string(publisher.directory.join("checkpoint")).expect("a checkpoint"));

    let entries = installation.store.ledger_entries(0, 1_000).await.expect("reads");
    let of_kind =
        |(_, bytes): &&(u64, Vec<u8>)| Entry::from_bytes(bytes).expect("an entry").kind == "policy.applied";
    let index = entries.iter().find(of_kind).expect("an applied policy").0;
    let path = format!("/api/v1/ledger/entries/{index}");
    let entry = program.get(&path).await.json();
    assert_eq!(
        (entry["index"].as_u64(), entry["opened"]["by"].as_str()),
        (Some(index), Some("dana@example.com"))
    );
    let answer = program.get(&format!("{path}/proof")).await;
    let report = Bundle::from_json(&answer.text).expect("a bundle").verify(&key).expect("it holds");
    assert_eq!((report.entries[0].index, report.entries[0].opened.len()), (index, 1));
    let closed = program.get(&format!("{path}/proof?closed=true")).await;
    assert!(!closed.text.contains("dana@example.com"), "{}", closed.text);
    Bundle::from_json(&closed.text).expect("a bundle").verify(&key).expect("it holds, too");
    let several = program.get(&format!("/api/v1/ledger/proof?index={index},0,{index}")).await;
    let report = Bundle::from_json(&several.text).expect("a bundle").verify(&key).expect("it holds");
    assert_eq!(report.entries.iter().map(|entry| entry.index).collect::<Vec<_>>(), [0, index]);
    for path in [format!("/api/v1/ledger/entries/{size}"), format!("/api/v1/ledger/entries/{}", u64::MAX)] {
        for path in [path.clone(), format!("{path}/proof")] {
            assert_eq!(program.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
