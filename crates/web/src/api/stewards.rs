//! Non-humans: who answers for one from now on, and its end in two phases with a way back.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use leasehold_decide::authority::Action;
use leasehold_model::id::IdentityKey;
use leasehold_reconcile::workflow::steward::Word;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::document::Problems;
use super::offboard::decided_on;
use crate::error::WebError;
use crate::pages::identity::steward::{LetIn, let_in, say};
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::PUT, "/api/v1/identities/{key}/owner", Action::ApprovePlan, || routes!(take_over)),
    Route::call(Method::PUT, "/api/v1/identities/{key}/retirement", Action::ApprovePlan, || routes!(stop)),
    Route::call(Method::DELETE, "/api/v1/identities/{key}/retirement", Action::ApprovePlan, || {
        routes!(bring_back)
    }),
];

/// Who answers for a non-human from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewOwner {
    /// A person who is known and here; not whoever asks.
    owner: String,
}

/// Who answers for a non-human.
#[derive(Serialize, ToSchema)]
struct OwnerAnswer {
    identity: String,
    owner: String,
    /// The plan that lets in again, or hands over, what was stopped, where anything was: it is being carried out.
    plan: Option<String>,
    /// What is not let in or handed over, and why.
    left_alone: Vec<String>,
}

/// How a non-human ends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRetirement {
    /// For good, without being watched any longer. Only of one that is stopped.
    #[serde(default)]
    end: bool,
}

/// Where a non-human stands.
#[derive(Serialize, ToSchema)]
struct RetirementAnswer {
    identity: String,
    /// `stopped`, `ended` or `brought_back`.
    state: &'static str,
    /// The plan that lets in again what was stopped, where anything was: it is being carried out.
    plan: Option<String>,
}

#[utoipa::path(put, path = "/api/v1/identities/{key}/owner", tag = "identities",
    params(("key" = String, Path, description = "The key of a service account, workload or agent, in any case; or of somebody who has left, whose scheduled jobs are taken over")),
    request_body = NewOwner,
    responses((status = 200, description = "They answer for it from now on", body = OwnerAnswer), Problems))]
/// Says who answers for a non-human from now on, whatever its system or the policy says; or who takes over what somebody who has left
/// had running by itself: it runs as their account from then on.
async fn take_over(
    State(app): State<App>,
    person: Person,
    Path(key): Path<String>,
    Json(new): Json<NewOwner>,
) -> Result<Json<OwnerAnswer>, WebError> {
    let key = decided_on(&app, &person, &key)?;
    let owner = IdentityKey::from(new.owner.trim());
    let word = Word::TakeOver(owner.clone());
    let key = say(&app, &person, &key, &word).await?;
    let LetIn { plan, why } = let_in(&app, &person, &key, &word).await?;
    let plan = plan.map(|plan| plan.to_string());
    Ok(Json(OwnerAnswer { identity: key.to_string(), owner: owner.to_string(), plan, left_alone: why }))
}

#[utoipa::path(put, path = "/api/v1/identities/{key}/retirement", tag = "identities",
    params(("key" = String, Path, description = "The key of a service account, workload or agent, in any case")),
    request_body = NewRetirement,
    responses((status = 200, description = "It is stopped, or ends for good: what it holds is drift now", body = RetirementAnswer), Problems))]
/// Stops a non-human so that it can be brought back, or ends one that is stopped.
async fn stop(
    State(app): State<App>,
    person: Person,
    Path(key): Path<String>,
    Json(new): Json<NewRetirement>,
) -> Result<Json<RetirementAnswer>, WebError> {
    let key = decided_on(&app, &person, &key)?;
    let (word, state) = if new.end { (Word::End, "ended") } else { (Word::Stop, "stopped") };
    let key = say(&app, &person, &key, &word).await?;
    Ok(Json(RetirementAnswer { identity: key.to_string(), state, plan: None }))
}

#[utoipa::path(delete, path = "/api/v1/identities/{key}/retirement", tag = "identities",
    params(("key" = String, Path, description = "The key of a service account, workload or agent, in any case")),
    responses((status = 200, description = "What was stopped is let in again, by a plan that you approve with this", body = RetirementAnswer), Problems))]
/// Brings a stopped non-human back, or one that had ended and is listed still: what was deleted stays so.
async fn bring_back(
    State(app): State<App>,
    person: Person,
    Path(key): Path<String>,
) -> Result<Json<RetirementAnswer>, WebError> {
    let key = decided_on(&app, &person, &key)?;
    let key = say(&app, &person, &key, &Word::BringBack).await?;
    let plan = let_in(&app, &person, &key, &Word::BringBack).await?.plan.map(|plan| plan.to_string());
    Ok(Json(RetirementAnswer { identity: key.to_string(), state: "brought_back", plan }))
}
