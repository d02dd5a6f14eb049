//! Revisions of the policy: what was applied, by whom and when. The last one is live.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::event::EventKind;
use serde_json::json;

use crate::db::{Tx, execute, fetch_all, fetch_one, fetch_optional, from_json, instant, micros, to_json};
use crate::error::Result;
use crate::ledger::{self, Event};
use crate::store::Store;

/// One applied policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRevision {
    /// Counted from 1.
    pub id: i64,
    /// Of its files.
    pub digest: String,
    /// When it became live.
    pub applied_at: Timestamp,
    /// Who applied it.
    pub applied_by: String,
    /// Its files by path.
    pub files: BTreeMap<String, String>,
}

type PolicyRow = (i64, String, i64, String, String);

fn revision((id, digest, applied_at, applied_by, files): PolicyRow) -> Result<PolicyRevision> {
    let files = from_json("a policy revision", &files)?;
    Ok(PolicyRevision { id, digest, applied_at: instant(applied_at)?, applied_by, files })
}

/// The digest of the live policy, where there is one.
pub(crate) async fn live_digest(tx: &mut Tx) -> Result<Option<String>> {
    let row = fetch_optional!(tx, (String,), "SELECT digest FROM policy_revision ORDER BY id DESC LIMIT 1")?;
    Ok(row.map(|(digest,)| digest))
}

/// Writes a revision and its entry in this transaction.
async fn apply(
    tx: &mut Tx,
    files: BTreeMap<String, String>,
    digest: &str,
    by: &str,
    now: Timestamp,
) -> Result<PolicyRevision> {
    let (id,) = fetch_one!(tx, (i64,), "SELECT COALESCE(MAX(id), 0) + 1 FROM policy_revision")?;
    execute!(
        tx,
        "INSERT INTO policy_revision (id, digest, applied_at, applied_by, files) VALUES ($1, $2, $3, $4, $5)",
        id,
        digest,
        micros(now),
        by,
        to_json("a policy revision", &files)?
    )?;
    let event = Event {
        kind: EventKind::PolicyApplied,
        subject: digest.to_owned(),
        body: json!({ "revision": id, "digest": digest, "files": files.len() }),
        personal: BTreeMap::from([("by".to_owned(), by.to_owned())]),
    };
    ledger::append(tx, vec![event], now).await?;
    let applied_at = instant(micros(now))?;
    Ok(PolicyRevision { id, digest: digest.to_owned(), applied_at, applied_by: by.to_owned(), files })
}

impl Store {
    /// Makes a policy the live one.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn apply_policy(
        &self,
        files: BTreeMap<String, String>,
        digest: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<PolicyRevision> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let revision = apply(&mut tx, files, digest, by, now).await?;
        tx.commit().await?;
        Ok(revision)
    }

    /// Makes a policy the live one where the live one is still the one that was edited: its digest, or `None` for none.
    /// Gives `None`, and changes nothing, where somebody was faster.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn replace_policy(
        &self,
        edited: Option<&str>,
        files: BTreeMap<String, String>,
        digest: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<PolicyRevision>> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        if live_digest(&mut tx).await?.as_deref() != edited {
            return Ok(None);
        }
        let revision = apply(&mut tx, files, digest, by, now).await?;
        tx.commit().await?;
        Ok(Some(revision))
    }

    /// The live policy; `None` before the first was applied.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where it does not read back.
    pub async fn live_policy(&self) -> Result<Option<PolicyRevision>> {
        let mut tx = self.db.read().await?;
        let row = fetch_optional!(
            &mut tx,
            PolicyRow,
            "SELECT id, digest, applied_at, applied_by, files FROM policy_revision ORDER BY id DESC LIMIT 1"
        )?;
        row.map(revision).transpose()
    }

    /// Every policy that was ever applied, newest first.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where one does not read back.
    pub async fn policy_revisions(&self) -> Result<Vec<PolicyRevision>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            PolicyRow,
            "SELECT id, digest, applied_at, applied_by, files FROM policy_revision ORDER BY id DESC"
        )?;
        rows.into_iter().map(revision).collect()
    }
}
