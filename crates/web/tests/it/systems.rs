//! Systems: freshness, contents, problems, and a reading on request.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use leasehold_decide::correlate::Correlation;
use leasehold_model::fact::{Completeness, Problem};
use leasehold_model::id::SystemName;
use leasehold_store::TaskFilter;

use crate::practice::{Practice, send, words};

fn name(text: &str) -> SystemName {
    SystemName::new(text).expect("a name")
}

#[tokio::test]
async fn every_system_is_listed_with_what_it_has() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let view = practice.view();
    let snapshot = &view.loaded().snapshot;
    let page = browser.get("/systems").await;
    assert_eq!(page.status, StatusCode::OK);
    let text = words(&page);
    for system in practice.systems.keys() {
        assert!(page.text.contains(&format!("href=\"/systems/{system}\"")), "{system}: {text}");
    }
    let crm = snapshot.system_position(&name("crm")).expect("read");
    let of_crm = snapshot.accounts.iter().filter(|account| account.system == crm).count();
    let one = browser.get("/systems/crm").await;
    let one_words = words(&one);
    assert!(one_words.contains(&format!("{of_crm} accounts")), "{one_words}");
    assert!(
        one_words.contains("What its connector can do") && one_words.contains("disable account"),
        "{one_words}"
    );
    assert!(one_words.contains("About drift propose"), "{one_words}");
    let list = words(&browser.get("/systems/crm/accounts").await);
    assert!(list.contains(&format!("of {of_crm}")), "{list}");
    assert_eq!(browser.get("/systems/nowhere").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/systems/NOT%20A%20NAME").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn accounts_of_nobody_are_found() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let view = practice.view();
    let (snapshot, evaluation) = (&view.loaded().snapshot, view.evaluation());
    let mut found = 0;
    for system in practice.systems.keys() {
        let Some(position) = snapshot.system_position(system) else { continue };
        let orphans: Vec<&str> = snapshot
            .accounts
            .iter()
            .zip(&evaluation.correlation)
            .filter(|(account, whose)| account.system == position && !matches!(whose, Correlation::To { .. }))
            .map(|(account, _)| account.account.login.as_str())
            .collect();
        let page = words(&browser.get(&format!("/systems/{system}/accounts?whose=nobody")).await);
        for login in &orphans {
            assert!(page.contains(login), "{system}: {login}: {page}");
        }
        let total = if orphans.is_empty() {
            "No account is like this".to_owned()
        } else {
            format!("of {}", orphans.len())
        };
        assert!(page.contains(&total), "{system}: {page}");
        found += orphans.len();
    }
    assert!(found > 0, "the company has accounts of nobody");
}

#[tokio::test]
async fn a_partial_reading_says_why_and_lists_its_problems() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let store = &practice.installation.store;
    let now = practice.installation.now();
    let mut writer = store.begin_epoch(&name("vpn"), now).await.expect("begins");
    writer.problem(Problem::new("row <7>", "the login is missing; mend the row"));
    let why = Completeness::Partial { why: "the last page timed out".to_owned() };
    writer.finish(why, practice.installation.now()).await.expect("ends");
    practice.refresh().await;
    let page = words(&browser.get("/systems/vpn").await);
    assert!(page.contains("partial") && page.contains("the last page timed out"), "{page}");
    assert!(page.contains("nothing that is not seen counts as gone"), "{page}");
    assert!(page.contains("1 problem"), "{page}");
    let problems = browser.get("/systems/vpn/problems").await;
    assert!(problems.text.contains("row &#60;7&#62;"), "{}", problems.text);
    let none = words(&browser.get("/systems/crm/problems").await);
    assert!(none.contains("could use everything"), "{none}");
}

#[tokio::test]
async fn a_reading_is_asked_for_once() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let answer = send(&mut browser, "/systems/crm", "/systems/crm/sync", &[]).await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, "/systems/crm"),
        "{}",
        answer.text
    );
    send(&mut browser, "/systems/crm", "/systems/crm/sync", &[]).await;
    let tasks = practice.installation.store.tasks(&TaskFilter::default(), 10).await.expect("reads");
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    assert_eq!((tasks[0].subject.as_str(), tasks[0].requested_by.as_str()), ("crm", "dana@example.com"));
}

#[tokio::test]
async fn owners_see_their_systems_and_auditors_change_nothing() {
    let plain = Practice::new().await;
    let view = plain.view();
    let owner = view
        .evaluation()
        .identities
        .iter()
        .find(|it| it.may_hold_access(view.as_of()))
        .expect("one")
        .key
        .clone();
    let practice = Practice::owned(BTreeMap::from([(name("crm"), vec![owner.clone()])])).await;
    let user = practice.installation.make_user(owner.as_str(), &[]).await;
    let mut browser = practice.installation.browser_of(&user).await;
    let list = browser.get("/systems").await;
    assert!(
        list.text.contains("/systems/crm\"") && !list.text.contains("/systems/vpn\""),
        "{}",
        words(&list)
    );
    assert_eq!(browser.get("/systems/vpn").await.status, StatusCode::NOT_FOUND);
    let own = browser.get("/systems/crm").await;
    assert!(own.text.contains("/systems/crm/sync"), "who owns it may have it read");

    let auditor = practice.installation.make_user("auditor@example.com", &["auditor"]).await;
    let mut browser = practice.installation.browser_of(&auditor).await;
    let page = browser.get("/systems/crm").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.text.contains("/systems/crm/sync"));
    let refused = send(&mut browser, "/systems/crm", "/systems/crm/sync", &[]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}
