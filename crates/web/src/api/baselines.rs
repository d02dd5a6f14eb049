//! Baselines: a reason that ends, for access that was there when a system was first connected.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_model::id::IdentityKey;
use leasehold_model::reason::Baseline;
use leasehold_reconcile::stages::decide::in_force;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::document::Problems;
use super::{system_name, wrong};
use crate::error::WebError;
use crate::form::{Complaints, short_text};
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/baselines", Action::SeeSystem, || routes!(list)),
    Route::call(Method::POST, "/api/v1/baselines", Action::AdoptBaseline, || routes!(adopt)),
    Route::call(Method::DELETE, "/api/v1/baselines/{system}", Action::AdoptBaseline, || routes!(end)),
];

/// A baseline.
#[derive(Serialize, ToSchema)]
struct BaselineRow {
    system: String,
    /// The last epoch whose grants it covers.
    epoch: i64,
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    owner: String,
    #[schema(value_type = String, format = DateTime)]
    adopted_at: Timestamp,
    /// `in force`, `ended` or `replaced`.
    state: &'static str,
}

#[derive(Serialize, ToSchema)]
struct BaselineList {
    items: Vec<BaselineRow>,
}

/// A baseline to be adopted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewBaseline {
    system: String,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// Who answers for it; whoever asks, where nobody is named.
    owner: Option<String>,
}

fn row(baseline: &Baseline, last: bool, now: Timestamp) -> BaselineRow {
    let state = match last {
        true if baseline.until > now => "in force",
        true => "ended",
        false => "replaced",
    };
    BaselineRow {
        system: baseline.system.to_string(),
        epoch: baseline.epoch.0,
        until: baseline.until,
        owner: baseline.owner.clone(),
        adopted_at: baseline.adopted_at,
        state,
    }
}

#[utoipa::path(get, path = "/api/v1/baselines", tag = "baselines",
    responses((status = 200, description = "Every baseline, in the order of adoption", body = BaselineList), Problems))]
/// Baselines of the systems that you may see.
async fn list(State(app): State<App>, person: Person) -> Result<Json<BaselineList>, WebError> {
    let seen = app.systems_seen(&person, Action::SeeSystem);
    let baselines = app.store.baselines().await?;
    let last = in_force(baselines.clone());
    let of_seen = baselines.iter().filter(|baseline| seen.has(&baseline.system));
    let items = of_seen.map(|baseline| row(baseline, last.contains(baseline), app.now()));
    Ok(Json(BaselineList { items: items.collect() }))
}

#[utoipa::path(post, path = "/api/v1/baselines", tag = "baselines", request_body = NewBaseline,
    responses((status = 201, description = "The baseline", body = BaselineRow), Problems))]
/// Gives what a system shows now a reason that ends.
async fn adopt(
    State(app): State<App>,
    person: Person,
    Json(new): Json<NewBaseline>,
) -> Result<Response, WebError> {
    let system = system_name(&new.system)?;
    person.require(&app, Action::AdoptBaseline, &app.resource_of_system(&system))?;
    let now = app.now();
    if new.until <= now {
        return Err(wrong("until", "a baseline must end in the future"));
    }
    let view = app.live.refresh().await?;
    let read = view.systems().iter().any(|state| state.name == system && state.latest.is_some());
    if !read {
        return Err(wrong("system", format!("`{system}` was not read yet: have it read first")));
    }
    let owner = new.owner.unwrap_or_else(|| person.actor().to_owned());
    let mut complaints = Complaints::default();
    let owner = short_text(&owner, "owner", &mut complaints).to_owned();
    if !complaints.is_empty() {
        return Err(WebError::Invalid(complaints.into_fields()));
    }
    if view.evaluation().owner_is_live(&IdentityKey::from(owner.as_str())) == Some(false) {
        let message = format!("`{owner}` has left or may hold no access, so nothing can be owned by them");
        return Err(wrong("owner", message));
    }
    // What the latest change of the store has shown is covered; what comes later is not.
    let epochs = &view.loaded().snapshot.epoch_ended_at;
    let epoch = epochs.keys().next_back().copied().unwrap_or_default();
    let baseline = Baseline { system, epoch, until: new.until, owner, adopted_at: now };
    app.store.adopt_baseline(&baseline, now).await?;
    app.live.refresh().await?;
    Ok((StatusCode::CREATED, Json(row(&baseline, true, now))).into_response())
}

#[utoipa::path(delete, path = "/api/v1/baselines/{system}", tag = "baselines",
    params(("system" = String, Path, description = "The system's name")),
    responses((status = 200, description = "The baseline as it ended", body = BaselineRow), Problems))]
/// Ends the baseline of a system now.
async fn end(
    State(app): State<App>,
    person: Person,
    Path(system): Path<String>,
) -> Result<Json<BaselineRow>, WebError> {
    let system = system_name(&system)?;
    person.require(&app, Action::AdoptBaseline, &app.resource_of_system(&system))?;
    let now = app.now();
    let ended = app.store.end_baseline(&system, now).await?;
    let ended =
        ended.ok_or_else(|| WebError::NotFound(format!("a baseline of `{system}` that is in force")))?;
    app.live.refresh().await?;
    Ok(Json(row(&ended, true, now)))
}
