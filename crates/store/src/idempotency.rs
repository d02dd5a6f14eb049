//! Answers to calls that were sent with a key, so that a call that is sent again is not done again.

use jiff::Timestamp;

use crate::db::{execute, fetch_optional, micros};
use crate::error::{Result, StoreError};
use crate::store::Store;

/// A call that runs for longer was lost with its process: no answer takes that long.
const LOST_AFTER_MICROS: i64 = 120 * 1_000_000;

/// What is known of a call with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdempotentCall {
    /// Nobody sent it before: whoever asked does it now.
    New,
    /// The first one still runs.
    Running,
    /// Another call had this key.
    Different,
    /// It was done.
    Done(IdempotentAnswer),
}

/// An answer that is given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentAnswer {
    /// Its status.
    pub status: u16,
    /// Headers that belong to it, as JSON.
    pub headers: String,
    /// Its body.
    pub body: String,
}

impl Store {
    /// Begins a call with a key, or says what became of it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn begin_idempotent(
        &self,
        user: &str,
        key: &str,
        request_hash: &str,
        now: Timestamp,
    ) -> Result<IdempotentCall> {
        let mut tx = self.db.write().await?;
        let begun = execute!(
            &mut tx,
            "INSERT INTO idempotent_answer (user_id, key, request_hash, headers, body, created_at)
             VALUES ($1, $2, $3, '', '', $4)
             ON CONFLICT (user_id, key) DO UPDATE SET request_hash = $3, created_at = $4
             WHERE idempotent_answer.status IS NULL AND idempotent_answer.created_at <= $5",
            user,
            key,
            request_hash,
            micros(now),
            micros(now).saturating_sub(LOST_AFTER_MICROS)
        )?;
        if begun > 0 {
            tx.commit().await?;
            return Ok(IdempotentCall::New);
        }
        let row = fetch_optional!(
            &mut tx,
            (String, Option<i64>, String, String),
            "SELECT request_hash, status, headers, body FROM idempotent_answer WHERE user_id = $1 AND key = $2",
            user,
            key
        )?;
        let (known_hash, status, headers, body) =
            row.ok_or_else(|| StoreError::corrupt("an answer", "it is not there"))?;
        Ok(match status {
            _ if known_hash != request_hash => IdempotentCall::Different,
            None => IdempotentCall::Running,
            Some(status) => IdempotentCall::Done(IdempotentAnswer {
                status: u16::try_from(status)
                    .map_err(|error| StoreError::corrupt("an answer's status", error))?,
                headers,
                body,
            }),
        })
    }

    /// Keeps the answer of a call.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn end_idempotent(&self, user: &str, key: &str, answer: &IdempotentAnswer) -> Result<()> {
        let mut tx = self.db.write().await?;
        execute!(
            &mut tx,
            "UPDATE idempotent_answer SET status = $1, headers = $2, body = $3 WHERE user_id = $4 AND key = $5",
            i64::from(answer.status),
            answer.headers.as_str(),
            answer.body.as_str(),
            user,
            key
        )?;
        tx.commit().await
    }

    /// Forgets a call that was not done, so that it can be sent again.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn forget_idempotent(&self, user: &str, key: &str) -> Result<()> {
        let mut tx = self.db.write().await?;
        execute!(
            &mut tx,
            "DELETE FROM idempotent_answer WHERE user_id = $1 AND key = $2 AND status IS NULL",
            user,
            key
        )?;
        tx.commit().await
    }
}
