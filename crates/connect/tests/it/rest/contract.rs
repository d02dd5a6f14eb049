//! A JSON API as a target of the contract suite.

use async_trait::async_trait;
use leasehold_connect::connector::Connector;
use leasehold_connect::contract::{ContractFixture, Subject};
use leasehold_testing::RestServer;
use leasehold_testing::process::free_port;
use leasehold_testing::rest::TOKEN;

use super::{connector, people, table};
use crate::harness::build;

struct Fixture {
    server: RestServer,
    connector: Box<dyn Connector>,
}

#[async_trait]
impl ContractFixture for Fixture {
    fn connector(&self) -> &dyn Connector {
        self.connector.as_ref()
    }

    fn subject(&self) -> Option<Subject> {
        None
    }

    fn unreachable(&self) -> Option<Box<dyn Connector>> {
        let nobody = format!("http://127.0.0.1:{}/", free_port());
        Some(build("rest", &table(&self.server, "people", "").replace(&self.server.url(""), &nobody)))
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned()]
    }
}

/// A feed of people.
pub async fn fixtures() -> Vec<Box<dyn ContractFixture>> {
    let server = RestServer::start(&people());
    let connector = connector(&server, "people?_page=1&_limit=5", "");
    vec![Box::new(Fixture { server, connector })]
}
