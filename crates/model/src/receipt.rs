//! What is said at the end of an offboarding: what was ended, when each was read back, and what is still there.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::ActionState;
use crate::credential::CredentialName;
use crate::id::{AccountKey, ActionId, EntitlementName, IdentityKey, PlanHash, SystemName};
use crate::plan::{PlanItem, Verb};
use crate::request::AccountTarget;

/// How far an action is, and what its target was read back as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionReceipt {
    /// Its name.
    pub id: ActionId,
    /// Its plan.
    pub plan: PlanHash,
    /// What it does.
    pub verb: Verb,
    /// Where.
    pub system: SystemName,
    /// What people call the account.
    pub account: String,
    /// With what.
    pub entitlement: Option<EntitlementName>,
    /// With which credential.
    #[serde(default)]
    pub credential: Option<CredentialName>,
    /// Whom it is handed over to; only where one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<AccountTarget>,
    /// Where it stands.
    pub state: ActionState,
    /// How often it was sent since it was last approved.
    pub attempts: u32,
    /// Why it stands there.
    pub reason: Option<String>,
    /// When it was last sent.
    pub sent_at: Option<Timestamp>,
    /// When the target was last read for it.
    pub read_back_at: Option<Timestamp>,
    /// The ledger entry of its final state; `None` while that is not reached.
    pub ledger_index: Option<u64>,
}

impl ActionReceipt {
    /// Whether nothing about it is outstanding.
    pub fn is_done(&self) -> bool {
        matches!(self.state, ActionState::Verified | ActionState::Void)
    }
}

/// Something that was ended, or was to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedAccess {
    /// How far it is.
    #[serde(flatten)]
    pub action: ActionReceipt,
    /// The account's own key in its system; empty where it was not known yet.
    pub account_key: AccountKey,
    /// Whose it was: the leaver's, or that of a non-human that they answered for.
    pub identity: Option<IdentityKey>,
    /// It was an elevated entitlement.
    #[serde(default)]
    pub privileged: bool,
    /// What had to be gone on every path besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must_end: Vec<EntitlementName>,
    /// What its target answered when it was last read back, path by path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Value>,
    /// Why it was to end.
    pub because: Vec<String>,
}

impl EndedAccess {
    /// An action as it stands, with what its plan says of it and what was seen of it.
    pub fn new(action: ActionReceipt, item: &PlanItem, seen: Option<Value>) -> Self {
        Self {
            action,
            account_key: item.account_key.clone(),
            identity: item.identity.clone(),
            privileged: item.privileged,
            must_end: item.must_end.clone(),
            seen,
            because: item.because.clone(),
        }
    }
}

/// Something that is still there, and nothing is under way to end it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RemainingAccess {
    /// Where.
    pub system: SystemName,
    /// What people call the account.
    pub account: Option<String>,
    /// Whose it is.
    pub identity: Option<IdentityKey>,
    /// What it is: an entitlement.
    pub entitlement: Option<EntitlementName>,
    /// What it is: a credential.
    pub credential: Option<CredentialName>,
    /// A plan that somebody approves would end it; else no plan can.
    pub can_be_ended: bool,
    /// Why it is still there.
    pub why: String,
}

/// An account of who left, as it was last seen, also where nothing had to be ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccountSeen {
    /// Where.
    pub system: SystemName,
    /// What people call it.
    pub account: String,
    /// Its own key in its system.
    pub account_key: AccountKey,
    /// Whose it is: the leaver's, or that of a non-human that ends with them.
    pub identity: IdentityKey,
    /// Whether it lets anybody log in.
    pub enabled: bool,
    /// How many of its credentials let anybody in.
    pub credentials: u64,
    /// How many entitlements it has been given, without those that come with every account.
    pub entitlements: u64,
}

/// How fresh the knowledge about a system is in which nothing else was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemReading {
    /// Which.
    pub system: SystemName,
    /// What stood there at this instant was read completely, the last time; `None` where it never was, and nothing is known of
    /// what is absent there.
    pub complete_at: Option<Timestamp>,
}

/// Everything that is said of one offboarding at an instant. A later one of the same identity takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffboardingStatement {
    /// Who left.
    pub identity: IdentityKey,
    /// When this was said.
    pub written_at: Timestamp,
    /// Who asked for it.
    pub written_by: String,
    /// Since when they are known to have left: what was done since then is told.
    pub left_at: Option<Timestamp>,
    /// Who decided that they leave; `None` where their source says so.
    pub decided_by: Option<String>,
    /// What was ended, or was to be, in the order in which it was begun.
    pub items: Vec<EndedAccess>,
    /// What is still there.
    pub remaining: Vec<RemainingAccess>,
    /// Every account of theirs, as it was last seen.
    pub accounts: Vec<AccountSeen>,
    /// Non-humans that somebody took over from them, with who.
    pub successors: BTreeMap<IdentityKey, IdentityKey>,
    /// How fresh the knowledge about each system is.
    pub readings: Vec<SystemReading>,
}

/// How much was ended, and what was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReceiptTally {
    /// Read back as ended.
    pub verified: u64,
    /// Facts had moved first.
    pub void: u64,
    /// Not verified: it waits for a person, is held by a guard, or cannot be read back.
    pub not_verified: u64,
    /// Still there, and nothing is under way to end it.
    pub remaining: u64,
    /// Systems that were never read completely: what is there is not known.
    pub unread: u64,
}

impl ReceiptTally {
    /// Whether nothing is left of what there was, as far as it is known.
    pub fn is_clean(&self) -> bool {
        (self.not_verified, self.remaining, self.unread) == (0, 0, 0)
    }
}

impl OffboardingStatement {
    /// What is counted in it.
    pub fn tally(&self) -> ReceiptTally {
        let outstanding = self.outstanding().count() as u64;
        let is_verified = |item: &&EndedAccess| item.action.state == ActionState::Verified;
        let verified = self.items.iter().filter(is_verified).count() as u64;
        ReceiptTally {
            verified,
            void: self.items.len() as u64 - verified - outstanding,
            not_verified: outstanding,
            remaining: self.remaining.len() as u64,
            unread: self.readings.iter().filter(|reading| reading.complete_at.is_none()).count() as u64,
        }
    }

    /// What was not read back as ended. That sessions need not be ended is no word about whether they live: they are
    /// outstanding until those of the account were ended by another action.
    pub fn outstanding(&self) -> impl Iterator<Item = &EndedAccess> {
        let place = |item: &EndedAccess| (item.action.system.clone(), item.account_key.clone());
        let looked_at: BTreeSet<_> = self
            .items
            .iter()
            .filter(|item| item.action.verb == Verb::EndSessions && item.action.state != ActionState::Void)
            .map(place)
            .collect();
        self.items.iter().filter(move |item| match item.action.state {
            ActionState::Verified => false,
            ActionState::Void => item.action.verb == Verb::EndSessions && !looked_at.contains(&place(item)),
            _ => true,
        })
    }

    /// Whether anything waits for somebody: what is not verified, what a plan would end, and what a person has to end elsewhere.
    pub fn is_outstanding(&self) -> bool {
        self.outstanding().next().is_some() || !self.remaining.is_empty()
    }
}
