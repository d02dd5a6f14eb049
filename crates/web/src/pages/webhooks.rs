//! Webhooks: who is told of what happens, and making another one.

use askama::Template;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use leasehold_decide::authority::{Action, Resource};
use leasehold_model::text::safe;
use leasehold_store::{Webhook, WebhookState};

use crate::error::WebError;
use crate::fields::Fields;
use crate::form::Complaints;
use crate::frame::{self, Frame};
use crate::parts::mark::Tone;
use crate::parts::{Mark, Moment};
use crate::person::Person;
use crate::route::{Access, Route};
use crate::state::App;
use crate::webhook::event::EVENTS;
use crate::webhook::wanted::{self, administer, shown_url};

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/webhooks", Access::Needs(Action::SeeSettings), || get(list)),
    Route::page(Method::POST, "/webhooks", Access::Needs(Action::AdministerWebhooks), || post(create)),
];

/// A webhook in the list.
struct Line {
    id: String,
    url: String,
    description: String,
    events: String,
    state: Mark,
    delivered: Option<Moment>,
}

/// An event that can be chosen.
struct Choice {
    name: &'static str,
    about: &'static str,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "webhooks.html")]
struct WebhooksPage {
    frame: Frame,
    webhooks: Vec<Line>,
    may_administer: bool,
    choices: Vec<Choice>,
    url: String,
    description: String,
    wrong: Complaints,
}

/// How a webhook's state looks.
pub(crate) fn mark(state: WebhookState) -> Mark {
    let tone = match state {
        WebhookState::Active => Tone::Good,
        WebhookState::Paused => Tone::Warning,
        WebhookState::Disabled => Tone::Bad,
    };
    Mark::new(state.as_str(), tone)
}

/// What it is told of, in words.
pub(crate) fn told_of(webhook: &Webhook) -> String {
    if webhook.events.is_empty() { "every event".to_owned() } else { webhook.events.join(", ") }
}

async fn page(app: &App, person: &Person, frame: Frame) -> Result<WebhooksPage, WebError> {
    person.require(app, Action::SeeSettings, &Resource::Installation)?;
    let line = |webhook: Webhook| Line {
        url: safe(shown_url(app, person, &webhook.url)),
        description: safe(&webhook.description),
        events: told_of(&webhook),
        state: mark(webhook.state),
        delivered: webhook.delivered_at.map(|at| Moment::relative(at, app.now())),
        id: webhook.id,
    };
    Ok(WebhooksPage {
        frame: frame.titled("Webhooks"),
        webhooks: app.store.webhooks().await?.into_iter().map(line).collect(),
        may_administer: person.may_everywhere(app, Action::AdministerWebhooks),
        choices: EVENTS
            .iter()
            .map(|(name, about)| Choice { name, about: about.trim(), chosen: false })
            .collect(),
        url: String::new(),
        description: String::new(),
        wrong: Complaints::default(),
    })
}

async fn list(State(app): State<App>, person: Person, frame: Frame) -> Result<Response, WebError> {
    frame::show(&page(&app, &person, frame).await?)
}

async fn create(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    fields: Fields,
) -> Result<Response, WebError> {
    administer(&app, &person)?;
    let events: Vec<String> = fields.all("event").map(str::to_owned).collect();
    let (url, description) = (fields.get("url"), fields.get("description"));
    match wanted::create(&app, &person, url, description, &events).await {
        Ok((webhook, secret)) => {
            super::webhook::shown_with(&app, &person, frame, &webhook.id, Some(secret.to_text())).await
        }
        Err(WebError::Invalid(errors)) => {
            let mut page = page(&app, &person, frame).await?;
            (page.url, page.description) = (url.to_owned(), description.to_owned());
            for choice in &mut page.choices {
                choice.chosen = events.iter().any(|event| event == choice.name);
            }
            for error in errors {
                page.wrong.add(&error.field, error.message);
            }
            frame::show_with(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error),
    }
}
