//! Offboarding: everything that an identity holds ends, whether or not its source says yet that it leaves, and each
//! non-human that it answers for gets a successor, is stopped, or is named as waiting for a person.
//!
//! Whoever has the plan carried out decides that the identity leaves; from then on that claim stands beside what the source says,
//! until somebody takes it back. What the plan cannot end it names.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use leasehold_decide::engine::IdentityIndex;
use leasehold_decide::evaluate::Evaluation;
use leasehold_decide::plan::Scope;
use leasehold_decide::rules::shared_secret;
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::plan::{LeftAlone, Plan};
use leasehold_model::stewardship::Ownership;

use super::steward::{self, Refusal};
use super::unclaimed::unclaimed;
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
/// Where a successor is named, they take over every non-human that the identity answers for.
///
/// # Errors
/// [`Refusal::Successor`], and where the facts contradict each other.
pub fn plan(
    mut loaded: Loaded,
    key: &IdentityKey,
    systems: Vec<SystemName>,
    successor: Option<&IdentityKey>,
) -> Result<Plan, Refusal> {
    // What the plan itself says is no state that it comes from.
    let state = loaded.fingerprint();
    let is_decided = is_decided_by_the_plan(&loaded, key);
    if is_decided {
        let mut snapshot = (*loaded.snapshot).clone();
        take_as_left(&mut snapshot, &HashMap::from([(key.folded().as_str(), loaded.now)]));
        loaded.snapshot = Arc::new(snapshot);
    }
    let successors = successors(&loaded.evaluate()?, key, successor, &loaded)?;
    take_over(&mut loaded, &successors);
    let evaluation = loaded.evaluate()?;
    let NonHumans { stopped, mut waiting } = non_humans(&evaluation, key, loaded.now);
    waiting.extend(unclaimed(&evaluation, key));
    waiting.extend(shared_secrets(&evaluation, key));
    drop(evaluation);
    let identities: Vec<IdentityKey> = std::iter::once(key.clone()).chain(stopped).collect();
    let decided = Vec::clone(&identities);
    let scope = Scope { systems, identities, decided, sessions: true, ..Scope::default() };
    let mut made = plan::compute(&loaded, &scope)?;
    made.left_alone.extend(
        waiting.into_iter().filter(|left| scope.systems.is_empty() || scope.systems.contains(&left.system)),
    );
    made.left_alone.sort();
    made = Plan::seal(state, made.items, made.left_alone, made.guards);
    if !successors.is_empty() {
        made = made.taken_over(successors);
    }
    Ok(if is_decided { made.taking_as_left(vec![key.clone()]) } else { made })
}

/// That others go on with what somebody knows who leaves.
fn shared_secrets(evaluation: &Evaluation<'_>, key: &IdentityKey) -> Vec<LeftAlone> {
    let known = shared_secret::known(evaluation);
    let theirs = known.iter().filter(|known| known.who.folded() == key.folded());
    theirs
        .map(|known| {
            let observed = evaluation.account(known.account);
            LeftAlone {
                system: evaluation.inputs.snapshot.system(observed.system).clone(),
                account: Some(observed.account.login.clone()),
                identity: None,
                entitlement: None,
                why: format!(
                    "{key} knows the shared secret {}: {} replaces it, and until then it is on the rotation list \
                     (`leasehold drift --kind stale_credential`)",
                    known.secret, known.secret.owner.value
                ),
            }
        })
        .collect()
}

/// What an identity answers for and nobody took over.
pub(crate) struct NonHumans {
    /// Those that are stopped, and end with it.
    pub stopped: Vec<IdentityKey>,
    /// That the others go on, and wait for a person.
    pub waiting: Vec<LeftAlone>,
}

/// What becomes of the non-humans that an identity answers for.
pub(crate) fn non_humans(evaluation: &Evaluation<'_>, key: &IdentityKey, now: Timestamp) -> NonHumans {
    let mut non_humans = NonHumans { stopped: Vec::new(), waiting: Vec::new() };
    for index in evaluation.non_humans_of(key) {
        let owned = &evaluation.identities[index.index()];
        if owned.has_left(now) {
            continue;
        }
        match evaluation.steward_of(index).and_then(|steward| steward.stop.as_ref()) {
            Some(_) => non_humans.stopped.push(owned.key.clone()),
            None => non_humans.waiting.extend(waits(evaluation, index, key)),
        }
    }
    non_humans
}

/// Who takes over what the identity answers for: who is named, or whom the policy names.
fn successors(
    evaluation: &Evaluation<'_>,
    key: &IdentityKey,
    named: Option<&IdentityKey>,
    loaded: &Loaded,
) -> Result<BTreeMap<IdentityKey, IdentityKey>, Refusal> {
    let named = named.map(|named| steward::person(evaluation, named, loaded.now)).transpose()?;
    let owned = evaluation.non_humans_of(key).map(|index| (index, named.clone()));
    let succeeded = evaluation
        .succeeded_from(key)
        .map(|index| (index, named.clone().or_else(|| evaluation.identities[index.index()].owner.clone())));
    let mut successors = BTreeMap::new();
    for (index, successor) in owned.chain(succeeded) {
        let identity = &evaluation.identities[index.index()];
        if let Some(successor) = successor.filter(|_| !identity.has_left(loaded.now)) {
            successors.insert(identity.key.clone(), successor);
        }
    }
    Ok(successors)
}

/// Takes what a plan decides about successors as said, in this copy of what is known.
fn take_over(loaded: &mut Loaded, successors: &BTreeMap<IdentityKey, IdentityKey>) {
    if successors.is_empty() {
        return;
    }
    let mut stewardship = (*loaded.stewardship).clone();
    for (identity, owner) in successors {
        let folded = identity.folded();
        stewardship.ownerships.retain(|claim| claim.identity.as_str() != folded);
        stewardship.ownerships.push(Ownership {
            identity: folded.into(),
            owner: owner.clone(),
            recorded_at: loaded.now,
            recorded_by: String::new(),
        });
    }
    loaded.stewardship = Arc::new(stewardship);
}

/// That a non-human goes on without anybody who answers for it: one line for each of its accounts.
fn waits<'evaluation>(
    evaluation: &'evaluation Evaluation<'_>,
    index: IdentityIndex,
    key: &IdentityKey,
) -> impl Iterator<Item = LeftAlone> + use<'evaluation> {
    let identity = &evaluation.identities[index.index()];
    let why = format!(
        "{} {} belongs to {key} and goes on without an owner: name who takes it over (`--successor`, or `leasehold successor`), \
         or stop it (`leasehold retire`)",
        identity.kind.as_str(),
        identity.key
    );
    evaluation.graph.accounts_of(index).map(move |account| {
        let observed = evaluation.account(account);
        LeftAlone {
            system: evaluation.inputs.snapshot.system(observed.system).clone(),
            account: Some(observed.account.login.clone()),
            identity: Some(identity.key.clone()),
            entitlement: None,
            why: why.clone(),
        }
    })
}
