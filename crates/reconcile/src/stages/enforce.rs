//! Enforce: does what the plan says, or stops with a reason (law 9).
//!
//! One worker a system, so that a slow or dead target holds up nobody else. Within a system, actions run account by
//! account: every action of the account is sent, then every one is read back, because an effective entitlement ends
//! only when the last direct grant that leads to it has ended. Each step is written down before and after the call; a
//! process that dies at any point leaves a state from which [`run`] goes on:
//!
//! - `approved`: nothing was sent.
//! - `sent`: it is not known whether the target has it; it is sent again, which every connector bears, unless facts have
//!   moved since, in which case the target is only read.
//! - `acknowledged`, `contradicted`: the target is read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use leasehold_model::action::ActionState;
use leasehold_model::id::{AccountKey, ActionId, EntitlementName, SystemName};
use leasehold_model::plan::{Plan, PlanItem, Verb};
use leasehold_model::request::{ActionRequest, Outcome};
use leasehold_store::{ActionRow, ObservedEffect, Store, Transition, TransitionOutcome};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::verify::{Verdict, account_target, entitlement_target, verify};
use crate::error::ReconcileError;
use crate::pace::{Patience, SharedPace};
use crate::system::{System, Systems};

/// What an action does, without its name: how an action of an interrupted run is found in a fresh plan.
pub type Effect = (Verb, SystemName, AccountKey, Option<EntitlementName>);

/// What an item does.
pub fn effect_of(item: &PlanItem) -> Effect {
    (item.verb, item.system.clone(), item.account_key.clone(), item.entitlement.clone())
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
/// Where the store fails or the plan names a system that is not configured. Failing targets are no error: they end in
/// the actions' states.
pub async fn run(enforcement: &Enforcement, systems: &Systems, plan: &Plan) -> Result<(), ReconcileError> {
    let mut by_system: BTreeMap<SystemName, Vec<ActionRow>> = BTreeMap::new();
    for row in enforcement.store.actions(&plan.hash).await? {
        by_system.entry(row.item.system.clone()).or_default().push(row);
    }
    let turns = Arc::new(Semaphore::new(enforcement.patience.systems_at_once.max(1)));
    let mut workers: JoinSet<Result<(), ReconcileError>> = JoinSet::new();
    for (name, rows) in by_system {
        let system = systems.get(&name).ok_or_else(|| ReconcileError::UnknownSystem(name.clone()))?.clone();
        let worker = Worker { shared: enforcement.clone(), system };
        let turns = Arc::clone(&turns);
        workers.spawn(async move {
            // The semaphore is never closed.
            let _turn = turns.acquire().await;
            worker.system(rows).await
        });
    }
    let mut first_error = None;
    while let Some(ended) = workers.join_next().await {
        let ended = ended.unwrap_or_else(|panic| Err(ReconcileError::Worker(panic.to_string())));
        first_error = first_error.or(ended.err());
    }
    first_error.map_or(Ok(()), Err)
}

struct Worker {
    shared: Enforcement,
    system: System,
}

impl Worker {
    async fn system(&self, rows: Vec<ActionRow>) -> Result<(), ReconcileError> {
        let mut states: HashMap<ActionId, ActionState> =
            rows.iter().map(|row| (row.id.clone(), row.state)).collect();
        let mut by_account: BTreeMap<AccountKey, Vec<ActionRow>> = BTreeMap::new();
        for row in rows {
            by_account.entry(row.item.account_key.clone()).or_default().push(row);
        }
        for rows in by_account.into_values() {
            // What somebody keeps is granted and seen before its old path ends, and sessions end when no new one can
            // begin: three rounds, in that order.
            let (grants, rest): (Vec<_>, Vec<_>) =
                rows.into_iter().partition(|row| row.item.verb == Verb::Grant);
            let (sessions, rest): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|row| row.item.verb == Verb::EndSessions);
            for mut round in [grants, rest, sessions] {
                self.round(&mut round, &mut states).await?;
            }
        }
        Ok(())
    }

    /// Sends every action of a round, reads every one back, and again for those that were contradicted.
    async fn round(
        &self,
        rows: &mut [ActionRow],
        states: &mut HashMap<ActionId, ActionState>,
    ) -> Result<(), ReconcileError> {
        loop {
            for row in rows.iter_mut() {
                self.send(row, states).await?;
                states.insert(row.id.clone(), row.state);
            }
            for row in rows.iter_mut() {
                self.read_back(row).await?;
                states.insert(row.id.clone(), row.state);
            }
            let waiting =
                rows.iter().filter(|row| !row.state.is_final() && row.state != ActionState::Planned);
            let Some(tried) = waiting.map(|row| row.attempts).max() else { return Ok(()) };
            self.shared.pace.sleep_ms(self.shared.patience.back_off_ms(tried)).await;
        }
    }

    async fn send(
        &self,
        row: &mut ActionRow,
        states: &HashMap<ActionId, ActionState>,
    ) -> Result<(), ReconcileError> {
        if !matches!(row.state, ActionState::Approved | ActionState::Sent | ActionState::Contradicted) {
            return Ok(());
        }
        let wanted = self.shared.wanted.contains(&effect_of(&row.item));
        if !wanted && row.state != ActionState::Approved {
            return self.settle(row).await;
        }
        if row.state == ActionState::Approved {
            if !wanted {
                let why = match row.sent_at {
                    None => "facts moved first; nothing was sent",
                    // A person took it off the stuck list, and it is not wanted any more.
                    Some(_) => "facts moved after it was sent in vain; it was not sent again",
                };
                return self.step(row, ActionState::Void, why, Value::Null).await;
            }
            let ahead = |id: &&ActionId| states.get(*id) != Some(&ActionState::Verified);
            if let Some(first) = row.item.after.iter().find(ahead) {
                let why = format!("waits for {first}, which did not get verified; nothing was sent");
                return self.step(row, ActionState::Stuck, &why, Value::Null).await;
            }
        }
        if row.attempts >= self.shared.patience.sends_max {
            let why =
                format!("{} after {} tries", row.reason.as_deref().unwrap_or("not verified"), row.attempts);
            return self.step(row, ActionState::Stuck, &why, Value::Null).await;
        }
        // The intent is in the log before the call (law 8).
        self.step(row, ActionState::Sent, "", Value::Null).await?;
        let request = ActionRequest {
            id: row.id.clone(),
            verb: row.item.verb,
            account: account_target(&row.item),
            entitlement: entitlement_target(&row.item),
        };
        match self.system.connector.execute(&request).await {
            Ok(Outcome::Acknowledged { detail }) => {
                self.step(row, ActionState::Acknowledged, &detail, Value::Null).await
            }
            Ok(Outcome::AlreadySo) => {
                self.step(row, ActionState::Acknowledged, "it was already so", Value::Null).await
            }
            Ok(Outcome::Refused { why }) => self.step(row, ActionState::Stuck, &why, Value::Null).await,
            Ok(Outcome::Retry { after_ms, why }) => {
                row.reason = Some(why);
                if let Some(after_ms) = after_ms {
                    let most = self.shared.patience.back_off_ms_max;
                    self.shared.pace.sleep_ms(after_ms.min(most)).await;
                }
                Ok(())
            }
            // Whether the target has it is not known: the read-back will tell, and if it does not, it is sent again.
            Err(error) => {
                row.reason = Some(error.to_string());
                Ok(())
            }
        }
    }

    /// An action that an earlier run sent and that nobody wants any more, because it shows already or because the access
    /// got a reason meanwhile: the target is looked at and not asked again.
    async fn settle(&self, row: &mut ActionRow) -> Result<(), ReconcileError> {
        let what = match verify(self.system.connector.as_ref(), &row.item).await {
            Verdict::Holds { seen, effects } => {
                return self.finish(row, ActionState::Verified, "read back", seen, effects).await;
            }
            Verdict::Contradicted { why } | Verdict::Unverifiable { why } | Verdict::Unanswered { why } => {
                why
            }
        };
        let why = format!("facts moved after it was sent, so it was not sent again: {what}");
        self.step(row, ActionState::Stuck, &why, Value::Null).await
    }

    async fn read_back(&self, row: &mut ActionRow) -> Result<(), ReconcileError> {
        if !matches!(row.state, ActionState::Sent | ActionState::Acknowledged) {
            return Ok(());
        }
        let mut read = 0;
        loop {
            let verdict = verify(self.system.connector.as_ref(), &row.item).await;
            read += 1;
            match verdict {
                Verdict::Holds { seen, effects } => {
                    return self.finish(row, ActionState::Verified, "read back", seen, effects).await;
                }
                // A call whose outcome is unknown cannot become `unverifiable`: it must first be acknowledged.
                Verdict::Unverifiable { why } if row.state == ActionState::Acknowledged => {
                    return self.step(row, ActionState::Unverifiable, &why, Value::Null).await;
                }
                Verdict::Unverifiable { .. } => return Ok(()),
                Verdict::Contradicted { .. } | Verdict::Unanswered { .. }
                    if read < self.shared.patience.reads_max =>
                {
                    self.shared.pace.sleep_ms(self.shared.patience.read_again_ms(read - 1)).await;
                }
                Verdict::Contradicted { why } => {
                    return self.step(row, ActionState::Contradicted, &why, Value::Null).await;
                }
                Verdict::Unanswered { why } => {
                    // The next round sends again; sending is harmless and says whether the target is back.
                    let why = format!("could not be read back: {why}");
                    return self.step(row, ActionState::Contradicted, &why, json!({"answered": false})).await;
                }
            }
        }
    }

    async fn step(
        &self,
        row: &mut ActionRow,
        to: ActionState,
        reason: &str,
        detail: Value,
    ) -> Result<(), ReconcileError> {
        self.finish(row, to, reason, detail, Vec::new()).await
    }

    /// One transition, with the observation that goes with it, in one transaction of the store.
    async fn finish(
        &self,
        row: &mut ActionRow,
        to: ActionState,
        reason: &str,
        detail: Value,
        observed: Vec<ObservedEffect>,
    ) -> Result<(), ReconcileError> {
        let transition = Transition {
            plan: row.plan.clone(),
            action: row.id.clone(),
            from: row.state,
            to,
            at: self.shared.pace.now(),
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
            detail,
            next_attempt_at: None,
            observed,
        };
        match self.shared.store.transition(&transition).await? {
            TransitionOutcome::Done { .. } => {
                row.state = to;
                if to == ActionState::Sent {
                    row.attempts += 1;
                }
                if !reason.is_empty() {
                    row.reason = Some(reason.to_owned());
                }
            }
            // Another process has taken this action on; it finishes it.
            TransitionOutcome::Moved { actual } => {
                row.state = if actual.is_final() { actual } else { ActionState::Planned }
            }
        }
        (self.shared.watch)(&row.item, row.state);
        Ok(())
    }
}
