//! Plan: drift turned into an immutable plan, kept in the store; and whether a plan may still be applied.

use leasehold_decide::plan::Scope;
use leasehold_decide::rules;
use leasehold_model::plan::{Plan, StateFingerprint};
use leasehold_store::Store;

use super::decide::Loaded;
use crate::error::ReconcileError;
use crate::trace::SPANS;

/// Computes a plan without keeping it.
///
/// # Errors
/// Where the facts contradict each other.
pub fn compute(loaded: &Loaded, scope: &Scope) -> Result<Plan, ReconcileError> {
    let _planning = tracing::info_span!(target: SPANS, "plan").entered();
    let evaluation = loaded.evaluate()?;
    let drift = rules::drift(&evaluation);
    Ok(leasehold_decide::plan::plan(&evaluation, &drift, scope, loaded.fingerprint()))
}

/// Computes a plan and keeps it.
///
/// # Errors
/// Where the facts contradict each other or the store fails.
pub async fn make(store: &Store, loaded: &Loaded, scope: &Scope) -> Result<Plan, ReconcileError> {
    let plan = compute(loaded, scope)?;
    store.save_plan(&plan, loaded.now).await?;
    Ok(plan)
}

/// Whether a plan is as it was made, also one whose run has begun.
///
/// # Errors
/// [`ReconcileError::PlanEdited`].
pub fn check_is_whole(plan: &Plan) -> Result<(), ReconcileError> {
    if plan.content_hash() == plan.hash {
        return Ok(());
    }
    Err(ReconcileError::PlanEdited { hash: plan.hash.to_string() })
}

/// Whether a plan may be applied to the present state (law 7).
///
/// # Errors
/// [`ReconcileError::PlanEdited`] or [`ReconcileError::StateMoved`], naming what moved.
pub fn check_is_current(plan: &Plan, loaded: &Loaded) -> Result<(), ReconcileError> {
    check_is_whole(plan)?;
    let present = loaded.fingerprint();
    match moved(&plan.state, &present) {
        None => Ok(()),
        Some(moved) => Err(ReconcileError::StateMoved { hash: plan.hash.to_string(), moved }),
    }
}

fn moved(then: &StateFingerprint, now: &StateFingerprint) -> Option<String> {
    let mut moved = Vec::new();
    for name in then.systems.keys().chain(now.systems.keys()).collect::<std::collections::BTreeSet<_>>() {
        match (then.systems.get(name), now.systems.get(name)) {
            (Some(then), Some(now)) if then == now => {}
            (Some(then), Some(now)) => moved.push(format!("system {name} changed ({then}, now {now})")),
            (None, Some(_)) => moved.push(format!("system {name} is new")),
            _ => moved.push(format!("system {name} is gone")),
        }
    }
    if then.policy != now.policy {
        moved.push("the policy changed".to_owned());
    }
    if then.claims != now.claims {
        moved.push("baselines, departures or who answers for what changed".to_owned());
    }
    (!moved.is_empty()).then(|| moved.join(", "))
}
