//! Tokens that are issued, with which the hub's API is asked.

use leasehold_model::credential::CredentialKind;
use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, Outcome};
use leasehold_testing::jupyterhub::OWN_TOKEN;

use super::{Company, RIGHTS, connector, target, user};
use crate::harness::{change_credential, issue, issue_refused, read_credential};

#[tokio::test]
async fn an_issued_token_is_the_users_and_ends_alone() {
    let company = Company::start();
    let (server, connector) = (&company.server, company.connector());
    let (own, _) = server.add_token("carol", "her own");
    let (issued, secret) = issue(&*connector, "carol").await;
    assert_eq!(server.whose(&secret).as_deref(), Some("carol"));
    assert_eq!(server.try_ask("GET", "users/carol", &secret, "").0, 200, "with her rights");
    assert_eq!(server.try_ask("GET", "groups", &secret, "").0, 403, "and no others");
    let credential = issued.credential.clone().expect("it says which");
    let told = company.credentials("carol", CredentialKind::Token).await;
    let found = told.iter().find(|found| found.key == credential.key).expect("it is listed");
    assert!(found.label.starts_with("issued by Leasehold ") && target(found) == credential, "{found:?}");
    assert!(
        issued.instructions.contains("`carol`") && issued.instructions.contains("until they are revoked")
    );
    // Of the newest, the hub uses the number again: the next one is another all the same.
    let revoked = change_credential(&*connector, Verb::RevokeCredential, &user("carol"), &credential).await;
    assert!(matches!(revoked, Outcome::Acknowledged { .. }), "{revoked:?}");
    assert_eq!(server.whose(&secret), None);
    assert_eq!(server.whose(&own).as_deref(), Some("carol"), "her own token goes on");
    let (next, later) = issue(&*connector, "carol").await;
    let next = next.credential.expect("it says which");
    assert!(next != credential && server.whose(&later).as_deref() == Some("carol"));
    assert_eq!(read_credential(&*connector, &user("carol"), &credential).await, (false, false));
    assert_eq!(read_credential(&*connector, &user("carol"), &next).await, (true, true));
}

#[tokio::test]
async fn services_and_nobody_get_no_token_and_a_missing_scope_is_named() {
    let company = Company::start();
    let connector_of_all = company.connector();
    for (account, expected) in [
        (user("service/leasehold"), "the connector itself uses"),
        (user("service/grader"), "the hub's configuration"),
        (AccountTarget::by_login("nobody"), "there is no user `nobody`"),
    ] {
        let why = issue_refused(&*connector_of_all, &account).await;
        assert!(why.contains(expected), "{}: {why}", account.login);
    }
    drop((connector_of_all, company));
    let reading = RIGHTS.replace("\"tokens\",", "\"read:tokens\",");
    let company = Company::with(&reading);
    let why = issue_refused(&*connector(&company.server, OWN_TOKEN, ""), &user("carol")).await;
    assert!(why.contains("the scope tokens, on everything"), "{why}");
    assert!(company.credentials("carol", CredentialKind::Token).await.is_empty());
}
