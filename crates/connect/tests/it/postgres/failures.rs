//! What goes wrong on the way to a server, and what a log-in with few rights is told.

use std::io::Write as _;

use leasehold_connect::error::ConnectError;
use leasehold_model::plan::Verb;
use leasehold_model::request::Outcome;
use leasehold_testing::PostgresServer;
use leasehold_testing::certificates::Certificate;

use super::{COMPANY, connector};
use crate::harness::{account, build, entitlement, execute, refused, try_build};

fn secret(server: &PostgresServer, text: &str) -> String {
    let path = server.folder().join("secret");
    std::fs::write(&path, text).unwrap();
    format!("password = 'file:{}'", path.display())
}

#[tokio::test]
async fn a_wrong_password_is_named_and_not_repeated() {
    let server = PostgresServer::start();
    let password = secret(&server, "hunter2");
    let connector = build("postgres", &format!("url = '{}'\n{password}", server.url("postgres", "postgres")));
    let error = connector.test().await.unwrap_err();
    assert!(matches!(error, ConnectError::Authentication { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("refused the log-in as postgres") && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn an_address_where_nobody_answers_is_unreachable() {
    let port = leasehold_testing::process::free_port();
    let connector = build("postgres", &format!("url = 'postgres://x@127.0.0.1:{port}/x'"));
    let error = connector.test().await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    let outcome = execute(&*connector, Verb::DisableAccount, &account("x"), None).await;
    assert!(matches!(outcome, Outcome::Retry { .. }), "nothing was sent: {outcome:?}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let table = format!("url = 'postgres://x@127.0.0.1:{port}/x'\ntimeout_ms = 300");
    let began = std::time::Instant::now();
    let error = build("postgres", &table).test().await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { timeout_ms: 300, .. }), "{error:?}");
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
}

#[tokio::test]
async fn what_somebody_else_is_changing_is_tried_again() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    server.sql("create role zed login");
    let password = secret(&server, leasehold_testing::postgres::PASSWORD);
    let url = server.url("postgres", "postgres");
    let connector = build("postgres", &format!("url = '{url}'\n{password}\ntimeout_ms = 4000"));
    let orders = entitlement("privilege/SELECT on sales.orders");

    // The same row of the catalogue, changed in a transaction that does not end.
    let mut other = server.live_session("postgres", leasehold_testing::postgres::PASSWORD);
    let mut input = other.stdin.take().expect("psql's standard input");
    input.write_all(b"begin;\ngrant update on sales.orders to zed;\n").expect("told");
    let holds = "select count(*) from pg_stat_activity \
                 where state = 'idle in transaction' and query like 'grant update%'";
    while server.sql(holds) != "1" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let outcome = execute(&*connector, Verb::Grant, &account("zed"), Some(&orders)).await;
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");

    // It goes away without having changed anything, and then nothing is in the way.
    input.write_all(b"rollback;\n\\q\n").expect("told");
    drop(input);
    other.wait().expect("psql ends");
    let outcome = execute(&*connector, Verb::Grant, &account("zed"), Some(&orders)).await;
    assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{outcome:?}");

    // What the server says where the other one was faster.
    server.sql(
        "create function in_the_way() returns event_trigger language plpgsql as \
           'begin raise exception using errcode = ''XX000'', message = ''tuple concurrently updated''; end';
         create event trigger in_the_way on ddl_command_end when tag in ('REVOKE') execute function in_the_way()",
    );
    let outcome = execute(&*connector, Verb::Revoke, &account("zed"), Some(&orders)).await;
    assert!(
        matches!(&outcome, Outcome::Retry { why, .. } if why.contains("concurrently updated")),
        "{outcome:?}"
    );
    server.sql("drop event trigger in_the_way");
    let outcome = execute(&*connector, Verb::Revoke, &account("zed"), Some(&orders)).await;
    assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{outcome:?}");
}

#[tokio::test]
async fn certificates_are_checked() {
    let url = |server: &PostgresServer| server.url("postgres", "postgres");
    let good = PostgresServer::start_with_tls(false);
    let ca = format!("ca_certificate = '{}'", good.authority().certificate().display());
    let password = secret(&good, "adminpw");

    let table = format!("url = '{}'\nsslmode = 'verify-full'\n{ca}\n{password}", url(&good));
    build("postgres", &table).test().await.expect("the certificate is good");

    let table = format!("url = '{}'\nsslmode = 'verify-full'\n{password}", url(&good));
    let error = build("postgres", &table).test().await.unwrap_err();
    assert!(matches!(error, ConnectError::Certificate { .. }), "{error:?}");
    assert!(error.to_string().contains("nobody we trust signed it"), "{error}");

    let expired = PostgresServer::start_with_tls(true);
    let ca = format!("ca_certificate = '{}'", expired.authority().certificate().display());
    let table =
        format!("url = '{}'\nsslmode = 'verify-full'\n{ca}\n{}", url(&expired), secret(&expired, "adminpw"));
    let error = build("postgres", &table).test().await.unwrap_err();
    assert!(matches!(error, ConnectError::Certificate { .. }), "{error:?}");
    assert!(error.to_string().contains("expired at 2020-01-02T00:00:00Z"), "{error}");
}

#[tokio::test]
async fn a_certificate_signed_by_itself_works_where_it_is_not_an_authoritys() {
    const NAMES: &str = "subjectAltName=IP:127.0.0.1";
    for (extensions, expected) in [
        (&[NAMES][..], Some("-addext basicConstraints=critical,CA:FALSE")),
        (&[NAMES, "basicConstraints=critical,CA:FALSE"], None),
    ] {
        let server = PostgresServer::start_with_certificate(|folder| {
            Certificate::self_signed(folder, "server", extensions)
        });
        let certificate = server.folder().join("tls/server.pem");
        let table = format!(
            "url = '{}'\nsslmode = 'verify-full'\nca_certificate = '{}'\n{}",
            server.url("postgres", "postgres"),
            certificate.display(),
            secret(&server, "adminpw")
        );
        let said = build("postgres", &table).test().await;
        match expected {
            None => assert!(said.is_ok(), "{said:?}"),
            Some(expected) => {
                let error = said.unwrap_err();
                assert!(matches!(error, ConnectError::Certificate { .. }), "{error:?}");
                assert!(error.to_string().contains(expected), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn what_a_server_says_is_shown_without_control_characters() {
    let server = PostgresServer::start();
    let evil = "x\u{1b}[2J\nall is well";
    server.sql(&format!("create role \"{evil}\" login password 'evilpw'; create role \"g{evil}\" nologin"));
    server
        .sql(&format!("create role weak login password 'weakpw'; create table public.\"t{evil}\" (id int)"));
    let table = format!("url = '{}'\n{}", server.url("weak", "postgres"), secret(&server, "weakpw"));
    let weak = build("postgres", &table);
    let target = account(evil);
    for name in [format!("role/g{evil}"), format!("privilege/SELECT on public.\"t{evil}\"")] {
        let why = refused(&*weak, Verb::Grant, &target, Some(&entitlement(&name))).await;
        assert!(!why.contains(char::is_control) && why.contains("\\u{1b}[2J\\nall is well"), "{why:?}");
    }
    // The facts themselves are told as they are.
    let facts = crate::harness::enumerate_all(&*weak).await;
    assert!(facts.accounts.contains_key(evil));
}

#[test]
fn wrong_settings_are_named() {
    for (table, expected) in [
        ("", "setting `url` of system `target`: is missing"),
        ("url = 'mysql://u@h/d'", "begins with `mysql://`"),
        ("url = 'postgres://u:hunter2@h/d'", "holds a password"),
        ("url = 'postgres://u@h/d?sslmode=disable'", "holds the parameter `sslmode`"),
        ("url = 'postgres://h/d'", "names no user"),
        ("url = 'postgres://u@h'", "names no user"),
        ("url = 'postgres://u@h/d'\nsslmode = 'verify_full'", "did you mean `verify-full`?"),
        ("url = 'postgres://u@h/d'\nca_certificate = '/nowhere.pem'", "cannot read /nowhere.pem"),
        ("url = 'postgres://u@h/d'\npasword = 'env:X'", "did you mean `password`?"),
    ] {
        let error = try_build("postgres", table).err().expect(table).to_string();
        assert!(error.contains(expected) && !error.contains("hunter2"), "{table}: {error}");
    }
}

#[tokio::test]
async fn a_log_in_with_few_rights_is_told_what_it_lacks() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    let report = connector(&server).test().await.unwrap();
    assert_eq!(report.missing_rights, Vec::<String>::new());
    assert_eq!(report.acting_as.as_deref(), Some("postgres"));
    assert!(report.target.starts_with("PostgreSQL "), "{}", report.target);

    server.sql("create role weak login password 'weakpw'");
    server.sql("create role keeper; alter table sales.orders owner to keeper");
    let table = format!("url = '{}'\n{}", server.url("weak", "postgres"), secret(&server, "weakpw"));
    let weak = build("postgres", &table);
    let missing = weak.test().await.unwrap().missing_rights.join("\n");
    for expected in [
        "CREATEROLE",
        "pg_signal_backend",
        "pg_read_all_stats",
        "owners of 1 table,",
        ": GRANT keeper TO weak",
        "on 1 table of postgres, who can do everything",
    ] {
        assert!(missing.contains(expected), "{missing}");
    }
    assert!(!missing.contains("GRANT postgres"), "nobody is advised to make a superuser of it: {missing}");
    for (verb, name) in [
        (Verb::Revoke, Some("role/team")),
        (Verb::Grant, Some("privilege/DELETE on sales.orders")),
        (Verb::Revoke, Some("privilege/INSERT on public.\"odd \"\" name\"")),
        (Verb::DisableAccount, None),
    ] {
        let held = name.map(entitlement);
        let why = refused(&*weak, verb, &account("alice"), held.as_ref()).await;
        assert!(why.contains("weak"), "{verb} {name:?}: {why}");
    }
    let mut session = server.live_session("postgres", "adminpw");
    let why = refused(&*weak, Verb::EndSessions, &account("postgres"), None).await;
    assert!(why.contains("lacks the right"), "{why}");
    session.kill().unwrap();
    session.wait().unwrap();
}
