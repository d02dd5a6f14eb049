//! Passwords that are issued, checked with `psql` and with what the server keeps and logs.

use leasehold_model::plan::Verb;
use leasehold_model::request::AccountTarget;
use leasehold_testing::PostgresServer;

use super::{COMPANY, connector, connector_as};
use crate::harness::{acknowledged, issue, issue_refused};

#[tokio::test]
async fn an_issued_password_lets_in_and_the_server_learns_its_verifier_only() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    for setting in ["log_statement = 'all'", "log_min_duration_statement = 0"] {
        server.sql(&format!("alter database postgres set {setting}"));
    }
    server.sql("create role made_by login createrole password 'made_bypw'");
    let connector = connector_as(&server, "made_by");
    acknowledged(&*connector, Verb::CreateAccount, &AccountTarget::by_login("new'x"), None).await;
    let enters = |password: &str| server.sql_as("new'x", password, "postgres", "select 1").is_ok();
    let (first, secret) = issue(&*connector, "new'x").await;
    assert!(enters(&secret) && first.credential.is_none());
    assert!(first.instructions.contains("`new'x` at 127.0.0.1:"), "{}", first.instructions);
    let (_, second) = issue(&*connector, "new'x").await;
    assert!(enters(&second) && !enters(&secret), "the second takes the place of the first");
    let kept = server.sql("select rolpassword from pg_authid where rolname = 'new''x'");
    assert!(kept.starts_with("SCRAM-SHA-256$4096:"), "{kept}");

    let log = server.log();
    assert!(log.contains(&kept), "the log has what was sent");
    assert!(!log.contains(&secret) && !log.contains(&second), "the log has a password");
}

#[tokio::test]
async fn who_is_kept_out_gets_no_password() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    let connector = connector(&server);
    let kept = || server.sql("select rolname, rolpassword from pg_authid order by 1");
    let before = kept();
    for (login, expected) in [
        ("parked", "disabled"),
        ("team", "disabled"),
        ("gone", "VALID UNTIL is past"),
        ("postgres", "the connector itself uses"),
        ("nobody", "there is no role `nobody`"),
        ("", "there is no role ``"),
    ] {
        let why = issue_refused(&*connector, &AccountTarget::by_login(login)).await;
        assert!(why.contains(expected), "{login}: {why}");
    }
    let denied = connector_as(&server, "carol");
    let why = issue_refused(&*denied, &AccountTarget::by_login("bob")).await;
    assert!(why.contains("permission denied"), "{why}");
    assert_eq!(kept(), before);
}
