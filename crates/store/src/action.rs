//! Actions of plans that are being applied: begun once, listed by where they stand.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use leasehold_model::action::ActionState;
use leasehold_model::event::EventKind;
use leasehold_model::id::{ActionId, IdentityKey, PlanHash};
use leasehold_model::plan::{Plan, PlanItem};
use leasehold_model::receipt::ActionReceipt;
use serde_json::json;

use crate::db::{
    Tx, apart, count, execute, execute_rows, fetch_all, fetch_optional, from_json, insert_rows, instant,
    micros, stored, to_json,
};
use crate::error::{Result, StoreError};
use crate::ledger::{self, Event};
use crate::store::Store;
use crate::transition::{StepRow, insert_steps, transition_event};
use crate::{departure, plan, policy, receipt, steward};

/// One action and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionRow {
    /// Its name.
    pub id: ActionId,
    /// Its plan.
    pub plan: PlanHash,
    /// Its place in that plan.
    pub seq: u64,
    /// What it does.
    pub item: PlanItem,
    /// Where it stands.
    pub state: ActionState,
    /// How often it was sent since it was last approved.
    pub attempts: u32,
    /// Not to be sent again before.
    pub next_attempt_at: Option<Timestamp>,
    /// When it was last sent.
    pub sent_at: Option<Timestamp>,
    /// When the target was last read for it.
    pub read_back_at: Option<Timestamp>,
    /// The ledger entry of its final transition; `None` while it is not final.
    pub ledger_index: Option<u64>,
    /// Of its last transition, where there was one.
    pub reason: Option<String>,
}

pub(crate) type Row = (
    String,
    String,
    i64,
    String,
    String,
    i64,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<String>,
);

pub(crate) fn action_row(row: Row) -> Result<ActionRow> {
    let (id, plan, seq, item, state, attempts, next_attempt_at, sent_at, read_back_at, ledger_index, reason) =
        row;
    let state = ActionState::parse(&state)
        .ok_or_else(|| StoreError::corrupt(format!("action {id}"), format!("the state `{state}`")))?;
    Ok(ActionRow {
        id: ActionId(id),
        plan: PlanHash(plan),
        seq: count(seq),
        item: from_json("an action", &item)?,
        state,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        next_attempt_at: next_attempt_at.map(instant).transpose()?,
        sent_at: sent_at.map(instant).transpose()?,
        read_back_at: read_back_at.map(instant).transpose()?,
        ledger_index: ledger_index.filter(|_| state.is_final()).map(count),
        reason,
    })
}

impl From<&ActionRow> for ActionReceipt {
    fn from(row: &ActionRow) -> Self {
        Self {
            id: row.id.clone(),
            plan: row.plan.clone(),
            verb: row.item.verb,
            system: row.item.system.clone(),
            account: row.item.account.clone(),
            entitlement: row.item.entitlement.clone(),
            credential: row.item.credential.clone(),
            to: row.item.to.clone(),
            state: row.state,
            attempts: row.attempts,
            reason: row.reason.clone(),
            sent_at: row.sent_at,
            read_back_at: row.read_back_at,
            ledger_index: row.ledger_index,
        }
    }
}

macro_rules! select_actions {
    ($rest:literal) => {
        concat!(
            "SELECT action.id, action.plan, seq, item, state, attempts, next_attempt_at, sent_at, read_back_at,
                    ledger_index, reason
             FROM action JOIN plan ON plan.hash = action.plan ",
            $rest
        )
    };
}
pub(crate) use select_actions;

impl Store {
    /// Begins to apply a plan: saves it, inserts its actions and approves those that no guard holds, or whose guards
    /// are all overridden by name. Beginning again gives the run that is there; guards that are overridden then, too,
    /// let go of what they held.
    ///
    /// # Errors
    /// [`StoreError::PlanMoved`] where a system or the policy changed since the plan was made (law 7; not asked of a
    /// run that has begun, because its own actions move the state), [`StoreError::PlanChanged`],
    /// [`StoreError::UnknownGuard`].
    pub async fn begin_apply(
        &self,
        plan: &Plan,
        overrides: &[String],
        by: &str,
        now: Timestamp,
    ) -> Result<Vec<ActionRow>> {
        let tx = self.db.write_here().await?;
        apart(tx, |tx| begin_apply_in(tx, plan, overrides, by, now)).await
    }

    /// The actions of a plan, in its order; empty where it was never begun.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn actions(&self, plan: &PlanHash) -> Result<Vec<ActionRow>> {
        let mut tx = self.db.read().await?;
        read_plan(&mut tx, plan).await
    }

    /// Actions that the executor has something to do for: approved, sent, acknowledged or contradicted. Those that a
    /// guard holds stay planned and are not among them.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn unfinished_actions(&self) -> Result<Vec<ActionRow>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            Row,
            select_actions!(
                "WHERE state IN ('approved', 'sent', 'acknowledged', 'contradicted') ORDER BY plan.id, seq"
            )
        )?;
        rows.into_iter().map(action_row).collect()
    }

    /// Actions of other plans that are approved.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn approved_in_other_plans(&self, plan: &PlanHash) -> Result<Vec<ActionRow>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            Row,
            select_actions!("WHERE state = 'approved' AND action.plan <> $1 ORDER BY plan.id, seq"),
            plan.as_str()
        )?;
        rows.into_iter().map(action_row).collect()
    }

    /// Every action, in the order of plans.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn all_actions(&self) -> Result<Vec<ActionRow>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(&mut tx, Row, select_actions!("ORDER BY plan.id, seq"))?;
        rows.into_iter().map(action_row).collect()
    }

    /// Actions that wait for a person: stuck, or held by a guard.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn waiting_actions(&self) -> Result<Vec<ActionRow>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            Row,
            select_actions!("WHERE state IN ('planned', 'stuck') ORDER BY plan.id, seq")
        )?;
        rows.into_iter().map(action_row).collect()
    }

    /// Actions that a person has to look at.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn stuck_actions(&self) -> Result<Vec<ActionRow>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(&mut tx, Row, select_actions!("WHERE state = 'stuck' ORDER BY plan.id, seq"))?;
        rows.into_iter().map(action_row).collect()
    }
}

async fn begin_apply_in(
    mut tx: Tx,
    plan: &Plan,
    overrides: &[String],
    by: &str,
    now: Timestamp,
) -> Result<Vec<ActionRow>> {
    ledger::lock(&mut tx).await?;
    check_overrides(plan, overrides)?;
    plan::save(&mut tx, plan, now).await?;
    let begun = fetch_optional!(
        &mut tx,
        (i64,),
        "SELECT begun_at FROM apply_run WHERE plan = $1",
        plan.hash.as_str()
    )?;
    if begun.is_none() {
        check_state(&mut tx, plan).await?;
        execute!(
            &mut tx,
            "INSERT INTO apply_run (plan, begun_at, begun_by) VALUES ($1, $2, $3)",
            plan.hash.as_str(),
            micros(now),
            by
        )?;
        insert_actions(&mut tx, plan, now).await?;
        departure::record(&mut tx, plan, by, now).await?;
        steward::record(&mut tx, plan, by, now).await?;
    }
    override_guards(&mut tx, plan, overrides, by, now).await?;
    let mut rows = match begun {
        None => planned(plan),
        Some(_) => read_plan(&mut tx, &plan.hash).await?,
    };
    approve(&mut tx, plan, &mut rows, now).await?;
    tx.commit().await?;
    Ok(rows)
}

async fn read_plan(tx: &mut Tx, plan: &PlanHash) -> Result<Vec<ActionRow>> {
    let rows = fetch_all!(tx, Row, select_actions!("WHERE action.plan = $1 ORDER BY seq"), plan.as_str())?;
    rows.into_iter().map(action_row).collect()
}

fn check_overrides(plan: &Plan, overrides: &[String]) -> Result<()> {
    match overrides.iter().find(|name| !plan.guards.iter().any(|guard| guard.name == **name)) {
        None => Ok(()),
        Some(name) => {
            let names: Vec<&str> = plan.guards.iter().map(|guard| guard.name.as_str()).collect();
            let guards = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Err(StoreError::UnknownGuard { guard: name.clone(), guards })
        }
    }
}

/// Law 7: refuses a plan that was made from another state. The claims' digest is the caller's to compare.
async fn check_state(tx: &mut Tx, plan: &Plan) -> Result<()> {
    let moved = |what: String| StoreError::PlanMoved { hash: plan.hash.clone(), what };
    let rows = fetch_all!(tx, (String, i64), "SELECT name, generation FROM system")?;
    let generations: HashMap<&str, i64> = rows.iter().map(|(name, at)| (name.as_str(), *at)).collect();
    for (system, epoch) in &plan.state.systems {
        let now = generations.get(system.as_str()).copied().unwrap_or(0);
        if now != epoch.0 {
            return Err(moved(format!("{system} changed in epoch {now}, after {epoch} that the plan saw")));
        }
    }
    match policy::live_digest(tx).await? {
        Some(live) if live != plan.state.policy => Err(moved("another policy was applied since".to_owned())),
        _ => Ok(()),
    }
}

async fn insert_actions(tx: &mut Tx, plan: &Plan, now: Timestamp) -> Result<()> {
    let mut actions = Vec::with_capacity(plan.items.len());
    for (seq, item) in (0_i64..).zip(&plan.items) {
        let names = (item.system.as_str(), item.verb.as_str());
        let identity = item.identity.as_ref().map(IdentityKey::folded);
        let (id, item) = (item.id.as_str(), to_json("an action", item)?);
        actions.push((
            plan.hash.as_str(),
            id,
            seq,
            "planned",
            0,
            item,
            names.0,
            names.1,
            identity,
            micros(now),
        ));
    }
    insert_rows!(
        tx,
        "action",
        &actions,
        [
            0 plan TEXT,
            1 id TEXT,
            2 seq BIGINT,
            3 state TEXT,
            4 attempts BIGINT,
            5 item TEXT,
            6 system TEXT,
            7 verb TEXT,
            8 identity TEXT,
            9 changed_at BIGINT
        ]
    )?;
    receipt::due(tx, plan.items.iter()).await
}

/// The rows that were just inserted, as they read back.
fn planned(plan: &Plan) -> Vec<ActionRow> {
    let row = |(seq, item): (u64, &PlanItem)| ActionRow {
        id: item.id.clone(),
        plan: plan.hash.clone(),
        seq,
        item: item.clone(),
        state: ActionState::Planned,
        attempts: 0,
        next_attempt_at: None,
        sent_at: None,
        read_back_at: None,
        ledger_index: None,
        reason: None,
    };
    (0..).zip(&plan.items).map(row).collect()
}

/// Notes each override by name in the ledger, once.
async fn override_guards(
    tx: &mut Tx,
    plan: &Plan,
    overrides: &[String],
    by: &str,
    now: Timestamp,
) -> Result<()> {
    for name in overrides.iter().collect::<std::collections::BTreeSet<_>>() {
        let new = execute!(
            tx,
            "INSERT INTO guard_override (plan, guard, overridden_at, overridden_by) VALUES ($1, $2, $3, $4)
             ON CONFLICT (plan, guard) DO NOTHING",
            plan.hash.as_str(),
            name.as_str(),
            micros(now),
            by
        )?;
        if new > 0 {
            let held = plan.guards.iter().filter(|guard| guard.name == *name).map(|guard| guard.holds.len());
            let event = Event {
                kind: EventKind::GuardOverridden,
                subject: name.clone(),
                body: json!({ "plan": plan.hash, "guard": name, "items": held.sum::<usize>() }),
                personal: BTreeMap::from([("by".to_owned(), by.to_owned())]),
            };
            ledger::append(tx, vec![event], now).await?;
        }
    }
    Ok(())
}

/// Approves what is planned of the plan's rows and not, or no longer, held by a guard.
async fn approve(tx: &mut Tx, plan: &Plan, rows: &mut [ActionRow], now: Timestamp) -> Result<()> {
    let overridden =
        fetch_all!(tx, (String,), "SELECT guard FROM guard_override WHERE plan = $1", plan.hash.as_str())?;
    let holding = plan.guards.iter().filter(|guard| !overridden.iter().any(|(name,)| *name == guard.name));
    let held: HashSet<&ActionId> = holding.flat_map(|guard| &guard.holds).collect();
    let is_free = |row: &&mut ActionRow| row.state == ActionState::Planned && !held.contains(&row.id);
    let mut planned: Vec<&mut ActionRow> = rows.iter_mut().filter(is_free).collect();
    if planned.is_empty() {
        return Ok(());
    }
    const REASON: &str = "applied by a person or by policy; no guard holds it";
    let events = planned
        .iter()
        .map(|row| {
            transition_event(&row.item, &row.plan, ActionState::Planned, ActionState::Approved, Some(REASON))
        })
        .collect();
    let first = ledger::append(tx, events, now).await?;
    for row in &mut planned {
        (row.state, row.reason) = (ActionState::Approved, Some(REASON.to_owned()));
    }
    let approved: Vec<(&str, &str, i64)> = (stored(first)..)
        .zip(&planned)
        .map(|(index, row)| (plan.hash.as_str(), row.id.as_str(), index))
        .collect();
    // By keys that are wholly in the list: else the list would be looked through once for each action of the plan.
    execute_rows!(
        tx,
        &approved,
        "UPDATE action SET state = 'approved', reason = $2, ledger_index = CAST(list.value->>2 AS BIGINT), changed_at = $3,
             approved_at = COALESCE(approved_at, $3) FROM ",
        " WHERE action.plan = list.value->>0 AND action.id = list.value->>1",
        REASON,
        micros(now)
    )?;
    let step = |(plan, action, index)| {
        let (from, to) = (ActionState::Planned.as_str(), ActionState::Approved.as_str());
        (plan, action, 0, from, to, micros(now), Some(REASON.into()), "null".to_owned(), index)
    };
    let steps: Vec<StepRow<'_>> = approved.into_iter().map(step).collect();
    insert_steps(tx, &steps).await
}
