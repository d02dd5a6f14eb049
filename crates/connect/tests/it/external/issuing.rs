//! Credentials that programs make: passwords of the worked example, tried with the web server's own tool, and answers that are none.

use leasehold_connect::error::ConnectError;
use leasehold_model::credential::CredentialKind;
use leasehold_model::id::ActionId;
use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, IssueRequest};

use super::{Faulty, Wiki};
use crate::harness::{account, acknowledged, issue, issue_refused};

const CAPABILITIES: &str =
    "capabilities = ['enumerate', 'prove_completeness', 'read_back', 'issue_credential']\n";

#[tokio::test]
async fn the_password_of_the_example_lets_in_and_the_earlier_one_no_more() {
    let wiki = Wiki::new();
    let connector = wiki.connector();
    let anns = wiki.read("users").lines().find(|line| line.starts_with("ann:")).map(str::to_owned);
    let (first, password) = issue(connector.as_ref(), "ben").await;
    assert!(first.credential.is_none() && first.instructions.contains("`ben`"), "{first:?}");
    assert!(wiki.lets_in("ben", &password) && !wiki.lets_in("ben", "ben-password"));
    let (_, later) = issue(connector.as_ref(), "ben").await;
    assert!(wiki.lets_in("ben", &later) && !wiki.lets_in("ben", &password));
    let users = wiki.read("users");
    assert_eq!(users.lines().find(|line| line.starts_with("ann:")).map(str::to_owned), anns);
    assert!(!users.contains(&later), "the file holds the hash only");
    // The first of a new account.
    acknowledged(connector.as_ref(), Verb::CreateAccount, &account("cy"), None).await;
    let (_, password) = issue(connector.as_ref(), "cy").await;
    assert!(wiki.lets_in("cy", &password));
}

#[tokio::test]
async fn who_is_disabled_or_nobody_or_the_program_itself_gets_nothing() {
    let wiki = Wiki::new();
    let connector = wiki.connector();
    acknowledged(connector.as_ref(), Verb::DisableAccount, &account("ben"), None).await;
    let before = wiki.read("users");
    for (target, expected) in
        [(account("ben"), "is disabled"), (AccountTarget::by_login("nobody"), "there is no user")]
    {
        let why = issue_refused(connector.as_ref(), &target).await;
        assert!(why.contains(expected), "{}: {why}", target.login);
    }
    assert_eq!(wiki.read("users"), before);
    let faulty = Faulty::with("nothing", &format!("{CAPABILITIES}acting_as = 'ann'"));
    let why = issue_refused(faulty.connector.as_ref(), &account("ann")).await;
    assert!(why.contains("the connector itself uses"), "{why}");
    issue(faulty.connector.as_ref(), "ben").await;
}

#[tokio::test]
async fn what_was_not_named_in_the_settings_is_never_asked_for() {
    let faulty = Faulty::with("nothing", "");
    assert!(!faulty.connector.capabilities().issue_credential.supported);
    let request = IssueRequest { id: ActionId::from("test"), account: account("ann") };
    let answer = faulty.connector.issue_credential(&request).await;
    assert!(matches!(answer, Err(ConnectError::NotOffered { .. })), "{answer:?}");
}

#[tokio::test]
async fn an_answer_that_is_none_is_an_error_without_the_secret() {
    for (fault, expected) in [
        ("tells the secret twice", "`instructions` repeat the secret"),
        ("issues a number", "`secret` is no text"),
        ("is not ready to issue", "too many requests; ask again later"),
        ("cannot issue", "no connection to the database"),
        ("takes issuing for a change", "is an outcome, which is no answer"),
    ] {
        let faulty = Faulty::with(fault, CAPABILITIES);
        let request = IssueRequest { id: ActionId::from("test"), account: account("ann") };
        let error = faulty.connector.issue_credential(&request).await.expect_err(fault).to_string();
        assert!(error.contains(expected), "{fault}: {error}");
        assert!(!error.contains("planted") && !error.contains("31337"), "{fault}: {error}");
    }
}

#[tokio::test]
async fn the_key_of_an_issued_credential_counts_where_credentials_are_listed() {
    let fault = "issues what it does not list";
    let faulty = Faulty::with(fault, CAPABILITIES);
    let (issued, _) = issue(faulty.connector.as_ref(), "ann").await;
    assert!(issued.credential.is_none(), "it would lead nowhere: {issued:?}");
    let listing = CAPABILITIES.replace("]", ", 'list_credentials']");
    let (issued, _) = issue(Faulty::with(fault, &listing).connector.as_ref(), "ann").await;
    let credential = issued.credential.expect("a key");
    assert!(credential.key.as_str().starts_with("t-") && credential.kind == CredentialKind::Token);
}
