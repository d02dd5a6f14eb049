//! What is told of an account, and when it is told to be all.

use leasehold_model::account::{LastUse, PostureFinding};
use leasehold_model::credential::CredentialKind;
use serde_json::json;

use super::{Company, LEFT_OUT, allow};
use crate::harness::{enumerate, enumerate_all};
use leasehold_testing::Between;

#[tokio::test]
async fn users_groups_policies_and_roles_are_told() {
    let company = Company::start();
    company.iam("create_virtual_mfa_device", json!({"VirtualMFADeviceName": "bobs"}));
    let connector = company.connector();
    assert_eq!(connector.test().await.expect("it may look").missing_rights, Vec::<String>::new());
    let facts = enumerate_all(&*connector).await;
    let logins: Vec<&str> = facts.accounts.keys().map(String::as_str).collect();
    assert_eq!(logins, ["<root_account>", "admin", "alice", "bob", "leasehold"]);
    let alice = &facts.accounts["alice"];
    assert_eq!(alice.key, company.user("alice").key);
    assert_eq!(alice.attributes["tag.email"], "alice@example.com");
    assert_eq!(alice.posture, [PostureFinding::NoSecondFactor]);
    assert_eq!(facts.accounts["bob"].posture, [], "who has no password needs no second factor");
    assert!(facts.accounts["<root_account>"].posture.contains(&PostureFinding::Superuser));
    assert_eq!(
        facts.held_by("alice"),
        [
            "aws-policy/ReadOnlyAccess",
            "group/eng",
            "inline-policy/user/alice/own",
            "policy/deploys",
            "role/alices"
        ]
    );
    assert_eq!(facts.held_by("bob"), ["group/eng"]);
    for (parent, child) in [
        ("group/eng", "policy/buckets"),
        ("group/eng", "inline-policy/group/eng/logs"),
        ("policy/deploys", "role/deploy"),
        ("inline-policy/user/admin/all", "role/deploy"),
        ("role/deploy", "aws-policy/AdministratorAccess"),
        ("instance-profile/fleet", "role/machines"),
    ] {
        assert!(facts.contains(parent, child), "{parent} does not carry {child}");
    }
    for (parent, child) in [("policy/deploys", "role/alices"), ("policy/buckets", "role/deploy")] {
        assert!(!facts.contains(parent, child), "{parent} carries {child}");
    }
    let privileged = |name: &str| facts.entitlements[name].privileged;
    assert!(privileged("aws-policy/AdministratorAccess") && privileged("inline-policy/user/admin/all"));
    assert!(!privileged("policy/buckets") && !privileged("aws-policy/ReadOnlyAccess"));
    assert!(facts.entitlements["role/alices"].irrevocable.is_some());
    assert_eq!(facts.problems, []);
}

#[tokio::test]
async fn every_credential_is_told_with_its_last_use() {
    let company = Company::start();
    company.lists_buckets(&company.alice).expect("alice may list buckets");
    let certificate = leasehold_testing::certificates::Certificate::self_signed(
        company.server.folder(),
        "bob",
        &["subjectAltName=DNS:bob.example.com"],
    );
    let body = std::fs::read_to_string(certificate.certificate).unwrap();
    company.iam("upload_signing_certificate", json!({"UserName": "bob", "CertificateBody": body}));
    let inactive = company.server.access_key(&company.admin, "bob");
    company.iam(
        "update_access_key",
        json!({"UserName": "bob", "AccessKeyId": inactive.id, "Status": "Inactive"}),
    );
    let facts = enumerate_all(&*company.connector()).await;
    let of = |login: &str| {
        let key = &facts.accounts[login].key;
        let mut kinds: Vec<_> = facts
            .credentials
            .values()
            .filter(|credential| credential.account == *key)
            .map(|credential| (credential.kind, credential.active))
            .collect();
        kinds.sort();
        kinds
    };
    use CredentialKind::{AccessKey, Certificate, Password};
    assert_eq!(of("alice"), [(Password, true), (AccessKey, true)]);
    assert_eq!(of("bob"), [(AccessKey, false), (AccessKey, true), (Certificate, true)]);
    let key = |id: &str| &facts.credentials[id];
    assert!(matches!(key(&company.alice.id).last_use, LastUse::At(_)), "{:?}", key(&company.alice.id));
    assert_eq!(key(&inactive.id).last_use, LastUse::Never);
    assert!(key(&inactive.id).created_at.is_some());
    assert_eq!(facts.accounts["alice"].last_use, key(&company.alice.id).last_use);
    assert_eq!(facts.accounts["bob"].last_use, LastUse::Unknown, "what was deleted may have been used");
}

#[tokio::test]
async fn a_listing_that_fails_makes_it_partial_and_names_the_way_on() {
    let company = Company::start();
    let (facts, completeness) = enumerate(&*company.connector_with("")).await;
    assert!(!completeness.is_complete(), "{completeness:?}");
    let why = completeness.detail();
    assert!(why.contains("ListServiceSpecificCredentials failed") && why.contains("leave_out"), "{why}");
    assert!(facts.problems.iter().any(|problem| problem.message.contains("ListServiceSpecificCredentials")));
    assert_eq!(facts.held_by("bob"), ["group/eng"], "what could be read is told all the same");

    let (_, completeness) = enumerate(&*company.connector()).await;
    let evidence = completeness.detail();
    assert!(completeness.is_complete() && evidence.contains("left out by the settings"), "{evidence}");
}

#[tokio::test]
async fn a_listing_that_is_shorter_than_what_the_account_counts_ends_nothing() {
    let company = Company::start();
    let between = Between::start(&company.server.url(), |request, forward| {
        let answer = forward();
        if !request.contains("Action=GetAccountSummary") {
            return answer;
        }
        // One more user than are listed; of the same length, so that the rest of the message stays true.
        let text = String::from_utf8(answer).expect("a text");
        let at = text.find("<key>Users</key>").expect("the count of the users");
        let (before, after) = text.split_at(at);
        [before, &after.replacen('4', "5", 1)].concat().into_bytes()
    });
    let connector = company.connector_at(&between.url(), LEFT_OUT);
    let (_, completeness) = enumerate(&*connector).await;
    assert!(!completeness.is_complete(), "{completeness:?}");
    assert!(
        completeness.detail().contains("4 users were listed, and the account counts 5"),
        "{completeness:?}"
    );
    let target = leasehold_model::request::ReadTarget::Account { account: crate::harness::account("nobody") };
    let error = connector.read_back(&target).await.expect_err("somebody was not listed").to_string();
    assert!(error.contains("may be taken for gone"), "{error}");
}

#[tokio::test]
async fn what_may_not_be_read_is_an_error_and_not_absent() {
    let company = Company::start();
    company.iam("create_user", json!({"UserName": "blind"}));
    let document = allow("s3:*", "*");
    company
        .iam("put_user_policy", json!({"UserName": "blind", "PolicyName": "x", "PolicyDocument": document}));
    let key = company.server.access_key(&company.admin, "blind");
    let connector = super::connector(&company.server, &key, "");
    let report = connector.test().await.expect("the log-in works");
    assert!(report.missing_rights.iter().any(|right| right.contains("iam:ListUsers")), "{report:?}");
    let mut facts = crate::harness::Facts::default();
    let error = connector.enumerate(&mut facts).await.expect_err("it may read nothing").to_string();
    assert!(error.contains("AccessDenied") && error.contains("not taken for absent"), "{error}");
    let target = leasehold_model::request::ReadTarget::Account { account: company.user("alice") };
    let error = connector.read_back(&target).await.expect_err("it may not look").to_string();
    assert!(error.contains("AccessDenied"), "{error}");
}
