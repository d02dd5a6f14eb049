//! One-time codes and recovery codes. A code is accepted once.

use jiff::Timestamp;
use leasehold_model::event::EventKind;
use serde_json::json;

use crate::db::{count, execute, execute_rows, fetch_one, fetch_optional, instant, micros, stored};
use crate::error::Result;
use crate::ledger;
use crate::store::Store;
use crate::user::event;

/// What makes a user's one-time codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTimeCode {
    /// The secret, sealed with a key that the store does not have.
    pub sealed_secret: String,
    /// Since when it counts; `None` until the user has shown a right code.
    pub confirmed_at: Option<Timestamp>,
    /// The newest step that was accepted.
    pub last_step: u64,
}

impl Store {
    /// What makes a user's one-time codes, where it was set up.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where it does not read back.
    pub async fn one_time_code(&self, user: &str) -> Result<Option<OneTimeCode>> {
        let mut tx = self.db.read().await?;
        let row = fetch_optional!(
            &mut tx,
            (String, Option<i64>, i64),
            "SELECT sealed_secret, confirmed_at, last_step FROM one_time_code WHERE user_id = $1",
            user
        )?;
        row.map(|(sealed_secret, confirmed_at, last_step)| {
            let confirmed_at = confirmed_at.map(instant).transpose()?;
            Ok(OneTimeCode { sealed_secret, confirmed_at, last_step: count(last_step) })
        })
        .transpose()
    }

    /// Keeps a secret that is to count once the user has shown a right code. One that counts already stays.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn propose_one_time_code(&self, user: &str, sealed_secret: &str) -> Result<()> {
        let mut tx = self.db.write().await?;
        execute!(
            &mut tx,
            "INSERT INTO one_time_code (user_id, sealed_secret, last_step) VALUES ($1, $2, 0)
             ON CONFLICT (user_id) DO UPDATE SET sealed_secret = $2, last_step = 0
             WHERE one_time_code.confirmed_at IS NULL",
            user,
            sealed_secret
        )?;
        tx.commit().await
    }

    /// Has the proposed secret count from now on, with fresh recovery codes; `false` where none is proposed.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn confirm_one_time_code(
        &self,
        user: &str,
        step: u64,
        recovery_hashes: &[String],
        by: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let changed = execute!(
            &mut tx,
            "UPDATE one_time_code SET confirmed_at = $1, last_step = $2 WHERE user_id = $3 AND confirmed_at IS NULL",
            micros(now),
            stored(step),
            user
        )?;
        if changed == 0 {
            return Ok(false);
        }
        execute!(&mut tx, "DELETE FROM recovery_code WHERE user_id = $1", user)?;
        let rows: Vec<(&str,)> = recovery_hashes.iter().map(|hash| (hash.as_str(),)).collect();
        execute_rows!(
            &mut tx,
            &rows,
            "INSERT INTO recovery_code (user_id, code_hash) SELECT $2, value->>0 FROM ",
            " WHERE true",
            user
        )?;
        let body = json!({ "factor": "one_time_code", "change": "set" });
        ledger::append(&mut tx, vec![event(EventKind::FactorChanged, user, body, by)], now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes a step for used; `false` where it, or a later one, was used before.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn use_one_time_code(&self, user: &str, step: u64) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let changed = execute!(
            &mut tx,
            "UPDATE one_time_code SET last_step = $1 WHERE user_id = $2 AND last_step < $1",
            stored(step),
            user
        )?;
        tx.commit().await?;
        Ok(changed > 0)
    }

    /// Takes a recovery code for used; `false` where it is none, or was used before.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn use_recovery_code(&self, user: &str, code_hash: &str, now: Timestamp) -> Result<bool> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let changed = execute!(
            &mut tx,
            "UPDATE recovery_code SET used_at = $1 WHERE user_id = $2 AND code_hash = $3 AND used_at IS NULL",
            micros(now),
            user,
            code_hash
        )?;
        if changed > 0 {
            let body = json!({ "factor": "recovery_code", "change": "used" });
            ledger::append(&mut tx, vec![event(EventKind::FactorChanged, user, body, user)], now).await?;
        }
        tx.commit().await?;
        Ok(changed > 0)
    }

    /// How many recovery codes a user has left.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn recovery_codes_left(&self, user: &str) -> Result<u64> {
        let mut tx = self.db.read().await?;
        let (left,) = fetch_one!(
            &mut tx,
            (i64,),
            "SELECT COUNT(*) FROM recovery_code WHERE user_id = $1 AND used_at IS NULL",
            user
        )?;
        Ok(count(left))
    }

    /// Takes one-time codes and recovery codes away.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn remove_one_time_code(&self, user: &str, by: &str, now: Timestamp) -> Result<()> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let removed = execute!(&mut tx, "DELETE FROM one_time_code WHERE user_id = $1", user)?;
        execute!(&mut tx, "DELETE FROM recovery_code WHERE user_id = $1", user)?;
        if removed > 0 {
            let body = json!({ "factor": "one_time_code", "change": "removed" });
            ledger::append(&mut tx, vec![event(EventKind::FactorChanged, user, body, by)], now).await?;
        }
        tx.commit().await
    }
}
