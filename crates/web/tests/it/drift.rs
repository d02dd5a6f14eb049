//! Drift as people see it: filtered, grouped, a page at a time, and chosen from.

use axum::http::StatusCode;
use leasehold_model::decision::DriftKind;

use crate::company::{Office, text_of, values};
use crate::support::Installation;

#[tokio::test]
async fn drift_is_filtered_grouped_and_paged() {
    let office = Office::open().await;
    let view = office.view();
    let total = view.drift().len();
    let mut browser = office.installation.signed_in().await;

    // Every item is on exactly one page.
    let mut seen = std::collections::BTreeSet::new();
    let mut next = Some("/drift".to_owned());
    while let Some(address) = next {
        let page = browser.get(&address).await;
        assert_eq!(page.status, StatusCode::OK);
        for id in values(&page.text, "name=\"item\" value=\"") {
            assert!(seen.insert(id.to_owned()), "{id} is there twice");
        }
        next = values(&page.text, "rel=\"next\" href=\"").first().map(|link| link.replace("&#38;", "&"));
    }
    let all: std::collections::BTreeSet<String> =
        view.drift().iter().map(leasehold_model::decision::DriftItem::id).collect();
    assert_eq!(all.len(), total, "no two items have one name");
    assert_eq!(seen, all);

    let first = text_of(&browser.get("/drift").await.text);
    assert!(first.contains(&format!("Showing 1–50 of {total}")), "{first}");
    assert!(first.contains("access of somebody who has left"), "the group says what its kind means");
    for (kind, number) in view.drift_counts() {
        let page = browser.get(&format!("/drift?kind={kind}")).await;
        let found = values(&page.text, "name=\"item\" value=\"").len();
        assert_eq!(found, (*number).min(50), "{kind}");
        assert!(page.text.contains(&format!("value=\"{kind}\" selected")), "{kind}");
    }
    let item = view.drift().iter().find(|item| item.identity.is_some()).expect("somebody's");
    let identity = item.identity.as_ref().expect("somebody's");
    let of_identity = view.drift_of_identity(identity).len();
    for query in [format!("identity={identity}"), format!("text={}", identity.as_str().to_uppercase())] {
        let page = browser.get(&format!("/drift?{query}")).await;
        assert!(values(&page.text, "name=\"item\" value=\"").len() >= of_identity, "{query}");
        assert!(text_of(&page.text).contains(identity.as_str()), "{query}");
    }
    let system = &item.system;
    let of_system = view.drift_of_system(system).len();
    let page = text_of(&browser.get(&format!("/drift?system={system}&by=identity")).await.text);
    assert!(page.contains(&format!("of {of_system} ")) || of_system <= 50, "{page}");
    let page = text_of(&browser.get("/drift?by=system").await.text);
    assert!(page.contains(&format!("{} · ", view.drift()[0].system)) || page.contains(" items"), "{page}");
    for nothing in ["/drift?text=no-such-name", "/drift?system=no-such-system", "/drift?system=NO%20NAME"] {
        let page = browser.get(nothing).await;
        assert_eq!(page.status, StatusCode::OK, "{nothing}");
        assert!(text_of(&page.text).contains("No drift like this"), "{nothing}");
    }
    // A page number that makes no sense is the first or the last page.
    for page in ["/drift?page=x", "/drift?page=999999", "/drift?page=-1"] {
        assert_eq!(browser.get(page).await.status, StatusCode::OK, "{page}");
    }
}

#[tokio::test]
async fn freshness_and_completeness_stand_on_the_page() {
    let office = Office::open().await;
    let mut browser = office.installation.signed_in().await;
    let page = text_of(&browser.get("/drift").await.text);
    assert!(page.contains("6 sources: all read completely; the oldest was read just now"), "{page}");
    office.installation.clock.advance_ms(25 * 3_600_000);
    let mut browser = office.installation.signed_in().await;
    let page = text_of(&browser.get("/drift").await.text);
    assert!(page.contains("6 read over a day ago") && page.contains("stale"), "{page}");

    let unread = Office::unread().await;
    let mut browser = unread.installation.signed_in().await;
    let page = browser.get("/drift").await;
    assert!(text_of(&page.text).contains("The first evaluation is running"), "{}", page.text);
    assert_eq!(page.header("refresh"), "2");
    unread.installation.live.refresh().await.expect("an empty state");
    let page = text_of(&browser.get("/drift").await.text);
    assert!(page.contains("Nothing was read yet") && page.contains("6 never read"), "{page}");
    assert!(!page.contains("No drift in what was read"), "unknown is not nothing: {page}");
}

#[tokio::test]
async fn what_makes_no_sense_is_said_beside_it() {
    let office = Office::open().await;
    let mut browser = office.installation.signed_in().await;
    let page = browser.get("/drift?kind=%3Cscript%3E").await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    let text = text_of(&page.text);
    assert!(text.contains("there is no kind of drift “<script>”; kinds are leaver, toxic"), "{text}");
    assert!(!page.text.contains("<script>"), "untrusted text is escaped");

    let page = browser
        .submit("/drift", "/plans", &[("which", "chosen"), ("text", "typed"), ("kind", "leaver")])
        .await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(text_of(&page.text).contains("Nothing is chosen"), "{}", page.text);
    assert!(page.text.contains("value=\"typed\""), "what was typed is kept");
    assert_eq!(office.installation.store.plan_count().await.expect("reads"), 0);
}

#[tokio::test]
async fn people_see_what_they_may_and_no_more() {
    let office = Office::open().await;
    let mut auditor = office.browser_of("auditor@example.com", &["auditor"]).await;
    let page = auditor.get("/drift").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.text.contains("name=\"item\""), "an auditor has nothing to choose");
    let answer = auditor.submit("/drift", "/plans", &[("which", "all")]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let mut nobody = office.browser_of("nobody@example.com", &[]).await;
    for path in ["/drift", "/plans", "/actions", "/tasks", "/events"] {
        assert_eq!(nobody.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
        let mut signed_out = office.installation.browser();
        assert!(signed_out.get(path).await.location().starts_with("/sign-in"), "{path}");
    }
    assert_eq!(nobody.get("/").await.location(), "/me", "their own access is their home");
    assert_eq!(office.installation.store.plan_count().await.expect("reads"), 0);
    assert!(DriftKind::ALL.len() > 10);
}

#[tokio::test]
async fn a_plan_is_made_of_what_was_chosen() {
    let office = Office::open().await;
    let view = office.view();
    let mut browser = office.installation.signed_in().await;
    let chosen: Vec<_> =
        view.drift().iter().filter(|item| item.kind == DriftKind::Unjustified).take(2).collect();
    let ids: Vec<String> = chosen.iter().map(|item| item.id()).collect();
    let fields = [("which", "chosen"), ("item", ids[0].as_str()), ("item", ids[1].as_str())];
    let answer = browser.submit("/drift?kind=unjustified", "/plans", &fields).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let plan = office.latest_plan().await;
    assert!(!plan.items.is_empty() || !plan.left_alone.is_empty());
    for item in &plan.items {
        assert!(chosen.iter().any(|drift| drift.system == item.system && drift.account.as_ref() == Some(&item.account_key)));
    }
    // Nothing was changed in any system.
    assert_eq!(office.installation.store.all_actions().await.expect("reads").len(), 0);

    let gone = [("which", "chosen"), ("item", "000000000000000000000000")];
    let answer = browser.submit("/drift", "/plans", &gone).await;
    assert_eq!(answer.location(), "/drift");
    let page = text_of(&browser.get("/drift").await.text);
    assert!(page.contains("This is not drift any more"), "{page}");
    // Without the form's own token nothing is made.
    let plans = office.installation.store.plan_count().await.expect("reads");
    assert_eq!(browser.post("/plans", &[("which", "all")]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(office.installation.store.plan_count().await.expect("reads"), plans);
}

#[tokio::test]
async fn an_installation_without_systems_says_so() {
    let installation = Installation::with_administrator().await;
    installation.live.refresh().await.expect("an empty state");
    let mut browser = installation.signed_in().await;
    for path in ["/", "/drift"] {
        let page = text_of(&browser.get(path).await.text);
        assert!(page.contains("No system is configured: nothing is known"), "{path}: {page}");
        assert!(page.contains("Nothing was read yet"), "{path}: {page}");
    }
    for (path, words) in [
        ("/plans", "No plan yet"),
        ("/actions", "Nothing waits for a person"),
        ("/tasks", "Nothing is scheduled"),
    ] {
        let page = text_of(&browser.get(path).await.text);
        assert!(page.contains(words), "{path}: {page}");
    }
}
