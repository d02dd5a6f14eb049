//! Plans: made from drift, looked at, and approved.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use leasehold_decide::authority::{Action, Resource};
use leasehold_decide::plan::Scope;
use leasehold_model::id::{EntitlementName, IdentityKey};
use leasehold_model::plan::Plan;
use leasehold_model::text::safe;
use leasehold_store::ActionRow;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::accounts::AccountRef;
use super::credentials::CredentialRef;
use super::document::Problems;
use super::drift::drift_kind;
use super::tasks::TaskAnswer;
use super::{actions, paging, system_name, wrong};
use crate::error::WebError;
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/plans", Action::SeePlan, || routes!(list)),
    Route::call(Method::POST, "/api/v1/plans", Action::ProposePlan, || routes!(make)),
    Route::call(Method::GET, "/api/v1/plans/{hash}", Action::SeePlan, || routes!(one)),
    Route::call(Method::POST, "/api/v1/plans/{hash}/apply", Action::ApprovePlan, || routes!(apply)),
];

/// What a plan would do.
#[derive(Serialize, ToSchema)]
struct ItemRow {
    id: String,
    /// What is done: `grant`, `revoke`, `disable_account`, `end_sessions`, `revoke_credential`, ….
    verb: &'static str,
    system: String,
    account: String,
    account_key: String,
    /// Whose account it is, where known.
    identity: Option<String>,
    /// With what, as `kind/name`; null for verbs on the account itself.
    entitlement: Option<String>,
    /// The credential that it is about, where it is about one.
    credential: Option<CredentialRef>,
    /// Whom it is handed over to; only of `hand_over_credential`.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<AccountRef>,
    because: Vec<String>,
    /// What else the account loses by it, effectively.
    also_loses: Vec<String>,
    /// Actions that must be verified before this one is sent.
    after: Vec<String>,
}

/// Drift that a plan does nothing about.
#[derive(Serialize, ToSchema)]
struct LeftAloneRow {
    system: String,
    account: Option<String>,
    identity: Option<String>,
    entitlement: Option<String>,
    why: String,
}

/// What holds items back until a person overrides it by name.
#[derive(Serialize, ToSchema)]
struct GuardRow {
    /// The name to override it by.
    name: String,
    /// `blast_radius`, `last_administrator`, `owner_gone` or `mass_departure`.
    kind: &'static str,
    system: String,
    /// What it found.
    message: String,
    /// What a person can do.
    way_on: String,
    /// The items that wait.
    holds: Vec<String>,
}

/// What a plan was computed from.
#[derive(Serialize, ToSchema)]
struct StateRow {
    /// For each system the last epoch that changed a fact of it.
    systems: std::collections::BTreeMap<String, i64>,
    policy: String,
    claims: String,
}

/// A plan.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanDocument {
    hash: String,
    items: Vec<ItemRow>,
    left_alone: Vec<LeftAloneRow>,
    guards: Vec<GuardRow>,
    /// Non-humans that somebody takes over, with who.
    successors: std::collections::BTreeMap<String, String>,
    state: StateRow,
    /// Its actions, once it was approved.
    actions: Vec<actions::ActionDocument>,
}

/// A plan in short.
#[derive(Serialize, ToSchema)]
struct PlanRow {
    hash: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// How many items it has.
    items: usize,
    /// How much drift it leaves alone.
    left_alone: usize,
    /// The guards that hold some of it back, by name.
    guards: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct PlanList {
    items: Vec<PlanRow>,
    /// The cursor of the following page.
    next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Rows on a page, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// From `next` of the page before.
    cursor: Option<String>,
}

/// Which drift a plan is to close; what is empty does not restrict.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPlan {
    /// Only these systems.
    #[serde(default)]
    systems: Vec<String>,
    /// Only these kinds of drift.
    #[serde(default)]
    kinds: Vec<String>,
    /// Only these identities, by key.
    #[serde(default)]
    identities: Vec<String>,
    /// What was removed out of band returns.
    #[serde(default)]
    restore: bool,
}

/// The approval of a plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Approval {
    /// The guards that are overridden, by name.
    #[serde(default)]
    overrides: Vec<String>,
}

fn texts(names: &[EntitlementName]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

pub(crate) fn document(plan: &Plan, rows: &[ActionRow]) -> PlanDocument {
    let items = plan.items.iter().map(|item| ItemRow {
        id: item.id.to_string(),
        verb: item.verb.as_str(),
        system: item.system.to_string(),
        account: item.account.clone(),
        account_key: item.account_key.to_string(),
        identity: item.identity.as_ref().map(ToString::to_string),
        entitlement: item.entitlement.as_ref().map(ToString::to_string),
        credential: item.credential.as_ref().map(CredentialRef::from),
        to: item.to.as_ref().map(AccountRef::from),
        because: item.because.clone(),
        also_loses: texts(&item.also_loses),
        after: item.after.iter().map(ToString::to_string).collect(),
    });
    let left_alone = plan.left_alone.iter().map(|left| LeftAloneRow {
        system: left.system.to_string(),
        account: left.account.clone(),
        identity: left.identity.as_ref().map(ToString::to_string),
        entitlement: left.entitlement.as_ref().map(ToString::to_string),
        why: left.why.clone(),
    });
    let guards = plan.guards.iter().map(|guard| GuardRow {
        name: guard.name.clone(),
        kind: guard.kind.as_str(),
        system: guard.system.to_string(),
        message: guard.message.clone(),
        way_on: guard.way_on.clone(),
        holds: guard.holds.iter().map(ToString::to_string).collect(),
    });
    PlanDocument {
        hash: plan.hash.to_string(),
        items: items.collect(),
        left_alone: left_alone.collect(),
        guards: guards.collect(),
        successors: plan.successors.iter().map(|(key, owner)| (key.to_string(), owner.to_string())).collect(),
        state: StateRow {
            systems: plan.state.systems.iter().map(|(name, epoch)| (name.to_string(), epoch.0)).collect(),
            policy: plan.state.policy.clone(),
            claims: plan.state.claims.clone(),
        },
        actions: rows.iter().map(actions::document).collect(),
    }
}

#[utoipa::path(get, path = "/api/v1/plans", tag = "plans", params(ListQuery),
    responses((status = 200, description = "A page of plans, the newest first", body = PlanList), Problems))]
/// Plans that you may see.
async fn list(
    State(app): State<App>,
    person: Person,
    Query(query): Query<ListQuery>,
) -> Result<Json<PlanList>, WebError> {
    let limit = paging::rows(query.limit)?;
    let before: Option<i64> = paging::after(query.cursor.as_deref())?;
    let mut plans = app.store.plans(before, limit + 1).await?;
    let more = plans.len() > limit;
    plans.truncate(limit);
    let next = plans.last().filter(|_| more).map(|(id, ..)| paging::cursor(id));
    let may_see = |plan: &Plan| person.may(&app, Action::SeePlan, &app.resource_of_plan(plan));
    let everywhere = person.may_everywhere(&app, Action::SeePlan);
    let items =
        plans.iter().filter(|(.., plan)| everywhere || may_see(plan)).map(|(_, created_at, plan)| PlanRow {
            hash: plan.hash.to_string(),
            created_at: *created_at,
            items: plan.items.len(),
            left_alone: plan.left_alone.len(),
            guards: plan.guards.iter().map(|guard| guard.name.clone()).collect(),
        });
    Ok(Json(PlanList { items: items.collect(), next }))
}

#[utoipa::path(post, path = "/api/v1/plans", tag = "plans", request_body = NewPlan,
    responses((status = 201, description = "The plan, which changes nothing until it is approved", body = PlanDocument), Problems))]
/// Makes a plan from the present state and keeps it.
async fn make(
    State(app): State<App>,
    person: Person,
    Json(new): Json<NewPlan>,
) -> Result<Response, WebError> {
    let mut scope = Scope { restore: new.restore, to_come: true, ..Scope::default() };
    for name in &new.systems {
        scope.systems.push(system_name(name)?);
    }
    for name in &new.kinds {
        scope.kinds.push(drift_kind(name)?);
    }
    scope.identities = new.identities.iter().map(|key| IdentityKey::from(key.as_str())).collect();
    if scope.systems.is_empty() {
        person.require(&app, Action::ProposePlan, &Resource::Installation)?;
    }
    for system in &scope.systems {
        person.require(&app, Action::ProposePlan, &app.resource_of_system(system))?;
    }
    let systems = app.driver.systems();
    if let Some(name) = scope.systems.iter().find(|name| systems.iter().all(|face| face.name != **name)) {
        return Err(wrong("systems", format!("there is no system `{name}`")));
    }
    let view = app.view()?;
    if let Some(key) = scope.identities.iter().find(|key| view.evaluation().identity(key).is_none()) {
        return Err(wrong("identities", format!("there is no identity `{}`", safe(key))));
    }
    let plan = app.driver.make_plan(scope).await?;
    let location = format!("/api/v1/plans/{}", plan.hash);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(document(&plan, &[]))).into_response())
}

/// A plan that the person may see, by its hash or the beginning of it.
async fn found(app: &App, person: &Person, hash: &str) -> Result<Plan, WebError> {
    let what = || format!("the plan {hash}");
    if hash.len() < 6 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong("hash", "write the plan's hash, or at least its first six digits"));
    }
    let plan = app.store.plan(hash).await?.ok_or_else(|| WebError::NotFound(what()))?;
    person.require_seen(app, Action::SeePlan, &app.resource_of_plan(&plan), what)?;
    Ok(plan)
}

#[utoipa::path(get, path = "/api/v1/plans/{hash}", tag = "plans",
    params(("hash" = String, Path, description = "Its hash, or the beginning of it")),
    responses((status = 200, description = "The plan", body = PlanDocument), Problems))]
/// One plan, with its actions once it was approved.
async fn one(
    State(app): State<App>,
    person: Person,
    Path(hash): Path<String>,
) -> Result<Json<PlanDocument>, WebError> {
    let plan = found(&app, &person, &hash).await?;
    let rows = app.store.actions(&plan.hash).await?;
    Ok(Json(document(&plan, &rows)))
}

#[utoipa::path(post, path = "/api/v1/plans/{hash}/apply", tag = "plans", request_body = Approval,
    params(("hash" = String, Path, description = "Its hash, or the beginning of it")),
    responses((status = 202, description = "The task that carries it out", body = TaskAnswer), Problems))]
/// Approves a plan, and has it carried out. What is stuck in it is tried anew.
async fn apply(
    State(app): State<App>,
    person: Person,
    Path(hash): Path<String>,
    Json(approval): Json<Approval>,
) -> Result<Response, WebError> {
    let plan = found(&app, &person, &hash).await?;
    approve(&app, &person, &plan, &approval.overrides).await
}

/// Whether somebody may approve a plan, with these guards overridden.
///
/// # Errors
/// [`WebError::Refused`] where it is about their own access, [`WebError::Forbidden`], [`WebError::StepUp`].
pub(crate) fn require_approval(
    app: &App,
    person: &Person,
    plan: &Plan,
    overrides: &[String],
) -> Result<(), WebError> {
    let own = person.identity().map(IdentityKey::folded);
    let about_own = |identity: &IdentityKey| Some(identity.folded()) == own;
    if let Some(item) = plan.items.iter().find(|item| item.identity.as_ref().is_some_and(about_own)) {
        return Err(WebError::Refused(format!(
            "action {} is about your own access, and nobody decides on their own: somebody else has to approve this \
             plan, or make one without it",
            item.id
        )));
    }
    let resource = app.resource_of_plan(plan);
    person.require(app, Action::ApprovePlan, &resource)?;
    if !overrides.is_empty() {
        person.require(app, Action::OverrideGuard, &resource)?;
    }
    person.require_confirmed(app.now())
}

async fn approve(
    app: &App,
    person: &Person,
    plan: &Plan,
    overrides: &[String],
) -> Result<Response, WebError> {
    require_approval(app, person, plan, overrides)?;
    let requested = app.driver.request_apply(&plan.hash, overrides, person.actor()).await?;
    Ok(super::tasks::accepted(&requested))
}
