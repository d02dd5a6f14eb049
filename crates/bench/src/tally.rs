//! What all engines' drift answers are compared by: counts, and sums that SQL can compute as well.

use leasehold_decide::engine::drift::{DriftKind, DriftRow, Sink};
use serde::{Deserialize, Serialize};

/// Counts of what is held too much and what is missing, with a sum over rows of `(user + 1) * (entitlement + 1)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Held and not justified.
    pub extra: u64,
    /// Sum over those.
    pub extra_sum: u64,
    /// Justified and not held.
    pub missing: u64,
    /// Sum over those.
    pub missing_sum: u64,
}

/// The contribution of one row to a sum.
#[inline]
pub fn weight(user: u32, entitlement: u32) -> u64 {
    (u64::from(user) + 1) * (u64::from(entitlement) + 1)
}

impl Tally {
    /// Counts a grant that nothing justifies.
    #[inline]
    pub fn extra(&mut self, user: u32, entitlement: u32) {
        self.extra += 1;
        self.extra_sum += weight(user, entitlement);
    }

    /// Counts a justified entitlement that is not held.
    #[inline]
    pub fn missing(&mut self, user: u32, entitlement: u32) {
        self.missing += 1;
        self.missing_sum += weight(user, entitlement);
    }

    /// The sum of two parts.
    pub fn merge(self, other: Tally) -> Tally {
        Tally {
            extra: self.extra + other.extra,
            extra_sum: self.extra_sum + other.extra_sum,
            missing: self.missing + other.missing,
            missing_sum: self.missing_sum + other.missing_sum,
        }
    }
}

impl Sink for Tally {
    #[inline]
    fn row(&mut self, row: DriftRow) {
        if row.kind == DriftKind::Missing {
            self.missing(row.identity.0, row.entitlement.0);
        } else {
            self.extra(row.identity.0, row.entitlement.0);
        }
    }
}

/// Count of toxic (pair, user) rows with their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToxicTally {
    /// Rows.
    pub toxic: u64,
    /// Sum over rows of `(user + 1) * (pair + 1)`.
    pub toxic_sum: u64,
}

impl ToxicTally {
    /// Counts a user who holds both sides of a pair.
    #[inline]
    pub fn toxic(&mut self, pair: u32, user: u32) {
        self.toxic += 1;
        self.toxic_sum += weight(user, pair);
    }
}
