//! OpenBao as a target of the contract suite.

use std::collections::BTreeMap;

use async_trait::async_trait;
use leasehold_connect::connector::Connector;
use leasehold_connect::contract::{ContractFixture, Subject};
use leasehold_model::credential::CredentialKind;
use leasehold_model::request::{AccountTarget, CredentialTarget, Issued};
use leasehold_testing::openbao::ROOT_TOKEN;
use secrecy::ExposeSecret;

use super::Company;
use crate::harness::{build, entitlement};

struct Fixture {
    company: Company,
    connector: Box<dyn Connector>,
    subject: Subject,
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
        let bob = self.company.account(&self.company.bob);
        let key = self.company.accessor(&self.company.bob);
        Some((bob, CredentialTarget { key: key.into(), kind: CredentialKind::Token }))
    }

    fn new_account(&self) -> Option<(String, BTreeMap<String, String>)> {
        let attributes = [("email".to_owned(), "new.person@example.com".to_owned())];
        Some(("new person/1".to_owned(), BTreeMap::from(attributes)))
    }

    fn issue_to(&self) -> Option<String> {
        Some(self.subject.account.login.clone())
    }

    async fn truly_lets_in(&self, login: &str, issued: &Issued) -> Option<bool> {
        let key = issued.credential.as_ref()?.key.to_string();
        let user = key.strip_prefix("auth/userpass/users/").unwrap_or_default();
        let token = super::log_in_with(&self.company.server, user, issued.secret.expose_secret());
        Some(token.is_ok_and(|token| self.company.account(&token).login == login))
    }

    fn unreachable(&self) -> Option<Box<dyn Connector>> {
        let port = leasehold_testing::process::free_port();
        let token = self.company.server.token_file("unreachable.token", &self.company.own);
        let token = token.display();
        Some(build("openbao", &format!("url = 'http://127.0.0.1:{port}'\ntoken = 'file:{token}'")))
    }

    fn secrets(&self) -> Vec<String> {
        let Company { own, alice, bob, service, .. } = &self.company;
        [own, alice, bob, service].into_iter().cloned().chain([ROOT_TOKEN.to_owned()]).collect()
    }

    async fn truly_holds(&self) -> Option<bool> {
        Some(self.company.is_member(&self.subject.account, "eng"))
    }
}

/// A membership.
pub async fn fixtures() -> Vec<Box<dyn ContractFixture>> {
    let company = Company::start();
    let connector = company.connector();
    let subject = Subject { account: company.account(&company.alice), entitlement: entitlement("group/eng") };
    vec![Box::new(Fixture { company, connector, subject })]
}
