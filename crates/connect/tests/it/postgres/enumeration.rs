//! What is read, against what `psql` says.

use leasehold_model::account::{LastUse, PostureFinding};
use leasehold_testing::PostgresServer;

use super::{COMPANY, connector, connector_with};
use crate::harness::{enumerate, enumerate_all};

#[tokio::test]
async fn everything_that_somebody_holds_is_read() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    let facts = enumerate_all(&*connector(&server)).await;

    let expected: &[(&str, &[&str])] = &[
        (
            "alice",
            &[
                "privilege/EXECUTE on function sales.total(integer,text)",
                "privilege/INSERT on public.\"odd \"\" name\"",
                "privilege/USAGE on sequence sales.numbers",
                "role/PUBLIC",
                "role/team",
            ],
        ),
        (
            "bob",
            &[
                "attribute/createdb",
                "privilege/SELECT on sales.orders",
                "privilege/UPDATE (amount) on sales.orders",
                "role/PUBLIC",
                "role/alice",
                "role/ops",
            ],
        ),
        ("carol", &["role/PUBLIC", "role/pg_read_all_data", "role/team"]),
        ("gone", &["role/PUBLIC"]),
        ("parked", &["role/PUBLIC"]),
        (
            "postgres",
            &[
                "attribute/bypassrls",
                "attribute/createdb",
                "attribute/createrole",
                "attribute/replication",
                "attribute/superuser",
                "owner/database postgres",
                "owner/public.\"odd \"\" name\"",
                "role/PUBLIC",
            ],
        ),
    ];
    let logins: Vec<&str> = facts.accounts.keys().map(String::as_str).collect();
    assert_eq!(logins, expected.iter().map(|(login, _)| *login).collect::<Vec<_>>());
    for (login, held) in expected {
        assert_eq!(facts.held_by(login), *held, "{login}");
    }

    for (parent, child) in [
        ("role/team", "role/base"),
        ("role/base", "privilege/SELECT on sales.orders"),
        ("role/base", "privilege/USAGE on schema sales"),
        ("role/base", "default/SELECT on tables in schema sales"),
        ("role/alice", "role/team"),
        ("role/alice", "privilege/USAGE on sequence sales.numbers"),
        ("role/ops", "attribute/createrole"),
        ("role/owner_role", "owner/sales.orders"),
        ("owner/sales.orders", "privilege/SELECT on sales.orders"),
        ("role/PUBLIC", "privilege/SELECT on sales.orders"),
        ("role/PUBLIC", "privilege/CONNECT on database postgres"),
        ("role/pg_read_all_data", "privilege/SELECT on sales.orders"),
        ("attribute/superuser", "role/base"),
        ("attribute/superuser", "privilege/SELECT on sales.orders"),
        ("owner/database postgres", "role/pg_database_owner"),
        ("role/pg_monitor", "role/pg_read_all_stats"),
    ] {
        assert!(facts.contains(parent, child), "{parent} should carry {child}");
    }
    assert!(!facts.entitlements.contains_key("role/carol"), "nobody is a member of carol");
    assert!(!facts.contains("role/base", "role/team"), "containment is turned round");

    assert_eq!(facts.options("alice", "role/team"), Some("admin, granted by postgres"));
    assert_eq!(facts.options("carol", "role/team"), Some("inherit=false, granted by postgres"));
    assert_eq!(facts.options("bob", "privilege/SELECT on sales.orders"), Some("grant option"));

    let privileged: Vec<&str> = facts
        .entitlements
        .values()
        .filter(|entitlement| entitlement.privileged && !entitlement.name.name.starts_with("pg_"))
        .map(|entitlement| entitlement.name.name.as_str())
        .collect();
    assert_eq!(privileged, ["bypassrls", "createrole", "replication", "superuser", "ops"]);
    assert!(facts.entitlements["role/pg_read_all_data"].privileged);
    assert!(facts.entitlements["role/PUBLIC"].inherent);
    assert!(facts.entitlements["owner/sales.orders"].irrevocable.as_deref().unwrap().contains("OWNER TO"));
}

#[tokio::test]
async fn accounts_carry_their_switches() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    let mut session = server.live_session("alice", "alicepw");
    let facts = enumerate_all(&*connector(&server)).await;
    session.kill().unwrap();
    session.wait().unwrap();

    // None is an end of the account itself.
    assert!(facts.accounts.values().all(|account| account.expires_at.is_none()), "{:?}", facts.accounts);
    let until =
        |login: &str| facts.accounts[login].attributes.get("password_valid_until").map(String::as_str);
    assert_eq!(until("alice"), Some("2030-01-01T00:00:00Z"));
    assert_eq!(until("bob"), None, "infinity is no end");
    assert_eq!(until("gone"), Some("2020-01-01T00:00:00Z"));
    assert!(facts.accounts["gone"].enabled, "a log-in without a password may still come");
    assert!(facts.accounts["alice"].enabled && !facts.accounts["parked"].enabled);
    assert!(matches!(facts.accounts["alice"].last_use, LastUse::At(_)), "alice has a live session");
    assert_eq!(facts.accounts["bob"].last_use, LastUse::Unknown, "nobody knows when bob was last here");
    assert_eq!(facts.accounts["postgres"].posture, [PostureFinding::Superuser]);
    assert_eq!(facts.accounts["alice"].attributes["description"], "Alice of the test");
}

#[tokio::test]
async fn more_roles_than_one_portion_all_come() {
    let server = PostgresServer::start();
    server.sql(
        "do $$ begin for i in 1..2300 loop execute format('create role member_%s login', i);
           execute format('grant pg_monitor to member_%s', i); end loop; end $$",
    );
    let facts = enumerate_all(&*connector(&server)).await;
    let counted = server.sql("select count(*) from pg_roles where rolcanlogin");
    assert_eq!(facts.accounts.len().to_string(), counted);
    let members = facts.grants.iter().filter(|grant| grant.entitlement.name == "pg_monitor").count();
    assert_eq!(members, 2300);
    assert!(facts.batches > 1, "facts came in one piece");
}

#[tokio::test]
async fn other_databases_and_schemas_are_read_where_they_are_asked_for() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    server.sql("create database \"App two\"");
    server.sql_in("App two", "create table public.notes (id int); grant select on notes to alice");
    let connector = connector_with(&server, "databases = ['App two', 'postgres']\nschemas = ['public']");
    let facts = enumerate_all(&*connector).await;
    let held = facts.held_by("alice");
    assert!(
        held.contains(&"privilege/SELECT on public.notes in database \"App two\"".to_owned()),
        "{held:?}"
    );
    assert!(!held.iter().any(|name| name.contains("sales.")), "the schema was not asked for: {held:?}");
}

#[tokio::test]
async fn what_may_not_be_read_makes_it_partial() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    server.sql("create role reader login password 'readerpw'");
    let path = server.folder().join("reader");
    std::fs::write(&path, "readerpw\n").unwrap();
    let url = server.url("reader", "postgres");
    let table = format!("url = '{url}'\npassword = 'file:{}'", path.display());
    let connector = crate::harness::build("postgres", &table);
    assert!(enumerate(&*connector).await.1.is_complete(), "an ordinary role sees every catalogue");

    server.sql("revoke select on pg_catalog.pg_auth_members from public");
    let (facts, completeness) = enumerate(&*connector).await;
    assert!(!completeness.is_complete());
    assert!(completeness.detail().contains("memberships"), "{completeness:?}");
    assert!(facts.accounts.contains_key("alice"), "what could be read is kept");
}

#[tokio::test]
async fn a_changed_privilege_of_a_system_object_is_read() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    server.sql(
        "grant select on pg_catalog.pg_authid to alice; grant execute on function pg_read_file(text) to bob",
    );
    let facts = enumerate_all(&*connector(&server)).await;
    assert!(facts.held_by("alice").contains(&"privilege/SELECT on pg_catalog.pg_authid".to_owned()));
    assert!(facts.held_by("bob").contains(&"privilege/EXECUTE on function pg_read_file(text)".to_owned()));
    let installed = facts.entitlements.keys().filter(|name| name.contains("information_schema")).count();
    assert_eq!(installed, 0, "what PostgreSQL itself installs is no finding");
}
