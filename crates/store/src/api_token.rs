//! API tokens of programs: stored as hashes, with scopes and an end.

use jiff::Timestamp;
use leasehold_model::event::EventKind;
use serde_json::json;

use crate::db::{Tx, execute, fetch_all, fetch_optional, from_json, instant, micros, to_json};
use crate::error::Result;
use crate::ledger;
use crate::store::Store;
use crate::user::{self, User, UserState, event};

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Its id.
    pub id: String,
    /// Whose authority it has, at most.
    pub user: String,
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// The one system that it is for.
    pub system: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewApiToken {
    /// The hash of its secret.
    pub token_hash: String,
    /// Whose.
    pub user: String,
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// The one system that it is for.
    pub system: Option<String>,
    /// Until when.
    pub expires_at: Timestamp,
}

type Row = (String, String, String, String, i64, i64, Option<i64>, Option<i64>, Option<String>);

fn token(row: Row) -> Result<ApiToken> {
    let (id, user, name, scopes, created_at, expires_at, last_used_at, revoked_at, system) = row;
    Ok(ApiToken {
        id,
        user,
        name,
        scopes: from_json("a token's scopes", &scopes)?,
        system,
        created_at: instant(created_at)?,
        expires_at: instant(expires_at)?,
        last_used_at: last_used_at.map(instant).transpose()?,
        revoked_at: revoked_at.map(instant).transpose()?,
    })
}

macro_rules! select_tokens {
    ($rest:literal) => {
        concat!(
            "SELECT id, user_id, name, scopes, created_at, expires_at, last_used_at, revoked_at, system
             FROM api_token ",
            $rest
        )
    };
}

/// Makes a token in this transaction, which holds the ledger's lock.
pub(crate) async fn insert(tx: &mut Tx, new: &NewApiToken, by: &str, now: Timestamp) -> Result<ApiToken> {
    let id = uuid::Uuid::now_v7().to_string();
    execute!(
        tx,
        "INSERT INTO api_token (id, token_hash, user_id, name, scopes, created_at, expires_at, system)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        id.as_str(),
        new.token_hash.as_str(),
        new.user.as_str(),
        new.name.as_str(),
        to_json("a token's scopes", &new.scopes)?,
        micros(now),
        micros(new.expires_at),
        new.system.as_deref()
    )?;
    let mut body = json!({ "token": id, "scopes": new.scopes, "expires_at": new.expires_at.to_string() });
    if let Some(system) = &new.system {
        body["system"] = json!(system);
    }
    ledger::append(tx, vec![event(EventKind::TokenCreated, &new.user, body, by)], now).await?;
    Ok(ApiToken {
        id,
        user: new.user.clone(),
        name: new.name.clone(),
        scopes: new.scopes.clone(),
        system: new.system.clone(),
        created_at: instant(micros(now))?,
        expires_at: instant(micros(new.expires_at))?,
        last_used_at: None,
        revoked_at: None,
    })
}

impl Store {
    /// Makes a token.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn create_token(&self, new: &NewApiToken, by: &str, now: Timestamp) -> Result<ApiToken> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let token = insert(&mut tx, new, by, now).await?;
        tx.commit().await?;
        Ok(token)
    }

    /// The token with this secret and its owner, where both are in force.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where one does not read back.
    pub async fn token_in_use(&self, token_hash: &str, now: Timestamp) -> Result<Option<(ApiToken, User)>> {
        let mut tx = self.db.read().await?;
        let row = fetch_optional!(
            &mut tx,
            Row,
            select_tokens!("WHERE token_hash = $1 AND revoked_at IS NULL AND expires_at > $2"),
            token_hash,
            micros(now)
        )?;
        let Some(token) = row.map(token).transpose()? else { return Ok(None) };
        let owner = user::read(&mut tx, &token.user).await?;
        Ok(owner.filter(|owner| owner.state == UserState::Active).map(|owner| (token, owner)))
    }

    /// The token with this id and its owner, where both are in force.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where one does not read back.
    pub async fn token_by_id(&self, id: &str, now: Timestamp) -> Result<Option<(ApiToken, User)>> {
        let mut tx = self.db.read().await?;
        let row = fetch_optional!(
            &mut tx,
            Row,
            select_tokens!("WHERE id = $1 AND revoked_at IS NULL AND expires_at > $2"),
            id,
            micros(now)
        )?;
        let Some(token) = row.map(token).transpose()? else { return Ok(None) };
        let owner = user::read(&mut tx, &token.user).await?;
        Ok(owner.filter(|owner| owner.state == UserState::Active).map(|owner| (token, owner)))
    }

    /// Notes that a token was used.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn touch_token(&self, id: &str, now: Timestamp) -> Result<()> {
        let mut tx = self.db.write().await?;
        execute!(&mut tx, "UPDATE api_token SET last_used_at = $1 WHERE id = $2", micros(now), id)?;
        tx.commit().await
    }

    /// The tokens of a user, or everybody's, the newest first; those too that are no longer in force.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where one does not read back.
    pub async fn tokens(&self, user: Option<&str>) -> Result<Vec<ApiToken>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            Row,
            select_tokens!("WHERE $1 = '' OR user_id = $1 ORDER BY created_at DESC, id DESC"),
            user.unwrap_or_default()
        )?;
        rows.into_iter().map(token).collect()
    }

    /// Revokes a token; `false` where there is none in force.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn revoke_token(&self, id: &str, user: Option<&str>, by: &str, now: Timestamp) -> Result<bool> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let revoked = fetch_all!(
            &mut tx,
            (String,),
            "UPDATE api_token SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL AND ($3 = '' OR user_id = $3)
             RETURNING user_id",
            micros(now),
            id,
            user.unwrap_or_default()
        )?;
        let events = revoked
            .iter()
            .map(|(owner,)| event(EventKind::TokenRevoked, owner, json!({ "token": id }), by))
            .collect();
        ledger::append(&mut tx, events, now).await?;
        tx.commit().await?;
        Ok(!revoked.is_empty())
    }

    /// Revokes the token with this secret, whose holder gives it back; `false` where there is none in force.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn give_token_back(&self, token_hash: &str, now: Timestamp) -> Result<bool> {
        let Some((token, owner)) = self.token_in_use(token_hash, now).await? else { return Ok(false) };
        self.revoke_token(&token.id, Some(&owner.id), &owner.mail, now).await
    }
}
