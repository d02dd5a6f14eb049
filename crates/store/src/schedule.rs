//! When each system is read next, and how its last reading ended: kept in the store, so that a restart changes nothing
//! about it and of several processes one begins a reading.

use jiff::Timestamp;
use leasehold_model::id::SystemName;

use crate::db::{count, execute, fetch_all, instant, micros, stored, without_nul};
use crate::error::{Result, StoreError};
use crate::history::system_name;
use crate::store::Store;
use crate::task::{self, NewTask, Requested};

/// How a reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadingOutcome {
    /// Absence counted.
    Complete,
    /// It was answered, and absence did not count.
    Partial,
    /// It broke off.
    Failed,
}

impl ReadingOutcome {
    /// The name used in the store and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        [Self::Complete, Self::Partial, Self::Failed]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or_else(|| StoreError::corrupt("a schedule", format!("the outcome `{text}`")))
    }
}

/// The schedule of one system.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ScheduleRow {
    /// Which system.
    pub system: SystemName,
    /// When it is read next.
    pub due_at: Timestamp,
    /// When the last reading began.
    pub started_at: Option<Timestamp>,
    /// When the last reading ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended; `None` where there was none.
    pub outcome: Option<ReadingOutcome>,
    /// The evidence of its completeness, or what was wrong.
    pub detail: Option<String>,
    /// How many readings in a row have failed.
    pub failures: u32,
}

/// The end of a reading.
#[derive(Debug, Clone)]
pub struct ReadingEnd {
    /// How.
    pub outcome: ReadingOutcome,
    /// The evidence of its completeness, or what was wrong.
    pub detail: String,
    /// How many readings in a row have failed.
    pub failures: u32,
    /// When the system is read next.
    pub due_at: Timestamp,
}

type Row = (String, i64, Option<i64>, Option<i64>, Option<String>, Option<String>, i64);

fn schedule_row(
    (system, due_at, started_at, ended_at, outcome, detail, failures): Row,
) -> Result<ScheduleRow> {
    Ok(ScheduleRow {
        system: system_name(system)?,
        due_at: instant(due_at)?,
        started_at: started_at.map(instant).transpose()?,
        ended_at: ended_at.map(instant).transpose()?,
        outcome: outcome.map(|outcome| ReadingOutcome::parse(&outcome)).transpose()?,
        detail,
        failures: u32::try_from(count(failures)).unwrap_or(u32::MAX),
    })
}

impl Store {
    /// The schedule of every system that ever had one, by name.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn schedules(&self) -> Result<Vec<ScheduleRow>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            Row,
            "SELECT system, due_at, started_at, ended_at, outcome, detail, failures FROM schedule ORDER BY system"
        )?;
        rows.into_iter().map(schedule_row).collect()
    }

    /// Sees to it that a system is read at an instant at the latest.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn schedule_by(&self, system: &SystemName, due_at: Timestamp) -> Result<()> {
        let mut tx = self.db.write().await?;
        execute!(
            &mut tx,
            "INSERT INTO schedule (system, due_at, failures) VALUES ($1, $2, 0)
             ON CONFLICT (system) DO UPDATE SET due_at = excluded.due_at WHERE schedule.due_at > excluded.due_at",
            system.as_str(),
            micros(due_at)
        )?;
        tx.commit().await
    }

    /// Where a system is due, asks for its reading and sets when it is due after that; `None` where it is not due, or
    /// another process has just done so.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn request_due(
        &self,
        system: &SystemName,
        reading: &NewTask,
        next_due_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Requested>> {
        let mut tx = self.db.write().await?;
        let due = execute!(
            &mut tx,
            "UPDATE schedule SET due_at = $1 WHERE system = $2 AND due_at <= $3",
            micros(next_due_at),
            system.as_str(),
            micros(now)
        )?;
        if due == 0 {
            return Ok(None);
        }
        let requested = task::request(&mut tx, reading, now).await?;
        tx.commit().await?;
        Ok(Some(requested))
    }

    /// Notes that a reading begins.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn reading_started(&self, system: &SystemName, now: Timestamp) -> Result<()> {
        let mut tx = self.db.write().await?;
        execute!(
            &mut tx,
            "INSERT INTO schedule (system, due_at, started_at, failures) VALUES ($1, $2, $2, 0)
             ON CONFLICT (system) DO UPDATE SET started_at = excluded.started_at",
            system.as_str(),
            micros(now)
        )?;
        tx.commit().await
    }

    /// Notes how a reading ended, and when the next one is due.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn reading_ended(&self, system: &SystemName, end: &ReadingEnd, now: Timestamp) -> Result<()> {
        let mut tx = self.db.write().await?;
        execute!(
            &mut tx,
            "UPDATE schedule SET ended_at = $1, outcome = $2, detail = $3, failures = $4, due_at = $5
             WHERE system = $6",
            micros(now),
            end.outcome.as_str(),
            without_nul(&end.detail).as_ref(),
            stored(u64::from(end.failures)),
            micros(end.due_at),
            system.as_str()
        )?;
        tx.commit().await
    }
}
