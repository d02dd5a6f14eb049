//! What goes wrong has a name and a next step, and is never taken for an absence.

use leasehold_connect::error::ConnectError;
use leasehold_model::plan::Verb;
use leasehold_model::request::Outcome;
use leasehold_testing::MariadbServer;

use super::{COMPANY, account, connector_as};
use crate::harness::{Facts, build, entitlement, execute};

#[tokio::test]
async fn a_wrong_password_and_a_certificate_are_named() {
    let server = MariadbServer::start_with(true);
    std::fs::write(server.folder().join("wrong"), "wrong").expect("write");
    let wrong = server.folder().join("wrong");
    let settings =
        |more: &str| format!("url = '{}'\npassword = 'file:{}'\n{more}", server.url("root"), wrong.display());
    let error = build("mariadb", &settings("")).test().await.expect_err("is refused");
    assert!(matches!(error, ConnectError::Authentication { .. }), "{error:?}");
    let authority = server.authority().certificate().display().to_string();
    let strict = settings(&format!("sslmode = 'verify-full'\nca_certificate = '{authority}'"));
    let error = build("mariadb", &strict).test().await.expect_err("is refused");
    assert!(matches!(error, ConnectError::Certificate { .. }), "{error:?}");
}

#[tokio::test]
async fn who_may_not_read_the_grant_tables_gets_an_error_and_no_absence() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    server.sql("create user reader@'%' identified by 'readerpw'; grant select on mysql.* to reader@'%';");
    let blind = connector_as(&server, "carol");
    server.sql("revoke super, create user on *.* from carol@'%'");
    let error = blind.enumerate(&mut Facts::default()).await.expect_err("is refused");
    assert!(error.to_string().contains("connector test"), "{error}");

    let reader = connector_as(&server, "reader");
    let report = reader.test().await.expect("reads");
    assert_eq!(report.acting_as.as_deref(), Some("reader@%"));
    assert!(report.missing_rights.iter().any(|right| right.starts_with("CREATE USER")), "{report:?}");
    let carol = account("carol@%");
    for (verb, target) in [
        (Verb::DisableAccount, None),
        (Verb::Revoke, Some(entitlement("privilege/UPDATE (note) on app.orders"))),
    ] {
        match execute(reader.as_ref(), verb, &carol, target.as_ref()).await {
            Outcome::Refused { why } => assert!(why.contains("lacks the right"), "{why}"),
            other => panic!("{verb}: {other:?}"),
        }
    }
}

#[test]
fn settings_that_cannot_be_used_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for (text, words) in [
        ("url = 'postgres://x@h'", "not `mariadb://`"),
        ("url = 'mariadb://u:secretpw@h'", "holds a password"),
        ("url = 'mariadb://h'", "names no user"),
        ("url = 'mariadb://u@h?ssl=1'", "holds the parameter"),
        ("url = 'mariadb://u@h'\nsslmode = 'prefered'", "did you mean"),
    ] {
        let settings = crate::support::settings("db", folder.path(), text);
        let error = leasehold_connect::registry::build("mariadb", settings).err().expect("is refused");
        assert!(error.to_string().contains(words) && !error.to_string().contains("secretpw"), "{error}");
    }
}
