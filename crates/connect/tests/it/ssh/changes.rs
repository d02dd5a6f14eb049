//! Changes, each checked with the real `ssh` client and the host's own programs.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use leasehold_model::plan::Verb;
use leasehold_model::request::Outcome;
use leasehold_testing::SshServer;

use super::{company, connector, key_of};
use crate::harness::{
    account, acknowledged, change_credential, entitlement, execute, read_account, read_sessions, refused,
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
