//! Where the provider says that somebody's session ended there (OpenID Connect Back-Channel Logout 1.0).

use axum::Form;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;

use crate::error::WebError;
use crate::route::{Access, Route};
use crate::sign_in::openid::{logout_token, provider};
use crate::state::App;

/// The routes of this file. The token says who asks; the provider has no session here.
pub(crate) const ROUTES: &[Route] =
    &[Route::plain(Method::POST, "/sign-in/openid/back-channel-logout", Access::Open, || post(end))];

#[derive(Deserialize)]
struct Sent {
    #[serde(default)]
    logout_token: String,
}

async fn end(State(app): State<App>, Form(sent): Form<Sent>) -> Result<Response, WebError> {
    let settings = provider::settings(&app)?;
    let logout = logout_token::read(&app, settings, &sent.logout_token).await?;
    let ended = app.store.end_provider_sessions(&logout, app.now()).await?;
    match ended {
        Some(sessions) => {
            tracing::info!(issuer = %settings.issuer, sessions, "the OpenID provider ended sessions");
            Ok(StatusCode::OK.into_response())
        }
        None => Err(WebError::Malformed("this logout token was used before".to_owned())),
    }
}
