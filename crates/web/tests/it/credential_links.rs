//! One-time links for new credentials: made by whoever may, opened by whoever has them, and nothing of the secret stays.

use axum::http::StatusCode;
use leasehold_connect::simulated::state::SystemTraits;
use leasehold_model::account::Account;
use leasehold_model::action::ActionState;
use leasehold_model::clock::Clock as _;
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState, Unsaid};
use leasehold_model::plan::{Plan, PlanItem, Verb};
use leasehold_store::{Transition, TransitionOutcome};
use serde_json::json;

use crate::authority::plan_about;
use crate::practice::{Practice, send, words};
use crate::support::system;

const SYSTEM: &str = "crm";
const KIM: &str = "kim@example.com";
/// Who manages her.
const LEE: &str = "lee@example.com";

/// A company with somebody new who has an account in the CRM, and one in the directory that is disabled.
async fn with_kim() -> Practice {
    let practice = Practice::new().await;
    let kim = Identity {
        key: KIM.into(),
        kind: IdentityKind::Person,
        state: LifecycleState::Active,
        start: None,
        end: None,
        manager: Some(LEE.into()),
        owner: None,
        attributes: [("email".to_owned(), KIM.to_owned())].into(),
        unsaid: Unsaid::default(),
    };
    let lee = Identity { key: LEE.into(), manager: None, attributes: Default::default(), ..kim.clone() };
    for person in [kim, lee] {
        practice.world.join(person).expect("joins");
    }
    let traits = SystemTraits { read_back: true, sessions: true, last_use: true, credentials: true };
    for system in [SYSTEM, "directory"] {
        practice.world.set_traits(system, traits).expect("traits");
    }
    for (system, login, enabled) in [(SYSTEM, KIM, true), ("directory", "kim-old", false)] {
        let mut account = Account::new("uid-kim", login);
        account.enabled = enabled;
        account.attributes.insert("mail".to_owned(), KIM.to_owned());
        practice.world.create_account(system, account).expect("an account");
    }
    practice.read_all().await;
    practice.refresh().await;
    practice
}

fn path_of(url: &str) -> String {
    url.strip_prefix("http://127.0.0.1:8420").expect("an address of this server").to_owned()
}

#[tokio::test]
async fn a_link_gives_a_credential_once_and_keeps_its_secret_nowhere() {
    let practice = with_kim().await;
    let mut program = practice.installation.program().await;
    let made = program
        .call("POST", "/api/v1/credential-links", json!({"system": SYSTEM, "account": "uid-kim"}))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let made = made.json();
    assert_eq!(
        (made["link"]["state"].as_str(), made["link"]["identity"].as_str()),
        (Some("waiting"), Some(KIM))
    );
    let path = path_of(made["url"].as_str().expect("an address"));
    let token = path.split_once("token=").expect("a token").1;

    // Whoever looks, as a program does that reads mail, uses nothing up; and is not signed in.
    let mut somebody = practice.installation.browser();
    for _ in 0..2 {
        let shown = somebody.get(&path).await;
        assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
        assert!(words(&shown).contains(KIM), "{}", words(&shown));
        assert_eq!(shown.header("cache-control"), "no-store");
    }
    let before = practice.world.snapshot().systems[&system(SYSTEM)].credentials.len();
    let opened = somebody.post("/credential-link", &[("token", token)]).await;
    assert_eq!(opened.status, StatusCode::OK, "{}", opened.text);
    assert_eq!(opened.header("cache-control"), "no-store");
    let secret = opened.text.split_once("id=\"secret\"").and_then(|(_, after)| after.split_once('>'));
    let secret = secret.and_then(|(_, after)| after.split_once('<')).expect("a secret").0.to_owned();
    assert!(secret.len() >= 24, "{secret}");
    let after = practice.world.snapshot().systems[&system(SYSTEM)].credentials.len();
    assert_eq!(after, before + 1, "it was made in the system");

    let again = somebody.post("/credential-link", &[("token", token)]).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    let listed = program.get("/api/v1/credential-links").await.json();
    assert_eq!(listed["items"][0]["state"], "issued", "{listed:#}");
    assert!(!listed.to_string().contains(&secret) && !listed.to_string().contains(token));
    let store = &practice.installation.store;
    for (index, bytes) in store.ledger_entries(0, 10_000).await.expect("reads") {
        let openings = store.ledger_openings(index).await.expect("reads");
        let text = format!("{} {openings:?}", String::from_utf8_lossy(&bytes));
        assert!(!text.contains(&secret) && !text.contains(token), "a secret is in entry {index}: {text}");
    }
}

#[tokio::test]
async fn what_cannot_be_is_named_and_leaves_the_link_in_force() {
    let practice = with_kim().await;
    let mut program = practice.installation.program().await;
    for (body, status, words) in [
        (json!({"system": "crm", "account": "nobody"}), 422, "no account `nobody`"),
        (json!({"system": "none", "account": "uid-kim"}), 422, "no system `none`"),
        (json!({"system": "directory", "account": "kim-old"}), 403, "is disabled"),
        (json!({"system": "crm", "account": "uid-kim", "hours": 400}), 422, "up to 14 days"),
        (json!({"system": "crm", "account": "uid-kim", "replaces": "none"}), 422, "no credential `none`"),
        (json!({"system": "hr", "account": "uid-kim"}), 403, "makes no credentials"),
    ] {
        let answer = program.call("POST", "/api/v1/credential-links", body.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.text);
        assert!(answer.text.contains(words), "{body}: {}", answer.text);
    }
    let made = program
        .call("POST", "/api/v1/credential-links", json!({"system": "crm", "account": "uid-kim"}))
        .await
        .json();
    let path = path_of(made["url"].as_str().expect("an address"));
    let token = path.split_once("token=").expect("a token").1.to_owned();
    // She leaves before she opens it: nothing is made.
    practice.world.leave(KIM, practice.installation.clock.now()).expect("leaves");
    practice.read_all().await;
    practice.refresh().await;
    let mut somebody = practice.installation.browser();
    let early = somebody.post("/credential-link", &[("token", &token)]).await;
    assert_eq!(early.status, StatusCode::CONFLICT, "{}", early.text);
    assert!(words(&early).contains("not open for you"), "{}", words(&early));
    let id = made["link"]["id"].as_str().expect("an id");
    let listed = program.get("/api/v1/credential-links").await.json();
    assert_eq!(listed["items"][0]["state"], "waiting");
    let withdrawn = program.call("DELETE", &format!("/api/v1/credential-links/{id}"), json!({})).await;
    assert_eq!(withdrawn.status, StatusCode::NO_CONTENT);
    assert_eq!(somebody.get(&path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_administrator_makes_one_on_the_page_and_nobody_for_themselves() {
    let practice = with_kim().await;
    let mut browser = practice.installation.signed_in().await;
    let page = format!("/identities/{KIM}");
    let to = format!("{page}/credential-link");
    let shown = browser.get(&page).await;
    assert!(words(&shown).contains("Make a one-time link"), "{}", words(&shown));
    let made = send(&mut browser, &page, &to, &[("account", "crm uid-kim")]).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    let url = made.text.split_once("id=\"credential-link\">").expect("the link").1;
    let path = path_of(url.split_once('<').expect("an end").0);
    assert_eq!(practice.installation.browser().get(&path).await.status, StatusCode::OK);

    // As herself she is not offered it, and refused.
    let kim = practice.installation.make_user(KIM, &["administrator"]).await;
    let mut own = practice.installation.browser_of(&kim).await;
    let shown = own.get(&page).await;
    assert!(!words(&shown).contains("Make a one-time link"));
    let refused = send(&mut own, &page, &to, &[("account", "crm uid-kim")]).await;
    let told = own.get(refused.location()).await;
    assert!(words(&told).contains("nobody makes themselves a credential"), "{}", words(&told));
}

/// Records that an action of ours made Kim's account.
async fn made_for_kim(practice: &Practice) {
    let item = PlanItem { verb: Verb::CreateAccount, ..plan_about(KIM).items.remove(0) };
    let item = PlanItem {
        system: system(SYSTEM),
        account: KIM.to_owned(),
        account_key: "".into(),
        entitlement: None,
        ..item
    };
    let state = practice.view().loaded().fingerprint();
    let plan = Plan::seal(state, vec![item.clone()], Vec::new(), Vec::new());
    let (store, now) = (&practice.installation.store, practice.installation.now());
    store.save_plan(&plan, now).await.expect("saves");
    store.begin_apply(&plan, &[], "test", now).await.expect("begins");
    let steps = [ActionState::Approved, ActionState::Sent, ActionState::Acknowledged, ActionState::Verified];
    for (from, to) in steps.into_iter().zip(steps.into_iter().skip(1)) {
        let transition = Transition {
            plan: plan.hash.clone(),
            action: item.id.clone(),
            from,
            to,
            at: now,
            reason: None,
            detail: serde_json::Value::Null,
            next_attempt_at: None,
            observed: Vec::new(),
        };
        let outcome = store.transition(&transition).await.expect("moves");
        assert!(matches!(outcome, TransitionOutcome::Done { .. }), "{from:?} to {to:?}");
    }
}

#[tokio::test]
async fn whoever_manages_a_new_hire_hands_over_their_first_log_in() {
    const PAGE: &str = "/first-log-ins";
    let practice = with_kim().await;
    let lee = practice.installation.make_user(LEE, &[]).await;
    let kim = practice.installation.make_user(KIM, &[]).await;
    let mut manager = practice.installation.browser_of(&lee).await;
    let none = manager.get(PAGE).await;
    assert!(words(&none).contains("Nobody waits"), "{}", words(&none));
    made_for_kim(&practice).await;
    // It is where they look first, with the one thing that is to be done.
    let home = manager.get("/me").await;
    assert!(words(&home).contains("1 new account of people who report to you"), "{}", words(&home));
    let shown = manager.get(PAGE).await;
    assert!(
        words(&shown).contains(KIM) && words(&shown).contains("Make the one-time link"),
        "{}",
        words(&shown)
    );
    let mut administrator = practice.installation.signed_in().await;
    let home = administrator.get("/").await;
    assert!(words(&home).contains("1 new account waits for its first log-in"), "{}", words(&home));
    let mut program = practice.installation.program().await;
    let listed = program.get("/api/v1/first-log-ins").await.json();
    assert_eq!(
        (&listed["items"][0]["identity"], &listed["items"][0]["account_key"]),
        (&json!(KIM), &json!("uid-kim"))
    );

    // Nobody hands over their own, and nobody makes a link for an account that does not wait.
    let mut own = practice.installation.browser_of(&kim).await;
    assert_eq!(own.get(PAGE).await.status, StatusCode::FORBIDDEN);
    let other = send(&mut manager, PAGE, PAGE, &[("account", "directory uid-kim")]).await;
    assert_eq!(other.status, StatusCode::SEE_OTHER, "{}", other.text);
    let made = send(&mut manager, PAGE, PAGE, &[("account", "crm uid-kim")]).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    let url = made.text.split_once("id=\"credential-link\">").expect("the link").1;
    let path = path_of(url.split_once('<').expect("an end").0);
    assert_eq!(practice.installation.browser().get(&path).await.status, StatusCode::OK);
    let none = manager.get(PAGE).await;
    assert!(words(&none).contains("Nobody waits"), "{}", words(&none));
}

/// In a domain an account that was made lets nobody in until it has its first credential: that is no reason to make none.
#[tokio::test]
async fn an_account_that_its_first_credential_opens_gets_one() {
    let practice = with_kim().await;
    let mut new = Account::new("uid-kim-new", "kim-new");
    (new.enabled, new.awaits_credential) = (false, true);
    new.attributes.insert("mail".to_owned(), KIM.to_owned());
    practice.world.create_account("directory", new).expect("an account");
    practice.read_all().await;
    practice.refresh().await;
    let mut administrator = practice.installation.signed_in().await;
    let page = administrator.get(&format!("/identities/{KIM}")).await;
    assert!(words(&page).contains("opens with its first credential"), "{}", words(&page));
    assert!(words(&page).contains("kim-new in directory"), "{}", words(&page));
    assert!(!words(&page).contains("kim-old in directory"), "{}", words(&page));
    let mut program = practice.installation.program().await;
    let body = json!({"system": "directory", "account": "uid-kim-new"});
    let made = program.call("POST", "/api/v1/credential-links", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let path = path_of(made.json()["url"].as_str().expect("an address"));
    let token = path.split_once("token=").expect("a token").1;
    let opened = practice.installation.browser().post("/credential-link", &[("token", token)]).await;
    assert_eq!(opened.status, StatusCode::OK, "{}", opened.text);
    let truth = practice.world.snapshot();
    let accounts = &truth.systems[&system("directory")].accounts;
    let is_open = |key: &str| accounts.values().any(|account| account.key.as_str() == key && account.enabled);
    assert!(is_open("uid-kim-new") && !is_open("uid-kim"), "{accounts:#?}");
}
