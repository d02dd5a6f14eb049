//! The door of every route: who may pass, and that a change was meant by whoever sends it.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::conditional;
use crate::context::Context;
use crate::error::WebError;
use crate::person::{Person, Via};
use crate::route::{Access, Face};
use crate::security;
use crate::state::App;

/// A form is not larger than this.
const FORM_BYTES_MAX: usize = 2 << 20;
/// Where a script of ours puts the token of its session.
const TOKEN_HEADER: &str = "x-csrf-token";

/// What a door needs to know of its route.
#[derive(Clone)]
pub(crate) struct Door {
    pub app: App,
    pub access: Access,
    pub face: Face,
}

/// Lets a request pass, or says why not. What a program reads is named by its content.
pub(crate) async fn check(State(door): State<Door>, request: Request, next: Next) -> Response {
    let request = match pass(&door, request).await {
        Ok(request) => request,
        Err(error) => return error.into_response(),
    };
    if door.face != Face::Api || *request.method() != Method::GET {
        return next.run(request).await;
    }
    let known = conditional::known(&request);
    conditional::answer(known, next.run(request).await).await
}

/// Lets a request pass.
///
/// # Errors
/// Why not.
pub(crate) async fn pass(door: &Door, request: Request) -> Result<Request, WebError> {
    let context = request.extensions().get::<Arc<Context>>();
    let person = context.and_then(|context| context.person.clone());
    // Nothing of ours is named with it, and PostgreSQL refuses to look for it.
    if context.is_some_and(|context| context.address.contains("%00")) {
        return Err(WebError::Malformed("an address cannot hold the character NUL".to_owned()));
    }
    if let Access::Needs(action) = door.access {
        // A token that is not in force is told apart from none: whoever sent it has to know.
        if let Some(error) = request.extensions().get::<Arc<WebError>>() {
            return Err(match **error {
                WebError::BadToken => WebError::BadToken,
                WebError::TooMany { retry_after_seconds } => WebError::TooMany { retry_after_seconds },
                WebError::Internal(ref cause) => WebError::Internal(cause.clone()),
                ref other => WebError::internal(other),
            });
        }
        person.as_ref().ok_or(WebError::SignedOut)?.passes(&door.app, action)?;
    }
    let unsafe_method = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if unsafe_method { meant(door, person.as_deref(), request).await } else { Ok(request) }
}

/// Whether a change was meant: it comes from a page of ours, and carries the token of its session. Programs with a
/// bearer token are not asked, since no browser sends one by itself.
async fn meant(door: &Door, person: Option<&Person>, request: Request) -> Result<Request, WebError> {
    let session = match person.map(|person| &person.via) {
        Some(Via::Token { .. }) => return Ok(request),
        Some(Via::Session(session)) => Some(session),
        None => None,
    };
    if !security::is_from_here(request.headers(), &door.app.settings) {
        return Err(WebError::Forged);
    }
    // What is open to everybody is not done with the authority of a session; where it comes from is enough to ask.
    let Some(session) = session.filter(|_| door.access != Access::Open) else { return Ok(request) };
    if let Some(token) = request.headers().get(TOKEN_HEADER) {
        return if token.to_str().is_ok_and(|token| session.form_token_matches(token)) {
            Ok(request)
        } else {
            Err(WebError::Forged)
        };
    }
    if door.face != Face::Page || !is_form(request.headers()) {
        return Err(WebError::Forged);
    }
    let (parts, body) = request.into_parts();
    let too_large = |_| WebError::Framework {
        status: axum::http::StatusCode::PAYLOAD_TOO_LARGE,
        message: "what was sent is too large".to_owned(),
    };
    let bytes = to_bytes(body, FORM_BYTES_MAX).await.map_err(too_large)?;
    let token = url::form_urlencoded::parse(&bytes).find(|(name, _)| name == "csrf").map(|(_, value)| value);
    if !token.is_some_and(|token| session.form_token_matches(&token)) {
        return Err(WebError::Forged);
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}
