//! Lists of plans, without reading any of them whole.

use jiff::Timestamp;
use leasehold_model::id::PlanHash;
use leasehold_model::plan::StateFingerprint;
use sha2::{Digest as _, Sha256};

use crate::db::{count, fetch_all, fetch_one, instant, stored, to_json};
use crate::error::Result;
use crate::store::Store;

/// A saved plan in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRow {
    /// Its hash.
    pub hash: PlanHash,
    /// When it was saved.
    pub created_at: Timestamp,
    /// How many items it has.
    pub items: u64,
    /// How much drift it leaves alone.
    pub left_alone: u64,
    /// How many guards hold some of it.
    pub guards: u64,
    /// Names the state that it was made from, as [`state_digest`] does; empty where an earlier release saved it.
    pub state_digest: String,
    /// Whether somebody leaves by it: it is made anew when it is approved, whatever has moved since.
    pub is_of_leavers: bool,
    /// When it was begun.
    pub begun_at: Option<Timestamp>,
    /// By whom.
    pub begun_by: Option<String>,
    /// Actions that a guard holds.
    pub held: u64,
    /// Actions that are on their way.
    pub on_the_way: u64,
    /// Actions that wait for a person.
    pub stuck: u64,
    /// Actions that were read back as done.
    pub verified: u64,
}

/// A guard that somebody overrode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardOverride {
    /// Its name.
    pub guard: String,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
}

/// Names a state: two that are alike have the same.
pub fn state_digest(state: &StateFingerprint) -> String {
    hex::encode(Sha256::digest(to_json("a state", state).unwrap_or_default()))
}

type Row = (String, i64, i64, i64, i64, String, i64, Option<i64>, Option<String>, i64, i64, i64, i64);

fn plan_row(row: Row) -> Result<PlanRow> {
    let (
        hash,
        created_at,
        items,
        left_alone,
        guards,
        state_digest,
        of_leavers,
        begun_at,
        begun_by,
        held,
        on,
        stuck,
        verified,
    ) = row;
    Ok(PlanRow {
        hash: PlanHash(hash),
        created_at: instant(created_at)?,
        items: count(items),
        left_alone: count(left_alone),
        guards: count(guards),
        state_digest,
        is_of_leavers: of_leavers > 0,
        begun_at: begun_at.map(instant).transpose()?,
        begun_by,
        held: count(held),
        on_the_way: count(on),
        stuck: count(stuck),
        verified: count(verified),
    })
}

macro_rules! select_plans {
    ($rest:literal) => {
        concat!(
            "SELECT hash, created_at, items, left_alone, guards, state_digest, of_leavers, begun_at, begun_by,
                    COALESCE(SUM(CASE WHEN state = 'planned' THEN 1 ELSE 0 END), 0),
                    COALESCE(SUM(CASE WHEN state IN ('approved', 'sent', 'acknowledged', 'contradicted')
                                 THEN 1 ELSE 0 END), 0),
                    COALESCE(SUM(CASE WHEN state = 'stuck' THEN 1 ELSE 0 END), 0),
                    COALESCE(SUM(CASE WHEN state = 'verified' THEN 1 ELSE 0 END), 0)
             FROM (SELECT id, hash, created_at, items, left_alone, guards, state_digest,
                          CAST(CASE WHEN body LIKE '%\"as_left\":[\"%' THEN 1 ELSE 0 END AS BIGINT) AS of_leavers
                   FROM plan ",
            $rest,
            ") AS chosen
             LEFT JOIN apply_run ON apply_run.plan = hash
             LEFT JOIN action ON action.plan = hash
             GROUP BY chosen.id, hash, created_at, items, left_alone, guards, state_digest, of_leavers, begun_at, begun_by
             ORDER BY chosen.id DESC"
        )
    };
}

impl Store {
    /// How many plans are saved.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn plan_count(&self) -> Result<u64> {
        let mut tx = self.db.read().await?;
        let (plans,): (i64,) = fetch_one!(&mut tx, (i64,), "SELECT COUNT(*) FROM plan")?;
        Ok(count(plans))
    }

    /// Saved plans, the newest first.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn plan_rows(&self, offset: usize, limit: usize) -> Result<Vec<PlanRow>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            Row,
            select_plans!("ORDER BY id DESC LIMIT $1 OFFSET $2"),
            stored(limit as u64),
            stored(offset as u64)
        )?;
        rows.into_iter().map(plan_row).collect()
    }

    /// One saved plan in short, by its whole hash.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn plan_row(&self, hash: &PlanHash) -> Result<Option<PlanRow>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(&mut tx, Row, select_plans!("WHERE hash = $1"), hash.as_str())?;
        rows.into_iter().next().map(plan_row).transpose()
    }

    /// Plans of which something is held by a guard, and plans that were made from this state and never begun: what
    /// waits for a person. The newest first.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn waiting_plans(&self, state_digest: &str, limit: usize) -> Result<Vec<PlanRow>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            Row,
            select_plans!(
                "WHERE hash IN (SELECT plan FROM action WHERE state = 'planned')
                    OR (state_digest = $1 AND items > 0
                        AND NOT EXISTS (SELECT 1 FROM apply_run WHERE apply_run.plan = hash))
                 ORDER BY id DESC LIMIT $2"
            ),
            state_digest,
            stored(limit as u64)
        )?;
        rows.into_iter().map(plan_row).collect()
    }

    /// The guards of a plan that were overridden, by name.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn guard_overrides(&self, plan: &PlanHash) -> Result<Vec<GuardOverride>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (String, i64, String),
            "SELECT guard, overridden_at, overridden_by FROM guard_override WHERE plan = $1 ORDER BY guard",
            plan.as_str()
        )?;
        rows.into_iter().map(|(guard, at, by)| Ok(GuardOverride { guard, at: instant(at)?, by })).collect()
    }
}
