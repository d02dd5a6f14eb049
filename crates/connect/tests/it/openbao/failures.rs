//! Settings that are wrong, and log-ins that fail.

use super::{Company, connector};
use crate::harness::try_build;

#[test]
fn the_documents_name_the_rights_that_are_tried_here() {
    let page = include_str!("../../../../../docs/operating.md");
    assert!(page.contains(super::RIGHTS.trim()), "docs/operating.md names other rights");
}

#[test]
fn settings_are_checked_before_anything_is_reached() {
    for (table, expected) in [
        ("token = 'env:PATH'", "`url`"),
        ("url = 'https://bao.example.com'", "`token`"),
        ("url = 'https://bao.example.com'\ntoken = 'hunter2'", "in clear text"),
        ("url = 'http://bao.example.com'\ntoken = 'env:PATH'", "would send the token unencrypted"),
        ("url = 'bao.example.com'\ntoken = 'env:PATH'", "is not an address"),
        ("url = 'https://bao.example.com'\ntoken = 'env:PATH'\nnamespaces = 'x'", "did you mean `namespace`"),
    ] {
        let Err(error) = try_build("openbao", table) else { panic!("{table} was taken") };
        let message = error.to_string();
        assert!(message.contains(expected) && !message.contains("hunter2"), "{message}");
    }
}

#[tokio::test]
async fn a_token_that_is_wrong_or_ended_is_named_without_being_shown() {
    let company = Company::start();
    let wrong = "s.planted-wrong-token";
    let error = connector(&company.server, wrong).test().await.expect_err("it must fail").to_string();
    assert!(error.contains("refused the log-in") && error.contains("check `token`"), "{error}");
    assert!(!error.contains(wrong), "{error}");
    let own = company.connector();
    assert_eq!(own.test().await.expect("it works").missing_rights, Vec::<String>::new());
    company.server.bao(&["token", "revoke", &company.own]);
    let error = own.test().await.expect_err("it was revoked").to_string();
    assert!(error.contains("refused the log-in") && !error.contains(&company.own), "{error}");
}
