//! AWS IAM as a target of the contract suite.

use std::collections::BTreeMap;

use async_trait::async_trait;
use leasehold_connect::connector::Connector;
use leasehold_connect::contract::{ContractFixture, Subject};
use leasehold_model::credential::CredentialKind;
use leasehold_model::request::{AccountTarget, CredentialTarget, Issued};
use leasehold_testing::AwsKey;
use secrecy::ExposeSecret;

use super::Company;
use crate::harness::{build, entitlement};

struct Fixture {
    company: Company,
    connector: Box<dyn Connector>,
    subject: Subject,
    spare: AwsKey,
}

#[async_trait]
impl ContractFixture for Fixture {
    fn connector(&self) -> &dyn Connector {
        self.connector.as_ref()
    }

    fn subject(&self) -> Option<Subject> {
        Some(self.subject.clone())
    }

    fn credential(&self) -> Option<(AccountTarget, CredentialTarget)> {
        let key = CredentialTarget { key: self.spare.id.as_str().into(), kind: CredentialKind::AccessKey };
        Some((self.subject.account.clone(), key))
    }

    fn new_account(&self) -> Option<(String, BTreeMap<String, String>)> {
        let attributes = [("email".to_owned(), "new.person@example.com".to_owned())];
        Some(("new.person".to_owned(), BTreeMap::from(attributes)))
    }

    fn issue_to(&self) -> Option<String> {
        Some("carol".to_owned())
    }

    async fn truly_lets_in(&self, login: &str, issued: &Issued) -> Option<bool> {
        let id = issued.credential.as_ref()?.key.to_string();
        let key = AwsKey { id, secret: issued.secret.expose_secret().to_owned(), token: None };
        let who = self.company.server.try_call(&key, "sts", "get_caller_identity", serde_json::json!({}));
        let arn = who.ok().and_then(|who| who["Arn"].as_str().map(str::to_owned)).unwrap_or_default();
        Some(arn.ends_with(&format!(":user/{login}")))
    }

    fn unreachable(&self) -> Option<Box<dyn Connector>> {
        let port = leasehold_testing::process::free_port();
        let secret = self.company.server.secret_file("unreachable.secret", &self.company.own.secret);
        Some(build(
            "aws_iam",
            &format!(
                "endpoint = 'http://127.0.0.1:{port}'\naccess_key_id = 'x'\nsecret_access_key = 'file:{}'",
                secret.display()
            ),
        ))
    }

    fn secrets(&self) -> Vec<String> {
        [&self.company.own, &self.company.alice, &self.spare].map(|key| key.secret.clone()).to_vec()
    }

    async fn truly_holds(&self) -> Option<bool> {
        Some(self.company.groups("alice").contains(&"eng".to_owned()))
    }
}

/// A membership.
pub async fn fixtures() -> Vec<Box<dyn ContractFixture>> {
    let company = Company::start();
    company.iam("create_user", serde_json::json!({"UserName": "carol"}));
    let spare = company.server.access_key(&company.admin, "alice");
    let subject = Subject { account: company.user("alice"), entitlement: entitlement("group/eng") };
    let connector = company.connector();
    vec![Box::new(Fixture { company, connector, subject, spare })]
}
