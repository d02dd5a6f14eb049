//! What is told of a server, and when it is told to be all.

use leasehold_model::credential::CredentialKind;
use leasehold_model::request::ReadTarget;

use super::{Company, connector};
use crate::harness::{Facts, enumerate_all};

#[tokio::test]
async fn entities_log_ins_groups_and_policies_are_told() {
    let company = Company::start();
    let facts = enumerate_all(&*company.connector()).await;
    let (alice, service) = (company.account(&company.alice), company.account(&company.service));
    assert_eq!(facts.accounts[&alice.login].key, alice.key);
    assert_eq!(facts.accounts[&alice.login].attributes["alias.userpass"], "alice");
    assert_eq!(facts.held_by(&alice.login), ["group/eng", "policy/app"]);
    assert_eq!(facts.held_by(&service.login), ["policy/app"], "a role is known by its id");
    let carol = &facts.accounts["carol"];
    assert_eq!(
        carol.key.as_str(),
        "auth/userpass/users/carol",
        "who never logged in has access all the same"
    );
    assert_eq!(facts.held_by("carol"), ["policy/app"]);
    assert!(!facts.accounts.contains_key("alice"), "one person is one account");
    assert!(facts.contains("group/eng", "policy/logs") && facts.contains("group/eng", "group/all"));
    assert!(facts.entitlements["policy/default"].inherent && facts.entitlements["policy/root"].privileged);
}

#[tokio::test]
async fn tokens_passwords_and_secret_ids_are_told_with_their_expiry() {
    let company = Company::start();
    let facts = enumerate_all(&*company.connector()).await;
    let of = |account: &str| {
        let mut kinds: Vec<CredentialKind> = facts
            .credentials
            .values()
            .filter(|credential| credential.account.as_str() == account)
            .map(|credential| credential.kind)
            .collect();
        kinds.sort();
        kinds
    };
    let alice = company.account(&company.alice);
    assert_eq!(of(alice.key.as_str()), [CredentialKind::Password, CredentialKind::Token]);
    let service = company.account(&company.service);
    assert_eq!(of(service.key.as_str()), [CredentialKind::ApiKey, CredentialKind::Token]);
    assert_eq!(of("auth/userpass/users/carol"), [CredentialKind::Password]);
    let token = &facts.credentials[&company.accessor(&company.alice)];
    assert!(token.created_at.is_some() && token.expires_at > token.created_at, "{token:?}");
    assert_eq!(token.scope, ["app", "default"]);
    let secret_id =
        facts.credentials.values().find(|found| found.kind == CredentialKind::ApiKey).expect("a secret-id");
    assert!(secret_id.created_at.is_some() && secret_id.expires_at > secret_id.created_at, "{secret_id:?}");
    let root = facts.credentials.values().find(|found| found.scope == ["root"]).expect("the root token");
    assert_eq!(root.account.as_str(), "no-entity");
}

#[tokio::test]
async fn what_may_not_be_read_is_an_error_and_not_absent() {
    let company = Company::start();
    let connector = connector(&company.server, &company.alice);
    let report = connector.test().await.expect("the log-in works");
    assert!(report.missing_rights.iter().any(|right| right.contains("auth/token/accessors")), "{report:?}");
    let error =
        connector.enumerate(&mut Facts::default()).await.expect_err("it may list nothing").to_string();
    assert!(error.contains("not taken for absent"), "{error}");
    let target = ReadTarget::Account { account: company.account(&company.bob) };
    let error = connector.read_back(&target).await.expect_err("it may not look").to_string();
    assert!(error.contains("permission denied"), "{error}");
}
