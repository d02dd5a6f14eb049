//! Privileges that were passed on: each is taken away in any order, and never from anybody who was not asked about.

use leasehold_model::plan::Verb;
use leasehold_model::request::{Outcome, ReadTarget};
use leasehold_testing::PostgresServer;

use super::{COMPANY, connector, connector_as};
use crate::harness::{account, acknowledged, entitlement, enumerate_all, execute, read_grant, read_sessions};

/// `mover` holds SELECT with the grant option and has passed it on, to `relay` with the option, who passed it on again.
const PASSED_ON: &str = r#"
create role app_owner nologin;
create role mover login password 'moverpw'; create role p2 login; create role leaver login; create role stays login;
create role relay login password 'relaypw'; create role far login;
create schema pay authorization app_owner;
create table pay.t (id int, amount int); alter table pay.t owner to app_owner;
set role app_owner;
grant usage on schema pay to mover, p2, leaver, stays, relay, far;
grant select, update on pay.t to mover with grant option;
grant select (amount) on pay.t to p2;
set role mover;
grant select on pay.t to p2, leaver, stays, public;
grant update on pay.t to stays;
grant select on pay.t to relay with grant option;
set role relay;
grant select on pay.t to far;
reset role;
"#;

/// Who may do what with the table, without by whom.
const HELD: &str = "select distinct coalesce(a.attname, ''), x.grantee::regrole, x.privilege_type, x.is_grantable
  from pg_class c left join lateral (select null::name as attname, c.relacl as acl
    union all select attname, attacl from pg_attribute where attrelid = c.oid and attacl is not null) a on true
  cross join lateral aclexplode(a.acl) x where c.relname = 't' and x.grantee <> c.relowner order by 1, 2, 3, 4";

fn lines_but(text: &str, gone: &[&str]) -> Vec<String> {
    text.lines().filter(|line| !gone.iter().any(|gone| line.contains(gone))).map(str::to_owned).collect()
}

#[tokio::test]
async fn what_was_passed_on_goes_in_the_order_of_accounts_and_cascades_to_nobody() {
    for least in [false, true] {
        let server = PostgresServer::start();
        server.sql(PASSED_ON);
        // The least rights that the manual names: a member of the owner, and of none of the grantors.
        server.sql(
            "create role leasehold login createrole password 'leaseholdpw'; grant app_owner to leasehold",
        );
        let connector = if least { connector_as(&server, "leasehold") } else { connector(&server) };
        let (usage, select) =
            (entitlement("privilege/USAGE on schema pay"), entitlement("privilege/SELECT on pay.t"));
        let before = server.sql(HELD);
        let mut gone = Vec::new();
        for (login, held, line) in [
            ("leaver", &usage, None),
            ("leaver", &select, Some("|leaver|SELECT|")),
            ("mover", &usage, None),
            ("mover", &select, Some("|mover|SELECT|")),
            ("p2", &usage, None),
            ("relay", &select, Some("|relay|SELECT|")),
        ] {
            acknowledged(&*connector, Verb::Revoke, &account(login), Some(held)).await;
            gone.extend(line);
            let after = server.sql(HELD);
            assert_eq!(
                lines_but(&after, &[]),
                lines_but(&before, &gone),
                "least {least}: {login} {}",
                held.name
            );
            assert_eq!(
                execute(&*connector, Verb::Revoke, &account(login), Some(held)).await,
                Outcome::AlreadySo,
                "{login} {}",
                held.name
            );
        }
        let acl = server.sql("select relacl::text from pg_class where relname = 't'");
        assert!(acl.contains("far=r/app_owner") && acl.contains("stays=w/mover"), "{acl}");
        // What mover may still pass on is another privilege.
        assert!(
            enumerate_all(&*connector)
                .await
                .held_by("mover")
                .contains(&"privilege/UPDATE on pay.t".to_owned())
        );
    }
}

#[tokio::test]
async fn a_membership_that_was_passed_on_cascades_to_nobody() {
    let server = PostgresServer::start();
    server.sql(
        "create role team nologin; create role lead login password 'leadpw'; create role second login password 'secondpw';
         create role far login; create role near login; grant team to lead with admin option",
    );
    server
        .sql_as("lead", "leadpw", "postgres", "grant team to near; grant team to second with admin option")
        .unwrap();
    server.sql_as("second", "secondpw", "postgres", "grant team to far").unwrap();
    let members = || {
        server.sql(
            "select distinct member::regrole, bool_or(admin_option) from pg_auth_members
              where roleid = 'team'::regrole group by 1 order by 1",
        )
    };
    let before = members();
    let connector = connector(&server);
    acknowledged(&*connector, Verb::Revoke, &account("lead"), Some(&entitlement("role/team"))).await;
    assert_eq!(
        lines_but(&members(), &[]),
        lines_but(&before, &["lead|"]),
        "since version 16 others depend on it"
    );
    acknowledged(&*connector, Verb::Revoke, &account("far"), Some(&entitlement("role/team"))).await;
    assert_eq!(lines_but(&members(), &[]), lines_but(&before, &["lead|", "far|"]));
}

#[tokio::test]
async fn where_the_owner_is_out_of_reach_those_who_depend_on_it_go_first() {
    let server = PostgresServer::start();
    server.sql(PASSED_ON);
    server.sql("create role leasehold login createrole noinherit password 'leaseholdpw'; grant mover, relay to leasehold");
    let connector = connector_as(&server, "leasehold");
    let select = entitlement("privilege/SELECT on pay.t");
    let before = server.sql(HELD);
    match execute(&*connector, Verb::Revoke, &account("relay"), Some(&select)).await {
        Outcome::Retry { why, .. } => assert!(why.contains("must lose it first: far"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(server.sql(HELD), before, "nothing was changed");
    acknowledged(&*connector, Verb::Revoke, &account("far"), Some(&select)).await;
    acknowledged(&*connector, Verb::Revoke, &account("relay"), Some(&select)).await;
    assert_eq!(
        lines_but(&server.sql(HELD), &[]),
        lines_but(&before, &["|far|SELECT|", "|relay|SELECT|"]),
        "others were touched"
    );
}

#[tokio::test]
async fn an_owner_who_does_not_inherit_is_become() {
    let server = PostgresServer::start();
    server.sql(PASSED_ON);
    server.sql("create role leasehold login createrole noinherit password 'leaseholdpw'; grant app_owner to leasehold");
    let connector = connector_as(&server, "leasehold");
    for (login, name) in [("stays", "privilege/UPDATE on pay.t"), ("mover", "privilege/USAGE on schema pay")]
    {
        let held = entitlement(name);
        acknowledged(&*connector, Verb::Revoke, &account(login), Some(&held)).await;
        assert_eq!(read_grant(&*connector, &account(login), &held).await, (false, false), "{login} {name}");
    }
}

#[tokio::test]
async fn sessions_show_to_a_log_in_with_few_rights_and_outlive_their_role() {
    let server = PostgresServer::start();
    server.sql(COMPANY);
    server.sql("create role weak login password 'weakpw'; create role brief login password 'briefpw'");
    let weak = connector_as(&server, "weak");
    let mut sessions = [server.live_session("alice", "alicepw"), server.live_session("brief", "briefpw")];
    assert_eq!(
        read_sessions(&*weak, &account("alice")).await.len(),
        1,
        "others' sessions show without a right"
    );
    assert_eq!(read_sessions(&*weak, &account("bob")).await, []);

    server.sql("drop role brief");
    let brief = account("brief");
    let error =
        weak.read_back(&ReadTarget::Sessions { account: brief.clone() }).await.unwrap_err().to_string();
    assert!(error.contains("sessions of dropped roles go on"), "{error}");
    let why = crate::harness::refused(&*weak, Verb::EndSessions, &brief, None).await;
    assert!(why.contains("pg_terminate_backend"), "{why}");
    for session in &mut sessions {
        session.kill().unwrap();
        session.wait().unwrap();
    }
}
