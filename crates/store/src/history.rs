//! Which systems there are, how their enumerations ended, and what those could not use.

use leasehold_model::fact::{Completeness, Problem};
use leasehold_model::id::{EpochId, SystemName};
use leasehold_model::snapshot::{EpochSummary, SystemState};

use crate::db::{Tx, count, fetch_all, instant, stored};
use crate::error::{Result, StoreError};
use crate::store::Store;

/// The columns of a summary, in the order in which it is read.
type SummaryRow = (i64, i64, i64, i64, String, String, i64, i64);

fn summary(row: SummaryRow) -> Result<EpochSummary> {
    let (_, id, started_at, ended_at, completeness, detail, facts, problems) = row;
    let completeness = match completeness.as_str() {
        "complete" => Completeness::Complete { evidence: detail },
        "partial" => Completeness::Partial { why: detail },
        other => return Err(StoreError::corrupt(format!("epoch {id}"), format!("completeness `{other}`"))),
    };
    Ok(EpochSummary {
        id: EpochId(id),
        started_at: instant(started_at)?,
        ended_at: instant(ended_at)?,
        completeness,
        facts: count(facts),
        problems: count(problems),
    })
}

/// A system's name as it was stored.
pub(crate) fn system_name(text: String) -> Result<SystemName> {
    SystemName::new(text).map_err(|error| StoreError::corrupt("a system", error))
}

/// Every system that had been read by an epoch, with its number, in the order of first reading.
pub(crate) async fn systems_at(tx: &mut Tx, epoch: i64) -> Result<Vec<(i64, SystemState)>> {
    let rows = fetch_all!(
        tx,
        (i64, String, Option<i64>, Option<i64>),
        "SELECT system.id, system.name, MAX(CASE WHEN epoch.changed = 1 THEN epoch.id END),
                MIN(CASE WHEN epoch.changed = 1 THEN epoch.id END)
         FROM system JOIN epoch ON epoch.system = system.id
         WHERE epoch.id <= $1 GROUP BY system.id, system.name ORDER BY system.id",
        epoch
    )?;
    let mut systems = Vec::with_capacity(rows.len());
    for (id, name, generation, first) in rows {
        let (name, first) = (system_name(name)?, first.map(EpochId));
        let generation = EpochId(generation.unwrap_or(0));
        systems.push((id, SystemState { name, generation, first, latest: None, latest_complete: None }));
    }
    let latest = fetch_all!(
        tx,
        SummaryRow,
        "SELECT system, id, started_at, ended_at, completeness, detail, facts, problems FROM epoch
         WHERE id IN (SELECT MAX(id) FROM epoch WHERE kind = 'enumeration' AND id <= $1 GROUP BY system
                      UNION SELECT MAX(id) FROM epoch WHERE kind = 'enumeration' AND completeness = 'complete'
                      AND id <= $1 GROUP BY system)
         ORDER BY id",
        epoch
    )?;
    for row in latest {
        let system = row.0;
        let summary = summary(row)?;
        if let Some((_, state)) = systems.iter_mut().find(|(id, _)| *id == system) {
            if summary.completeness.is_complete() {
                state.latest_complete = Some(summary.clone());
            }
            state.latest = Some(summary);
        }
    }
    Ok(systems)
}

impl Store {
    /// Every system that was ever read, in the order of first reading.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn systems(&self) -> Result<Vec<SystemState>> {
        let mut tx = self.db.read().await?;
        let systems = systems_at(&mut tx, i64::MAX).await?;
        Ok(systems.into_iter().map(|(_, state)| state).collect())
    }

    /// The latest enumerations of a system, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn epochs(&self, system: &SystemName, limit: usize) -> Result<Vec<EpochSummary>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            SummaryRow,
            "SELECT epoch.system, epoch.id, started_at, ended_at, completeness, detail, facts, problems
             FROM epoch JOIN system ON system.id = epoch.system
             WHERE system.name = $1 AND kind = 'enumeration' ORDER BY epoch.id DESC LIMIT $2",
            system.as_str(),
            stored(limit as u64)
        )?;
        rows.into_iter().map(summary).collect()
    }

    /// What the latest enumeration of a system could not use. [`EpochSummary::problems`] counts those, too, that are
    /// too many to be listed.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn problems(&self, system: &SystemName) -> Result<Vec<Problem>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (String, String),
            "SELECT place, message FROM problem WHERE epoch =
                 (SELECT MAX(epoch.id) FROM epoch JOIN system ON system.id = epoch.system
                  WHERE system.name = $1 AND kind = 'enumeration')
             ORDER BY position",
            system.as_str()
        )?;
        Ok(rows.into_iter().map(|(place, message)| Problem { place, message }).collect())
    }
}
