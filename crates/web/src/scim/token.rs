//! Access tokens for clients that do not send a lasting secret with each request (RFC 6749, section 4.4), as Entra ID wants.
//!
//! The client's id is the id of an API token with the scope `scim`, its secret is that token. Two of them can be in force, so
//! that a secret is replaced without a gap; where one ends, the access tokens that were given for it end with it.

use axum::Form;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use crate::error::WebError;
use crate::route::Route;
use crate::scim::caller::{ACCESS_LASTS, access_token, client};
use crate::sign_in::scope::Scope;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[Route::scim_open(Method::POST, "/scim/oauth/token", || post(token))];

/// What a client sends.
#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    grant_type: String,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    client_secret: String,
    #[serde(default)]
    scope: String,
}

async fn token(State(app): State<App>, request: Request) -> Result<Response, WebError> {
    let shown = basic(request.headers());
    let Ok(Form(mut wanted)) = Form::<Wanted>::from_request(request, &app).await else {
        return Ok(refused(StatusCode::BAD_REQUEST, "invalid_request", "a form is wanted here"));
    };
    if let Some((id, secret)) = shown {
        (wanted.client_id, wanted.client_secret) = (id, secret);
    }
    if wanted.grant_type != "client_credentials" {
        let why = "`grant_type` is client_credentials";
        return Ok(refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", why));
    }
    let mut scopes = wanted.scope.split_whitespace();
    if !scopes.all(|scope| scope == Scope::Scim.name()) {
        return Ok(refused(StatusCode::BAD_REQUEST, "invalid_scope", "there is the scope scim alone"));
    }
    let now = app.now();
    let Some((api_token, _)) = client(&app, &wanted.client_id, &wanted.client_secret, now).await? else {
        let why = "no token in force has this id and this secret";
        return Ok(refused(StatusCode::UNAUTHORIZED, "invalid_client", why));
    };
    let until = (now + ACCESS_LASTS).min(api_token.expires_at);
    let body = json!({
        "access_token": access_token(&app, &api_token, until)?,
        "token_type": "Bearer",
        "expires_in": until.duration_since(now).as_secs(),
        "scope": Scope::Scim.name(),
    });
    Ok(answer(StatusCode::OK, &body))
}

/// Id and secret in the header, where they are there (RFC 6749, section 2.3.1).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, text) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let plain = |text: &str| -> String {
        let pair = format!("x={text}");
        url::form_urlencoded::parse(pair.as_bytes())
            .map(|(_, value)| value.into_owned())
            .next()
            .unwrap_or_default()
    };
    Some((plain(id), plain(secret)))
}

fn refused(status: StatusCode, error: &str, why: &str) -> Response {
    let mut response = answer(status, &json!({"error": error, "error_description": why}));
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Basic realm=\"leasehold\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    let mut response = (status, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
