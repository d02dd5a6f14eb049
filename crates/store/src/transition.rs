//! The journal of actions: one step of one action, with its ledger entry and what was observed, in one transaction.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::action::ActionState;
use leasehold_model::event::EventKind;
use leasehold_model::id::{ActionId, PlanHash};
use leasehold_model::plan::PlanItem;
use serde_json::{Value, json};

use crate::db::{
    Tx, count, execute, fetch_all, fetch_optional, from_json, instant, micros, stored, to_json, without_nul,
};
use crate::error::{Result, StoreError};
use crate::ledger::{self, Event};
use crate::read_back::{self, ObservedEffect};
use crate::store::Store;

/// One step of one action.
#[derive(Debug, Clone)]
pub struct Transition {
    /// Of which plan.
    pub plan: PlanHash,
    /// Which action.
    pub action: ActionId,
    /// Where the caller believes that it stands.
    pub from: ActionState,
    /// Where it goes.
    pub to: ActionState,
    /// When. For `Verified` and `Contradicted`: when the target was read.
    pub at: Timestamp,
    /// Why, for people. The ledger's entry holds a commitment to it.
    pub reason: Option<String>,
    /// What the connector said. Stays in the journal; the ledger does not hold it.
    pub detail: Value,
    /// Not to be sent again before.
    pub next_attempt_at: Option<Timestamp>,
    /// What was seen in the target.
    pub observed: Vec<ObservedEffect>,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransitionOutcome {
    /// It was made.
    Done {
        /// The entry that records it.
        ledger_index: u64,
    },
    /// Somebody else moved the action first; nothing was changed.
    Moved {
        /// Where it stands.
        actual: ActionState,
    },
}

/// A step that was made, as the journal has it.
#[derive(Debug, Clone, PartialEq)]
pub struct TransitionRow {
    /// From which state.
    pub from: ActionState,
    /// To which state.
    pub to: ActionState,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Option<String>,
    /// What the connector said.
    pub detail: Value,
    /// The entry that records it.
    pub ledger_index: u64,
}

impl Store {
    /// Makes one step of an action, or nothing at all where the action no longer stands where the caller believes.
    ///
    /// # Errors
    /// [`StoreError::Transition`] where the states cannot follow each other, [`StoreError::ReadBackTooOld`] for a
    /// verification from before the sending (law 2), [`StoreError::UnknownAction`].
    pub async fn transition(&self, transition: &Transition) -> Result<TransitionOutcome> {
        self.transitions.make(&self.db, transition).await
    }

    /// The ledger entries of the steps of an action, in whichever plan it stands, in the order of the log.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn ledger_indexes_of_action(&self, action: &ActionId) -> Result<Vec<u64>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (i64,),
            "SELECT ledger_index FROM action_transition WHERE action = $1 ORDER BY ledger_index",
            action.as_str()
        )?;
        Ok(rows.into_iter().map(|(index,)| count(index)).collect())
    }

    /// Every step of an action, first to last.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn transitions(&self, plan: &PlanHash, action: &ActionId) -> Result<Vec<TransitionRow>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (String, String, i64, Option<String>, String, i64),
            "SELECT from_state, to_state, at, reason, detail, ledger_index FROM action_transition
             WHERE plan = $1 AND action = $2 ORDER BY seq",
            plan.as_str(),
            action.as_str()
        )?;
        rows.into_iter()
            .map(|(from, to, at, reason, detail, ledger_index)| {
                Ok(TransitionRow {
                    from: parse_state(action, &from)?,
                    to: parse_state(action, &to)?,
                    at: instant(at)?,
                    reason,
                    detail: from_json("a step's detail", &detail)?,
                    ledger_index: count(ledger_index),
                })
            })
            .collect()
    }
}

/// Makes one step in a transaction that holds the store's write lock, or nothing at all where it is refused.
pub(crate) async fn make(tx: &mut Tx, transition: &Transition) -> Result<TransitionOutcome> {
    let Transition { plan, action, from, to, at, detail, next_attempt_at, observed, .. } = transition;
    let reason = transition.reason.as_deref().map(without_nul);
    let reason = reason.as_deref();
    if !from.may_become(*to) {
        return Err(StoreError::Transition { action: action.clone(), from: *from, to: *to });
    }
    let row = fetch_optional!(
        tx,
        (String, Option<i64>, String),
        "SELECT state, sent_at, item FROM action WHERE plan = $1 AND id = $2",
        plan.as_str(),
        action.as_str()
    )?;
    let (state, sent_at, item) = row.ok_or_else(|| StoreError::UnknownAction { action: action.clone() })?;
    let actual = parse_state(action, &state)?;
    if actual != *from {
        return Ok(TransitionOutcome::Moved { actual });
    }
    if *to == ActionState::Verified && sent_at.is_none_or(|sent_at| micros(*at) < sent_at) {
        return Err(StoreError::ReadBackTooOld { action: action.clone() });
    }
    let item: PlanItem = from_json("an action", &item)?;

    // Only what we asked for and what takes access away was ended by us; the rest went out of band.
    let ended_by_us = item.verb.takes_away() && sent_at.is_some();
    let mut events = read_back::apply(tx, action, ended_by_us, observed, *at).await?;
    events.push(transition_event(&item, plan, *from, *to, reason));
    let entries = events.len() as u64;
    let ledger_index = ledger::append(tx, events, *at).await? + entries - 1;

    let sent = *to == ActionState::Sent;
    let read_back = matches!(to, ActionState::Verified | ActionState::Contradicted);
    // A person who takes an action off the stuck list begins anew.
    let again = *to == ActionState::Approved;
    execute!(
        tx,
        "UPDATE action SET state = $1, reason = $2, next_attempt_at = $3, ledger_index = $4,
             sent_at = COALESCE($5, sent_at), read_back_at = COALESCE($6, read_back_at),
             attempts = CASE WHEN $7 = 1 THEN 0 ELSE attempts + $8 END, changed_at = $12,
             approved_at = CASE WHEN $7 = 1 THEN COALESCE(approved_at, $12) ELSE approved_at END
         WHERE plan = $9 AND id = $10 AND state = $11",
        to.as_str(),
        reason,
        next_attempt_at.map(micros),
        stored(ledger_index),
        sent.then(|| micros(*at)),
        read_back.then(|| micros(*at)),
        i64::from(again),
        i64::from(sent),
        plan.as_str(),
        action.as_str(),
        from.as_str(),
        micros(*at)
    )?;
    execute!(
        tx,
        "INSERT INTO action_transition (plan, action, seq, from_state, to_state, at, reason, detail, ledger_index)
         SELECT $1, $2, COALESCE(MAX(seq) + 1, 0), $3, $4, $5, $6, $7, $8 FROM action_transition
         WHERE plan = $1 AND action = $2",
        plan.as_str(),
        action.as_str(),
        from.as_str(),
        to.as_str(),
        micros(*at),
        reason,
        to_json("a step's detail", detail)?,
        stored(ledger_index)
    )?;
    Ok(TransitionOutcome::Done { ledger_index })
}

fn parse_state(action: &ActionId, state: &str) -> Result<ActionState> {
    ActionState::parse(state)
        .ok_or_else(|| StoreError::corrupt(format!("action {action}"), format!("the state `{state}`")))
}

/// The entry of one step: who holds what, and what was said about it, stays out of it, as commitments.
pub(crate) fn transition_event(
    item: &PlanItem,
    plan: &PlanHash,
    from: ActionState,
    to: ActionState,
    reason: Option<&str>,
) -> Event {
    let mut personal = BTreeMap::from([
        ("account".to_owned(), item.account.clone()),
        ("account_key".to_owned(), item.account_key.to_string()),
    ]);
    personal.extend(item.identity.as_ref().map(|identity| ("identity".to_owned(), identity.to_string())));
    // A role or privilege may carry its holder's name.
    personal.extend(
        item.entitlement.as_ref().map(|entitlement| ("entitlement".to_owned(), entitlement.to_string())),
    );
    let credential = item.credential.as_ref();
    personal.extend(credential.map(|credential| ("credential".to_owned(), credential.key.to_string())));
    // A target's words name whom and what they like.
    personal.extend(reason.map(|reason| ("reason".to_owned(), ledger::shortened(reason))));
    Event {
        kind: EventKind::ActionTransition,
        subject: item.id.to_string(),
        body: json!({
            "action": item.id,
            "plan": plan,
            "verb": item.verb,
            "system": item.system,
            "from": from,
            "to": to,
        }),
        personal,
    }
}
