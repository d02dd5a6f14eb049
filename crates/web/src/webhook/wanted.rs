//! What somebody wants of a webhook, checked and done: for the API and the page alike.

use jiff::SignedDuration;
use leasehold_decide::authority::{Action, Resource};
use leasehold_store::{NewWebhook, WEBHOOKS_MAX, Webhook};
use url::Url;

use super::event::EVENTS;
use super::receiver;
use super::secret::Secret;
use crate::error::WebError;
use crate::form::Complaints;
use crate::person::Person;
use crate::state::App;

/// For how long the secret before signs, too, where nobody says, in hours.
pub(crate) const OVERLAP_HOURS_DEFAULT: i64 = 24;
/// For how long it does at most, in hours.
const OVERLAP_HOURS_MAX: i64 = 168;
/// What people call a webhook is not longer.
const DESCRIPTION_CHARS_MAX: usize = 200;

/// Refuses who may not administer webhooks, or has not shown lately that it is them.
pub(crate) fn administer(app: &App, person: &Person) -> Result<(), WebError> {
    person.require(app, Action::AdministerWebhooks, &Resource::Installation)?;
    person.require_confirmed(app.now())
}

/// The webhook of this id.
pub(crate) async fn found(app: &App, id: &str) -> Result<Webhook, WebError> {
    app.store.webhook(id).await?.ok_or_else(|| WebError::NotFound(format!("the webhook {id}")))
}

/// The address as a person may see it: whoever may not administer webhooks sees scheme and host, the rest can be a secret.
pub(crate) fn shown_url(app: &App, person: &Person, url: &str) -> String {
    if person.may_everywhere(app, Action::AdministerWebhooks) {
        return url.to_owned();
    }
    Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

/// Where the receiver is.
pub(crate) fn check_url(app: &App, url: &str, complaints: &mut Complaints) -> String {
    match receiver::check(url.trim(), &app.settings.webhooks) {
        Ok(url) => url.into(),
        Err(why) => {
            complaints.add("url", why);
            String::new()
        }
    }
}

/// What people call it.
pub(crate) fn check_description(text: &str, complaints: &mut Complaints) -> String {
    let text = text.trim();
    if text.chars().count() > DESCRIPTION_CHARS_MAX || text.chars().any(char::is_control) {
        complaints
            .add("description", format!("write at most {DESCRIPTION_CHARS_MAX} characters, in one line"));
    }
    text.to_owned()
}

/// The events that it is told of.
pub(crate) fn check_events(events: &[String], complaints: &mut Complaints) -> Vec<String> {
    let mut events = events.to_vec();
    events.sort_unstable();
    events.dedup();
    if let Some(unknown) = events.iter().find(|event| EVENTS.iter().all(|(known, _)| known != event)) {
        let known: Vec<&str> = EVENTS.iter().map(|(name, _)| *name).collect();
        complaints.add("events", format!("`{unknown}` is no event: there are {}", known.join(", ")));
    }
    events
}

/// Makes a webhook, and gives it with its secret.
///
/// # Errors
/// [`WebError::Invalid`], or [`WebError::Conflict`] where there are too many.
pub(crate) async fn create(
    app: &App,
    person: &Person,
    url: &str,
    description: &str,
    events: &[String],
) -> Result<(Webhook, Secret), WebError> {
    let mut complaints = Complaints::default();
    let url = check_url(app, url, &mut complaints);
    let description = check_description(description, &mut complaints);
    let events = check_events(events, &mut complaints);
    if !complaints.is_empty() {
        return Err(WebError::Invalid(complaints.into_fields()));
    }
    let id = NewWebhook::id();
    let secret = Secret::generate()?;
    let sealed = secret.sealed(&app.settings.seal_key, &id)?;
    let new = NewWebhook { id, url, description, events, secret: sealed };
    let made = app.store.create_webhook(&new, person.actor(), app.now()).await?;
    let webhook = made.ok_or_else(|| {
        WebError::Conflict(format!("there are {WEBHOOKS_MAX} webhooks already: delete one that nobody needs"))
    })?;
    Ok((webhook, secret))
}

/// Gives a webhook another secret; the one before signs, too, for so many hours.
///
/// # Errors
/// [`WebError::Invalid`], or [`WebError::NotFound`].
pub(crate) async fn rotate(
    app: &App,
    person: &Person,
    id: &str,
    overlap_hours: i64,
) -> Result<(Webhook, Secret), WebError> {
    if !(0..=OVERLAP_HOURS_MAX).contains(&overlap_hours) {
        let message = format!("write a number from 0 to {OVERLAP_HOURS_MAX}");
        return Err(WebError::Invalid(Complaints::one("overlap_hours", message).into_fields()));
    }
    found(app, id).await?;
    let secret = Secret::generate()?;
    let sealed = secret.sealed(&app.settings.seal_key, id)?;
    let until = app.now() + SignedDuration::from_hours(overlap_hours);
    app.store.rotate_webhook_secret(id, &sealed, until, person.actor(), app.now()).await?;
    Ok((found(app, id).await?, secret))
}
