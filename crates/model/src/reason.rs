//! Why a grant may exist. Every reason has an owner and an end (law 4).

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::IdentityKey;

/// The sort of reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// A role, held by predicate (birthright) or assignment.
    Role,
    /// An approved request.
    Request,
    /// Time-boxed access whose end is enforced technically.
    Lease,
    /// A stated exception to the roles.
    Exception,
    /// There when the system was first connected, adopted until a date.
    Baseline,
    /// An emergency account's standing access.
    BreakGlass,
}

impl ReasonKind {
    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Request => "request",
            Self::Lease => "lease",
            Self::Exception => "exception",
            Self::Baseline => "baseline",
            Self::BreakGlass => "break_glass",
        }
    }
}

/// One reason, as shown beside a decision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reason {
    /// Which sort.
    pub kind: ReasonKind,
    /// Its name in the policy, or the system for a baseline.
    pub name: String,
    /// Who answers for it.
    pub owner: Option<IdentityKey>,
    /// When it ends; `None` for a role's predicate, which ends when the identity no longer matches.
    pub until: Option<Timestamp>,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind.as_str().replace('_', " "), self.name)?;
        if let Some(owner) = &self.owner {
            write!(formatter, ", owned by {owner}")?;
        }
        if let Some(until) = self.until {
            write!(formatter, ", until {until}")?;
        }
        Ok(())
    }
}

/// Access that was there when a system was first connected, given a reason that ends. It covers exactly the direct
/// grants that were held at `epoch`: what is removed and granted again later is not covered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The system.
    pub system: crate::id::SystemName,
    /// The last epoch whose grants it covers.
    pub epoch: crate::id::EpochId,
    /// When it ends.
    pub until: Timestamp,
    /// Who adopted it.
    pub owner: String,
    /// When it was adopted.
    pub adopted_at: Timestamp,
}
