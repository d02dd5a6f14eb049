//! The configured systems, each with its connector.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_connect::connector::Connector;
use leasehold_decide::correlate::CorrelationRule;
use leasehold_decide::evaluate::{Abilities, SystemSettings};
use leasehold_model::capability::Capabilities;
use leasehold_model::id::SystemName;

/// What may be done about drift of a system without being asked each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enforce {
    /// Drift is shown; plans leave it alone.
    Report,
    /// Plans propose; a person applies them.
    #[default]
    Propose,
    /// Plans may be applied without a person.
    Enforce,
}

/// One configured system.
#[derive(Clone)]
pub struct System {
    /// Its name.
    pub name: SystemName,
    /// The kind of its connector.
    pub connector_kind: String,
    /// Its connector.
    pub connector: Arc<dyn Connector>,
    /// Whose an account is, in order.
    pub correlate: Vec<CorrelationRule>,
    /// Its identities are the ones that access is for.
    pub authoritative: bool,
    /// What may be done about its drift.
    pub enforce: Enforce,
    /// The login of our own connector there, where it is known without asking.
    pub connector_login: Option<String>,
}

impl System {
    /// What deciding needs to know of it.
    pub fn settings(&self) -> SystemSettings {
        SystemSettings {
            correlate: self.correlate.clone(),
            authoritative: self.authoritative,
            connector_login: self.connector_login.clone(),
            can: abilities(&self.connector.capabilities()),
            report_only: self.enforce == Enforce::Report,
        }
    }
}

/// What planning needs to know of a connector's capabilities.
pub fn abilities(capabilities: &Capabilities) -> Abilities {
    Abilities {
        grant: capabilities.grant.supported,
        revoke: capabilities.revoke.supported,
        disable_account: capabilities.disable_account.supported,
        end_sessions: capabilities.end_sessions.supported,
    }
}

/// Every configured system.
pub type Systems = BTreeMap<SystemName, System>;

/// What deciding needs to know of all of them.
pub fn settings(systems: &Systems) -> BTreeMap<SystemName, SystemSettings> {
    systems.iter().map(|(name, system)| (name.clone(), system.settings())).collect()
}
