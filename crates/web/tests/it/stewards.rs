//! What people say of non-humans by the page and the API: stopped, brought back with one click, handed over.

use axum::http::StatusCode;
use leasehold_model::account::Account;
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState, Unsaid};
use serde_json::json;

use crate::practice::{Practice, send, words};

/// A non-human that works, with its accounts: each system, and the account's key.
fn at_work(practice: &Practice) -> (String, Vec<(String, String)>) {
    let view = practice.view();
    let evaluation = view.evaluation();
    let found = evaluation.identities.iter().find_map(|identity| {
        let index = evaluation.identity(&identity.key)?;
        let accounts: Vec<(String, String)> = evaluation
            .graph
            .accounts_of(index)
            .map(|account| evaluation.account(account))
            .filter(|observed| observed.account.enabled)
            .map(|observed| {
                let system = evaluation.inputs.snapshot.system(observed.system);
                (system.to_string(), observed.account.key.to_string())
            })
            .collect();
        let works = identity.kind != IdentityKind::Person && identity.may_hold_access(view.as_of());
        let has_owner = identity.owner.as_ref().is_some_and(|owner| {
            let owner = evaluation.identity(owner).map(|index| &evaluation.identities[index.index()]);
            owner.is_some_and(|owner| owner.may_hold_access(view.as_of()))
        });
        (works && has_owner && !accounts.is_empty()).then(|| (identity.key.to_string(), accounts))
    });
    found.expect("a service that works")
}

fn is_open(practice: &Practice, accounts: &[(String, String)]) -> Vec<bool> {
    let open =
        |(system, key): &(String, String)| practice.world.account(system, key).expect("it is there").enabled;
    accounts.iter().map(open).collect()
}

#[tokio::test]
async fn one_click_brings_back_what_was_stopped() {
    let practice = Practice::new().await;
    let mut browser = practice.installation.signed_in().await;
    let mut program = practice.installation.program().await;
    let (key, accounts) = at_work(&practice);
    let page = format!("/identities/{}", key.replace('@', "%40"));
    let turn = async || practice.installation.driver.turn().await.expect("a turn");

    for by_page in [true, false] {
        let stopped = send(&mut browser, &page, &format!("{page}/steward"), &[("word", "stop")]).await;
        assert_eq!(stopped.location(), page, "{}", stopped.text);
        assert!(is_open(&practice, &accounts).iter().all(|open| *open), "a word alone stops nothing");
        let planned = send(&mut browser, &page, &format!("{page}/plan"), &[]).await;
        let plan = planned.location().to_owned();
        send(&mut browser, &plan, &format!("{plan}/approve"), &[]).await;
        turn().await;
        assert!(is_open(&practice, &accounts).iter().all(|open| !open), "it is stopped");

        // One word, and it is there again.
        let address = if by_page {
            let back = send(&mut browser, &page, &format!("{page}/steward"), &[("word", "bring_back")]).await;
            assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.text);
            back.location().to_owned()
        } else {
            let back = program.call("DELETE", &format!("/api/v1{page}/retirement"), json!(null)).await;
            assert_eq!(back.json()["state"], "brought_back", "{}", back.text);
            format!("/plans/{}", back.json()["plan"].as_str().expect("a plan"))
        };
        let shown = words(&browser.get(&address).await);
        assert!(shown.contains("enable account"), "{shown}");
        turn().await;
        assert!(is_open(&practice, &accounts).iter().all(|open| *open), "it is back");
    }
    let not_stopped = program.call("DELETE", &format!("/api/v1{page}/retirement"), json!(null)).await;
    assert_eq!(not_stopped.status, StatusCode::CONFLICT, "{}", not_stopped.text);
    // Where nothing was stopped, whoever takes it over has nothing to let in.
    let owner = practice.troubled(leasehold_model::decision::DriftKind::Toxic);
    let taken = program.call("PUT", &format!("/api/v1{page}/owner"), json!({ "owner": owner })).await;
    assert_eq!(
        (&taken.json()["owner"], &taken.json()["plan"]),
        (&json!(owner), &json!(null)),
        "{}",
        taken.text
    );
}

fn person(key: &str) -> Identity {
    Identity {
        key: key.into(),
        kind: IdentityKind::Person,
        state: LifecycleState::Active,
        start: None,
        end: None,
        manager: None,
        owner: None,
        attributes: [("email".to_owned(), key.to_owned())].into(),
        unsaid: Unsaid::default(),
    }
}

#[tokio::test]
async fn one_word_has_the_job_of_a_leaver_run_as_whoever_takes_it_over() {
    const SYSTEM: &str = "cloud";
    let practice = Practice::new().await;
    for name in ["kim", "dana.field"] {
        let key = format!("{name}@example.com");
        practice.world.join(person(&key)).expect("joins");
        let mut account = Account::new(format!("uid-{name}"), key.as_str());
        account.attributes.insert("mail".to_owned(), key);
        practice.world.create_account(SYSTEM, account).expect("an account");
    }
    let job = Credential::new("job", "uid-kim", CredentialKind::ScheduledJob, "nightly report");
    practice.world.create_credential(SYSTEM, job).expect("a job");
    practice.world.leave("kim@example.com", practice.installation.now()).expect("leaves");
    let read_all = async || {
        practice.read_all().await;
        practice.refresh().await;
    };
    read_all().await;
    let mut browser = practice.installation.signed_in().await;
    let mut program = practice.installation.program().await;
    let page = "/identities/kim%40example.com";
    let turn = async || practice.installation.driver.turn().await.expect("a turn");
    let planned = send(&mut browser, page, &format!("{page}/plan"), &[]).await;
    let plan = planned.location().to_owned();
    send(&mut browser, &plan, &format!("{plan}/approve"), &[]).await;
    turn().await;
    read_all().await;
    let job = || {
        let job = practice.world.credential(SYSTEM, &"job".into()).expect("it is there");
        (job.account.to_string(), job.active)
    };
    assert_eq!(job(), ("uid-kim".to_owned(), false));
    let shown = words(&browser.get(page).await);
    assert!(
        shown.contains("nightly report in cloud, stopped") && shown.contains("Who takes it over"),
        "{shown}"
    );

    // Nobody who has no account there, and nobody who has left, can run it.
    let path = format!("/api/v1{page}/owner");
    let left = program.call("PUT", &path, json!({ "owner": "kim@example.com" })).await;
    assert_eq!(left.status, StatusCode::FORBIDDEN, "{}", left.text);
    practice.world.join(person("no.account@example.com")).expect("joins");
    read_all().await;
    let fields = [("word", "take_over"), ("owner", "no.account@example.com")];
    let without = send(&mut browser, page, &format!("{page}/steward"), &fields).await;
    assert_eq!(without.location(), page, "{}", without.text);
    let shown = words(&browser.get(page).await);
    assert!(shown.contains("no.account@example.com has no open account in cloud"), "{shown}");
    assert_eq!(job(), ("uid-kim".to_owned(), false));

    let fields = [("word", "take_over"), ("owner", "dana.field@example.com")];
    let taken = send(&mut browser, page, &format!("{page}/steward"), &fields).await;
    assert_eq!(taken.status, StatusCode::SEE_OTHER, "{}", taken.text);
    let shown = words(&browser.get(taken.location()).await);
    assert!(
        shown.contains("hand credential over") && shown.contains("nightly report to dana.field"),
        "{shown}"
    );
    turn().await;
    assert_eq!(job(), ("uid-dana.field".to_owned(), true));
    read_all().await;
    let shown = words(&browser.get(page).await);
    assert!(!shown.contains("nightly report in cloud, stopped"), "{shown}");
}
