//! PostgreSQL as a target of the contract suite.

use std::collections::BTreeMap;

use async_trait::async_trait;
use leasehold_connect::connector::Connector;
use leasehold_connect::contract::{ContractFixture, Subject};
use leasehold_model::request::Issued;
use leasehold_testing::PostgresServer;
use leasehold_testing::postgres::PASSWORD;
use secrecy::ExposeSecret;

use super::{COMPANY, connector};
use crate::harness::{account, build, entitlement};

struct Fixture {
    server: PostgresServer,
    connector: Box<dyn Connector>,
    subject: Subject,
    /// Asks `psql` whether the subject holds its entitlement.
    oracle: &'static str,
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
        Some(("new.person \"x\"'; drop role alice; --".to_owned(), BTreeMap::new()))
    }

    fn issue_to(&self) -> Option<String> {
        Some("bob".to_owned())
    }

    async fn truly_lets_in(&self, login: &str, issued: &Issued) -> Option<bool> {
        let password = issued.secret.expose_secret();
        Some(self.server.sql_as(login, password, "postgres", "select 1").is_ok())
    }

    fn unreachable(&self) -> Option<Box<dyn Connector>> {
        let port = leasehold_testing::process::free_port();
        Some(build("postgres", &format!("url = 'postgres://x@127.0.0.1:{port}/x'")))
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned()]
    }

    async fn truly_holds(&self) -> Option<bool> {
        Some(self.server.sql(self.oracle) == "t")
    }
}

/// A membership, and a privilege.
pub async fn fixtures() -> Vec<Box<dyn ContractFixture>> {
    [
        ("alice", "role/team", "select pg_has_role('alice', 'team', 'member')"),
        (
            "alice",
            "privilege/USAGE on sequence sales.numbers",
            "select has_sequence_privilege('alice', 'sales.numbers', 'usage')",
        ),
    ]
    .into_iter()
    .map(|(login, name, oracle)| -> Box<dyn ContractFixture> {
        let server = PostgresServer::start();
        server.sql(COMPANY);
        let connector = connector(&server);
        let subject = Subject { account: account(login), entitlement: entitlement(name) };
        Box::new(Fixture { server, connector, subject, oracle })
    })
    .collect()
}
