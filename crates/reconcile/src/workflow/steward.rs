//! What a person says about a non-human: somebody takes it over; it is stopped, brought back, or ends for good. And about what
//! somebody who has left had running by itself: somebody takes it over, or it ends.
//!
//! The end has two phases. What is stopped keeps what it holds and can be brought back with one word; it ends when it was
//! watched for a time and not used, or when a person says so. Only the word is recorded here: what follows from it is
//! drift, and closed as other drift is.

use leasehold_decide::engine::IdentityIndex;
use leasehold_decide::evaluate::Evaluation;
use leasehold_decide::evaluate::lifecycle::began_anew;
use leasehold_model::Timestamp;
use leasehold_model::credential::CredentialKind;
use leasehold_model::id::IdentityKey;
use leasehold_model::identity::IdentityKind;
use leasehold_store::{Store, StoreError};

use crate::error::ReconcileError;
use crate::stages::decide::Loaded;

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// This identity answers for it from now on.
    TakeOver(IdentityKey),
    /// It is stopped, and watched for use.
    Stop,
    /// It is needed after all.
    BringBack,
    /// It ends for good.
    End,
}

/// Why a word does not count.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is about nobody, or about a person.
    #[error(
        "{0} is not a non-human that is known, and no leaver with scheduled jobs that were stopped: persons leave by `leasehold offboard`, and `leasehold sync` reads who there is"
    )]
    NotNonHuman(IdentityKey),
    /// Who would answer for it cannot.
    #[error("{0} cannot take it over: name a person who is known and here")]
    Successor(IdentityKey),
    /// It is not stopped.
    #[error("{0} is not stopped")]
    NotStopped(IdentityKey),
    /// It is stopped by a person's word already.
    #[error("{0} is stopped already")]
    Stopped(IdentityKey),
    /// It has ended.
    #[error(
        "{0} has ended for good: `leasehold retire {0} --back` says that it is needed after all, and what was deleted stays so"
    )]
    Ended(IdentityKey),
    /// It has left by somebody else's word.
    #[error(
        "{0} has left by what its source says: what follows it gets a key of its own, or is listed there again"
    )]
    Gone(IdentityKey),
    /// It was said already.
    #[error(
        "it was said already that what {0} had running by itself ends: the next plan removes it (`leasehold plan`), and a \
         running server does by itself where policy allows it"
    )]
    JobsEnd(IdentityKey),
    /// What they had running by itself is stopped with them.
    #[error(
        "{0} has left, and what they had running by itself comes back when they do; whoever needs it takes it over: `leasehold \
         successor {0} PERSON`"
    )]
    HolderLeft(IdentityKey),
    /// The policy stopped it, because nobody answers for it.
    #[error("{0} is stopped because its owner left: it comes back when somebody takes it over")]
    NeedsOwner(IdentityKey),
    /// The facts contradict each other.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Records what a person says about a non-human, and gives its key as it is spelled where it is known.
///
/// # Errors
/// [`Refusal`]; then nothing was recorded.
pub async fn say(
    store: &Store,
    loaded: &Loaded,
    about: &IdentityKey,
    word: &Word,
    by: &str,
    now: Timestamp,
) -> Result<IdentityKey, Refusal> {
    let evaluation = loaded.evaluate()?;
    if let Some(leaver) = evaluation.identity(about).filter(|index| has_stopped_jobs(&evaluation, *index)) {
        return about_jobs(store, &evaluation, leaver, word, by, now).await;
    }
    let index = find(&evaluation, about)?;
    let key = evaluation.identities[index.index()].key.clone();
    let stop = evaluation.steward_of(index).and_then(|steward| steward.stop.clone());
    let is_gone = loaded.snapshot.identities[index.index()].1.has_left(loaded.now);
    let ended = stop.as_ref().and_then(|stop| Some((stop.since, stop.ended_at?)));
    let is_by_a_person = stop.as_ref().is_some_and(|stop| stop.by.is_some());
    match (word, &stop) {
        _ if is_gone => return Err(Refusal::Gone(key)),
        (Word::TakeOver(_), _) if ended.is_some() && is_by_a_person => return Err(Refusal::Ended(key)),
        (Word::Stop | Word::End, _) if ended.is_some() => return Err(Refusal::Ended(key)),
        (Word::TakeOver(owner), _) => {
            let owner = person(&evaluation, owner, loaded.now)?;
            if ended.is_some() {
                store.rescind_retirement(&key, ended, by, now, now).await?;
            }
            store.record_ownership(&key, &owner, by, now).await?;
        }
        (Word::Stop, Some(_)) if is_by_a_person => return Err(Refusal::Stopped(key)),
        (Word::Stop, _) => {
            // What was said of one that ended and was called the same is not about this one.
            if let Some(began_at) = former_ended(&evaluation, &key) {
                store.rescind_retirement(&key, None, by, began_at, now).await?;
            }
            if !store.begin_retirement(&key, by, now).await? {
                return Err(Refusal::Stopped(key));
            }
        }
        (Word::BringBack | Word::End, None) => return Err(Refusal::NotStopped(key)),
        (Word::BringBack, Some(_)) if !is_by_a_person => return Err(Refusal::NeedsOwner(key)),
        (Word::BringBack, Some(_)) => {
            if !store.rescind_retirement(&key, ended, by, now, now).await? {
                return Err(Refusal::NotStopped(key));
            }
        }
        (Word::End, Some(_)) => {
            // Where the policy stopped it, this is the first that a person says.
            store.begin_retirement(&key, by, now).await?;
            if !store.finish_retirement(&key, by, now, None).await? {
                return Err(Refusal::Ended(key));
            }
        }
    }
    Ok(key)
}

/// When a non-human began whose key one had before that ended for good.
fn former_ended(evaluation: &Evaluation<'_>, key: &IdentityKey) -> Option<Timestamp> {
    let folded = key.folded();
    let mut claims = evaluation.inputs.stewardship.retirements.iter();
    let claim = claims.find(|claim| claim.identity.as_str() == folded)?;
    began_anew(evaluation.inputs.snapshot, key, claim.finished_at?)
}

/// Whether a person has left work behind that runs by itself, and that we stopped.
fn has_stopped_jobs(evaluation: &Evaluation<'_>, index: IdentityIndex) -> bool {
    let who = &evaluation.identities[index.index()];
    (who.kind == IdentityKind::Person && who.has_left(evaluation.inputs.now))
        && stopped_jobs(evaluation, index).next().is_some()
}

/// What somebody had running by itself and we stopped, by its place among the credentials, and when.
pub fn stopped_jobs(
    evaluation: &Evaluation<'_>,
    index: IdentityIndex,
) -> impl Iterator<Item = (u32, Timestamp)> {
    let snapshot = evaluation.inputs.snapshot;
    let is_theirs = move |position: u32| {
        let stopped = &snapshot.credentials[position as usize];
        stopped.credential.kind == CredentialKind::ScheduledJob
            && evaluation.graph.identity_of(evaluation.index_of(stopped.account)) == Some(index)
    };
    let stopped = snapshot.stopped.iter().map(|(position, at)| (*position, *at));
    stopped.filter(move |(position, _)| is_theirs(*position))
}

/// What somebody who has left had running by itself runs as somebody else from now on, or ends. There is no other word about it:
/// with whose rights would it run?
async fn about_jobs(
    store: &Store,
    evaluation: &Evaluation<'_>,
    leaver: IdentityIndex,
    word: &Word,
    by: &str,
    now: Timestamp,
) -> Result<IdentityKey, Refusal> {
    let key = evaluation.identities[leaver.index()].key.clone();
    match word {
        Word::End => {}
        Word::TakeOver(to) => {
            let to = person(evaluation, to, now)?;
            store.record_ownership(&key, &to, by, now).await?;
            return Ok(key);
        }
        Word::Stop | Word::BringBack => return Err(Refusal::HolderLeft(key)),
    }
    store.begin_retirement(&key, by, now).await?;
    // What was said before a job was stopped, at an earlier departure, or before somebody took it over, is not about it.
    let folded = key.folded();
    let owned = &evaluation.inputs.stewardship.ownerships;
    let taken_over =
        owned.iter().filter(|claim| claim.identity.as_str() == folded).map(|claim| claim.recorded_at);
    let since = stopped_jobs(evaluation, leaver).map(|(_, at)| at).chain(taken_over).max();
    if !store.finish_retirement(&key, by, now, since).await? {
        return Err(Refusal::JobsEnd(key));
    }
    Ok(key)
}

fn find(evaluation: &Evaluation<'_>, about: &IdentityKey) -> Result<IdentityIndex, Refusal> {
    let is_one = |index: &IdentityIndex| evaluation.identities[index.index()].kind != IdentityKind::Person;
    evaluation.identity(about).filter(is_one).ok_or_else(|| Refusal::NotNonHuman(about.clone()))
}

/// A person who is here, as they are spelled where they are known.
///
/// # Errors
/// [`Refusal::Successor`].
pub fn person(
    evaluation: &Evaluation<'_>,
    key: &IdentityKey,
    now: Timestamp,
) -> Result<IdentityKey, Refusal> {
    let identity = evaluation.identity(key).map(|index| &evaluation.identities[index.index()]);
    let here = identity.filter(|who| who.kind == IdentityKind::Person && who.may_hold_access(now));
    here.map(|who| who.key.clone()).ok_or_else(|| Refusal::Successor(key.clone()))
}
