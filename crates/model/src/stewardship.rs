//! What people said about non-humans: who answers for one, and that one is stopped and ends.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::IdentityKey;

/// Somebody answers for a non-human, whatever its system or the policy says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ownership {
    /// The non-human, by folded key.
    pub identity: IdentityKey,
    /// Who answers for it.
    pub owner: IdentityKey,
    /// Since when.
    pub recorded_at: Timestamp,
    /// Who said so.
    pub recorded_by: String,
}

/// A non-human is stopped so that it can be brought back, watched for use, and then ends for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retirement {
    /// The non-human, by folded key.
    pub identity: IdentityKey,
    /// From when on it is stopped.
    pub begun_at: Timestamp,
    /// Who said so.
    pub recorded_by: String,
    /// When a person said that it ends for good; until then that follows from what is seen of its use.
    pub finished_at: Option<Timestamp>,
}

/// What holds of non-humans by people's word.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stewardship {
    /// One at most for each non-human.
    pub ownerships: Vec<Ownership>,
    /// One at most for each non-human.
    pub retirements: Vec<Retirement>,
}

impl Stewardship {
    /// Whether nobody said anything.
    pub fn is_empty(&self) -> bool {
        self.ownerships.is_empty() && self.retirements.is_empty()
    }
}
