//! Users: those who sign in. Which identity is theirs follows from their mail address, and is not stored.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::event::EventKind;
use serde_json::json;

use crate::db::{Tx, execute, fetch_all, fetch_one, fetch_optional, from_json, instant, micros, to_json};
use crate::error::{Result, StoreError};
use crate::ledger::{self, Event};
use crate::store::Store;

/// The role that somebody must always be left to hold.
const ADMINISTRATOR: &str = "administrator";

/// Whether a user may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    /// They may.
    Active,
    /// An administrator holds them back.
    Suspended,
}

impl UserState {
    /// Its name in the store and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        match text {
            "active" => Ok(Self::Active),
            "suspended" => Ok(Self::Suspended),
            other => Err(StoreError::corrupt("a user's state", other)),
        }
    }
}

/// Somebody who signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: String,
    /// Where they are reached; it also says whose identity is theirs.
    pub mail: String,
    /// What they are called.
    pub name: String,
    /// The roles that they were given.
    pub roles: Vec<String>,
    /// The roles that an OpenID provider's groups gave them at their last sign-in with it.
    pub provider_roles: Vec<String>,
    /// Whether they may sign in.
    pub state: UserState,
    /// The hash of their password in the PHC format, where they have one.
    pub password_hash: Option<String>,
    /// Whether the password is long enough to be the only factor.
    pub password_alone: bool,
    /// Since when.
    pub created_at: Timestamp,
    /// When they last signed in.
    pub last_sign_in_at: Option<Timestamp>,
    /// Raised by every change.
    pub version: i64,
}

/// Somebody who shall be able to sign in.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Where they are reached.
    pub mail: String,
    /// What they are called.
    pub name: String,
    /// The roles that they are given.
    pub roles: Vec<String>,
    /// The hash of their password, where they have one.
    pub password_hash: Option<String>,
    /// Whether the password is long enough to be the only factor.
    pub password_alone: bool,
}

/// What an administrator changes of a user; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// What they are called.
    pub name: Option<String>,
    /// The roles that they are given.
    pub roles: Option<Vec<String>>,
    /// Whether they may sign in.
    pub state: Option<UserState>,
}

pub(crate) type Row =
    (String, String, String, String, String, Option<String>, i64, i64, Option<i64>, i64, String);

pub(crate) fn user(row: Row) -> Result<User> {
    let (
        id,
        mail,
        name,
        roles,
        state,
        password_hash,
        password_alone,
        created_at,
        last_sign_in_at,
        version,
        provider_roles,
    ) = row;
    Ok(User {
        id,
        mail,
        name,
        roles: from_json("a user's roles", &roles)?,
        provider_roles: from_json("a user's roles", &provider_roles)?,
        state: UserState::parse(&state)?,
        password_hash,
        password_alone: password_alone != 0,
        created_at: instant(created_at)?,
        last_sign_in_at: last_sign_in_at.map(instant).transpose()?,
        version,
    })
}

macro_rules! select_users {
    ($rest:literal) => {
        concat!(
            "SELECT id, mail, name, roles, state, password_hash, password_alone, created_at, last_sign_in_at, version,
             provider_roles FROM app_user ",
            $rest
        )
    };
}

/// Reads a user in this transaction.
pub(crate) async fn read(tx: &mut Tx, id: &str) -> Result<Option<User>> {
    fetch_optional!(tx, Row, select_users!("WHERE id = $1"), id)?.map(user).transpose()
}

/// An entry about a user. Who did it is personal data.
pub(crate) fn event(kind: EventKind, user: &str, body: serde_json::Value, by: &str) -> Event {
    let personal = BTreeMap::from([("by".to_owned(), by.to_owned())]);
    Event { kind, subject: user.to_owned(), body, personal }
}

/// Makes a user in this transaction.
pub(crate) async fn insert(tx: &mut Tx, new: &NewUser, by: &str, now: Timestamp) -> Result<User> {
    let folded = new.mail.trim().to_lowercase();
    let id = uuid::Uuid::now_v7().to_string();
    let made = execute!(
        tx,
        "INSERT INTO app_user (id, mail, mail_folded, name, roles, state, password_hash, password_alone, created_at, version)
         VALUES ($1, $2, $3, $4, $5, 'active', $6, $7, $8, 1) ON CONFLICT (mail_folded) DO NOTHING",
        id.as_str(),
        new.mail.trim(),
        folded,
        new.name.as_str(),
        to_json("a user's roles", &new.roles)?,
        new.password_hash.as_deref(),
        i64::from(new.password_alone),
        micros(now)
    )?;
    if made == 0 {
        return Err(StoreError::UserExists { mail: new.mail.clone() });
    }
    let body = json!({ "change": "created", "user": id, "roles": new.roles });
    let mut event = event(EventKind::UserChanged, &id, body, by);
    event.personal.insert("mail".to_owned(), new.mail.trim().to_owned());
    ledger::append(tx, vec![event], now).await?;
    read(tx, &id).await?.ok_or(StoreError::UnknownUser { user: id })
}

impl Store {
    /// Whether anybody can sign in yet.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn has_users(&self) -> Result<bool> {
        let mut tx = self.db.read().await?;
        Ok(fetch_optional!(&mut tx, (String,), "SELECT id FROM app_user LIMIT 1")?.is_some())
    }

    /// Makes the first user with the link that the server printed; `None` where the link is not in force, or somebody
    /// was faster.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn create_first_user(
        &self,
        link_hash: &str,
        new: &NewUser,
        now: Timestamp,
    ) -> Result<Option<User>> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let (users,) = fetch_one!(&mut tx, (i64,), "SELECT COUNT(*) FROM app_user")?;
        let used = execute!(
            &mut tx,
            "UPDATE sign_in_link SET used_at = $1
             WHERE token_hash = $2 AND kind = 'setup' AND used_at IS NULL AND expires_at > $1",
            micros(now),
            link_hash
        )?;
        if users > 0 || used == 0 {
            return Ok(None);
        }
        let user = insert(&mut tx, new, "setup link", now).await?;
        tx.commit().await?;
        Ok(Some(user))
    }

    /// Makes a user.
    ///
    /// # Errors
    /// [`StoreError::UserExists`].
    pub async fn create_user(&self, new: &NewUser, by: &str, now: Timestamp) -> Result<User> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let user = insert(&mut tx, new, by, now).await?;
        tx.commit().await?;
        Ok(user)
    }

    /// The user with this id.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not read back.
    pub async fn user(&self, id: &str) -> Result<Option<User>> {
        let mut tx = self.db.read().await?;
        read(&mut tx, id).await
    }

    /// The user with this mail address, in any case.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not read back.
    pub async fn user_by_mail(&self, mail: &str) -> Result<Option<User>> {
        let mut tx = self.db.read().await?;
        let folded = mail.trim().to_lowercase();
        fetch_optional!(&mut tx, Row, select_users!("WHERE mail_folded = $1"), folded)?.map(user).transpose()
    }

    /// Every user, by mail address.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn users(&self) -> Result<Vec<User>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(&mut tx, Row, select_users!("ORDER BY mail_folded"))?;
        rows.into_iter().map(user).collect()
    }

    /// Changes a user. Whoever is suspended, or is given other roles, is signed out everywhere.
    ///
    /// # Errors
    /// [`StoreError::UnknownUser`], [`StoreError::UserMoved`] and [`StoreError::LastAdministrator`].
    pub async fn change_user(
        &self,
        id: &str,
        version: i64,
        change: &UserChange,
        by: &str,
        now: Timestamp,
    ) -> Result<User> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let before = read(&mut tx, id).await?.ok_or(StoreError::UnknownUser { user: id.to_owned() })?;
        if before.version != version {
            return Err(StoreError::UserMoved);
        }
        let mut roles = change.roles.clone().unwrap_or_else(|| before.roles.clone());
        roles.sort_unstable();
        roles.dedup();
        let state = change.state.unwrap_or(before.state);
        let name = change.name.as_deref().unwrap_or(&before.name);
        execute!(
            &mut tx,
            "UPDATE app_user SET name = $1, roles = $2, state = $3, version = version + 1 WHERE id = $4",
            name,
            to_json("a user's roles", &roles)?,
            state.as_str(),
            id
        )?;
        let rows = fetch_all!(&mut tx, Row, select_users!("WHERE state = 'active'"))?;
        let left: Vec<User> = rows.into_iter().map(user).collect::<Result<_>>()?;
        if !left.iter().any(|user| user.roles.iter().any(|role| role == ADMINISTRATOR)) {
            return Err(StoreError::LastAdministrator);
        }
        if state == UserState::Suspended || roles != before.roles {
            execute!(&mut tx, "DELETE FROM session WHERE user_id = $1", id)?;
        }
        let body = json!({
            "change": "changed", "user": id, "state": state.as_str(), "roles": roles, "roles_before": before.roles,
        });
        ledger::append(&mut tx, vec![event(EventKind::UserChanged, id, body, by)], now).await?;
        let after = read(&mut tx, id).await?.ok_or(StoreError::UnknownUser { user: id.to_owned() })?;
        tx.commit().await?;
        Ok(after)
    }

    /// Sets a user's password, and signs them out everywhere but in one session.
    ///
    /// # Errors
    /// [`StoreError::UnknownUser`].
    pub async fn set_password(
        &self,
        id: &str,
        hash: &str,
        alone: bool,
        session_kept: Option<&str>,
        by: &str,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let changed = execute!(
            &mut tx,
            "UPDATE app_user SET password_hash = $1, password_alone = $2, version = version + 1 WHERE id = $3",
            hash,
            i64::from(alone),
            id
        )?;
        if changed == 0 {
            return Err(StoreError::UnknownUser { user: id.to_owned() });
        }
        execute!(
            &mut tx,
            "DELETE FROM session WHERE user_id = $1 AND id <> $2",
            id,
            session_kept.unwrap_or_default()
        )?;
        execute!(&mut tx, "DELETE FROM known_browser WHERE user_id = $1", id)?;
        let body = json!({ "factor": "password", "change": "set" });
        ledger::append(&mut tx, vec![event(EventKind::FactorChanged, id, body, by)], now).await?;
        tx.commit().await
    }

    /// Replaces the hash of the same password by one made with today's cost.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn refresh_password_hash(&self, id: &str, before: &str, hash: &str) -> Result<()> {
        let mut tx = self.db.write().await?;
        execute!(
            &mut tx,
            "UPDATE app_user SET password_hash = $1 WHERE id = $2 AND password_hash = $3",
            hash,
            id,
            before
        )?;
        tx.commit().await
    }
}
