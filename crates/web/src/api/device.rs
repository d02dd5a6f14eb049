//! How a program without a browser comes to a token (RFC 8628), and gives it back (RFC 7009). Open: codes and token show
//! who asks.

use std::sync::Arc;

use axum::Extension;
use axum::Form;
use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::document::Problems;
use crate::context::Context;
use crate::error::WebError;
use crate::route::Route;
use crate::security::secret_hash;
use crate::sign_in::device::{self, GrantError, INTERVAL_SECONDS, LASTS_SECONDS};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::open_call(Method::POST, "/api/v1/device/authorization", || routes!(begin)),
    Route::open_call(Method::POST, "/api/v1/device/token", || routes!(redeem)),
    Route::open_call(Method::POST, "/api/v1/device/revocation", || routes!(give_back)),
];

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A program that wants a token.
#[derive(Deserialize, ToSchema)]
struct Wanted {
    /// What it calls itself. It is shown to whoever decides, and nothing follows from it.
    #[serde(default)]
    client_id: String,
    /// Scopes with spaces between them: `read`, `plan`, `approve`, `admin`, `metrics`.
    #[serde(default)]
    scope: String,
}

/// What it waits with.
#[derive(Serialize, ToSchema)]
struct Authorization {
    /// What it asks with.
    device_code: String,
    /// What a person types at `verification_uri`.
    user_code: String,
    /// The page for people.
    verification_uri: String,
    /// The same with the code in it.
    verification_uri_complete: String,
    /// How long the codes last, in seconds.
    expires_in: u64,
    /// How long to wait between two questions, in seconds.
    interval: u64,
}

/// The question for the token.
#[derive(Deserialize, ToSchema)]
struct Question {
    /// `urn:ietf:params:oauth:grant-type:device_code`.
    #[serde(default)]
    grant_type: String,
    #[serde(default)]
    device_code: String,
}

/// The token.
#[derive(Serialize, ToSchema)]
struct Granted {
    /// Shown once.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// How long it lasts, in seconds.
    expires_in: i64,
    /// What it may be used for.
    scope: String,
}

/// A token that is no longer needed.
#[derive(Deserialize, ToSchema)]
struct Returned {
    #[serde(default)]
    token: String,
}

#[utoipa::path(post, path = "/api/v1/device/authorization", tag = "device", security(()),
    request_body(content = Wanted, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The codes", body = Authorization), Problems))]
/// Begins the sign-in of a program: somebody who is signed in allows it at `/device`.
async fn begin(
    State(app): State<App>,
    Extension(context): Extension<Arc<Context>>,
    Form(wanted): Form<Wanted>,
) -> Result<Json<Authorization>, WebError> {
    let begun = device::begin(&app, context.source, &wanted.client_id, &wanted.scope).await?;
    let user_code = device::shown(&begun.user_code);
    let verification_uri = format!("{}/device", app.settings.url.as_str().trim_end_matches('/'));
    Ok(Json(Authorization {
        device_code: begun.device_code,
        verification_uri_complete: format!("{verification_uri}?user_code={user_code}"),
        user_code,
        verification_uri,
        expires_in: LASTS_SECONDS,
        interval: INTERVAL_SECONDS,
    }))
}

#[utoipa::path(post, path = "/api/v1/device/token", tag = "device", security(()),
    request_body(content = Question, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The token", body = Granted), Problems))]
/// Asks whether somebody has allowed it. Until then the answer is a problem with status 400, whose `error` is
/// `authorization_pending`, `slow_down`, `access_denied` or `expired_token`.
async fn redeem(State(app): State<App>, Form(question): Form<Question>) -> Result<Json<Granted>, WebError> {
    if question.device_code.is_empty() {
        return Err(WebError::Grant(GrantError::InvalidRequest));
    }
    if question.grant_type != GRANT_TYPE {
        return Err(WebError::Grant(GrantError::UnsupportedGrantType));
    }
    let granted = device::redeem(&app, &question.device_code).await?;
    Ok(Json(Granted {
        access_token: granted.secret,
        token_type: "Bearer",
        expires_in: granted.token.expires_at.duration_since(granted.token.created_at).as_secs(),
        scope: granted.token.scopes.join(" "),
    }))
}

#[utoipa::path(post, path = "/api/v1/device/revocation", tag = "device", security(()),
    request_body(content = Returned, content_type = "application/x-www-form-urlencoded"),
    responses((status = 204, description = "The token is not in force"), Problems))]
/// Ends the token that is sent. Whoever has it may, whatever its scopes; one that is not in force is none the more so.
async fn give_back(State(app): State<App>, Form(returned): Form<Returned>) -> Result<StatusCode, WebError> {
    app.store.give_token_back(&secret_hash(&returned.token), app.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
