//! Changes, checked with `psql`: made once, harmless twice, and nothing else touched.

use leasehold_model::plan::Verb;
use leasehold_model::request::Outcome;
use leasehold_testing::PostgresServer;

use super::{COMPANY, connector, connector_with};
use crate::harness::{
    account, acknowledged, entitlement, enumerate_all, execute, read_account, read_grant, read_sessions,
    refused,
};

/// Every membership, privilege and attribute as one text.
const STATE: &str = "
select 'member', r.rolname, m.rolname, a.admin_option::text
  from pg_auth_members a join pg_roles r on r.oid = a.roleid join pg_roles m on m.oid = a.member
union all select 'class', relname, array_to_string(array(select x::text from unnest(relacl) x order by 1), ' '), '' from pg_class where relacl is not null
union all select 'column', attrelid::regclass::text || attname, array_to_string(array(select x::text from unnest(attacl) x order by 1), ' '), '' from pg_attribute where attacl is not null
union all select 'function', proname, array_to_string(array(select x::text from unnest(proacl) x order by 1), ' '), '' from pg_proc where proacl is not null
union all select 'schema', nspname, array_to_string(array(select x::text from unnest(nspacl) x order by 1), ' '), '' from pg_namespace
union all select 'database', datname, array_to_string(array(select x::text from unnest(datacl) x order by 1), ' '), '' from pg_database
union all select 'default', defaclobjtype::text, array_to_string(array(select x::text from unnest(defaclacl) x order by 1), ' '), '' from pg_default_acl
union all select 'role', rolname, (rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls)::text, rolvaliduntil::text from pg_roles
order by 1, 2, 3, 4";

#[tokio::test]
async fn every_kind_is_given_and_taken_and_nothing_else_moves() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    server.sql("create role zed login");
    // Some lists become explicit with the first grant, and stay so; make them so before comparing.
    server.sql(
        "grant usage on schema public to zed; revoke usage on schema public from zed;
         grant connect on database postgres to zed; revoke connect on database postgres from zed;
         grant update on public.\"odd \"\" name\" to zed; revoke update on public.\"odd \"\" name\" from zed",
    );
    let cases = [
        ("role/team", "select pg_has_role('zed', 'team', 'member')"),
        ("role/pg_read_all_stats", "select pg_has_role('zed', 'pg_read_all_stats', 'member')"),
        ("role/alice", "select pg_has_role('zed', 'alice', 'member')"),
        ("attribute/superuser", "select rolsuper from pg_roles where rolname = 'zed'"),
        ("attribute/bypassrls", "select rolbypassrls from pg_roles where rolname = 'zed'"),
        ("attribute/createrole", "select rolcreaterole from pg_roles where rolname = 'zed'"),
        ("attribute/createdb", "select rolcreatedb from pg_roles where rolname = 'zed'"),
        ("attribute/replication", "select rolreplication from pg_roles where rolname = 'zed'"),
        ("privilege/DELETE on sales.orders", "select has_table_privilege('zed', 'sales.orders', 'delete')"),
        (
            "privilege/UPDATE (amount) on sales.orders",
            "select has_column_privilege('zed', 'sales.orders', 'amount', 'update')",
        ),
        (
            "privilege/UPDATE on public.\"odd \"\" name\"",
            "select has_table_privilege('zed', 'public.\"odd \"\" name\"', 'update')",
        ),
        (
            "privilege/SELECT on sequence sales.numbers",
            "select has_sequence_privilege('zed', 'sales.numbers', 'select')",
        ),
        (
            "privilege/EXECUTE on function sales.total(integer,text)",
            "select has_function_privilege('zed', 'sales.total(int, text)', 'execute')",
        ),
        ("privilege/CREATE on schema public", "select has_schema_privilege('zed', 'public', 'create')"),
        (
            "privilege/CREATE on database postgres",
            "select has_database_privilege('zed', 'postgres', 'create')",
        ),
        (
            "default/UPDATE on tables in schema sales",
            "select exists (select from pg_default_acl, aclexplode(defaclacl) x \
               where x.grantee = 'zed'::regrole and privilege_type = 'UPDATE')",
        ),
    ];
    let connector = connector(&server);
    let zed = account("zed");
    for (name, oracle) in cases {
        let held = entitlement(name);
        let before = server.sql(STATE);
        assert_eq!(server.sql(oracle), "f", "{name} before");
        assert_eq!(read_grant(&*connector, &zed, &held).await, (false, false), "{name} before");

        acknowledged(&*connector, Verb::Grant, &zed, Some(&held)).await;
        assert_eq!(server.sql(oracle), "t", "{name} granted");
        assert_eq!(read_grant(&*connector, &zed, &held).await, (true, true), "{name} granted");
        assert_eq!(execute(&*connector, Verb::Grant, &zed, Some(&held)).await, Outcome::AlreadySo, "{name}");
        let facts = enumerate_all(&*connector).await;
        assert!(facts.held_by("zed").contains(&name.to_owned()), "{name} is not read as it was written");

        acknowledged(&*connector, Verb::Revoke, &zed, Some(&held)).await;
        assert_eq!(server.sql(oracle), "f", "{name} revoked");
        assert_eq!(read_grant(&*connector, &zed, &held).await, (false, false), "{name} revoked");
        assert_eq!(execute(&*connector, Verb::Revoke, &zed, Some(&held)).await, Outcome::AlreadySo, "{name}");
        assert_eq!(server.sql(STATE), before, "{name} moved something else");
    }
}

#[tokio::test]
async fn names_that_look_like_statements_are_only_names() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    server.sql("create role y nologin");
    for name in
        ["x\"; drop role y; --", "'); drop role y; --", "%I %s $1", "a'b\"c\\d", "Ünï çode 名", "a/b:c"]
    {
        let quoted = name.replace('"', "\"\"");
        let literal = name.replace('\'', "''");
        server.sql(&format!(
            "create role \"{quoted}\" login; create role \"group {quoted}\"; create table public.\"{quoted}\" (\"{quoted}\" int)"
        ));
        let connector = connector(&server);
        let holder = account(name);
        let role = entitlement(&format!("role/group {name}"));
        let part = if name.chars().all(|c| c.is_ascii_lowercase()) {
            name.to_owned()
        } else {
            format!("\"{quoted}\"")
        };
        let privilege = entitlement(&format!("privilege/SELECT on public.{part}"));
        let column = entitlement(&format!("privilege/UPDATE ({part}) on public.{part}"));
        let oracles = [
            (role, format!("select pg_has_role('{literal}', 'group {literal}', 'member')")),
            (
                privilege,
                format!(
                    "select has_table_privilege('{literal}', 'public.\"{}\"', 'select')",
                    quoted.replace('\'', "''")
                ),
            ),
            (
                column,
                format!(
                    "select has_any_column_privilege('{literal}', 'public.\"{}\"', 'update')",
                    quoted.replace('\'', "''")
                ),
            ),
        ];
        for (held, oracle) in oracles {
            acknowledged(&*connector, Verb::Grant, &holder, Some(&held)).await;
            assert_eq!(server.sql(&oracle), "t", "{name}");
            assert_eq!(read_grant(&*connector, &holder, &held).await, (true, true), "{name}");
            let facts = enumerate_all(&*connector).await;
            assert!(facts.held_by(name).contains(&held.name.to_string()), "{} not read", held.name);
            acknowledged(&*connector, Verb::Revoke, &holder, Some(&held)).await;
            assert_eq!(server.sql(&oracle), "f", "{name}");
        }
        acknowledged(&*connector, Verb::DisableAccount, &holder, None).await;
        assert_eq!(server.sql(&format!("select rolcanlogin from pg_roles where rolname = '{literal}'")), "f");
        assert_eq!(server.sql("select count(*) from pg_roles where rolname = 'y'"), "1", "{name} was run");
    }
}

#[tokio::test]
async fn a_grant_by_somebody_else_is_revoked_too() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    // bob holds SELECT with the grant option, from the owner; he passes it on.
    server.sql_as("bob", "bobpw", "postgres", "grant select on sales.orders to carol").unwrap();
    let connector = connector(&server);
    let select = entitlement("privilege/SELECT on sales.orders");

    acknowledged(&*connector, Verb::Revoke, &account("carol"), Some(&select)).await;
    let acl = server.sql("select relacl::text from pg_class where relname = 'orders'");
    assert!(!acl.contains("carol"), "{acl}");
    acknowledged(&*connector, Verb::Revoke, &account("bob"), Some(&select)).await;
    let acl = server.sql("select relacl::text from pg_class where relname = 'orders'");
    assert!(!acl.contains("bob="), "{acl}");
}

#[tokio::test]
async fn a_membership_of_several_grantors_is_one_grant_and_goes_as_one() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    // Since version 16 this makes two memberships; before, the second changes nothing.
    server.sql("create role zed login; grant team to zed");
    server.sql_as("alice", "alicepw", "postgres", "grant team to zed").unwrap();
    let connector = connector(&server);
    let (zed, team) = (account("zed"), entitlement("role/team"));
    assert_eq!(enumerate_all(&*connector).await.held_by("zed"), ["role/PUBLIC", "role/team"]);
    acknowledged(&*connector, Verb::Revoke, &zed, Some(&team)).await;
    assert_eq!(server.sql("select pg_has_role('zed', 'team', 'member')"), "f");
    assert_eq!(read_grant(&*connector, &zed, &team).await, (false, false));
}

#[tokio::test]
async fn what_is_held_on_another_path_is_still_effective() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    server.sql("revoke select on sales.orders from public; grant base to alice");
    let connector = connector(&server);
    let (alice, base, select) =
        (account("alice"), entitlement("role/base"), entitlement("privilege/SELECT on sales.orders"));
    assert_eq!(read_grant(&*connector, &alice, &base).await, (true, true));
    acknowledged(&*connector, Verb::Revoke, &alice, Some(&base)).await;
    assert_eq!(read_grant(&*connector, &alice, &base).await, (false, true), "team still carries base");
    assert_eq!(read_grant(&*connector, &alice, &select).await, (false, true));
    acknowledged(&*connector, Verb::Revoke, &alice, Some(&entitlement("role/team"))).await;
    assert_eq!(read_grant(&*connector, &alice, &base).await, (false, false));
    assert_eq!(read_grant(&*connector, &alice, &select).await, (false, false));
    let denied = server.sql_as("alice", "alicepw", "postgres", "select * from sales.orders").unwrap_err();
    assert!(denied.contains("permission denied"), "{denied}");

    // carol does not inherit, and reaches it all the same: by becoming `team`.
    server.sql("revoke pg_read_all_data from carol");
    assert_eq!(read_grant(&*connector, &account("carol"), &select).await, (false, true));
    server.sql_as("carol", "carolpw", "postgres", "set role team; select * from sales.orders").unwrap();
}

#[tokio::test]
async fn a_disabled_account_stays_in_sight_and_cannot_log_in() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    let connector = connector(&server);
    server.sql("create role plain login");
    for (login, before) in [("alice", (true, true)), ("plain", (true, true)), ("gone", (true, true))] {
        let target = account(login);
        // `gone` is past its VALID UNTIL, which only ends log-ins by password.
        assert_eq!(read_account(&*connector, &target).await, before, "{login}");
        acknowledged(&*connector, Verb::DisableAccount, &target, None).await;
        assert_eq!(read_account(&*connector, &target).await, (true, false), "{login}");
        assert_eq!(execute(&*connector, Verb::DisableAccount, &target, None).await, Outcome::AlreadySo);
        let facts = enumerate_all(&*connector).await;
        assert!(!facts.accounts[login].enabled, "{login}");
        assert!(facts.held_by(login).contains(&"role/PUBLIC".to_owned()));
    }
    let refusal = server.sql_as("alice", "alicepw", "postgres", "select 1").unwrap_err();
    assert!(refusal.contains("not permitted to log in"), "{refusal}");
    assert_eq!(
        server.sql("select rolvaliduntil = '2030-01-01 00:00:00+00' from pg_roles where rolname = 'alice'"),
        "t"
    );
}

#[tokio::test]
async fn live_sessions_end_and_those_of_others_stay() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    let connector = connector(&server);
    let mut ended = [server.live_session("alice", "alicepw"), server.live_session("alice", "alicepw")];
    let mut stays = server.live_session("bob", "bobpw");
    let live = read_sessions(&*connector, &account("alice")).await;
    assert_eq!(live.len(), 2, "{live:?}");
    assert!(live.iter().all(|session| session.started_at.is_some() && session.detail.contains("postgres")));

    acknowledged(&*connector, Verb::EndSessions, &account("alice"), None).await;
    assert_eq!(read_sessions(&*connector, &account("alice")).await, []);
    assert_eq!(server.sql("select count(*) from pg_stat_activity where usename = 'alice'"), "0");
    assert_eq!(
        execute(&*connector, Verb::EndSessions, &account("alice"), None).await,
        Outcome::AlreadySo,
        "nothing is left to end"
    );
    for session in &mut ended {
        // psql notices with its next statement.
        use std::io::Write;
        let _ = session.stdin.take().unwrap().write_all(b"select 1;\n");
        assert!(!session.wait().unwrap().success(), "the session went on");
    }
    assert!(stays.try_wait().unwrap().is_none(), "bob's session ended too");
    stays.kill().unwrap();
    stays.wait().unwrap();
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_a_way_on() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    let connector = connector(&server);
    let cases = [
        (Verb::Revoke, "postgres", Some("attribute/superuser"), "the connector itself uses"),
        (Verb::DisableAccount, "postgres", None, "the connector itself uses"),
        (Verb::Revoke, "alice", Some("role/PUBLIC"), "belongs to PUBLIC"),
        (Verb::Grant, "alice", Some("owner/sales.orders"), "OWNER TO"),
        (Verb::Grant, "alice", Some("role/nobody-knows"), "there is no role/nobody-knows"),
        (Verb::Grant, "alice", Some("privilege/SELECT on sales.nothing"), "there is no privilege"),
        (Verb::Grant, "nobody", Some("role/team"), "there is no role `nobody`"),
        (Verb::Grant, "alice", Some("privilege/FLY on sales.orders"), "is not a privilege"),
        (Verb::Grant, "alice", Some("group/staff"), "is not a kind of entitlement"),
        (Verb::Grant, "alice", Some("default/SELECT on tables in schema x; drop role team"), "no rows"),
    ];
    for (verb, login, name, expected) in cases {
        let held = name.map(entitlement);
        let why = refused(&*connector, verb, &account(login), held.as_ref()).await;
        assert!(why.contains(expected), "{verb} {name:?}: {why}");
    }
    server.sql("create role circle nologin; grant alice to circle");
    let why = refused(&*connector, Verb::Grant, &account("alice"), Some(&entitlement("role/circle"))).await;
    assert!(why.contains("member of role"), "{why}");
    for (login, name) in [("nobody", "role/team"), ("alice", "role/nobody-knows")] {
        let held = entitlement(name);
        assert_eq!(
            execute(&*connector, Verb::Revoke, &account(login), Some(&held)).await,
            Outcome::AlreadySo
        );
        assert_eq!(read_grant(&*connector, &account(login), &held).await, (false, false));
    }
    assert_eq!(read_account(&*connector, &account("nobody")).await, (false, false));
}

#[tokio::test]
async fn a_privilege_in_another_database_is_reached_there() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    server.sql("create database \"App two\"");
    server.sql_in("App two", "create table public.notes (id int); grant select on notes to alice");
    let connector = connector_with(&server, "databases = ['App two']");
    let held = entitlement("privilege/SELECT on public.notes in database \"App two\"");
    assert_eq!(read_grant(&*connector, &account("alice"), &held).await, (true, true));
    acknowledged(&*connector, Verb::Revoke, &account("alice"), Some(&held)).await;
    let oracle = "select has_table_privilege('alice', 'public.notes', 'select')";
    assert_eq!(server.sql_in("App two", oracle), "f");
    assert_eq!(read_grant(&*connector, &account("alice"), &held).await, (false, false));
}
