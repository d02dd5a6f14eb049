//! For whoever runs the server: is it alive, is it ready, what did it count.

use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use leasehold_decide::authority::Action;

use crate::error::WebError;
use crate::metrics;
use crate::route::{Access, Route};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::plain(Method::GET, "/healthz", Access::Open, || get(alive)),
    Route::plain(Method::GET, "/readyz", Access::Open, || get(ready)),
    Route::plain(Method::GET, "/metrics", Access::Needs(Action::SeeMetrics), || get(metrics::show)),
];

fn text(status: StatusCode, body: &'static str) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// The process answers.
async fn alive() -> Response {
    text(StatusCode::OK, "ok\n")
}

/// The store answers too.
async fn ready(State(app): State<App>) -> Result<Response, WebError> {
    match app.store.ledger_len().await {
        Ok(_) => Ok(text(StatusCode::OK, "ready\n")),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            Err(WebError::Unavailable("the store does not answer".to_owned()))
        }
    }
}
