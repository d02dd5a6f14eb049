//! What waits for a person: guards that hold, actions that are stuck, and what is said of both; and the stream of events.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use leasehold_connect::simulated::{FaultKind, Faults, Operation};
use leasehold_model::action::ActionState;
use leasehold_reconcile::notice::NoticeKind;
use leasehold_store::TaskFilter;
use serde_json::json;
use tower::ServiceExt as _;

use crate::company::{Office, text_of};

#[tokio::test]
async fn a_guard_is_overridden_by_its_name_and_by_who_may() {
    let office = Office::first_contact().await;
    let store = &office.installation.store;
    let mut browser = office.installation.signed_in().await;
    let (plan, address) = office.plan_everything(&mut browser).await;
    let approve = format!("{address}/approve");
    assert!(!plan.guards.is_empty(), "nobody ends everything at first contact");
    let only = |id| plan.guards.iter().filter(|guard| guard.holds.contains(id)).count() == 1;
    let guard = plan.guards.iter().find(|guard| guard.holds.iter().all(only));
    let guard = guard.expect("a guard that alone holds what it holds");
    let field = format!("guard:{}", guard.name);

    let page = text_of(&browser.get(&address).await.text);
    assert!(page.contains(&guard.name) && page.contains("The way on:"), "{page}");
    assert!(page.contains("leasehold baseline adopt"), "the way on is named: {page}");
    // A slip of the pen is said beside the field, and what was typed is still there.
    let answer = browser.submit(&address, &approve, &[(&field, "blast_radius")]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        answer.text.contains("value=\"blast_radius\"") && answer.text.contains("aria-invalid"),
        "{}",
        answer.text
    );
    assert!(text_of(&answer.text).contains(&format!("type {} to override it", guard.name)));
    // An operator approves plans, and overrides no guard.
    let mut operator = office.browser_of("operator@example.com", &["operator"]).await;
    assert!(!operator.get(&address).await.text.contains("Override it"));
    let answer = operator.submit(&address, &approve, &[(&field, &guard.name)]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let applying = TaskFilter { kind: Some("apply".to_owned()), ..TaskFilter::default() };
    assert!(store.tasks(&applying, 9).await.expect("reads").is_empty());

    let answer = browser.submit(&address, &approve, &[(&field, &guard.name)]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    office.turn().await;
    let rows = store.actions(&plan.hash).await.expect("reads");
    for row in &rows {
        let held = plan.guards.iter().any(|other| other.name != guard.name && other.holds.contains(&row.id));
        assert_eq!(row.state == ActionState::Planned, held, "{:?}", row.item);
    }
    let held = rows.iter().filter(|row| row.state == ActionState::Planned).count();
    assert!(held > 0, "the other guards hold on");
    let page = text_of(&browser.get(&address).await.text);
    assert!(page.contains("overridden by dana@example.com"), "{page}");
    assert!(page.contains("waits for a person"), "{page}");
    let list = text_of(&browser.get("/actions").await.text).replace(',', "");
    assert!(list.contains(&format!("Waits for a person {held}")), "{list}");
    let home = text_of(&browser.get("/").await.text);
    assert!(home.contains("actions are held by a guard") && home.contains("Plans that wait"), "{home}");
}

#[tokio::test]
async fn a_stuck_action_is_listed_with_its_reason_and_tried_again() {
    let office = Office::open().await;
    let store = &office.installation.store;
    let mut browser = office.installation.signed_in().await;
    let (plan, address) = office.plan_everything(&mut browser).await;
    office.world.set_faults(Faults::none().next(Operation::Execute, FaultKind::Refused));
    browser.submit(&address, &format!("{address}/approve"), &[]).await;
    office.turn().await;
    let stuck = store.stuck_actions().await.expect("reads");
    // The refused one, and perhaps what waits for it.
    let row = stuck.iter().find(|row| row.attempts > 0).expect("the one that was sent");
    let reason = row.reason.clone().expect("a reason");
    let list = text_of(&browser.get("/actions").await.text);
    assert!(list.contains("stuck") && list.contains(&reason), "{reason}: {list}");
    let words = if stuck.len() == 1 {
        "1 action is stuck".to_owned()
    } else {
        format!("{} actions are stuck", stuck.len())
    };
    assert!(text_of(&browser.get("/").await.text).contains(&words));

    let path = format!("/actions/{}/{}", plan.hash, row.id);
    let page = text_of(&browser.get(&path).await.text);
    assert!(page.contains("Try again") && page.contains(&reason), "{page}");
    let mut auditor = office.browser_of("auditor@example.com", &["auditor"]).await;
    assert!(!auditor.get(&path).await.text.contains("Try again"));
    let retry = format!("{path}/retry");
    assert_eq!(auditor.submit(&path, &retry, &[]).await.status, StatusCode::FORBIDDEN);
    // Nobody decides on their own access, whatever they are here.
    if let Some(own) = &row.item.identity {
        let mut own = office.browser_of(own.as_str(), &["operator"]).await;
        assert_eq!(own.submit(&path, &retry, &[]).await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(browser.post(&retry, &[]).await.status, StatusCode::FORBIDDEN, "without the form's token");
    assert_eq!(store.stuck_actions().await.expect("reads"), stuck, "nothing was tried");

    let answer = browser.submit(&path, &retry, &[]).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, path.as_str()));
    office.turn().await;
    let after = store.action(&plan.hash, &row.id).await.expect("reads").expect("is there");
    assert_eq!(after.state, ActionState::Verified);
    let page = text_of(&browser.get(&path).await.text);
    assert!(page.contains("tried again by dana@example.com"), "{page}");
    // What is done is not done again.
    browser.submit("/drift", &retry, &[]).await;
    assert!(text_of(&browser.get(&path).await.text).contains("Nothing to try again: it is verified now"));
    assert_eq!(store.action(&plan.hash, &row.id).await.expect("reads").expect("is there"), after);
}

#[tokio::test]
async fn a_program_has_a_stuck_action_tried_again() {
    let office = Office::open().await;
    let store = &office.installation.store;
    let mut browser = office.installation.signed_in().await;
    let (plan, address) = office.plan_everything(&mut browser).await;
    office.world.set_faults(Faults::none().next(Operation::Execute, FaultKind::Refused));
    browser.submit(&address, &format!("{address}/approve"), &[]).await;
    office.turn().await;
    let stuck = store.stuck_actions().await.expect("reads");
    let row = stuck.iter().find(|row| row.attempts > 0).expect("the one that was sent");
    let path = format!("/api/v1/actions/{}/{}/retry", plan.hash, row.id);
    let operator = office.installation.make_user("operator@example.com", &["operator"]).await;
    for scope in ["read", "plan"] {
        let mut program = office.installation.program_of(&operator, &[scope]).await;
        let refused = program.call("POST", &path, json!({})).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{scope}: {}", refused.text);
    }
    let mut program = office.installation.program_of(&operator, &["approve"]).await;
    let accepted = program.call("POST", &path, json!({})).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text);
    office.turn().await;
    let after = store.action(&plan.hash, &row.id).await.expect("reads").expect("is there");
    assert_eq!(after.state, ActionState::Verified);
    let again = program.call("POST", &path, json!({})).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
    assert!(again.text.contains("it is verified now"), "{}", again.text);
}

#[tokio::test]
async fn what_is_asked_for_that_there_is_not_is_said() {
    let office = Office::open().await;
    let mut browser = office.installation.signed_in().await;
    for path in ["/actions?state=no-such", "/actions?system=NO%20NAME", "/tasks?state=no-such"] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert!(page.text.contains("role=\"alert\""), "{path}");
    }
    let tasks = office.installation.store.tasks(&TaskFilter::default(), 99).await.expect("reads");
    let page = text_of(&browser.get("/tasks").await.text);
    assert!(page.contains("read a system") && page.contains("When each system is read next"), "{page}");
    assert!(page.matches("took ").count() >= tasks.len().min(6), "{page}");
    // What has begun is not cancelled, and what is not there is not found.
    let answer = browser.submit("/tasks", &format!("/tasks/{}/cancel", tasks[0].id), &[]).await;
    assert_eq!(answer.location(), "/tasks");
    assert!(text_of(&browser.get("/tasks").await.text).contains("Not cancelled"));
    assert_eq!(browser.submit("/tasks", "/tasks/none/cancel", &[]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn events_are_told_as_they_happen() {
    let office = Office::open().await;
    let browser = office.installation.signed_in().await;
    let cookies: Vec<String> =
        browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let request = Request::get("/events").header(header::COOKIE, cookies.join("; ")).body(Body::empty());
    let answer =
        office.installation.router.clone().oneshot(request.expect("a request")).await.expect("answers");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.into_body();
    let mut next = async || {
        let frame = body.frame().await.expect("goes on").expect("whole");
        String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text")
    };
    assert!(next().await.contains("retry: 1000"));
    office.installation.live.notify(NoticeKind::ActionChanged, "act-1");
    let event = next().await;
    assert!(event.contains("event: action_changed") && event.contains("\"subject\":\"act-1\""), "{event}");
}
