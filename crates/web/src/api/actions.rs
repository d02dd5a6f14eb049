//! Actions: what was sent to a system, and what was read back.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::Response;
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_model::action::ActionState;
use leasehold_model::id::{ActionId, IdentityKey, PlanHash, SystemName};
use leasehold_reconcile::notice::NoticeKind;
use leasehold_reconcile::tasks::resume;
use leasehold_store::{ActionFilter, ActionRow, Requested, Transition, TransitionOutcome, TransitionRow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::accounts::AccountRef;
use super::credentials::CredentialRef;
use super::document::Problems;
use super::tasks::{TaskAnswer, accepted};
use super::{paging, system_name, wrong};
use crate::error::WebError;
use crate::pages::actions::seen_action;
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/actions", Action::SeeAction, || routes!(list)),
    Route::call(Method::GET, "/api/v1/actions/{plan}/{id}", Action::SeeAction, || routes!(one)),
    Route::call(Method::POST, "/api/v1/actions/{plan}/{id}/retry", Action::RetryAction, || routes!(retry)),
];

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
    /// The credential that it is about, where it is about one.
    credential: Option<CredentialRef>,
    /// Whom it is handed over to; only of `hand_over_credential`.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<AccountRef>,
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
        credential: row.item.credential.as_ref().map(CredentialRef::from),
        to: row.item.to.as_ref().map(AccountRef::from),
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
#[serde(deny_unknown_fields)]
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
    let states = match state {
        None => Vec::new(),
        Some("waiting") => vec![ActionState::Planned, ActionState::Stuck],
        Some(name) => vec![
            ActionState::parse(name)
                .ok_or_else(|| wrong("state", format!("`{name}` is no state of an action")))?,
        ],
    };
    let filter = ActionFilter { plan: None, states, system: system_of(query.system.as_deref())? };
    let mut found: Vec<ActionRow> = Vec::new();
    let mut after = after.map(|(plan, id)| (PlanHash::from(plan), ActionId::from(id)));
    // Rows that may not be seen are passed over, a page at a time.
    while found.len() <= limit {
        let rows = app.store.actions_after(&filter, after.as_ref(), limit + 1).await?;
        let is_last = rows.len() <= limit;
        after = rows.last().map(|row| (row.plan.clone(), row.id.clone()));
        found.extend(rows.into_iter().filter(|row| seen.has(&row.item.system)));
        if is_last {
            break;
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let next =
        found.last().filter(|_| more).map(|last| paging::cursor(&(last.plan.as_str(), last.id.as_str())));
    Ok(Json(ActionList { items: found.iter().map(document).collect(), next }))
}

fn system_of(name: Option<&str>) -> Result<Option<SystemName>, WebError> {
    name.map(system_name).transpose()
}

/// One step of an action.
#[derive(Serialize, ToSchema)]
struct TransitionDocument {
    from: &'static str,
    to: &'static str,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    reason: Option<String>,
    /// What came with it, such as what was read back.
    #[schema(value_type = Option<Object>)]
    detail: serde_json::Value,
    /// The entry that records it.
    ledger_index: u64,
}

impl From<TransitionRow> for TransitionDocument {
    fn from(row: TransitionRow) -> Self {
        Self {
            from: row.from.as_str(),
            to: row.to.as_str(),
            at: row.at,
            reason: row.reason,
            detail: row.detail,
            ledger_index: row.ledger_index,
        }
    }
}

/// An action with every step that it took.
#[derive(Serialize, ToSchema)]
struct ActionDetail {
    #[serde(flatten)]
    action: ActionDocument,
    /// Why it is in its plan.
    because: Vec<String>,
    /// First to last.
    transitions: Vec<TransitionDocument>,
}

#[utoipa::path(get, path = "/api/v1/actions/{plan}/{id}", tag = "actions",
    params(("plan" = String, Path, description = "The hash of its plan"), ("id" = String, Path, description = "Its name")),
    responses((status = 200, description = "The action", body = ActionDetail), Problems))]
/// One action and every step that it took.
async fn one(
    State(app): State<App>,
    person: Person,
    Path((plan, id)): Path<(String, String)>,
) -> Result<Json<ActionDetail>, WebError> {
    let (plan, id) = (PlanHash::from(plan), ActionId::from(id));
    let row = seen_action(&app, &person, &plan, &id).await?;
    let steps = app.store.transitions(&plan, &id).await?;
    Ok(Json(ActionDetail {
        action: document(&row),
        because: row.item.because.clone(),
        transitions: steps.into_iter().map(TransitionDocument::from).collect(),
    }))
}

/// What came of a person's word that an action is tried again.
pub(crate) enum Retried {
    /// It is, by this task.
    Again(Requested),
    /// It waits for nobody any more.
    NoLonger(ActionState),
}

/// A person's word that a stuck action is tried again: it is recorded, and a task takes it up.
///
/// # Errors
/// [`WebError::Refused`] where it is about their own access, [`WebError::Forbidden`], [`WebError::NotFound`].
pub(crate) async fn try_again(
    app: &App,
    person: &Person,
    plan: PlanHash,
    id: ActionId,
) -> Result<Retried, WebError> {
    let row = seen_action(app, person, &plan, &id).await?;
    person.require(app, Action::RetryAction, &app.resource_of_system(&row.item.system))?;
    let own = person.identity().map(IdentityKey::folded);
    if own.is_some() && own == row.item.identity.as_ref().map(IdentityKey::folded) {
        return Err(WebError::Refused(
            "nobody decides on their own access: somebody else has to try this again".to_owned(),
        ));
    }
    if row.state != ActionState::Stuck {
        return Ok(Retried::NoLonger(row.state));
    }
    let again = Transition {
        plan,
        action: id,
        from: ActionState::Stuck,
        to: ActionState::Approved,
        at: app.now(),
        reason: Some(format!("tried again by {}", person.actor())),
        detail: serde_json::Value::Null,
        next_attempt_at: None,
        observed: Vec::new(),
    };
    if let TransitionOutcome::Moved { actual } = app.store.transition(&again).await? {
        return Ok(Retried::NoLonger(actual));
    }
    app.live.notify(NoticeKind::ActionChanged, again.action.as_str());
    let task = resume::request(person.actor(), app.now());
    let requested = app.store.request_task(&task, app.now()).await?;
    app.live.notify(NoticeKind::TaskChanged, requested.id());
    Ok(Retried::Again(requested))
}

#[utoipa::path(post, path = "/api/v1/actions/{plan}/{id}/retry", tag = "actions",
    params(("plan" = String, Path, description = "The hash of its plan"), ("id" = String, Path, description = "Its name")),
    responses((status = 202, description = "The task that takes it up", body = TaskAnswer), Problems))]
/// Has a stuck action tried again.
async fn retry(
    State(app): State<App>,
    person: Person,
    Path((plan, id)): Path<(String, String)>,
) -> Result<Response, WebError> {
    match try_again(&app, &person, PlanHash::from(plan), ActionId::from(id)).await? {
        Retried::Again(requested) => Ok(accepted(&requested)),
        Retried::NoLonger(state) => {
            Err(WebError::Conflict(format!("nothing to try again: it is {} now", state.as_str())))
        }
    }
}
