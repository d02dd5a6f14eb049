//! A Linux host as a target of the contract suite.

use std::collections::BTreeMap;

use async_trait::async_trait;
use leasehold_connect::connector::Connector;
use leasehold_connect::contract::{ContractFixture, Subject};
use leasehold_model::credential::CredentialKind;
use leasehold_model::request::{AccountTarget, CredentialTarget, Issued};
use leasehold_testing::SshServer;
use secrecy::ExposeSecret;

use super::{company, connector, key_of, settings};
use crate::harness::{build, entitlement};

struct Fixture {
    server: SshServer,
    connector: Box<dyn Connector>,
    alice: AccountTarget,
    bob: AccountTarget,
    team: String,
}

#[async_trait]
impl ContractFixture for Fixture {
    fn connector(&self) -> &dyn Connector {
        self.connector.as_ref()
    }

    fn subject(&self) -> Option<Subject> {
        let entitlement = entitlement(&format!("group/{}", self.team));
        Some(Subject { account: self.alice.clone(), entitlement })
    }

    fn credential(&self) -> Option<(AccountTarget, CredentialTarget)> {
        Some((self.alice.clone(), key_of(&self.server, "alice")))
    }

    fn hand_over(&self) -> Option<(AccountTarget, CredentialTarget, AccountTarget)> {
        let key = format!("{} crontab", self.bob.login);
        let job = CredentialTarget { key: key.as_str().into(), kind: CredentialKind::ScheduledJob };
        Some((self.bob.clone(), job, self.alice.clone()))
    }

    fn new_account(&self) -> Option<(String, BTreeMap<String, String>)> {
        let attributes = [("display_name".to_owned(), "New: Person, $(id)".to_owned())];
        Some((self.server.name("new.person"), BTreeMap::from(attributes)))
    }

    fn issue_to(&self) -> Option<String> {
        Some(self.alice.login.clone())
    }

    async fn truly_lets_in(&self, login: &str, issued: &Issued) -> Option<bool> {
        assert_eq!(login, self.alice.login);
        Some(self.server.lets_in("alice", issued.secret.expose_secret()))
    }

    fn unreachable(&self) -> Option<Box<dyn Connector>> {
        let port = leasehold_testing::process::free_port();
        let here = format!("port = {}", self.server.port());
        Some(build("ssh", &settings(&self.server).replace(&here, &format!("port = {port}"))))
    }

    fn secrets(&self) -> Vec<String> {
        let key = std::fs::read_to_string(self.server.private_key("leasehold")).expect("read the key");
        key.lines().filter(|line| !line.starts_with('-')).map(str::to_owned).collect()
    }

    async fn truly_holds(&self) -> Option<bool> {
        let groups = self.server.administer("id", &["-Gn", &self.server.name("alice")]);
        Some(groups.split_whitespace().any(|group| group == self.team))
    }
}

/// A membership, and a key.
pub async fn fixtures() -> Vec<Box<dyn ContractFixture>> {
    let server = SshServer::start();
    let (alice, bob, team) = company(&server);
    server.set_crontab("bob", "@daily report\n");
    let connector = connector(&server);
    vec![Box::new(Fixture { server, connector, alice, bob, team })]
}
