//! Receipts of offboardings: written by themselves and when asked for, shown on the leaver's page, handed out as files that prove
//! what they say, and only to whom they concern.

use axum::http::StatusCode;
use leasehold_model::decision::DriftKind;
use leasehold_reconcile::workflow::receipt::OffboardingReceipt;
use serde_json::{Value, json};

use crate::practice::{Practice, send, words};

/// Has what is wrong with somebody planned and carried out by the pages.
async fn close(practice: &Practice, browser: &mut crate::support::Browser, page: &str) {
    let planned = send(browser, page, &format!("{page}/plan"), &[]).await;
    let plan = planned.location().to_owned();
    let approved = send(browser, &plan, &format!("{plan}/approve"), &[]).await;
    assert_eq!(approved.status, StatusCode::SEE_OTHER, "{}", approved.text);
    practice.installation.driver.turn().await.expect("a turn");
}

#[tokio::test]
async fn a_leaver_s_page_has_the_receipt_that_proves_what_was_ended() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let mut program = practice.installation.program().await;
    let leaver = practice.troubled(DriftKind::Leaver);
    let page = format!("/identities/{leaver}");
    let call = format!("/api/v1{page}/receipts");
    assert!(words(&browser.get(&page).await).contains("None yet"), "nothing was ended yet");

    // What is known before anything is done: it is all there.
    let written = send(&mut browser, &page, &format!("{page}/receipt"), &[]).await;
    assert_eq!(written.status, StatusCode::SEE_OTHER, "{}", written.text);
    let shown = words(&browser.get(&page).await);
    assert!(shown.contains("still there") && shown.contains("Download the receipt"), "{shown}");
    // What remains is named where the receipt is, and not in its file alone.
    assert!(
        shown.contains("Not ended by then") && shown.contains("was not begun: a plan has to be approved"),
        "{shown}"
    );
    let first = program.get(&call).await.json()["items"][0].clone();
    assert_eq!((&first["verified"], &first["identity"]), (&json!(0), &json!(leaver)));
    assert!(first["remaining"].as_u64() > Some(0), "{first}");
    let unsigned = browser.get(&format!("/receipts/{}", first["id"])).await;
    assert_eq!(unsigned.status, StatusCode::NOT_FOUND, "nothing is signed yet");
    assert!(words(&unsigned).contains("in a log that is signed"), "{}", words(&unsigned));

    // Once everything has ended, a receipt of it is there by itself.
    close(&practice, &mut browser, &page).await;
    let list = program.get(&call).await.json();
    let items = list["items"].as_array().expect("receipts");
    assert_eq!(items.len(), 2, "one for each time that something was there to be told: {list:#}");
    assert!(items[0]["verified"].as_u64() > Some(0) && items[0]["not_verified"] == 0, "{list:#}");
    let key = practice.publish().await.key.verifying_key();
    let shown = browser.get(&page).await;
    assert!(words(&shown).contains("read back as ended"), "{}", words(&shown));
    assert!(shown.text.contains(&format!("href=\"/receipts/{}\" download", items[0]["id"])));
    for (id, verified) in [(&items[0]["id"], &items[0]["verified"]), (&first["id"], &first["verified"])] {
        let answer = browser.get(&format!("/receipts/{id}")).await;
        let name = answer.header("content-disposition").to_owned();
        assert!(name.contains(&format!("\"offboarding-{leaver}-2")) && name.ends_with(".json\""), "{name}");
        let receipt = OffboardingReceipt::read(&answer.text).expect("reads").expect("a receipt");
        receipt.verify(&key).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        assert_eq!(json!(receipt.statement.tally().verified), *verified);
        assert_eq!(receipt.statement.identity.as_str(), leaver);
        assert!(!receipt.statement.readings.is_empty());
        assert_eq!(program.get(&format!("/api/v1/receipts/{id}")).await.text, answer.text);
    }
    // Asked for once more, it says the same of another time.
    let again = program.call("POST", &call, Value::Null).await;
    assert_eq!(again.status, StatusCode::CREATED, "{}", again.text);
    assert_eq!(again.json()["verified"], items[0]["verified"]);
    assert_eq!(again.location(), format!("/api/v1/receipts/{}", again.json()["id"]));
}

#[tokio::test]
async fn receipts_are_for_those_whom_they_concern() {
    let practice = Practice::new().await;
    let mut program = practice.installation.program().await;
    let leaver = practice.troubled(DriftKind::Leaver);
    let call = format!("/api/v1/identities/{leaver}/receipts");
    let id = program.call("POST", &call, Value::Null).await.json()["id"].clone();
    practice.publish().await;
    let here = practice.troubled(DriftKind::Toxic);
    let refused = program.call("POST", &format!("/api/v1/identities/{here}/receipts"), Value::Null).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert!(refused.text.contains("has not left"), "{}", refused.text);
    for nothing in ["0", "none", "99999999999999999999"] {
        let missing = program.get(&format!("/api/v1/receipts/{nothing}")).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{nothing}");
    }
    for (role, reads, writes) in [("auditor", 200, 403), ("operator", 200, 201), ("reviewer", 403, 403)] {
        let user = practice.installation.make_user(&format!("{role}@example.com"), &[role]).await;
        let mut program = practice.installation.program_of(&user, &["read", "plan"]).await;
        assert_eq!(program.get(&call).await.status, reads, "{role}");
        assert_eq!(program.get(&format!("/api/v1/receipts/{id}")).await.status, reads, "{role}");
        let mut browser = practice.installation.browser_of(&user).await;
        assert_eq!(browser.get(&format!("/receipts/{id}")).await.status, reads, "{role}");
        assert_eq!(program.call("POST", &call, Value::Null).await.status, writes, "{role}");
    }
    // What was erased is not handed out, and nothing that was changed beside the log.
    practice.installation.store.erase_openings(&leaver).await.expect("erases");
    let erased = program.get(&format!("/api/v1/receipts/{id}")).await;
    assert_eq!(erased.status, StatusCode::CONFLICT, "{}", erased.text);
    assert!(erased.text.contains("was erased"), "{}", erased.text);
}
