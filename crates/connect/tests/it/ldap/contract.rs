//! OpenLDAP as a target of the contract suite.

use std::collections::BTreeMap;

use async_trait::async_trait;
use leasehold_connect::connector::Connector;
use leasehold_connect::contract::{ContractFixture, Subject};
use leasehold_model::request::Issued;
use leasehold_testing::{OpenLdapServer, openldap};
use secrecy::ExposeSecret;

use super::{connector_with, dn, group, group_dn, group_of, person, target};
use crate::harness::{build, enumerate_all};

struct Fixture {
    server: OpenLdapServer,
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

    fn new_account(&self) -> Option<(String, BTreeMap<String, String>)> {
        let attributes = [("email".to_owned(), "new.person@example.com".to_owned())];
        Some((" new+person, \"x\"=<y>;\\ü ".to_owned(), BTreeMap::from(attributes)))
    }

    fn issue_to(&self) -> Option<String> {
        Some("bob".to_owned())
    }

    async fn truly_lets_in(&self, login: &str, issued: &Issued) -> Option<bool> {
        Some(self.server.can_bind(&dn(login), issued.secret.expose_secret()))
    }

    fn unreachable(&self) -> Option<Box<dyn Connector>> {
        let port = leasehold_testing::process::free_port();
        Some(build("ldap", &format!("url = 'ldap://127.0.0.1:{port}'\nbase_dn = '{}'", openldap::BASE)))
    }

    fn secrets(&self) -> Vec<String> {
        vec![openldap::PASSWORD.to_owned()]
    }

    async fn truly_holds(&self) -> Option<bool> {
        Some(self.server.values(openldap::BASE, "(cn=names)", "member").contains(&dn("alice")))
    }
}

/// One directory with nested groups.
pub async fn fixtures() -> Vec<Box<dyn ContractFixture>> {
    let server = OpenLdapServer::start();
    for login in ["alice", "bob"] {
        server.add(&person(login, ""));
    }
    server.add(&group_of("names", "groupOfNames", "member", &[&dn("alice"), &dn("bob")]));
    server.add(&group_of("outer", "groupOfNames", "member", &[&group_dn("names"), &dn("bob")]));
    let connector = connector_with(&server, "new_account_base = 'ou=people,dc=example,dc=com'");
    let facts = enumerate_all(&*connector).await;
    let subject = Subject { account: target(&facts, "alice"), entitlement: group(&facts, "group/names") };
    vec![Box::new(Fixture { server, connector, subject })]
}
