//! Passkeys of users. The private half never leaves the user's device.

use jiff::Timestamp;
use leasehold_model::event::EventKind;
use serde_json::json;

use crate::db::{execute, fetch_all, instant, micros};
use crate::error::Result;
use crate::ledger;
use crate::store::Store;
use crate::user::event;

/// A passkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyRow {
    /// The credential's id, in base64url.
    pub credential: String,
    /// Whose.
    pub user: String,
    /// What its user calls it.
    pub name: String,
    /// The public half and its counters, as JSON.
    pub body: String,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

type Row = (String, String, String, String, i64, Option<i64>);

fn passkey((credential, user, name, body, created_at, last_used_at): Row) -> Result<PasskeyRow> {
    let last_used_at = last_used_at.map(instant).transpose()?;
    Ok(PasskeyRow { credential, user, name, body, created_at: instant(created_at)?, last_used_at })
}

impl Store {
    /// Keeps a passkey; `false` where it is kept already.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn add_passkey(&self, new: &PasskeyRow, by: &str, now: Timestamp) -> Result<bool> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let added = execute!(
            &mut tx,
            "INSERT INTO passkey (credential, user_id, name, body, created_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (credential) DO NOTHING",
            new.credential.as_str(),
            new.user.as_str(),
            new.name.as_str(),
            new.body.as_str(),
            micros(now)
        )?;
        if added > 0 {
            let body = json!({ "factor": "passkey", "change": "set" });
            ledger::append(&mut tx, vec![event(EventKind::FactorChanged, &new.user, body, by)], now).await?;
        }
        tx.commit().await?;
        Ok(added > 0)
    }

    /// A user's passkeys, the oldest first.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where one does not read back.
    pub async fn passkeys_of(&self, user: &str) -> Result<Vec<PasskeyRow>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            Row,
            "SELECT credential, user_id, name, body, created_at, last_used_at FROM passkey
             WHERE user_id = $1 ORDER BY created_at, credential",
            user
        )?;
        rows.into_iter().map(passkey).collect()
    }

    /// Notes that a passkey was used, with its new counters; `false` where it is gone, or was used in between: of two
    /// answers that were checked against the same counter, one counts.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn use_passkey(&self, before: &PasskeyRow, body: &str, now: Timestamp) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let changed = execute!(
            &mut tx,
            "UPDATE passkey SET body = $1, last_used_at = $2 WHERE credential = $3 AND user_id = $4 AND body = $5",
            body,
            micros(now),
            before.credential.as_str(),
            before.user.as_str(),
            before.body.as_str()
        )?;
        tx.commit().await?;
        Ok(changed > 0)
    }

    /// Takes a challenge for used; `false` where it was used before.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn use_challenge(&self, challenge_hash: &str, expires_at: Timestamp) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let used = execute!(
            &mut tx,
            "INSERT INTO used_challenge (challenge_hash, expires_at) VALUES ($1, $2)
             ON CONFLICT (challenge_hash) DO NOTHING",
            challenge_hash,
            micros(expires_at)
        )?;
        tx.commit().await?;
        Ok(used > 0)
    }

    /// Takes a passkey away; `false` where the user has none such.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn remove_passkey(
        &self,
        credential: &str,
        user: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let removed = execute!(
            &mut tx,
            "DELETE FROM passkey WHERE credential = $1 AND user_id = $2",
            credential,
            user
        )?;
        if removed > 0 {
            let body = json!({ "factor": "passkey", "change": "removed" });
            ledger::append(&mut tx, vec![event(EventKind::FactorChanged, user, body, by)], now).await?;
        }
        tx.commit().await?;
        Ok(removed > 0)
    }

    /// Takes away everything that stands beside a user's password: passkeys, one-time codes and recovery codes. Their
    /// sessions end; gives whether there was any.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn remove_factors(&self, user: &str, by: &str, now: Timestamp) -> Result<bool> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let passkeys = execute!(&mut tx, "DELETE FROM passkey WHERE user_id = $1", user)?;
        let codes = execute!(&mut tx, "DELETE FROM one_time_code WHERE user_id = $1", user)?;
        execute!(&mut tx, "DELETE FROM recovery_code WHERE user_id = $1", user)?;
        execute!(&mut tx, "DELETE FROM session WHERE user_id = $1", user)?;
        execute!(&mut tx, "DELETE FROM known_browser WHERE user_id = $1", user)?;
        let removed = [("passkey", passkeys), ("one_time_code", codes)];
        let events = removed.iter().filter(|(_, number)| *number > 0).map(|(factor, _)| {
            event(EventKind::FactorChanged, user, json!({ "factor": factor, "change": "removed" }), by)
        });
        ledger::append(&mut tx, events.collect(), now).await?;
        tx.commit().await?;
        Ok(passkeys + codes > 0)
    }
}
