//! Offboarding: a plan that ends everything somebody holds, now; or the instant at which they leave, and what follows then.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_model::id::IdentityKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::document::Problems;
use super::identities::seen;
use super::plans::{PlanDocument, document};
use super::wrong;
use crate::error::WebError;
use crate::pages::identity::propose::{may_take_back, offboarding_plan};
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::POST, "/api/v1/identities/{key}/offboard", Action::ProposePlan, || routes!(offboard)),
    Route::call(Method::PUT, "/api/v1/identities/{key}/departure", Action::ApprovePlan, || routes!(depart)),
    Route::call(Method::DELETE, "/api/v1/identities/{key}/departure", Action::ApprovePlan, || {
        routes!(take_back)
    }),
];

/// What is decided beside that somebody leaves.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Offboarding {
    /// Who takes over every non-human that they answer for.
    #[serde(default)]
    successor: Option<String>,
}

/// When somebody leaves.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewDeparture {
    /// The first instant at which they may hold nothing. In the future: who leaves now is offboarded.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// A departure that was recorded.
#[derive(Serialize, ToSchema)]
struct DepartureAnswer {
    identity: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The task that ends everything then; cancelled by taking the departure back.
    task: String,
}

#[derive(Serialize, ToSchema)]
struct TakenBack {
    identity: String,
    /// Whether a departure was in force.
    taken_back: bool,
}

#[utoipa::path(post, path = "/api/v1/identities/{key}/offboard", tag = "identities",
    params(("key" = String, Path, description = "Its primary key, in any case")),
    request_body(content = Option<Offboarding>, description = "Who takes over what they answer for"),
    responses((status = 201, description = "The plan, which changes nothing until it is approved: whoever approves it decides that they leave", body = PlanDocument), Problems))]
/// Makes a plan that ends everything that an identity holds, as if it had left now.
async fn offboard(
    State(app): State<App>,
    person: Person,
    Path(key): Path<String>,
    asked: Option<Json<Offboarding>>,
) -> Result<Response, WebError> {
    let view = app.view()?;
    let index = seen(&app, &person, &view, &key)?;
    let key = view.evaluation().identities[index.index()].key.clone();
    let successor = asked.and_then(|Json(asked)| asked.successor).map(|key| IdentityKey::from(key.trim()));
    let plan = offboarding_plan(&app, &person, &view, &key, successor).await?;
    app.store.save_plan(&plan, app.now()).await?;
    let location = format!("/api/v1/plans/{}", plan.hash);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(document(&plan, &[]))).into_response())
}

/// The identity, where this person may decide that it leaves.
pub(super) fn decided_on(app: &App, person: &Person, key: &str) -> Result<IdentityKey, WebError> {
    let view = app.view()?;
    let index = seen(app, person, &view, key)?;
    let key = view.evaluation().identities[index.index()].key.clone();
    if !may_take_back(app, person, &key) {
        return Err(WebError::Forbidden(Action::ApprovePlan));
    }
    person.require_confirmed(app.now())?;
    Ok(key)
}

#[utoipa::path(put, path = "/api/v1/identities/{key}/departure", tag = "identities",
    params(("key" = String, Path, description = "Its primary key, in any case")),
    request_body = NewDeparture,
    responses((status = 202, description = "They leave then, and everything ends then", body = DepartureAnswer), Problems))]
/// Decides when somebody leaves, whatever their source says.
async fn depart(
    State(app): State<App>,
    person: Person,
    Path(key): Path<String>,
    Json(new): Json<NewDeparture>,
) -> Result<Response, WebError> {
    let key = decided_on(&app, &person, &key)?;
    if new.at <= app.now() {
        return Err(wrong("at", "this has passed: who leaves now is offboarded, by the call `offboard`"));
    }
    let recorded = app.driver.request_offboard(&key, new.at, person.actor()).await?;
    let Some(task) = recorded else {
        return Err(WebError::Conflict(format!(
            "it is decided already when {key} leaves: take that back first, or offboard now"
        )));
    };
    let answer = DepartureAnswer { identity: key.to_string(), at: new.at, task };
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

#[utoipa::path(delete, path = "/api/v1/identities/{key}/departure", tag = "identities",
    params(("key" = String, Path, description = "Its primary key, in any case")),
    responses((status = 200, description = "What the source says counts again", body = TakenBack), Problems))]
/// Takes a departure back that a person decided on.
async fn take_back(
    State(app): State<App>,
    person: Person,
    Path(key): Path<String>,
) -> Result<Json<TakenBack>, WebError> {
    let key = decided_on(&app, &person, &key)?;
    let taken_back = app.store.rescind_departure(&key, person.actor(), app.now()).await?;
    app.live.refresh().await?;
    Ok(Json(TakenBack { identity: key.to_string(), taken_back }))
}
