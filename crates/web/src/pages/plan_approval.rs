//! The approval of a plan: what somebody says is recorded, and a task does it.

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use leasehold_decide::authority::Action;
use leasehold_model::id::PlanHash;
use leasehold_reconcile::stages::plan::check_is_current;

use super::plan::{Asked, PlanPart, needs_step_up, page, seen_plan};
use crate::error::WebError;
use crate::fields::Fields;
use crate::flash::{FlashKind, redirect_with};
use crate::form::Complaints;
use crate::frame::Frame;
use crate::kept_plans::KeptPlan;
use crate::parts::link::plan_path;
use crate::person::Person;
use crate::present::Present;
use crate::route::{Access, Route};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::POST, "/plans/{hash}/approve", Access::Needs(Action::ApprovePlan), || post(approve)),
    Route::page(Method::GET, "/plans/{hash}/approve", Access::Needs(Action::SeePlan), || get(back)),
];

/// Whoever comes back from showing that it is them finds the plan, not a form that is sent by itself.
async fn back(Path(hash): Path<String>) -> Response {
    Redirect::to(&plan_path(&PlanHash::from(hash))).into_response()
}

async fn approve(
    State(app): State<App>,
    Present(_): Present,
    person: Person,
    frame: Frame,
    Path(hash): Path<String>,
    fields: Fields,
) -> Result<Response, WebError> {
    let (kept, resource) = seen_plan(&app, &person, &hash).await?;
    person.require(&app, Action::ApprovePlan, &resource)?;
    let (overrides, typed, wrong) = overrides(&kept, &fields);
    if !overrides.is_empty() {
        person.require(&app, Action::OverrideGuard, &resource)?;
    }
    if needs_step_up(&app, &person, &kept) || !overrides.is_empty() {
        person.require_confirmed(app.now())?;
    }
    let view = app.live.refresh().await.map_err(|error| WebError::Unavailable(error.to_string()))?;
    let row = app.store.plan_row(&kept.plan.hash).await?;
    let begun = row.as_ref().is_some_and(|row| row.begun_at.is_some());
    let again = |status, wrong| {
        let asked = Asked { kept: kept.clone(), part: PlanPart::default(), typed: typed.clone(), wrong };
        page(&app, &view, &person, frame.clone(), status, asked)
    };
    if !wrong.is_empty() {
        return again(StatusCode::UNPROCESSABLE_ENTITY, wrong).await;
    }
    // Of a plan by which somebody leaves that is decided, and the task makes it anew where facts have moved.
    let is_decision = kept.plan.as_left.len() == 1;
    if !begun
        && !is_decision
        && let Err(error) = check_is_current(&kept.plan, view.loaded())
    {
        let words = format!("Not approved: {error}");
        return again(StatusCode::CONFLICT, Complaints::one("approve", words)).await;
    }
    let waits = row.as_ref().is_some_and(|row| row.stuck > 0 || row.on_the_way > 0);
    let made = app.store.guard_overrides(&kept.plan.hash).await?;
    let lifted = made.iter().map(|made| made.guard.clone()).chain(overrides.iter().cloned()).collect();
    let goes_on = kept.plan.items.iter().any(|item| kept.holding(&item.id, &lifted).is_empty());
    if !goes_on || (begun && overrides.is_empty() && !waits) {
        let words = if kept.plan.items.is_empty() {
            "Not approved: there is nothing to do in this plan."
        } else if goes_on {
            "Not approved: everything that no guard holds has ended already."
        } else {
            "Not approved: a guard holds every action. Override it by its name below, or take its way on."
        };
        return again(StatusCode::UNPROCESSABLE_ENTITY, Complaints::one("approve", words)).await;
    }
    app.driver.request_apply(&kept.plan.hash, &overrides, person.actor()).await?;
    let text = "Approved. It is carried out now, and each action is read back before it counts as done.";
    Ok(redirect_with(&app, &plan_path(&kept.plan.hash), FlashKind::Done, text))
}

/// Which guards were overridden by typing their names, what was typed, and what is wrong with it.
fn overrides(kept: &KeptPlan, fields: &Fields) -> (Vec<String>, HashMap<String, String>, Complaints) {
    let (mut overrides, mut typed, mut wrong) = (Vec::new(), HashMap::new(), Complaints::default());
    for guard in &kept.plan.guards {
        let field = format!("guard:{}", guard.name);
        let text = fields.get(&field).trim();
        if text.is_empty() {
            continue;
        }
        typed.insert(guard.name.clone(), text.to_owned());
        if text == guard.name {
            overrides.push(guard.name.clone());
        } else {
            wrong.add(
                &field,
                format!("this is not its name; type {} to override it, or leave it empty", guard.name),
            );
        }
    }
    (overrides, typed, wrong)
}
