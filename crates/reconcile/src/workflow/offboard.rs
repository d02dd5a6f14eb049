//! Offboarding: everything that an identity holds ends, whether or not its source says yet that it leaves.
//!
//! Whoever has the plan carried out decides that the identity leaves; from then on that claim stands beside what the source says,
//! until somebody takes it back. What the plan cannot end it names.

use std::collections::HashMap;
use std::sync::Arc;

use leasehold_decide::plan::Scope;
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::plan::Plan;

use crate::error::ReconcileError;
use crate::stages::decide::{Loaded, take_as_left};
use crate::stages::plan;

/// Whether an identity can be taken down as if it had left: a source lists it, and it has not left yet. What only the
/// policy declares, or a system implies, ends where it was declared.
pub fn is_decided_by_the_plan(loaded: &Loaded, key: &IdentityKey) -> bool {
    let listed = &loaded.snapshot.identities;
    let mut same = listed.iter().filter(|(_, identity)| identity.key.folded() == key.folded());
    same.next().is_some_and(|(_, identity)| !identity.has_left(loaded.now))
}

/// A plan that ends everything that an identity holds in these systems; in all where none is named. It is not kept yet.
///
/// # Errors
/// Where the facts contradict each other.
pub fn plan(mut loaded: Loaded, key: &IdentityKey, systems: Vec<SystemName>) -> Result<Plan, ReconcileError> {
    let scope = Scope { systems, identities: vec![key.clone()], ..Scope::default() };
    if !is_decided_by_the_plan(&loaded, key) {
        return plan::compute(&loaded, &scope);
    }
    let mut snapshot = (*loaded.snapshot).clone();
    take_as_left(&mut snapshot, &HashMap::from([(key.folded().as_str(), loaded.now)]));
    loaded.snapshot = Arc::new(snapshot);
    Ok(plan::compute(&loaded, &scope)?.taking_as_left(vec![key.clone()]))
}
