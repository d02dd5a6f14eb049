//! Actions: what was sent to a system, and what was read back.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::Method;
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_model::action::ActionState;
use leasehold_store::ActionRow;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::document::Problems;
use super::{paging, wrong};
use crate::error::WebError;
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::call(Method::GET, "/api/v1/actions", Action::SeeAction, || routes!(list))];

/// An action and where it stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActionDocument {
    id: String,
    /// The hash of its plan.
    plan: String,
    verb: &'static str,
    system: String,
    account: String,
    identity: Option<String>,
    /// With what, as `kind/name`.
    entitlement: Option<String>,
    /// `planned`, `approved`, `sent`, `acknowledged`, `verified`, `contradicted`, `stuck`, `unverifiable` or `void`.
    state: &'static str,
    /// How often it was sent since it was last approved.
    attempts: u32,
    /// Of its last transition.
    reason: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    sent_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    read_back_at: Option<Timestamp>,
    /// The ledger entry of its final state.
    ledger_index: Option<u64>,
}

pub(crate) fn document(row: &ActionRow) -> ActionDocument {
    ActionDocument {
        id: row.id.to_string(),
        plan: row.plan.to_string(),
        verb: row.item.verb.as_str(),
        system: row.item.system.to_string(),
        account: row.item.account.clone(),
        identity: row.item.identity.as_ref().map(ToString::to_string),
        entitlement: row.item.entitlement.as_ref().map(ToString::to_string),
        state: row.state.as_str(),
        attempts: row.attempts,
        reason: row.reason.clone(),
        next_attempt_at: row.next_attempt_at,
        sent_at: row.sent_at,
        read_back_at: row.read_back_at,
        ledger_index: row.ledger_index,
    }
}

#[derive(Serialize, ToSchema)]
struct ActionList {
    items: Vec<ActionDocument>,
    /// The cursor of the following page.
    next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only in this state; `waiting` stands for those that wait for a person.
    state: Option<String>,
    /// Only in this system.
    system: Option<String>,
    /// Rows on a page, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// From `next` of the page before.
    cursor: Option<String>,
}

#[utoipa::path(get, path = "/api/v1/actions", tag = "actions", params(ListQuery),
    responses((status = 200, description = "A page of actions, in the order of plans", body = ActionList), Problems))]
/// Actions in the systems that you may see.
async fn list(
    State(app): State<App>,
    person: Person,
    Query(query): Query<ListQuery>,
) -> Result<Json<ActionList>, WebError> {
    let limit = paging::rows(query.limit)?;
    let after: Option<(String, String)> = paging::after(query.cursor.as_deref())?;
    let seen = app.systems_seen(&person, Action::SeeAction);
    let state = query.state.as_deref();
    let rows = match state {
        Some("waiting") => app.store.waiting_actions().await?,
        Some("stuck") => app.store.stuck_actions().await?,
        _ => app.store.all_actions().await?,
    };
    if let Some(name) = state.filter(|name| *name != "waiting")
        && !ActionState::ALL.iter().any(|state| state.as_str() == name)
    {
        return Err(wrong("state", format!("`{name}` is no state of an action")));
    }
    let from = match &after {
        None => 0,
        Some((plan, id)) => rows
            .iter()
            .position(|row| row.plan.as_str() == plan && row.id.as_str() == id)
            .map_or(rows.len(), |place| place + 1),
    };
    let wanted = |row: &&ActionRow| {
        state.is_none_or(|name| name == "waiting" || row.state.as_str() == name)
            && query.system.as_deref().is_none_or(|name| row.item.system.as_str() == name)
            && seen.includes(&row.item.system)
    };
    let mut found: Vec<&ActionRow> = rows[from..].iter().filter(wanted).take(limit + 1).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let next =
        found.last().filter(|_| more).map(|last| paging::cursor(&(last.plan.as_str(), last.id.as_str())));
    Ok(Json(ActionList { items: found.into_iter().map(document).collect(), next }))
}
