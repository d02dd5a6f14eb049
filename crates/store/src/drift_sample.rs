//! The course of drift: how much of each kind there was, hour by hour.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::decision::DriftKind;

use crate::db::{count, execute, fetch_all, instant, micros, stored};
use crate::error::Result;
use crate::store::Store;

const HOUR_US: i64 = 3_600_000_000;
/// Stands for every kind together.
const ALL: &str = "all";

/// How much drift there was at the last change of one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftSample {
    /// When the hour began.
    pub hour: Timestamp,
    /// Drift of every kind.
    pub total: u64,
    /// Of each kind that there was any of.
    pub by_kind: BTreeMap<DriftKind, u64>,
}

impl Store {
    /// Keeps how much drift there is; of each hour the last is kept.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn keep_drift_sample(&self, counts: &BTreeMap<DriftKind, usize>, now: Timestamp) -> Result<()> {
        let hour = micros(now).div_euclid(HOUR_US) * HOUR_US;
        let total: usize = counts.values().sum();
        let mut tx = self.db.write().await?;
        execute!(&mut tx, "DELETE FROM drift_sample WHERE hour = $1", hour)?;
        let kinds =
            counts.iter().filter(|(_, number)| **number > 0).map(|(kind, number)| (kind.as_str(), *number));
        for (kind, number) in kinds.chain([(ALL, total)]) {
            execute!(
                &mut tx,
                "INSERT INTO drift_sample (hour, kind, number) VALUES ($1, $2, $3)
                 ON CONFLICT (hour, kind) DO UPDATE SET number = excluded.number",
                hour,
                kind,
                stored(number as u64)
            )?;
        }
        tx.commit().await
    }

    /// How much drift there was in each hour since an instant in which anything changed, first to last.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn drift_samples(&self, since: Timestamp) -> Result<Vec<DriftSample>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (i64, String, i64),
            "SELECT hour, kind, number FROM drift_sample WHERE hour >= $1 ORDER BY hour",
            micros(since)
        )?;
        let mut samples: Vec<DriftSample> = Vec::new();
        for (hour, kind, number) in rows {
            let hour = instant(hour)?;
            if samples.last().is_none_or(|last| last.hour != hour) {
                samples.push(DriftSample { hour, total: 0, by_kind: BTreeMap::new() });
            }
            let Some(sample) = samples.last_mut() else { continue };
            match DriftKind::parse(&kind) {
                Some(kind) => {
                    sample.by_kind.insert(kind, count(number));
                }
                None if kind == ALL => sample.total = count(number),
                // A kind of an earlier release counts in the total.
                None => {}
            }
        }
        Ok(samples)
    }
}
