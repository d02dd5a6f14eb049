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

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use leasehold_model::action::ActionState;
use leasehold_model::id::{AccountKey, CredentialKey, EntitlementName, SystemName};
use leasehold_model::plan::{Plan, PlanItem, Verb};
use leasehold_store::{ActionRow, Store};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::turn::AccountRun;
use crate::error::ReconcileError;
use crate::pace::{Patience, SharedPace};
use crate::system::{System, Systems};
use crate::trace::SPANS;

/// What an action does, without its name: how an action of an interrupted run is found in a fresh plan.
pub type Effect = (Verb, SystemName, AccountId, Option<EntitlementName>, Option<CredentialKey>);

/// What tells an account from its system's others: its key, or the login of one that has no key yet.
type AccountId = (AccountKey, String);

fn account_of(item: &PlanItem) -> AccountId {
    let (key, login) = item.account_id();
    (key.clone(), login.to_owned())
}

/// What an item does.
pub fn effect_of(item: &PlanItem) -> Effect {
    let credential = item.credential.as_ref().map(|credential| credential.key.clone());
    (item.verb, item.system.clone(), account_of(item), item.entitlement.clone(), credential)
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

/// Brings every unfinished, approved action of a plan to a final state.
///
/// # Errors
/// Where the store fails, or something is to be done in a system that is not configured; everything else is done all the
/// same. Failing targets are no error: they end in the actions' states.
pub async fn run(enforcement: &Enforcement, systems: &Systems, plan: &Plan) -> Result<(), ReconcileError> {
    let mut by_system: BTreeMap<SystemName, Vec<ActionRow>> = BTreeMap::new();
    for row in enforcement.store.actions(&plan.hash).await? {
        by_system.entry(row.item.system.clone()).or_default().push(row);
    }
    let turns =
        Arc::new(Semaphore::new(enforcement.patience.systems_at_once.clamp(1, Semaphore::MAX_PERMITS)));
    let mut workers: JoinSet<Result<(), ReconcileError>> = JoinSet::new();
    let mut first_error = None;
    for (name, rows) in by_system {
        // What cannot be done in one system holds up no other.
        let Some(system) = systems.get(&name).cloned() else {
            let is_open = rows.iter().any(|row| is_open(row));
            first_error = first_error.or(is_open.then(|| ReconcileError::UnknownSystem(name.clone())));
            continue;
        };
        let worker = Worker { shared: enforcement.clone(), system };
        let turns = Arc::clone(&turns);
        let span = tracing::info_span!(target: SPANS, "enforce", "leasehold.system" = %name);
        let working = async move {
            // The semaphore is never closed.
            let _turn = turns.acquire().await;
            worker.system(rows).await
        };
        workers.spawn(working.instrument(span));
    }
    while let Some(ended) = workers.join_next().await {
        let ended = ended.unwrap_or_else(|panic| Err(ReconcileError::Worker(panic.to_string())));
        first_error = first_error.or(ended.err());
    }
    first_error.map_or(Ok(()), Err)
}

/// Whether there is something to do for an action still.
fn is_open(row: &ActionRow) -> bool {
    !row.state.is_final() && row.state != ActionState::Planned
}

/// Works on one system.
pub(super) struct Worker {
    pub(super) shared: Enforcement,
    pub(super) system: System,
}

impl Worker {
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
