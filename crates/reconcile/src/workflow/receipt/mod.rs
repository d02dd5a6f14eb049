//! The receipt of an offboarding, whoever or whatever began it: everything that was ended of somebody who left, with when it was
//! read back, and everything that is still there, and why.
//!
//! What is said is committed to in the signed log when it is written. [`bundle`] makes the file of it, which anybody checks.

mod bundle;
mod leaving;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use leasehold_decide::engine::IdentityIndex;
use leasehold_decide::evaluate::Evaluation;
use leasehold_decide::plan::Scope;
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::identity::IdentityKind;
use leasehold_model::plan::{LeftAlone, Plan};
use leasehold_model::receipt::{
    AccountSeen, ActionReceipt, EndedAccess, OffboardingStatement, RemainingAccess, SystemReading,
};
use leasehold_store::{ActionAbout, ReceiptRow, Store};

use super::offboard::{NonHumans, non_humans};
use super::unclaimed::unclaimed;
use crate::error::ReconcileError;
use crate::live::Live;
use crate::stages::enforce::{self, Effect};
use crate::view::View;

pub use bundle::{BundleError, OffboardingReceipt};
pub(crate) use leaving::note as note_leavings;

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

/// Gives the present state whenever it is asked.
#[async_trait]
pub trait Present: Send {
    /// What is known now.
    async fn view(&mut self) -> Result<Arc<View>, ReconcileError>;
}

#[async_trait]
impl Present for Live {
    async fn view(&mut self) -> Result<Arc<View>, ReconcileError> {
        self.refresh().await
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Whose receipt.
    pub identity: IdentityKey,
    /// By whom.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What was done since this instant is told, also where nobody knows that they have left: as of who is declared in the
    /// policy and was offboarded all the same.
    pub since: Option<Timestamp>,
}

/// What became of the asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It was written.
    Now(ReceiptRow),
    /// Something is under way still.
    Open,
    /// The latest one says the same.
    Already(ReceiptRow),
}

/// Writes the receipt of somebody who has left, of what is known now.
///
/// # Errors
/// [`Refusal`]; then nothing was written.
pub async fn write(store: &Store, asked: &Asked, present: &mut dyn Present) -> Result<ReceiptRow, Refusal> {
    match write_where(store, asked, present, Where::Anyhow).await? {
        Written::Now(row) | Written::Already(row) => Ok(row),
        Written::Open => Err(Refusal::Moving(asked.identity.clone())),
    }
}

/// The same, and only where there is something new to be said.
pub(crate) async fn write_news(
    store: &Store,
    asked: &Asked,
    present: &mut dyn Present,
) -> Result<Written, Refusal> {
    write_where(store, asked, present, Where::News).await
}

/// The same, and only where nothing is under way and there is something new to be said.
pub(crate) async fn write_settled(
    store: &Store,
    asked: &Asked,
    present: &mut dyn Present,
) -> Result<Written, Refusal> {
    write_where(store, asked, present, Where::SettledNews).await
}

/// Where a receipt is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Anyhow,
    News,
    SettledNews,
}

async fn write_where(
    store: &Store,
    asked: &Asked,
    present: &mut dyn Present,
    only: Where,
) -> Result<Written, Refusal> {
    for _ in 0..MOVES_MAX {
        let about = everybody(&*present.view().await?, &asked.identity)?;
        // Actions first: what is known is then as new as they are, and they have not moved when it is written.
        let seen = store.actions_about(&about).await?;
        let now = present.view().await?;
        if everybody(&now, &asked.identity)? != about {
            continue;
        }
        if only == Where::SettledNews && seen.iter().any(|action| enforce::is_open(&action.row)) {
            return Ok(Written::Open);
        }
        let statement = state(store, &now, asked, &seen).await?;
        if only != Where::Anyhow
            && let Some((row, said)) = latest(store, &asked.identity).await?
            && is_same(&said, &statement)
        {
            return Ok(Written::Already(row));
        }
        if let Some(row) = store.write_receipt(&statement, &about, &seen).await? {
            return Ok(Written::Now(row));
        }
    }
    Err(Refusal::Moving(asked.identity.clone()))
}

/// The latest receipt, and what it says, unless that was erased.
async fn latest(
    store: &Store,
    key: &IdentityKey,
) -> Result<Option<(ReceiptRow, OffboardingStatement)>, Refusal> {
    let Some(row) = store.receipts(key).await?.into_iter().next() else { return Ok(None) };
    let said = store.receipt_statement(&row).await?;
    let said = said.and_then(|opening| serde_json::from_str(&opening.value).ok());
    Ok(said.map(|said| (row, said)))
}

/// Whether two say the same of another time: where a try changes nothing but when it was made, that is nothing new.
fn is_same(said: &OffboardingStatement, now: &OffboardingStatement) -> bool {
    let told = |statement: &OffboardingStatement| -> Vec<_> {
        let items = statement.items.iter();
        items.map(|item| (item.action.plan.clone(), item.action.id.clone(), item.action.state)).collect()
    };
    told(said) == told(now)
        && (&said.remaining, &said.accounts, &said.successors, &said.decided_by)
            == (&now.remaining, &now.accounts, &now.successors, &now.decided_by)
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

/// Somebody, and the non-humans whose end belongs to theirs.
fn everybody(view: &View, key: &IdentityKey) -> Result<Vec<IdentityKey>, Refusal> {
    let evaluation = view.evaluation();
    let index = evaluation.identity(key).ok_or_else(|| Refusal::Unknown(key.clone()))?;
    let key = &evaluation.identities[index.index()].key;
    let ended = evaluation.non_humans_of(key).filter(|index| ends_with_owner(evaluation, *index));
    let ended = ended.map(|index| &evaluation.identities[index.index()].key);
    Ok(std::iter::once(key).chain(ended).cloned().collect())
}

/// Whether this is a non-human that is stopped or has ended, which is told with what became of who answered for it.
fn ends_with_owner(evaluation: &Evaluation<'_>, index: IdentityIndex) -> bool {
    let identity = &evaluation.identities[index.index()];
    let is_stopped = evaluation.steward_of(index).is_some_and(|steward| steward.stop.is_some());
    identity.kind != IdentityKind::Person && (is_stopped || identity.has_left(evaluation.inputs.now))
}

/// What there is to be said about somebody who has left.
async fn state(
    store: &Store,
    view: &Arc<View>,
    asked: &Asked,
    seen: &[ActionAbout],
) -> Result<OffboardingStatement, Refusal> {
    let evaluation = view.evaluation();
    let index =
        evaluation.identity(&asked.identity).ok_or_else(|| Refusal::Unknown(asked.identity.clone()))?;
    let identity = &evaluation.identities[index.index()];
    let key = identity.key.clone();
    let left_at = match identity.has_left(view.as_of()) {
        true => Some(leaving::since(store, view, index).await?),
        false => asked.since,
    };
    let since = left_at.ok_or_else(|| Refusal::IsHere(key.clone()))?;
    let folded = key.folded();
    let departure = view.loaded().departures.iter().find(|departure| departure.identity.as_str() == folded);
    let NonHumans { stopped, mut waiting } = non_humans(evaluation, &key, view.as_of());
    let identities: Vec<IdentityKey> = std::iter::once(key.clone()).chain(stopped).collect();
    let decided = if departure.is_some() { Vec::clone(&identities) } else { Vec::new() };
    let scope = Scope { identities, decided, ..Scope::default() };
    let (planning, whose) = (view.clone(), key.clone());
    let planned = tokio::task::spawn_blocking(move || {
        (planning.plan(&scope), unclaimed(planning.evaluation(), &whose))
    })
    .await;
    let (plan, unclaimed) = planned.map_err(|error| ReconcileError::Worker(error.to_string()))?;
    waiting.extend(unclaimed);
    let told = seen.iter().filter(|action| {
        !action.row.item.verb.gives() && last_moved(action) >= since_of(view, index, action, since)
    });
    let told: Vec<&ActionAbout> = told.collect();
    // What was ended and is there again is there.
    let undone = told.iter().filter(|action| !ActionReceipt::from(&action.row).is_done());
    let undone: HashSet<Effect> = undone.map(|action| enforce::effect_of(&action.row.item)).collect();
    let decided = departure.filter(|departure| identity.end == Some(departure.end));
    Ok(OffboardingStatement {
        left_at,
        decided_by: decided.map(|departure| departure.recorded_by.clone()),
        items: told.iter().map(|action| ended(action)).collect(),
        remaining: remaining(plan, waiting, &undone),
        accounts: accounts(evaluation, &everybody(view, &key)?),
        successors: evaluation
            .succeeded_from(&key)
            .filter_map(|index| {
                let taken = &evaluation.identities[index.index()];
                Some((taken.key.clone(), taken.owner.clone()?))
            })
            .collect(),
        readings: readings(view),
        identity: key,
        written_at: asked.at,
        written_by: asked.by.clone(),
    })
}

/// When something was last done for an action.
fn last_moved(action: &ActionAbout) -> Timestamp {
    [action.row.sent_at, action.row.read_back_at].into_iter().flatten().fold(action.begun_at, Timestamp::max)
}

/// Since when what is done about whom an action is about belongs to this offboarding: a non-human may have been stopped by
/// somebody's word before.
fn since_of(view: &View, leaver: IdentityIndex, action: &ActionAbout, since: Timestamp) -> Timestamp {
    let evaluation = view.evaluation();
    let whose = action.row.item.identity.as_ref().and_then(|key| evaluation.identity(key));
    let stop =
        whose.filter(|index| *index != leaver).and_then(|index| evaluation.steward_of(index)?.stop.as_ref());
    stop.filter(|stop| stop.by.is_some()).map_or(since, |stop| stop.since.min(since))
}

fn ended(action: &ActionAbout) -> EndedAccess {
    EndedAccess::new(ActionReceipt::from(&action.row), &action.row.item, action.seen.clone())
}

/// Every account of these, as it was last seen.
fn accounts(evaluation: &Evaluation<'_>, about: &[IdentityKey]) -> Vec<AccountSeen> {
    let snapshot = evaluation.inputs.snapshot;
    let now = evaluation.inputs.now;
    let mut all = Vec::new();
    for key in about {
        let Some(index) = evaluation.identity(key) else { continue };
        for account in evaluation.graph.accounts_of(index) {
            let observed = evaluation.account(account);
            let lets_in =
                evaluation.credentials_of(account).iter().filter(|found| found.credential.lets_in(now));
            let given = evaluation.graph.grants_of(account).filter(|entitlement| {
                evaluation.observed_entitlement(*entitlement).is_none_or(|entitlement| !entitlement.inherent)
            });
            all.push(AccountSeen {
                system: snapshot.system(observed.system).clone(),
                account: observed.account.login.clone(),
                account_key: observed.account.key.clone(),
                identity: key.clone(),
                enabled: observed.account.enabled,
                credentials: lets_in.count() as u64,
                entitlements: given.count() as u64,
            });
        }
    }
    all.sort();
    all
}

/// How fresh the knowledge about each system is: also of those that are configured and were never read.
fn readings(view: &View) -> Vec<SystemReading> {
    let mut readings: Vec<SystemReading> = view
        .systems()
        .iter()
        .map(|system| SystemReading {
            system: system.name.clone(),
            complete_at: system.latest_complete.as_ref().map(|epoch| epoch.started_at),
        })
        .collect();
    let known: BTreeSet<SystemName> = readings.iter().map(|reading| reading.system.clone()).collect();
    let never = view.loaded().settings.keys().filter(|system| !known.contains(*system));
    readings.extend(never.map(|system| SystemReading { system: system.clone(), complete_at: None }));
    readings
}

/// What is still there: what a plan would end that nothing is said of yet, and what none can.
fn remaining(plan: Plan, waiting: Vec<LeftAlone>, undone: &HashSet<Effect>) -> Vec<RemainingAccess> {
    let left = |left: &LeftAlone| RemainingAccess {
        system: left.system.clone(),
        account: left.account.clone(),
        identity: left.identity.clone(),
        entitlement: left.entitlement.clone(),
        credential: None,
        can_be_ended: false,
        why: left.why.clone(),
    };
    let not_begun = plan.items.iter().filter(|item| !undone.contains(&enforce::effect_of(item)));
    let not_begun = not_begun.map(|item| RemainingAccess {
        system: item.system.clone(),
        account: Some(item.account.clone()),
        identity: item.identity.clone(),
        entitlement: item.entitlement.clone(),
        credential: item.credential.clone(),
        can_be_ended: true,
        why: match plan.guard_of(&item.id) {
            Some(guard) => format!("the guard {} holds what would end it: {}", guard.name, guard.message),
            None => {
                let verb = item.verb.as_str().replace('_', " ");
                format!("{verb} was not begun: a plan has to be approved for it")
            }
        },
    });
    // What they answered for and no account of theirs holds is no access of theirs: others go on with it.
    let held = plan.left_alone.iter().chain(&waiting).filter(|left| left.account.is_some());
    let mut remaining: Vec<RemainingAccess> = not_begun.chain(held.map(left)).collect();
    remaining.sort();
    remaining.dedup();
    remaining
}
