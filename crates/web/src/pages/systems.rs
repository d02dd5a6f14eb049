//! Systems: how fresh and complete each is, what it has, and what is wrong in it.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use leasehold_decide::authority::Action;
use leasehold_model::id::SystemName;
use leasehold_model::snapshot::EpochSummary;
use leasehold_reconcile::driver::SystemFace;
use leasehold_reconcile::system::Enforcing;
use leasehold_store::ScheduleRow;

use crate::catalogue;
use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::parts::link::system_path;
use crate::parts::mark::{Tone, drift_words};
use crate::parts::{Link, Mark, Moment, Query, Sources, number};
use crate::person::Person;
use crate::present::Present;
use crate::route::{Access, Route};
use crate::sight::Sight;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::page(Method::GET, "/systems", Access::Needs(Action::SeeSystem), || get(list))];

#[derive(Template)]
#[template(path = "systems.html")]
struct SystemsPage {
    frame: Frame,
    sources: Sources,
    rows: Vec<SystemRow>,
    may_connect: bool,
}

struct SystemRow {
    system: Link,
    path: String,
    connector: String,
    authoritative: bool,
    reading: Mark,
    read: Option<Moment>,
    due: Option<Moment>,
    failures: u32,
    enforce: String,
    /// `None` where it was never read: nothing is known.
    figures: Option<Figures>,
}

/// What a system has, in numbers.
pub(crate) struct Figures {
    /// Accounts.
    pub accounts: String,
    /// Accounts of nobody, or of several.
    pub orphans: usize,
    /// Entitlements.
    pub entitlements: String,
    /// Direct grants.
    pub grants: String,
    /// Differences, with the list of them.
    pub drift: Link,
    /// Whether there are any.
    pub has_drift: bool,
}

async fn list(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Present(view): Present,
) -> Result<Response, WebError> {
    let catalogue = catalogue::of(&app, &view).await?;
    let sight = Sight::new(&app, &person, &view, catalogue);
    let now = app.now();
    let schedules = schedules(&app).await?;
    let faces: BTreeMap<SystemName, SystemFace> =
        app.driver.systems().into_iter().map(|face| (face.name.clone(), face)).collect();
    let read = view.systems().iter().map(|state| &state.name);
    let mut names: Vec<&SystemName> = faces.keys().chain(read).filter(|name| sight.system(name)).collect();
    names.sort();
    names.dedup();
    let row = |name: &SystemName| {
        let face = faces.get(name);
        let schedule = schedules.get(name);
        let state = view.systems().iter().find(|state| &state.name == name);
        let latest = state.and_then(|state| state.latest.as_ref());
        SystemRow {
            system: Link::system(name),
            path: system_path(name),
            connector: face.map_or("not configured any more".to_owned(), |face| face.connector_kind.clone()),
            authoritative: face.is_some_and(|face| face.authoritative),
            reading: reading_mark(latest),
            read: latest.map(|epoch| Moment::relative(epoch.ended_at, now)),
            due: schedule.map(|schedule| Moment::relative(schedule.due_at, now)),
            failures: schedule.map_or(0, |schedule| schedule.failures),
            enforce: face.map(|face| enforce_words(&face.enforce)).unwrap_or_default(),
            figures: latest.and_then(|_| figures(&sight, &view, name)),
        }
    };
    let page = SystemsPage {
        sources: Sources::of(&app, &view, |name| sight.system(name)),
        frame: frame.titled("Systems"),
        may_connect: person.may_everywhere(&app, Action::ConnectSystem),
        rows: names.into_iter().map(row).collect(),
    };
    frame::show(&page)
}

/// When each system is read next.
///
/// # Errors
/// Where the store fails.
pub(crate) async fn schedules(app: &App) -> Result<BTreeMap<SystemName, ScheduleRow>, WebError> {
    let rows = app.driver.schedules().await?;
    Ok(rows.into_iter().map(|row| (row.system.clone(), row)).collect())
}

/// How the last reading ended, in a word.
pub(crate) fn reading_mark(latest: Option<&EpochSummary>) -> Mark {
    match latest {
        None => Mark::new("never read", Tone::Bad),
        Some(epoch) if epoch.completeness.is_complete() => Mark::new("complete", Tone::Good),
        Some(_) => Mark::new("partial", Tone::Bad),
    }
}

/// What may be done about drift without asking, in words.
pub(crate) fn enforce_words(enforce: &Enforcing) -> String {
    let mut words = enforce.default.as_str().to_owned();
    for (kind, other) in &enforce.by_kind {
        words.push_str(&format!(", {}: {}", drift_words(*kind), other.as_str()));
    }
    words
}

/// What a system has, in numbers; `None` where it was never read.
pub(crate) fn figures(
    sight: &Sight<'_>,
    view: &leasehold_reconcile::view::View,
    name: &SystemName,
) -> Option<Figures> {
    let contents = sight.catalogue().contents(name)?;
    let drift = view.drift_of_system(name).len();
    let list = Query::new("/drift").with("system", name.as_str()).to_string();
    Some(Figures {
        accounts: number(contents.accounts.len() as u64),
        orphans: contents.orphans,
        entitlements: number(contents.entitlements.len() as u64),
        grants: number(contents.grants as u64),
        drift: Link::to(list, number(drift as u64)),
        has_drift: drift > 0,
    })
}

/// An interval, in its largest whole unit.
pub(crate) fn interval(interval_ms: u64) -> String {
    crate::parts::moment::duration(i64::try_from(interval_ms / 1_000).unwrap_or(i64::MAX))
}
