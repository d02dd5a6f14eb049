//! Keys that are issued, each used with the real `ssh` client.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use leasehold_model::credential::CredentialKind;
use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, Outcome};
use leasehold_testing::SshServer;

use super::{company, connector, settings};
use crate::harness::{
    account, acknowledged, build, change_credential, enumerate_all, issue, issue_refused, read_credential,
};

#[tokio::test]
async fn an_issued_key_lets_in_beside_the_old_one_and_ends_alone() {
    let server = SshServer::start();
    let (alice, ..) = company(&server);
    let connector = connector(&server);
    let file = server.authorized_keys("alice");
    let own = std::fs::read_to_string(&file).expect("read");
    // Whoever edits a file by hand may leave out the end of its last line.
    let before = format!("# of alice\n{}", own.trim_end());
    std::fs::write(&file, &before).expect("write");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).expect("set the mode");
    let owner = std::fs::metadata(&file).expect("look").uid();

    let (issued, secret) = issue(connector.as_ref(), &alice.login).await;
    let credential = issued.credential.clone().expect("it says which");
    assert!(server.lets_in("alice", &secret) && server.run_as("alice", "true").status.success());
    assert!(!server.lets_in("bob", &secret), "it is a key of alice alone");
    let after = std::fs::read_to_string(&file).expect("read");
    let line = after.strip_prefix(&format!("{before}\n")).expect("every line stays");
    assert!(line.starts_with("ssh-ed25519 ") && line.ends_with('\n') && line.lines().count() == 1, "{line}");
    assert!(issued.instructions.contains(&credential.key.as_str()[alice.login.len() + 1..]));
    let metadata = std::fs::metadata(&file).expect("look");
    assert_eq!((metadata.uid(), metadata.mode() & 0o777), (owner, 0o640));
    let left = std::fs::read_dir(file.parent().expect("a folder")).expect("list").count();
    assert_eq!(left, 1, "something was left beside the file");

    let told = enumerate_all(connector.as_ref()).await;
    let found = &told.credentials[credential.key.as_str()];
    assert_eq!((found.account.as_str(), found.kind), (alice.login.as_str(), CredentialKind::SshKey));
    assert!(found.label.starts_with("issued by Leasehold "), "{found:?}");
    assert_eq!(read_credential(connector.as_ref(), &alice, &credential).await, (true, true));

    let revoked = change_credential(connector.as_ref(), Verb::RevokeCredential, &alice, &credential).await;
    assert!(matches!(revoked, Outcome::Acknowledged { .. }), "{revoked:?}");
    assert!(!server.lets_in("alice", &secret) && server.run_as("alice", "true").status.success());
    assert_eq!(std::fs::read_to_string(&file).expect("read"), format!("{before}\n"));
}

#[tokio::test]
async fn a_new_account_gets_its_first_key_in_a_folder_of_its_own() {
    let server = SshServer::start();
    let name = server.name("new");
    let connector = build("ssh", &format!("{}\nnew_account_shell = '/bin/sh'", settings(&server)));
    acknowledged(connector.as_ref(), Verb::CreateAccount, &AccountTarget::by_login(&name), None).await;
    let (issued, secret) = issue(connector.as_ref(), &name).await;
    assert!(server.lets_in("new", &secret));
    let file = server.authorized_keys("new");
    let uid: u32 = server.administer("id", &["-u", &name]).parse().expect("a number");
    for (path, mode) in [(file.as_path(), 0o600), (file.parent().expect("a folder"), 0o700)] {
        let metadata = std::fs::metadata(path).expect("look");
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (uid, mode), "{}", path.display());
    }
    let credential = issued.credential.expect("it says which");
    assert_eq!(read_credential(connector.as_ref(), &account(&name), &credential).await, (true, true));
}

#[tokio::test]
async fn a_link_is_followed_nowhere() {
    let server = SshServer::start();
    let (alice, ..) = company(&server);
    let connector = connector(&server);
    let (file, victim) = (server.authorized_keys("alice"), server.authorized_keys("bob"));
    let before = std::fs::read_to_string(&victim).expect("read");
    std::fs::remove_file(&file).expect("remove");
    for target in [victim.clone(), server.home_file("alice", "not-there")] {
        symlink(&target, &file).expect("link");
        let why = issue_refused(connector.as_ref(), &alice).await;
        assert!(why.contains("is a link") && why.contains(".ssh/authorized_keys"), "{why}");
        std::fs::remove_file(&file).expect("remove");
    }
    let folder = file.parent().expect("a folder");
    std::fs::remove_dir(folder).expect("remove");
    symlink(victim.parent().expect("a folder"), folder).expect("link");
    let why = issue_refused(connector.as_ref(), &alice).await;
    assert!(why.contains("is a link"), "{why}");
    assert_eq!(std::fs::read_to_string(&victim).expect("read"), before);
    assert!(!server.home_file("alice", "not-there").exists());
}

#[tokio::test]
async fn who_is_kept_out_or_would_not_be_let_in_gets_no_key() {
    let server = SshServer::start();
    let (alice, bob, _) = company(&server);
    let connector = connector(&server);
    acknowledged(connector.as_ref(), Verb::DisableAccount, &bob, None).await;
    for (target, expected) in [
        (bob, "disabled"),
        (account(&server.name("leasehold")), "the connector itself uses"),
        (account("root"), "it is root"),
        (account("daemon"), "usermod --shell"),
        (AccountTarget::by_login("nobody-of-this-name"), "there is no account"),
        (account("x; reboot"), "cannot be a name"),
    ] {
        let why = issue_refused(connector.as_ref(), &target).await;
        assert!(why.contains(expected), "{}: {why}", target.login);
    }
    let file = server.authorized_keys("alice");
    let before = std::fs::read_to_string(&file).expect("read");
    server.show_programs("leasehold", &[("sshd", "echo authorizedkeysfile /etc/ssh/keys/%u")]);
    let why = issue_refused(connector.as_ref(), &alice).await;
    assert!(why.contains("sshd takes keys from /etc/ssh/keys/%u"), "{why}");
    assert_eq!(std::fs::read_to_string(&file).expect("read"), before);
    // One that does not say where from is taken to be as sshd is where nothing was set.
    server.show_programs("leasehold", &[("sshd", "exit 1")]);
    let (_, secret) = issue(connector.as_ref(), &alice.login).await;
    assert!(server.lets_in("alice", &secret));
    let homeless = server.name("homeless");
    server.administer("useradd", &["--no-create-home", "--shell", "/bin/sh", &homeless]);
    let why = issue_refused(connector.as_ref(), &account(&homeless)).await;
    assert!(why.contains(&format!("home folder `/home/{homeless}` is not there")), "{why}");
}
