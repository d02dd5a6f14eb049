//! What the last reading of a system could not use: the place, and how to mend it.

use askama::Template;
use axum::extract::{Path, Query as Asked, State};
use axum::response::Response;
use leasehold_model::text::safe;
use serde::Deserialize;

use super::seen;
use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::parts::link::system_path;
use crate::parts::{Link, Moment, Pager, Query, Sources, number};
use crate::person::Person;
use crate::present::Present;
use crate::state::App;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    page: String,
}

#[derive(Template)]
#[template(path = "system/problems.html")]
struct ProblemsPage {
    frame: Frame,
    sources: Sources,
    system: Link,
    read: Option<Moment>,
    rows: Vec<(String, String)>,
    pager: Pager,
    /// How many there were beyond those that are kept; empty where there were none.
    more: String,
}

/// Lists them.
pub(super) async fn list(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Present(view): Present,
    Path(name): Path<String>,
    Asked(filter): Asked<Filter>,
) -> Result<Response, WebError> {
    let name = seen(&app, &person, &view, &name)?;
    let problems = app.store.problems(&name).await?;
    let latest =
        view.systems().iter().find(|state| state.name == name).and_then(|state| state.latest.as_ref());
    let all = latest.map_or(0, |epoch| epoch.problems);
    let more = all.saturating_sub(problems.len() as u64);
    let query = Query::new(format!("{}/problems", system_path(&name)));
    let pager = Pager::new(filter.page.parse().unwrap_or(1), problems.len(), &query);
    let row = |problem: &leasehold_model::fact::Problem| (safe(&problem.place), safe(&problem.message));
    let page = ProblemsPage {
        sources: Sources::of(&app, &view, |other| *other == name),
        frame: frame.titled(format!("Problems of {name}")),
        system: Link::system(&name),
        read: latest.map(|epoch| Moment::relative(epoch.ended_at, app.now())),
        rows: problems[pager.range()].iter().map(row).collect(),
        pager,
        more: if more > 0 { number(more) } else { String::new() },
    };
    frame::show(&page)
}
