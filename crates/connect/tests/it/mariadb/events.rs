//! Events: told with their definer, stopped so that the server does nothing more, brought back as they were, dropped.

use std::time::{Duration, Instant};

use leasehold_model::account::LastUse;
use leasehold_model::credential::CredentialKind;
use leasehold_model::fact::Fact;
use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, CredentialTarget, Outcome};
use leasehold_testing::MariadbServer;

use super::{COMPANY, account, connector, connector_as};
use crate::harness::{
    acknowledged, change_credential, hand_over, read_account, read_credential, read_hand_over, refused,
};
use crate::support::collect;

/// Two events that note every second who they run as; Alice's is odd in every way that a change could lose.
const EVENTS: &str = r"
create table app.ran (who text);
grant insert, event on app.* to alice@'127.0.0.1'; grant insert, event on app.* to carol@'%';
set sql_mode = 'ANSI_QUOTES'; set time_zone = '+05:00'; set names latin1 collate latin1_german2_ci;
create definer = alice@'127.0.0.1' event app.`nightly ``x` on schedule every 1 second
    starts '2026-01-01 00:00:00' ends '2037-12-01 00:00:00' on completion preserve comment 'of Alice'
    do insert into app.ran (who) values ('alice');
set sql_mode = default; set time_zone = default; set names utf8mb4;
create definer = carol event app.witness on schedule every 1 second do insert into app.ran (who) values ('carol');
create definer = 'nobody'@'%' event app.stray on schedule every 1 day do select 1;
set global event_scheduler = on;
";

const ALICE: &str = "alice@127.0.0.1";
const KEY: &str = "event app.`nightly ``x`";

fn event(key: &str) -> CredentialTarget {
    CredentialTarget { key: key.into(), kind: CredentialKind::ScheduledJob }
}

fn ran(server: &MariadbServer, who: &str) -> u64 {
    server.sql(&format!("select count(*) from app.ran where who = '{who}'")).parse().expect("a number")
}

/// Waits until the server has done somebody's work this many more times.
fn wait_for(server: &MariadbServer, who: &str, more: u64) {
    let (wanted, until) = (ran(server, who) + more, Instant::now() + Duration::from_secs(120));
    while ran(server, who) < wanted {
        assert!(Instant::now() < until, "the server does not run the event of {who}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Everything that the server keeps of Alice's event but what running and changing it changes.
fn definition(server: &MariadbServer) -> String {
    server.sql(
        "select db, name, body, definer, execute_at, interval_value, interval_field, created, starts, ends, status, on_completion, \
         sql_mode, comment, originator, time_zone, character_set_client, collation_connection, db_collation, body_utf8 \
         from mysql.event where name like 'nightly%'",
    )
}

#[tokio::test]
async fn events_are_scheduled_jobs_of_their_definer() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    server.sql(EVENTS);
    wait_for(&server, "alice", 1);
    let (told, ended) = collect(&*connector(&server)).await;
    assert!(
        ended.as_ref().is_ok_and(|ended| ended.is_complete() && ended.detail().ends_with("; 3 events")),
        "{ended:?}"
    );
    let mut credentials: Vec<_> = told
        .facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Credential(credential) => Some(credential),
            _ => None,
        })
        .collect();
    credentials.sort_by_key(|credential| credential.key.to_string());
    let named: Vec<_> =
        credentials.iter().map(|found| (found.key.as_str(), found.account.as_str(), found.active)).collect();
    assert_eq!(named, [(KEY, ALICE, true), ("event app.witness", "carol@%", true)]);
    assert!(credentials.iter().all(|found| found.kind == CredentialKind::ScheduledJob));
    let alice = credentials[0];
    let LastUse::At(last) = alice.last_use else { panic!("it ran: {alice:?}") };
    assert!(alice.created_at.is_some_and(|created| created <= last), "{alice:?}");
    // What was written is in the event's own time zone.
    assert_eq!(alice.expires_at, Some("2037-11-30T19:00:00Z".parse().expect("an instant")), "{alice:?}");
    let [problem] = told.problems.as_slice() else { panic!("{:?}", told.problems) };
    assert_eq!(problem.place, "event app.stray of nobody@%");
}

#[tokio::test]
async fn a_stopped_event_does_nothing_more_and_comes_back_as_it_was() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    server.sql(EVENTS);
    let (connector, alice) = (connector(&server), account(ALICE));
    // A lock stops log-ins, and not the server's own work in somebody's name.
    acknowledged(&*connector, Verb::DisableAccount, &alice, None).await;
    wait_for(&server, "alice", 2);
    let before = definition(&server);
    assert_eq!(read_credential(&*connector, &alice, &event(KEY)).await, (true, true));
    let outcome = change_credential(&*connector, Verb::DisableCredential, &alice, &event(KEY)).await;
    assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{outcome:?}");
    assert_eq!(read_credential(&*connector, &alice, &event(KEY)).await, (true, false));
    let again = change_credential(&*connector, Verb::DisableCredential, &alice, &event(KEY)).await;
    assert_eq!(again, Outcome::AlreadySo);
    // One that had begun may end yet. The other event shows that time goes on.
    wait_for(&server, "carol", 2);
    let stopped = ran(&server, "alice");
    wait_for(&server, "carol", 3);
    assert_eq!(ran(&server, "alice"), stopped, "it ran although it was stopped");

    let outcome = change_credential(&*connector, Verb::EnableCredential, &alice, &event(KEY)).await;
    assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{outcome:?}");
    assert_eq!(read_credential(&*connector, &alice, &event(KEY)).await, (true, true));
    assert_eq!(definition(&server), before, "definer, body, zone, mode and character sets are as they were");
    assert!(before.contains("latin1_german2_ci"), "{before}");
    wait_for(&server, "alice", 1);
    // The session that made the change reads other letters as before.
    server.sql("create user `zoë`@'%'");
    assert_eq!(read_account(&*connector, &account("zoë@%")).await, (true, true));
}

#[tokio::test]
async fn an_event_that_is_handed_over_runs_as_whoever_has_it_now_and_is_the_same_otherwise() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    server.sql(EVENTS);
    let (connector, alice, carol) = (connector(&server), account(ALICE), account("carol@%"));
    let connector = connector.as_ref();
    // Who does it: what the server itself says.
    server.sql(
        "alter definer = alice@'127.0.0.1' event app.`nightly ``x` do insert into app.ran (who) values (current_user())",
    );
    wait_for(&server, ALICE, 1);
    let change = change_credential(connector, Verb::DisableCredential, &alice, &event(KEY)).await;
    assert!(matches!(change, Outcome::Acknowledged { .. }), "{change:?}");
    let before = definition(&server);
    assert_eq!(read_hand_over(connector, &alice, &event(KEY), &carol).await, (false, false));

    // The server would do nothing in it, and tell nobody but its log.
    server.sql("revoke event on app.* from carol@'%'; revoke super on *.* from carol@'%'");
    match hand_over(connector, &alice, &event(KEY), &carol).await {
        Outcome::Refused { why } => assert!(why.contains("carol@% lacks EVENT on app of its own"), "{why}"),
        other => panic!("{other:?}"),
    }
    // What a role holds helps an event nothing, though its definer may use the role.
    server.sql(
        "create role eventers; grant event, insert on app.* to eventers; grant eventers to carol@'%'; set default role eventers for carol@'%'",
    );
    match hand_over(connector, &alice, &event(KEY), &carol).await {
        Outcome::Refused { why } => assert!(why.contains("of its own"), "{why}"),
        other => panic!("{other:?}"),
    }
    let by_role = "create definer = carol event app.by_role on schedule every 1 second do insert into app.ran (who) values ('by role')";
    server.sql(by_role);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(ran(&server, "by role"), 0, "the server runs an event of whoever has EVENT by a role");
    server.sql("drop event app.by_role; grant super on *.* to carol@'%'");
    match hand_over(connector, &alice, &event(KEY), &carol).await {
        Outcome::Refused { why } => assert!(why.contains("which has SUPER"), "{why}"),
        other => panic!("{other:?}"),
    }
    server.sql("revoke super on *.* from carol@'%'");
    server.sql("grant event on app.* to carol@'%'; alter user carol@'%' account lock");
    match hand_over(connector, &alice, &event(KEY), &carol).await {
        Outcome::Refused { why } => assert!(why.contains("carol@% is locked"), "{why}"),
        other => panic!("{other:?}"),
    }
    server.sql("alter user carol@'%' account unlock");
    match hand_over(connector, &alice, &event("event app.witness"), &carol).await {
        Outcome::AlreadySo => {}
        other => panic!("it is hers: {other:?}"),
    }
    match hand_over(connector, &alice, &event("event app.stray"), &carol).await {
        Outcome::Refused { why } => assert!(why.contains("runs as nobody@% and no longer as"), "{why}"),
        other => panic!("it was nobody's: {other:?}"),
    }

    let outcome = hand_over(connector, &alice, &event(KEY), &carol).await;
    assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{outcome:?}");
    assert_eq!(read_hand_over(connector, &alice, &event(KEY), &carol).await, (true, true));
    assert_eq!(read_credential(connector, &alice, &event(KEY)).await, (false, false));
    assert_eq!(read_credential(connector, &carol, &event(KEY)).await, (true, true));
    assert_eq!(hand_over(connector, &alice, &event(KEY), &carol).await, Outcome::AlreadySo);
    let handed_over = before.replace(ALICE, "carol@%").replace("DISABLED", "ENABLED");
    assert_eq!(definition(&server), handed_over);
    let ran_as_alice = ran(&server, ALICE);
    wait_for(&server, "carol@%", 2);
    assert_eq!(ran(&server, ALICE), ran_as_alice, "nothing runs as Alice any more");
}

#[tokio::test]
async fn a_dropped_event_is_gone_and_every_other_stays() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    server.sql(EVENTS);
    let (connector, alice) = (connector(&server), account(ALICE));
    // Somebody else's event is not dropped by naming it.
    for key in ["event app.witness", "event app.nothing"] {
        assert_eq!(read_credential(&*connector, &alice, &event(key)).await, (false, false), "{key}");
        let outcome = change_credential(&*connector, Verb::RevokeCredential, &alice, &event(key)).await;
        assert_eq!(outcome, Outcome::AlreadySo, "{key}");
    }
    let outcome = change_credential(&*connector, Verb::RevokeCredential, &alice, &event(KEY)).await;
    assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{outcome:?}");
    assert_eq!(read_credential(&*connector, &alice, &event(KEY)).await, (false, false));
    assert_eq!(server.sql("select group_concat(name order by name) from mysql.event"), "stray,witness");
    match change_credential(&*connector, Verb::EnableCredential, &alice, &event(KEY)).await {
        Outcome::Refused { why } => assert!(why.contains("has no `event"), "{why}"),
        other => panic!("{other:?}"),
    }
    // A new account would take over what was left to its name.
    let why = refused(&*connector, Verb::CreateAccount, &AccountTarget::by_login("nobody"), None).await;
    assert!(why.contains("event app.stray") && why.contains("rights of the new one"), "{why}");
}

#[tokio::test]
async fn without_the_rights_of_the_documents_an_event_goes_on_and_is_never_called_stopped() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    server.sql(EVENTS);
    server.sql("create user reader@'%' identified by 'readerpw'; grant select on mysql.* to reader@'%'");
    // The server looks at such rights when somebody logs in.
    let (mut reader, alice) = (connector_as(&server, "reader"), account(ALICE));
    let report = reader.test().await.expect("reads");
    for right in ["EVENT on *.*", "SET USER on *.*"] {
        assert!(report.missing_rights.iter().any(|missing| missing.starts_with(right)), "{report:?}");
    }
    for grant in ["event", "set user"] {
        match change_credential(&*reader, Verb::DisableCredential, &alice, &event(KEY)).await {
            Outcome::Refused { why } => assert!(why.contains("lacks the right"), "{why}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(read_credential(&*reader, &alice, &event(KEY)).await, (true, true));
        server.sql(&format!("grant {grant} on *.* to reader@'%'"));
        reader = connector_as(&server, "reader");
    }
    let outcome = change_credential(&*reader, Verb::DisableCredential, &alice, &event(KEY)).await;
    assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{outcome:?}");
    assert_eq!(server.sql("select definer from mysql.event where name like 'nightly%'"), ALICE);
}

#[tokio::test]
async fn an_event_of_a_role_is_told_as_what_goes_on_without_anybody() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    server.sql(
        "create table app.ran (who text); grant insert, event on app.* to team; set global event_scheduler = on;
         create definer = team event app.of_role on schedule every 1 second do insert into app.ran (who) values ('team');
         create definer = nobody@'%' event app.stray on schedule every 1 day do select 1;",
    );
    // Whoever may use the role could have made it, and here that was Alice.
    server.sql("drop user alice@'127.0.0.1', alice@'10.%'");
    wait_for(&server, "team", 2);
    let connector = connector(&server);
    for (change, words) in [
        ("enable", "it runs with all that role/team holds"),
        ("disable", "is stopped, and would run with all that role/team holds"),
    ] {
        server.sql(&format!("alter definer = team event app.of_role {change}"));
        let (told, ended) = collect(&*connector).await;
        assert!(ended.as_ref().is_ok_and(|ended| ended.is_complete()), "{ended:?}");
        assert!(!told.facts.iter().any(|fact| matches!(fact, Fact::Credential(_))), "it is nobody's");
        let message = |place: &str| {
            let found = told.problems.iter().find(|problem| problem.place == place);
            found.map(|found| found.message.as_str()).unwrap_or_else(|| panic!("{:?}", told.problems))
        };
        assert!(message("event app.of_role of team@").contains(words), "{:?}", told.problems);
        assert!(message("event app.stray of nobody@%").contains("does nothing"), "{:?}", told.problems);
    }
    server.sql("drop role team");
    let (told, _) = collect(&*connector).await;
    let of_role = told.problems.iter().find(|problem| problem.place.contains("of_role")).expect("is told");
    assert!(of_role.message.contains("until that role is made"), "{of_role:?}");
}

/// Where a letter swallows the backtick after it, the name in a statement is another: here that of somebody else's event.
#[tokio::test]
async fn an_event_whose_name_is_another_in_its_character_set_is_left_to_people() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    server.sql(
        r"create definer = carol event app.`n乣` on schedule every 1 day do select 1;
          set @text = 'create definer = alice@\'127.0.0.1\' event app.`n乣乗` on schedule every 1 day do select 1';
          set names gbk; execute immediate @text;",
    );
    let name = server.sql("select name from mysql.event where character_set_client = 'gbk'");
    assert_eq!(name, r"n乣\", "the server itself took a part of the letter for a backslash");
    let (connector, alice) = (connector(&server), account(ALICE));
    let (told, _) = collect(&*connector).await;
    let credential = told.facts.iter().find_map(|fact| match fact {
        Fact::Credential(credential) if credential.account.as_str() == ALICE => Some(credential),
        _ => None,
    });
    let key = event(credential.expect("it is told").key.as_str());
    match change_credential(&*connector, Verb::DisableCredential, &alice, &key).await {
        Outcome::Refused { why } => {
            assert!(why.contains("character set gbk") && why.contains("ALTER EVENT … DISABLE"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(read_credential(&*connector, &alice, &key).await, (true, true));
    assert_eq!(server.sql("select group_concat(distinct status) from mysql.event"), "ENABLED");
    // Dropping it takes no character set of its author.
    let outcome = change_credential(&*connector, Verb::RevokeCredential, &alice, &key).await;
    assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{outcome:?}");
    assert_eq!(server.sql("select definer from mysql.event"), "carol@%");
}

/// What is not in the author's character sets must change neither the name nor the definer on the way.
#[tokio::test]
async fn names_and_definers_hold_in_every_character_set_that_an_author_may_choose() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    let (connector, alice, zoe) = (connector(&server), account(ALICE), account("zoë中@%"));
    // In swe7 there is no backtick.
    server.sql(
        r"set collation_connection = swe7_swedish_ci;
          create definer = alice@'127.0.0.1' event app.`swedish one` on schedule every 1 day do select 1;",
    );
    let swedish = event("event app.`swedish one`");
    let outcome = change_credential(&*connector, Verb::DisableCredential, &alice, &swedish).await;
    assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{outcome:?}");
    assert_eq!(read_credential(&*connector, &alice, &swedish).await, (true, false));
    let kept = server.sql("select collation_connection from mysql.event where name = 'swedish one'");
    assert_eq!(kept, "swe7_swedish_ci");
    // In latin1 the definer would become `zo??`.
    server.sql(
        r"create user `zoë中`@'%';
          set @text = 'create definer = current_user event app.latin on schedule every 1 day do select 1';
          set names latin1; execute immediate @text; set names utf8mb4;
          update mysql.event set definer = 'zoë中@%' where name = 'latin';",
    );
    let latin = event("event app.latin");
    match change_credential(&*connector, Verb::DisableCredential, &zoe, &latin).await {
        Outcome::Refused { why } => assert!(why.contains("character set latin1"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(server.sql("select definer from mysql.event where name = 'latin'"), "zoë中@%");
}
