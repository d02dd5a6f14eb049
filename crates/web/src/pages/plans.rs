//! Plans: every saved one, the newest first; and the making of one from drift that somebody chose.

use std::collections::HashSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Query as Parameters, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use leasehold_decide::authority::Action;
use leasehold_decide::plan::{Scope, plan};
use leasehold_model::decision::DriftItem;
use leasehold_model::plan::{Plan, TO_COME};
use leasehold_reconcile::notice::NoticeKind;
use leasehold_reconcile::view::View;
use leasehold_store::{PlanRow, state_digest};
use serde::Deserialize;

use super::drift::{self, DriftFilter, require_may_plan};
use crate::error::WebError;
use crate::fields::Fields;
use crate::flash::{FlashKind, redirect_with};
use crate::frame::{self, Frame};
use crate::parts::link::plan_path;
use crate::parts::mark::Tone;
use crate::parts::{Link, Mark, Moment, Pager, Query, count, number};
use crate::person::Person;
use crate::present::Present;
use crate::route::{Access, Route};
use crate::seen::SeenSystems;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/plans", Access::Needs(Action::SeePlan), || get(list)),
    Route::page(Method::POST, "/plans", Access::Needs(Action::ProposePlan), || post(make)),
];

/// Where a plan as a whole stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlanStanding {
    /// Nothing is to be done.
    Empty,
    /// It waits for approval.
    Proposed,
    /// It waits for approval, and was made from a state that is no more.
    Outdated,
    /// It is being carried out.
    Running,
    /// Some of it waits for a person.
    Waits,
    /// All of it has ended.
    Ended,
}

impl PlanStanding {
    /// Of a saved plan, when the present state has this digest.
    pub(crate) fn of(row: &PlanRow, present: &str) -> Self {
        match (row.begun_at, row.items) {
            (None, 0) => Self::Empty,
            (None, _) if row.state_digest == present || row.is_of_leavers => Self::Proposed,
            (None, _) => Self::Outdated,
            _ if row.on_the_way > 0 => Self::Running,
            _ if row.held + row.stuck > 0 => Self::Waits,
            _ => Self::Ended,
        }
    }

    /// As a mark.
    pub(crate) fn mark(self) -> Mark {
        let (text, tone) = match self {
            Self::Empty => ("nothing to do", Tone::Quiet),
            Self::Proposed => ("waits for approval", Tone::Warning),
            Self::Outdated => ("outdated", Tone::Quiet),
            Self::Running => ("being carried out", Tone::Warning),
            Self::Waits => ("waits for a person", Tone::Bad),
            Self::Ended => ("ended", Tone::Good),
        };
        Mark::new(text, tone)
    }
}

/// A plan in a list.
pub(crate) struct PlanLine {
    pub plan: Link,
    /// Who leaves by it.
    pub leavers: Vec<Link>,
    pub standing: Mark,
    pub made: Moment,
    pub items: String,
    pub left_alone: String,
    pub guards: u64,
    pub progress: String,
    pub begun_by: Option<String>,
}

impl PlanLine {
    /// Of a saved plan.
    ///
    /// # Errors
    /// Where the store fails.
    pub(crate) async fn of(app: &App, row: &PlanRow, present: &str) -> Result<Self, WebError> {
        let kept = if row.is_of_leavers { app.saved_plan(row.hash.as_str()).await? } else { None };
        let leavers = kept.iter().flat_map(|kept| &kept.plan.as_left).map(Link::identity).collect();
        let parts = [
            (row.verified, "verified"),
            (row.on_the_way, "on the way"),
            (row.stuck, "stuck"),
            (row.held, "held by a guard"),
        ];
        let words = parts.iter().filter(|(many, _)| *many > 0);
        let progress: Vec<String> = words.map(|(many, what)| format!("{} {what}", number(*many))).collect();
        Ok(Self {
            plan: Link::plan(&row.hash),
            leavers,
            standing: PlanStanding::of(row, present).mark(),
            made: Moment::relative(row.created_at, app.now()),
            items: number(row.items),
            left_alone: number(row.left_alone),
            guards: row.guards,
            progress: progress.join(", "),
            begun_by: row.begun_by.as_ref().map(leasehold_model::text::safe),
        })
    }
}

#[derive(Template)]
#[template(path = "plans.html")]
struct PlansPage {
    frame: Frame,
    lines: Vec<PlanLine>,
    pager: Pager,
    may_plan: bool,
    drift: String,
    has_drift: bool,
}

#[derive(Deserialize)]
struct PlansFilter {
    #[serde(default)]
    page: String,
}

async fn list(
    State(app): State<App>,
    Present(view): Present,
    person: Person,
    frame: Frame,
    Parameters(filter): Parameters<PlansFilter>,
) -> Result<Response, WebError> {
    let total = usize::try_from(app.store.plan_count().await?).unwrap_or(usize::MAX);
    let pager = Pager::new(filter.page.parse().unwrap_or(1), total, &Query::new("/plans"));
    let rows = app.store.plan_rows(pager.range().start, pager.range().len()).await?;
    let present = state_digest(&view.loaded().fingerprint());
    let everywhere = person.may_everywhere(&app, Action::SeePlan);
    let mut lines = Vec::new();
    for row in &rows {
        if everywhere || is_seen(&app, &person, row).await? {
            lines.push(PlanLine::of(&app, row, &present).await?);
        }
    }
    let seen = SeenSystems::of(&app, &view, &person, Action::SeeDrift);
    frame::show(&PlansPage {
        frame: frame.titled("Plans"),
        lines,
        pager,
        may_plan: person.may_everywhere(&app, Action::ProposePlan),
        drift: count(view.drift().len(), "item"),
        has_drift: seen.is_all() && !view.drift().is_empty(),
    })
}

async fn is_seen(app: &App, person: &Person, row: &PlanRow) -> Result<bool, WebError> {
    let Some(kept) = app.saved_plan(row.hash.as_str()).await? else { return Ok(false) };
    let resource = kept.resource(app, person.identity());
    Ok(person.may(app, Action::SeePlan, &resource))
}

/// Makes a plan from the drift of a filter: from what is ticked, from all of it, or from what another plan was about.
async fn make(
    State(app): State<App>,
    Present(_): Present,
    person: Person,
    frame: Frame,
    fields: Fields,
) -> Result<Response, WebError> {
    // A plan from facts that have moved would be refused when it is to be carried out.
    let view = app.live.refresh().await.map_err(|error| WebError::Unavailable(error.to_string()))?;
    let filter = DriftFilter::from_fields(&fields);
    let ticked: HashSet<String> = fields.all("item").map(str::to_owned).collect();
    let again = fields.get("again").to_owned();
    let all = fields.get("which") == "all";
    if !all && again.is_empty() && ticked.is_empty() {
        let wrong = "Nothing is chosen: tick what the plan is to close, or plan all of it.".to_owned();
        return drift::page(&app, &view, &person, frame, filter, Some(wrong));
    }
    let seen = SeenSystems::of(&app, &view, &person, Action::SeeDrift);
    let mut positions = filter.positions(&app, &view, &seen);
    if !again.is_empty() {
        let earlier = app.saved_plan(&again).await?;
        let earlier = earlier.ok_or_else(|| WebError::NotFound("the plan to make again".to_owned()))?;
        let about = accounts_of(&earlier.plan);
        positions.retain(|position| is_about(&view.drift()[*position as usize], &about));
    }
    let asked = ticked.len();
    let scope = Scope { restore: fields.has("restore"), ..Scope::default() };
    let by_box = !all && again.is_empty();
    let chosen = blocking({
        let view = view.clone();
        move || {
            let drift = positions.into_iter().map(|position| &view.drift()[position as usize]);
            let chosen = drift.filter(|item| !by_box || ticked.contains(&item.id()));
            chosen.cloned().collect::<Vec<DriftItem>>()
        }
    })
    .await?;
    require_may_plan(&app, &person, chosen.iter())?;
    if chosen.is_empty() {
        let address = filter.query().to_string();
        let text = "This is not drift any more: facts moved meanwhile. What you see now is up to date.";
        return Ok(redirect_with(&app, &address, FlashKind::Warning, text));
    }
    let found = chosen.len();
    let plan = computed(&view, chosen, scope).await?;
    app.store.save_plan(&plan, app.now()).await?;
    app.live.notify(NoticeKind::PlanMade, plan.hash.as_str());
    let mut text =
        format!("Planned. Nothing is changed before somebody approves: {} looked at.", count(found, "item"));
    if by_box && found < asked {
        text.push_str(&format!(" {} of what was chosen is not drift any more.", asked - found));
    }
    Ok(redirect_with(&app, &plan_path(&plan.hash), FlashKind::Done, &text))
}

/// Computes away from the threads that serve.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, WebError> {
    tokio::task::spawn_blocking(work).await.map_err(WebError::internal)
}

async fn computed(view: &Arc<View>, chosen: Vec<DriftItem>, scope: Scope) -> Result<Plan, WebError> {
    let view = view.clone();
    blocking(move || {
        let mut chosen = chosen;
        // The plan of the same drift is the same plan, however the list was sorted.
        chosen.sort();
        plan(view.evaluation(), &chosen, &scope, view.loaded().fingerprint())
    })
    .await
}

/// What a plan was about: accounts by system and name, and whom without one.
fn accounts_of(plan: &Plan) -> HashSet<(String, String)> {
    let planned = plan.items.iter().map(|item| (item.system.to_string(), item.account.clone()));
    // What is to come was never drift.
    let drift = plan.left_alone.iter().filter(|left| !left.why.starts_with(TO_COME));
    let left = drift.filter_map(|left| {
        let whom = left.account.clone().or_else(|| left.identity.as_ref().map(ToString::to_string))?;
        Some((left.system.to_string(), whom))
    });
    planned.chain(left).collect()
}

fn is_about(item: &DriftItem, accounts: &HashSet<(String, String)>) -> bool {
    let whom = item.login.clone().or_else(|| item.identity.as_ref().map(ToString::to_string));
    whom.is_some_and(|whom| accounts.contains(&(item.system.to_string(), whom)))
}
