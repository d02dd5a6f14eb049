//! An immutable list of actions that would close drift, with what it leaves alone and why.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::credential::CredentialName;
use crate::id::{AccountKey, ActionId, EntitlementName, EpochId, IdentityKey, PlanHash, SystemName};
use crate::request::AccountTarget;

/// What an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Make an account.
    CreateAccount,
    /// Let an account log in again.
    EnableAccount,
    /// Give an entitlement to an account.
    Grant,
    /// Let a credential be used again.
    EnableCredential,
    /// Have work that an account ran by itself run as another account, and no longer as that one.
    HandOverCredential,
    /// Stop an account's log-ins.
    DisableAccount,
    /// Stop a credential, so that it can be brought back.
    DisableCredential,
    /// End a credential for good.
    RevokeCredential,
    /// Take a direct grant away.
    Revoke,
    /// End every live session of an account.
    EndSessions,
    /// Remove an account for good.
    DeleteAccount,
}

impl Verb {
    /// Every verb, in the order in which a plan lists them.
    pub const ALL: [Self; 11] = [
        Self::CreateAccount,
        Self::EnableAccount,
        Self::Grant,
        Self::EnableCredential,
        Self::HandOverCredential,
        Self::DisableAccount,
        Self::DisableCredential,
        Self::RevokeCredential,
        Self::Revoke,
        Self::EndSessions,
        Self::DeleteAccount,
    ];

    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateAccount => "create_account",
            Self::EnableAccount => "enable_account",
            Self::Grant => "grant",
            Self::EnableCredential => "enable_credential",
            Self::HandOverCredential => "hand_over_credential",
            Self::DisableAccount => "disable_account",
            Self::DisableCredential => "disable_credential",
            Self::RevokeCredential => "revoke_credential",
            Self::Revoke => "revoke",
            Self::EndSessions => "end_sessions",
            Self::DeleteAccount => "delete_account",
        }
    }

    /// Whether the account has more by it: it is opened, or something is added to what it has.
    pub fn gives(self) -> bool {
        matches!(self, Self::CreateAccount | Self::EnableAccount | Self::Grant | Self::EnableCredential)
    }

    /// Whether doing this takes access away. Such actions are retried until a person stops them (law 11). What is handed over was
    /// stopped before, so that nothing waits for it.
    pub fn takes_away(self) -> bool {
        !self.gives() && self != Self::HandOverCredential
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One action of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanItem {
    /// Stable name, derived from what is done to whom and from which state.
    pub id: ActionId,
    /// What to do.
    pub verb: Verb,
    /// Where.
    pub system: SystemName,
    /// What people call the account.
    pub account: String,
    /// The account's native key; empty of one that the same plan makes, which is found by its login.
    pub account_key: AccountKey,
    /// Whose account it is, where known.
    pub identity: Option<IdentityKey>,
    /// With what; `None` for verbs on the account itself.
    pub entitlement: Option<EntitlementName>,
    /// The system's own key of the entitlement.
    pub entitlement_native: Option<String>,
    /// The entitlement is an elevated one: what is elevated ends first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// With which credential; only for verbs on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialName>,
    /// Whom a credential is handed over to; only where one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<AccountTarget>,
    /// What a new account is made with: `email`, `given_name`, …; only where one is made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Why.
    pub because: Vec<String>,
    /// What else this account loses by it, effectively.
    pub also_loses: Vec<EntitlementName>,
    /// The effective entitlements that must be read back as gone, besides the direct grant itself. Another item of
    /// the same plan may be needed for that: the read-back of an effective entitlement waits for those.
    pub must_end: Vec<EntitlementName>,
    /// Actions that must be verified before this one is sent: what somebody keeps is granted before its old path ends.
    pub after: Vec<ActionId>,
}

impl PlanItem {
    /// What tells the account from the system's others: its key, or the login of one that has no key yet.
    pub fn account_id(&self) -> (&AccountKey, &str) {
        (&self.account_key, if self.account_key.0.is_empty() { &self.account } else { "" })
    }
}

/// Drift that the plan does nothing about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeftAlone {
    /// Where.
    pub system: SystemName,
    /// What people call the account.
    pub account: Option<String>,
    /// Whom it is about, where known: above all where there is no account.
    #[serde(default)]
    pub identity: Option<IdentityKey>,
    /// What it is about.
    pub entitlement: Option<EntitlementName>,
    /// Why nothing is done.
    pub why: String,
}

/// How the reason of what is given later begins.
pub const TO_COME: &str = "to come: ";

/// The sort of guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardKind {
    /// Too large a share of a system's grants would end.
    BlastRadius,
    /// Nobody would be left to administer the system.
    LastAdministrator,
    /// A role ended because its owner went, and its members would lose what it gave them.
    OwnerGone,
    /// Too many people of one feed left at once.
    MassDeparture,
}

impl GuardKind {
    /// The name used on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlastRadius => "blast_radius",
            Self::LastAdministrator => "last_administrator",
            Self::OwnerGone => "owner_gone",
            Self::MassDeparture => "mass_departure",
        }
    }
}

/// A guard that holds items of the plan back until a person overrides it by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// The name to override it by: `blast_radius:directory`.
    pub name: String,
    /// Which sort.
    pub kind: GuardKind,
    /// The system that it protects.
    pub system: SystemName,
    /// What it found.
    pub message: String,
    /// What a person can do.
    pub way_on: String,
    /// The items that wait.
    pub holds: Vec<ActionId>,
}

/// What a plan was computed from. A plan is refused when this has moved (law 7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct StateFingerprint {
    /// For each system, the last epoch that changed a fact of it.
    pub systems: BTreeMap<SystemName, EpochId>,
    /// The digest of the live policy.
    pub policy: String,
    /// The digest of baselines and other claims that are not policy files.
    pub claims: String,
}

/// An immutable plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// SHA-256 over everything below.
    pub hash: PlanHash,
    /// What it was computed from.
    pub state: StateFingerprint,
    /// What would be done.
    pub items: Vec<PlanItem>,
    /// What would not be done, and why.
    pub left_alone: Vec<LeftAlone>,
    /// What holds items back.
    pub guards: Vec<Guard>,
    /// Identities that it takes as having left, whatever their source says: who approves it decides that they have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub as_left: Vec<IdentityKey>,
    /// Non-humans that somebody takes over, with who: who approves it decides that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub successors: BTreeMap<IdentityKey, IdentityKey>,
}

impl Plan {
    /// Seals a plan: computes its hash over its content.
    pub fn seal(
        state: StateFingerprint,
        items: Vec<PlanItem>,
        left_alone: Vec<LeftAlone>,
        guards: Vec<Guard>,
    ) -> Self {
        let (as_left, successors) = (Vec::new(), BTreeMap::new());
        let hash = PlanHash(String::new());
        let mut plan = Self { hash, state, items, left_alone, guards, as_left, successors };
        plan.hash = plan.content_hash();
        plan
    }

    /// The same plan, sealed anew as one that takes these identities as having left.
    #[must_use]
    pub fn taking_as_left(mut self, identities: Vec<IdentityKey>) -> Self {
        self.as_left = identities;
        self.hash = self.content_hash();
        self
    }

    /// The same plan, sealed anew as one by which these non-humans are taken over.
    #[must_use]
    pub fn taken_over(mut self, successors: BTreeMap<IdentityKey, IdentityKey>) -> Self {
        self.successors = successors;
        self.hash = self.content_hash();
        self
    }

    /// The hash of the content; differs from [`Plan::hash`] where somebody edited the plan's file.
    pub fn content_hash(&self) -> PlanHash {
        let content = (&self.state, &self.items, &self.left_alone, &self.guards);
        let bytes = match (self.as_left.is_empty(), self.successors.is_empty()) {
            (true, true) => serde_json::to_vec(&content),
            (false, true) => serde_json::to_vec(&(content, &self.as_left)),
            (_, false) => serde_json::to_vec(&(content, &self.as_left, &self.successors)),
        };
        PlanHash(hex::encode(Sha256::digest(bytes.unwrap_or_default())))
    }

    /// The guard that holds this item back, if one does.
    pub fn guard_of(&self, item: &ActionId) -> Option<&Guard> {
        self.guards.iter().find(|guard| guard.holds.contains(item))
    }
}
