//! Links that give whoever opens them a new credential of one account, once; and what each replaced. The secret of a
//! credential is never here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::event::EventKind;
use leasehold_model::id::{AccountKey, CredentialKey, IdentityKey, SystemName};
use leasehold_model::request::AccountTarget;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::{Tx, execute, fetch_all, fetch_optional, instant, micros, without_nul};
use crate::error::{Result, StoreError};
use crate::ledger::{self, Event};
use crate::store::Store;

/// Where a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialLinkState {
    /// It waits for somebody to open it.
    Waiting,
    /// Somebody has opened it. Where it stays so, what came of it is not known.
    Opened,
    /// A credential was made for whoever opened it.
    Issued,
    /// The target made none.
    NotIssued,
    /// Somebody thought better of it, or a later link for the account took its place.
    Withdrawn,
}

impl CredentialLinkState {
    /// Every state.
    pub const ALL: &'static [Self] =
        &[Self::Waiting, Self::Opened, Self::Issued, Self::NotIssued, Self::Withdrawn];

    /// Its name in the store and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Opened => "opened",
            Self::Issued => "issued",
            Self::NotIssued => "not_issued",
            Self::Withdrawn => "withdrawn",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let found = Self::ALL.iter().copied().find(|state| state.as_str() == text);
        found.ok_or_else(|| StoreError::corrupt("a credential link's state", text))
    }
}

/// A link to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCredentialLink {
    /// Where the account is.
    pub system: SystemName,
    /// Which account.
    pub account: AccountTarget,
    /// Whose it is.
    pub identity: IdentityKey,
    /// The credential that the new one replaces.
    pub replaces: Option<CredentialKey>,
    /// For how long both stay, in milliseconds.
    pub overlap_ms: i64,
    /// Until when it can be opened.
    pub expires_at: Timestamp,
}

/// A link, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialLink {
    /// Its name; names sort by the time of making.
    pub id: String,
    /// What it is for.
    pub of: NewCredentialLink,
    /// Where it stands.
    pub state: CredentialLinkState,
    /// Who made it.
    pub made_by: String,
    /// When.
    pub made_at: Timestamp,
    /// When it was opened.
    pub opened_at: Option<Timestamp>,
    /// What came of it, for people.
    pub remark: Option<String>,
}

/// What came of opening a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEnd {
    /// A credential was made.
    Issued {
        /// Which, where the target lists credentials.
        credential: Option<CredentialKey>,
        /// What is known of it, for people.
        remark: String,
    },
    /// None was made, as far as is known.
    NotIssued {
        /// Why.
        why: String,
    },
}

/// A row as it is read.
type Row = (
    String,
    String,
    String,
    String,
    String,
    Option<String>,
    i64,
    String,
    String,
    i64,
    i64,
    Option<i64>,
    Option<String>,
);

fn link(row: Row) -> Result<CredentialLink> {
    let (
        id,
        system,
        account_key,
        login,
        identity,
        replaces,
        overlap_ms,
        state,
        made_by,
        made_at,
        expires_at,
        opened_at,
        remark,
    ) = row;
    let system = SystemName::new(system).map_err(|error| StoreError::corrupt("a credential link", error))?;
    let account = AccountTarget { key: AccountKey(account_key), login };
    let (identity, replaces) = (IdentityKey(identity), replaces.map(CredentialKey));
    let expires_at = instant(expires_at)?;
    Ok(CredentialLink {
        id,
        of: NewCredentialLink { system, account, identity, replaces, overlap_ms, expires_at },
        state: CredentialLinkState::parse(&state)?,
        made_by,
        made_at: instant(made_at)?,
        opened_at: opened_at.map(instant).transpose()?,
        remark,
    })
}

/// The entry of a link: whose account it is about stays out of it, as commitments.
fn event(kind: EventKind, link: &CredentialLink, body: Value, further: &[(&str, &str)]) -> Event {
    let of = &link.of;
    let about = [
        ("account", of.account.login.as_str()),
        ("account_key", of.account.key.as_str()),
        ("identity", of.identity.as_str()),
    ];
    let replaces = of.replaces.as_ref().map(|credential| ("replaces", credential.as_str()));
    let personal: BTreeMap<String, String> = about
        .into_iter()
        .chain(replaces)
        .chain(further.iter().copied())
        .map(|(field, value)| (field.to_owned(), ledger::shortened(value)))
        .collect();
    Event { kind, subject: link.id.clone(), body, personal }
}

impl Store {
    /// Makes a link. One for the same account that nobody has opened no longer works.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn make_credential_link(
        &self,
        token_hash: &str,
        new: &NewCredentialLink,
        by: &str,
        now: Timestamp,
    ) -> Result<CredentialLink> {
        let link = CredentialLink {
            id: Uuid::now_v7().to_string(),
            of: new.clone(),
            state: CredentialLinkState::Waiting,
            made_by: by.to_owned(),
            made_at: now,
            opened_at: None,
            remark: None,
        };
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        execute!(
            &mut tx,
            "UPDATE credential_link SET state = 'withdrawn', ended_at = $1, remark = 'another link took its place'
             WHERE system = $2 AND account_key = $3 AND state = 'waiting'",
            micros(now),
            new.system.as_str(),
            new.account.key.as_str()
        )?;
        execute!(
            &mut tx,
            "INSERT INTO credential_link (id, token_hash, system, account_key, login, identity, replaces, overlap_ms,
                                          state, made_by, made_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'waiting', $9, $10, $11)",
            link.id.as_str(),
            token_hash,
            new.system.as_str(),
            new.account.key.as_str(),
            new.account.login.as_str(),
            new.identity.as_str(),
            new.replaces.as_ref().map(CredentialKey::as_str),
            new.overlap_ms,
            by,
            micros(now),
            micros(new.expires_at)
        )?;
        let body = json!({ "system": new.system, "expires_at": new.expires_at.to_string() });
        let event = event(EventKind::CredentialLinkMade, &link, body, &[("by", by)]);
        ledger::append(&mut tx, vec![event], now).await?;
        tx.commit().await?;
        Ok(link)
    }

    /// A link that can be opened, without opening it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not read back.
    pub async fn credential_link(&self, token_hash: &str, now: Timestamp) -> Result<Option<CredentialLink>> {
        let mut tx = self.db.read().await?;
        waiting(&mut tx, token_hash, now).await
    }

    /// Opens a link; `None` where it cannot be opened, or somebody was faster.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not read back.
    pub async fn open_credential_link(
        &self,
        token_hash: &str,
        now: Timestamp,
    ) -> Result<Option<CredentialLink>> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let Some(mut link) = waiting(&mut tx, token_hash, now).await? else { return Ok(None) };
        execute!(
            &mut tx,
            "UPDATE credential_link SET state = 'opened', opened_at = $1 WHERE id = $2",
            micros(now),
            link.id.as_str()
        )?;
        let body = json!({ "system": link.of.system });
        let event = event(EventKind::CredentialLinkOpened, &link, body, &[]);
        ledger::append(&mut tx, vec![event], now).await?;
        tx.commit().await?;
        (link.state, link.opened_at) = (CredentialLinkState::Opened, Some(now));
        Ok(Some(link))
    }

    /// Records what came of opening a link, and until when the credential that was replaced stays.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn end_credential_link(
        &self,
        link: &CredentialLink,
        end: &LinkEnd,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let (state, remark) = match end {
            LinkEnd::Issued { remark, .. } => (CredentialLinkState::Issued, remark),
            LinkEnd::NotIssued { why } => (CredentialLinkState::NotIssued, why),
        };
        let remark = without_nul(remark);
        execute!(
            &mut tx,
            "UPDATE credential_link SET state = $1, ended_at = $2, remark = $3 WHERE id = $4",
            state.as_str(),
            micros(now),
            remark.as_ref(),
            link.id.as_str()
        )?;
        let event = match end {
            LinkEnd::Issued { credential, .. } => {
                let mut body = json!({ "system": link.of.system });
                if let Some(replaced) = &link.of.replaces {
                    let revoke_at = micros(now).saturating_add(link.of.overlap_ms.saturating_mul(1_000));
                    execute!(
                        &mut tx,
                        "INSERT INTO replaced_credential (system, credential, link, replaced_at, revoke_at)
                         VALUES ($1, $2, $3, $4, $5)
                         ON CONFLICT (system, credential) DO UPDATE SET link = $3, replaced_at = $4, revoke_at = $5",
                        link.of.system.as_str(),
                        replaced.as_str(),
                        link.id.as_str(),
                        micros(now),
                        revoke_at
                    )?;
                    body["revoke_replaced_at"] = json!(instant(revoke_at)?.to_string());
                }
                let credential = credential.as_ref().map(|key| ("credential", key.as_str()));
                event(EventKind::CredentialIssued, link, body, credential.as_slice())
            }
            LinkEnd::NotIssued { .. } => {
                let body = json!({ "system": link.of.system });
                event(EventKind::CredentialNotIssued, link, body, &[("why", &remark)])
            }
        };
        ledger::append(&mut tx, vec![event], now).await?;
        tx.commit().await
    }

    /// Takes a link back that nobody has opened; false where there is none.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not read back.
    pub async fn withdraw_credential_link(&self, id: &str, by: &str, now: Timestamp) -> Result<bool> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let withdrawn = execute!(
            &mut tx,
            "UPDATE credential_link SET state = 'withdrawn', ended_at = $1, remark = 'taken back'
             WHERE id = $2 AND state = 'waiting'",
            micros(now),
            id
        )?;
        let Some(link) = by_id(&mut tx, id).await?.filter(|_| withdrawn > 0) else { return Ok(false) };
        let body = json!({ "system": link.of.system });
        let event = event(EventKind::CredentialLinkWithdrawn, &link, body, &[("by", by)]);
        ledger::append(&mut tx, vec![event], now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// A link by its name, wherever it stands.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not read back.
    pub async fn credential_link_by_id(&self, id: &str) -> Result<Option<CredentialLink>> {
        let mut tx = self.db.read().await?;
        by_id(&mut tx, id).await
    }

    /// The latest links, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn credential_links(&self, at_most: u32) -> Result<Vec<CredentialLink>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            Row,
            "SELECT id, system, account_key, login, identity, replaces, overlap_ms,
                    state, made_by, made_at, expires_at, opened_at, remark
             FROM credential_link ORDER BY made_at DESC, id DESC LIMIT $1",
            i64::from(at_most)
        )?;
        rows.into_iter().map(link).collect()
    }
}

async fn waiting(tx: &mut Tx, token_hash: &str, now: Timestamp) -> Result<Option<CredentialLink>> {
    let row = fetch_optional!(
        tx,
        Row,
        "SELECT id, system, account_key, login, identity, replaces, overlap_ms,
                state, made_by, made_at, expires_at, opened_at, remark
         FROM credential_link WHERE token_hash = $1 AND state = 'waiting' AND expires_at > $2",
        token_hash,
        micros(now)
    )?;
    row.map(link).transpose()
}

async fn by_id(tx: &mut Tx, id: &str) -> Result<Option<CredentialLink>> {
    let row = fetch_optional!(
        tx,
        Row,
        "SELECT id, system, account_key, login, identity, replaces, overlap_ms,
                state, made_by, made_at, expires_at, opened_at, remark
         FROM credential_link WHERE id = $1",
        id
    )?;
    row.map(link).transpose()
}
