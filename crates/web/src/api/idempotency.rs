//! `Idempotency-Key`: a call that is sent again is not done again, and gets the same answer.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use leasehold_store::{IdempotentAnswer, IdempotentCall};
use sha2::{Digest, Sha256};

use super::wrong;
use crate::context::Context;
use crate::error::WebError;
use crate::state::App;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const KEY_CHARS_MAX: usize = 255;
const BODY_BYTES_MAX: usize = 8 << 20;
const SEALED_FOR: &str = "idempotent answer";
/// What belongs to an answer besides its body.
const KEPT: [HeaderName; 2] = [header::CONTENT_TYPE, header::LOCATION];

/// Does a call with a key once.
pub(crate) async fn answer_once(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_change = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_change || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    once(&app, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

async fn once(app: &App, request: Request, next: Next) -> Result<Response, WebError> {
    let key = request.headers().get(KEY).and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
    if key.is_empty() || key.len() > KEY_CHARS_MAX {
        return Err(wrong("Idempotency-Key", format!("write 1 to {KEY_CHARS_MAX} visible characters")));
    }
    let context = request.extensions().get::<Arc<Context>>().cloned().unwrap_or_default();
    let user = context.person.as_ref().ok_or(WebError::SignedOut)?.user().to_owned();
    let (parts, body) = request.into_parts();
    let bytes =
        to_bytes(body, BODY_BYTES_MAX).await.map_err(|error| WebError::Malformed(error.to_string()))?;
    let mut hasher = Sha256::new();
    let condition = parts.headers.get(header::IF_MATCH).map_or(&b""[..], HeaderValue::as_bytes);
    for part in [parts.method.as_str().as_bytes(), context.address.as_bytes(), condition, &bytes] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let hash = hex::encode(hasher.finalize());
    match app.store.begin_idempotent(&user, &key, &hash, app.now()).await? {
        IdempotentCall::New => {}
        IdempotentCall::Running => {
            return Err(WebError::Conflict(
                "the first call with this key is still running: ask again".to_owned(),
            ));
        }
        IdempotentCall::Different => {
            return Err(wrong("Idempotency-Key", "another call was sent with this key: write a new one"));
        }
        IdempotentCall::Done(answer) => return replay(app, &answer),
    }
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    if !response.status().is_success() {
        // It was refused and changed nothing: mended, it may be sent again with the same key.
        app.store.forget_idempotent(&user, &key).await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.map_err(WebError::internal)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let kept: Vec<(String, String)> = KEPT
        .iter()
        .filter_map(|name| Some((name.to_string(), parts.headers.get(name)?.to_str().ok()?.to_owned())))
        .collect();
    let answer = IdempotentAnswer {
        status: parts.status.as_u16(),
        headers: serde_json::to_string(&kept).map_err(WebError::internal)?,
        // An answer can hold a token that is shown once.
        body: app.settings.seal_key.seal(SEALED_FOR, &text)?,
    };
    app.store.end_idempotent(&user, &key, &answer).await?;
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn replay(app: &App, answer: &IdempotentAnswer) -> Result<Response, WebError> {
    let body: String = app
        .settings
        .seal_key
        .open(SEALED_FOR, &answer.body)
        .ok_or_else(|| WebError::internal("an answer was sealed with another key"))?;
    let kept: Vec<(String, String)> = serde_json::from_str(&answer.headers).map_err(WebError::internal)?;
    let mut headers = HeaderMap::new();
    for (name, value) in kept {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    let status = StatusCode::from_u16(answer.status).map_err(WebError::internal)?;
    Ok((status, headers, body).into_response())
}
