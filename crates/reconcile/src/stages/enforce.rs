//! Enforce: does what the plan says, or stops with a reason (law 9).
//!
//! One worker a system, so that a slow or dead target holds up nobody else. Within a system the accounts take turns: one
//! that has to wait, for a target that is not consistent yet or asks for patience, lets the others go on. What is done
//! in a turn is in `turn.rs`. Each step is written down before and after the call; a process that dies at any point
//! leaves a state from which [`run`] goes on:
//!
//! - `approved`: nothing was sent.
//! - `sent`: it is not known whether the target has it; it is sent again, which every connector bears, unless facts have
//!   moved since, in which case the target is only read.
//! - `acknowledged`, `contradicted`: the target is read.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use leasehold_model::action::ActionState;
use leasehold_model::id::{AccountKey, ActionId, CredentialKey, EntitlementName, PlanHash, SystemName};
use leasehold_model::plan::{Plan, PlanItem, Verb};
use leasehold_store::{ActionRow, Store, Transition, TransitionOutcome};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::turn::AccountRun;
use crate::error::ReconcileError;
use crate::pace::{Deadline, Patience, SharedPace, WhenLate};
use crate::system::{System, Systems};
use crate::trace::SPANS;

/// How often open actions are looked for when the time is over.
const STEPS_ON_THEIR_WAY: u32 = 3;

/// Every system has so long, also where what came before has used up the time: nothing is given up that was not tried.
const TRIED_FOR: Duration = Duration::from_secs(5);

/// What an action does, without its name: how an action of an interrupted run is found in a fresh plan.
pub type Effect =
    (Verb, SystemName, AccountId, Option<EntitlementName>, Option<CredentialKey>, Option<AccountKey>);

/// What tells an account from its system's others: its key, or the login of one that has no key yet.
type AccountId = (AccountKey, String);

/// An account of a system.
pub(crate) type Account = (SystemName, AccountId);

/// Whose action an item is.
pub(crate) fn account(item: &PlanItem) -> Account {
    (item.system.clone(), account_of(item))
}

fn account_of(item: &PlanItem) -> AccountId {
    let (key, login) = item.account_id();
    (key.clone(), login.to_owned())
}

/// What an item does.
pub fn effect_of(item: &PlanItem) -> Effect {
    let credential = item.credential.as_ref().map(|credential| credential.key.clone());
    let to = item.to.as_ref().map(|to| to.key.clone());
    (item.verb, item.system.clone(), account_of(item), item.entitlement.clone(), credential, to)
}

/// Told whenever an action reaches a state; for progress on a screen.
pub type Watch = Arc<dyn Fn(&PlanItem, ActionState) + Send + Sync>;

/// Everything that the workers share.
#[derive(Clone)]
pub struct Enforcement {
    /// Where states are kept.
    pub store: Store,
    /// The clock.
    pub pace: SharedPace,
    /// How often and how patiently.
    pub patience: Patience,
    /// Who is told.
    pub watch: Watch,
    /// What is still wanted now: an action that was never sent and is not among these is void.
    pub wanted: Arc<HashSet<Effect>>,
}

/// Brings those of these actions of a plan that are approved and unfinished to a final state.
///
/// # Errors
/// Where the store fails, or something is to be done in a system that is not configured; everything else is done all the
/// same. Failing targets are no error: they end in the actions' states.
pub async fn run(
    enforcement: &Enforcement,
    systems: &Systems,
    plan: &Plan,
    rows: Vec<ActionRow>,
) -> Result<(), ReconcileError> {
    let mut by_system: BTreeMap<SystemName, Vec<ActionRow>> = BTreeMap::new();
    for row in rows {
        by_system.entry(row.item.system.clone()).or_default().push(row);
    }
    // The turns are given when everybody was begun: intents that are written down together last together.
    let turns = Arc::new(Semaphore::new(0));
    let deadline = enforcement
        .patience
        .deadline
        .map(|deadline| Deadline { until: deadline.until.max(Instant::now() + TRIED_FOR), ..deadline });
    let mut workers: JoinSet<Result<(), ReconcileError>> = JoinSet::new();
    let mut first_error = None;
    for (name, rows) in by_system {
        // What cannot be done in one system holds up no other.
        let Some(system) = systems.get(&name).cloned() else {
            let is_open = rows.iter().any(is_open);
            first_error = first_error.or(is_open.then(|| ReconcileError::UnknownSystem(name.clone())));
            continue;
        };
        let worker = Worker { shared: enforcement.clone(), system, deadline };
        let turns = Arc::clone(&turns);
        let span = tracing::info_span!(target: SPANS, "enforce", "leasehold.system" = %name);
        let ids: BTreeSet<ActionId> = rows.iter().map(|row| row.id.clone()).collect();
        let plan = plan.hash.clone();
        let working = async move {
            // The semaphore is never closed.
            let working = async {
                let _turn = turns.acquire().await;
                worker.system(rows).await
            };
            match worker.in_time(working).await {
                Some(worked) => worked,
                None => worker.give_up(&plan, &ids).await,
            }
        };
        workers.spawn(working.instrument(span));
    }
    turns.add_permits(enforcement.patience.systems_at_once.clamp(1, Semaphore::MAX_PERMITS));
    while let Some(ended) = workers.join_next().await {
        let ended = ended.unwrap_or_else(|panic| Err(ReconcileError::Worker(panic.to_string())));
        first_error = first_error.or(ended.err());
    }
    first_error.map_or(Ok(()), Err)
}

/// Whether there is something to do for an action still.
pub(crate) fn is_open(row: &ActionRow) -> bool {
    !row.state.is_final() && row.state != ActionState::Planned
}

/// Why an action is open when the time is over.
fn given_up(state: ActionState, reason: Option<&str>) -> String {
    let open = match state {
        ActionState::Approved => "nothing was sent",
        ActionState::Sent => "it was sent, and whether it arrived is not known",
        ActionState::Acknowledged => "it was said to be done, and was not read back",
        _ => reason.unwrap_or("not verified"),
    };
    format!("the system did not come to an end in the time that there was: {open}")
}

/// Works on one system.
pub(super) struct Worker {
    pub(super) shared: Enforcement,
    pub(super) system: System,
    deadline: Option<Deadline>,
}

impl Worker {
    /// Waits for the work, and drops it in the middle where the time is over: what was written down by then is what a run
    /// that was killed leaves, from which the next one goes on.
    async fn in_time<T>(&self, working: impl Future<Output = T>) -> Option<T> {
        let until = match self.deadline {
            None => return Some(working.await),
            Some(Deadline { until, then: WhenLate::WaitForPerson, .. }) => until,
            Some(Deadline { until, then: WhenLate::GoOnLater, last_call, .. }) => until + last_call,
        };
        tokio::time::timeout_at(until.into(), working).await.ok()
    }

    /// Whether others are to have their turn before anything else is begun here.
    pub(super) fn is_late(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| deadline.then == WhenLate::GoOnLater && Instant::now() >= deadline.until)
    }

    /// Puts what is open in this system on the list of what waits for a person, where nobody goes on with it later.
    async fn give_up(&self, plan: &PlanHash, ids: &BTreeSet<ActionId>) -> Result<(), ReconcileError> {
        if self.deadline.is_none_or(|deadline| deadline.then == WhenLate::GoOnLater) {
            return Ok(());
        }
        // A step that was on its way to the store is there before this reading, or moves an action on at most once more.
        for _ in 0..STEPS_ON_THEIR_WAY {
            let rows = self.shared.store.actions(plan).await?;
            let ours = rows.into_iter().filter(|row| ids.contains(&row.id));
            let mut open = ours.filter(is_open).peekable();
            if open.peek().is_none() {
                return Ok(());
            }
            for row in open {
                let transition = Transition {
                    plan: row.plan.clone(),
                    action: row.id.clone(),
                    from: row.state,
                    to: ActionState::Stuck,
                    at: self.shared.pace.now(),
                    reason: Some(given_up(row.state, row.reason.as_deref())),
                    detail: Value::Null,
                    next_attempt_at: None,
                    observed: Vec::new(),
                };
                if let TransitionOutcome::Done { .. } = self.shared.store.transition(&transition).await? {
                    (self.shared.watch)(&row.item, ActionState::Stuck);
                }
            }
        }
        Ok(())
    }

    async fn system(&self, rows: Vec<ActionRow>) -> Result<(), ReconcileError> {
        let mut by_account: BTreeMap<AccountId, Vec<ActionRow>> = BTreeMap::new();
        for row in rows {
            by_account.entry(account_of(&row.item)).or_default().push(row);
        }
        let begun = self.shared.pace.now();
        let mut waiting: Vec<(Timestamp, AccountRun)> =
            by_account.into_values().map(|rows| (begun, AccountRun::new(rows, begun))).collect();
        while let Some(due_at) = waiting.iter().map(|(due_at, _)| *due_at).min() {
            let early = due_at.duration_since(self.shared.pace.now()).as_millis();
            if let Ok(early @ 1..) = u64::try_from(early) {
                self.shared.pace.sleep_ms(early).await;
            }
            let mut still = Vec::with_capacity(waiting.len());
            for (due_at, mut account) in waiting {
                if self.is_late() {
                    return Ok(());
                }
                if due_at > self.shared.pace.now() {
                    still.push((due_at, account));
                } else if let Some(due_at) = account.turn(self).await? {
                    still.push((due_at, account));
                }
            }
            waiting = still;
        }
        Ok(())
    }
}
