//! MariaDB as a target of the contract suite.

use std::collections::BTreeMap;

use async_trait::async_trait;
use leasehold_connect::connector::Connector;
use leasehold_connect::contract::{ContractFixture, Subject};
use leasehold_model::credential::CredentialKind;
use leasehold_model::request::{AccountTarget, CredentialTarget, Issued};
use leasehold_testing::MariadbServer;
use leasehold_testing::mariadb::PASSWORD;
use secrecy::ExposeSecret;

use super::{COMPANY, account, connector};
use crate::harness::entitlement;

struct Fixture {
    server: MariadbServer,
    connector: Box<dyn Connector>,
    subject: Subject,
    /// Asks the client whether the subject holds its entitlement.
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

    fn credential(&self) -> Option<(AccountTarget, CredentialTarget)> {
        let kind = CredentialKind::ScheduledJob;
        Some((account("bob@%"), CredentialTarget { key: "event app.`odd ``event`".into(), kind }))
    }

    fn hand_over(&self) -> Option<(AccountTarget, CredentialTarget, AccountTarget)> {
        let job = CredentialTarget { key: "event app.nightly".into(), kind: CredentialKind::ScheduledJob };
        Some((account("alice@127.0.0.1"), job, account("carol@%")))
    }

    fn new_account(&self) -> Option<(String, BTreeMap<String, String>)> {
        Some(("new'per@son\\\"".to_owned(), BTreeMap::new()))
    }

    fn issue_to(&self) -> Option<String> {
        Some("carol".to_owned())
    }

    async fn truly_lets_in(&self, login: &str, issued: &Issued) -> Option<bool> {
        Some(self.server.sql_as(login, issued.secret.expose_secret(), "select 1").is_ok())
    }

    fn unreachable(&self) -> Option<Box<dyn Connector>> {
        let port = leasehold_testing::process::free_port();
        Some(crate::harness::build("mariadb", &format!("url = 'mariadb://x@127.0.0.1:{port}'")))
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned()]
    }

    async fn truly_holds(&self) -> Option<bool> {
        Some(self.server.sql(self.oracle) == "1")
    }
}

/// A role, and a privilege on a name that has to be quoted.
pub async fn fixtures() -> Vec<Box<dyn ContractFixture>> {
    [
        (
            "alice@127.0.0.1",
            "role/team",
            "select count(*) from mysql.roles_mapping where user = 'alice' and role = 'team'",
        ),
        (
            "carol@%",
            "privilege/SELECT on `od``d.b`.`t (x)`",
            "select count(*) from mysql.tables_priv where user = 'carol' and table_priv like '%Select%'",
        ),
    ]
    .into_iter()
    .map(|(key, name, oracle)| -> Box<dyn ContractFixture> {
        let server = MariadbServer::start();
        server.sql(COMPANY);
        server.sql("revoke super on *.* from carol@'%'; grant event on app.* to carol@'%'");
        server
            .sql("create definer = alice@'127.0.0.1' event app.nightly on schedule every 1 day do select 1");
        server.sql("create definer = bob event app.`odd ``event` on schedule every 1 day do select 1");
        let connector = connector(&server);
        let subject = Subject { account: account(key), entitlement: entitlement(name) };
        Box::new(Fixture { server, connector, subject, oracle })
    })
    .collect()
}
