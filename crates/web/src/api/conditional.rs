//! `ETag`, `If-None-Match` and `If-Match`: an answer is named by its content.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::WebError;
use crate::security::hex_text;

/// The tag of an answer with this body.
fn tag(bytes: &[u8]) -> String {
    format!("\"{}\"", hex_text(&Sha256::digest(bytes)[..16]))
}

/// The tags that a caller of a read has already.
pub(crate) fn known(request: &Request) -> Option<HeaderValue> {
    request.headers().get(header::IF_NONE_MATCH).cloned()
}

/// Gives what was read a tag, and answers with nothing where the caller has it already.
pub(crate) async fn answer(known: Option<HeaderValue>, response: Response) -> Response {
    let is_document =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if response.status() != StatusCode::OK || !is_document {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The body was made by us and stands in memory already.
    let bytes = match to_bytes(body, usize::MAX).await {
        Ok(bytes) => bytes,
        Err(error) => return WebError::internal(error).into_response(),
    };
    let tag = tag(&bytes);
    let is_known =
        known.as_ref().and_then(|known| known.to_str().ok()).is_some_and(|known| names(known, &tag));
    if let Ok(value) = HeaderValue::from_str(&tag) {
        parts.headers.insert(header::ETAG, value);
    }
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if is_known {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

fn names(list: &str, tag: &str) -> bool {
    list.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

/// Refuses a change of something that is not what the caller has read. Without `If-Match` nobody is refused.
///
/// # Errors
/// [`WebError::Precondition`].
pub(crate) fn require_match(headers: &HeaderMap, present: &impl Serialize) -> Result<(), WebError> {
    let Some(wanted) = headers.get(header::IF_MATCH) else { return Ok(()) };
    let bytes = serde_json::to_vec(present).map_err(WebError::internal)?;
    let is_match = wanted.to_str().is_ok_and(|wanted| names(wanted, &tag(&bytes)));
    if is_match { Ok(()) } else { Err(WebError::Precondition) }
}
