//! What is said at the end of an offboarding: what was ended, when each was read back, and what is still there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::action::ActionState;
use crate::credential::CredentialName;
use crate::id::{AccountKey, ActionId, EntitlementName, IdentityKey, PlanHash, SystemName};
use crate::plan::{PlanItem, Verb};

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
    /// Why it was to end.
    pub because: Vec<String>,
}

impl EndedAccess {
    /// An action as it stands, with what its plan says of it.
    pub fn new(action: ActionReceipt, item: &PlanItem) -> Self {
        Self {
            action,
            account_key: item.account_key.clone(),
            identity: item.identity.clone(),
            privileged: item.privileged,
            must_end: item.must_end.clone(),
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
    /// Why it is still there.
    pub why: String,
}

/// How fresh the knowledge about a system is in which nothing else was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemReading {
    /// Which.
    pub system: SystemName,
    /// When it was last read completely; `None` where it never was, and nothing is known of what is absent there.
    pub complete_at: Option<Timestamp>,
}

/// Everything that is said of one offboarding at an instant. A later one of the same identity takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffboardingStatement {
    /// Who left.
    pub identity: IdentityKey,
    /// When this was said.
    pub written_at: Timestamp,
    /// From when on they may hold nothing, as far as that is known.
    pub left_at: Option<Timestamp>,
    /// Who decided that they leave; `None` where their source says so.
    pub decided_by: Option<String>,
    /// What was ended, or was to be, in the order in which it was begun.
    pub items: Vec<EndedAccess>,
    /// What is still there.
    pub remaining: Vec<RemainingAccess>,
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
}

impl ReceiptTally {
    /// Whether nothing is left of what there was.
    pub fn is_clean(&self) -> bool {
        self.not_verified == 0 && self.remaining == 0
    }
}

impl OffboardingStatement {
    /// What is counted in it.
    pub fn tally(&self) -> ReceiptTally {
        let count = |state| self.items.iter().filter(|item| item.action.state == state).count() as u64;
        let (verified, void) = (count(ActionState::Verified), count(ActionState::Void));
        ReceiptTally {
            verified,
            void,
            not_verified: self.items.len() as u64 - verified - void,
            remaining: self.remaining.len() as u64,
        }
    }
}
