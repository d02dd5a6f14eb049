//! Passwords that are issued: sent in the form that a server takes, only where it takes any, and never shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use leasehold_connect::connector::Connector;
use leasehold_connect::error::ConnectError;
use leasehold_model::id::ActionId;
use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, IssueRequest};
use leasehold_testing::{Between, ScimServer};
use serde_json::{Value, json};

use super::{Company, answer};
use crate::harness::{acknowledged, issue, issue_refused};

const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

async fn not_offered(connector: &dyn Connector, account: &AccountTarget) -> String {
    let request = IssueRequest { id: ActionId::from("test"), account: account.clone() };
    match connector.issue_credential(&request).await {
        Err(error @ ConnectError::NotOffered { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_password_takes_the_place_of_the_earlier_one() {
    let second = Company::start(ScimServer::start_scimmy());
    let first = Company::start(ScimServer::start_scim2_server());
    for (company, more) in [(first, ""), (second, "passwords = 'set'")] {
        let connector = company.connector_at(company.server.url(), more);
        let before = company.server.find("user", company.ada().key.as_str()).expect("ada");
        let (issued, password) = issue(&*connector, "ada").await;
        assert!(issued.credential.is_none() && issued.instructions.contains("`ada`"), "{issued:?}");
        assert!(
            company.server.has_password("ada", &password) && !company.server.has_password("bob", &password)
        );
        let (_, later) = issue(&*connector, "ada").await;
        assert!(company.server.has_password("ada", &later) && !company.server.has_password("ada", &password));
        let mut after = company.server.find("user", company.ada().key.as_str()).expect("ada");
        after["meta"] = before["meta"].clone();
        assert_eq!(after, before, "nothing else has changed");
    }
}

/// A company whose server answers every change of a user in this way, and says that it takes passwords. Counts the changes.
fn refusing(company: &Company, method: &'static str, status: &'static str) -> (Between, Arc<AtomicUsize>) {
    let changes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&changes);
    let between = Between::start(company.server.url(), move |request, forward| {
        if !request.starts_with(method) {
            return forward();
        }
        counted.fetch_add(1, Ordering::SeqCst);
        // What a server that explains itself too well repeats.
        let body: Value = request
            .split_once("\r\n\r\n")
            .and_then(|(_, body)| serde_json::from_str(body).ok())
            .unwrap_or_default();
        let sent = body["Operations"][0]["value"]
            .as_str()
            .or(body["password"].as_str())
            .unwrap_or("nothing")
            .to_owned();
        let detail = format!("`{sent}` is no password here");
        answer(status, "", &json!({"schemas": [ERROR], "status": &status[..3], "detail": detail}))
    });
    (between, changes)
}

#[tokio::test]
async fn what_takes_no_patch_gets_the_user_as_a_whole() {
    for status in ["501 Not Implemented", "400 Bad Request"] {
        let company = Company::start(ScimServer::start_scim2_server());
        let (between, patches) = refusing(&company, "PATCH ", status);
        let connector = company.connector_at(&company.url_at(&between.url()), "");
        let before = company.server.find("user", company.ada().key.as_str()).expect("ada");
        let (_, password) = issue(&*connector, "ada").await;
        assert!(company.server.has_password("ada", &password));
        assert_eq!(patches.load(Ordering::SeqCst), 2, "each form once");
        let mut after = company.server.find("user", company.ada().key.as_str()).expect("ada");
        after["meta"] = before["meta"].clone();
        assert_eq!(after, before, "nothing else has changed");
    }
}

#[tokio::test]
async fn a_password_that_is_refused_is_not_repeated() {
    for (method, status) in
        [("P", "400 Bad Request"), ("P", "403 Forbidden"), ("P", "500 Internal Server Error")]
    {
        let company = Company::start(ScimServer::start_scim2_server());
        let (between, changes) = refusing(&company, method, status);
        let connector = company.connector_at(&company.url_at(&between.url()), "");
        let request = IssueRequest { id: ActionId::from("test"), account: company.ada() };
        let error = connector.issue_credential(&request).await.expect_err(status);
        assert!(changes.load(Ordering::SeqCst) > 0);
        for said in [error.to_string(), format!("{error:?}")] {
            assert!(said.contains("[secret]") && said.contains("is no password here"), "{said}");
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_say_that_it_takes_passwords_is_sent_none() {
    // It says that it takes none; another one says nothing of itself at all.
    let says_no = Company::start(ScimServer::start_scimmy());
    let says_nothing = Company::start(ScimServer::start_scim2_server());
    let between = Between::start(says_nothing.server.url(), |request, forward| {
        if request.starts_with("GET /v2/ServiceProviderConfig ") {
            return answer("404 Not Found", "", &json!({"schemas": [ERROR], "status": "404"}));
        }
        assert!(!request.starts_with("PATCH ") && !request.starts_with("PUT "), "{request}");
        forward()
    });
    for (company, url) in
        [(&says_no, says_no.server.url().to_owned()), (&says_nothing, says_nothing.url_at(&between.url()))]
    {
        let connector = company.connector_at(&url, "");
        assert!(connector.capabilities().issue_credential.supported, "it has not been asked yet");
        let said = not_offered(&*connector, &company.ada()).await;
        assert!(said.contains("`changePassword`") && said.contains("`passwords = \"set\"`"), "{said}");
        let capability = connector.capabilities().issue_credential;
        assert!(!capability.supported && capability.note.contains("`changePassword`"), "{capability:?}");
    }
    let company = Company::start(ScimServer::start_scim2_server());
    let never = company.connector_at(company.server.url(), "passwords = 'never'");
    assert!(!never.capabilities().issue_credential.supported);
    let said = not_offered(&*never, &company.ada()).await;
    assert!(said.contains("`passwords = \"never\"`"), "{said}");
}

#[tokio::test]
async fn who_is_kept_out_or_nobody_or_the_connector_itself_gets_none() {
    let company = Company::start(ScimServer::start_scim2_server());
    let me = company.users[0].clone();
    let between = Between::start(company.server.url(), move |request, forward| {
        if request.starts_with("GET /v2/Me ") {
            return answer("200 OK", "", &json!({"id": me, "userName": "ada"}));
        }
        forward()
    });
    let connector = company.connector_at(&company.url_at(&between.url()), "");
    acknowledged(&*connector, Verb::DisableAccount, &company.bob(), None).await;
    for (account, expected) in [
        (company.bob(), "disabled"),
        (company.ada(), "the connector itself uses"),
        (AccountTarget::by_login("nobody"), "there is no account `nobody`"),
    ] {
        let why = issue_refused(&*connector, &account).await;
        assert!(why.contains(expected), "{}: {why}", account.login);
    }
}
