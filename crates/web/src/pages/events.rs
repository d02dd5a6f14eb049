//! What happens just now, as a stream of events for pages that are open. Without it a page is reloaded by hand.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::Method;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use leasehold_decide::authority::Action;
use leasehold_reconcile::notice::{Notice, NoticeKind};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::person::Person;
use crate::route::{Access, Route};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::page(Method::GET, "/events", Access::Needs(Action::SeeOverview), || get(events))];

/// A stream ends after this long and the browser opens another: who may listen is asked again, and a server that is to
/// stop is not held up.
const STREAM_LASTS: Duration = Duration::from_secs(120);
/// Proxies cut what is silent for longer.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// When the browser opens the next one, in milliseconds.
const OPEN_AGAIN: Duration = Duration::from_millis(1_000);

async fn events(State(app): State<App>, person: Person) -> Response {
    let tasks = person.may_everywhere(&app, Action::SeeTask);
    let plans = person.may_everywhere(&app, Action::SeePlan);
    let seen = move |notice: &Notice| match notice.kind {
        NoticeKind::TaskChanged => tasks,
        NoticeKind::PlanMade | NoticeKind::PlanApplied | NoticeKind::ActionChanged => plans,
        NoticeKind::ViewChanged
        | NoticeKind::SyncStarted
        | NoticeKind::SyncFinished
        | NoticeKind::LedgerPublished => true,
    };
    let listener = app.live.subscribe();
    let until = Instant::now() + STREAM_LASTS;
    // The first event says when to come back, and lets the browser know at once that the stream is open.
    let opened =
        stream::once(async { Ok::<_, Infallible>(Event::default().retry(OPEN_AGAIN).comment("open")) });
    let following = stream::unfold(listener, move |mut listener| async move {
        loop {
            let notice = match tokio::time::timeout_at(until, listener.recv()).await {
                Ok(Ok(notice)) if seen(&notice) => notice,
                Ok(Ok(_)) => continue,
                // Some were missed: the page is told to look at everything again.
                Ok(Err(RecvError::Lagged(_))) => return Some((Ok(missed()), listener)),
                Ok(Err(RecvError::Closed)) | Err(_) => return None,
            };
            let event = Event::default().event(notice.kind.as_str());
            let event = event.json_data(&notice).unwrap_or_else(|_| missed());
            return Some((Ok(event), listener));
        }
    });
    let events = futures::StreamExt::chain(opened, following);
    Sse::new(events).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE)).into_response()
}

fn missed() -> Event {
    Event::default().event("missed").data("{}")
}
