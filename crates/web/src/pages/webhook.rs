//! One webhook: what was sent to it, and what can be done about it.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use leasehold_decide::authority::{Action, Resource};
use leasehold_model::text::safe;
use leasehold_store::{Delivery, DeliveryState, WebhookChange, WebhookState};

use super::webhooks::{mark, told_of};
use crate::error::WebError;
use crate::fields::Fields;
use crate::flash::{FlashKind, redirect_with};
use crate::frame::{self, Frame};
use crate::parts::mark::Tone;
use crate::parts::pager::PAGE_ROWS;
use crate::parts::{Mark, Moment};
use crate::person::Person;
use crate::route::{Access, Route};
use crate::state::App;
use crate::webhook::event::test_message;
use crate::webhook::wanted::{self, OVERLAP_HOURS_DEFAULT, administer, found, shown_url};

const ADMINISTER: Access = Access::Needs(Action::AdministerWebhooks);

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/webhooks/{id}", Access::Needs(Action::SeeSettings), || get(show)),
    Route::page(Method::POST, "/webhooks/{id}/state", ADMINISTER, || post(change_state)),
    Route::page(Method::POST, "/webhooks/{id}/secret", ADMINISTER, || post(rotate)),
    Route::page(Method::POST, "/webhooks/{id}/test", ADMINISTER, || post(test)),
    Route::page(Method::POST, "/webhooks/{id}/redeliver", ADMINISTER, || post(redeliver)),
    Route::page(Method::POST, "/webhooks/{id}/delete", ADMINISTER, || post(delete)),
];

/// A message in the list.
struct Line {
    id: String,
    event: String,
    entry: Option<u64>,
    state: Mark,
    attempts: u64,
    when: Moment,
    next: Option<Moment>,
    error: String,
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct WebhookPage {
    frame: Frame,
    id: String,
    url: String,
    description: String,
    events: String,
    state: Mark,
    is_active: bool,
    reason: Option<String>,
    made: Moment,
    made_by: String,
    previous_secret_until: Option<Moment>,
    may_administer: bool,
    secret: Option<String>,
    deliveries: Vec<Line>,
    more: bool,
}

fn line(app: &App, delivery: Delivery) -> Line {
    let now = app.now();
    let tone = match delivery.state {
        DeliveryState::Delivered => Tone::Good,
        DeliveryState::Waiting => Tone::Warning,
        DeliveryState::Failed => Tone::Bad,
    };
    let waits = delivery.state == DeliveryState::Waiting;
    Line {
        event: safe(&delivery.event),
        entry: delivery.entry,
        state: Mark::new(delivery.state.as_str(), tone),
        attempts: delivery.attempts,
        when: Moment::relative(delivery.attempted_at.unwrap_or(delivery.created_at), now),
        next: waits.then(|| Moment::relative(delivery.next_attempt_at, now)),
        error: delivery.error.as_ref().map(safe).unwrap_or_default(),
        id: delivery.id,
    }
}

/// The page, with a secret where one was just made.
pub(crate) async fn shown_with(
    app: &App,
    person: &Person,
    frame: Frame,
    id: &str,
    secret: Option<String>,
) -> Result<Response, WebError> {
    person.require(app, Action::SeeSettings, &Resource::Installation)?;
    let webhook = found(app, id).await?;
    let now = app.now();
    let mut deliveries = app.store.deliveries(id, None, None, PAGE_ROWS + 1).await?;
    let more = deliveries.len() > PAGE_ROWS;
    deliveries.truncate(PAGE_ROWS);
    let in_force = webhook.previous_secret.as_ref().map(|(_, until)| *until).filter(|until| now < *until);
    frame::show(&WebhookPage {
        frame: frame.titled("Webhook"),
        url: safe(shown_url(app, person, &webhook.url)),
        description: safe(&webhook.description),
        events: told_of(&webhook),
        state: mark(webhook.state),
        is_active: webhook.state == WebhookState::Active,
        reason: webhook.reason.as_ref().map(safe),
        made: Moment::relative(webhook.created_at, now),
        made_by: safe(&webhook.created_by),
        previous_secret_until: in_force.map(|until| Moment::relative(until, now)),
        may_administer: person.may_everywhere(app, Action::AdministerWebhooks),
        secret,
        deliveries: deliveries.into_iter().map(|delivery| line(app, delivery)).collect(),
        more,
        id: webhook.id,
    })
}

async fn show(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    shown_with(&app, &person, frame, &id, None).await
}

fn back(app: &App, id: &str, kind: FlashKind, text: &str) -> Response {
    redirect_with(app, &format!("/webhooks/{id}"), kind, text)
}

async fn change_state(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, WebError> {
    administer(&app, &person)?;
    found(&app, &id).await?;
    let (state, said) = match fields.get("state") {
        "active" => (WebhookState::Active, "It is told of what happens from now on."),
        "paused" => (WebhookState::Paused, "Paused: it is told of nothing until you say so."),
        _ => return Err(WebError::Malformed("say whether it is to be active or paused".to_owned())),
    };
    let change = WebhookChange { state: Some(state), ..WebhookChange::default() };
    app.store.change_webhook(&id, &change, person.actor(), app.now()).await?;
    Ok(back(&app, &id, FlashKind::Done, said))
}

async fn rotate(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    administer(&app, &person)?;
    let (webhook, secret) = wanted::rotate(&app, &person, &id, OVERLAP_HOURS_DEFAULT).await?;
    shown_with(&app, &person, frame, &webhook.id, Some(secret.to_text())).await
}

async fn test(State(app): State<App>, person: Person, Path(id): Path<String>) -> Result<Response, WebError> {
    administer(&app, &person)?;
    found(&app, &id).await?;
    app.store.queue_test(&id, &test_message(&id, app.now()), app.now()).await?;
    Ok(back(&app, &id, FlashKind::Done, "A test is on its way: reload to see what became of it."))
}

async fn redeliver(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, WebError> {
    administer(&app, &person)?;
    found(&app, &id).await?;
    let (kind, said) = if app.store.redeliver(&id, fields.get("delivery"), app.now()).await? {
        (FlashKind::Done, "It is sent once more.")
    } else {
        (FlashKind::Warning, "Not sent: it is being sent right now, or is no longer kept.")
    };
    Ok(back(&app, &id, kind, said))
}

async fn delete(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    administer(&app, &person)?;
    found(&app, &id).await?;
    app.store.delete_webhook(&id, person.actor(), app.now()).await?;
    Ok(redirect_with(
        &app,
        "/webhooks",
        FlashKind::Done,
        "The webhook is deleted, with what was on its way to it.",
    ))
}
