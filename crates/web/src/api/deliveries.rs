//! What was sent to a webhook, what became of it, and having it sent once more.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use leasehold_decide::authority::{Action, Resource};
use leasehold_store::{Delivery, DeliveryState};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::document::Problems;
use super::{paging, wrong};
use crate::error::WebError;
use crate::person::Person;
use crate::route::Route;
use crate::state::App;
use crate::webhook::event::test_message;
use crate::webhook::wanted::{administer, found};

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::POST, "/api/v1/webhooks/{id}/test", Action::AdministerWebhooks, || routes!(test)),
    Route::call(Method::GET, "/api/v1/webhooks/{id}/deliveries", Action::SeeSettings, || routes!(list)),
    Route::call(
        Method::POST,
        "/api/v1/webhooks/{id}/deliveries/{delivery}/redeliver",
        Action::AdministerWebhooks,
        || routes!(redeliver),
    ),
];

/// A message to a webhook.
#[derive(Serialize, ToSchema)]
struct DeliveryRow {
    /// The `webhook-id` of every attempt.
    id: String,
    event: String,
    /// The entry of the ledger that it is about; none for a test.
    entry: Option<u64>,
    /// `waiting`, `delivered` or `failed`.
    state: &'static str,
    attempts: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    attempted_at: Option<Timestamp>,
    /// When it is sent next, where it waits.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// What the receiver answered last.
    status: Option<u16>,
    /// What was wrong with that, with the beginning of its words.
    error: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct DeliveryList {
    items: Vec<DeliveryRow>,
    /// The cursor of the following page.
    next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only in this state: `waiting`, `delivered` or `failed`.
    state: Option<String>,
    /// Rows on a page, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// From `next` of the page before.
    cursor: Option<String>,
}

fn row(delivery: Delivery) -> DeliveryRow {
    let waits = delivery.state == DeliveryState::Waiting;
    DeliveryRow {
        id: delivery.id,
        event: delivery.event,
        entry: delivery.entry,
        state: delivery.state.as_str(),
        attempts: delivery.attempts,
        created_at: delivery.created_at,
        attempted_at: delivery.attempted_at,
        next_attempt_at: waits.then_some(delivery.next_attempt_at),
        ended_at: delivery.ended_at,
        status: delivery.status,
        error: delivery.error,
    }
}

fn accepted(delivery: Delivery) -> Response {
    (StatusCode::ACCEPTED, Json(row(delivery))).into_response()
}

#[utoipa::path(post, path = "/api/v1/webhooks/{id}/test", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id")),
    responses((status = 202, description = "The message, which is on its way", body = DeliveryRow), Problems))]
/// Sends a message of the event `webhook.test` to a webhook, whatever it asked for.
async fn test(State(app): State<App>, person: Person, Path(id): Path<String>) -> Result<Response, WebError> {
    administer(&app, &person)?;
    found(&app, &id).await?;
    let delivery = app.store.queue_test(&id, &test_message(&id, app.now()), app.now()).await?;
    Ok(accepted(delivery))
}

#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries", tag = "webhooks",
    params(ListQuery, ("id" = String, Path, description = "The webhook's id")),
    responses((status = 200, description = "A page of messages, the newest first", body = DeliveryList), Problems))]
/// What was sent to a webhook in the last 30 days, or waits to be.
async fn list(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Json<DeliveryList>, WebError> {
    person.require(&app, Action::SeeSettings, &Resource::Installation)?;
    found(&app, &id).await?;
    let limit = paging::rows(query.limit)?;
    let state = match query.state.as_deref() {
        None => None,
        Some(name) => Some(
            DeliveryState::parse(name)
                .ok_or_else(|| wrong("state", format!("`{name}` is no state of a delivery")))?,
        ),
    };
    let before: Option<String> = paging::after(query.cursor.as_deref())?;
    let mut deliveries = app.store.deliveries(&id, state, before.as_deref(), limit + 1).await?;
    let more = deliveries.len() > limit;
    deliveries.truncate(limit);
    let next = deliveries.last().filter(|_| more).map(|last| paging::cursor(&last.id));
    Ok(Json(DeliveryList { items: deliveries.into_iter().map(row).collect(), next }))
}

#[utoipa::path(post, path = "/api/v1/webhooks/{id}/deliveries/{delivery}/redeliver", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id"), ("delivery" = String, Path, description = "The message's id")),
    responses((status = 202, description = "The message, which is on its way anew", body = DeliveryRow), Problems))]
/// Has a message sent once more, whatever became of it: with the same id, so that the receiver can tell.
async fn redeliver(
    State(app): State<App>,
    person: Person,
    Path((id, delivery)): Path<(String, String)>,
) -> Result<Response, WebError> {
    administer(&app, &person)?;
    let gone = || WebError::NotFound(format!("the delivery {delivery}"));
    app.store.delivery(&id, &delivery).await?.ok_or_else(gone)?;
    if !app.store.redeliver(&id, &delivery, app.now()).await? {
        return Err(WebError::Conflict("it is being sent right now: look again shortly".to_owned()));
    }
    let queued = app.store.delivery(&id, &delivery).await?.ok_or_else(gone)?;
    Ok(accepted(queued))
}
