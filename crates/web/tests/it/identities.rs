//! The list of identities and the page of one: what is shown, to whom, and what a plan about one identity is.

use axum::http::StatusCode;
use leasehold_model::decision::DriftKind;
use leasehold_model::identity::{Identity, LifecycleState};
use leasehold_model::plan::Verb;

use crate::company::Office;
use crate::practice::{Practice, send, words};
use crate::support::{Installation, system};

#[tokio::test]
async fn the_list_filters_pages_and_leads_on() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let view = practice.view();
    let all = view.evaluation().identities.len();
    let page = browser.get("/identities").await;
    assert_eq!(page.status, StatusCode::OK);
    let text = words(&page);
    assert!(text.contains(&format!("Showing 1–50 of {all}")), "{text}");
    assert!(text.contains("source") && text.contains("all read completely"), "freshness is shown: {text}");
    let next = browser.get("/identities?page=2").await;
    assert!(words(&next).contains(&format!("Showing 51–{all} of {all}")), "{}", words(&next));

    let leaver = practice.troubled(DriftKind::Leaver);
    let found = browser.get(&format!("/identities?q={}&drift=yes&state=left", &leaver[..8])).await;
    assert!(
        found.text.contains(&format!("href=\"/identities/{}\"", leaver.replace('@', "%40"))),
        "{}",
        words(&found)
    );
    let with_drift = view
        .evaluation()
        .identities
        .iter()
        .filter(|identity| view.drift_of_identity(&identity.key).len() > 0)
        .count();
    let drifting = browser.get("/identities?drift=yes").await;
    assert!(words(&drifting).contains(&format!("of {with_drift}")), "{}", words(&drifting));
    let none = browser.get("/identities?q=nobody+is+called+this").await;
    assert!(words(&none).contains("No identity that you may see is like this"), "{}", words(&none));
    assert!(none.text.contains("value=\"nobody is called this\""), "what was typed is kept");

    let wrong = browser.get("/identities?kind=robot").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(words(&wrong).contains("choose one of person, service, workload, agent"), "{}", words(&wrong));
}

#[tokio::test]
async fn one_identity_shows_what_is_wrong_and_why() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let leaver = practice.troubled(DriftKind::Leaver);
    let path = format!("/identities/{leaver}");
    let page = browser.get(&path).await;
    assert_eq!(page.status, StatusCode::OK);
    let text = words(&page);
    assert!(text.contains("leaver") && text.contains("has left"), "{text}");
    assert!(page.text.contains("<svg role=\"img\""), "its paths are drawn");
    assert!(text.contains(&format!("{leaver} → ")), "and told in words: {text}");
    assert!(text.contains("first reading"), "{text}");
    assert_eq!(page.text.matches("<h1>").count(), 1);
    // An address in another case is the same identity; one that nobody has is not there.
    assert_eq!(browser.get(&format!("/identities/{}", leaver.to_uppercase())).await.status, StatusCode::OK);
    let nobody = browser.get("/identities/nobody%2F..%2F%3Cscript%3E").await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    assert!(!nobody.text.contains("<script>"));

    let first = browser.get(&format!("{path}?entitlement=crm%3Arole%2Fnot-there")).await;
    assert!(words(&first).contains("It is not held"), "{}", words(&first));
}

#[tokio::test]
async fn a_plan_of_one_identity_is_about_nobody_else() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let leaver = practice.troubled(DriftKind::Leaver);
    let page = format!("/identities/{leaver}");
    let answer = send(&mut browser, &page, &format!("{page}/plan"), &[]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let hash = answer.location().strip_prefix("/plans/").expect("a plan");
    let plan = practice.installation.store.plan(hash).await.expect("reads").expect("is kept");
    assert!(!plan.items.is_empty());
    assert!(plan.items.iter().all(|item| item.identity.as_ref().is_some_and(|it| it.as_str() == leaver)));
    // Without the form's token nothing is made.
    let forged = browser.post(&format!("{page}/plan"), &[]).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn offboarding_plans_the_end_of_everything() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let view = practice.view();
    let evaluation = view.evaluation();
    let well = evaluation.identities.iter().find(|identity| {
        let index = evaluation.identity(&identity.key).expect("known");
        identity.may_hold_access(view.as_of())
            && identity.manager.is_some()
            && view.drift_of_identity(&identity.key).len() == 0
            && evaluation.graph.accounts_of(index).count() > 1
    });
    let key = well.expect("somebody who is well").key.clone();
    let page = format!("/identities/{key}");
    let shown = browser.get(&page).await;
    assert!(words(&shown).contains("everything that is held has a reason"), "{}", words(&shown));
    assert!(!shown.text.contains(&format!("{}/plan", key.as_str().replace('@', "%40"))), "nothing to close");
    let answer = send(&mut browser, &page, &format!("{page}/offboard"), &[]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let hash = answer.location().strip_prefix("/plans/").expect("a plan");
    let plan = practice.installation.store.plan(hash).await.expect("reads").expect("is kept");
    let index = evaluation.identity(&key).expect("known");
    let disabled = plan.items.iter().filter(|item| item.verb == Verb::DisableAccount).count();
    assert_eq!(disabled, evaluation.graph.accounts_of(index).count(), "every account is closed: {plan:#?}");
    assert!(plan.items.iter().all(|item| item.identity.as_ref() == Some(&key)));
    // It is made from the present state, so that it can be applied.
    assert_eq!(plan.state, view.loaded().fingerprint());
}

#[tokio::test]
async fn it_can_be_seen_as_it_stood_then() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let key = practice.troubled(DriftKind::Toxic);
    let before = practice.installation.now();
    practice.installation.clock.advance_ms(60_000);
    practice
        .world
        .grant_out_of_band("vpn", &vpn_login(&practice, &key), "profile/production")
        .expect("given");
    practice.read_all().await;
    practice.refresh().await;
    let path = format!("/identities/{key}");
    let now = words(&browser.get(&path).await);
    assert!(now.contains("profile/production"), "{now}");
    let then = browser.get(&format!("{path}?at={before}")).await;
    let then_words = words(&then);
    assert!(then_words.contains("You see what was known at"), "{then_words}");
    assert!(!then_words.contains("profile/production"), "{then_words}");
    assert!(!then.text.contains("/offboard\""), "the past is not acted on");
    for (at, complaint) in [("soon", "write an instant"), ("2999-01-01", "still to come")] {
        let wrong = browser.get(&format!("{path}?at={at}")).await;
        assert!(words(&wrong).contains(complaint), "{at}: {}", words(&wrong));
        assert!(
            wrong.text.contains(&format!("value=\"{at}\"")) && wrong.text.contains("aria-invalid"),
            "{at}"
        );
    }
    let unknown = browser.get(&format!("{path}?at=1999-01-01")).await;
    assert!(words(&unknown).contains("was not known at"), "{}", words(&unknown));
}

fn vpn_login(practice: &Practice, key: &str) -> String {
    let view = practice.view();
    let evaluation = view.evaluation();
    let index = evaluation.identity(&key.into()).expect("known");
    let snapshot = &view.loaded().snapshot;
    let mut accounts = evaluation.graph.accounts_of(index).map(|account| evaluation.account(account));
    let found = accounts.find(|account| snapshot.system(account.system).as_str() == "vpn");
    found.expect("a vpn account").account.key.to_string()
}

#[tokio::test]
async fn people_see_those_who_answer_to_them_and_themselves() {
    let practice = Practice::new().await;
    let view = practice.view();
    let identities = &view.evaluation().identities;
    let report = identities
        .iter()
        .find(|identity| {
            let manager = identity.manager.as_ref();
            manager.is_some_and(|manager| manager.as_str().starts_with(|c: char| c.is_ascii_lowercase()))
        })
        .expect("somebody with a manager");
    let manager = report.manager.clone().expect("a manager");
    let reports = identities.iter().filter(|identity| identity.manager.as_ref() == Some(&manager)).count();
    let owned = identities.iter().filter(|identity| identity.owner.as_ref() == Some(&manager)).count();
    let user = practice.installation.make_user(manager.as_str(), &[]).await;
    let mut browser = practice.installation.browser_of(&user).await;
    let list = words(&browser.get("/identities").await);
    assert!(list.contains(&format!("of {}", reports + owned + 1)), "{list}");
    assert_eq!(browser.get(&format!("/identities/{}", report.key)).await.status, StatusCode::OK);
    let stranger = identities
        .iter()
        .find(|identity| {
            identity.manager.as_ref() != Some(&manager)
                && identity.owner.as_ref() != Some(&manager)
                && identity.key != manager
        })
        .expect("a stranger");
    let hidden = browser.get(&format!("/identities/{}", stranger.key)).await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
    let page = browser.get(&format!("/identities/{}", report.key)).await;
    assert!(!page.text.contains("/offboard"), "who may not propose has no button");
    let csrf = browser.csrf(&format!("/identities/{}", report.key)).await;
    let refused =
        browser.post(&format!("/identities/{}/offboard", report.key), &[("csrf", csrf.as_str())]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn before_anything_was_read_pages_say_so() {
    let installation = Installation::with_administrator().await;
    let mut browser = installation.signed_in().await;
    let waiting = browser.get("/identities").await;
    assert!(words(&waiting).contains("The first evaluation is running"), "{}", words(&waiting));
    installation.live.refresh().await.expect("a state");
    let empty = words(&browser.get("/identities").await);
    assert!(empty.contains("No identity is known yet"), "{empty}");
    let out = installation.browser().get("/identities").await;
    assert_eq!(out.status, StatusCode::SEE_OTHER, "signed out");
}

#[tokio::test]
async fn what_a_joiner_will_have_is_shown_before_the_first_day_and_nothing_of_it_is_given() {
    let office = Office::open().await;
    let now = office.installation.now();
    let first_day = now + jiff::SignedDuration::from_hours(9 * 24);
    let people = office.company.state.people.values();
    let like =
        people.filter(|person| person.attribute("title").is_some_and(|title| !title.starts_with("Head")));
    let like = like.filter(|person| person.state == LifecycleState::Active && person.end.is_none());
    let mut joiner: Identity = like.min_by_key(|person| person.key.clone()).expect("a colleague").clone();
    joiner.key = "new.hire@example.com".into();
    joiner.start = Some(first_day);
    joiner.attributes.insert("email".to_owned(), "new.hire@example.com".to_owned());
    joiner.attributes.insert("employee_number".to_owned(), "99999".to_owned());
    office.world.join(joiner).expect("joins");
    let driver = office.installation.driver.handle();
    driver.request_sync(&system("hr"), false, "test").await.expect("asks");
    office.turn().await;

    let mut program = office.installation.program().await;
    let plan = program
        .call("POST", "/api/v1/plans", serde_json::json!({"identities": ["new.hire@example.com"]}))
        .await
        .json();
    assert_eq!(plan["items"], serde_json::json!([]), "{plan:#}");
    let to_come = plan["left_alone"].as_array().expect("rows");
    assert!(!to_come.is_empty(), "{plan:#}");
    let mut browser = office.installation.signed_in().await;
    let page = words(&browser.get("/identities/new.hire@example.com").await);
    assert!(page.contains("From the first day on Nothing of it is given before."), "{page}");
    for row in to_come {
        let why = row["why"].as_str().expect("why");
        assert!(why.starts_with("to come: the role ") && why.contains(&first_day.to_string()), "{row:#}");
        let entitlement = row["entitlement"].as_str().expect("an entitlement");
        assert!(page.contains(entitlement), "{entitlement}: {page}");
    }
}
