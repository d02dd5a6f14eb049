//! Systems: how fresh and how complete each is, what its connector can do, and reading one now.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::Response;
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_reconcile::driver::SystemFace;
use leasehold_store::ScheduleRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::document::Problems;
use super::drift::SourceRow;
use super::system_name;
use super::tasks::{TaskAnswer, accepted};
use crate::error::WebError;
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/systems", Action::SeeSystem, || routes!(list)),
    Route::call(Method::GET, "/api/v1/systems/{name}", Action::SeeSystem, || routes!(one)),
    Route::call(Method::GET, "/api/v1/systems/{name}/problems", Action::SeeSystem, || routes!(problems)),
    Route::call(Method::POST, "/api/v1/systems/{name}/sync", Action::RunSync, || routes!(sync)),
];

/// What a connector can do, and a remark on it.
#[derive(Serialize, ToSchema)]
struct CapabilityRow {
    supported: bool,
    note: String,
}

/// A configured system.
#[derive(Serialize, ToSchema)]
struct SystemRow {
    system: String,
    connector: String,
    /// Its identities are the ones that access is for.
    authoritative: bool,
    /// How often it is read, in milliseconds.
    interval_ms: u64,
    /// When it is read next.
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    /// How many readings in a row have failed.
    failures: u32,
    /// What was wrong with the last reading, where it failed.
    trouble: Option<String>,
    source: SourceRow,
    /// How much drift there is.
    drift: usize,
    capabilities: BTreeMap<String, CapabilityRow>,
}

#[derive(Serialize, ToSchema)]
struct SystemList {
    items: Vec<SystemRow>,
}

fn row(app: &App, face: &SystemFace, schedules: &[ScheduleRow]) -> SystemRow {
    let schedule = schedules.iter().find(|schedule| schedule.system == face.name);
    let view = app.live.view();
    let state = view.as_ref().and_then(|view| view.systems().iter().find(|state| state.name == face.name));
    let source = state.map_or_else(|| SourceRow::unread(&face.name), SourceRow::of);
    let capabilities = serde_json::to_value(face.capabilities).unwrap_or_default();
    let capability = |(name, value): (&String, &serde_json::Value)| {
        let supported = value["supported"].as_bool().unwrap_or(false);
        (
            name.clone(),
            CapabilityRow { supported, note: value["note"].as_str().unwrap_or_default().to_owned() },
        )
    };
    SystemRow {
        system: face.name.to_string(),
        connector: face.connector_kind.clone(),
        authoritative: face.authoritative,
        interval_ms: face.interval_ms,
        due_at: schedule.map(|schedule| schedule.due_at),
        failures: schedule.map_or(0, |schedule| schedule.failures),
        trouble: schedule
            .filter(|schedule| schedule.failures > 0)
            .and_then(|schedule| schedule.detail.clone()),
        source,
        drift: view.as_ref().map_or(0, |view| view.drift_of_system(&face.name).len()),
        capabilities: capabilities.as_object().into_iter().flatten().map(capability).collect(),
    }
}

#[utoipa::path(get, path = "/api/v1/systems", tag = "systems",
    responses((status = 200, description = "Every configured system that you may see", body = SystemList), Problems))]
/// The configured systems that you may see.
async fn list(State(app): State<App>, person: Person) -> Result<Json<SystemList>, WebError> {
    let seen = app.systems_seen(&person, Action::SeeSystem);
    let schedules = app.driver.schedules().await?;
    let faces = app.driver.systems();
    let items = faces.iter().filter(|face| seen.has(&face.name)).map(|face| row(&app, face, &schedules));
    Ok(Json(SystemList { items: items.collect() }))
}

fn found(app: &App, person: &Person, name: &str) -> Result<SystemFace, WebError> {
    let what = || format!("the system `{name}`");
    let face = app.driver.systems().into_iter().find(|face| face.name.as_str() == name);
    let face = face.ok_or_else(|| WebError::NotFound(what()))?;
    person.require_seen(app, Action::SeeSystem, &app.resource_of_system(&face.name), what)?;
    Ok(face)
}

#[utoipa::path(get, path = "/api/v1/systems/{name}", tag = "systems",
    params(("name" = String, Path, description = "Its name in leasehold.toml")),
    responses((status = 200, description = "The system", body = SystemRow), Problems))]
/// One system.
async fn one(
    State(app): State<App>,
    person: Person,
    Path(name): Path<String>,
) -> Result<Json<SystemRow>, WebError> {
    let face = found(&app, &person, &name)?;
    let schedules = app.driver.schedules().await?;
    Ok(Json(row(&app, &face, &schedules)))
}

/// A piece of input that could not be used.
#[derive(Serialize, ToSchema)]
struct ProblemRow {
    place: String,
    message: String,
}

#[derive(Serialize, ToSchema)]
struct ProblemList {
    items: Vec<ProblemRow>,
}

#[utoipa::path(get, path = "/api/v1/systems/{name}/problems", tag = "systems",
    params(("name" = String, Path, description = "Its name in leasehold.toml")),
    responses((status = 200, description = "What could not be used in the latest reading", body = ProblemList), Problems))]
/// What could not be used in the latest reading of a system.
async fn problems(
    State(app): State<App>,
    person: Person,
    Path(name): Path<String>,
) -> Result<Json<ProblemList>, WebError> {
    let face = found(&app, &person, &name)?;
    let rows = app.store.problems(&face.name).await?;
    let items = rows.into_iter().map(|problem| ProblemRow { place: problem.place, message: problem.message });
    Ok(Json(ProblemList { items: items.collect() }))
}

/// How a system is to be read.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
struct NewSync {
    /// A person says that what is gone is really gone.
    #[serde(default)]
    accept_loss: bool,
}

#[utoipa::path(post, path = "/api/v1/systems/{name}/sync", tag = "systems", request_body = NewSync,
    params(("name" = String, Path, description = "Its name in leasehold.toml")),
    responses((status = 202, description = "The task that reads it", body = TaskAnswer), Problems))]
/// Has a system read now.
async fn sync(
    State(app): State<App>,
    person: Person,
    Path(name): Path<String>,
    Json(new): Json<NewSync>,
) -> Result<Response, WebError> {
    let name = system_name(&name)?;
    person.require(&app, Action::RunSync, &app.resource_of_system(&name))?;
    let requested = app.driver.request_sync(&name, new.accept_loss, person.actor()).await?;
    Ok(accepted(&requested))
}
