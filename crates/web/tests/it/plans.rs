//! A plan from its making to its receipts, by the pages alone; and every way in which it is refused.

use axum::http::StatusCode;
use leasehold_model::action::ActionState;
use leasehold_model::plan::Verb;

use crate::company::{Office, text_of, values};

#[tokio::test]
async fn a_plan_is_looked_at_approved_and_carried_out() {
    let office = Office::open().await;
    let store = &office.installation.store;
    let mut browser = office.installation.signed_in().await;
    let (plan, address) = office.plan_everything(&mut browser).await;
    assert!(plan.items.len() > 5 && !plan.left_alone.is_empty());

    // Every effect is on one of its pages, and so is everything that is left alone.
    let (mut shown, mut all) = (0, String::new());
    let mut next = Some(address.clone());
    while let Some(page) = next {
        let page = browser.get(&page).await;
        shown += page.text.matches("<td data-label=\"Also loses\">").count();
        all.push_str(&text_of(&page.text));
        let turn = page.text.split("id=\"left-alone\"").next().expect("effects");
        next = values(turn, "rel=\"next\" href=\"").first().map(|link| link.replace("&#38;", "&"));
    }
    assert_eq!(shown, plan.items.len());
    let page = browser.get(&address).await;
    let text = text_of(&page.text);
    assert!(text.contains("waits for approval") && text.contains("Approve: "), "{text}");
    for item in &plan.items {
        // Instants in a reason are written for people.
        let reason = item.because[0].split(" 20").next().expect("a beginning");
        assert!(all.contains(reason), "{reason}");
    }
    assert!(
        text.contains(&format!("{} items of drift that this plan does nothing about", plan.left_alone.len()))
    );

    let answer = browser.submit(&address, &format!("{address}/approve"), &[]).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, address.as_str()));
    // What was recorded is what somebody meant; nothing was done by the page itself.
    assert!(store.actions(&plan.hash).await.expect("reads").is_empty());
    let page = text_of(&browser.get(&address).await.text);
    assert!(page.contains("the task that carries it out queued"), "{page}");
    let tasks = text_of(&browser.get("/tasks?kind=apply").await.text);
    assert!(tasks.contains("carry out a plan") && tasks.contains("dana@example.com"), "{tasks}");

    office.turn().await;
    let rows = store.actions(&plan.hash).await.expect("reads");
    let verified = rows.iter().filter(|row| row.state == ActionState::Verified).count();
    assert!(verified > 0);
    let page = browser.get(&address).await;
    let text = text_of(&page.text);
    assert!(text.contains(&format!("{verified} verified")), "{text}");
    assert!(text.contains("Approved by dana@example.com"), "{text}");
    assert!(!text.contains("Approve: "), "it is approved once");
    // Each receipt names its entry in the ledger, and the action's page has every step.
    let row = rows
        .iter()
        .find(|row| row.state == ActionState::Verified && row.item.verb == Verb::Revoke)
        .expect("one");
    let entry = row.ledger_index.expect("an entry");
    let action = browser.get(&format!("/actions/{}/{}", plan.hash, row.id)).await;
    assert!(action.text.contains(&format!("href=\"/ledger/{entry}\"")));
    let text = text_of(&action.text);
    for step in store.transitions(&plan.hash, &row.id).await.expect("reads") {
        assert!(action.text.contains(&format!("href=\"/ledger/{}\"", step.ledger_index)), "{text}");
    }
    let again = browser.submit("/drift", &format!("{address}/approve"), &[]).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "there is nothing left to approve");
    // The lists agree.
    let list = text_of(&browser.get("/actions?state=verified").await.text);
    assert!(list.contains(&format!("of {verified}")), "{list}");
    let tasks = text_of(&browser.get("/tasks?kind=apply&state=done").await.text);
    assert!(
        tasks.contains(&format!("actions: {verified} verified")) || tasks.contains("verified"),
        "{tasks}"
    );
}

#[tokio::test]
async fn a_plan_whose_state_moved_is_refused_and_made_again() {
    let office = Office::open().await;
    let store = &office.installation.store;
    let mut browser = office.installation.signed_in().await;
    let (plan, address) = office.plan_everything(&mut browser).await;
    let item =
        plan.items.iter().find(|item| item.verb == Verb::Revoke && item.system.as_str() == "directory");
    let item = item.expect("something in the directory");
    // Somebody changes something in that system, and it is read.
    let entitlement = item.entitlement.as_ref().expect("of a grant");
    office
        .world
        .remove_out_of_band("directory", &item.account_key.0, &entitlement.to_string())
        .expect("removes");
    office.installation.clock.advance_ms(3_600_000);
    office.turn().await;
    // An hour later the sign-in is too long ago for a destructive approval, so it is shown again first.
    let mut browser = office.installation.signed_in().await;
    let answer = browser.submit("/drift", &format!("{address}/approve"), &[]).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text);
    let text = text_of(&answer.text);
    assert!(text.contains("Not approved") && text.contains("system directory changed"), "{text}");
    assert!(text.contains("Plan again from the present state"), "{text}");
    assert!(store.actions(&plan.hash).await.expect("reads").is_empty(), "nothing was begun");

    let answer = browser.submit(&address, "/plans", &[("again", plan.hash.as_str())]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let newer = office.latest_plan().await;
    assert_ne!(newer.hash, plan.hash);
    assert!(!newer.items.iter().any(|newer| (newer.verb, &newer.account_key, &newer.entitlement)
        == (item.verb, &item.account_key, &item.entitlement)));
    let list = text_of(&browser.get("/plans").await.text);
    assert!(list.contains("outdated") && list.contains("waits for approval"), "{list}");
}

#[tokio::test]
async fn who_may_not_approve_does_not() {
    let office = Office::open().await;
    let store = &office.installation.store;
    let mut browser = office.installation.signed_in().await;
    let (plan, address) = office.plan_everything(&mut browser).await;
    let approve = format!("{address}/approve");

    let mut auditor = office.browser_of("auditor@example.com", &["auditor"]).await;
    let page = auditor.get(&address).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.text.contains("Approve: "), "an auditor only looks");
    assert_eq!(auditor.submit("/account", &approve, &[]).await.status, StatusCode::FORBIDDEN);

    // Somebody whom the plan is about, whatever they are here.
    let own = plan.items.iter().find_map(|item| item.identity.clone()).expect("somebody");
    let mut affected = office.browser_of(own.as_str(), &["administrator"]).await;
    let text = text_of(&affected.get(&address).await.text);
    assert!(text.contains("somebody else has to decide on it") && !text.contains("Approve: "), "{text}");
    assert_eq!(affected.submit("/account", &approve, &[]).await.status, StatusCode::FORBIDDEN);

    // A sign-in of an hour ago does not end access.
    office.installation.clock.advance_ms(11 * 60_000);
    let text = text_of(&browser.get(&address).await.text);
    assert!(text.contains("Confirm that it is you"), "{text}");
    let answer = browser.submit("/drift", &approve, &[]).await;
    assert!(answer.location().starts_with("/step-up?next="), "{} {}", answer.status, answer.location());
    assert_eq!(browser.get(&approve).await.location(), address, "and from there back to the plan");
    assert!(
        store
            .tasks(&leasehold_store::TaskFilter { kind: Some("apply".to_owned()), ..Default::default() }, 9)
            .await
            .expect("reads")
            .is_empty()
    );
    for gone in ["/plans/0000", &address[..20], "/actions/x/y"] {
        assert_eq!(browser.get(gone).await.status, StatusCode::NOT_FOUND, "{gone}");
    }
}
