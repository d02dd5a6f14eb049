//! What the tests of all connectors share.

use async_trait::async_trait;
use leasehold_connect::connector::{Connector, Sink};
use leasehold_connect::error::ConnectError;
use leasehold_connect::model::account::Account;
use leasehold_connect::model::entitlement::{DirectGrant, Entitlement};
use leasehold_connect::model::fact::{Completeness, Fact, FeedEnd, Problem};
use leasehold_connect::model::id::{AccountKey, ActionId, SystemName};
use leasehold_connect::model::identity::Identity;
use leasehold_connect::model::plan::Verb;
use leasehold_connect::model::request::{AccountTarget, ActionRequest, EntitlementTarget, ReadTarget};
use leasehold_connect::settings::Settings;

/// Keeps everything.
#[derive(Debug, Default)]
pub struct Collected {
    pub facts: Vec<Fact>,
    pub problems: Vec<Problem>,
    pub progress: Vec<(u64, Option<u64>)>,
}

#[async_trait]
impl Sink for Collected {
    async fn accept(&mut self, facts: Vec<Fact>) -> Result<(), ConnectError> {
        self.facts.extend(facts);
        Ok(())
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn progress(&mut self, done: u64, total: Option<u64>) {
        self.progress.push((done, total));
    }

    fn feed_ended(&mut self, _end: FeedEnd) -> Result<(), ConnectError> {
        Ok(())
    }
}

macro_rules! facts_of {
    ($name:ident, $variant:ident, $type:ty) => {
        #[allow(dead_code)]
        pub fn $name(&self) -> Vec<&$type> {
            self.facts
                .iter()
                .filter_map(|fact| match fact {
                    Fact::$variant(found) => Some(found),
                    _ => None,
                })
                .collect()
        }
    };
}

impl Collected {
    /// Whether their state is told or not.
    pub fn identities(&self) -> Vec<&Identity> {
        fn identity(fact: &Fact) -> Option<&Identity> {
            match fact {
                Fact::Identity(found) | Fact::IdentityInPart(found, _) => Some(found),
                _ => None,
            }
        }
        self.facts.iter().filter_map(identity).collect()
    }

    facts_of!(accounts, Account, Account);
    facts_of!(entitlements, Entitlement, Entitlement);
    facts_of!(grants, Grant, DirectGrant);
}

/// Enumerates into memory.
pub async fn collect(connector: &dyn Connector) -> (Collected, Result<Completeness, ConnectError>) {
    let mut collected = Collected::default();
    let ended = connector.enumerate(&mut collected).await;
    (collected, ended)
}

pub fn settings(system: &str, directory: &std::path::Path, text: &str) -> Settings {
    Settings::new(SystemName::new(system).unwrap(), directory, text.parse().unwrap())
}

pub fn account(key: &str) -> AccountTarget {
    AccountTarget { key: AccountKey::from(key), login: key.to_owned() }
}

pub fn request(verb: Verb, key: &str, entitlement: Option<&str>) -> ActionRequest {
    ActionRequest {
        id: ActionId::from("action-1"),
        verb,
        account: account(key),
        entitlement: entitlement.map(|name| EntitlementTarget { name: name.parse().unwrap(), native: None }),
        credential: None,
        to: None,
        attributes: Default::default(),
    }
}

pub fn read_grant(key: &str, entitlement: &str) -> ReadTarget {
    ReadTarget::Grant {
        account: account(key),
        entitlement: EntitlementTarget { name: entitlement.parse().unwrap(), native: None },
    }
}
