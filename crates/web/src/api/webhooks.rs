//! Webhooks: who is told of what happens, and with which secret.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use leasehold_decide::authority::{Action, Resource};
use leasehold_store::{Webhook, WebhookChange, WebhookState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::conditional::require_match;
use super::document::Problems;
use crate::error::WebError;
use crate::form::Complaints;
use crate::person::Person;
use crate::route::Route;
use crate::state::App;
use crate::webhook::event::EVENTS;
use crate::webhook::wanted::{
    self, OVERLAP_HOURS_DEFAULT, administer, check_description, check_events, check_url, found, shown_url,
};

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/webhook-events", Action::SeeSettings, || routes!(events)),
    Route::call(Method::GET, "/api/v1/webhooks", Action::SeeSettings, || routes!(list)),
    Route::call(Method::POST, "/api/v1/webhooks", Action::AdministerWebhooks, || routes!(create)),
    Route::call(Method::GET, "/api/v1/webhooks/{id}", Action::SeeSettings, || routes!(one)),
    Route::call(Method::PATCH, "/api/v1/webhooks/{id}", Action::AdministerWebhooks, || routes!(change)),
    Route::call(Method::DELETE, "/api/v1/webhooks/{id}", Action::AdministerWebhooks, || routes!(delete)),
    Route::call(Method::POST, "/api/v1/webhooks/{id}/secret", Action::AdministerWebhooks, || routes!(rotate)),
];

/// A webhook, without its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookRow {
    id: String,
    /// Where its receiver is. Whoever may not administer webhooks sees scheme and host: the rest can be a secret.
    url: String,
    description: String,
    /// The events that it is told of; none stands for all of them.
    events: Vec<String>,
    /// `active`, `paused` or `disabled`.
    state: &'static str,
    /// Why it is disabled.
    reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    created_by: String,
    /// When something was last delivered.
    #[schema(value_type = Option<String>, format = DateTime)]
    delivered_at: Option<Timestamp>,
    /// Until when the secret before this one signs, too.
    #[schema(value_type = Option<String>, format = DateTime)]
    previous_secret_until: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
struct WebhookList {
    items: Vec<WebhookRow>,
}

/// A webhook to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewWebhookBody {
    /// Where its receiver is: https, at a public address or one that the server was told to allow.
    url: String,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// The events that it is told of, as `webhook-events` lists them; none stands for all of them.
    #[serde(default)]
    events: Vec<String>,
}

/// What is to change; what is not named stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WebhookChangeBody {
    url: Option<String>,
    description: Option<String>,
    events: Option<Vec<String>>,
    /// `active` or `paused`. One that was disabled is `active` again from here on.
    state: Option<String>,
}

/// For how long the secret before is good.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RotateBody {
    /// 0 to 168; 24 where nothing is said. Until then every message carries both signatures.
    overlap_hours: Option<i64>,
}

/// A webhook with its secret, which is shown once.
#[derive(Serialize, ToSchema)]
struct Created {
    webhook: WebhookRow,
    /// `whsec_…`, for the receiver.
    secret: String,
}

/// An event that webhooks can be told of.
#[derive(Serialize, ToSchema)]
struct EventRow {
    name: &'static str,
    about: &'static str,
}

#[derive(Serialize, ToSchema)]
struct EventList {
    items: Vec<EventRow>,
}

fn row(app: &App, person: &Person, webhook: Webhook) -> WebhookRow {
    let in_force = |until: &Timestamp| app.now() < *until;
    WebhookRow {
        url: shown_url(app, person, &webhook.url),
        id: webhook.id,
        description: webhook.description,
        events: webhook.events,
        state: webhook.state.as_str(),
        reason: webhook.reason,
        created_at: webhook.created_at,
        created_by: webhook.created_by,
        delivered_at: webhook.delivered_at,
        previous_secret_until: webhook.previous_secret.map(|(_, until)| until).filter(in_force),
    }
}

fn check_state(state: Option<&str>, complaints: &mut Complaints) -> Option<WebhookState> {
    match state {
        None => None,
        Some("active") => Some(WebhookState::Active),
        Some("paused") => Some(WebhookState::Paused),
        Some(_) => {
            complaints.add("state", "write active or paused");
            None
        }
    }
}

#[utoipa::path(get, path = "/api/v1/webhook-events", tag = "webhooks",
    responses((status = 200, description = "Every event, by name", body = EventList), Problems))]
/// The events that webhooks can be told of.
async fn events(State(app): State<App>, person: Person) -> Result<Json<EventList>, WebError> {
    person.require(&app, Action::SeeSettings, &Resource::Installation)?;
    let items = EVENTS.iter().map(|(name, about)| EventRow { name, about: about.trim() }).collect();
    Ok(Json(EventList { items }))
}

#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks",
    responses((status = 200, description = "Every webhook, by age", body = WebhookList), Problems))]
/// Every webhook.
async fn list(State(app): State<App>, person: Person) -> Result<Json<WebhookList>, WebError> {
    person.require(&app, Action::SeeSettings, &Resource::Installation)?;
    let webhooks = app.store.webhooks().await?;
    Ok(Json(WebhookList { items: webhooks.into_iter().map(|webhook| row(&app, &person, webhook)).collect() }))
}

#[utoipa::path(post, path = "/api/v1/webhooks", tag = "webhooks", request_body = NewWebhookBody,
    responses((status = 201, description = "The webhook with its secret", body = Created), Problems))]
/// Makes a webhook, which is told of everything that is recorded from now on.
async fn create(
    State(app): State<App>,
    person: Person,
    Json(new): Json<NewWebhookBody>,
) -> Result<Response, WebError> {
    administer(&app, &person)?;
    let (webhook, secret) = wanted::create(&app, &person, &new.url, &new.description, &new.events).await?;
    let location = format!("/api/v1/webhooks/{}", webhook.id);
    let body = Created { webhook: row(&app, &person, webhook), secret: secret.to_text() };
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(body)).into_response())
}

#[utoipa::path(get, path = "/api/v1/webhooks/{id}", tag = "webhooks", params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "The webhook", body = WebhookRow), Problems))]
/// One webhook.
async fn one(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Json<WebhookRow>, WebError> {
    person.require(&app, Action::SeeSettings, &Resource::Installation)?;
    Ok(Json(row(&app, &person, found(&app, &id).await?)))
}

#[utoipa::path(patch, path = "/api/v1/webhooks/{id}", tag = "webhooks", request_body = WebhookChangeBody,
    params(("id" = String, Path, description = "Its id"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` that was read: refuses where it moved")),
    responses((status = 200, description = "The webhook as it is now", body = WebhookRow), Problems))]
/// Changes a webhook. What happened while it was paused or disabled is not told later.
async fn change(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(change): Json<WebhookChangeBody>,
) -> Result<Json<WebhookRow>, WebError> {
    administer(&app, &person)?;
    let webhook = found(&app, &id).await?;
    require_match(&headers, &row(&app, &person, webhook))?;
    let mut complaints = Complaints::default();
    let change = WebhookChange {
        url: change.url.as_deref().map(|url| check_url(&app, url, &mut complaints)),
        description: change.description.as_deref().map(|text| check_description(text, &mut complaints)),
        events: change.events.as_deref().map(|events| check_events(events, &mut complaints)),
        state: check_state(change.state.as_deref(), &mut complaints),
    };
    if !complaints.is_empty() {
        return Err(WebError::Invalid(complaints.into_fields()));
    }
    let changed = app.store.change_webhook(&id, &change, person.actor(), app.now()).await?;
    let changed = changed.ok_or_else(|| WebError::NotFound(format!("the webhook {id}")))?;
    Ok(Json(row(&app, &person, changed)))
}

#[utoipa::path(delete, path = "/api/v1/webhooks/{id}", tag = "webhooks", params(("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "It is gone, with what was on its way to it"), Problems))]
/// Deletes a webhook.
async fn delete(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<StatusCode, WebError> {
    administer(&app, &person)?;
    if app.store.delete_webhook(&id, person.actor(), app.now()).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(WebError::NotFound(format!("the webhook {id}")))
    }
}

#[utoipa::path(post, path = "/api/v1/webhooks/{id}/secret", tag = "webhooks", request_body = RotateBody,
    params(("id" = String, Path, description = "Its id")),
    responses((status = 201, description = "The webhook with its new secret", body = Created), Problems))]
/// Gives a webhook another secret. For a while every message carries a signature with each of the two.
async fn rotate(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
    Json(rotate): Json<RotateBody>,
) -> Result<Response, WebError> {
    administer(&app, &person)?;
    let hours = rotate.overlap_hours.unwrap_or(OVERLAP_HOURS_DEFAULT);
    let (webhook, secret) = wanted::rotate(&app, &person, &id, hours).await?;
    let webhook = row(&app, &person, webhook);
    Ok((StatusCode::CREATED, Json(Created { webhook, secret: secret.to_text() })).into_response())
}
