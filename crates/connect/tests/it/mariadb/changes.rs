//! Changes, each checked with the server's own client: what is gone is gone, and nobody else lost anything.

use std::io::Write as _;
use std::time::{Duration, Instant};

use leasehold_model::plan::Verb;
use leasehold_model::request::{Outcome, ReadBack, ReadTarget};
use leasehold_testing::MariadbServer;

use super::{COMPANY, account, complete, connector};
use crate::harness::{acknowledged, entitlement, execute};

#[tokio::test]
async fn whatever_is_told_of_an_account_can_be_taken_away() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    let connector = connector(&server);
    let before = complete(connector.as_ref()).await;
    for key in ["carol@%", "alice@127.0.0.1"] {
        let account = account(key);
        let held = before.grants.iter().filter(|grant| grant.account.as_str() == key);
        for grant in held.filter(|grant| grant.entitlement.to_string() != "role/PUBLIC") {
            let target = entitlement(&grant.entitlement.to_string());
            acknowledged(connector.as_ref(), Verb::Revoke, &account, Some(&target)).await;
            let again = execute(connector.as_ref(), Verb::Revoke, &account, Some(&target)).await;
            assert_eq!(again, Outcome::AlreadySo, "{key} {}", grant.entitlement);
            // It comes back the same, and goes again.
            acknowledged(connector.as_ref(), Verb::Grant, &account, Some(&target)).await;
            acknowledged(connector.as_ref(), Verb::Revoke, &account, Some(&target)).await;
        }
    }
    let shown = server.sql("show grants for carol@'%'");
    let left: Vec<&str> =
        shown.lines().filter(|line| !line.contains("USAGE") && !line.contains("PUBLIC")).collect();
    assert!(left.is_empty(), "{left:#?}");
    let after = complete(connector.as_ref()).await;
    let others = |grants: &[leasehold_model::entitlement::DirectGrant]| {
        let other = |account: &str| account != "carol@%" && account != "alice@127.0.0.1";
        grants.iter().filter(|grant| other(grant.account.as_str())).cloned().collect::<Vec<_>>()
    };
    assert_eq!(others(&before.grants), others(&after.grants));
}

/// The server leaves a live session the role that was revoked, so the session has to end.
#[tokio::test]
async fn a_session_keeps_a_revoked_role_until_it_is_ended() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    server.sql("revoke select on app.* from public; set default role team for alice@'127.0.0.1'");
    let connector = connector(&server);
    let alice = account("alice@127.0.0.1");
    let mut session = server.live_session("alice", "alicepw");
    let mut bystander = server.live_session("carol", "carolpw");
    acknowledged(connector.as_ref(), Verb::Revoke, &alice, Some(&entitlement("role/team"))).await;
    acknowledged(connector.as_ref(), Verb::DisableAccount, &alice, None).await;
    assert!(server.sql_as("alice", "alicepw", "select 1").is_err_and(|said| said.contains("locked")));
    // Who was just refused is listed as connecting for a moment.
    let begun = Instant::now();
    loop {
        let live =
            connector.read_back(&ReadTarget::Sessions { account: alice.clone() }).await.expect("lists");
        if matches!(&live, ReadBack::Sessions { live, .. } if live.len() == 1) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{live:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The other account of that name has none of its own.
    let elsewhere = ReadTarget::Sessions { account: account("alice@10.%") };
    let elsewhere = connector.read_back(&elsewhere).await.expect("lists");
    assert_eq!(elsewhere, ReadBack::sessions(Vec::new()));

    acknowledged(connector.as_ref(), Verb::EndSessions, &alice, None).await;
    let mut input = session.stdin.take().expect("its input");
    let _ = input.write_all(b"select note from app.orders;\n");
    drop(input);
    let said = session.wait_with_output().expect("ends");
    assert!(said.stdout.is_empty() && !said.status.success(), "{said:?}");
    assert!(bystander.try_wait().expect("look").is_none(), "somebody else's session was ended");
    let _ = bystander.kill();
    let _ = bystander.wait();

    acknowledged(connector.as_ref(), Verb::EnableAccount, &alice, None).await;
    assert_eq!(server.sql_as("alice", "alicepw", "select 1"), Ok("1".to_owned()));
    acknowledged(connector.as_ref(), Verb::DeleteAccount, &alice, None).await;
    assert_eq!(execute(connector.as_ref(), Verb::DeleteAccount, &alice, None).await, Outcome::AlreadySo);
    assert_eq!(
        server.sql("select count(*) from mysql.global_priv where user = 'alice' and host = '127.0.0.1'"),
        "0"
    );
    assert_eq!(server.sql("select count(*) from mysql.global_priv where user = 'alice'"), "1");
}

#[tokio::test]
async fn what_must_not_be_done_is_refused() {
    let server = MariadbServer::start();
    server.sql(COMPANY);
    let connector = connector(&server);
    let root = account("root@127.0.0.1");
    let super_right = entitlement("privilege/SUPER on *.*");
    for (verb, account, entitlement, words) in [
        (Verb::DisableAccount, &root, None, "the connector itself"),
        (Verb::Revoke, &root, Some(&super_right), "the connector itself"),
        (Verb::Grant, &account("carol@%"), Some(&entitlement("role/nothing")), "no role"),
        (Verb::Grant, &account("carol@%"), Some(&entitlement("privilege/FLY on *.*")), "sync"),
        (Verb::Revoke, &account("carol@%"), Some(&entitlement("role/PUBLIC")), "PUBLIC"),
        (Verb::Grant, &account("x'; drop user root; -- @%"), Some(&entitlement("role/team")), "no account"),
    ] {
        match execute(connector.as_ref(), verb, account, entitlement).await {
            Outcome::Refused { why } => assert!(why.contains(words), "{words}: {why}"),
            other => panic!("{verb} of {}: {other:?}", account.key),
        }
    }
}
