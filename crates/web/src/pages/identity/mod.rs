//! One identity: what is wrong, what it can reach and why, its accounts, what it answers for, and what happened.

mod access;
mod accounts;
pub(crate) mod credential_link;
mod credentials;
mod owns;
pub(crate) mod propose;
mod receipt;
pub(crate) mod steward;
mod timeline;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query as Asked, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_decide::engine::IdentityIndex;
use leasehold_decide::policy::read::parse_when;
use leasehold_model::id::IdentityKey;
use leasehold_model::identity::{Identity, LifecycleState};
use leasehold_model::snapshot::IdentityConflict;
use leasehold_model::text::safe;
use leasehold_reconcile::stages::decide::Loaded;
use leasehold_reconcile::view::View;
use leasehold_reconcile::workflow::offboard;
use serde::Deserialize;

use crate::catalogue::{self, display_name};
use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::heavy;
use crate::pages::credentials::CredentialLine;
use crate::pages::identities::{Answers, answers, state_mark};
use crate::parts::link::identity_path;
use crate::parts::{About, BecauseList, Link, Mark, Moment, Query, Sources, number};
use crate::person::Person;
use crate::present::Present;
use crate::route::{Access, Route};
use crate::sight::Sight;
use crate::state::App;

use credential_link::AccountChoice;
use receipt::ReceiptNote;
use steward::{JobsNote, StewardNote};
use timeline::Timeline;

pub(crate) use access::{Reach, reach};
pub(crate) use accounts::{AccountRow, LastUsed, enabled_mark, last_use, of as accounts_of, used};
pub(crate) use owns::{Owns, owns};

/// The routes of this folder.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/identities/{key}", Access::Needs(Action::SeeIdentity), || get(show)),
    Route::page(Method::POST, "/identities/{key}/plan", Access::Needs(Action::ProposePlan), || {
        post(propose::plan)
    }),
    Route::page(Method::POST, "/identities/{key}/return", Access::Needs(Action::ApprovePlan), || {
        post(propose::take_back)
    }),
    Route::page(Method::POST, "/identities/{key}/offboard", Access::Needs(Action::ProposePlan), || {
        post(propose::offboard)
    }),
    Route::page(
        Method::POST,
        "/identities/{key}/credential-link",
        Access::Needs(Action::IssueCredential),
        || post(credential_link::create),
    ),
    Route::page(Method::POST, "/identities/{key}/receipt", Access::Needs(Action::ProposePlan), || {
        post(receipt::write)
    }),
    Route::page(Method::GET, "/receipts/{id}", Access::Needs(Action::SeeLedger), || get(receipt::download)),
    Route::page(Method::POST, "/identities/{key}/steward", Access::Needs(Action::ApprovePlan), || {
        post(steward::said)
    }),
];

/// More drift than this is on the drift page.
const DRIFT_ROWS_MAX: usize = 20;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Question {
    at: String,
    entitlement: String,
    page: String,
    timeline: String,
}

#[derive(Template)]
#[template(path = "identity/page.html")]
struct IdentityPage {
    frame: Frame,
    sources: Sources,
    path: String,
    key: String,
    head: Head,
    at: At,
    drift: Vec<DriftRow>,
    drift_more: Option<Link>,
    may_propose: bool,
    may_offboard: bool,
    /// There is something for a successor to take over.
    answers_for_non_humans: bool,
    departure: Option<DepartureNote>,
    receipt: Option<ReceiptNote>,
    steward: Option<StewardNote>,
    jobs: Option<JobsNote>,
    reach: Reach,
    accounts: Vec<AccountRow>,
    /// Accounts for which a one-time link can be made.
    link_choices: Vec<AccountChoice>,
    credentials: Vec<CredentialLine>,
    owns: Owns,
    timeline: Timeline,
}

/// Who it is.
struct Head {
    name: String,
    kind: &'static str,
    state: Mark,
    /// What its dates say, in words.
    dates: Vec<(&'static str, Moment)>,
    answers: Option<Answers>,
    has_left: bool,
    source: Option<Link>,
    attributes: Vec<(String, String)>,
    /// What is given from the first day on, and by which role.
    to_come: Vec<(Link, Link)>,
    conflicts: Vec<Conflict>,
}

/// That sources disagree about it.
struct Conflict {
    attribute: String,
    value: String,
    system: Link,
    instead: Vec<(String, Link)>,
}

/// That a person decided that somebody leaves, before the source says so.
struct DepartureNote {
    by: String,
    when: Moment,
    may_take_back: bool,
}

/// The instant that the page is about.
struct At {
    /// As it was typed.
    typed: String,
    /// `None` for now.
    past: Option<Moment>,
    complaint: &'static str,
}

struct DriftRow {
    mark: Mark,
    system: Link,
    login: String,
    about: About,
    since: Option<Moment>,
    because: BecauseList,
}

async fn show(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Present(present): Present,
    Path(key): Path<String>,
    Asked(question): Asked<Question>,
) -> Result<Response, WebError> {
    let key = seen(&app, &person, &present, &key)?;
    let now = app.now();
    let (at, view) = then(&app, &present, &question.at, now).await?;
    let is_past = at.past.is_some();
    let catalogue = match is_past {
        true => catalogue::of_another_time(&view).await?,
        false => catalogue::of(&app, &view).await?,
    };
    let sight = Sight::new(&app, &person, &view, catalogue);
    let path = identity_path(&key);
    let query = Query::new(&path).with("at", &at.typed);
    let title = safe(&key);
    let Some(index) = view.evaluation().identity(&key) else {
        let page = NotThen { frame: frame.titled(&title), key: title, path, at };
        return frame::show(&page);
    };
    let identity = &view.evaluation().identities[index.index()];
    let timeline = timeline::of(&app, &view, &sight, index, &question.timeline, &query, now).await?;
    let drift: Vec<DriftRow> =
        view.drift_of_identity(&key).take(DRIFT_ROWS_MAX).map(|item| drift_row(&sight, item, now)).collect();
    let count = view.drift_of_identity(&key).len();
    let all = Query::new("/drift").with("identity", key.as_str()).to_string();
    let words = format!("all {} items of drift", number(count as u64));
    let may_propose = !is_past && person.may_somewhere(&app, Action::ProposePlan);
    let reached =
        reach(&view, &sight, index, &question.entitlement, question.page.parse().unwrap_or(1), &query);
    let has_left = identity.has_left(view.as_of());
    let receipt = match is_past {
        true => None,
        false => receipt::note(&app, &person, &key, has_left, now).await?,
    };
    let page = IdentityPage {
        receipt,
        sources: Sources::of(&app, &view, |name| sight.system(name)),
        frame: frame.titled(&title),
        head: head(&view, &sight, index, now),
        path,
        key: title,
        at,
        drift,
        drift_more: (count > DRIFT_ROWS_MAX && !is_past).then(|| Link::to(all, words)),
        may_propose: may_propose && count > 0,
        departure: departure(&app, &person, &view, &key, is_past, now),
        steward: steward::note(&app, &person, &view, &sight, index, is_past, now),
        jobs: steward::jobs(&app, &person, &view, index, is_past, now),
        link_choices: match is_past {
            true => Vec::new(),
            false => credential_link::choices(&app, &person, &view, index, &key),
        },
        may_offboard: may_propose && offboard::is_decided_by_the_plan(view.loaded(), &key),
        answers_for_non_humans: view.evaluation().non_humans_of(&key).next().is_some(),
        reach: reached,
        accounts: accounts::of(&view, &sight, index, now),
        credentials: credentials::of(&view, &sight, index, now),
        owns: owns(&view, &sight, &identity.key, now),
        timeline,
    };
    frame::show(&page)
}

#[derive(Template)]
#[template(path = "identity/not_then.html")]
struct NotThen {
    frame: Frame,
    key: String,
    path: String,
    at: At,
}

/// The identity's key as its source spells it, where this person may see it.
fn seen(app: &App, person: &Person, view: &View, key: &str) -> Result<IdentityKey, WebError> {
    let asked = IdentityKey::from(key);
    let what = || format!("identity `{}`", safe(key));
    let index = view.evaluation().identity(&asked).ok_or_else(|| WebError::NotFound(what()))?;
    let identity = &view.evaluation().identities[index.index()];
    person.require_seen(app, Action::SeeIdentity, &app.resource_of_identity(identity), what)?;
    Ok(identity.key.clone())
}

/// The state at the instant that was asked for: the present one, or one that is loaded from history.
async fn then(
    app: &App,
    present: &Arc<View>,
    typed: &str,
    now: Timestamp,
) -> Result<(At, Arc<View>), WebError> {
    let typed = typed.trim().to_owned();
    let of_now = |complaint| (At { typed: typed.clone(), past: None, complaint }, present.clone());
    if typed.is_empty() {
        return Ok(of_now(""));
    }
    let Some(at) = parse_when(&typed) else {
        return Ok(of_now(
            "write an instant with its offset (2026-03-31T18:00:00Z) or a date (2026-03-31: its end, UTC)",
        ));
    };
    if at > now {
        return Ok(of_now("this is still to come, and nobody knows what will be so then"));
    }
    let _turn = heavy::turn().await?;
    let settings = present.loaded().settings.clone();
    let (store, revision) = (app.store.clone(), present.revision());
    let loaded = Loaded::load_with(&store, settings, now, Some(at)).await.map_err(WebError::internal)?;
    let view = tokio::task::spawn_blocking(move || View::new(loaded, revision, now)).await;
    let view = view.map_err(WebError::internal)?.map_err(WebError::internal)?;
    Ok((At { typed, past: Some(Moment::exact(at)), complaint: "" }, Arc::new(view)))
}

fn head(view: &View, sight: &Sight<'_>, index: IdentityIndex, now: Timestamp) -> Head {
    let evaluation = view.evaluation();
    let identity = &evaluation.identities[index.index()];
    let snapshot = &view.loaded().snapshot;
    let source =
        snapshot.identities.get(index.index()).map(|(system, _)| sight.link_system(snapshot.system(*system)));
    let hidden = ["display_name", "given_name", "family_name"];
    let attributes = identity
        .attributes
        .iter()
        .filter(|(name, value)| !hidden.contains(&name.as_str()) && !value.is_empty());
    let state = snapshot.state_of(identity, view.as_of());
    Head {
        name: display_name(&identity.attributes).map(safe).unwrap_or_default(),
        kind: identity.kind.as_str(),
        dates: dates(identity, view.as_of(), now),
        answers: answers(sight, identity),
        has_left: state == LifecycleState::Left,
        state: state_mark(state),
        source,
        attributes: attributes.map(|(name, value)| (safe(name.replace('_', " ")), safe(value))).collect(),
        to_come: to_come(view, sight, index),
        conflicts: snapshot
            .conflicts_of(index.0)
            .iter()
            .map(|conflict| disagreement(sight, conflict))
            .collect(),
    }
}

/// What somebody's roles give from their first day on, each with the role; nothing of it is given before.
fn to_come(view: &View, sight: &Sight<'_>, index: IdentityIndex) -> Vec<(Link, Link)> {
    let evaluation = view.evaluation();
    let roles = evaluation.to_come.iter().filter(|(identity, _)| *identity == index);
    let given = roles.flat_map(|(_, position)| {
        let role = &evaluation.inputs.policy.roles[*position];
        let link = Link::to(Query::new("/policy").with("find", &role.name).to_string(), safe(&role.name));
        let link = if sight.policy() { link } else { link.unlinked() };
        role.grants.iter().map(move |grant| {
            let (system, name) = (&grant.value.system, &grant.value.entitlement);
            (sight.link_entitlement(system, name), link.clone())
        })
    });
    given.collect()
}

fn disagreement(sight: &Sight<'_>, conflict: &IdentityConflict) -> Conflict {
    let instead = conflict.instead.iter();
    Conflict {
        attribute: safe(conflict.attribute.replace('_', " ")),
        value: safe(&conflict.used.value),
        system: sight.link_system(&conflict.used.system),
        instead: instead.map(|other| (safe(&other.value), sight.link_system(&other.system))).collect(),
    }
}

fn dates(identity: &Identity, as_of: Timestamp, now: Timestamp) -> Vec<(&'static str, Moment)> {
    let start = identity.start.map(|start| (if start <= as_of { "since" } else { "begins" }, start));
    let end = identity.end.map(|end| (if end <= as_of { "ended" } else { "ends" }, end));
    start.into_iter().chain(end).map(|(verb, at)| (verb, Moment::relative(at, now))).collect()
}

fn departure(
    app: &App,
    person: &Person,
    view: &View,
    key: &IdentityKey,
    is_past: bool,
    now: Timestamp,
) -> Option<DepartureNote> {
    let folded = key.folded();
    let departure =
        view.loaded().departures.iter().find(|departure| departure.identity.as_str() == folded)?;
    Some(DepartureNote {
        by: safe(&departure.recorded_by),
        when: Moment::relative(departure.recorded_at, now),
        may_take_back: !is_past && propose::may_take_back(app, person, key),
    })
}

fn drift_row(sight: &Sight<'_>, item: &leasehold_model::decision::DriftItem, now: Timestamp) -> DriftRow {
    DriftRow {
        mark: Mark::drift(item.kind),
        system: sight.link_system(&item.system),
        login: item.login.as_ref().map(safe).unwrap_or_default(),
        about: About::of(
            item.entitlement.as_ref().map(|name| sight.link_entitlement(&item.system, name)),
            item.credential.as_ref(),
        ),
        since: item.since.map(|since| Moment::relative(since, now)),
        because: BecauseList::new(&item.because),
    }
}
