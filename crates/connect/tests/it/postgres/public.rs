//! What everybody holds: by PostgreSQL's own default, which is inherent, and because somebody gave it to PUBLIC.

use leasehold_testing::PostgresServer;

use super::{COMPANY, connector};
use crate::harness::{account, entitlement, enumerate_all, read_grant};

/// `carol` holds EXECUTE herself on functions that everybody may execute, and on one that nobody else may.
const FUNCTIONS: &str = r#"
create function sales.untouched() returns int language sql as 'select 1';
create function sales.given() returns int language sql as 'select 1';
create function sales.closed() returns int language sql as 'select 1';
create procedure sales.pay() language sql as 'select 1';
grant execute on function sales.given() to carol;
revoke execute on function sales.closed() from public; grant execute on function sales.closed() to carol;
grant execute on function pg_catalog.pg_read_file(text) to public, carol;
grant execute on function pg_catalog.lower(text) to carol;
grant select on pg_catalog.pg_class to carol;
grant select on information_schema.tables to carol;
grant usage on schema sales to public;
grant create on database postgres to public;
create type sales.colour as enum ('red'); create domain sales.amount as int;
create type sales.pair as (a int, b int); create type sales.closed_type as enum ('a');
revoke usage on type sales.closed_type from public; grant usage on type sales.closed_type to carol;
"#;

#[tokio::test]
async fn what_everybody_holds_by_default_is_inherent_and_what_was_given_is_not() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    server.sql(FUNCTIONS);
    let connector = connector(&server);
    let facts = enumerate_all(&*connector).await;
    let by_default = [
        "privilege/EXECUTE on function sales.untouched()",
        "privilege/EXECUTE on function sales.given()",
        "privilege/EXECUTE on function sales.pay()",
        "privilege/EXECUTE on function lower(text)",
        "privilege/SELECT on pg_catalog.pg_class",
        "privilege/SELECT on information_schema.tables",
        "privilege/CONNECT on database postgres",
        "privilege/TEMPORARY on database postgres",
        "privilege/USAGE on schema public",
        "privilege/USAGE on type sales.colour",
        "privilege/USAGE on type sales.amount",
        "privilege/USAGE on type sales.pair",
        "privilege/USAGE on language plpgsql",
    ];
    let given = [
        "privilege/EXECUTE on function pg_read_file(text)",
        "privilege/SELECT on sales.orders",
        "privilege/USAGE on schema sales",
        "privilege/CREATE on database postgres",
    ];
    let of_some = [
        "privilege/EXECUTE on function sales.closed()",
        "privilege/EXECUTE on function sales.total(integer,text)",
        "privilege/USAGE on type sales.closed_type",
        "privilege/INSERT on public.\"odd \"\" name\"",
    ];
    for (names, from_public, inherent) in
        [(&by_default[..], true, true), (&given[..], true, false), (&of_some[..], false, false)]
    {
        for name in names {
            assert_eq!(facts.contains("role/PUBLIC", name), from_public, "{name}");
            assert_eq!(facts.entitlements[*name].inherent, inherent, "{name}");
            // Everybody holds it on that path, by the server's own reckoning.
            let (_, effective) = read_grant(&*connector, &account("gone"), &entitlement(name)).await;
            assert_eq!(effective, from_public, "{name}");
        }
    }
    // What PUBLIC holds is told in full: nothing is effective for everybody without a path that shows.
    let untold: Vec<&String> = facts
        .containments
        .iter()
        .filter(|(parent, child)| parent == "role/PUBLIC" && !by_default.contains(&child.as_str()))
        .map(|(_, child)| child)
        .filter(|child| !given.contains(&child.as_str()))
        .collect();
    assert!(untold.is_empty(), "{untold:?}");
}

#[tokio::test]
async fn an_extension_that_keeps_a_function_to_itself_makes_no_default() {
    let server = PostgresServer::start();
    server.sql("create extension if not exists dblink");
    let facts = enumerate_all(&*connector(&server)).await;
    let open = "privilege/EXECUTE on function public.dblink_connect(text)";
    let closed = "privilege/EXECUTE on function public.dblink_connect_u(text)";
    assert!(facts.contains("role/PUBLIC", open) && facts.entitlements[open].inherent);
    assert!(!facts.entitlements.contains_key(closed), "nobody but its owner holds it");
    server.sql("grant execute on function dblink_connect_u(text) to public");
    let facts = enumerate_all(&*connector(&server)).await;
    assert!(facts.contains("role/PUBLIC", closed) && !facts.entitlements[closed].inherent);
}
