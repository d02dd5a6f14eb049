//! The policy: what access is for. Read from files, checked with places, compiled before it is used.

pub mod check;
pub mod diagnostic;
pub mod document;
mod lifecycle;
pub mod predicate;
pub mod read;
mod shared_secret;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use leasehold_model::account::Account;
use leasehold_model::id::{EntitlementAddress, IdentityKey, SystemName};
use leasehold_model::identity::IdentityKind;
use sha2::{Digest, Sha256};

use predicate::Predicate;

/// A value and where it was written.
#[derive(Debug, Clone)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// The file, relative to the policy folder.
    pub file: std::sync::Arc<str>,
    /// Bytes of that file.
    pub span: Range<usize>,
}

/// A bundle of entitlements for a job task.
#[derive(Debug, Clone)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// For people.
    pub title: String,
    /// The job task that it exists for.
    pub task: Option<String>,
    /// Who answers for it.
    pub owner: Placed<IdentityKey>,
    /// Who holds it by rule.
    pub members: Option<Placed<Predicate>>,
    /// What it gives.
    pub grants: Vec<Placed<EntitlementAddress>>,
    /// How long whom the predicate does not name any longer keeps what it gives, to hand work over.
    pub hand_over: Option<SignedDuration>,
}

/// A role or entitlements for one identity until a date: an assignment or an exception.
#[derive(Debug, Clone)]
pub struct Explicit {
    /// Its name.
    pub name: String,
    /// To whom.
    pub identity: Placed<IdentityKey>,
    /// The role, for an assignment of one.
    pub role: Option<Placed<String>>,
    /// The entitlements.
    pub grants: Vec<Placed<EntitlementAddress>>,
    /// When it was given, where that is said: whoever has left since and came back does not have it any more.
    pub given: Option<Timestamp>,
    /// When it ends.
    pub until: Timestamp,
    /// Who answers for it.
    pub owner: Placed<IdentityKey>,
    /// What it is for.
    pub why: String,
    /// Written as an exception.
    pub exception: bool,
}

/// Sides of which nobody may hold something of two.
#[derive(Debug, Clone)]
pub struct SodSet {
    /// Its name.
    pub name: String,
    /// How bad a violation is.
    pub severity: String,
    /// The sides.
    pub sides: Vec<Vec<Placed<EntitlementAddress>>>,
}

/// Bounds on what a plan may do to a system.
#[derive(Debug, Clone, Default)]
pub struct GuardSettings {
    /// The largest share of a system's grants that a plan may end, 0 to 1.
    pub share_max: Option<f64>,
    /// The least count at which the share matters.
    pub count_min: Option<u64>,
    /// Of a people feed: the largest share of its people that may leave within an hour, 0 to 1.
    pub leavers_share_max: Option<f64>,
    /// The least count of leavers at which that share matters.
    pub leavers_count_min: Option<u64>,
    /// The largest count of leavers within an hour, whatever their share.
    pub leavers_count_max: Option<u64>,
    /// Entitlements that somebody must be left to hold.
    pub administrators: Vec<Placed<EntitlementAddress>>,
}

/// An account named in the policy, as `system:login`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountAddress {
    /// The system.
    pub system: SystemName,
    /// Login or key.
    pub login: String,
}

/// An account that no plan touches.
#[derive(Debug, Clone)]
pub struct Protected {
    /// The rule's name.
    pub name: String,
    /// Which account.
    pub account: Placed<AccountAddress>,
    /// What for.
    pub why: String,
    /// For a break-glass account: who answers, and until when.
    pub break_glass: Option<(IdentityKey, Timestamp)>,
}

/// A secret that several people know.
#[derive(Debug, Clone)]
pub struct SharedSecret {
    /// Its name in the policy.
    pub name: String,
    /// What it lets in to.
    pub accounts: Vec<Placed<AccountAddress>>,
    /// Everybody who knows it.
    pub known_by: Vec<Placed<IdentityKey>>,
    /// Who replaces it.
    pub owner: Placed<IdentityKey>,
    /// Where it is kept, for people.
    pub kept_in: Option<String>,
    /// Whether it is a key: what a system tells of an account's password says nothing about it.
    pub is_key: bool,
    /// When it was replaced last, where somebody said so.
    pub said_replaced_at: Option<Timestamp>,
}

impl SharedSecret {
    /// When it was replaced for an account, as far as that is known: by the system's own word, and only where that says nothing by a
    /// person's. What is still to come is no replacement.
    pub fn replaced_at(&self, account: &Account, now: Timestamp) -> Option<Timestamp> {
        let told = account.credential_changed_at.filter(|_| !self.is_key);
        told.or(self.said_replaced_at).filter(|at| *at <= now)
    }
}

impl fmt::Display for SharedSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        self.kept_in.as_ref().map_or(Ok(()), |place| write!(formatter, " (kept in {place})"))
    }
}

/// A non-human that no feed lists.
#[derive(Debug, Clone)]
pub struct DeclaredIdentity {
    /// Its key.
    pub key: IdentityKey,
    /// Which sort.
    pub kind: IdentityKind,
    /// Who answers for it.
    pub owner: Placed<IdentityKey>,
    /// Its accounts.
    pub accounts: Vec<AccountAddress>,
    /// Further attributes.
    pub attributes: BTreeMap<String, String>,
}

/// Names and where they were written: whether there is what they name, only the check beside what was observed can say.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// Systems of guards and retentions.
    pub systems: Vec<Placed<SystemName>>,
    /// Accounts that are said to be somebody's.
    pub accounts: Vec<Placed<AccountAddress>>,
    /// Identities, each with what they are named as.
    pub identities: Vec<(&'static str, Placed<IdentityKey>)>,
}

/// When unused accounts and old credentials become drift.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Unused for longer than this is dormant; `None`: not looked at.
    pub dormant_after: Option<SignedDuration>,
    /// A credential unchanged for longer than this is stale; `None`: not looked at.
    pub credential_age_max: Option<SignedDuration>,
}

/// What becomes of non-humans whose owner leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Succession {
    /// The first of the leaver's managers who is here takes them over.
    pub to_manager: bool,
    /// What nobody takes over is stopped; else it waits for a person.
    pub stop: bool,
    /// How long what was stopped is watched for use before it ends for good.
    pub watch: SignedDuration,
}

impl Default for Succession {
    fn default() -> Self {
        Self { to_manager: false, stop: false, watch: SignedDuration::from_hours(14 * 24) }
    }
}

/// The whole policy.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Roles by name.
    pub roles: Vec<Role>,
    /// Assignments and exceptions.
    pub explicit: Vec<Explicit>,
    /// Separation of duties.
    pub sod: Vec<SodSet>,
    /// Owners of entitlements.
    pub owners: Vec<(Placed<EntitlementAddress>, Placed<IdentityKey>)>,
    /// Guards by system.
    pub guards: BTreeMap<SystemName, GuardSettings>,
    /// Accounts that no plan touches.
    pub protected: Vec<Protected>,
    /// Non-humans that no feed lists.
    pub identities: Vec<DeclaredIdentity>,
    /// Whose an account is, where the rules cannot say.
    pub correlations: BTreeMap<AccountAddress, IdentityKey>,
    /// What is named and stands nowhere above with its place.
    pub named: Named,
    /// Limits on age and disuse.
    pub limits: Limits,
    /// How long after somebody left their account is deleted, by system; where nothing is said, it never is.
    pub retention: BTreeMap<SystemName, SignedDuration>,
    /// What becomes of non-humans whose owner leaves.
    pub succession: Succession,
    /// Secrets that several people know.
    pub shared_secrets: Vec<SharedSecret>,
    /// SHA-256 over the files, in hex; empty for the empty policy.
    pub digest: String,
}

/// SHA-256 over names and texts, in the order of the names.
pub fn digest(files: &BTreeMap<String, String>) -> String {
    let mut hasher = Sha256::new();
    for (name, text) in files {
        for part in [name, text] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hex::encode(hasher.finalize())
}
