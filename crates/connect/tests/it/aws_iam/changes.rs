//! Changes, each looked at with AWS's own client.

use std::collections::BTreeMap;

use leasehold_model::credential::CredentialKind;
use leasehold_model::id::ActionId;
use leasehold_model::plan::Verb;
use leasehold_model::request::{
    AccountTarget, ActionRequest, CredentialTarget, Outcome, ReadBack, ReadTarget,
};
use serde_json::json;

use super::Company;
use super::credentials::give_alice_one_of_every_kind;
use crate::harness::{
    account, acknowledged, entitlement, enumerate_all, execute, read_account, read_grant, refused,
};

pub fn of_credential(verb: Verb, account: &AccountTarget, key: &str, kind: CredentialKind) -> ActionRequest {
    ActionRequest {
        id: ActionId::from("test"),
        verb,
        account: account.clone(),
        entitlement: None,
        credential: Some(CredentialTarget { key: key.into(), kind }),
        to: None,
        attributes: BTreeMap::new(),
    }
}

#[tokio::test]
async fn a_revoked_key_fails_and_every_other_goes_on() {
    let company = Company::start();
    let connector = company.connector();
    let second = company.server.access_key(&company.admin, "alice");
    let alice = company.user("alice");
    for key in [&company.alice, &second, &company.bob] {
        assert_eq!(company.lists_buckets(key), Ok(()));
    }
    let revoke = of_credential(Verb::RevokeCredential, &alice, &company.alice.id, CredentialKind::AccessKey);
    assert!(matches!(connector.execute(&revoke).await, Ok(Outcome::Acknowledged { .. })));
    assert_eq!(connector.execute(&revoke).await.unwrap(), Outcome::AlreadySo);
    let read = ReadTarget::Credential { account: alice.clone(), credential: revoke.credential.unwrap() };
    assert_eq!(
        connector.read_back(&read).await.unwrap(),
        ReadBack::Credential { exists: false, active: false }
    );
    assert_eq!(company.lists_buckets(&company.alice), Err("InvalidAccessKeyId".to_owned()));
    for key in [&second, &company.bob] {
        assert_eq!(company.lists_buckets(key), Ok(()), "another key was touched");
    }
}

#[tokio::test]
async fn every_sort_of_grant_goes_and_what_is_held_on_another_path_is_still_effective() {
    let company = Company::start();
    let connector = company.connector();
    let (alice, bob) = (company.user("alice"), company.user("bob"));
    let buckets = entitlement("policy/buckets");
    assert_eq!(read_grant(&*connector, &alice, &buckets).await, (false, true), "held through the group");
    acknowledged(&*connector, Verb::Grant, &alice, Some(&buckets)).await;
    assert_eq!(read_grant(&*connector, &alice, &buckets).await, (true, true));
    acknowledged(&*connector, Verb::Revoke, &alice, Some(&entitlement("group/eng"))).await;
    assert_eq!(company.groups("alice"), Vec::<String>::new());
    assert_eq!(read_grant(&*connector, &alice, &buckets).await, (true, true), "held by itself");
    acknowledged(&*connector, Verb::Revoke, &alice, Some(&buckets)).await;
    assert_eq!(read_grant(&*connector, &alice, &buckets).await, (false, false));

    // The role, and what it carries, is come to by a policy of Alice's alone.
    let (role, carried) = (entitlement("role/deploy"), entitlement("aws-policy/AdministratorAccess"));
    for held in [&role, &carried] {
        assert_eq!(read_grant(&*connector, &alice, held).await, (false, true), "{}", held.name);
        assert_eq!(read_grant(&*connector, &bob, held).await, (false, false), "{}", held.name);
    }
    for name in ["policy/deploys", "inline-policy/user/alice/own", "aws-policy/ReadOnlyAccess"] {
        let held = entitlement(name);
        acknowledged(&*connector, Verb::Revoke, &alice, Some(&held)).await;
        assert_eq!(read_grant(&*connector, &alice, &held).await, (false, false), "{name}");
        assert_eq!(execute(&*connector, Verb::Revoke, &alice, Some(&held)).await, Outcome::AlreadySo);
    }
    for held in [&role, &carried] {
        assert_eq!(read_grant(&*connector, &alice, held).await, (false, false), "{}", held.name);
    }
    assert_eq!(company.lists_buckets(&company.alice), Err("AccessDenied".to_owned()));
    assert_eq!(company.lists_buckets(&company.bob), Ok(()), "bob keeps what he had");
    let facts = enumerate_all(&*connector).await;
    assert_eq!(facts.held_by("alice"), ["role/alices"]);
    assert_eq!(facts.held_by("bob"), ["group/eng"]);
}

#[tokio::test]
async fn a_disabled_user_is_denied_everything_and_comes_back_as_it_was() {
    let company = Company::start();
    let connector = company.connector();
    let alice = company.user("alice");
    let before = enumerate_all(&*connector).await;
    acknowledged(&*connector, Verb::DisableAccount, &alice, None).await;
    assert_eq!(read_account(&*connector, &alice).await, (true, false));
    assert_eq!(company.lists_buckets(&company.alice), Err("AccessDenied".to_owned()));
    let disabled = enumerate_all(&*connector).await;
    assert!(!disabled.accounts["alice"].enabled);
    assert_eq!(disabled.held_by("alice"), before.held_by("alice"), "our own policy is no entitlement");
    acknowledged(&*connector, Verb::EnableAccount, &alice, None).await;
    assert_eq!(read_account(&*connector, &alice).await, (true, true));
    assert_eq!(company.lists_buckets(&company.alice), Ok(()));
}

#[tokio::test]
async fn sessions_from_before_are_denied_and_it_is_said_that_none_can_be_listed() {
    let company = Company::start();
    let connector = company.connector();
    let alice = company.user("alice");
    let asked_at = jiff::Timestamp::now();
    acknowledged(&*connector, Verb::EndSessions, &alice, None).await;
    // The account on loopback does not weigh conditions, so that the policy itself is what can be looked at.
    let parameters = json!({"UserName": "alice", "PolicyName": "LeaseholdSessionsEnded"});
    let policy = company.iam("get_user_policy", parameters);
    let statement = &policy["PolicyDocument"]["Statement"][0];
    assert_eq!(statement["Effect"], "Deny");
    let before = statement["Condition"]["DateLessThan"]["aws:TokenIssueTime"].as_str().expect("an instant");
    let before: jiff::Timestamp = before.parse().expect("an instant");
    assert!(before > asked_at && before.duration_since(jiff::Timestamp::now()).as_secs() <= 1, "{statement}");
    match connector.read_back(&ReadTarget::Sessions { account: alice.clone() }).await.unwrap() {
        ReadBack::Unsupported { why } => {
            let is_told = why.contains("that began before") && why.contains("roles that they assumed go on");
            assert!(is_told, "{why}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(read_account(&*connector, &alice).await, (true, true), "it is no disabled user");
}

#[tokio::test]
async fn a_user_is_deleted_with_everything_that_hangs_on_it() {
    let company = Company::start();
    give_alice_one_of_every_kind(&company);
    let connector = company.connector();
    let alice = company.user("alice");
    for verb in [Verb::DisableAccount, Verb::EndSessions, Verb::DeleteAccount] {
        acknowledged(&*connector, verb, &alice, None).await;
    }
    assert_eq!(read_account(&*connector, &alice).await, (false, false));
    assert_eq!(execute(&*connector, Verb::DeleteAccount, &alice, None).await, Outcome::AlreadySo);
    let gone = company.server.try_call(&company.admin, "iam", "get_user", json!({"UserName": "alice"}));
    assert_eq!(gone, Err("NoSuchEntity".to_owned()));
    let devices = company.iam("list_virtual_mfa_devices", json!({}));
    assert_eq!(devices["VirtualMFADevices"], json!([]), "a device stays behind without its user");
    assert_eq!(company.lists_buckets(&company.alice), Err("InvalidAccessKeyId".to_owned()));
    let facts = enumerate_all(&*connector).await;
    assert!(!facts.accounts.contains_key("alice"));
    assert_eq!(facts.held_by("bob"), ["group/eng"]);
    assert_eq!(company.lists_buckets(&company.bob), Ok(()));
}

#[tokio::test]
async fn a_user_is_found_by_its_id_whatever_it_is_called() {
    let company = Company::start();
    let connector = company.connector();
    let alice = company.user("alice");
    company.iam("update_user", json!({"UserName": "alice", "NewUserName": "alice.renamed"}));
    assert_eq!(read_account(&*connector, &alice).await, (true, true));
    // Somebody else gets the name: what was meant for the first must not strike the second.
    company.iam("create_user", json!({"UserName": "alice"}));
    company.iam("add_user_to_group", json!({"GroupName": "eng", "UserName": "alice"}));
    acknowledged(&*connector, Verb::Revoke, &alice, Some(&entitlement("group/eng"))).await;
    assert_eq!(company.groups("alice"), ["eng"]);
    assert_eq!(company.groups("alice.renamed"), Vec::<String>::new());
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_a_way_on() {
    let company = Company::start();
    let connector = company.connector();
    let root = AccountTarget { key: "root".into(), login: "<root_account>".to_owned() };
    let (own, alice) = (company.user("leasehold"), company.user("alice"));
    for (verb, target, name, expected) in [
        (Verb::DisableAccount, &own, None, "the connector itself logs in as"),
        (Verb::DeleteAccount, &own, None, "the connector itself logs in as"),
        (Verb::Revoke, &own, Some("inline-policy/user/leasehold/all"), "the connector itself logs in as"),
        (Verb::DisableAccount, &root, None, "sign in as root"),
        (Verb::Grant, &alice, Some("group/nobody-knows"), "there is no group/nobody-knows"),
        (Verb::Grant, &alice, Some("policy/nobody-knows"), "there is no policy/nobody-knows"),
        (Verb::Grant, &alice, Some("inline-policy/user/alice/new"), "write it in IAM"),
        (Verb::Grant, &alice, Some("role/machines"), "trust policy"),
        (Verb::Revoke, &alice, Some("role/alices"), "trust policy"),
        (Verb::Grant, &alice, Some("table/x"), "is not a kind of entitlement"),
        (Verb::Grant, &account("nobody"), Some("group/eng"), "there is no user"),
    ] {
        let held = name.map(entitlement);
        let why = refused(&*connector, verb, target, held.as_ref()).await;
        assert!(why.contains(expected), "{verb} {name:?}: {why}");
    }
    let key = &company.own.id;
    let revoke = of_credential(Verb::RevokeCredential, &own, key, CredentialKind::AccessKey);
    assert!(matches!(connector.execute(&revoke).await.unwrap(), Outcome::Refused { .. }));
    let facts = enumerate_all(&*connector).await;
    let password = format!("password/{}", alice.key);
    assert!(facts.credentials.contains_key(&password));
    let stop = of_credential(Verb::DisableCredential, &alice, &password, CredentialKind::Password);
    match connector.execute(&stop).await.unwrap() {
        Outcome::Refused { why } => assert!(why.contains("cannot be stopped and brought back"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_user_is_made_with_tags_and_nothing_to_log_in_with() {
    let company = Company::start();
    let connector = company.connector();
    let request = ActionRequest {
        id: ActionId::from("test"),
        verb: Verb::CreateAccount,
        account: AccountTarget { key: String::new().into(), login: "zoe".to_owned() },
        entitlement: None,
        credential: None,
        to: None,
        attributes: BTreeMap::from([("email".to_owned(), "zoe@example.com".to_owned())]),
    };
    assert!(matches!(connector.execute(&request).await.unwrap(), Outcome::Acknowledged { .. }));
    assert_eq!(connector.execute(&request).await.unwrap(), Outcome::AlreadySo);
    let facts = enumerate_all(&*connector).await;
    assert_eq!(facts.accounts["zoe"].attributes["tag.email"], "zoe@example.com");
    assert!(facts.credentials.values().all(|credential| credential.account != facts.accounts["zoe"].key));
    let mut bad = request;
    bad.account.login = "zoe/../root".to_owned();
    assert!(matches!(connector.execute(&bad).await.unwrap(), Outcome::Refused { .. }));
}
