//! The receipt of an offboarding, whoever or whatever began it: everything that was ended of somebody who left, with when it was
//! read back, and everything that is still there, and why.
//!
//! What is said is committed to in the signed log when it is written. [`bundle`] makes the file of it, which anybody checks.

mod bundle;

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use leasehold_decide::engine::IdentityIndex;
use leasehold_decide::evaluate::Evaluation;
use leasehold_decide::plan::Scope;
use leasehold_model::id::IdentityKey;
use leasehold_model::identity::IdentityKind;
use leasehold_model::plan::{LeftAlone, Plan};
use leasehold_model::receipt::{
    ActionReceipt, EndedAccess, OffboardingStatement, RemainingAccess, SystemReading,
};
use leasehold_store::{ActionAbout, ReceiptRow, Store};

use super::offboard::{NonHumans, non_humans};
use crate::error::ReconcileError;
use crate::stages::enforce::{self, Effect};
use crate::view::View;

pub use bundle::{BundleError, OffboardingReceipt};

/// How often a receipt is begun anew because actions moved while it was made.
const MOVES_MAX: usize = 5;

/// Why there is no receipt.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nobody knows them.
    #[error("there is no identity `{0}`; `leasehold sync` reads who there is")]
    Unknown(IdentityKey),
    /// It is about an offboarding, and there was none.
    #[error(
        "{0} has not left, so there is nothing to be told of their offboarding; `leasehold offboard {0}` ends what they hold"
    )]
    IsHere(IdentityKey),
    /// Actions about them go from state to state.
    #[error("what is done about {0} moves on all the time; try again when it has come to an end")]
    Moving(IdentityKey),
    /// Store or facts fail.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
}

impl From<leasehold_store::StoreError> for Refusal {
    fn from(error: leasehold_store::StoreError) -> Self {
        Self::Reconcile(error.into())
    }
}

/// What would be said now.
pub(crate) struct Draft {
    pub statement: OffboardingStatement,
    /// Everybody whom it is about.
    pub about: Vec<IdentityKey>,
    /// The actions that it was made from.
    pub seen: Vec<ActionAbout>,
}

impl Draft {
    /// Whether something is under way still.
    pub fn is_open(&self) -> bool {
        self.seen.iter().any(|action| enforce::is_open(&action.row))
    }
}

/// Writes the receipt of somebody who has left, of what is known now.
///
/// # Errors
/// [`Refusal`]; then nothing was written.
pub async fn write(
    store: &Store,
    view: &Arc<View>,
    key: &IdentityKey,
    now: Timestamp,
) -> Result<ReceiptRow, Refusal> {
    for _ in 0..MOVES_MAX {
        let Draft { statement, about, seen } = draft(store, view, key, now).await?;
        if let Some(row) = store.write_receipt(&statement, &about, &seen).await? {
            return Ok(row);
        }
    }
    Err(Refusal::Moving(key.clone()))
}

/// Everybody whose receipt an action about this identity belongs in: they themselves, or who answered for a non-human that ends
/// with them.
pub(crate) fn leavers_of(view: &View, key: &IdentityKey) -> Vec<IdentityKey> {
    let evaluation = view.evaluation();
    let Some(index) = evaluation.identity(key) else { return Vec::new() };
    let identity = &evaluation.identities[index.index()];
    let owner = identity.owner.as_ref().filter(|_| ends_with_owner(evaluation, index));
    let has_left = |key: &IdentityKey| {
        let identity = &evaluation.identities[evaluation.identity(key)?.index()];
        identity.has_left(view.as_of()).then(|| identity.key.clone())
    };
    [Some(key), owner].into_iter().flatten().filter_map(has_left).collect()
}

/// What there is to be said about somebody who has left.
pub(crate) async fn draft(
    store: &Store,
    view: &Arc<View>,
    key: &IdentityKey,
    now: Timestamp,
) -> Result<Draft, Refusal> {
    let evaluation = view.evaluation();
    let index = evaluation.identity(key).ok_or_else(|| Refusal::Unknown(key.clone()))?;
    let identity = &evaluation.identities[index.index()];
    let key = identity.key.clone();
    if !identity.has_left(view.as_of()) {
        return Err(Refusal::IsHere(key));
    }
    let about: Vec<IdentityKey> = std::iter::once(key.clone()).chain(ended_with(evaluation, &key)).collect();
    let mut seen = store.actions_about(&about).await?;
    let all = seen.clone();
    seen.retain(|action| action.row.item.verb.takes_away() && belongs(view, index, &all, action));
    let NonHumans { stopped, waiting } = non_humans(evaluation, &key, view.as_of());
    let scope =
        Scope { identities: std::iter::once(key.clone()).chain(stopped).collect(), ..Scope::default() };
    let planning = view.clone();
    let plan = tokio::task::spawn_blocking(move || planning.plan(&scope)).await;
    let plan = plan.map_err(|error| ReconcileError::Worker(error.to_string()))?;
    // What was ended and is there again is there.
    let undone = seen.iter().filter(|action| !ActionReceipt::from(&action.row).is_done());
    let told: HashSet<Effect> = undone.map(|action| enforce::effect_of(&action.row.item)).collect();
    let folded = key.folded();
    let departure = view.loaded().departures.iter().find(|departure| departure.identity.as_str() == folded);
    let statement = OffboardingStatement {
        left_at: evaluation.left_at(index),
        decided_by: departure.map(|departure| departure.recorded_by.clone()),
        items: seen.iter().map(ended).collect(),
        remaining: remaining(plan, waiting, &told),
        successors: evaluation
            .succeeded_from(&key)
            .filter_map(|index| {
                let taken = &evaluation.identities[index.index()];
                Some((taken.key.clone(), taken.owner.clone()?))
            })
            .collect(),
        readings: view.systems().iter().map(reading).collect(),
        identity: key,
        written_at: now,
    };
    Ok(Draft { statement, about, seen: all })
}

/// Non-humans whose end belongs to that of who answered for them.
fn ended_with(evaluation: &Evaluation<'_>, key: &IdentityKey) -> Vec<IdentityKey> {
    let ended = evaluation.non_humans_of(key).filter(|index| ends_with_owner(evaluation, *index));
    ended.map(|index| evaluation.identities[index.index()].key.clone()).collect()
}

/// Whether this is a non-human that is stopped or has ended, which is told with what became of who answered for it.
fn ends_with_owner(evaluation: &Evaluation<'_>, index: IdentityIndex) -> bool {
    let identity = &evaluation.identities[index.index()];
    let is_stopped = evaluation.steward_of(index).is_some_and(|steward| steward.stop.is_some());
    identity.kind != IdentityKind::Person && (is_stopped || identity.has_left(evaluation.inputs.now))
}

/// Whether an action is of this offboarding and of no earlier time: begun since they left; or, where their source does not say
/// when that was, since Leasehold last gave them something.
fn belongs(view: &View, index: IdentityIndex, all: &[ActionAbout], action: &ActionAbout) -> bool {
    let evaluation = view.evaluation();
    let whose = action.row.item.identity.as_ref();
    let stopped_at = whose
        .and_then(|key| evaluation.identity(key))
        .filter(|of| *of != index)
        .and_then(|of| evaluation.steward_of(of)?.stop.as_ref())
        .map(|stop| stop.since);
    let ended_at = evaluation.identities[index.index()].end.filter(|end| *end <= view.as_of());
    let since =
        match whose.map(IdentityKey::folded) == Some(evaluation.identities[index.index()].key.folded()) {
            true => ended_at,
            false => stopped_at,
        };
    match since {
        Some(since) => action.begun_at >= since,
        None => {
            let place = |action: &ActionAbout| (action.begun_at, action.row.seq);
            let given = all.iter().filter(|other| {
                !other.row.item.verb.takes_away()
                    && other.row.sent_at.is_some()
                    && other.row.item.identity == action.row.item.identity
            });
            given.map(place).max().is_none_or(|given| place(action) > given)
        }
    }
}

fn ended(action: &ActionAbout) -> EndedAccess {
    EndedAccess::new(ActionReceipt::from(&action.row), &action.row.item)
}

fn reading(system: &leasehold_model::snapshot::SystemState) -> SystemReading {
    let complete_at = system.latest_complete.as_ref().map(|epoch| epoch.ended_at);
    SystemReading { system: system.name.clone(), complete_at }
}

/// What is still there: what a plan would end that nothing is said of yet, and what none can.
fn remaining(plan: Plan, waiting: Vec<LeftAlone>, told: &HashSet<Effect>) -> Vec<RemainingAccess> {
    let left = |left: &LeftAlone| RemainingAccess {
        system: left.system.clone(),
        account: left.account.clone(),
        identity: left.identity.clone(),
        entitlement: left.entitlement.clone(),
        credential: None,
        why: left.why.clone(),
    };
    let not_begun = plan.items.iter().filter(|item| !told.contains(&enforce::effect_of(item)));
    let not_begun = not_begun.map(|item| RemainingAccess {
        system: item.system.clone(),
        account: Some(item.account.clone()),
        identity: item.identity.clone(),
        entitlement: item.entitlement.clone(),
        credential: item.credential.clone(),
        why: match plan.guard_of(&item.id) {
            Some(guard) => format!("the guard {} holds what would end it: {}", guard.name, guard.message),
            None => format!(
                "{} was not begun: a plan has to be approved for it",
                item.verb.as_str().replace('_', " ")
            ),
        },
    });
    let mut remaining: Vec<RemainingAccess> =
        not_begun.chain(plan.left_alone.iter().chain(&waiting).map(left)).collect();
    remaining.sort();
    remaining.dedup();
    remaining
}
