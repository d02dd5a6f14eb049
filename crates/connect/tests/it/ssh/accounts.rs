//! Accounts that are made, checked with the host's own programs and `ssh`.

use leasehold_connect::connector::Connector;
use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, ActionRequest, Outcome};
use leasehold_testing::SshServer;

use super::{connector, settings};
use crate::harness::{acknowledged, build, execute, read_account, read_sessions};

async fn create(connector: &dyn Connector, login: &str, full: &str) -> Outcome {
    let request = ActionRequest {
        id: "test".into(),
        verb: Verb::CreateAccount,
        account: AccountTarget::by_login(login),
        entitlement: None,
        credential: None,
        to: None,
        attributes: [("display_name".to_owned(), full.to_owned())].into(),
    };
    connector.execute(&request).await.unwrap()
}

#[tokio::test]
async fn a_new_account_has_a_home_and_lets_nobody_in() {
    let server = SshServer::start();
    let connector = connector(&server);
    let name = server.name("new");
    let account = AccountTarget::by_login(&name);
    assert_eq!(read_account(&*connector, &account).await, (false, false));
    let made = create(&*connector, &name, "New:Person,`id`").await;
    assert!(matches!(made, Outcome::Acknowledged { .. }), "{made:?}");
    assert_eq!(create(&*connector, &name, "Other").await, Outcome::AlreadySo);
    let entry = server.administer("getent", &["passwd", &name]);
    let fields: Vec<&str> = entry.split(':').collect();
    let home = format!("/home/{name}");
    assert_eq!(fields[4..], ["NewPerson`id`", &home, "/bin/bash"]);
    assert_eq!(server.administer("stat", &["-c", "%U", &home]), name);
    assert!(server.administer("passwd", &["--status", &name]).starts_with(&format!("{name} L ")));
    assert_eq!(server.administer("id", &["-Gn", &name]), name, "no group but its own");
    std::fs::copy(server.private_key("leasehold"), server.private_key("new")).unwrap();
    assert!(!server.run_as("new", "true").status.success());
    assert_eq!(read_account(&*connector, &account).await, (true, true));
    assert_eq!(read_sessions(&*connector, &account).await, []);

    // The keys of whoever had the name before must not let them in again.
    acknowledged(&*connector, Verb::DeleteAccount, &account, None).await;
    assert_eq!(execute(&*connector, Verb::DeleteAccount, &account, None).await, Outcome::AlreadySo);
    let Outcome::Refused { why } = create(&*connector, &name, "").await else {
        panic!("made in a home that was there")
    };
    assert!(why.contains(&home) && why.contains("move it away"), "{why}");
    assert_eq!(read_account(&*connector, &account).await, (false, false));
}

#[tokio::test]
async fn what_the_host_cannot_make_is_refused() {
    let server = SshServer::start();
    let group = server.add_group("taken");
    for (more, login, expected) in [
        ("new_account_shell = '/bin/none'", server.name("new"), "new_account_shell"),
        ("", group, "useradd ended with"),
        ("", "a:b".to_owned(), "cannot be a name"),
        ("", "-r".to_owned(), "cannot be a name"),
    ] {
        let connector = build("ssh", &format!("{}\n{more}", settings(&server)));
        let outcome = create(&*connector, &login, "").await;
        let Outcome::Refused { why } = outcome else { panic!("{login}: {outcome:?}") };
        assert!(why.contains(expected), "{login}: {why}");
    }
}
