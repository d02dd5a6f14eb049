//! Changes, each looked at with `bao`.

use std::collections::BTreeMap;

use leasehold_connect::connector::Connector;
use leasehold_model::credential::CredentialKind;
use leasehold_model::id::ActionId;
use leasehold_model::plan::Verb;
use leasehold_model::request::{
    AccountTarget, ActionRequest, CredentialTarget, Outcome, ReadBack, ReadTarget,
};

use super::{Company, log_in};
use crate::harness::{
    acknowledged, entitlement, enumerate_all, execute, read_account, read_grant, read_sessions, refused,
};

async fn revoke(
    connector: &dyn Connector,
    account: &AccountTarget,
    key: &str,
    kind: CredentialKind,
) -> Outcome {
    let credential = CredentialTarget { key: key.into(), kind };
    let request = ActionRequest {
        id: ActionId::from("test"),
        verb: Verb::RevokeCredential,
        account: account.clone(),
        entitlement: None,
        credential: Some(credential.clone()),
        to: None,
        attributes: BTreeMap::new(),
    };
    let outcome = connector.execute(&request).await.expect("revoke");
    if matches!(outcome, Outcome::Acknowledged { .. }) {
        let target = ReadTarget::Credential { account: account.clone(), credential };
        let read = connector.read_back(&target).await.expect("read back");
        assert_eq!(read, ReadBack::Credential { exists: false, active: false }, "{key}");
        assert_eq!(connector.execute(&request).await.expect("revoke"), Outcome::AlreadySo, "{key}");
    }
    outcome
}

#[tokio::test]
async fn a_revoked_token_is_dead_and_every_other_goes_on() {
    let company = Company::start();
    let connector = company.connector();
    let second = log_in(&company.server, "alice").expect("log in again");
    let alice = company.account(&company.alice);
    let accessor = company.accessor(&company.alice);
    assert!(company.reads(&company.alice) && company.reads(&second));
    let outcome = revoke(&*connector, &alice, &accessor, CredentialKind::Token).await;
    assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{outcome:?}");
    assert!(!company.reads(&company.alice));
    assert!(company.reads(&second) && company.reads(&company.bob) && company.reads(&company.service));
}

#[tokio::test]
async fn a_password_and_a_secret_id_end() {
    let company = Company::start();
    let connector = company.connector();
    let (alice, service) = (company.account(&company.alice), company.account(&company.service));
    let password = "auth/userpass/users/alice";
    revoke(&*connector, &alice, password, CredentialKind::Password).await;
    let refusal = log_in(&company.server, "alice").expect_err("the password is gone");
    assert!(refusal.contains("invalid username or password"), "{refusal}");
    assert!(log_in(&company.server, "bob").is_ok());

    let facts = enumerate_all(&*connector).await;
    let secret_id =
        facts.credentials.values().find(|found| found.kind == CredentialKind::ApiKey).expect("a secret-id");
    revoke(&*connector, &service, secret_id.key.as_str(), CredentialKind::ApiKey).await;
    let left = company
        .server
        .try_bao(leasehold_testing::openbao::ROOT_TOKEN, &["list", "auth/approle/role/svc/secret-id"]);
    assert!(left.is_err(), "a secret-id is left: {left:?}");
}

#[tokio::test]
async fn a_disabled_entity_is_refused_at_once_and_comes_back() {
    let company = Company::start();
    let connector = company.connector();
    let alice = company.account(&company.alice);
    acknowledged(&*connector, Verb::DisableAccount, &alice, None).await;
    assert_eq!(read_account(&*connector, &alice).await, (true, false));
    assert!(!company.reads(&company.alice) && log_in(&company.server, "alice").is_err());
    assert!(company.reads(&company.bob));
    acknowledged(&*connector, Verb::EnableAccount, &alice, None).await;
    assert_eq!(read_account(&*connector, &alice).await, (true, true));
    assert!(company.reads(&company.alice));
}

#[tokio::test]
async fn memberships_and_policies_go_on_every_path() {
    let company = Company::start();
    let connector = company.connector();
    let (alice, bob) = (company.account(&company.alice), company.account(&company.bob));
    let [eng, all, logs, app] = ["group/eng", "group/all", "policy/logs", "policy/app"].map(entitlement);
    assert_eq!(read_grant(&*connector, &alice, &all).await, (false, true), "held through eng");
    assert_eq!(read_grant(&*connector, &alice, &logs).await, (false, true));
    acknowledged(&*connector, Verb::Grant, &alice, Some(&logs)).await;
    acknowledged(&*connector, Verb::Revoke, &alice, Some(&eng)).await;
    assert!(!company.is_member(&alice, "eng") && company.is_member(&bob, "eng"));
    assert_eq!(read_grant(&*connector, &alice, &all).await, (false, false));
    assert_eq!(read_grant(&*connector, &alice, &logs).await, (true, true));
    acknowledged(&*connector, Verb::Revoke, &alice, Some(&logs)).await;
    assert_eq!(read_grant(&*connector, &alice, &logs).await, (false, false));
    // This one is of the log-in, and a new token no longer has it.
    acknowledged(&*connector, Verb::Revoke, &alice, Some(&app)).await;
    assert_eq!(read_grant(&*connector, &alice, &app).await, (false, false));
    let again = log_in(&company.server, "alice").expect("the password still works");
    assert!(!company.reads(&again) && company.reads(&company.bob));
    // The last member of a group goes too.
    acknowledged(&*connector, Verb::Revoke, &bob, Some(&eng)).await;
    assert!(!company.is_member(&bob, "eng"));
    let facts = enumerate_all(&*connector).await;
    assert_eq!(
        (facts.held_by(&alice.login), facts.held_by("carol")),
        (vec![], vec!["policy/app".to_owned()])
    );
}

#[tokio::test]
async fn sessions_are_tokens_and_end_with_what_was_made_with_them() {
    let company = Company::start();
    let connector = company.connector();
    let alice = company.account(&company.alice);
    let second = log_in(&company.server, "alice").expect("log in again");
    assert_eq!(read_sessions(&*connector, &alice).await.len(), 2);
    acknowledged(&*connector, Verb::EndSessions, &alice, None).await;
    assert_eq!(read_sessions(&*connector, &alice).await, []);
    assert_eq!(execute(&*connector, Verb::EndSessions, &alice, None).await, Outcome::AlreadySo);
    assert!(!company.reads(&company.alice) && !company.reads(&second));
    assert!(company.reads(&company.bob));
}

#[tokio::test]
async fn a_deleted_account_cannot_come_back_by_its_password() {
    let company = Company::start();
    let connector = company.connector();
    let (alice, service) = (company.account(&company.alice), company.account(&company.service));
    for account in [&alice, &service] {
        acknowledged(&*connector, Verb::DeleteAccount, account, None).await;
        assert_eq!(read_account(&*connector, account).await, (false, false));
    }
    assert!(log_in(&company.server, "alice").is_err());
    assert!(
        !company.reads(&company.alice) && !company.reads(&company.service) && company.reads(&company.bob)
    );
    let carol = AccountTarget { key: "auth/userpass/users/carol".into(), login: "carol".to_owned() };
    acknowledged(&*connector, Verb::DeleteAccount, &carol, None).await;
    assert_eq!(read_account(&*connector, &carol).await, (false, false));
    assert!(log_in(&company.server, "carol").is_err() && log_in(&company.server, "bob").is_ok());
}

#[tokio::test]
async fn what_must_not_be_touched_is_refused_with_a_way_on() {
    let company = Company::start();
    let connector = company.connector();
    let nobody = AccountTarget { key: "no-entity".into(), login: "<tokens of no entity>".to_owned() };
    let root = company.accessor(leasehold_testing::openbao::ROOT_TOKEN);
    for (accessor, expected) in
        [(root, "root token"), (company.accessor(&company.own), "itself logs in with")]
    {
        match revoke(&*connector, &nobody, &accessor, CredentialKind::Token).await {
            Outcome::Refused { why } => assert!(why.contains(expected), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    let alice = company.account(&company.alice);
    let carol = AccountTarget { key: "auth/userpass/users/carol".into(), login: "carol".to_owned() };
    for (verb, account, name, expected) in [
        (Verb::DisableAccount, &carol, None, "revoke its credentials"),
        (Verb::EndSessions, &nobody, None, "revoke each by itself"),
        (Verb::DeleteAccount, &nobody, None, "revoke each by itself"),
        (Verb::Grant, &alice, Some("group/nobody-knows"), "there is no group/nobody-knows"),
        (Verb::Grant, &alice, Some("policy/nobody-knows"), "there is no policy/nobody-knows"),
        (Verb::Grant, &alice, Some("policy/root"), "never touched"),
        (Verb::Grant, &alice, Some("role/x"), "is not a kind of entitlement"),
    ] {
        let held = name.map(entitlement);
        let why = refused(&*connector, verb, account, held.as_ref()).await;
        assert!(why.contains(expected), "{verb} {name:?}: {why}");
    }
    assert!(company.reads(&company.alice) && company.reads(&company.bob));
}
