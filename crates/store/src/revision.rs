//! How far the store has moved: a few numbers that say cheaply whether anything must be read again.

use crate::db::fetch_one;
use crate::error::Result;
use crate::store::Store;

/// A place in the store's history. Two that are equal stand for the same facts and claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Revision {
    /// The newest epoch.
    pub epoch: i64,
    /// The live policy's number; 0 before the first.
    pub policy: i64,
    /// The newest baseline's number; 0 before the first.
    pub baseline: i64,
    /// Departures that were decided on or taken back, so far.
    pub departures: i64,
    /// What people said about non-humans, or took back, so far.
    pub stewardship: i64,
    /// When a credential was last replaced, in microseconds; 0 before the first time.
    pub replaced_at: i64,
}

impl Store {
    /// Where the store stands now.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn revision(&self) -> Result<Revision> {
        let mut tx = self.db.read().await?;
        let (epoch, policy, baseline, departures, stewardship, replaced_at) = fetch_one!(
            &mut tx,
            (i64, i64, i64, i64, i64, i64),
            "SELECT epoch, (SELECT COALESCE(MAX(id), 0) FROM policy_revision),
                 (SELECT COALESCE(MAX(id), 0) FROM baseline),
                 (SELECT COUNT(*) + COUNT(rescinded_at) FROM departure),
                 (SELECT COUNT(*) FROM ownership)
                 + (SELECT COUNT(*) + COUNT(finished_at) + COUNT(rescinded_at) FROM retirement),
                 (SELECT COALESCE(MAX(replaced_at), 0) FROM replaced_credential) FROM head"
        )?;
        Ok(Revision { epoch, policy, baseline, departures, stewardship, replaced_at })
    }
}
