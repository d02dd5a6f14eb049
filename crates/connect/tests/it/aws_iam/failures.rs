//! Settings that are wrong, log-ins that fail, and a target that says "not now".

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use leasehold_model::plan::Verb;
use leasehold_model::request::Outcome;
use leasehold_testing::AwsKey;

use super::{Company, connector};
use crate::between::Between;
use crate::harness::{entitlement, execute, read_grant, try_build};

#[test]
fn the_documents_name_the_rights_that_are_tried_here() {
    let page = include_str!("../../../../../docs/operating.md");
    assert!(page.contains(super::RIGHTS.trim()), "docs/operating.md names other rights");
}

#[test]
fn settings_are_checked_before_anything_is_reached() {
    let table = |more: &str| format!("access_key_id = 'AKIA'\nsecret_access_key = 'env:PATH'\n{more}");
    for (table, expected) in [
        ("secret_access_key = 'env:PATH'".to_owned(), "`access_key_id`"),
        ("access_key_id = 'AKIA'".to_owned(), "`secret_access_key`"),
        ("access_key_id = 'AKIA'\nsecret_access_key = 'hunter2'".to_owned(), "in clear text"),
        (table("endpoint = 'http://iam.example.com'"), "is not encrypted"),
        (table("endpoint = 'ftp://iam.example.com'"), "is not spoken"),
        (table("region = 'Ireland'"), "is not a region"),
        (table("leave_out = 'ssh_public_key'"), "did you mean `ssh_public_keys`"),
        (table("regoin = 'eu-west-1'"), "did you mean `region`"),
    ] {
        let Err(error) = try_build("aws_iam", &table) else { panic!("{table} was taken") };
        let message = error.to_string();
        assert!(message.contains(expected) && !message.contains("hunter2"), "{message}");
    }
    try_build("aws_iam", &table("region = 'eu-west-1'")).expect("these are right");
}

#[tokio::test]
async fn a_wrong_key_and_a_wrong_secret_are_named_without_the_secret() {
    let company = Company::start();
    let wrong = "planted-wrong-secret";
    for id in [company.own.id.as_str(), "AKIANOBODYKNOWSTHIS"] {
        let key = AwsKey { id: id.to_owned(), secret: wrong.to_owned(), token: None };
        let error = connector(&company.server, &key, "").test().await.expect_err("it must fail").to_string();
        assert!(error.contains("refused the log-in") && error.contains(id), "{error}");
        assert!(!error.contains(wrong) && error.contains("check `access_key_id`"), "{error}");
    }
}

/// Says "not now" to the first requests for an action; gives how often it did.
fn throttles(company: &Company, action: &'static str, times: usize) -> (Between, Arc<AtomicUsize>) {
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    let between = Between::start(&company.server.url(), move |request, forward| {
        if !request.contains(&format!("Action={action}&")) || count.load(Ordering::SeqCst) >= times {
            return forward();
        }
        count.fetch_add(1, Ordering::SeqCst);
        let body = "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
        let length = body.len();
        format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
            .into_bytes()
    });
    (between, refused)
}

#[tokio::test]
async fn a_throttled_reading_is_asked_again_and_a_throttled_change_is_left_to_the_executor() {
    let company = Company::start();
    let (alice, eng) = (company.user("alice"), entitlement("group/eng"));
    let (between, refused) = throttles(&company, "ListGroupsForUser", 2);
    assert_eq!(read_grant(&*company.connector_at(&between.url(), ""), &alice, &eng).await, (true, true));
    assert_eq!(refused.load(Ordering::SeqCst), 2);

    let (between, _) = throttles(&company, "RemoveUserFromGroup", 1);
    let connector = company.connector_at(&between.url(), "");
    let outcome = execute(&*connector, Verb::Revoke, &alice, Some(&eng)).await;
    assert!(matches!(&outcome, Outcome::Retry { why, .. } if why.contains("Throttling")), "{outcome:?}");
    assert_eq!(company.groups("alice"), ["eng"], "nothing was changed");
    let outcome = execute(&*connector, Verb::Revoke, &alice, Some(&eng)).await;
    assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{outcome:?}");
    assert_eq!(company.groups("alice"), Vec::<String>::new());
}
