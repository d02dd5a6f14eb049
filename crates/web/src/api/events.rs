//! What happens, as it happens: server-sent events.

use std::convert::Infallible;

use axum::extract::State;
use axum::http::Method;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::{self, Stream, StreamExt as _};
use leasehold_decide::authority::{Action, Resource};
use tokio::sync::broadcast::error::RecvError;
use utoipa_axum::routes;

use super::document::Problems;
use crate::error::WebError;
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::call(Method::GET, "/api/v1/events", Action::SeeTask, || routes!(events))];

#[utoipa::path(get, path = "/api/v1/events", tag = "events",
    responses((status = 200, description = "Notices, each with its kind as the event's name", content_type = "text/event-stream", body = String), Problems))]
/// What happens: a name, and what it is about. Who was too slow is told `missed`, and reads anew.
async fn events(State(app): State<App>, person: Person) -> Result<impl IntoResponse, WebError> {
    person.require(&app, Action::SeeTask, &Resource::Installation)?;
    let notices = app.live.subscribe();
    let happened = stream::unfold(notices, |mut notices| async move {
        let event = match notices.recv().await {
            Ok(notice) => {
                let data = serde_json::to_string(&notice).unwrap_or_default();
                Event::default().event(notice.kind.as_str()).data(data)
            }
            Err(RecvError::Lagged(count)) => Event::default().event("missed").data(count.to_string()),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok::<_, Infallible>(event), notices))
    });
    // Says at once that it listens, so that nobody waits for the first event to learn it.
    let opened = stream::once(async { Ok(Event::default().event("listening").data("{}")) });
    let mut stopping = app.stopping.subscribe();
    let stopped = async move {
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    let events = opened.chain(happened).take_until(Box::pin(stopped));
    Ok(Sse::new(boxed(events)).keep_alive(KeepAlive::default()))
}

fn boxed(
    events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static,
) -> stream::BoxStream<'static, Result<Event, Infallible>> {
    events.boxed()
}
