//! Notices from a system that something changed there: it is read at once. Open: the signature shows who asks.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use utoipa_axum::routes;

use super::document::Problems;
use super::system_name;
use super::tasks::{TaskAnswer, accepted};
use crate::error::WebError;
use crate::route::Route;
use crate::state::App;
use crate::webhook::notice::Signed;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::open_call(Method::POST, "/api/v1/systems/{name}/notices", || routes!(take))];

#[utoipa::path(post, path = "/api/v1/systems/{name}/notices", tag = "systems", security(()),
    request_body(content = String, content_type = "application/json",
        description = "Whatever the system sends; it is signed, and otherwise not looked at"),
    params(("name" = String, Path, description = "Its name in leasehold.toml, where `webhook_secret` is set"),
        ("webhook-id" = String, Header, description = "Of the message"),
        ("webhook-timestamp" = i64, Header, description = "When it was signed, in seconds; five minutes ago at most"),
        ("webhook-signature" = String, Header, description = "By the Standard Webhooks specification: `v1,…`")),
    responses((status = 202, description = "The task that reads the system", body = TaskAnswer), Problems))]
/// Takes a notice that something changed in a system, and has it read.
async fn take(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, WebError> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let signed = Signed {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signatures: header("webhook-signature"),
        body: &body,
    };
    // Whoever cannot sign learns neither which systems there are nor which of them send notices.
    let name = system_name(&name).map_err(|_| WebError::BadSignature)?;
    let secrets = app.settings.notice_secrets.now();
    let is_signed = secrets.get(&name).is_some_and(|secret| secret.signed(&signed, app.now().as_second()));
    if !is_signed {
        return Err(WebError::BadSignature);
    }
    // What is queued begins after this, and sees the change; what runs may have begun before it.
    let requested = app.driver.request_sync(&name, false, &format!("{name} (notice)")).await?;
    Ok(accepted(&requested))
}
