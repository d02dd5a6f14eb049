//! People as they are told, page after page, and the evidence that it is all of them.

use leasehold_model::identity::{IdentityKind, LifecycleState};
use leasehold_testing::RestServer;
use leasehold_testing::rest::TOKEN;
use serde_json::json;

use super::{COLUMNS, connector, people};
use crate::harness::{build, enumerate};

#[tokio::test]
async fn every_way_of_paging_ends_with_everybody_and_says_why_that_is_all() {
    let server = RestServer::start(&people());
    for (path, more, evidence) in [
        ("people", "paging = 'none'", "12 people on 1 pages; on the only page"),
        ("people", "paging = 'link'", "12 people on 1 pages; on the only page"),
        ("people?_page=1&_limit=5", "", "12 people on 3 pages; a second reading told of the same"),
        (
            "people?_page=1&_limit=5",
            "total = 'header:X-Total-Count'",
            "12 people on 3 pages; the API counts as many, on every page",
        ),
        (
            "people",
            "paging = 'page'\npage_parameter = '_page'\npage_size = 4\npage_size_parameter = '_limit'",
            "12 people on 4 pages; a second reading told of the same",
        ),
        (
            "people?_limit=5",
            "paging = 'page'\npage_parameter = '_page'\ntotal = 'header:x-total-count'",
            "12 people on 3 pages; the API counts as many",
        ),
        (
            "people?_limit=5",
            "paging = 'offset'\npage_parameter = '_start'\ntotal = 'header:x-total-count'",
            "12 people on 3 pages; the API counts as many",
        ),
    ] {
        let (facts, completeness) = enumerate(&*connector(&server, path, more)).await;
        assert_eq!(facts.identities.len(), 12, "{path} {more}");
        assert!(completeness.is_complete(), "{path} {more}: {completeness:?}");
        assert!(completeness.detail().starts_with(evidence), "{path} {more}: {completeness:?}");
        assert_eq!(facts.problems, [], "{path} {more}");
    }
}

#[tokio::test]
async fn an_object_becomes_a_person() {
    let server = RestServer::start(&people());
    server.change(2, &json!({"employment": {"state": "dismissed", "ends": "2026-03-31"}}));
    server.change(
        3,
        &json!({"employment": {"state": "on the moon"}, "kind": "agent", "owner": "p1@example.com"}),
    );
    let (facts, completeness) =
        enumerate(&*connector(&server, "people", "timezone = 'Europe/Berlin'\npaging = 'none'")).await;
    assert!(completeness.is_complete(), "{completeness:?}");
    let first = &facts.identities["p1@example.com"];
    assert_eq!((first.kind, first.state), (IdentityKind::Person, LifecycleState::Active));
    assert_eq!(first.manager.as_ref().map(|key| key.as_str()), Some("p1@example.com"));
    assert_eq!(first.start.map(|at| at.to_string()).as_deref(), Some("2024-01-31T23:00:00Z"));
    assert_eq!(first.end, None);
    let attributes: Vec<(&str, &str)> =
        first.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("cost_center", "4201"),
        ("email", "p1@example.com"),
        ("employee_number", "E1"),
        ("given_name", "Given 1"),
        ("id", "1"),
        ("remote", "false"),
    ];
    assert_eq!(attributes, expected);
    let second = &facts.identities["p2@example.com"];
    assert_eq!(second.state, LifecycleState::Left);
    assert_eq!(second.end.map(|at| at.to_string()).as_deref(), Some("2026-03-31T22:00:00Z"));
    let third = &facts.identities["p3@example.com"];
    assert_eq!((third.kind, third.state), (IdentityKind::Agent, LifecycleState::Active));
    let problems: Vec<String> =
        facts.problems.iter().map(|problem| format!("{}: {}", problem.place, problem.message)).collect();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with("item 3 (p3@example.com): status `on the moon` is not known"),
        "{problems:?}"
    );
}

#[tokio::test]
async fn it_logs_in_by_token_header_or_password() {
    let server = RestServer::start(&people());
    let file = server.token_file();
    let file = file.display();
    for log_in in [
        format!("token = 'file:{file}'"),
        format!("token = 'file:{file}'\ntoken_header = 'X-Api-Key'"),
        format!("user = 'leasehold'\npassword = 'file:{file}'"),
    ] {
        let table = format!("url = '{}'\n{COLUMNS}\n{log_in}", server.url("people"));
        let report = build("rest", &table).test().await.unwrap_or_else(|error| panic!("{log_in}: {error}"));
        assert!(report.target.contains("12 people on the first page, with email"), "{report:?}");
    }
    let wrong =
        format!("url = '{}'\n{COLUMNS}\nuser = 'somebody'\npassword = 'file:{file}'", server.url("people"));
    let error = build("rest", &wrong).test().await.expect_err("it must fail").to_string();
    assert!(error.contains("the user somebody") && error.contains("HTTP 401"), "{error}");
    assert!(!error.contains(TOKEN), "{error}");
}
