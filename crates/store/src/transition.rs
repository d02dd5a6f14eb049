//! The journal of actions: one step of one action, with its ledger entry and what was observed, in one transaction.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use leasehold_model::action::ActionState;
use leasehold_model::event::EventKind;
use leasehold_model::id::{ActionId, PlanHash};
use leasehold_model::plan::PlanItem;
use serde_json::{Value, json};

use crate::db::{
    Tx, count, execute_rows, fetch_all, fetch_optional, fetch_rows, from_json, insert_rows, instant, micros,
    stored, to_json, without_nul,
};
use crate::error::{Result, StoreError};
use crate::ledger::{self, Event};
use crate::read_back::{self, ObservedEffect, Seen};
use crate::receipt;
use crate::store::Store;
use crate::transition_queue::BegunTransition;

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
        self.begin_transition(transition).lasting().await
    }

    /// Begins one step of an action. Steps of one store are made in the order in which they were begun.
    pub fn begin_transition(&self, transition: &Transition) -> BegunTransition {
        self.transitions.begin(&self.db, transition)
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

/// Makes steps in a transaction that holds the store's write lock, in this order. One that is refused changes nothing, and
/// the others are made all the same.
pub(crate) async fn make_all(
    tx: &mut Tx,
    transitions: &[&Transition],
) -> Result<Vec<Result<TransitionOutcome>>> {
    let mut outcomes = Vec::with_capacity(transitions.len());
    let mut rest = transitions;
    while !rest.is_empty() {
        // The second step of an action sees what the first one made.
        let mut actions = HashSet::new();
        let again = rest.iter().position(|step| !actions.insert((&step.plan, &step.action)));
        let (now, later) = rest.split_at(again.unwrap_or(rest.len()));
        outcomes.extend(make_one_of_each(tx, now).await?);
        rest = later;
    }
    Ok(outcomes)
}

/// An action as it stands before its step.
struct Standing {
    state: ActionState,
    sent_at: Option<i64>,
    item: PlanItem,
    /// How many steps it made.
    steps: i64,
}

/// Makes at most one step of each action. What the steps write into the same tables goes there together.
async fn make_one_of_each(
    tx: &mut Tx,
    transitions: &[&Transition],
) -> Result<Vec<Result<TransitionOutcome>>> {
    let mut standing = standing(tx, transitions).await?;
    let mut outcomes = Vec::with_capacity(transitions.len());
    let mut possible = Vec::with_capacity(transitions.len());
    for (place, transition) in transitions.iter().enumerate() {
        let Transition { plan, action, from, .. } = transition;
        let found = standing.remove(&(plan.as_str(), action.as_str()));
        outcomes.push(match allowed(transition, found) {
            Err(refused) => Err(refused),
            Ok(found) if found.state != *from => Ok(TransitionOutcome::Moved { actual: found.state }),
            Ok(found) => {
                possible.push((place, found));
                // Replaced below, when the index is known.
                Ok(TransitionOutcome::Done { ledger_index: 0 })
            }
        });
    }
    let seen = possible.iter().map(|(place, Standing { item, sent_at, .. })| {
        let Transition { action, observed, at, .. } = transitions[*place];
        // Only what we asked for and what takes something from the account was ended by us; the rest went out of band.
        Seen { action, sent_at: sent_at.filter(|_| !item.verb.gives()), observed, at: *at }
    });
    let seen: Vec<Seen<'_>> = seen.collect();
    let read_backs = read_back::apply_all(tx, &seen).await?;
    let (mut events, mut made, mut taken_up) = (Vec::new(), Vec::new(), Vec::new());
    for ((place, Standing { item, steps, .. }), read_back) in possible.into_iter().zip(read_backs) {
        let Transition { plan, from, to, at, .. } = transitions[place];
        let reason = transitions[place].reason.as_deref().map(without_nul);
        events.extend(read_back.into_iter().map(|event| (event, *at)));
        events.push((transition_event(&item, plan, *from, *to, reason.as_deref()), *at));
        made.push((place, steps, events.len() as u64 - 1));
        // What waited for a person and moves on was told of by a receipt already.
        if matches!(from, ActionState::Planned | ActionState::Stuck) {
            taken_up.push(item);
        }
    }
    if made.is_empty() {
        return Ok(outcomes);
    }
    receipt::due(tx, taken_up.iter()).await?;
    let first = ledger::append_each(tx, events).await?;
    let (mut changes, mut steps) = (Vec::with_capacity(made.len()), Vec::with_capacity(made.len()));
    for (place, seq, event) in made {
        let Transition { plan, action, from, to, at, detail, next_attempt_at, .. } = transitions[place];
        let ledger_index = first + event;
        outcomes[place] = Ok(TransitionOutcome::Done { ledger_index });
        let reason = transitions[place].reason.as_deref().map(without_nul);
        let (at, ledger_index) = (micros(*at), stored(ledger_index));
        let sent = *to == ActionState::Sent;
        let read_back = matches!(to, ActionState::Verified | ActionState::Contradicted);
        // A person who takes an action off the stuck list begins anew.
        let again = *to == ActionState::Approved;
        let (plan, action, from, to) = (plan.as_str(), action.as_str(), from.as_str(), to.as_str());
        let times = (next_attempt_at.map(micros), sent.then_some(at), read_back.then_some(at), at);
        changes.push((
            plan,
            action,
            to,
            reason.clone(),
            ledger_index,
            times,
            i64::from(sent),
            i64::from(again),
        ));
        let detail = to_json("a step's detail", detail)?;
        steps.push((plan, action, seq, from, to, at, reason, detail, ledger_index));
    }
    execute_rows!(
        tx,
        &changes,
        "UPDATE action SET state = list.value->>2, reason = list.value->>3,
             ledger_index = CAST(list.value->>4 AS BIGINT),
             next_attempt_at = CAST(list.value->5->>0 AS BIGINT),
             sent_at = COALESCE(CAST(list.value->5->>1 AS BIGINT), sent_at),
             read_back_at = COALESCE(CAST(list.value->5->>2 AS BIGINT), read_back_at),
             changed_at = CAST(list.value->5->>3 AS BIGINT),
             attempts = CASE WHEN CAST(list.value->>7 AS BIGINT) = 1 THEN 0 ELSE attempts + CAST(list.value->>6 AS BIGINT) END,
             approved_at = CASE WHEN CAST(list.value->>7 AS BIGINT) = 1
                 THEN COALESCE(approved_at, CAST(list.value->5->>3 AS BIGINT)) ELSE approved_at END
         FROM ",
        " WHERE action.plan = list.value->>0 AND action.id = list.value->>1"
    )?;
    insert_steps(tx, &steps).await?;
    Ok(outcomes)
}

/// A step as it is written down: plan, action, its number, from and to which state, when, why, what the connector said, and the
/// entry that records it.
pub(crate) type StepRow<'a> =
    (&'a str, &'a str, i64, &'a str, &'a str, i64, Option<Cow<'a, str>>, String, i64);

/// Writes steps down.
pub(crate) async fn insert_steps(tx: &mut Tx, steps: &[StepRow<'_>]) -> Result<()> {
    insert_rows!(
        tx,
        "action_transition",
        steps,
        [
            0 plan TEXT,
            1 action TEXT,
            2 seq BIGINT,
            3 from_state TEXT,
            4 to_state TEXT,
            5 at BIGINT,
            6 reason TEXT,
            7 detail TEXT,
            8 ledger_index BIGINT
        ]
    )?;
    Ok(())
}

/// Where actions stand, by plan and action.
async fn standing<'a>(
    tx: &mut Tx,
    transitions: &[&'a Transition],
) -> Result<HashMap<(&'a str, &'a str), Standing>> {
    let keys: Vec<(usize, &str, &str)> = transitions
        .iter()
        .enumerate()
        .map(|(place, step)| (place, step.plan.as_str(), step.action.as_str()))
        .collect();
    let rows = fetch_rows!(
        tx,
        &keys,
        (i64, String, Option<i64>, String, i64),
        "SELECT CAST(list.value->>0 AS BIGINT), action.state, action.sent_at, action.item,
                (SELECT COALESCE(MAX(seq) + 1, 0) FROM action_transition AS step
                 WHERE step.plan = action.plan AND step.action = action.id)
         FROM ",
        " JOIN action ON action.plan = list.value->>1 AND action.id = list.value->>2"
    )?;
    let mut standing = HashMap::with_capacity(rows.len());
    for (place, state, sent_at, item, steps) in rows {
        let Transition { plan, action, .. } = transitions[count(place) as usize];
        let state = parse_state(action, &state)?;
        let found = Standing { state, sent_at, item: from_json("an action", &item)?, steps };
        standing.insert((plan.as_str(), action.as_str()), found);
    }
    Ok(standing)
}

/// The entry of exactly this step, where its action made it, whatever it made since.
pub(crate) async fn made(tx: &mut Tx, transition: &Transition) -> Result<Option<u64>> {
    let row = fetch_optional!(
        tx,
        (i64,),
        "SELECT ledger_index FROM action_transition
         WHERE plan = $1 AND action = $2 AND from_state = $3 AND to_state = $4 AND at = $5 ORDER BY seq DESC LIMIT 1",
        transition.plan.as_str(),
        transition.action.as_str(),
        transition.from.as_str(),
        transition.to.as_str(),
        micros(transition.at)
    )?;
    Ok(row.map(|(ledger_index,)| count(ledger_index)))
}

/// The action, where a step of it can be made if it stands where the caller believes.
fn allowed(transition: &Transition, found: Option<Standing>) -> Result<Standing> {
    let Transition { action, from, to, at, .. } = transition;
    if !from.may_become(*to) {
        return Err(StoreError::Transition { action: action.clone(), from: *from, to: *to });
    }
    let found = found.ok_or_else(|| StoreError::UnknownAction { action: action.clone() })?;
    let is_too_old = || found.sent_at.is_none_or(|sent_at| micros(*at) < sent_at);
    if *to == ActionState::Verified && found.state == *from && is_too_old() {
        return Err(StoreError::ReadBackTooOld { action: action.clone() });
    }
    Ok(found)
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
    let handed_over_to = item.to.as_ref();
    personal.extend(handed_over_to.map(|to| ("handed_over_to".to_owned(), to.key.to_string())));
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
