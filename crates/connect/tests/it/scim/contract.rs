//! Both servers as targets of the contract suite.

use std::collections::BTreeMap;

use async_trait::async_trait;
use leasehold_connect::connector::Connector;
use leasehold_connect::contract::{ContractFixture, Subject};
use leasehold_model::request::Issued;
use leasehold_testing::ScimServer;
use leasehold_testing::scim::TOKEN;
use secrecy::ExposeSecret;

use super::Company;
use crate::harness::entitlement;

/// Bob's place in `ops`.
const OPS: usize = 2;

struct Fixture {
    company: Company,
    connector: Box<dyn Connector>,
}

#[async_trait]
impl ContractFixture for Fixture {
    fn connector(&self) -> &dyn Connector {
        self.connector.as_ref()
    }

    fn subject(&self) -> Option<Subject> {
        Some(Subject { account: self.company.bob(), entitlement: entitlement("group/ops") })
    }

    fn new_account(&self) -> Option<(String, BTreeMap<String, String>)> {
        let attributes =
            [("email", "new.person@example.com"), ("given_name", "New"), ("employee_number", "E9")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some(("new \"person\"/1".to_owned(), BTreeMap::from(attributes)))
    }

    fn issue_to(&self) -> Option<String> {
        Some("bob".to_owned())
    }

    async fn truly_lets_in(&self, login: &str, issued: &Issued) -> Option<bool> {
        Some(self.company.server.has_password(login, issued.secret.expose_secret()))
    }

    fn unreachable(&self) -> Option<Box<dyn Connector>> {
        let port = leasehold_testing::process::free_port();
        Some(self.company.connector_at(&format!("http://127.0.0.1:{port}/v2"), ""))
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned()]
    }

    async fn truly_holds(&self) -> Option<bool> {
        Some(self.company.is_member(&self.company.bob(), OPS))
    }
}

/// A membership on each server; and one that is sent passwords although it does not say that it takes any.
pub async fn fixtures() -> Vec<Box<dyn ContractFixture>> {
    let fixture = |(company, more): (Company, &str)| -> Box<dyn ContractFixture> {
        let connector = company.connector_at(company.server.url(), more);
        Box::new(Fixture { company, connector })
    };
    let [first, second] = Company::both();
    let third = Company::start(ScimServer::start_scimmy());
    [(first, ""), (second, ""), (third, "passwords = 'set'")].map(fixture).into()
}
