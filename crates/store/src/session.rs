//! Sessions of people: begun at a sign-in, ended by time, by their user or by an administrator.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::event::EventKind;
use serde_json::json;

use crate::db::{count, execute, fetch_all, fetch_optional, instant, micros};
use crate::error::{Result, StoreError};
use crate::ledger::{self, Event, shortened};
use crate::provider_user::ProviderSubject;
use crate::store::Store;
use crate::user::{self, User, event};

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id, which is not its secret.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// When the user signed in.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Timestamp,
    /// When it ends however much it is used.
    pub expires_at: Timestamp,
    /// When its user last showed that it is them.
    pub confirmed_at: Timestamp,
    /// From where.
    pub source: String,
    /// What the browser calls itself.
    pub browser: String,
    /// How the user signed in.
    pub method: String,
}

/// A session to be begun.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The hash of its secret.
    pub token_hash: String,
    /// Whose.
    pub user: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When the user showed that it is them.
    pub confirmed_at: Timestamp,
    /// From where.
    pub source: String,
    /// What the browser calls itself.
    pub browser: String,
    /// How the user signed in: `password`, `password and code`, …
    pub method: String,
    /// The provider's session that this one follows, where the user signed in by one.
    pub provider: Option<ProviderSession>,
}

/// A session of a user at an OpenID provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSession {
    /// Whose word it is, and about whom.
    pub of: ProviderSubject,
    /// The provider's own name of the session, where it gives one.
    pub session: Option<String>,
}

/// A session and its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionUse {
    /// The session.
    pub session: Session,
    /// Its user.
    pub user: User,
}

type Row = (String, String, i64, i64, i64, i64, String, String, String);

fn session(row: Row) -> Result<Session> {
    let (id, user, created_at, last_used_at, expires_at, confirmed_at, source, browser, method) = row;
    Ok(Session {
        id,
        user,
        created_at: instant(created_at)?,
        last_used_at: instant(last_used_at)?,
        expires_at: instant(expires_at)?,
        confirmed_at: instant(confirmed_at)?,
        source,
        browser,
        method,
    })
}

macro_rules! select_sessions {
    ($rest:literal) => {
        concat!(
            "SELECT id, user_id, created_at, last_used_at, expires_at, confirmed_at, source, browser, method
             FROM session ",
            $rest
        )
    };
}

impl Store {
    /// Begins a session: somebody has signed in. The one that the browser had before ends.
    ///
    /// # Errors
    /// [`StoreError::UnknownUser`].
    pub async fn begin_session(
        &self,
        new: &NewSession,
        before: Option<&str>,
        now: Timestamp,
    ) -> Result<Session> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        if let Some(before) = before {
            execute!(&mut tx, "DELETE FROM session WHERE id = $1", before)?;
        }
        let known = execute!(
            &mut tx,
            "UPDATE app_user SET last_sign_in_at = $1 WHERE id = $2 AND state = 'active'",
            micros(now),
            new.user.as_str()
        )?;
        if known == 0 {
            return Err(StoreError::UnknownUser { user: new.user.clone() });
        }
        let id = uuid::Uuid::now_v7().to_string();
        execute!(
            &mut tx,
            "INSERT INTO session (id, token_hash, user_id, created_at, last_used_at, expires_at, confirmed_at, source,
             browser, method, provider_issuer, provider_subject, provider_session)
             VALUES ($1, $2, $3, $4, $4, $5, $12, $6, $7, $8, $9, $10, $11)",
            id.as_str(),
            new.token_hash.as_str(),
            new.user.as_str(),
            micros(now),
            micros(new.expires_at),
            new.source.as_str(),
            shortened(&new.browser),
            new.method.as_str(),
            new.provider.as_ref().map(|provider| provider.of.issuer.as_str()),
            new.provider.as_ref().map(|provider| provider.of.subject.as_str()),
            new.provider.as_ref().and_then(|provider| provider.session.as_deref()),
            micros(new.confirmed_at)
        )?;
        let event = Event {
            kind: EventKind::SignedIn,
            subject: new.user.clone(),
            body: json!({ "session": id, "method": new.method }),
            personal: BTreeMap::from([("source".to_owned(), new.source.clone())]),
        };
        ledger::append(&mut tx, vec![event], now).await?;
        let row = fetch_optional!(&mut tx, Row, select_sessions!("WHERE id = $1"), id.as_str())?;
        tx.commit().await?;
        session(row.ok_or_else(|| StoreError::corrupt("a session", "it is not there"))?)
    }

    /// The session with this secret, and its user, where both are in force.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn session_in_use(
        &self,
        token_hash: &str,
        used_after: Timestamp,
        now: Timestamp,
    ) -> Result<Option<SessionUse>> {
        let mut tx = self.db.read().await?;
        let row = fetch_optional!(
            &mut tx,
            Row,
            select_sessions!("WHERE token_hash = $1 AND expires_at > $2 AND last_used_at > $3"),
            token_hash,
            micros(now),
            micros(used_after)
        )?;
        let Some(session) = row.map(session).transpose()? else { return Ok(None) };
        let user = user::read(&mut tx, &session.user).await?;
        let user = user.filter(|user| user.state == user::UserState::Active);
        Ok(user.map(|user| SessionUse { session, user }))
    }

    /// Notes that a session was used.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn touch_session(&self, id: &str, now: Timestamp) -> Result<()> {
        let mut tx = self.db.write().await?;
        execute!(
            &mut tx,
            "UPDATE session SET last_used_at = $1 WHERE id = $2 AND last_used_at < $1",
            micros(now),
            id
        )?;
        tx.commit().await
    }

    /// Notes that a session's user showed again that it is them; the session gets another secret.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn confirm_session(
        &self,
        id: &str,
        user: &str,
        token_hash: &str,
        method: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let changed = execute!(
            &mut tx,
            "UPDATE session SET token_hash = $1, confirmed_at = $2, last_used_at = $2 WHERE id = $3 AND user_id = $4",
            token_hash,
            micros(now),
            id,
            user
        )?;
        if changed > 0 {
            let event = Event {
                kind: EventKind::SignInConfirmed,
                subject: user.to_owned(),
                body: json!({ "session": id, "method": method }),
                personal: BTreeMap::new(),
            };
            ledger::append(&mut tx, vec![event], now).await?;
        }
        tx.commit().await?;
        Ok(changed > 0)
    }

    /// The sessions of a user, or everybody's, the latest first. What was not used since `used_after` has ended.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn sessions(
        &self,
        user: Option<&str>,
        used_after: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Session>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            Row,
            select_sessions!(
                "WHERE ($1 = '' OR user_id = $1) AND expires_at > $2 AND last_used_at > $3
                 ORDER BY last_used_at DESC, id"
            ),
            user.unwrap_or_default(),
            micros(now),
            micros(used_after)
        )?;
        rows.into_iter().map(session).collect()
    }

    /// Ends a session of a user, or all of them; gives how many there were.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn end_sessions(
        &self,
        user: &str,
        session: Option<&str>,
        by: &str,
        now: Timestamp,
    ) -> Result<u64> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let ended = fetch_all!(
            &mut tx,
            (String,),
            "DELETE FROM session WHERE user_id = $1 AND ($2 = '' OR id = $2) RETURNING id",
            user,
            session.unwrap_or_default()
        )?;
        let events = ended
            .iter()
            .map(|(id,)| event(EventKind::SessionEnded, user, json!({ "session": id }), by))
            .collect();
        ledger::append(&mut tx, events, now).await?;
        tx.commit().await?;
        Ok(ended.len() as u64)
    }

    /// Clears away what time has ended: sessions, links, challenges and counted failures.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn forget_expired_sign_ins(&self, unused_since: Timestamp, now: Timestamp) -> Result<u64> {
        let mut tx = self.db.write().await?;
        let sessions = execute!(
            &mut tx,
            "DELETE FROM session WHERE expires_at <= $1 OR last_used_at <= $2",
            micros(now),
            micros(unused_since)
        )?;
        let day_ago = micros(now).saturating_sub(24 * 3600 * 1_000_000);
        execute!(&mut tx, "DELETE FROM sign_in_link WHERE expires_at <= $1", day_ago)?;
        execute!(&mut tx, "DELETE FROM sign_in_failure WHERE last_at <= $1", day_ago)?;
        execute!(&mut tx, "DELETE FROM device_login WHERE expires_at <= $1", micros(now))?;
        execute!(&mut tx, "DELETE FROM provider_logout WHERE expires_at <= $1", micros(now))?;
        execute!(&mut tx, "DELETE FROM used_challenge WHERE expires_at <= $1", micros(now))?;
        execute!(&mut tx, "DELETE FROM idempotent_answer WHERE created_at <= $1", day_ago)?;
        tx.commit().await?;
        Ok(count(crate::db::stored(sessions)))
    }
}
