//! The configured systems, each with its connector.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use leasehold_connect::connector::Connector;
use leasehold_decide::correlate::{CorrelationRule, LoginRule};
use leasehold_decide::evaluate::{Abilities, SystemSettings};
use leasehold_decide::merge::Precedence;
use leasehold_model::capability::Capabilities;
use leasehold_model::decision::DriftKind;
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

impl Enforce {
    /// The name used in files and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Propose => "propose",
            Self::Enforce => "enforce",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Report, Self::Propose, Self::Enforce].into_iter().find(|enforce| enforce.as_str() == text)
    }
}

/// What may be done about each kind of drift of a system.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Enforcing {
    /// Where nothing is said of a kind.
    pub default: Enforce,
    /// What is said of single kinds.
    pub by_kind: BTreeMap<DriftKind, Enforce>,
}

impl From<Enforce> for Enforcing {
    fn from(default: Enforce) -> Self {
        Self { default, by_kind: BTreeMap::new() }
    }
}

impl Enforcing {
    /// What may be done about a kind.
    pub fn of(&self, kind: DriftKind) -> Enforce {
        self.by_kind.get(&kind).copied().unwrap_or(self.default)
    }

    /// The kinds that are handled like this.
    pub fn kinds(&self, enforce: Enforce) -> impl Iterator<Item = DriftKind> + '_ {
        DriftKind::ALL.iter().copied().filter(move |kind| self.of(*kind) == enforce)
    }
}

/// How often a system is read where nothing else is said, in milliseconds.
pub const INTERVAL_MS_DEFAULT: u64 = 15 * 60 * 1_000;

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
    /// What the login of a new account is made from; where nothing is said, none is made.
    pub new_account_login: Option<LoginRule>,
    /// Its identities are the ones that access is for.
    pub authoritative: bool,
    /// How early it is believed where several sources list an identity.
    pub precedence: Precedence,
    /// What may be done about its drift.
    pub enforce: Enforcing,
    /// How often it is read, in milliseconds.
    pub interval_ms: u64,
    /// The login of our own connector there, where it is known without asking.
    pub connector_login: Option<String>,
}

impl System {
    /// What deciding needs to know of it.
    pub fn settings(&self) -> SystemSettings {
        SystemSettings {
            correlate: self.correlate.clone(),
            new_account_login: self.new_account_login.clone(),
            authoritative: self.authoritative,
            precedence: self.precedence.clone(),
            connector_login: self.connector_login.clone(),
            can: abilities(&self.connector.capabilities()),
            report_only: self.enforce.kinds(Enforce::Report).collect(),
        }
    }
}

/// What planning needs to know of a connector's capabilities.
pub fn abilities(capabilities: &Capabilities) -> Abilities {
    Abilities {
        grant: capabilities.grant.supported,
        revoke: capabilities.revoke.supported,
        create_account: capabilities.create_account.supported,
        enable_account: capabilities.enable_account.supported,
        disable_account: capabilities.disable_account.supported,
        delete_account: capabilities.delete_account.supported,
        end_sessions: capabilities.end_sessions.supported,
        disable_credential: capabilities.disable_credential.supported,
        hand_over_credential: capabilities.hand_over_credential.supported,
        revoke_credential: capabilities.revoke_credential.supported,
    }
}

/// Every configured system.
pub type Systems = BTreeMap<SystemName, System>;

/// The configured systems of a process that runs on while its configuration changes. Cheap to clone; every clone is the
/// same.
#[derive(Clone)]
pub struct SharedSystems(Arc<RwLock<Arc<Systems>>>);

impl SharedSystems {
    /// Begins with these.
    pub fn new(systems: Systems) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(systems))))
    }

    /// Those of this instant; whoever holds them works on with them.
    pub fn now(&self) -> Arc<Systems> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Others from now on.
    pub(crate) fn replace(&self, systems: Systems) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(systems);
    }
}

/// What deciding needs to know of all of them.
pub fn settings(systems: &Systems) -> BTreeMap<SystemName, SystemSettings> {
    systems.iter().map(|(name, system)| (name.clone(), system.settings())).collect()
}
