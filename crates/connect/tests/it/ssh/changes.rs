//! Changes, each checked with the real `ssh` client and the host's own programs.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use leasehold_model::credential::CredentialKind;
use leasehold_model::plan::Verb;
use leasehold_model::request::{CredentialTarget, Outcome, ReadBack, ReadTarget};
use leasehold_testing::SshServer;

use super::{company, connector, key_of};
use crate::harness::{
    account, acknowledged, change_credential, entitlement, enumerate, execute, read_account, read_credential,
    read_sessions, refused,
};

#[tokio::test]
async fn a_leaver_is_out_and_everybody_else_is_not() {
    let server = SshServer::start();
    let (alice, _, team) = company(&server);
    let connector = connector(&server);
    let connector = connector.as_ref();
    let group = entitlement(&format!("group/{team}"));
    let mut session = server.live_session("alice");
    let mut bystander = server.live_session("bob");
    assert!(server.run_as("alice", "sudo -n /usr/bin/uptime").status.success());

    acknowledged(connector, Verb::DisableAccount, &alice, None).await;
    assert!(!server.run_as("alice", "true").status.success(), "a key still lets in to an expired account");
    assert!(session.try_wait().expect("look").is_none(), "the live session ended by itself");
    assert!(!read_sessions(connector, &alice).await.is_empty());
    acknowledged(connector, Verb::EndSessions, &alice, None).await;
    assert!(!session.wait().expect("ends").success());
    assert!(read_sessions(connector, &alice).await.is_empty());
    acknowledged(connector, Verb::Revoke, &alice, Some(&group)).await;

    acknowledged(connector, Verb::EnableAccount, &alice, None).await;
    assert!(server.run_as("alice", "true").status.success());
    assert!(
        !server.run_as("alice", "sudo -n /usr/bin/uptime").status.success(),
        "the group's rule still grants"
    );
    assert!(server.run_as("bob", "sudo -n /usr/bin/uptime").status.success());
    assert!(bystander.try_wait().expect("look").is_none(), "somebody else's session was ended");

    acknowledged(connector, Verb::DeleteAccount, &alice, None).await;
    assert_eq!(execute(connector, Verb::DeleteAccount, &alice, None).await, Outcome::AlreadySo);
    assert_eq!(read_account(connector, &alice).await, (false, false));
    assert!(!server.run_as("alice", "true").status.success());
    assert!(server.run_as("bob", "true").status.success());
    let _ = bystander.kill();
    let _ = bystander.wait();
}

#[tokio::test]
async fn a_key_goes_and_comes_back_and_the_file_stays_as_it_was() {
    let server = SshServer::start();
    let (alice, ..) = company(&server);
    let connector = connector(&server);
    let key = key_of(&server, "alice");
    let file = server.authorized_keys("alice");
    let own = std::fs::read_to_string(&file).expect("read");
    let theirs = std::fs::read_to_string(server.private_key("bob").with_extension("pub")).expect("read");
    // What a comment holds must reach no shell.
    let hostile = format!("{} $(touch /tmp/x) `id` '; rm -rf \" \\", theirs.trim());
    let before = format!("# first\n{hostile}\n{own}");
    std::fs::write(&file, &before).expect("write");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).expect("set the mode");
    let owner = std::fs::metadata(&file).expect("look").uid();

    let disabled = change_credential(connector.as_ref(), Verb::DisableCredential, &alice, &key).await;
    assert!(matches!(disabled, Outcome::Acknowledged { .. }), "{disabled:?}");
    assert!(!server.run_as("alice", "true").status.success(), "a disabled key still lets in");
    let enabled = change_credential(connector.as_ref(), Verb::EnableCredential, &alice, &key).await;
    assert!(matches!(enabled, Outcome::Acknowledged { .. }), "{enabled:?}");
    assert_eq!(std::fs::read_to_string(&file).expect("read"), before);
    assert!(server.run_as("alice", "true").status.success());
    let revoked = change_credential(connector.as_ref(), Verb::RevokeCredential, &alice, &key).await;
    assert!(matches!(revoked, Outcome::Acknowledged { .. }), "{revoked:?}");
    assert!(!server.run_as("alice", "true").status.success(), "a revoked key still lets in");
    assert_eq!(std::fs::read_to_string(&file).expect("read"), format!("# first\n{hostile}\n"));
    let metadata = std::fs::metadata(&file).expect("look");
    assert_eq!((metadata.uid(), metadata.mode() & 0o777), (owner, 0o640));
    let left = std::fs::read_dir(file.parent().expect("a folder")).expect("list").count();
    assert_eq!(left, 1, "something was left beside the file");
}

/// Somebody whose folder of keys is a link to another's must not have that one's keys changed for theirs.
#[tokio::test]
async fn jobs_of_at_stop_and_come_back_and_go_with_the_account() {
    let server = SshServer::start();
    let (alice, bob, _) = company(&server);
    let connector = connector(&server);
    let connector = connector.as_ref();
    let [of_alice, of_bob] = ["alice", "bob"].map(|name| server.home_file(name, "ran"));
    for (name, file) in [("alice", &of_alice), ("bob", &of_bob), ("bob", &of_bob)] {
        server.ask_at(name, &format!("echo hunter2 > {}", file.display()));
    }
    let (facts, completeness) = enumerate(connector).await;
    assert!(completeness.is_complete(), "{completeness:?}");
    let told = [&alice, &bob].map(|account| &facts.credentials[&format!("{} at", account.login)]);
    assert_eq!(told.map(|told| told.label.as_str()), ["1 job of at", "2 jobs of at"]);
    assert!(told.iter().all(|told| told.active && told.kind == CredentialKind::ScheduledJob), "{told:?}");
    assert!(!format!("{told:?}").contains("hunter2"));

    // All three are due: hers were asked for first, and stay away when somebody runs them.
    let key = CredentialTarget { key: told[0].key.clone(), kind: CredentialKind::ScheduledJob };
    let changed = change_credential(connector, Verb::DisableCredential, &alice, &key).await;
    assert!(matches!(changed, Outcome::Acknowledged { .. }), "{changed:?}");
    assert_eq!(read_credential(connector, &alice, &key).await, (true, false));
    assert_eq!(change_credential(connector, Verb::DisableCredential, &alice, &key).await, Outcome::AlreadySo);
    let _atd = server.start_atd();
    let wait_for = |file: &std::path::Path| {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(120);
        while !file.exists() {
            assert!(std::time::Instant::now() < until, "{} was not made", file.display());
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    };
    wait_for(&of_bob);
    assert!(!of_alice.exists(), "a stopped job ran");
    let changed = change_credential(connector, Verb::EnableCredential, &alice, &key).await;
    assert!(matches!(changed, Outcome::Acknowledged { .. }), "{changed:?}");
    wait_for(&of_alice);

    // What is still to come can be removed, and goes with the account.
    for name in ["alice", "bob"] {
        server.ask_at_later(name, "true");
    }
    for expected in [(true, true), (false, false)] {
        assert_eq!(read_credential(connector, &alice, &key).await, expected);
        let changed = change_credential(connector, Verb::RevokeCredential, &alice, &key).await;
        assert_eq!(matches!(changed, Outcome::Acknowledged { .. }), expected.0, "{changed:?}");
    }
    acknowledged(connector, Verb::DeleteAccount, &bob, None).await;
    let (facts, _) = enumerate(connector).await;
    assert!(!facts.problems.iter().any(|problem| problem.place.contains("`at`")), "{:?}", facts.problems);
}

#[tokio::test]
async fn jobs_of_a_crontab_stop_and_come_back_and_go_with_the_account() {
    const JOBS: &str =
        "# nightly\nPATH=/usr/bin:/bin\n5 4 * * * backup --password 'hunter2' $(id)\n@daily report\n";
    let server = SshServer::start();
    let (alice, bob, _) = company(&server);
    let connector = connector(&server);
    let connector = connector.as_ref();
    server.set_crontab("alice", JOBS);
    server.set_crontab("bob", JOBS);
    let key = format!("{} crontab", alice.login);
    let (facts, completeness) = enumerate(connector).await;
    assert!(completeness.is_complete(), "{completeness:?}");
    let told = &facts.credentials[&key];
    assert_eq!(
        (told.kind, told.label.as_str(), told.active),
        (CredentialKind::ScheduledJob, "crontab with 2 jobs", true)
    );
    assert!(!format!("{told:?}").contains("hunter2"));

    let key = CredentialTarget { key: key.as_str().into(), kind: CredentialKind::ScheduledJob };
    for (verb, crontab) in [
        (
            Verb::DisableCredential,
            JOBS.replace("5 4", "#leasehold-disabled 5 4").replace("@daily", "#leasehold-disabled @daily"),
        ),
        (Verb::EnableCredential, JOBS.to_owned()),
        (Verb::RevokeCredential, "# nightly\nPATH=/usr/bin:/bin\n".to_owned()),
    ] {
        let changed = change_credential(connector, verb, &alice, &key).await;
        assert!(matches!(changed, Outcome::Acknowledged { .. }), "{changed:?}");
        assert_eq!(server.crontab("alice"), crontab, "{verb}");
        let target = ReadTarget::Credential { account: alice.clone(), credential: key.clone() };
        let read = connector.read_back(&target).await.expect("reads");
        let (exists, active) = (verb != Verb::RevokeCredential, verb == Verb::EnableCredential);
        assert_eq!(read, ReadBack::Credential { exists, active }, "{verb}");
        let again = change_credential(connector, verb, &alice, &key).await;
        assert_eq!(again, Outcome::AlreadySo, "{verb}");
    }
    assert_eq!(server.crontab("bob"), JOBS, "somebody else's jobs were changed");
    // Whoever gets the name next does not get the jobs.
    acknowledged(connector, Verb::DeleteAccount, &bob, None).await;
    let (facts, _) = enumerate(connector).await;
    assert!(!facts.problems.iter().any(|problem| problem.place.contains(&bob.login)), "{:?}", facts.problems);
}

#[tokio::test]
async fn a_link_into_another_home_gives_no_power_over_it() {
    let server = SshServer::start();
    let (alice, ..) = company(&server);
    let folder = server.authorized_keys("alice").parent().expect("a folder").to_owned();
    let victim = server.authorized_keys("bob");
    let before = std::fs::read_to_string(&victim).expect("read");
    std::fs::remove_dir_all(&folder).expect("remove");
    std::os::unix::fs::symlink(victim.parent().expect("a folder"), &folder).expect("link");
    let mut key = key_of(&server, "bob");
    key.key = format!("{} {}", server.name("alice"), server.fingerprint("bob")).into();
    let outcome = change_credential(connector(&server).as_ref(), Verb::RevokeCredential, &alice, &key).await;
    assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
    assert_eq!(std::fs::read_to_string(&victim).expect("read"), before);
    assert!(server.run_as("bob", "true").status.success());
}

#[tokio::test]
async fn what_must_not_be_done_is_refused() {
    let server = SshServer::start();
    let (alice, ..) = company(&server);
    let connector = connector(&server);
    let own = account(&server.name("leasehold"));
    let primary = entitlement(&format!("group/{}", alice.login));
    let rule = entitlement("sudo/(root) /usr/bin/id");
    for (verb, account, entitlement, words) in [
        (Verb::DisableAccount, &own, None, "the connector itself"),
        (Verb::DisableAccount, &account("root"), None, "is root"),
        (Verb::EndSessions, &account("root"), None, "root"),
        (Verb::EnableAccount, &account("daemon"), None, "shell"),
        (Verb::Revoke, &alice, Some(&primary), "primary group"),
        (Verb::Revoke, &alice, Some(&rule), "visudo"),
        (Verb::Grant, &alice, Some(&entitlement("group/nothing-of-this-name")), "no group"),
        (Verb::DeleteAccount, &account("x; reboot"), None, "cannot be a name"),
        (Verb::DeleteAccount, &account("--root=/tmp"), None, "cannot be a name"),
    ] {
        let why = refused(connector.as_ref(), verb, account, entitlement).await;
        assert!(why.contains(words), "{words}: {why}");
    }
}
