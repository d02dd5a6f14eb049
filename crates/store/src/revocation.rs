//! How long it takes until access is verified as gone: of everybody, and of those who have left.

use jiff::Timestamp;
use leasehold_model::action::RESIDUAL;
use leasehold_model::id::SystemName;

use crate::db::{count, fetch_all, fetch_one, micros, stored};
use crate::error::{Result, StoreError};
use crate::store::Store;

/// Bounds of [`RevocationTimes::within_seconds`]: from what a target does at once to what waits for people.
const REVOCATION_BOUNDS_SECONDS: [i64; 9] = [1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400];

/// How long it took until access was verified as gone, over every action that took some away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationTimes {
    /// How many there are.
    pub number: u64,
    /// All their times together, in microseconds.
    pub sum_us: i64,
    /// How many took at most so many seconds, bound by bound.
    pub within_seconds: Vec<(i64, u64)>,
}

/// Access of somebody who has left that was taken away and read back as gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaverRevocation {
    /// Where.
    pub system: SystemName,
    /// From when they left until the read-back, in milliseconds.
    pub taken_ms: i64,
}

/// What began by taking access away ([`leasehold_model::plan::Verb::takes_away`]) and is verified, in SQL.
macro_rules! revoked {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " action.state = 'verified' AND action.approved_at IS NOT NULL AND action.verb NOT IN
              ('create_account', 'enable_account', 'grant', 'enable_credential', 'hand_over_credential') ",
            $after
        )
    };
}

impl Store {
    /// How long each of the latest revocations took, at most `limit`: from approval until a read-back showed
    /// that it was gone, in milliseconds, the latest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn revocation_times_ms(&self, limit: usize) -> Result<Vec<i64>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (i64,),
            revoked!(
                "SELECT changed_at - approved_at FROM action WHERE",
                "ORDER BY changed_at DESC LIMIT $1"
            ),
            stored(limit as u64)
        )?;
        Ok(rows.into_iter().map(|(duration_us,)| duration_us / 1_000).collect())
    }

    /// What was taken away of those who have left since an instant, after they had left: the latest `limit` of it, the latest
    /// first. What goes later by design, when a retention or a watch is over, is not among it: it was stopped before.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn leaver_revocations(
        &self,
        left_since: Timestamp,
        limit: usize,
    ) -> Result<Vec<LeaverRevocation>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (String, i64),
            revoked!(
                "SELECT action.system, action.changed_at - leaving.since
                 FROM leaving JOIN action ON action.identity = leaving.identity
                 WHERE leaving.since >= $1 AND action.changed_at >= leaving.since AND action.verb <> 'delete_account'
                 AND NOT (action.verb = 'revoke_credential' AND action.item LIKE '%\"kind\":\"scheduled_job\"%') AND",
                "ORDER BY action.changed_at DESC LIMIT $2"
            ),
            micros(left_since),
            stored(limit as u64)
        )?;
        let revocation = |(system, taken_us): (String, i64)| {
            let system = SystemName::new(&system).map_err(|error| StoreError::corrupt("an action", error))?;
            Ok(LeaverRevocation { system, taken_ms: taken_us / 1_000 })
        };
        rows.into_iter().map(revocation).collect()
    }

    /// How much of those who have left was read back as gone since an instant but for live sessions, which its system cannot end;
    /// by system.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn leaver_residuals(&self, since: Timestamp) -> Result<Vec<(SystemName, u64)>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (String, i64),
            "SELECT action.system, COUNT(*) FROM leaving JOIN action ON action.identity = leaving.identity
             WHERE action.state = 'verified' AND action.changed_at >= $1 AND action.reason LIKE $2 || '%'
             GROUP BY action.system ORDER BY action.system",
            micros(since),
            RESIDUAL
        )?;
        let residual = |(system, number): (String, i64)| {
            let system = SystemName::new(&system).map_err(|error| StoreError::corrupt("an action", error))?;
            Ok((system, count(number)))
        };
        rows.into_iter().map(residual).collect()
    }

    /// How long it took from the approval of every action that took access away until a read-back showed it gone.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn revocation_times(&self) -> Result<RevocationTimes> {
        let [b1, b2, b3, b4, b5, b6, b7, b8, b9] = REVOCATION_BOUNDS_SECONDS.map(|bound| bound * 1_000_000);
        let mut tx = self.db.read().await?;
        let (number, sum_us, w1, w2, w3, w4, w5, w6, w7, w8, w9) = fetch_one!(
            &mut tx,
            (i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64),
            revoked!(
                "SELECT COUNT(*), CAST(COALESCE(SUM(taken), 0) AS BIGINT),
                    COUNT(CASE WHEN taken <= $1 THEN 1 END), COUNT(CASE WHEN taken <= $2 THEN 1 END),
                    COUNT(CASE WHEN taken <= $3 THEN 1 END), COUNT(CASE WHEN taken <= $4 THEN 1 END),
                    COUNT(CASE WHEN taken <= $5 THEN 1 END), COUNT(CASE WHEN taken <= $6 THEN 1 END),
                    COUNT(CASE WHEN taken <= $7 THEN 1 END), COUNT(CASE WHEN taken <= $8 THEN 1 END),
                    COUNT(CASE WHEN taken <= $9 THEN 1 END)
             FROM (SELECT changed_at - approved_at AS taken FROM action WHERE",
                ") AS verified"
            ),
            b1,
            b2,
            b3,
            b4,
            b5,
            b6,
            b7,
            b8,
            b9
        )?;
        let within = [w1, w2, w3, w4, w5, w6, w7, w8, w9].map(count);
        let within_seconds = REVOCATION_BOUNDS_SECONDS.into_iter().zip(within).collect();
        Ok(RevocationTimes { number: count(number), sum_us, within_seconds })
    }
}
