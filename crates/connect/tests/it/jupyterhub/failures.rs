//! Settings that are wrong, and log-ins that fail.

use leasehold_testing::JupyterHubServer;
use leasehold_testing::jupyterhub::OWN_TOKEN;

use super::{RIGHTS, connector};
use crate::harness::{build, try_build};

#[test]
fn the_documents_name_the_rights_that_are_tried_here() {
    let page = include_str!("../../../../../docs/operating.md");
    assert!(page.contains(RIGHTS.trim()), "docs/operating.md names other rights");
}

#[test]
fn settings_are_checked_before_anything_is_reached() {
    for (table, expected) in [
        ("token = 'env:PATH'", "`url`"),
        ("url = 'https://hub.example.com'", "`token`"),
        ("url = 'https://hub.example.com'\ntoken = 'hunter2'", "in clear text"),
        ("url = 'http://hub.example.com'\ntoken = 'env:PATH'", "unencrypted"),
        ("url = 'hub.example.com'\ntoken = 'env:PATH'", "is not an address"),
        (
            "url = 'https://hub.example.com'\ntoken = 'env:PATH'\ndisable_by_deleting = 'x'",
            "disable_by_deleting",
        ),
        ("url = 'https://hub.example.com'\ntoken = 'env:PATH'\ntokens = 'x'", "did you mean `token`"),
    ] {
        let Err(error) = try_build("jupyterhub", table) else { panic!("{table} was taken") };
        let message = error.to_string();
        assert!(message.contains(expected) && !message.contains("hunter2"), "{message}");
    }
}

#[tokio::test]
async fn a_token_that_is_wrong_is_named_without_being_shown() {
    let server = JupyterHubServer::start(RIGHTS);
    let wrong = "planted-wrong-token";
    let error = connector(&server, wrong, "").test().await.expect_err("it must fail").to_string();
    assert!(error.contains("refused the log-in") && error.contains("check `token`"), "{error}");
    assert!(!error.contains(wrong), "{error}");
    let report = connector(&server, OWN_TOKEN, "").test().await.expect("it works");
    assert_eq!(report.missing_rights, Vec::<String>::new());
    assert_eq!(report.acting_as.as_deref(), Some("service/leasehold"));
    assert!(report.target.starts_with("JupyterHub "), "{report:?}");
}

#[tokio::test]
async fn an_answer_of_something_else_is_not_taken_for_the_hub() {
    let server = JupyterHubServer::start(RIGHTS);
    let file = server.token_file("connector.token", OWN_TOKEN);
    // The hub's proxy answers, and below this there is no API.
    let table = format!("url = '{}/hub/elsewhere'\ntoken = 'file:{}'", server.url(), file.display());
    let error = build("jupyterhub", &table).test().await.expect_err("it must fail").to_string();
    assert!(error.contains("check `url`"), "{error}");
}
