//! Accounts that come, go, stop and come back, checked with `psql`.

use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, Outcome};
use leasehold_testing::PostgresServer;

use super::{COMPANY, connector, connector_as};
use crate::harness::{
    account, acknowledged, entitlement, enumerate_all, execute, read_account, read_grant, refused,
};

#[tokio::test]
async fn an_account_that_is_let_in_again_is_as_it_was() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    server.sql("create role plain login password 'plainpw'");
    let connector = connector(&server);
    let until = |login: &str| {
        server.sql(&format!(
            "select coalesce(rolvaliduntil::text, 'none') from pg_roles where rolname = '{login}'"
        ))
    };
    for (login, enters, end) in [
        ("alice", true, "2030-01-01 00:00:00+00"),
        ("plain", true, "infinity"),
        ("gone", false, "2020-01-01 00:00:00+00"),
    ] {
        let target = account(login);
        assert_eq!(execute(&*connector, Verb::EnableAccount, &target, None).await, Outcome::AlreadySo);
        acknowledged(&*connector, Verb::DisableAccount, &target, None).await;
        server.sql_as(login, &format!("{login}pw"), "postgres", "select 1").unwrap_err();
        let outcome = execute(&*connector, Verb::EnableAccount, &target, None).await;
        let Outcome::Acknowledged { detail } = outcome else { panic!("{outcome:?}") };
        assert_eq!(detail.contains("no password lets it in"), !enters, "{login}: {detail}");
        assert_eq!(read_account(&*connector, &target).await, (true, true), "{login}");
        assert_eq!(until(login), end, "{login}");
        let entered = server.sql_as(login, &format!("{login}pw"), "postgres", "select 1");
        assert_eq!(entered.is_ok(), enters, "{login}: {entered:?}");
    }
}

#[tokio::test]
async fn a_new_account_holds_nothing_and_has_no_password() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    // Since version 16 whoever makes a role may also give roles to it that they administer.
    server.sql(
        "create role made_by login createrole password 'made_bypw'; grant team to made_by with admin option",
    );
    let connector = connector_as(&server, "made_by");
    let target = AccountTarget::by_login("new.person");
    assert_eq!(read_account(&*connector, &target).await, (false, false));
    acknowledged(&*connector, Verb::CreateAccount, &target, None).await;
    assert_eq!(execute(&*connector, Verb::CreateAccount, &target, None).await, Outcome::AlreadySo);
    assert_eq!(
        server.sql(
            "select rolcanlogin and rolpassword is null and not (rolsuper or rolcreaterole or rolcreatedb or \
             rolreplication or rolbypassrls) and not exists (select from pg_auth_members where member = r.oid)
             from pg_authid r where rolname = 'new.person'"
        ),
        "t"
    );
    for password in ["", "new.person"] {
        server.sql_as("new.person", password, "postgres", "select 1").unwrap_err();
    }
    let team = entitlement("role/team");
    acknowledged(&*connector, Verb::Grant, &target, Some(&team)).await;
    assert_eq!(read_grant(&*connector, &target, &team).await, (true, true));
    assert_eq!(server.sql("select pg_has_role('new.person', 'team', 'member')"), "t");

    for (login, why) in [
        ("team", "is a role already"),
        ("parked", "is a role already"),
        ("", "cannot be the name of a role"),
        (&"ü".repeat(32), "cannot be the name of a role"),
        ("pg_new", "reserved"),
    ] {
        let said = refused(&*connector, Verb::CreateAccount, &AccountTarget::by_login(login), None).await;
        assert!(said.contains(why), "{login}: {said}");
    }
    let denied = connector_as(&server, "alice");
    let said = refused(&*denied, Verb::CreateAccount, &AccountTarget::by_login("other"), None).await;
    assert!(said.contains("permission denied") && said.contains("leasehold connector test"), "{said}");
}

#[tokio::test]
async fn an_account_is_dropped_only_when_it_owns_and_holds_nothing() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    server.sql("create database second");
    server.sql_in("second", "create table of_carol (id int); alter table of_carol owner to carol");
    let connector = connector(&server);
    let carol = account("carol");
    let why = refused(&*connector, Verb::DeleteAccount, &carol, None).await;
    for word in ["cannot be dropped", "second", "REASSIGN OWNED"] {
        assert!(why.contains(word), "{word}: {why}");
    }
    assert_eq!(
        server.sql_in("second", "select tableowner from pg_tables where tablename = 'of_carol'"),
        "carol"
    );
    server.sql_in("second", "reassign owned by carol to postgres");
    acknowledged(&*connector, Verb::DeleteAccount, &carol, None).await;
    assert_eq!(read_account(&*connector, &carol).await, (false, false));
    assert_eq!(execute(&*connector, Verb::DeleteAccount, &carol, None).await, Outcome::AlreadySo);
    assert_eq!(
        server.sql("select count(*) from pg_roles where rolname in ('alice', 'bob', 'team', 'base')"),
        "4"
    );
    let why = refused(&*connector, Verb::DeleteAccount, &account("postgres"), None).await;
    assert!(why.contains("the connector itself uses"), "{why}");
}

/// `VALID UNTIL` is looked at where a password is: whoever is let in by something else is let in all the same.
#[tokio::test]
async fn a_role_past_its_end_is_open_until_it_is_disabled() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    server.let_in_without_password("gone");
    let enters = || server.sql_as("gone", "", "postgres", "select 1").is_ok();
    assert!(enters(), "its end is past, and it does not log in by a password");

    let connector = connector(&server);
    let gone = account("gone");
    let found = enumerate_all(&*connector).await.accounts.remove("gone").expect("is told");
    assert!(found.enabled && found.expires_at.is_none(), "{found:?}");
    assert_eq!(read_account(&*connector, &gone).await, (true, true));
    acknowledged(&*connector, Verb::DisableAccount, &gone, None).await;
    assert_eq!(read_account(&*connector, &gone).await, (true, false));
    assert!(!enters(), "it logs in although it is disabled");
    let found = enumerate_all(&*connector).await.accounts.remove("gone").expect("is told");
    assert!(!found.enabled, "{found:?}");
    assert_eq!(found.attributes["password_valid_until"], "2020-01-01T00:00:00Z");
}
