//! Users as an OpenID provider knows them: by issuer and subject, and by nothing else.

use jiff::Timestamp;
use leasehold_model::event::EventKind;
use serde_json::json;

use crate::db::{execute, fetch_all, fetch_optional, micros, to_json};
use crate::error::{Result, StoreError};
use crate::ledger;
use crate::store::Store;
use crate::user::{self, NewUser, User, event};

/// Somebody as a provider knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSubject {
    /// Who says so.
    pub issuer: String,
    /// Its name for them, which it never gives to anybody else.
    pub subject: String,
}

/// A provider's word that somebody's session ended there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderLogout {
    /// Who says so.
    pub issuer: String,
    /// The name of the token that says it.
    pub token_id: String,
    /// Whose sessions end; with `session` only that one.
    pub subject: Option<String>,
    /// The provider's name of the session that ended.
    pub session: Option<String>,
    /// Until when the same token is refused.
    pub refused_until: Timestamp,
}

impl Store {
    /// The user whom a provider knows by this subject.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not read back.
    pub async fn provider_user(&self, known: &ProviderSubject) -> Result<Option<User>> {
        let mut tx = self.db.read().await?;
        let row = fetch_optional!(
            &mut tx,
            (String,),
            "SELECT user_id FROM provider_user WHERE issuer = $1 AND subject = $2",
            known.issuer.as_str(),
            known.subject.as_str()
        )?;
        match row {
            Some((id,)) => user::read(&mut tx, &id).await,
            None => Ok(None),
        }
    }

    /// Whether a provider knows this user.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn has_provider(&self, user: &str) -> Result<bool> {
        let mut tx = self.db.read().await?;
        let row =
            fetch_optional!(&mut tx, (String,), "SELECT issuer FROM provider_user WHERE user_id = $1", user)?;
        Ok(row.is_some())
    }

    /// Makes a user for somebody whom a provider knows.
    ///
    /// # Errors
    /// [`StoreError::UserExists`] where somebody has the mail address: an address alone takes nobody's place.
    pub async fn create_provider_user(
        &self,
        known: &ProviderSubject,
        new: &NewUser,
        now: Timestamp,
    ) -> Result<User> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let user = user::insert(&mut tx, new, &known.issuer, now).await?;
        if !connect(&mut tx, known, &user.id).await? {
            return Err(StoreError::UserExists { mail: new.mail.clone() });
        }
        tx.commit().await?;
        Ok(user)
    }

    /// Connects a user with somebody whom a provider knows; `false` where that is another user already.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn connect_provider_user(
        &self,
        known: &ProviderSubject,
        user: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        if !connect(&mut tx, known, user).await? {
            return Ok(false);
        }
        let body = json!({ "factor": "provider", "change": "set", "issuer": known.issuer });
        ledger::append(&mut tx, vec![event(EventKind::FactorChanged, user, body, by)], now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes over which roles a provider gives a user now. They stand beside those that were given here.
    ///
    /// # Errors
    /// [`StoreError::UnknownUser`].
    pub async fn set_provider_roles(
        &self,
        id: &str,
        roles: &[String],
        issuer: &str,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let before =
            user::read(&mut tx, id).await?.ok_or_else(|| StoreError::UnknownUser { user: id.to_owned() })?;
        let mut roles = roles.to_vec();
        roles.sort_unstable();
        roles.dedup();
        if before.provider_roles == roles {
            return Ok(());
        }
        execute!(
            &mut tx,
            "UPDATE app_user SET provider_roles = $1, version = version + 1 WHERE id = $2",
            to_json("a user's roles", &roles)?,
            id
        )?;
        let body = json!({
            "change": "provider roles", "user": id, "roles": roles, "roles_before": before.provider_roles,
        });
        ledger::append(&mut tx, vec![event(EventKind::UserChanged, id, body, issuer)], now).await?;
        tx.commit().await
    }

    /// Ends the sessions that a provider says have ended; gives how many there were, or `None` where this token was
    /// used before.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn end_provider_sessions(
        &self,
        logout: &ProviderLogout,
        now: Timestamp,
    ) -> Result<Option<u64>> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let noted = execute!(
            &mut tx,
            "INSERT INTO provider_logout (issuer, token_id, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT (issuer, token_id) DO NOTHING",
            logout.issuer.as_str(),
            logout.token_id.as_str(),
            micros(logout.refused_until)
        )?;
        if noted == 0 {
            return Ok(None);
        }
        // Without either there is nobody whom it could be about.
        let ended = fetch_all!(
            &mut tx,
            (String, String),
            "DELETE FROM session WHERE provider_issuer = $1 AND ($2 <> '' OR $3 <> '')
             AND ($2 = '' OR provider_subject = $2)
             AND ($3 = '' OR provider_session = $3 OR (provider_session IS NULL AND $2 <> '')) RETURNING id, user_id",
            logout.issuer.as_str(),
            logout.subject.as_deref().unwrap_or_default(),
            logout.session.as_deref().unwrap_or_default()
        )?;
        let events = ended
            .iter()
            .map(|(id, user)| event(EventKind::SessionEnded, user, json!({ "session": id }), &logout.issuer));
        ledger::append(&mut tx, events.collect(), now).await?;
        tx.commit().await?;
        Ok(Some(ended.len() as u64))
    }
}

/// Notes who somebody is; whether it is this user now.
async fn connect(tx: &mut crate::db::Tx, known: &ProviderSubject, user: &str) -> Result<bool> {
    execute!(
        tx,
        "INSERT INTO provider_user (issuer, subject, user_id) VALUES ($1, $2, $3)
         ON CONFLICT (issuer, subject) DO NOTHING",
        known.issuer.as_str(),
        known.subject.as_str(),
        user
    )?;
    let row = fetch_optional!(
        tx,
        (String,),
        "SELECT user_id FROM provider_user WHERE issuer = $1 AND subject = $2",
        known.issuer.as_str(),
        known.subject.as_str()
    )?;
    Ok(row.is_some_and(|(found,)| found == user))
}
