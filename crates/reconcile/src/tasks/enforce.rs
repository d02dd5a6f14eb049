//! Closes by itself what policy allows to be closed without a person: the kinds of drift that a system is set to
//! `enforce` for, by a plan of exactly that scope for each system, and only where no guard holds any of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::join_all;
use leasehold_decide::plan::{CLOSED_BY_PLANS, Scope};
use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::id::{AccountKey, SystemName};
use leasehold_model::plan::{Plan, Verb};
use leasehold_store::{ActionRow, NewTask, TaskRow};
use serde_json::{Value, json};

use super::{CHANGES, Task, TaskError, Work, tally};
use crate::error::ReconcileError;
use crate::live::View;
use crate::notice::NoticeKind;
use crate::run::Asked;
use crate::system::{Enforce, System};

/// Who acts where no person does, for the record.
pub const ACTOR: &str = "leasehold (policy)";

/// How often a plan is made anew because facts moved while it was made.
const MOVES_MAX: usize = 3;

/// The closing, to be asked for.
pub fn request(now: jiff::Timestamp) -> NewTask {
    NewTask {
        kind: EnforcePolicy.kind().to_owned(),
        subject: String::new(),
        lane: CHANGES.to_owned(),
        arguments: json!({}),
        requested_by: ACTOR.to_owned(),
        not_before: now,
    }
}

/// Whether anything is to be done that policy allows and that does not wait for a person already.
///
/// # Errors
/// Where the store fails.
pub async fn is_needed(work: &Work, view: &Arc<View>) -> Result<bool, TaskError> {
    let except = waiting(work, view).await?;
    for system in work.systems.now().values() {
        if !matches!(next_step(work, view, system, &except).await?, Step::Nothing) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The task.
pub struct EnforcePolicy;

#[async_trait]
impl Task for EnforcePolicy {
    fn kind(&self) -> &'static str {
        "enforce"
    }

    async fn run(&self, work: &Work, task: &TaskRow) -> Result<Value, TaskError> {
        let (mut results, mut first_error) = (Vec::new(), None);
        if task.attempts > 1 {
            // The process that began with it may have died between two steps of an action.
            match work.runner().resume().await {
                Ok(rows) => results.push(json!({"resumed": tally(&rows)})),
                Err(error) => first_error = Some(error.into()),
            }
        }
        let mut begun = Vec::new();
        for system in work.systems.now().values() {
            match begin(work, system).await {
                Ok(None) => {}
                Ok(Some(Begun::Proposed(proposed))) => results.push(proposed),
                Ok(Some(Begun::Carry(plan, retried))) => begun.push((system.name.clone(), plan, retried)),
                // What is wrong with one system keeps nobody else's access open.
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        // All at once: what one system does not answer holds up no other.
        let runner = work.runner();
        let wanted = match begun.is_empty() {
            true => Arc::default(),
            false => Arc::new(runner.wanted_now().await?),
        };
        let carried_out = begun.iter().map(|(_, plan, retried)| runner.carry_out(plan, retried, &wanted));
        for ((system, plan, _), ended) in begun.iter().zip(join_all(carried_out).await) {
            work.live.notify(NoticeKind::PlanApplied, plan.hash.as_str());
            match ended {
                Ok(rows) => {
                    work.go_on_later(&rows).await?;
                    results.push(json!({"system": system, "plan": plan.hash, "actions": tally(&rows)}));
                }
                Err(error) => first_error = first_error.or(Some(error.into())),
            }
        }
        work.look_again().await;
        first_error.map_or_else(|| Ok(json!({"plans": results})), Err)
    }
}

/// What is to be done about a system's drift without being asked.
enum Step {
    Nothing,
    /// A guard holds something of the plan: people see it waiting.
    Propose(Plan),
    Carry(Plan),
}

/// What was begun about a system.
enum Begun {
    /// A plan waits for people.
    Proposed(Value),
    /// A plan is approved, and what is tried again with it.
    Carry(Plan, Vec<ActionRow>),
}

/// Begins to close what may be closed in one system; gives what is to be done about it, where anything is.
async fn begin(work: &Work, system: &System) -> Result<Option<Begun>, TaskError> {
    for _ in 0..MOVES_MAX {
        let view = work.live.refresh().await?;
        let except = waiting(work, &view).await?;
        let plan = match next_step(work, &view, system, &except).await? {
            Step::Nothing => return Ok(None),
            Step::Propose(plan) => {
                work.store.save_plan(&plan, work.pace.now()).await?;
                work.live.notify(NoticeKind::PlanMade, plan.hash.as_str());
                let guards: Vec<&str> = plan.guards.iter().map(|guard| guard.name.as_str()).collect();
                let proposed = json!({"system": system.name, "plan": plan.hash, "held_by": guards});
                return Ok(Some(Begun::Proposed(proposed)));
            }
            Step::Carry(plan) => plan,
        };
        match work.runner().begin(&plan, &[], ACTOR, Asked::ByPolicy).await {
            Ok(retried) => return Ok(Some(Begun::Carry(plan, retried))),
            Err(ReconcileError::StateMoved { .. }) => {}
            Err(ReconcileError::Store(leasehold_store::StoreError::PlanMoved { .. })) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let why = format!("facts of {} moved each time before a plan could be applied", system.name);
    Err(TaskError::Again(why))
}

async fn next_step(
    work: &Work,
    view: &Arc<View>,
    system: &System,
    except: &BTreeSet<(SystemName, AccountKey)>,
) -> Result<Step, TaskError> {
    let kinds: Vec<DriftKind> =
        system.enforce.kinds(Enforce::Enforce).filter(|kind| CLOSED_BY_PLANS.contains(kind)).collect();
    let scope =
        Scope { systems: vec![system.name.clone()], kinds, except: except.clone(), ..Scope::default() };
    // An empty list of kinds would mean all of them.
    let any = !scope.kinds.is_empty() && view.drift_of_system(&system.name).any(|item| scope.covers(item));
    if !any {
        return Ok(Step::Nothing);
    }
    let view = view.clone();
    let plan = tokio::task::spawn_blocking(move || view.plan(&scope))
        .await
        .map_err(|error| ReconcileError::Worker(error.to_string()))?;
    // A plan that was carried out has done what it could do from this state: only new facts or a person go on.
    if plan.items.is_empty() || !work.store.actions(&plan.hash).await?.is_empty() {
        return Ok(Step::Nothing);
    }
    if plan.guards.is_empty() {
        return Ok(Step::Carry(plan));
    }
    let saved = work.store.plan(plan.hash.as_str()).await?.is_some();
    Ok(if saved { Step::Nothing } else { Step::Propose(plan) })
}

/// Accounts of which an action waits for a person, or for its next turn: nothing else is done about them meanwhile. What waits is
/// no reason to leave somebody's account open who has left: that is closed unless its own closing is what waits.
async fn waiting(work: &Work, view: &View) -> Result<BTreeSet<(SystemName, AccountKey)>, TaskError> {
    let mut rows = work.store.waiting_actions().await?;
    rows.extend(work.store.unfinished_actions().await?);
    let place = |row: &ActionRow| (row.item.system.clone(), row.item.account_key.clone());
    let ends = |row: &&ActionRow| matches!(row.item.verb, Verb::DisableAccount | Verb::DeleteAccount);
    let closing: BTreeSet<_> = rows.iter().filter(ends).map(place).collect();
    let mut waiting: BTreeSet<_> = rows.iter().map(place).collect();
    let settings = &view.loaded().settings;
    let is_open_leaver = |item: &&DriftItem| {
        let is_kept_too_long = |because: &Because| matches!(because, Because::RetentionPassed { .. });
        let can_be_closed = || settings.get(&item.system).is_some_and(|set| set.can.disable_account);
        item.kind == DriftKind::Leaver
            && item.entitlement.is_none()
            && item.credential.is_none()
            && !item.because.iter().any(is_kept_too_long)
            && can_be_closed()
    };
    for item in view.drift().iter().filter(is_open_leaver) {
        if let Some(account) = &item.account {
            let place = (item.system.clone(), account.clone());
            if !closing.contains(&place) {
                waiting.remove(&place);
            }
        }
    }
    Ok(waiting)
}
