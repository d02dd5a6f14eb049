//! Failed sign-ins in a row, and browsers that are known: what slows down guessing without locking anybody out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::event::EventKind;
use serde_json::json;

use crate::db::{execute, fetch_optional, instant, micros};
use crate::error::Result;
use crate::ledger::{self, Event, shortened};
use crate::store::Store;

/// Counts are kept this long.
const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;

/// How often in a row something failed, and when it last did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// How often.
    pub count: i64,
    /// When last.
    pub last_at: Timestamp,
}

impl Store {
    /// Counts a sign-in that is about to be tried for each of these, unless `refuse` finds in what was counted before
    /// that it has to wait; then nothing is counted. Counting comes before trying, so that many at once are many.
    /// Counts that are older than a day are gone.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where a count does not read back.
    pub async fn begin_sign_in<Wait>(
        &self,
        counted_for: &[String],
        now: Timestamp,
        refuse: impl FnOnce(&[Option<Failures>]) -> Option<Wait>,
    ) -> Result<Option<Wait>> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let day_ago = micros(now).saturating_sub(DAY_MICROS);
        let mut before = Vec::with_capacity(counted_for.len());
        for key in counted_for {
            let row = fetch_optional!(
                &mut tx,
                (i64, i64),
                "SELECT failures, last_at FROM sign_in_failure WHERE counted_for = $1 AND last_at > $2",
                key.as_str(),
                day_ago
            )?;
            before.push(
                row.map(|(count, last_at)| Result::Ok(Failures { count, last_at: instant(last_at)? }))
                    .transpose()?,
            );
        }
        if let Some(wait) = refuse(&before) {
            return Ok(Some(wait));
        }
        for (key, before) in counted_for.iter().zip(&before) {
            execute!(
                &mut tx,
                "INSERT INTO sign_in_failure (counted_for, failures, last_at) VALUES ($1, 1, $2)
                 ON CONFLICT (counted_for) DO UPDATE SET last_at = $2, failures = $3",
                key.as_str(),
                micros(now),
                before.map_or(0, |before| before.count) + 1
            )?;
        }
        tx.commit().await?;
        Ok(None)
    }

    /// Records that a sign-in was tried in vain. It was counted when it began.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn record_failed_sign_in(
        &self,
        user: Option<&str>,
        mail: &str,
        source: &str,
        step: &str,
        now: Timestamp,
    ) -> Result<()> {
        let event = Event {
            kind: EventKind::SignInFailed,
            subject: user.unwrap_or("unknown").to_owned(),
            body: json!({ "step": step }),
            personal: BTreeMap::from([
                ("mail".to_owned(), shortened(mail)),
                ("source".to_owned(), source.to_owned()),
            ]),
        };
        self.record(event, now).await?;
        Ok(())
    }

    /// Somebody has signed in: these counts begin anew, and those are what they were before the try.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn forget_failures(&self, cleared: &[String], taken_back: &[String]) -> Result<()> {
        let mut tx = self.db.write().await?;
        for key in cleared {
            execute!(&mut tx, "DELETE FROM sign_in_failure WHERE counted_for = $1", key.as_str())?;
        }
        for key in taken_back {
            execute!(
                &mut tx,
                "UPDATE sign_in_failure SET failures = failures - 1 WHERE counted_for = $1 AND failures > 0",
                key.as_str()
            )?;
        }
        tx.commit().await
    }

    /// Whether this browser is one that the user signed in with before.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn is_known_browser(&self, token_hash: &str, user: &str) -> Result<bool> {
        let mut tx = self.db.read().await?;
        let row = fetch_optional!(
            &mut tx,
            (String,),
            "SELECT user_id FROM known_browser WHERE token_hash = $1 AND user_id = $2",
            token_hash,
            user
        )?;
        Ok(row.is_some())
    }

    /// Remembers a browser that a user has signed in with.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn remember_browser(&self, token_hash: &str, user: &str, now: Timestamp) -> Result<()> {
        let mut tx = self.db.write().await?;
        execute!(
            &mut tx,
            "INSERT INTO known_browser (token_hash, user_id, last_used_at) VALUES ($1, $2, $3)
             ON CONFLICT (token_hash, user_id) DO UPDATE SET last_used_at = $3",
            token_hash,
            user,
            micros(now)
        )?;
        tx.commit().await
    }
}
