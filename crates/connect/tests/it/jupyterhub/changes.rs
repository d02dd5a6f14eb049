//! Changes, each looked at with a browser, an application's token, or the hub's own word.

use leasehold_connect::connector::Connector;
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, Outcome};
use leasehold_testing::jupyterhub::{OWN_TOKEN, PASSWORD};

use super::{Company, RIGHTS, connector, target, user};
use crate::harness::{
    acknowledged, change_credential, entitlement, enumerate_all, execute, read_account, read_credential,
    read_grant, read_sessions, refused,
};

async fn revoke(connector: &dyn Connector, account: &AccountTarget, credential: &Credential) -> Outcome {
    change_credential(connector, Verb::RevokeCredential, account, &target(credential)).await
}

async fn exists(connector: &dyn Connector, account: &AccountTarget, credential: &Credential) -> bool {
    let (exists, active) = read_credential(connector, account, &target(credential)).await;
    assert_eq!(exists, active, "{credential:?}");
    exists
}

#[tokio::test]
async fn what_a_user_let_an_application_do_ends_at_once_and_nothing_else_does() {
    let company = Company::start();
    let (server, connector) = (&company.server, company.connector());
    let [first, second, bobs] = &company.granted;
    for (token, whose) in [(first, "alice"), (second, "alice"), (bobs, "bob"), (&company.alice, "alice")] {
        assert_eq!(server.whose(token).as_deref(), Some(whose));
    }
    let granted = company.credentials("alice", CredentialKind::OauthGrant).await;
    assert!(exists(&*connector, &user("alice"), &granted[0]).await);
    // Whoever asks about somebody else's is told that there is none.
    assert!(!exists(&*connector, &user("bob"), &granted[0]).await);
    let outcome = revoke(&*connector, &user("alice"), &granted[0]).await;
    assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{outcome:?}");
    // The hub ends everything that the application has of her.
    for found in &granted {
        assert!(!exists(&*connector, &user("alice"), found).await);
        assert_eq!(revoke(&*connector, &user("alice"), found).await, Outcome::AlreadySo);
    }
    assert_eq!((server.whose(first), server.whose(second)), (None, None));
    assert_eq!(server.whose(bobs).as_deref(), Some("bob"));
    assert_eq!(server.whose(&company.alice).as_deref(), Some("alice"), "her own token goes on");
}

#[tokio::test]
async fn a_token_ends_and_the_next_of_its_number_is_another() {
    let company = Company::start();
    let (server, connector) = (&company.server, company.connector());
    let (newest, id) = server.add_token("carol", "first");
    let told = company.credentials("carol", CredentialKind::Token).await;
    let [first] = told.as_slice() else { panic!("{told:?}") };
    assert!(matches!(revoke(&*connector, &user("carol"), first).await, Outcome::Acknowledged { .. }));
    assert_eq!(server.whose(&newest), None);
    let (next, next_id) = server.add_token("carol", "second");
    assert_eq!(id, next_id, "the hub uses the number again");
    assert!(!exists(&*connector, &user("carol"), first).await, "what was revoked is gone");
    assert_eq!(revoke(&*connector, &user("carol"), first).await, Outcome::AlreadySo);
    assert_eq!(server.whose(&next).as_deref(), Some("carol"), "another token is not taken for it");
}

#[tokio::test]
async fn a_membership_ends_at_once_for_tokens_that_live_on() {
    let company = Company::start();
    let (server, connector) = (&company.server, company.connector());
    let bobs = &company.granted[2];
    let [teachers, roster] = ["group/teachers", "role/roster"].map(entitlement);
    assert_eq!(read_grant(&*connector, &user("bob"), &roster).await, (false, true), "through the group");
    assert_eq!(server.try_ask("GET", "users", bobs, "").0, 200, "the role lists users");
    acknowledged(&*connector, Verb::Revoke, &user("bob"), Some(&teachers)).await;
    assert_eq!(read_grant(&*connector, &user("bob"), &teachers).await, (false, false));
    assert_eq!(read_grant(&*connector, &user("bob"), &roster).await, (false, false));
    assert_eq!(server.try_ask("GET", "users", bobs, "").0, 403, "the same token");
    assert!(!server.is_member("bob", "teachers") && server.is_member("bob", "students"));
    assert_eq!(execute(&*connector, Verb::Revoke, &user("bob"), Some(&teachers)).await, Outcome::AlreadySo);
    acknowledged(&*connector, Verb::Grant, &user("bob"), Some(&teachers)).await;
    assert!(server.is_member("bob", "teachers"));
    assert_eq!(execute(&*connector, Verb::Grant, &user("bob"), Some(&teachers)).await, Outcome::AlreadySo);
}

#[tokio::test]
async fn a_share_is_held_until_it_ends_on_every_path() {
    let company = Company::start();
    let connector = company.connector();
    let [share, students] = ["share/bob/", "group/students"].map(entitlement);
    assert_eq!(read_grant(&*connector, &user("alice"), &share).await, (true, true));
    acknowledged(&*connector, Verb::Revoke, &user("alice"), Some(&share)).await;
    assert_eq!(read_grant(&*connector, &user("alice"), &share).await, (false, true), "with the students");
    assert_eq!(execute(&*connector, Verb::Revoke, &user("alice"), Some(&share)).await, Outcome::AlreadySo);
    acknowledged(&*connector, Verb::Revoke, &user("alice"), Some(&students)).await;
    assert_eq!(read_grant(&*connector, &user("alice"), &share).await, (false, false));
    let why = refused(&*connector, Verb::Grant, &user("carol"), Some(&share)).await;
    assert!(why.contains("whoever has the server"), "{why}");
}

#[tokio::test]
async fn servers_stop_with_their_tokens() {
    let company = Company::start();
    let (server, connector) = (&company.server, company.connector());
    acknowledged(&*connector, Verb::EndSessions, &user("alice"), None).await;
    assert_eq!(read_sessions(&*connector, &user("alice")).await, []);
    assert!(!server.has_server("alice") && server.has_server("bob"));
    assert_eq!(execute(&*connector, Verb::EndSessions, &user("alice"), None).await, Outcome::AlreadySo);
    let left = company.credentials("alice", CredentialKind::Token).await;
    assert!(left.len() == 1 && left[0].label.starts_with("nightly"), "{left:?}");
}

#[tokio::test]
async fn a_deleted_user_is_out_with_everything() {
    let company = Company::start();
    let (server, connector) = (&company.server, company.connector());
    assert!(server.logs_in("alice", PASSWORD) && server.logs_in("bob", PASSWORD));
    acknowledged(&*connector, Verb::DeleteAccount, &user("alice"), None).await;
    assert_eq!(read_account(&*connector, &user("alice")).await, (false, false));
    assert_eq!(execute(&*connector, Verb::DeleteAccount, &user("alice"), None).await, Outcome::AlreadySo);
    assert!(!server.logs_in("alice", PASSWORD));
    let [first, second, bobs] = &company.granted;
    for token in [first, second, &company.alice] {
        assert_eq!(server.whose(token), None);
    }
    assert!(server.logs_in("bob", PASSWORD) && server.whose(bobs).is_some() && server.has_server("bob"));
    let facts = enumerate_all(&*connector).await;
    assert!(!facts.accounts.contains_key("alice"));
}

#[tokio::test]
async fn nobody_is_disabled_by_deleting_unless_the_settings_say_so() {
    let company = Company::start();
    let (server, mild) = (&company.server, company.connector());
    assert!(!mild.capabilities().disable_account.supported);
    let why = refused(&*mild, Verb::DisableAccount, &user("alice"), None).await;
    assert!(why.contains("does not offer disable_account"), "{why}");
    assert!(server.logs_in("alice", PASSWORD));
    let hard = connector(server, OWN_TOKEN, "disable_by_deleting = true");
    assert!(hard.capabilities().disable_account.supported);
    acknowledged(&*hard, Verb::DisableAccount, &user("alice"), None).await;
    assert_eq!(read_account(&*hard, &user("alice")).await, (false, false));
    assert!(!server.logs_in("alice", PASSWORD) && server.whose(&company.alice).is_none());
}

#[tokio::test]
async fn administrators_are_made_and_unmade_by_an_administrator_only() {
    let admin = entitlement("role/admin");
    let company = Company::start();
    let why = refused(&*company.connector(), Verb::Revoke, &user("root"), Some(&admin)).await;
    assert!(why.contains("admin:users") && why.contains("\"admin\": True"), "{why}");
    drop(company);
    let company = Company::with(
        &RIGHTS.replace("\"name\": \"leasehold\", ", "\"name\": \"leasehold\", \"admin\": True, "),
    );
    let connector = company.connector();
    let token = company.server.add_token("root", "of an administrator").0;
    let reads = |token: &str| company.server.try_ask("GET", "groups", token, "").0 == 200;
    assert!(reads(&token) && !reads(&company.alice));
    acknowledged(&*connector, Verb::Revoke, &user("root"), Some(&admin)).await;
    assert_eq!(read_grant(&*connector, &user("root"), &admin).await, (false, false));
    acknowledged(&*connector, Verb::Grant, &user("alice"), Some(&admin)).await;
    assert_eq!(read_grant(&*connector, &user("alice"), &admin).await, (true, true));
    assert!(!reads(&token) && reads(&company.alice), "the tokens follow at once");
}

#[tokio::test]
async fn what_must_not_or_cannot_be_changed_is_refused_with_a_way_on() {
    let company = Company::start();
    let connector = company.connector();
    let own = user("service/leasehold");
    for (verb, account, name, expected) in [
        (Verb::DeleteAccount, &own, None, "itself logs in as"),
        (Verb::Revoke, &own, Some("role/leasehold"), "itself logs in as"),
        (Verb::DeleteAccount, &user("service/grader"), None, "the hub's configuration"),
        (Verb::EndSessions, &user("service/grader"), None, "no session of one"),
        (Verb::Revoke, &user("service/caretaker"), Some("role/admin"), "the hub's configuration"),
        (Verb::Revoke, &user("alice"), Some("role/usage"), "`load_roles`"),
        (Verb::Grant, &user("alice"), Some("group/nobody-knows"), "No such group"),
        (Verb::Grant, &user("mallory"), Some("group/students"), "there is no user `mallory`"),
        (Verb::Grant, &user("alice"), Some("policy/x"), "is not a kind of entitlement"),
        (Verb::Grant, &user("alice"), Some("share/bob"), "share/OWNER/SERVER"),
        (Verb::CreateAccount, &user("New.Person"), None, "`new.person`"),
        (Verb::CreateAccount, &user("new"), None, "scope admin:users"),
        (Verb::EnableAccount, &user("alice"), None, "does not offer"),
    ] {
        let held = name.map(entitlement);
        let why = refused(&*connector, verb, account, held.as_ref()).await;
        assert!(why.contains(expected), "{verb} {name:?}: {why}");
    }
    for verb in [Verb::Revoke, Verb::EndSessions, Verb::DeleteAccount] {
        let held = (verb == Verb::Revoke).then(|| entitlement("group/students"));
        let outcome = execute(&*connector, verb, &user("mallory"), held.as_ref()).await;
        assert_eq!(outcome, Outcome::AlreadySo, "{verb}");
    }
}
