//! Closes by itself what policy allows to be closed without a person: the kinds of drift that a system is set to
//! `enforce` for, by one plan of exactly that in all systems of which no guard holds anything. So what an event takes away and
//! what it gives is one plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use leasehold_decide::plan::{CLOSED_BY_PLANS, Scope};
use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::id::{AccountKey, ActionId, SystemName};
use leasehold_model::plan::{Plan, Verb};
use leasehold_store::{ActionRow, NewTask, TaskRow};
use serde_json::{Value, json};

use super::offboard::Offboard;
use super::{MOVES_MAX, POLICY, Task, TaskError, Work, tally};
use crate::error::ReconcileError;
use crate::live::View;
use crate::notice::NoticeKind;
use crate::run::{Asked, Begun};
use crate::system::Enforce;

/// Who acts where no person does, for the record.
pub const ACTOR: &str = "leasehold (policy)";

/// The closing, to be asked for.
pub fn request(now: jiff::Timestamp) -> NewTask {
    NewTask {
        kind: EnforcePolicy.kind().to_owned(),
        subject: String::new(),
        lane: POLICY.to_owned(),
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
    Ok(next_step(work, view).await?.is_some())
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
            match work.resume(task).await {
                Ok(rows) => results.push(json!({"resumed": tally(&rows)})),
                Err(error) => first_error = Some(error),
            }
        }
        let closing = begin(work, task).await?;
        if let Some(plan) = closing.proposed {
            let guards: Vec<&str> = plan.guards.iter().map(|guard| guard.name.as_str()).collect();
            results.push(json!({"systems": systems_of(&plan), "plan": plan.hash, "held_by": guards}));
        }
        if let Some((plan, begun)) = closing.carried {
            // All systems at once: what one does not answer holds up no other. Whoever leaves next has to wait for this.
            let ended = work.leaving_runner().carry_out(&plan, begun).await;
            work.live.notify(NoticeKind::PlanApplied, plan.hash.as_str());
            work.look_again().await;
            work.tell_of(&work.leavers_of(&plan), &plan.hash, ACTOR).await?;
            match work.go_on_after(ended, [&plan.hash]).await {
                Ok(rows) => {
                    results.push(
                        json!({"systems": systems_of(&plan), "plan": plan.hash, "actions": tally(&rows)}),
                    );
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        work.look_again().await;
        first_error.map_or_else(|| Ok(json!({"plans": results})), Err)
    }
}

/// The systems in which a plan does anything.
fn systems_of(plan: &Plan) -> BTreeSet<&SystemName> {
    plan.items.iter().map(|item| &item.system).collect()
}

/// What is to be done without being asked: what is taken away and what is given by the same event is one plan.
struct Step {
    carry: Option<Plan>,
    /// What guards hold: people see it waiting, with the rest of the systems that they hold something of.
    propose: Option<Plan>,
}

/// What was begun.
#[derive(Default)]
struct Closing {
    /// A plan waits for people.
    proposed: Option<Plan>,
    /// A plan is approved.
    carried: Option<(Plan, Begun)>,
}

/// Begins to close what may be closed.
async fn begin(work: &Work, task: &TaskRow) -> Result<Closing, TaskError> {
    let mut closing = Closing::default();
    for _ in 0..MOVES_MAX {
        let view = work.live.refresh().await?;
        let Some(Step { carry, propose }) = next_step(work, &view).await? else { return Ok(closing) };
        if let Some(plan) = propose {
            work.store.save_plan(&plan, work.pace.now()).await?;
            work.live.notify(NoticeKind::PlanMade, plan.hash.as_str());
            closing.proposed = Some(plan);
        }
        let Some(plan) = carry else { return Ok(closing) };
        work.carries_out(task, &plan).await?;
        match work.runner().begin(&plan, &[], ACTOR, Asked::ByPolicy).await {
            Ok(begun) => {
                closing.carried = Some((plan, begun));
                return Ok(closing);
            }
            Err(error) if error.is_moved() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(TaskError::Moved("facts moved each time before a plan could be applied".to_owned()))
}

async fn next_step(work: &Work, view: &Arc<View>) -> Result<Option<Step>, TaskError> {
    let mut kinds_by_system = BTreeMap::new();
    for system in work.systems.now().values() {
        let kinds: BTreeSet<DriftKind> =
            system.enforce.kinds(Enforce::Enforce).filter(|kind| CLOSED_BY_PLANS.contains(kind)).collect();
        if view.drift_of_system(&system.name).any(|item| kinds.contains(&item.kind)) {
            kinds_by_system.insert(system.name.clone(), kinds);
        }
    }
    let scope = Scope { kinds_by_system, except: waiting(work, view).await?, ..Scope::default() };
    let Some(plan) = plan_of(view, &scope).await? else { return Ok(None) };
    let (carry, propose) = if plan.guards.is_empty() {
        (Some(plan), None)
    } else {
        // What a guard holds of one system keeps nothing of another open.
        let held: BTreeSet<ActionId> =
            plan.guards.iter().flat_map(|guard| guard.holds.iter().cloned()).collect();
        let held = plan.items.iter().filter(|item| held.contains(&item.id)).map(|item| item.system.clone());
        let held: BTreeSet<SystemName> = held.collect();
        let (mut waits, mut goes_on) = (scope.clone(), scope);
        waits.kinds_by_system.retain(|system, _| held.contains(system));
        goes_on.kinds_by_system.retain(|system, _| !held.contains(system));
        let carry = plan_of(view, &goes_on).await?.filter(|plan| plan.guards.is_empty());
        (carry, plan_of(view, &waits).await?)
    };
    // A plan that was carried out has done what it could do from this state: only new facts or a person go on.
    let carry = match carry {
        Some(plan) if work.store.actions(&plan.hash).await?.is_empty() => Some(plan),
        _ => None,
    };
    let propose = match propose {
        Some(plan) if work.store.plan(plan.hash.as_str()).await?.is_none() => Some(plan),
        _ => None,
    };
    Ok((carry.is_some() || propose.is_some()).then_some(Step { carry, propose }))
}

/// A plan of this scope, where there is anything to do.
async fn plan_of(view: &Arc<View>, scope: &Scope) -> Result<Option<Plan>, TaskError> {
    // Without any system the scope would be everything.
    if !view.drift().iter().any(|item| scope.kinds_by_system.contains_key(&item.system) && scope.covers(item))
    {
        return Ok(None);
    }
    let (view, scope) = (view.clone(), scope.clone());
    let plan = tokio::task::spawn_blocking(move || view.plan(&scope))
        .await
        .map_err(|error| ReconcileError::Worker(error.to_string()))?;
    Ok(Some(plan).filter(|plan| !plan.items.is_empty()))
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
    waiting.extend(about_to_be_offboarded(work, view, &rows).await?);
    Ok(waiting)
}

/// The accounts of those whose time has come to leave by a person's word: the task of that has planned, or is about to, and what two
/// plans hold would be done twice.
async fn about_to_be_offboarded(
    work: &Work,
    view: &View,
    begun: &[ActionRow],
) -> Result<BTreeSet<(SystemName, AccountKey)>, TaskError> {
    let mut accounts: BTreeMap<String, BTreeSet<(SystemName, AccountKey)>> = BTreeMap::new();
    for item in view.drift().iter().filter(|item| item.kind == DriftKind::Leaver) {
        if let (Some(identity), Some(account)) = (&item.identity, &item.account) {
            let place = (item.system.clone(), account.clone());
            accounts.entry(identity.folded()).or_default().insert(place);
        }
    }
    let mut found = BTreeSet::new();
    for departure in view.loaded().departures.iter().filter(|departure| departure.end <= view.loaded().now) {
        let key = departure.identity.as_str();
        let is_theirs =
            |row: &&ActionRow| row.item.identity.as_ref().is_some_and(|identity| identity.folded() == key);
        let Some(theirs) = accounts.remove(key).filter(|_| !begun.iter().any(|row| is_theirs(&row))) else {
            continue;
        };
        if work.store.has_open_task(Offboard.kind(), key).await? {
            found.extend(theirs);
        }
    }
    Ok(found)
}
