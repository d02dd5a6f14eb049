//! What is told of a hub, and when it is told to be all.

use std::collections::BTreeSet;

use leasehold_model::account::LastUse;
use leasehold_model::credential::CredentialKind;
use leasehold_model::identity::IdentityKind;
use leasehold_model::request::{ReadBack, ReadTarget};
use leasehold_testing::JupyterHubServer;
use leasehold_testing::jupyterhub::OWN_TOKEN;

use serde_json::json;

use super::{Company, RIGHTS, connector, user};
use crate::harness::{Facts, enumerate, enumerate_all, read_sessions};

#[tokio::test]
async fn users_services_groups_roles_and_shares_are_told() {
    let company = Company::start();
    let facts = enumerate_all(&*company.connector()).await;
    let logins: BTreeSet<&str> = facts.accounts.keys().map(String::as_str).collect();
    let expected =
        ["alice", "bob", "carol", "root", "service/caretaker", "service/grader", "service/leasehold"];
    assert_eq!(logins, BTreeSet::from(expected), "more than one page of them");
    assert_eq!(facts.held_by("alice"), ["group/students", "role/usage", "role/user", "share/bob/"]);
    assert_eq!(facts.held_by("bob"), ["group/students", "group/teachers", "role/user"]);
    assert_eq!(facts.held_by("root"), ["role/admin", "role/user"]);
    assert_eq!(facts.held_by("service/leasehold"), ["role/leasehold"]);
    assert_eq!(facts.accounts["service/grader"].kind, Some(IdentityKind::Service));
    assert!(
        facts.contains("group/teachers", "role/roster") && facts.contains("group/students", "share/bob/")
    );
    assert_eq!(facts.options("alice", "share/bob/"), Some("access:servers!server=bob/"));
    assert!(facts.entitlements["role/user"].inherent && facts.entitlements["role/admin"].privileged);
    assert!(facts.entitlements["role/usage"].irrevocable.is_some());
    assert!(facts.entitlements["role/admin"].irrevocable.is_none());
    assert_eq!(facts.accounts["carol"].last_use, LastUse::Never);
    assert!(matches!(facts.accounts["bob"].last_use, LastUse::At(_)));
    assert!(facts.problems.is_empty(), "{:?}", facts.problems);
}

#[tokio::test]
async fn what_an_application_got_is_told_from_what_a_user_made() {
    let company = Company::start();
    company.server.whose(&company.granted[0]).expect("it is used once");
    let granted = company.credentials("alice", CredentialKind::OauthGrant).await;
    let ids: BTreeSet<String> = company.server.token_ids("alice", true).into_iter().collect();
    let told: BTreeSet<String> = granted
        .iter()
        .map(|found| found.key.as_str().split('@').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!((told.len(), told), (2, ids));
    for found in &granted {
        assert!(found.label.starts_with("JupyterHub service grader (a"), "{found:?}");
        assert!(found.created_at.is_some() && found.expires_at > found.created_at, "{found:?}");
        assert!(found.scope.iter().any(|scope| scope == "access:services!service=grader"), "{found:?}");
    }
    let used = granted.iter().filter(|found| matches!(found.last_use, LastUse::At(_))).count();
    let unused = granted.iter().filter(|found| found.last_use == LastUse::Never).count();
    assert_eq!((used, unused), (1, 1), "{granted:?}");
    // The running server has a token of its own.
    let own = company.credentials("alice", CredentialKind::Token).await;
    let mut labels: Vec<&str> = own.iter().filter_map(|found| found.label.split(" (").next()).collect();
    labels.sort_unstable();
    assert_eq!(labels, ["Server at /user/alice/", "nightly"]);
}

#[tokio::test]
async fn a_running_server_is_a_session() {
    let company = Company::start();
    let connector = company.connector();
    let live = read_sessions(&*connector, &user("bob")).await;
    assert_eq!(live.len(), 1, "{live:?}");
    assert!(live[0].id == "bob/" && live[0].started_at.is_some(), "{live:?}");
    for nobody in ["carol", "mallory"] {
        assert_eq!(read_sessions(&*connector, &user(nobody)).await, [], "{nobody}");
    }
    // Where no server runs, a browser may still be logged in; of whoever is no user nothing is.
    for (account, words) in [("carol", Some("no browser session")), ("mallory", None)] {
        let read =
            connector.read_back(&ReadTarget::Sessions { account: user(account) }).await.expect("reads");
        let ReadBack::Sessions { unlisted, .. } = read else { panic!("{account}: {read:?}") };
        assert_eq!(unlisted.is_some(), words.is_some(), "{account}: {unlisted:?}");
        assert!(words.is_none_or(|words| unlisted.is_some_and(|unlisted| unlisted.contains(words))));
    }
    let target = ReadTarget::Sessions { account: user("service/grader") };
    let read = connector.read_back(&target).await.expect("reads");
    assert!(matches!(&read, ReadBack::Unsupported { why } if why.contains("of a service")), "{read:?}");
}

#[tokio::test]
async fn a_name_of_dots_makes_a_reading_partial_and_ends_none() {
    let company = Company::start();
    // The hub itself takes no user of such a name from its API, and any group.
    company.server.ask("POST", "groups", &json!({"groups": [".", ".."]}));
    let (facts, completeness) = enumerate(&*company.connector()).await;
    for name in ["group `.`", "group `..`"] {
        assert!(!completeness.is_complete() && completeness.detail().contains(name), "{completeness:?}");
    }
    assert!(facts.entitlements.contains_key("group/.") && facts.accounts.contains_key("carol"));
    assert!(facts.credentials.values().any(|credential| credential.account.as_str() == "alice"));
    let mut places: Vec<_> = facts.problems.iter().map(|problem| problem.place.as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["group .", "group .."], "{:?}", facts.problems);
}

#[tokio::test]
async fn a_scope_that_is_missing_is_an_error_and_not_absence() {
    for (scope, place) in [
        ("\"tokens\", ", "read:tokens"),
        ("\"list:users\", ", "list:users"),
        ("\"read:roles\", ", "read:roles:groups"),
        ("\"read:groups:shares\",", "read:groups:shares"),
    ] {
        assert!(RIGHTS.contains(scope), "{scope}");
        let server = JupyterHubServer::start(&RIGHTS.replace(scope, ""));
        let connector = connector(&server, OWN_TOKEN, "");
        let report = connector.test().await.expect("the log-in works");
        assert!(report.missing_rights.iter().any(|right| right.contains(place)), "{scope}: {report:?}");
        let error =
            connector.enumerate(&mut Facts::default()).await.expect_err("a part is not all").to_string();
        assert!(error.contains("not taken for absent") && error.contains(place), "{scope}: {error}");
    }
}

#[tokio::test]
async fn a_scope_with_a_filter_shows_a_part_and_proves_no_absence() {
    // The hub counts what the filter lets through as if it were all, and answers for the rest as if it were not there.
    let rights = RIGHTS
        .replace("\"list:users\", \"read:users\"", "\"list:users!user=bob\", \"read:users!user=bob\"")
        .replace("\"read:servers\"", "\"read:servers!user=bob\"")
        .replace(
            "\"read:roles\"",
            "\"read:roles:users!user=bob\", \"read:roles:groups\", \"read:roles:services\"",
        );
    let company = Company::with(&rights);
    let connector = company.connector();
    let listed = company.server.try_ask("GET", "users", OWN_TOKEN, "").1;
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(company.server.try_ask("GET", "users/alice", OWN_TOKEN, "").0, 404);
    let error = connector.enumerate(&mut Facts::default()).await.expect_err("a part is not all").to_string();
    assert!(error.contains("list:users") && error.contains("not taken for absent"), "{error}");
    let target = ReadTarget::Account { account: user("alice") };
    let error = connector.read_back(&target).await.expect_err("it may not look").to_string();
    assert!(error.contains("not taken for absent"), "{error}");
}

#[tokio::test]
async fn many_users_come_from_many_pages() {
    let server = JupyterHubServer::start(RIGHTS);
    let names: Vec<String> = (0..10).map(|number| format!("user{number}")).collect();
    for name in &names {
        server.add_user(name);
    }
    let (facts, completeness) = enumerate(&*connector(&server, OWN_TOKEN, "")).await;
    assert!(completeness.is_complete(), "{completeness:?}");
    assert!(completeness.detail().starts_with("12 users, 2 groups and 3 services"), "{completeness:?}");
    assert!(names.iter().all(|name| facts.accounts.contains_key(name)));
}
