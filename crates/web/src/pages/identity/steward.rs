//! Who answers for a non-human, whether it is stopped, and what a person can say about that.

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_decide::engine::IdentityIndex;
use leasehold_decide::evaluate::lifecycle::UseSince;
use leasehold_decide::plan::Scope;
use leasehold_model::decision::DriftKind;
use leasehold_model::id::{IdentityKey, PlanHash};
use leasehold_model::identity::IdentityKind;
use leasehold_model::plan::{Plan, PlanItem, Verb};
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;
use leasehold_reconcile::workflow::steward::{self, Refusal, Word};
use serde::Deserialize;

use super::propose::may_take_back;
use super::seen;
use crate::error::WebError;
use crate::flash::{FlashKind, redirect_with};
use crate::heavy;
use crate::parts::link::{identity_path, plan_path};
use crate::parts::{Link, Moment};
use crate::person::Person;
use crate::present::Present;
use crate::sight::Sight;
use crate::state::App;

/// What is said of a non-human beside what its system says.
pub(super) struct StewardNote {
    /// Who answered for it before, where somebody took it over.
    pub succeeds: Option<Link>,
    pub stop: Option<StopNote>,
    /// What this person may say.
    pub may_say: bool,
    /// Its source lists it no more: nothing can be said.
    pub is_gone: bool,
}

impl StewardNote {
    /// Whether somebody may take it over: not what a person ended, which is brought back first.
    pub fn may_hand_over(&self) -> bool {
        !self.stop.as_ref().is_some_and(|stop| stop.ended.is_some() && !stop.by.is_empty())
    }
}

/// What somebody who left had running by itself: stopped, and waiting for whoever needs it.
pub(super) struct JobsNote {
    /// Each with its system, and since when it is stopped.
    pub jobs: Vec<(String, String, Moment)>,
    /// Whether this person may end it.
    pub may_say: bool,
}

/// What of somebody's jobs there is to be said, where they have left any.
pub(super) fn jobs(
    app: &App,
    person: &Person,
    view: &View,
    index: IdentityIndex,
    is_past: bool,
    now: Timestamp,
) -> Option<JobsNote> {
    let evaluation = view.evaluation();
    let identity = &evaluation.identities[index.index()];
    if identity.kind != IdentityKind::Person || !identity.has_left(view.as_of()) {
        return None;
    }
    let snapshot = evaluation.inputs.snapshot;
    let stopped = steward::stopped_jobs(evaluation, index).map(|(position, since)| {
        let job = &snapshot.credentials[position as usize];
        let system = snapshot.system(evaluation.account(evaluation.index_of(job.account)).system);
        let label = safe(&job.credential.label).to_string();
        (label, system.to_string(), Moment::relative(since, now))
    });
    let jobs: Vec<_> = stopped.collect();
    (!jobs.is_empty())
        .then(|| JobsNote { jobs, may_say: !is_past && may_take_back(app, person, &identity.key) })
}

/// That it is stopped.
pub(super) struct StopNote {
    pub since: Moment,
    /// Who stopped it; empty where the policy did, because its owner left.
    pub by: String,
    pub used: String,
    /// When it ends for good, where that follows by itself.
    pub ends: Option<Moment>,
    /// When it ended for good, where it has.
    pub ended: Option<Moment>,
}

pub(super) fn note(
    app: &App,
    person: &Person,
    view: &View,
    sight: &Sight<'_>,
    index: IdentityIndex,
    is_past: bool,
    now: Timestamp,
) -> Option<StewardNote> {
    let evaluation = view.evaluation();
    let identity = &evaluation.identities[index.index()];
    if identity.kind == IdentityKind::Person {
        return None;
    }
    let steward = evaluation.steward_of(index);
    let stop = steward.and_then(|steward| steward.stop.as_ref()).map(|stop| StopNote {
        since: Moment::relative(stop.since, now),
        by: stop.by.as_deref().map(safe).unwrap_or_default().to_string(),
        used: match stop.used {
            UseSince::No => "it was not used since".to_owned(),
            UseSince::At(at) => format!("it was used on {at} all the same: somebody needs it"),
            UseSince::Unknown => "whether it is used is not known: not every system tells".to_owned(),
        },
        ends: (stop.used == UseSince::No && stop.ended_at.is_none())
            .then(|| Moment::relative(stop.watched_until, now)),
        ended: stop.ended_at.map(|ended_at| Moment::relative(ended_at, now)),
    });
    let succeeds = steward.and_then(|steward| steward.succeeds.as_ref());
    Some(StewardNote {
        succeeds: succeeds.map(|before| sight.link_identity(before)),
        stop,
        may_say: !is_past && may_take_back(app, person, &identity.key),
        is_gone: evaluation.inputs.snapshot.identities[index.index()].1.has_left(view.as_of()),
    })
}

/// What was typed.
#[derive(Deserialize)]
pub(super) struct Said {
    word: String,
    #[serde(default)]
    owner: String,
}

/// Records what a person says of a non-human.
pub(super) async fn said(
    State(app): State<App>,
    person: Person,
    Present(view): Present,
    Path(key): Path<String>,
    Form(said): Form<Said>,
) -> Result<Response, WebError> {
    let key = seen(&app, &person, &view, &key)?;
    if !may_take_back(&app, &person, &key) {
        return Err(WebError::Forbidden(Action::ApprovePlan));
    }
    person.require_confirmed(app.now())?;
    let (word, done) = match said.word.as_str() {
        "take_over" => {
            let owner = IdentityKey::from(said.owner.trim());
            let done = format!("{} answers for it from now on", safe(&owner));
            (Word::TakeOver(owner), done)
        }
        "stop" => {
            (Word::Stop, "It is stopped: what lets it in is drift now, and a plan closes it".to_owned())
        }
        "bring_back" => (Word::BringBack, "It is needed after all".to_owned()),
        "end" => {
            (Word::End, "It ends for good: what it holds is drift now, and a plan takes it away".to_owned())
        }
        _ => return Err(WebError::Malformed("this is nothing that can be said here".to_owned())),
    };
    let path = identity_path(&key);
    match say(&app, &person, &key, &word).await {
        Ok(key) => match let_in(&app, &person, &key, &word).await? {
            LetIn { plan: None, why } if why.is_empty() => {
                Ok(redirect_with(&app, &path, FlashKind::Done, &done))
            }
            LetIn { plan: None, why } => {
                let text = format!("{done}, and nothing is handed over yet: {}", why.join("; "));
                Ok(redirect_with(&app, &path, FlashKind::Warning, &text))
            }
            LetIn { plan: Some(plan), .. } => {
                let text = format!(
                    "{done}. What was stopped is let in again by this plan, which is being carried out"
                );
                Ok(redirect_with(&app, &plan_path(&plan), FlashKind::Done, &text))
            }
        },
        Err(WebError::Conflict(why) | WebError::Refused(why)) => {
            Ok(redirect_with(&app, &path, FlashKind::Warning, &format!("{why}; nothing was changed")))
        }
        Err(error) => Err(error),
    }
}

/// Records what a person says of a non-human, and brings the present state up to it.
pub(crate) async fn say(
    app: &App,
    person: &Person,
    key: &IdentityKey,
    word: &Word,
) -> Result<IdentityKey, WebError> {
    if let Word::TakeOver(owner) = word
        && person.identity().is_some_and(|own| own.folded() == owner.folded())
    {
        return Err(WebError::Refused("nobody makes themselves the owner: somebody else says so".to_owned()));
    }
    let view = app.view()?;
    let said = steward::say(&app.store, view.loaded(), key, word, person.actor(), app.now()).await;
    let key = said.map_err(|refusal| match refusal {
        Refusal::Reconcile(error) => WebError::internal(error),
        Refusal::Store(error) => error.into(),
        Refusal::NotNonHuman(_) | Refusal::Successor(_) => WebError::Refused(refusal.to_string()),
        refusal => WebError::Conflict(refusal.to_string()),
    })?;
    app.live.refresh().await.map_err(WebError::internal)?;
    Ok(key)
}

/// One word brings a non-human back, and has what a leaver left behind run as whoever takes it over: whoever says it approves the
/// plan that lets in again what was stopped, and nothing else.
pub(crate) async fn let_in(
    app: &App,
    person: &Person,
    key: &IdentityKey,
    word: &Word,
) -> Result<LetIn, WebError> {
    if !matches!(word, Word::BringBack | Word::TakeOver(_)) {
        return Ok(LetIn::default());
    }
    let view = app.live.refresh().await.map_err(WebError::internal)?;
    let scope = Scope { identities: vec![key.clone()], kinds: vec![DriftKind::Missing], ..Scope::default() };
    let made = heavy::run(move || view.plan(&scope)).await?;
    // What it lacks besides is for another plan.
    let lets_in = |item: &PlanItem| {
        matches!(item.verb, Verb::EnableAccount | Verb::EnableCredential | Verb::HandOverCredential)
    };
    let items: Vec<PlanItem> = made.items.into_iter().filter(lets_in).collect();
    let why = made.left_alone.iter().map(|left| format!("{}: {}", left.system, left.why)).collect();
    if items.is_empty() {
        return Ok(LetIn { plan: None, why });
    }
    let plan = Plan::seal(made.state, items, made.left_alone, Vec::new());
    app.store.save_plan(&plan, app.now()).await?;
    app.driver.request_apply(&plan.hash, &[], person.actor()).await?;
    Ok(LetIn { plan: Some(plan.hash), why })
}

/// What followed from a word at once.
#[derive(Default)]
pub(crate) struct LetIn {
    /// The plan that lets in again what was stopped; `None` where nothing was, or can be.
    pub plan: Option<PlanHash>,
    /// What it leaves alone, and why.
    pub why: Vec<String>,
}
