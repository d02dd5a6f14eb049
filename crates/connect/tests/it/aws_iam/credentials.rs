//! What a user logs in with, kind by kind: told, stopped, brought back and revoked, under the eyes of AWS's
//! own client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use leasehold_connect::connector::Connector;
use leasehold_model::credential::CredentialKind;
use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, ActionRequest, CredentialTarget, Outcome, ReadTarget};
use leasehold_testing::Between;
use leasehold_testing::certificates::Certificate;
use serde_json::{Value, json};

use super::changes::of_credential;
use super::{Company, LEFT_OUT};
use crate::harness::{Facts, change_credential, enumerate, enumerate_all, read_credential};

/// Credentials by what names each: the kind, whether its switch is on, and since when it is there.
type Credentials = BTreeMap<String, (CredentialKind, bool, Option<Timestamp>)>;

/// How AWS's own client lists a kind: the call, the list in its answer, and what names one and dates it.
const LISTS: [(CredentialKind, &str, &str, &str, &str); 4] = [
    (CredentialKind::AccessKey, "list_access_keys", "AccessKeyMetadata", "AccessKeyId", "CreateDate"),
    (CredentialKind::MfaDevice, "list_mfa_devices", "MFADevices", "SerialNumber", "EnableDate"),
    (CredentialKind::Certificate, "list_signing_certificates", "Certificates", "CertificateId", "UploadDate"),
    (CredentialKind::SshKey, "list_ssh_public_keys", "SSHPublicKeys", "SSHPublicKeyId", "UploadDate"),
];

/// Beside her password and her access key: a virtual second factor and one of hardware, an SSH public key and
/// a signing certificate.
pub fn give_alice_one_of_every_kind(company: &Company) {
    let certificate = Certificate::self_signed(company.server.folder(), "alice", &[]);
    let body = std::fs::read_to_string(certificate.certificate).unwrap();
    let key = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ== alice";
    let mut calls = vec![
        ("create_virtual_mfa_device", json!({"VirtualMFADeviceName": "alices"})),
        ("upload_ssh_public_key", json!({"UserName": "alice", "SSHPublicKeyBody": key})),
        ("upload_signing_certificate", json!({"UserName": "alice", "CertificateBody": body})),
    ];
    for device in ["arn:aws:iam::123456789012:mfa/alices", "GAHT12345678"] {
        let codes = json!({
            "UserName": "alice", "SerialNumber": device,
            "AuthenticationCode1": "123456", "AuthenticationCode2": "654321",
        });
        calls.push(("enable_mfa_device", codes));
    }
    company.server.calls(&company.admin, "iam", &calls);
}

fn date(value: &Value) -> Option<Timestamp> {
    Some(value.as_str()?.replace(' ', "T").parse().expect("an instant"))
}

/// What a user logs in with as AWS's own client reads it.
fn in_account(company: &Company, user: &AccountTarget) -> Credentials {
    let mut calls: Vec<(&str, Value)> = Vec::new();
    for (_, operation, ..) in LISTS {
        calls.push((operation, json!({"UserName": user.login})));
    }
    calls.push(("get_login_profile", json!({"UserName": user.login})));
    let mut answers = company.server.try_calls(&company.admin, "iam", &calls);
    let mut found = Credentials::new();
    match answers.pop().expect("an answer about the password") {
        Ok(answer) => {
            let created = date(&answer["LoginProfile"]["CreateDate"]);
            found.insert(format!("password/{}", user.key), (CredentialKind::Password, true, created));
        }
        Err(code) => assert_eq!(code, "NoSuchEntity"),
    }
    for ((kind, _, list, id, created), answer) in LISTS.into_iter().zip(answers) {
        let answer = answer.expect("a list of credentials");
        for one in answer[list].as_array().expect("credentials") {
            let active = one["Status"].as_str().is_none_or(|status| status == "Active");
            let name = one[id].as_str().expect("what names it").to_owned();
            found.insert(name, (kind, active, date(&one[created])));
        }
    }
    found
}

/// The same as the connector tells it.
fn told(facts: &Facts, user: &AccountTarget) -> Credentials {
    let credentials = facts.credentials.values().filter(|credential| credential.account == user.key);
    credentials
        .map(|credential| {
            let told = (credential.kind, credential.active, credential.created_at);
            (credential.key.to_string(), told)
        })
        .collect()
}

fn target(key: &str, kind: CredentialKind) -> CredentialTarget {
    CredentialTarget { key: key.into(), kind }
}

#[tokio::test]
async fn every_kind_is_told_as_the_account_tells_it_and_is_revoked_alone() {
    let company = Company::start();
    give_alice_one_of_every_kind(&company);
    let (connector, alice) = (company.connector(), company.user("alice"));
    let mut left = in_account(&company, &alice);
    let mut kinds: Vec<CredentialKind> = left.values().map(|(kind, ..)| *kind).collect();
    kinds.sort();
    use CredentialKind::{AccessKey, Certificate, MfaDevice, Password, SshKey};
    assert_eq!(kinds, [Password, AccessKey, SshKey, Certificate, MfaDevice, MfaDevice]);
    assert!(left.values().all(|(_, active, created)| *active && created.is_some()), "{left:?}");
    let facts = enumerate_all(&*connector).await;
    assert_eq!(told(&facts, &alice), left);
    assert_eq!(facts.accounts["alice"].posture, [], "she has a second factor");
    for (key, (kind, ..)) in left.clone() {
        let target = target(&key, kind);
        assert_eq!(read_credential(&*connector, &alice, &target).await, (true, true), "{target:?}");
        let outcome = change_credential(&*connector, Verb::RevokeCredential, &alice, &target).await;
        assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{target:?}: {outcome:?}");
        left.remove(&key);
        assert_eq!(in_account(&company, &alice), left, "{target:?} is gone, and nothing else");
        assert_eq!(read_credential(&*connector, &alice, &target).await, (false, false), "{target:?}");
        let outcome = change_credential(&*connector, Verb::RevokeCredential, &alice, &target).await;
        assert_eq!(outcome, Outcome::AlreadySo, "{target:?}");
    }
    let devices = company.iam("list_virtual_mfa_devices", json!({}));
    assert_eq!(devices["VirtualMFADevices"], json!([]), "its name would be taken");
    assert_eq!(told(&enumerate_all(&*connector).await, &alice), left);
}

#[tokio::test]
async fn what_has_a_switch_is_stopped_and_comes_back() {
    let company = Company::start();
    give_alice_one_of_every_kind(&company);
    let (connector, alice) = (company.connector(), company.user("alice"));
    let before = in_account(&company, &alice);
    for (key, (kind, _, created)) in before.clone() {
        let target = target(&key, kind);
        let stopped = change_credential(&*connector, Verb::DisableCredential, &alice, &target).await;
        if matches!(kind, CredentialKind::Password | CredentialKind::MfaDevice) {
            let is_told = matches!(&stopped, Outcome::Refused { why } if why.contains("revoke it"));
            assert!(is_told, "{target:?}: {stopped:?}");
            continue;
        }
        assert!(matches!(stopped, Outcome::Acknowledged { .. }), "{target:?}: {stopped:?}");
        let mut expected = before.clone();
        expected.insert(key, (kind, false, created));
        assert_eq!(in_account(&company, &alice), expected);
        assert_eq!(told(&enumerate_all(&*connector).await, &alice), expected);
        assert_eq!(read_credential(&*connector, &alice, &target).await, (true, false), "{target:?}");
        let back = change_credential(&*connector, Verb::EnableCredential, &alice, &target).await;
        assert!(matches!(back, Outcome::Acknowledged { .. }), "{target:?}: {back:?}");
        assert_eq!(in_account(&company, &alice), before);
    }
    assert_eq!(in_account(&company, &alice), before, "what was refused is as it was");
}

/// An answer over HTTP.
fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// A connector that lacks the right for one action.
fn without_right(company: &Company, action: &'static str) -> Box<dyn Connector> {
    let between = Between::start(&company.server.url(), move |request, forward| {
        if !request.contains(&format!("Action={action}&")) {
            return forward();
        }
        // In AWS's words, which name the user who was asked about: other ones for each.
        let user = request.split("UserName=").nth(1).and_then(|rest| rest.split('&').next());
        let user = user.unwrap_or_default();
        let error = format!(
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>User: leasehold is not authorized to \
             perform: iam:{action} on resource: user {user}</Message></Error></ErrorResponse>"
        );
        answer("403 Forbidden", &error)
    });
    company.connector_at(&between.url(), LEFT_OUT)
}

#[tokio::test]
async fn what_cannot_be_listed_is_unknown_and_neither_missing_nor_gone() {
    let company = Company::start();
    give_alice_one_of_every_kind(&company);
    let alice = company.user("alice");
    let before = in_account(&company, &alice);
    let delete = ActionRequest {
        credential: None,
        ..of_credential(Verb::DeleteAccount, &alice, "", CredentialKind::Password)
    };
    for (kind, action, can_be_left_out) in [
        (CredentialKind::AccessKey, "ListAccessKeys", false),
        (CredentialKind::MfaDevice, "ListMFADevices", true),
        (CredentialKind::Certificate, "ListSigningCertificates", true),
        (CredentialKind::SshKey, "ListSSHPublicKeys", true),
        (CredentialKind::ApiKey, "ListServiceSpecificCredentials", true),
    ] {
        // The account on loopback fails by itself where it has no such credentials.
        let connector = match kind {
            CredentialKind::ApiKey => company.connector_with(""),
            _ => without_right(&company, action),
        };
        let (facts, completeness) = enumerate(&*connector).await;
        let why = completeness.detail();
        assert!(!completeness.is_complete(), "{action}: {why}");
        assert!(why.contains(&format!("{action} failed")), "{why}");
        assert_eq!(why.contains("leave_out"), can_be_left_out, "{why}");
        assert_eq!(facts.problems.len(), 1, "once, and not for every user: {:?}", facts.problems);
        assert_eq!(facts.accounts["alice"].posture, [], "{action}: what is not known is no finding");
        let mut others = before.clone();
        others.retain(|_, (other, ..)| *other != kind);
        assert_eq!(told(&facts, &alice), others, "what could be read is told all the same");

        let of_kind = before.iter().find(|(_, (other, ..))| *other == kind);
        let key = of_kind.map_or("ACCAEXAMPLE", |(key, _)| key.as_str());
        let read = ReadTarget::Credential { account: alice.clone(), credential: target(key, kind) };
        let error = connector.read_back(&read).await.expect_err("it may not look").to_string();
        assert!(error.contains(action), "{error}");
        let revoke = of_credential(Verb::RevokeCredential, &alice, key, kind);
        for request in [&revoke, &delete] {
            connector.execute(request).await.expect_err("what is there is not known");
        }
        assert_eq!(in_account(&company, &alice), before, "{action}: nothing was changed");
    }
    let error = without_right(&company, "GetLoginProfile").enumerate(&mut Facts::default()).await;
    let error = error.expect_err("who has a password is not known").to_string();
    assert!(error.contains("GetLoginProfile") && error.contains("not taken for absent"), "{error}");
}

const SERVICE_SPECIFIC: &str = "ACCA12345ABCDEXAMPLE";

/// Answers as AWS documents it for a service-specific credential of Alice, which the account on loopback
/// cannot have. Its status is kept, empty where it is gone. Every other call is passed on.
fn with_service_specific_credential(company: &Company, status: &Arc<Mutex<&'static str>>) -> Between {
    let kept = Arc::clone(status);
    Between::start(&company.server.url(), move |request, forward| {
        let Some((_, action)) = request.split_once("Action=") else { return forward() };
        let action = action.split('&').next().unwrap_or_default();
        let is_of_alice = request.contains("UserName=alice");
        let is_named = request.contains(&format!("ServiceSpecificCredentialId={SERVICE_SPECIFIC}"));
        let mut status = kept.lock().expect("the status");
        let mut result = String::new();
        match action {
            "ListServiceSpecificCredentials" if is_of_alice && !status.is_empty() => {
                result = format!(
                    "<member><UserName>alice</UserName><Status>{}</Status>\
                     <ServiceUserName>alice-at-123456789012</ServiceUserName>\
                     <ServiceName>codecommit.amazonaws.com</ServiceName>\
                     <CreateDate>2026-01-02T03:04:05Z</CreateDate>\
                     <ExpirationDate>2036-01-02T03:04:05Z</ExpirationDate>\
                     <ServiceSpecificCredentialId>{SERVICE_SPECIFIC}</ServiceSpecificCredentialId></member>",
                    *status
                );
            }
            "ListServiceSpecificCredentials" => {}
            "UpdateServiceSpecificCredential" if is_of_alice && is_named => {
                *status = if request.contains("Status=Inactive") { "Inactive" } else { "Active" };
            }
            "DeleteServiceSpecificCredential" if is_of_alice && is_named => *status = "",
            _ => return forward(),
        }
        let body = format!(
            "<{action}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><{action}Result>\
             <ServiceSpecificCredentials>{result}</ServiceSpecificCredentials></{action}Result>\
             </{action}Response>"
        );
        answer("200 OK", &body)
    })
}

#[tokio::test]
async fn a_service_specific_credential_is_told_stopped_and_revoked_as_aws_documents_it() {
    let company = Company::start();
    let status = Arc::new(Mutex::new("Active"));
    let between = with_service_specific_credential(&company, &status);
    let (connector, alice) = (company.connector_at(&between.url(), ""), company.user("alice"));
    let target = target(SERVICE_SPECIFIC, CredentialKind::ApiKey);
    let now = || *status.lock().expect("the status");
    let facts = enumerate_all(&*connector).await;
    let credential = &facts.credentials[SERVICE_SPECIFIC];
    assert_eq!((credential.kind, credential.active), (CredentialKind::ApiKey, true));
    assert_eq!(credential.account, alice.key);
    assert_eq!(credential.created_at, Some("2026-01-02T03:04:05Z".parse().unwrap()));
    assert_eq!(credential.expires_at, Some("2036-01-02T03:04:05Z".parse().unwrap()));
    assert_eq!(credential.scope, ["codecommit.amazonaws.com"]);
    for (verb, expected, read) in [
        (Verb::DisableCredential, "Inactive", (true, false)),
        (Verb::EnableCredential, "Active", (true, true)),
        (Verb::RevokeCredential, "", (false, false)),
    ] {
        let outcome = change_credential(&*connector, verb, &alice, &target).await;
        assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{verb}: {outcome:?}");
        assert_eq!(now(), expected, "{verb}");
        assert_eq!(read_credential(&*connector, &alice, &target).await, read, "{verb}");
    }
    let facts = enumerate_all(&*connector).await;
    assert!(!facts.credentials.contains_key(SERVICE_SPECIFIC));
}
