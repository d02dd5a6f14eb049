//! Links that stand for a sign-in, once: the first administrator's, an invitation's, one made on the server's machine.

use jiff::Timestamp;
use leasehold_model::event::EventKind;
use serde_json::json;

use crate::db::{execute, fetch_optional, instant, micros};
use crate::error::{Result, StoreError};
use crate::ledger;
use crate::store::Store;
use crate::user::event;

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// Makes the first administrator.
    Setup,
    /// Lets a user set their password for the first time, or anew.
    Invitation,
    /// Signs a user in.
    SignIn,
}

impl LinkKind {
    /// Its name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Invitation => "invitation",
            Self::SignIn => "sign_in",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        [Self::Setup, Self::Invitation, Self::SignIn]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| StoreError::corrupt("a link's kind", text))
    }
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInLink {
    /// What it is for.
    pub kind: LinkKind,
    /// Whose it is; nobody's for the first administrator.
    pub user: Option<String>,
    /// Until when.
    pub expires_at: Timestamp,
}

impl Store {
    /// Makes a link. Earlier ones for the same end no longer work.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn make_link(
        &self,
        token_hash: &str,
        link: &SignInLink,
        by: &str,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let user = link.user.as_deref().unwrap_or_default();
        execute!(
            &mut tx,
            "DELETE FROM sign_in_link WHERE kind = $1 AND COALESCE(user_id, '') = $2",
            link.kind.as_str(),
            user
        )?;
        execute!(
            &mut tx,
            "INSERT INTO sign_in_link (token_hash, kind, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
            token_hash,
            link.kind.as_str(),
            link.user.as_deref(),
            micros(now),
            micros(link.expires_at)
        )?;
        let body = json!({ "kind": link.kind.as_str(), "expires_at": link.expires_at.to_string() });
        let subject = if user.is_empty() { "setup" } else { user };
        ledger::append(&mut tx, vec![event(EventKind::SignInLinkMade, subject, body, by)], now).await?;
        tx.commit().await
    }

    /// A link that is in force, without using it up.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not read back.
    pub async fn link(&self, token_hash: &str, now: Timestamp) -> Result<Option<SignInLink>> {
        let mut tx = self.db.read().await?;
        let row = fetch_optional!(
            &mut tx,
            (String, Option<String>, i64),
            "SELECT kind, user_id, expires_at FROM sign_in_link
             WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2",
            token_hash,
            micros(now)
        )?;
        row.map(|(kind, user, expires_at)| {
            Ok(SignInLink { kind: LinkKind::parse(&kind)?, user, expires_at: instant(expires_at)? })
        })
        .transpose()
    }

    /// Uses a link up; `false` where it is not in force, or somebody was faster.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn use_link(&self, token_hash: &str, now: Timestamp) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let used = execute!(
            &mut tx,
            "UPDATE sign_in_link SET used_at = $1 WHERE token_hash = $2 AND used_at IS NULL AND expires_at > $1",
            micros(now),
            token_hash
        )?;
        tx.commit().await?;
        Ok(used > 0)
    }
}
