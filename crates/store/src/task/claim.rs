//! Claims: a task is carried out by one process at a time.
//!
//! A claim is a lease with a fence. Whoever holds it renews it while it works; where it died, the lease passes and
//! another process takes the task over with a higher fence, after which the first one can neither renew nor end it.

use jiff::Timestamp;
use serde_json::Value;

use super::{Row, TaskRow, TaskState, select_tasks};
use crate::db::{execute, fetch_all, fetch_one, micros, to_json, without_nul};
use crate::error::{Result, StoreError};
use crate::store::Store;

/// The right to carry out a task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaskClaim {
    /// Which task.
    pub id: String,
    /// Which claim of it.
    pub fence: i64,
}

impl TaskRow {
    /// The claim that this row was given with.
    pub fn claim(&self) -> TaskClaim {
        TaskClaim { id: self.id.clone(), fence: self.fence }
    }
}

impl Store {
    /// Claims a task that may be begun, or that was begun by a process whose claim has passed. `kinds` are those that
    /// the caller can carry out, the most urgent first; of one kind, whoever waits longest comes first. `except` are
    /// those that it is carrying out: where it was too busy to renew its claim in time, it does not overtake itself.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where a task does not read back.
    pub async fn claim_task(
        &self,
        kinds: &[&str],
        except: &[String],
        by: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<TaskRow>> {
        let mut candidates: Vec<(usize, i64, String, i64)> = self
            .claimable(now)
            .await?
            .into_iter()
            .filter(|(id, ..)| !except.contains(id))
            .filter_map(|(id, kind, requested_at, fence)| {
                let urgency = kinds.iter().position(|known| *known == kind)?;
                Some((urgency, requested_at, id, fence))
            })
            .collect();
        candidates.sort();
        for (_, _, id, fence) in candidates {
            let claimed = self.claim_one(&id, fence, by, now, until).await?;
            if claimed.is_some() {
                return Ok(claimed);
            }
        }
        Ok(None)
    }

    async fn claimable(&self, now: Timestamp) -> Result<Vec<(String, String, i64, i64)>> {
        let mut tx = self.db.read().await?;
        fetch_all!(
            &mut tx,
            (String, String, i64, i64),
            "SELECT id, kind, requested_at, fence FROM task
             WHERE state IN ('queued', 'running') AND (
                (state = 'running' AND claim_until <= $1)
                OR (state = 'queued' AND not_before <= $1 AND NOT EXISTS (
                    SELECT 1 FROM task AS other WHERE other.lane = task.lane AND other.state = 'running')))",
            micros(now)
        )
    }

    /// Claims a task as it was seen; nothing where somebody was faster, with this task or with another in its lane.
    async fn claim_one(
        &self,
        id: &str,
        fence: i64,
        by: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<TaskRow>> {
        let mut tx = self.db.write().await?;
        let claimed = execute!(
            &mut tx,
            "UPDATE task SET state = 'running', claimed_by = $1, claimed_at = $2, claim_until = $3, fence = fence + 1,
                 attempts = attempts + 1
             WHERE id = $4 AND fence = $5 AND (state = 'queued' OR (state = 'running' AND claim_until <= $2))",
            by,
            micros(now),
            micros(until),
            id,
            fence
        );
        match claimed {
            Ok(0) => return Ok(None),
            Err(StoreError::Database(sqlx::Error::Database(error))) if error.is_unique_violation() => {
                return Ok(None);
            }
            claimed => claimed?,
        };
        let row = fetch_one!(&mut tx, Row, select_tasks!("WHERE id = $1"), id)?;
        tx.commit().await?;
        row.read().map(Some)
    }

    /// Keeps a claim; false where it has passed to somebody else, or the task has ended.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn renew_claim(&self, claim: &TaskClaim, until: Timestamp) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let kept = execute!(
            &mut tx,
            "UPDATE task SET claim_until = $1 WHERE id = $2 AND fence = $3 AND state = 'running'",
            micros(until),
            claim.id.as_str(),
            claim.fence
        )?;
        tx.commit().await?;
        Ok(kept == 1)
    }

    /// Notes what is known of a task's result while it runs; false where the claim has passed to somebody else.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn note_task(&self, claim: &TaskClaim, noted: &Value) -> Result<bool> {
        let noted = to_json("a task's result", noted)?;
        let mut tx = self.db.write().await?;
        let kept = execute!(
            &mut tx,
            "UPDATE task SET result = $1 WHERE id = $2 AND fence = $3 AND state = 'running'",
            noted.as_str(),
            claim.id.as_str(),
            claim.fence
        )?;
        tx.commit().await?;
        Ok(kept == 1)
    }

    /// Ends a task, well or with an error; false where the claim has passed to somebody else, and nothing was changed.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn end_task(
        &self,
        claim: &TaskClaim,
        ended: std::result::Result<&Value, &str>,
        now: Timestamp,
    ) -> Result<bool> {
        let (state, result, error) = match ended {
            Ok(result) => (TaskState::Done, Some(to_json("a task's result", result)?), None),
            Err(error) => (TaskState::Failed, None, Some(without_nul(error))),
        };
        let mut tx = self.db.write().await?;
        let ended = execute!(
            &mut tx,
            "UPDATE task SET state = $1, result = $2, error = $3, ended_at = $4, claim_until = NULL
             WHERE id = $5 AND fence = $6 AND state = 'running'",
            state.as_str(),
            result.as_deref(),
            error.as_deref(),
            micros(now),
            claim.id.as_str(),
            claim.fence
        )?;
        tx.commit().await?;
        Ok(ended == 1)
    }

    /// Puts a task off until its next turn: with the error of this one, or without one where the process that has it
    /// stops. False where the claim has passed to somebody else. Where the same work was asked for again meanwhile,
    /// that is what goes on, and this task ends as cancelled.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn put_off_task(
        &self,
        claim: &TaskClaim,
        error: Option<&str>,
        not_before: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        let error = error.map(without_nul);
        let error = error.as_deref();
        let mut tx = self.db.write().await?;
        let put_off = execute!(
            &mut tx,
            "UPDATE task SET state = 'queued', claimed_by = NULL, claimed_at = NULL, claim_until = NULL,
                 not_before = $1, error = COALESCE($2, error),
                 failures = failures + CASE WHEN CAST($2 AS TEXT) IS NULL THEN 0 ELSE 1 END
             WHERE id = $3 AND fence = $4 AND state = 'running'",
            micros(not_before),
            error,
            claim.id.as_str(),
            claim.fence
        );
        match put_off {
            Err(StoreError::Database(sqlx::Error::Database(violation)))
                if violation.is_unique_violation() => {}
            put_off => {
                let put_off = put_off?;
                tx.commit().await?;
                return Ok(put_off == 1);
            }
        }
        drop(tx);
        let mut tx = self.db.write().await?;
        let ended = execute!(
            &mut tx,
            "UPDATE task SET state = 'cancelled', error = COALESCE($1, error), ended_at = $2, claim_until = NULL
             WHERE id = $3 AND fence = $4 AND state = 'running'",
            error,
            micros(now),
            claim.id.as_str(),
            claim.fence
        )?;
        tx.commit().await?;
        Ok(ended == 1)
    }
}
