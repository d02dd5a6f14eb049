//! Sign-ins of programs without a browser (RFC 8628): asked for, decided by a person, and redeemed for a token, once.

use jiff::{SignedDuration, Timestamp};
use leasehold_model::event::EventKind;
use serde_json::json;

use crate::api_token::{self, ApiToken, NewApiToken};
use crate::db::{execute, fetch_optional, from_json, instant, micros, stored, to_json};
use crate::error::Result;
use crate::ledger;
use crate::store::Store;
use crate::user::event;

/// By how much a program that asks too often has to wait longer (RFC 8628, section 3.5).
const SLOW_DOWN_SECONDS: i64 = 5;

/// What a program asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceLogin {
    /// What it calls itself.
    pub client: String,
    /// The address that it asks from.
    pub source: String,
    /// The scopes that it asks for.
    pub scopes: Vec<String>,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
    /// How long it has to wait between two questions, in seconds.
    pub interval_seconds: u64,
}

/// Where it stands when the program asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceAnswer {
    /// Nobody has decided yet.
    Pending,
    /// It asked too soon, and has to wait longer from now on.
    TooSoon,
    /// Somebody refused.
    Refused,
    /// There is none with this code, or it has ended.
    Ended,
    /// Somebody allowed it.
    Allowed {
        /// What was asked for.
        login: DeviceLogin,
        /// The id of the user whose token it gets.
        user: String,
        /// Who allowed it.
        by: String,
    },
}

type Row = (String, String, String, i64, i64, i64);

fn login((client, source, scopes, created_at, expires_at, interval_seconds): Row) -> Result<DeviceLogin> {
    Ok(DeviceLogin {
        client,
        source,
        scopes: from_json("the scopes of a device's sign-in", &scopes)?,
        created_at: instant(created_at)?,
        expires_at: instant(expires_at)?,
        interval_seconds: crate::db::count(interval_seconds),
    })
}

impl Store {
    /// Begins one; `false` where as many wait already as there may be, of everybody or of one source: anybody can ask.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn begin_device_login(
        &self,
        device_hash: &str,
        user_code_hash: &str,
        login: &DeviceLogin,
        waiting_max: u64,
        waiting_of_source_max: u64,
    ) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let now = micros(login.created_at);
        execute!(&mut tx, "DELETE FROM device_login WHERE expires_at <= $1", now)?;
        let made = execute!(
            &mut tx,
            "INSERT INTO device_login
                 (device_hash, user_code_hash, client, source, scopes, created_at, expires_at, interval_seconds, state)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, 'pending'
             WHERE (SELECT COUNT(*) FROM device_login) < $9
                 AND (SELECT COUNT(*) FROM device_login WHERE source = $4) < $10",
            device_hash,
            user_code_hash,
            login.client.as_str(),
            login.source.as_str(),
            to_json("the scopes of a device's sign-in", &login.scopes)?,
            now,
            micros(login.expires_at),
            stored(login.interval_seconds),
            stored(waiting_max),
            stored(waiting_of_source_max)
        )?;
        tx.commit().await?;
        Ok(made > 0)
    }

    /// What waits under this code of a person for a decision.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where it does not read back.
    pub async fn device_login(&self, user_code_hash: &str, now: Timestamp) -> Result<Option<DeviceLogin>> {
        let mut tx = self.db.read().await?;
        let row = fetch_optional!(
            &mut tx,
            Row,
            "SELECT client, source, scopes, created_at, expires_at, interval_seconds FROM device_login
             WHERE user_code_hash = $1 AND state = 'pending' AND expires_at > $2",
            user_code_hash,
            micros(now)
        )?;
        row.map(login).transpose()
    }

    /// Allows what waits under this code to have a token of this user, or refuses it; `false` where nothing waits any more.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn decide_device_login(
        &self,
        user_code_hash: &str,
        allowed: bool,
        user: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let decided = fetch_optional!(
            &mut tx,
            (String,),
            "UPDATE device_login SET state = $1, user_id = $2, decided_by = $3
             WHERE user_code_hash = $4 AND state = 'pending' AND expires_at > $5 RETURNING scopes",
            if allowed { "allowed" } else { "refused" },
            user,
            by,
            user_code_hash,
            micros(now)
        )?;
        let Some((scopes,)) = decided else { return Ok(false) };
        let scopes: Vec<String> = from_json("the scopes of a device's sign-in", &scopes)?;
        let body = json!({ "allowed": allowed, "scopes": scopes });
        ledger::append(&mut tx, vec![event(EventKind::DeviceLoginDecided, user, body, by)], now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Says where it stands to the program that asks with its code, and notes that it asked.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where it does not read back.
    pub async fn ask_device_login(&self, device_hash: &str, now: Timestamp) -> Result<DeviceAnswer> {
        let mut tx = self.db.write().await?;
        let row = fetch_optional!(
            &mut tx,
            (String, String, String, i64, i64, i64, Option<i64>, String, Option<String>, Option<String>),
            "SELECT client, source, scopes, created_at, expires_at, interval_seconds, asked_at, state, user_id, decided_by
             FROM device_login WHERE device_hash = $1 AND expires_at > $2",
            device_hash,
            micros(now)
        )?;
        let Some((client, source, scopes, created_at, expires_at, interval, asked_at, state, user, by)) = row
        else {
            return Ok(DeviceAnswer::Ended);
        };
        let login = login((client, source, scopes, created_at, expires_at, interval))?;
        let answer = match (state.as_str(), user, by) {
            ("allowed", Some(user), Some(by)) => DeviceAnswer::Allowed { login, user, by },
            ("refused", ..) => DeviceAnswer::Refused,
            _ => {
                let wait = SignedDuration::from_secs(interval);
                let too_soon =
                    asked_at.map(instant).transpose()?.is_some_and(|asked| now.duration_since(asked) < wait);
                execute!(
                    &mut tx,
                    "UPDATE device_login SET asked_at = $1, interval_seconds = interval_seconds + $2 WHERE device_hash = $3",
                    micros(now),
                    if too_soon { SLOW_DOWN_SECONDS } else { 0 },
                    device_hash
                )?;
                if too_soon { DeviceAnswer::TooSoon } else { DeviceAnswer::Pending }
            }
        };
        if answer == DeviceAnswer::Refused {
            execute!(&mut tx, "DELETE FROM device_login WHERE device_hash = $1", device_hash)?;
        }
        tx.commit().await?;
        Ok(answer)
    }

    /// Makes the token of one that was allowed, and ends it; `None` where it has ended, or another question was faster.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn redeem_device_login(
        &self,
        device_hash: &str,
        new: &NewApiToken,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<ApiToken>> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let ended = execute!(
            &mut tx,
            "DELETE FROM device_login WHERE device_hash = $1 AND state = 'allowed' AND user_id = $2 AND expires_at > $3",
            device_hash,
            new.user.as_str(),
            micros(now)
        )?;
        if ended == 0 {
            return Ok(None);
        }
        let token = api_token::insert(&mut tx, new, by, now).await?;
        tx.commit().await?;
        Ok(Some(token))
    }
}
