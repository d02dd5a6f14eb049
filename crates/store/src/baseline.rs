//! Baselines: access that was there when a system was first connected, with a reason that ends.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::event::EventKind;
use leasehold_model::id::{EpochId, SystemName};
use leasehold_model::reason::Baseline;
use serde_json::json;

use crate::db::{execute, fetch_all, instant, micros};
use crate::error::Result;
use crate::history::system_name;
use crate::ledger::{self, Event};
use crate::store::Store;

impl Store {
    /// Records a baseline. From now on it is the system's baseline; an earlier one counts no more.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn adopt_baseline(&self, baseline: &Baseline, now: Timestamp) -> Result<()> {
        self.add_baseline(EventKind::BaselineAdopted, baseline, now).await
    }

    /// Ends the system's baseline now; gives it as it ended, or `None` where none was in force.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn end_baseline(&self, system: &SystemName, now: Timestamp) -> Result<Option<Baseline>> {
        let latest = self.baselines().await?.into_iter().rfind(|baseline| baseline.system == *system);
        let Some(in_force) = latest.filter(|baseline| baseline.until > now) else { return Ok(None) };
        let ended = Baseline { until: now, adopted_at: now, ..in_force };
        self.add_baseline(EventKind::BaselineEnded, &ended, now).await?;
        Ok(Some(ended))
    }

    async fn add_baseline(&self, kind: EventKind, baseline: &Baseline, now: Timestamp) -> Result<()> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        execute!(
            &mut tx,
            "INSERT INTO baseline (id, system, epoch, until_at, owner, adopted_at)
             SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3, $4, $5 FROM baseline",
            baseline.system.as_str(),
            baseline.epoch.0,
            micros(baseline.until),
            baseline.owner.as_str(),
            micros(baseline.adopted_at)
        )?;
        let event = Event {
            kind,
            subject: baseline.system.to_string(),
            body: json!({
                "system": baseline.system,
                "epoch": baseline.epoch.0,
                "until": baseline.until.to_string(),
            }),
            personal: BTreeMap::from([("owner".to_owned(), baseline.owner.clone())]),
        };
        ledger::append(&mut tx, vec![event], now).await?;
        tx.commit().await
    }

    /// Every baseline that was ever adopted, in that order; the last one of a system counts.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where one does not read back.
    pub async fn baselines(&self) -> Result<Vec<Baseline>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (String, i64, i64, String, i64),
            "SELECT system, epoch, until_at, owner, adopted_at FROM baseline ORDER BY id"
        )?;
        rows.into_iter()
            .map(|(system, epoch, until, owner, adopted_at)| {
                Ok(Baseline {
                    system: system_name(system)?,
                    epoch: EpochId(epoch),
                    until: instant(until)?,
                    owner,
                    adopted_at: instant(adopted_at)?,
                })
            })
            .collect()
    }
}
