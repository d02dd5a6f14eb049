//! What a connector streams while it enumerates a system, and how an enumeration ends.

use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::credential::Credential;
use crate::entitlement::{Containment, DirectGrant, Entitlement};
use crate::id::{AccountKey, EntitlementName, IdentityKey};
use crate::identity::Identity;

/// One fact read from a system.
///
/// Order within an enumeration is free: a grant may come before its account or entitlement. A credential, grant,
/// containment or owner whose account or entitlement never comes is stored as a [`Problem`] and holds nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// From an authoritative source only.
    Identity(Identity),
    /// The same, where the source does not tell in a way that can be read where somebody stands, or from when until when: what it
    /// told of that last counts, for a mistyped word or a lost column brings nobody back who has left.
    IdentityInPart(Identity, Untold),
    /// A login exists.
    Account(Account),
    /// Something that authenticates an account exists.
    Credential(Credential),
    /// Something that can be held exists.
    Entitlement(Entitlement),
    /// An account holds an entitlement directly.
    Grant(DirectGrant),
    /// An entitlement carries another.
    Containment(Containment),
    /// Somebody answers for an account or entitlement, as the system itself says.
    Owner(OwnerFact),
}

/// What a source does not tell of somebody in a way that can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Untold {
    /// Where they stand.
    pub state: bool,
    /// From when on they may hold access.
    pub start: bool,
    /// That there is such a day is told, and not which: who is new begins on none that is known.
    pub is_start_unreadable: bool,
    /// Until when.
    pub end: bool,
}

/// Who answers for what, as the system itself says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerFact {
    /// What is owned.
    pub of: Owned,
    /// The owner, by identity key.
    pub owner: IdentityKey,
}

/// What an owner answers for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owned {
    /// An account, usually a non-human's.
    Account(AccountKey),
    /// An entitlement.
    Entitlement(EntitlementName),
}

/// A piece of input that could not be used. Listed for people; never aborts a sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where: `people.csv:17`, a DN, a role name.
    pub place: String,
    /// What was wrong and how to mend it.
    pub message: String,
}

impl Problem {
    /// Names a place and what is wrong there.
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

/// Where a source that tells identities in an order of its own ended. A later one that ends earlier may have been cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEnd {
    /// The identity of the last row.
    pub last: IdentityKey,
    /// Whether that row was ended by a line break.
    pub line_break: bool,
}

/// How an enumeration ended. Only `Complete` may end a grant (law 3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Completeness {
    /// Everything was read, and this is how we know.
    Complete {
        /// What proves it: counts that agree, a final page marker, a snapshot transaction.
        evidence: String,
    },
    /// Something may be missing: facts count, absences do not.
    Partial {
        /// What went wrong or could not be proved.
        why: String,
    },
}

impl Completeness {
    /// Whether absence counts.
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Complete { .. })
    }

    /// `complete` or `partial`.
    pub fn as_str(&self) -> &'static str {
        if self.is_complete() { "complete" } else { "partial" }
    }

    /// The evidence, or why it is partial.
    pub fn detail(&self) -> &str {
        match self {
            Self::Complete { evidence } => evidence,
            Self::Partial { why } => why,
        }
    }
}
