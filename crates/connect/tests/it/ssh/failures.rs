//! What goes wrong has a name and a next step, and is never taken for an absence.

use leasehold_connect::error::ConnectError;
use leasehold_model::request::ReadTarget;
use leasehold_testing::SshServer;

use super::{company, connector, key_of, settings};
use crate::harness::{Facts, build, try_build};

#[tokio::test]
async fn another_host_key_and_another_key_are_named() {
    let server = SshServer::start();
    company(&server);
    let other = std::fs::read_to_string(server.private_key("bob").with_extension("pub")).expect("read");
    let text = settings(&server).replace(&server.host_key(), other.trim());
    let error = build("ssh", &text).test().await.expect_err("is refused");
    assert!(matches!(error, ConnectError::Certificate { .. }), "{error:?}");

    let key = server.private_key("leasehold").display().to_string();
    let text = settings(&server).replace(&key, &server.private_key("bob").display().to_string());
    let error = build("ssh", &text).test().await.expect_err("is refused");
    assert!(matches!(error, ConnectError::Authentication { .. }), "{error:?}");
}

#[tokio::test]
async fn who_may_not_read_everything_gets_an_error_and_no_absence() {
    let server = SshServer::start();
    company(&server);
    let text = settings(&server).replace(&server.name("leasehold"), &server.name("bob")).replace(
        &server.private_key("leasehold").display().to_string(),
        &server.private_key("bob").display().to_string(),
    );
    for text in [text.clone(), format!("{text}\nsudo = false")] {
        let error = build("ssh", &text).enumerate(&mut Facts::default()).await.expect_err("is refused");
        assert!(error.to_string().contains("connector test"), "{error}");
    }
}

#[tokio::test]
async fn a_key_in_a_file_that_cannot_be_read_is_not_gone() {
    let server = SshServer::start();
    let (alice, bob, _) = company(&server);
    let path = server.authorized_keys("alice");
    let mut keys = std::fs::read(&path).expect("read");
    keys.extend(b"# caf\xe9\n");
    std::fs::write(&path, keys).expect("write");
    let connector = connector(&server);
    for (account, short, is_known) in [(alice, "alice", false), (bob, "bob", true)] {
        let target = ReadTarget::Credential { account, credential: key_of(&server, short) };
        let read = connector.read_back(&target).await;
        assert_eq!(read.is_ok(), is_known, "{short}: {read:?}");
    }
    let mut facts = Facts::default();
    let completeness = connector.enumerate(&mut facts).await.expect("is read");
    assert!(completeness.detail().contains("authorized_keys"), "{completeness:?}");
}

#[test]
fn settings_that_cannot_be_used_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("key"), "no key").expect("write");
    let key = folder.path().join("key").display().to_string();
    let ed25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
    for (text, words) in [
        (format!("host = 'h'\nuser = 'u'\nprivate_key = 'file:{key}'"), "`host_key`"),
        (
            format!("host = 'h'\nuser = 'u'\nhost_key = 'SHA256:x'\nprivate_key = 'file:{key}'"),
            "is not a public key",
        ),
        (format!("host = 'h'\nuser = 'u'\nhost_key = '{ed25519}'"), "`private_key`"),
        (format!("host = 'h'\nuser = 'u'\nhost_key = '{ed25519}'\nprivate_key = 'file:{key}'"), "ssh-keygen"),
    ] {
        let error = try_build("ssh", &text).err().expect("is refused");
        assert!(error.to_string().contains(words) && !error.to_string().contains("no key"), "{error}");
    }
}
