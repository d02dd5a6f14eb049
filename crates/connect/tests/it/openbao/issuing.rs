//! Passwords and secret-ids that are issued, checked with `bao`.

use leasehold_model::credential::CredentialKind;
use leasehold_model::plan::Verb;
use leasehold_model::request::AccountTarget;

use super::{Company, connector, log_in, log_in_with, role_id, service_log_in_with};
use crate::harness::{acknowledged, enumerate_all, issue, issue_refused};

#[tokio::test]
async fn an_account_gets_what_it_logs_in_with() {
    let company = Company::start();
    let connector = company.connector();
    // Who has never logged in has no entity yet, and is known by the log-in.
    for (login, user) in [(company.account(&company.alice).login, "alice"), ("carol".to_owned(), "carol")] {
        let (issued, secret) = issue(&*connector, &login).await;
        assert_eq!(issued.kind, CredentialKind::Password);
        assert!(log_in(&company.server, user).is_err(), "{user}'s old password is gone");
        log_in_with(&company.server, user, &secret).unwrap();
        assert!(issued.instructions.contains(&format!("`{user}`")), "{}", issued.instructions);
    }
    assert!(log_in(&company.server, "bob").is_ok());
    assert!(company.reads(&company.alice), "a token lives on");

    let service = company.account(&company.service).login;
    let (first, earlier) = issue(&*connector, &service).await;
    let (second, later) = issue(&*connector, &service).await;
    assert_eq!((first.kind, second.kind), (CredentialKind::ApiKey, CredentialKind::ApiKey));
    assert!(second.instructions.contains(&role_id(&company.server)), "{}", second.instructions);
    for secret_id in [&earlier, &later] {
        let token = service_log_in_with(&company.server, secret_id).expect("log in");
        assert_eq!(company.account(&token).login, service);
    }
    let told = enumerate_all(&*connector).await;
    let secret_ids = told.credentials.values().filter(|found| found.kind == CredentialKind::ApiKey).count();
    assert_eq!(secret_ids, 3, "the earlier ones stay");
}

#[tokio::test]
async fn who_is_kept_out_or_cannot_log_in_gets_nothing() {
    let company = Company::start();
    let connector = company.connector();
    acknowledged(&*connector, Verb::CreateAccount, &AccountTarget::by_login("new"), None).await;
    let bob = company.account(&company.bob);
    acknowledged(&*connector, Verb::DisableAccount, &bob, None).await;
    for (target, expected) in [
        (bob.clone(), "disabled"),
        (AccountTarget::by_login("new"), "neither a user of userpass nor a role of approle"),
        (AccountTarget::by_login("nobody"), "there is no such account"),
        (AccountTarget { key: "no-entity".into(), login: "<tokens of no entity>".into() }, "of no entity"),
    ] {
        let why = issue_refused(&*connector, &target).await;
        assert!(why.contains(expected), "{}: {why}", target.login);
    }
    acknowledged(&*connector, Verb::EnableAccount, &bob, None).await;
    assert!(log_in(&company.server, "bob").is_ok(), "its password is as it was");
    company.server.write_policy(
        "reader",
        r#"path "identity/*" { capabilities = ["read", "list"] }
        path "auth/*" { capabilities = ["read", "list"] }
        path "sys/auth" { capabilities = ["read"] }
        path "identity/lookup/*" { capabilities = ["update"] }"#,
    );
    let token = company.server.bao(&["token", "create", "-policy=reader", "-field=token"]);
    let denied = self::connector(&company.server, &token);
    let why = issue_refused(&*denied, &company.account(&company.alice)).await;
    assert!(why.contains("permission denied") && why.contains("lacks a right"), "{why}");
}
