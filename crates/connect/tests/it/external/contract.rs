//! External programs as targets of the contract suite: the worked example.

use async_trait::async_trait;
use leasehold_connect::connector::Connector;
use leasehold_connect::contract::{self, CheckOutcome, ContractFixture, Subject};
use leasehold_connect::registry;
use leasehold_model::credential::CredentialKind;
use leasehold_model::request::{AccountTarget, CredentialTarget, Issued};
use secrecy::ExposeSecret;
use std::collections::BTreeMap;

use super::{Faulty, Wiki};
use crate::harness::{account, entitlement};
use crate::support::settings;

struct Fixture {
    wiki: Wiki,
    connector: Box<dyn Connector>,
    /// The group that is given and taken.
    group: &'static str,
}

#[async_trait]
impl ContractFixture for Fixture {
    fn connector(&self) -> &dyn Connector {
        self.connector.as_ref()
    }

    fn subject(&self) -> Option<Subject> {
        Some(Subject { account: account("ben"), entitlement: entitlement(&format!("group/{}", self.group)) })
    }

    fn new_account(&self) -> Option<(String, BTreeMap<String, String>)> {
        Some(("cy".to_owned(), BTreeMap::new()))
    }

    fn issue_to(&self) -> Option<String> {
        Some("ben".to_owned())
    }

    async fn truly_lets_in(&self, login: &str, issued: &Issued) -> Option<bool> {
        Some(self.wiki.lets_in(login, issued.secret.expose_secret()))
    }

    fn unreachable(&self) -> Option<Box<dyn Connector>> {
        let table = self.wiki.table().replace("users = 'users'", "users = 'nowhere/users'");
        Some(registry::build("external", settings("wiki", self.wiki.folder.path(), &table)).unwrap())
    }

    async fn truly_holds(&self) -> Option<bool> {
        Some(self.wiki.members(self.group).contains(&"ben".to_owned()))
    }
}

/// A group with one line, and one with two.
pub async fn fixtures() -> Vec<Box<dyn ContractFixture>> {
    ["staff", "editors"]
        .into_iter()
        .map(|group| -> Box<dyn ContractFixture> {
            let wiki = Wiki::new();
            let connector = wiki.connector();
            Box::new(Fixture { wiki, connector, group })
        })
        .collect()
}

const HANDED_OVER: &str = "what is handed over runs as somebody else";
const ISSUED: &str = "an issued credential is another one each time and lets in";

struct FaultyFixture(Faulty);

impl ContractFixture for FaultyFixture {
    fn connector(&self) -> &dyn Connector {
        self.0.connector.as_ref()
    }

    fn subject(&self) -> Option<Subject> {
        Some(Subject { account: account("ben"), entitlement: entitlement("group/staff") })
    }

    fn hand_over(&self) -> Option<(AccountTarget, CredentialTarget, AccountTarget)> {
        let job = CredentialTarget { key: "nightly".into(), kind: CredentialKind::ScheduledJob };
        Some((account("ann"), job, account("ben")))
    }

    fn issue_to(&self) -> Option<String> {
        Some("ben".to_owned())
    }

    fn unreachable(&self) -> Option<Box<dyn Connector>> {
        None
    }

    fn settle_ms_max(&self) -> u64 {
        200
    }
}

async fn failed(fault: &str) -> Vec<&'static str> {
    let further = "capabilities = ['enumerate', 'prove_completeness', 'read_back', 'grant', 'revoke', \
                   'issue_credential', 'list_credentials', 'hand_over_credential']";
    let results = contract::run(&FaultyFixture(Faulty::with_job(fault, further, "ann"))).await;
    let failed = results.into_iter().filter(|result| matches!(result.outcome, CheckOutcome::Failed(_)));
    failed.map(|result| result.name).collect()
}

#[tokio::test]
async fn the_suite_notices_what_a_program_does_wrong() {
    assert_eq!(failed("nothing").await, Vec::<&str>::new());
    for (fault, check) in [
        ("lies", "a revoked grant is read as gone and stays gone"),
        ("dies at a change", "a revoked grant is read as gone and stays gone"),
        ("other object", "reading back agrees with the enumeration"),
        ("cannot read", "what does not exist is never read as held"),
        ("dies", "a complete enumeration has facts and evidence"),
        ("miscounts", "a complete enumeration has facts and evidence"),
        ("partial", "a complete enumeration has facts and evidence"),
        ("issues one secret", ISSUED),
        ("issues a short secret", ISSUED),
        ("issues for nobody", ISSUED),
        ("tells the secret twice", ISSUED),
        ("cannot issue", ISSUED),
        ("hands over to nobody", HANDED_OVER),
        ("loses what it hands over", HANDED_OVER),
        ("copies what it hands over", HANDED_OVER),
    ] {
        let failed = failed(fault).await;
        assert!(failed.contains(&check), "{fault}: {failed:?}");
    }
}
