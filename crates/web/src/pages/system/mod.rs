//! One system: how fresh and how complete, what it has, what it could not read, and what its connector can do.

mod accounts;
mod problems;
mod sync;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use leasehold_decide::authority::Action;
use leasehold_model::id::SystemName;
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;

use crate::catalogue;
use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::pages::systems::{Figures, enforce_words, figures, interval, reading_mark, schedules};
use crate::parts::link::system_path;
use crate::parts::mark::Tone;
use crate::parts::{Link, Mark, Moment, Query, Sources, count, number};
use crate::person::Person;
use crate::present::Present;
use crate::route::{Access, Route};
use crate::sight::Sight;
use crate::state::App;

/// The routes of this folder.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/systems/{name}", Access::Needs(Action::SeeSystem), || get(show)),
    Route::page(Method::GET, "/systems/{name}/accounts", Access::Needs(Action::SeeSystem), || {
        get(accounts::list)
    }),
    Route::page(Method::GET, "/systems/{name}/problems", Access::Needs(Action::SeeSystem), || {
        get(problems::list)
    }),
    Route::page(Method::POST, "/systems/{name}/sync", Access::Needs(Action::RunSync), || post(sync::now)),
];

/// More readings than this are not shown.
const READINGS_MAX: usize = 10;

#[derive(Template)]
#[template(path = "system/page.html")]
struct SystemPage {
    frame: Frame,
    sources: Sources,
    name: String,
    path: String,
    connector: Option<Connector>,
    reading: Mark,
    read: Option<Moment>,
    detail: String,
    complete: Option<Moment>,
    schedule: Option<Schedule>,
    figures: Option<Figures>,
    entitlements_path: String,
    drift: Vec<(Mark, Link)>,
    problems: Option<Link>,
    readings: Vec<Reading>,
    baseline: Option<Baseline>,
    may_sync: bool,
    owners: Vec<Link>,
}

/// What is configured.
struct Connector {
    kind: String,
    authoritative: bool,
    enforce: String,
    interval: String,
    capabilities: Vec<(String, bool, &'static str)>,
}

/// When it is read.
struct Schedule {
    due: Moment,
    failures: u32,
    detail: String,
}

/// One enumeration.
struct Reading {
    mark: Mark,
    ended: Moment,
    took: String,
    facts: String,
    problems: String,
    detail: String,
}

/// A reason given to what was there.
struct Baseline {
    until: Moment,
    ended: bool,
    owner: Link,
    adopted: Moment,
}

/// The name of a system that this person may see.
fn seen(app: &App, person: &Person, view: &View, name: &str) -> Result<SystemName, WebError> {
    let what = || format!("system `{}`", safe(name));
    let found = SystemName::new(name).map_err(|_| WebError::NotFound(what()))?;
    // One that was connected just now is configured before the present state knows it.
    let known = view.systems().iter().any(|state| state.name == found)
        || view.loaded().settings.contains_key(&found)
        || app.driver.systems().iter().any(|face| face.name == found);
    if !known {
        return Err(WebError::NotFound(what()));
    }
    person.require_seen(app, Action::SeeSystem, &app.resource_of_system(&found), what)?;
    Ok(found)
}

async fn show(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Present(view): Present,
    Path(name): Path<String>,
) -> Result<Response, WebError> {
    let name = seen(&app, &person, &view, &name)?;
    let catalogue = catalogue::of(&app, &view).await?;
    let sight = Sight::new(&app, &person, &view, catalogue);
    let now = app.now();
    let state = view.systems().iter().find(|state| state.name == name);
    let latest = state.and_then(|state| state.latest.as_ref());
    let incomplete = latest.is_some_and(|epoch| !epoch.completeness.is_complete());
    let complete = state.and_then(|state| state.latest_complete.as_ref()).filter(|_| incomplete);
    let face = app.driver.systems().into_iter().find(|face| face.name == name);
    let schedule = schedules(&app).await?.remove(&name);
    let readings = app.store.epochs(&name, READINGS_MAX).await?;
    let path = system_path(&name);
    let problems = latest.map_or(0, |epoch| epoch.problems);
    let problems = (problems > 0).then(|| {
        let words = count(usize::try_from(problems).unwrap_or(usize::MAX), "problem");
        Link::to(format!("{path}/problems"), words)
    });
    let evaluation = view.evaluation();
    let baseline = view.loaded().baselines.iter().find(|baseline| baseline.system == name);
    let owners = app.settings.system_owners.now();
    let owners = owners.get(&name);
    let page = SystemPage {
        sources: Sources::of(&app, &view, |other| *other == name),
        frame: frame.titled(name.as_str()),
        connector: face.map(|face| Connector {
            kind: face.connector_kind.clone(),
            authoritative: face.authoritative,
            enforce: enforce_words(&face.enforce),
            interval: interval(face.interval_ms),
            capabilities: face
                .capabilities
                .rows()
                .into_iter()
                .map(|(name, capability)| (name.replace('_', " "), capability.supported, capability.note))
                .collect(),
        }),
        reading: reading_mark(latest),
        read: latest.map(|epoch| Moment::relative(epoch.ended_at, now)),
        detail: latest.map(|epoch| safe(epoch.completeness.detail())).unwrap_or_default(),
        complete: complete.map(|epoch| Moment::relative(epoch.ended_at, now)),
        schedule: schedule.map(|schedule| Schedule {
            due: Moment::relative(schedule.due_at, now),
            failures: schedule.failures,
            detail: schedule.detail.map(safe).unwrap_or_default(),
        }),
        figures: latest.and_then(|_| figures(&sight, &view, &name)),
        entitlements_path: Query::new("/entitlements").with("system", name.as_str()).to_string(),
        drift: drift(&view, &name),
        problems,
        readings: readings
            .iter()
            .map(|epoch| Reading {
                mark: reading_mark(Some(epoch)),
                ended: Moment::relative(epoch.ended_at, now),
                took: crate::parts::moment::measured(
                    epoch.ended_at.as_millisecond() - epoch.started_at.as_millisecond(),
                ),
                facts: number(epoch.facts),
                problems: number(epoch.problems),
                detail: safe(epoch.completeness.detail()),
            })
            .collect(),
        baseline: baseline.map(|baseline| {
            let end = evaluation.baseline_end(baseline);
            Baseline {
                until: Moment::relative(end, now),
                ended: end <= view.as_of(),
                owner: Link::identity(&baseline.owner.as_str().into()),
                adopted: Moment::relative(baseline.adopted_at, now),
            }
        }),
        may_sync: person.may(&app, Action::RunSync, &app.resource_of_system(&name)),
        owners: owners.into_iter().flatten().map(Link::identity).collect(),
        path,
        name: name.to_string(),
    };
    frame::show(&page)
}

/// How much drift of each kind, with the list of it.
fn drift(view: &View, name: &SystemName) -> Vec<(Mark, Link)> {
    let mut counts = std::collections::BTreeMap::new();
    for item in view.drift_of_system(name) {
        *counts.entry(item.kind).or_insert(0u64) += 1;
    }
    let link = |(kind, of_kind): (leasehold_model::decision::DriftKind, u64)| {
        let list = Query::new("/drift").with("system", name.as_str()).with("kind", kind.as_str());
        (Mark::drift(kind), Link::to(list.to_string(), number(of_kind)))
    };
    counts.into_iter().map(link).collect()
}

/// A capability, in a word.
fn capability_mark(supported: &bool) -> Mark {
    if *supported { Mark::new("yes", Tone::Good) } else { Mark::new("no", Tone::Quiet) }
}
