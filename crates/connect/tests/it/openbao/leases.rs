//! Leases, and what no list has, each looked at with `bao`.

use leasehold_model::credential::CredentialKind;
use leasehold_model::plan::Verb;
use leasehold_model::request::{
    AccountTarget, ActionRequest, CredentialTarget, Outcome, ReadBack, ReadTarget,
};
use leasehold_testing::openbao::ROOT_TOKEN;

use super::{Company, connector_hiding, connector_with, log_in};
use crate::harness::{acknowledged, enumerate_all, execute, read_sessions, refused};

const LOG_INS: &str = "['auth/userpass/login', '/ssh/creds/']";

/// How many leases are below a path.
fn leases(company: &Company, path: &str) -> usize {
    let path = format!("sys/leases/lookup/{path}");
    company.server.try_bao(ROOT_TOKEN, &["list", &path]).map_or(0, |listed| listed.lines().skip(2).count())
}

/// Has somebody make a lease of a secrets engine with their token.
fn make_one_time_password(company: &Company, token: &str) {
    let server = &company.server;
    if server.try_bao(ROOT_TOKEN, &["secrets", "enable", "ssh"]).is_ok() {
        server.bao(&["write", "ssh/roles/otp", "key_type=otp", "default_user=ubuntu", "cidr_list=0.0.0.0/0"]);
        server.write_policy("app", r#"path "*" { capabilities = ["read", "create", "update"] }"#);
    }
    server.try_bao(token, &["write", "ssh/creds/otp", "ip=192.0.2.3"]).expect("make a lease");
}

async fn sessions(company: &Company, account: &AccountTarget) -> (usize, Option<String>) {
    let target = ReadTarget::Sessions { account: account.clone() };
    match connector_with(company, LOG_INS).read_back(&target).await.expect("read back") {
        ReadBack::Sessions { live, unlisted } => (live.len(), unlisted),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_lease_of_a_token_is_that_token_and_others_are_nobodys() {
    let company = Company::start();
    make_one_time_password(&company, &company.alice);
    make_one_time_password(&company, &company.bob);
    assert_eq!((leases(&company, "auth/userpass/login/alice"), leases(&company, "ssh/creds/otp")), (1, 2));
    let facts =
        enumerate_all(&*connector_with(&company, "['auth', 'ssh/creds/', 'auth/userpass/login']")).await;
    let alice = company.account(&company.alice);
    let tokens = facts
        .credentials
        .values()
        .filter(|found| found.account == alice.key && found.kind == CredentialKind::Token)
        .map(|found| found.key.to_string());
    assert_eq!(tokens.collect::<Vec<_>>(), [company.accessor(&company.alice)], "it is one credential");
    let problems: Vec<String> =
        facts.problems.iter().map(|problem| format!("{}: {}", problem.place, problem.message)).collect();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with("leases below ssh/creds: nobody can say whose they are: 2 leases;"),
        "{problems:?}"
    );
    // Without prefixes nobody asks.
    assert!(enumerate_all(&*company.connector()).await.problems.is_empty());
}

#[tokio::test]
async fn no_lease_of_a_log_in_is_left_however_the_name_was_written() {
    let company = Company::start();
    company.server.bao(&["write", "auth/userpass/users/al", "password=alpw", "token_policies=app"]);
    let al = log_in(&company.server, "al").expect("log in");
    company.server.bao(&["write", "auth/userpass/users/alice", "password=alicepw"]);
    let path = "auth/userpass/login/ALICE";
    let shouted =
        company.server.try_bao("", &["write", "-field=token", path, "password=alicepw"]).expect("log in");
    let alice = company.account(&company.alice);
    assert_eq!(alice, company.account(&shouted), "the server takes both for one");
    make_one_time_password(&company, &shouted);
    assert_eq!((leases(&company, path), leases(&company, "ssh/creds/otp")), (1, 1));

    let connector = connector_with(&company, LOG_INS);
    assert_eq!(sessions(&company, &alice).await, (2, None));
    acknowledged(&*connector, Verb::EndSessions, &alice, None).await;
    assert_eq!(read_sessions(&*connector, &alice).await, []);
    assert_eq!(execute(&*connector, Verb::EndSessions, &alice, None).await, Outcome::AlreadySo);
    for place in [path, "auth/userpass/login/alice"] {
        assert_eq!(leases(&company, place), 0, "{place}");
    }
    assert!(!company.reads(&company.alice) && !company.reads(&shouted));
    // Whose name only begins alike goes on.
    assert!(company.reads(&al) && company.reads(&company.bob));
    assert_eq!(leases(&company, "auth/userpass/login/al"), 1);
}

/// A token whose list entry is gone lives on in its lease: as long as that is there, nobody may say that it has ended.
#[tokio::test]
async fn a_lease_without_a_listed_token_is_told_and_ends() {
    let company = Company::start();
    let alice = company.account(&company.alice);
    let accessor = company.accessor(&company.alice);
    let (_proxy, connector) = connector_hiding(&company, &accessor, LOG_INS);
    let facts = enumerate_all(&*connector).await;
    let found: Vec<_> = facts.credentials.values().filter(|found| found.account == alice.key).collect();
    let lease = found.iter().find(|found| found.key.as_str().contains("/login/alice/")).expect("a lease");
    assert!(lease.kind == CredentialKind::Token && lease.expires_at > lease.created_at, "{lease:?}");
    assert_eq!(read_sessions(&*connector, &alice).await.len(), 1);
    // It is hers alone, by name as by id.
    let target = CredentialTarget { key: lease.key.clone(), kind: CredentialKind::Token };
    let exists = async |account: AccountTarget| {
        let credential = target.clone();
        let read = connector.read_back(&ReadTarget::Credential { account, credential }).await;
        read.expect("read back") == ReadBack::Credential { exists: true, active: true }
    };
    assert!(exists(alice.clone()).await && !exists(company.account(&company.bob)).await);
    acknowledged(&*connector, Verb::EndSessions, &alice, None).await;
    assert_eq!(read_sessions(&*connector, &alice).await, []);
    assert!(!company.reads(&company.alice) && company.reads(&company.bob));
}

#[tokio::test]
async fn batch_tokens_are_named_until_their_entity_is_disabled() {
    let company = Company::start();
    let server = &company.server;
    let alice = company.account(&company.alice);
    assert_eq!(sessions(&company, &alice).await, (1, None), "this log-in gives none");
    server.bao(&["write", "auth/userpass/users/alice", "token_type=batch"]);
    let batch = log_in(server, "alice").expect("log in");
    let connector = connector_with(&company, LOG_INS);
    acknowledged(&*connector, Verb::EndSessions, &alice, None).await;
    let (live, unlisted) = sessions(&company, &alice).await;
    assert_eq!(live, 0);
    assert!(unlisted.is_some_and(|why| why.contains("batch tokens")));
    assert!(company.reads(&batch), "nothing ends it");
    acknowledged(&*connector, Verb::DisableAccount, &alice, None).await;
    assert_eq!(sessions(&company, &alice).await, (0, None));
    assert!(!company.reads(&batch));

    // Of a log-in that is gone nobody can say.
    let bob = company.account(&company.bob);
    assert_eq!(sessions(&company, &bob).await, (1, None));
    server.bao(&["delete", "auth/userpass/users/bob"]);
    assert!(sessions(&company, &bob).await.1.is_some());

    // By the mount, whatever the role says; and by a method that does not say.
    server.bao(&["auth", "tune", "-token-type=default-batch", "approle/"]);
    let service = company.account(&company.service);
    assert!(sessions(&company, &service).await.1.is_some());
}

#[tokio::test]
async fn what_the_token_may_not_do_with_leases_is_named() {
    let company = Company::start();
    let rights: String =
        super::RIGHTS.lines().filter(|line| !line.contains("leases")).collect::<Vec<_>>().join("\n");
    company.server.write_policy("leasehold", &rights);
    let connector = connector_with(&company, LOG_INS);
    let report = connector.test().await.expect("the log-in works");
    for prefix in ["auth/userpass/login", "ssh/creds"] {
        let right = format!("sys/leases/lookup/{prefix}");
        assert!(report.missing_rights.iter().any(|missing| missing.contains(&right)), "{report:?}");
    }
    let error =
        connector.enumerate(&mut crate::harness::Facts::default()).await.expect_err("it may not look");
    assert!(error.to_string().contains("not taken for absent"), "{error}");

    let looking = super::RIGHTS.replace("revoke-prefix", "nothing");
    company.server.write_policy("leasehold", &looking);
    let alice = company.account(&company.alice);
    let (_proxy, connector) = connector_hiding(&company, &company.accessor(&company.alice), LOG_INS);
    let why = refused(&*connector, Verb::EndSessions, &alice, None).await;
    assert!(why.contains("sys/leases/revoke-prefix/auth/userpass/login/alice"), "{why}");
}

#[tokio::test]
async fn one_lease_of_a_log_in_is_revoked_by_itself() {
    let company = Company::start();
    let second = log_in(&company.server, "alice").expect("log in again");
    let (alice, bob) = (company.account(&company.alice), company.account(&company.bob));
    // The prefix may be a log-in itself.
    let prefixes = "['auth/userpass/login/alice']";
    let (_proxy, connector) = connector_hiding(&company, &company.accessor(&company.alice), prefixes);
    let facts = enumerate_all(&*connector).await;
    let lease = facts.credentials.keys().find(|key| key.contains("/login/alice/")).expect("a lease").clone();
    let credential = CredentialTarget { key: lease.as_str().into(), kind: CredentialKind::Token };
    let revoke = async |account: &AccountTarget| {
        let request = ActionRequest {
            id: "test".into(),
            verb: Verb::RevokeCredential,
            account: account.clone(),
            entitlement: None,
            credential: Some(credential.clone()),
            to: None,
            attributes: [].into(),
        };
        connector.execute(&request).await.expect("revoke")
    };
    assert_eq!(revoke(&bob).await, Outcome::AlreadySo, "it is none of his");
    assert!(company.reads(&company.alice));
    assert!(matches!(revoke(&alice).await, Outcome::Acknowledged { .. }));
    assert_eq!(revoke(&alice).await, Outcome::AlreadySo);
    assert!(!company.reads(&company.alice) && company.reads(&second) && company.reads(&company.bob));
    assert_eq!(read_sessions(&*connector, &alice).await.len(), 1);
}
