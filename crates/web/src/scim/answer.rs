//! Answers: a resource with its version and its address, in SCIM's media type.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use leasehold_store::{ScimResource, SentResource};
use serde_json::{Value, json};

use crate::scim::deeds::{Condition, Done};
use crate::scim::document;
use crate::scim::error::{MEDIA_TYPE, ScimError};
use crate::scim::projection::Projection;
use crate::scim::schema::ResourceType;
use crate::state::App;

/// So many headers an answer has about, with those that every answer has.
const HEADERS: usize = 16;

/// A document of ours.
pub(crate) fn value(status: StatusCode, value: &Value) -> Response {
    text(status, value.to_string())
}

/// A text of JSON.
pub(crate) fn text(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
    response
}

/// A resource.
///
/// # Errors
/// Where it does not read back.
pub(crate) fn resource(
    app: &App,
    known: &'static ResourceType,
    status: StatusCode,
    resource: &ScimResource,
    projection: &Projection,
) -> Result<Response, ScimError> {
    let base = app.scim_base();
    let sent = if projection.is_whole() {
        resource.sent.get(|| document::sent(base, known, resource)).clone()
    } else {
        let object = document::object(base, known, resource)?;
        let text = json!(projection.of_object(known, object)).to_string().into();
        let location = document::location(base, known, &resource.id).into();
        SentResource { text, tag: document::tag(resource).into(), location }
    };
    let mut response = text(status, sent.text);
    let headers = response.headers_mut();
    insert(headers, header::ETAG, sent.tag);
    let where_it_is = if status == StatusCode::CREATED { header::LOCATION } else { header::CONTENT_LOCATION };
    insert(headers, where_it_is, sent.location);
    Ok(response)
}

/// What came of a change.
///
/// # Errors
/// As [`resource`].
pub(crate) fn done(
    app: &App,
    known: &'static ResourceType,
    done: &Done,
    projection: &Projection,
) -> Result<Response, ScimError> {
    match &done.resource {
        Some(found) => resource(app, known, done.status, found, projection),
        None => Ok(done.status.into_response()),
    }
}

/// That the caller has this version already.
pub(crate) fn not_modified(resource: &ScimResource) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    insert(response.headers_mut(), header::ETAG, document::tag(resource));
    response
}

/// The condition in a header. One that cannot be read is one that nothing fits.
pub(crate) fn condition(headers: &HeaderMap, name: header::HeaderName) -> Condition {
    let values: Vec<&str> =
        headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect();
    Condition((!values.is_empty()).then(|| values.join(",")))
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, text: impl Into<Bytes>) {
    if let Ok(value) = HeaderValue::from_maybe_shared(text.into()) {
        headers.insert(name, value);
    }
}
