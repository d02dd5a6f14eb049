//! Plans as they were made: saved whole, found by the beginning of their hash.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::event::EventKind;
use leasehold_model::plan::Plan;
use serde_json::json;

use crate::db::{Tx, execute, fetch_all, fetch_optional, from_json, micros, stored, to_json};
use crate::error::{Result, StoreError};
use crate::ledger::{self, Event};
use crate::plan_list::state_digest;
use crate::store::Store;

/// Saves a plan in this transaction; does nothing where it is saved already.
pub(crate) async fn save(tx: &mut Tx, plan: &Plan, now: Timestamp) -> Result<()> {
    let content = plan.content_hash();
    if content != plan.hash {
        return Err(StoreError::PlanChanged { hash: plan.hash.clone(), content });
    }
    let known = fetch_optional!(tx, (i64,), "SELECT id FROM plan WHERE hash = $1", plan.hash.as_str())?;
    if known.is_some() {
        return Ok(());
    }
    execute!(
        tx,
        "INSERT INTO plan (id, hash, created_at, body, items, left_alone, guards, state_digest)
         SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3, $4, $5, $6, $7 FROM plan",
        plan.hash.as_str(),
        micros(now),
        to_json("a plan", plan)?,
        stored(plan.items.len() as u64),
        stored(plan.left_alone.len() as u64),
        stored(plan.guards.len() as u64),
        state_digest(&plan.state)
    )?;
    let event = Event {
        kind: EventKind::PlanCreated,
        subject: plan.hash.to_string(),
        body: json!({
            "plan": plan.hash.as_str(),
            "items": plan.items.len(),
            "left_alone": plan.left_alone.len(),
            "guards": plan.guards.len(),
        }),
        personal: BTreeMap::new(),
    };
    ledger::append(tx, vec![event], now).await?;
    Ok(())
}

impl Store {
    /// Saves a plan; saving it again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::PlanChanged`] where its content does not have its hash.
    pub async fn save_plan(&self, plan: &Plan, now: Timestamp) -> Result<()> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        save(&mut tx, plan, now).await?;
        tx.commit().await
    }

    /// The plan whose hash begins like this.
    ///
    /// # Errors
    /// [`StoreError::AmbiguousPlan`] where there are several.
    pub async fn plan(&self, prefix: &str) -> Result<Option<Plan>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (String,),
            "SELECT body FROM plan WHERE substr(hash, 1, length($1)) = $1 LIMIT 2",
            prefix
        )?;
        match &rows[..] {
            [] => Ok(None),
            [(body,)] => from_json("a plan", body).map(Some),
            _ => Err(StoreError::AmbiguousPlan { prefix: prefix.to_string() }),
        }
    }

    /// Plans, the newest first, from the one before `before` on; each with its number and when it was saved.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn plans(&self, before: Option<i64>, limit: usize) -> Result<Vec<(i64, Timestamp, Plan)>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (i64, i64, String),
            "SELECT id, created_at, body FROM plan WHERE id < $1 ORDER BY id DESC LIMIT $2",
            before.unwrap_or(i64::MAX),
            crate::db::stored(limit as u64)
        )?;
        rows.into_iter()
            .map(|(id, at, body)| Ok((id, crate::db::instant(at)?, from_json("a plan", &body)?)))
            .collect()
    }

    /// Plans that were begun at this instant or later, in the order in which they were made.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn plans_begun_since(&self, since: Timestamp) -> Result<Vec<Plan>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (String,),
            "SELECT body FROM plan WHERE hash IN (SELECT plan FROM apply_run WHERE begun_at >= $1) ORDER BY id",
            micros(since)
        )?;
        rows.into_iter().map(|(body,)| from_json("a plan", &body)).collect()
    }

    /// The plan that was saved last.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not read back.
    pub async fn latest_plan(&self) -> Result<Option<Plan>> {
        let mut tx = self.db.read().await?;
        let row = fetch_optional!(&mut tx, (String,), "SELECT body FROM plan ORDER BY id DESC LIMIT 1")?;
        row.map(|(body,)| from_json("a plan", &body)).transpose()
    }
}
