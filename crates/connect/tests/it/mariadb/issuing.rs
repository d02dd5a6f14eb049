//! Passwords that are issued, checked with the server's own client and with what it logs.

use leasehold_model::plan::Verb;
use leasehold_model::request::AccountTarget;
use leasehold_testing::MariadbServer;

use super::{COMPANY, account, connector, connector_as};
use crate::harness::{acknowledged, issue, issue_refused, refused};

#[tokio::test]
async fn an_issued_password_lets_in_and_the_server_learns_its_hash_only() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    server.sql("set global log_output = 'TABLE'; set global general_log = 1");
    let connector = connector(&server);
    acknowledged(&*connector, Verb::CreateAccount, &AccountTarget::by_login("new'x"), None).await;
    let enters = |password: &str| server.sql_as("new'x", password, "select 1").is_ok();
    let (first, secret) = issue(&*connector, "new'x").await;
    assert!(enters(&secret) && first.credential.is_none());
    assert!(first.instructions.contains("`new'x@%` at 127.0.0.1:"), "{}", first.instructions);
    let (_, second) = issue(&*connector, "new'x").await;
    assert!(enters(&second) && !enters(&secret), "the second takes the place of the first");

    let log = server.sql("select argument from mysql.general_log");
    let kept =
        "select json_value(Priv, '$.authentication_string') from mysql.global_priv where User = 'new''x'";
    assert!(log.contains(&server.sql(kept)), "the log has what was sent");
    assert!(!log.contains(&secret) && !log.contains(&second), "the log has a password");
}

#[tokio::test]
async fn who_is_kept_out_or_let_in_otherwise_gets_no_password() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    server.sql(
        "create user by_socket@'%' identified via unix_socket;
         create user either@'%' identified via mysql_native_password using 'invalid' or unix_socket;",
    );
    let connector = connector(&server);
    let kept = || server.sql("select User, Host, Priv from mysql.global_priv order by 1, 2");
    let before = kept();
    for (target, expected) in [
        (account("bob@%"), "disabled"),
        (account("root@127.0.0.1"), "the connector itself uses"),
        (account("nobody@%"), "there is no account `nobody@%`"),
        (AccountTarget::by_login("nobody"), "there is no such account"),
        (AccountTarget::by_login("alice"), "alice@10.%, alice@127.0.0.1"),
        (AccountTarget::by_login("by_socket"), "unix_socket"),
        (AccountTarget::by_login("either"), "or another plugin"),
    ] {
        let why = issue_refused(&*connector, &target).await;
        assert!(why.contains(expected), "{}: {why}", target.login);
    }
    server.sql("create user reader@'%' identified by 'readerpw'; grant select on mysql.* to reader@'%'");
    let denied = connector_as(&server, "reader");
    let why = issue_refused(&*denied, &AccountTarget::by_login("carol")).await;
    assert!(why.contains("lacks the right"), "{why}");
    server.sql("drop user reader@'%'");

    // A server that looks at every password itself takes no hash.
    server.sql("install soname 'simple_password_check'");
    let why = issue_refused(&*connector, &AccountTarget::by_login("carol")).await;
    assert!(why.contains("strict_password_validation") && why.contains("SET PASSWORD"), "{why}");
    let why = refused(&*connector, Verb::CreateAccount, &AccountTarget::by_login("new"), None).await;
    assert!(why.contains("strict-password-validation"), "{why}");
    assert_eq!(kept(), before);
    server.sql("set global strict_password_validation = off");
    issue(&*connector, "carol").await;
}
