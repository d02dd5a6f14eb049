//! JupyterHub as a target of the contract suite.

use std::collections::BTreeMap;

use async_trait::async_trait;
use leasehold_connect::connector::Connector;
use leasehold_connect::contract::{ContractFixture, Subject};
use leasehold_model::credential::CredentialKind;
use leasehold_model::request::{AccountTarget, CredentialTarget, Issued};
use leasehold_testing::jupyterhub::{CARETAKER_TOKEN, GRADER_TOKEN, OWN_TOKEN};
use secrecy::ExposeSecret;

use super::{Company, RIGHTS, connector, target, user};
use crate::harness::{build, entitlement};

struct Fixture {
    company: Company,
    connector: Box<dyn Connector>,
    credential: CredentialTarget,
}

#[async_trait]
impl ContractFixture for Fixture {
    fn connector(&self) -> &dyn Connector {
        self.connector.as_ref()
    }

    fn subject(&self) -> Option<Subject> {
        Some(Subject { account: user("alice"), entitlement: entitlement("group/students") })
    }

    fn credential(&self) -> Option<(AccountTarget, CredentialTarget)> {
        Some((user("bob"), self.credential.clone()))
    }

    fn new_account(&self) -> Option<(String, BTreeMap<String, String>)> {
        let attributes = [("email".to_owned(), "new.person@example.com".to_owned())];
        Some(("new person@example.com?#%".to_owned(), BTreeMap::from(attributes)))
    }

    fn issue_to(&self) -> Option<String> {
        Some("carol".to_owned())
    }

    async fn truly_lets_in(&self, login: &str, issued: &Issued) -> Option<bool> {
        Some(self.company.server.whose(issued.secret.expose_secret()).as_deref() == Some(login))
    }

    fn unreachable(&self) -> Option<Box<dyn Connector>> {
        let port = leasehold_testing::process::free_port();
        let token = self.company.server.token_file("unreachable.token", OWN_TOKEN);
        let token = token.display();
        Some(build("jupyterhub", &format!("url = 'http://127.0.0.1:{port}'\ntoken = 'file:{token}'")))
    }

    fn secrets(&self) -> Vec<String> {
        let Company { alice, granted, .. } = &self.company;
        let planted = [OWN_TOKEN, CARETAKER_TOKEN, GRADER_TOKEN].map(str::to_owned);
        [alice].into_iter().chain(granted).cloned().chain(planted).collect()
    }

    async fn truly_holds(&self) -> Option<bool> {
        Some(self.company.server.is_member("alice", "students"))
    }
}

/// A membership, what an application got, and a user who is deleted where another would be disabled.
pub async fn fixtures() -> Vec<Box<dyn ContractFixture>> {
    // Making users needs one scope more than the rest.
    let company = Company::with(&RIGHTS.replace("\"groups\",", "\"groups\", \"admin:users\","));
    let connector = connector(&company.server, OWN_TOKEN, "disable_by_deleting = true");
    let granted = company.credentials("bob", CredentialKind::OauthGrant).await;
    vec![Box::new(Fixture { company, connector, credential: target(&granted[0]) })]
}
