//! Errors as SCIM's clients read them (RFC 7644, section 3.12; RFC 9865).

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use leasehold_store::{ScimRefusal, StoreError};
use serde_json::json;

use crate::error::WebError;

/// The media type of everything that is said here.
pub(crate) const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/scim+json");

/// The words of RFC 7644, table 9, and of RFC 9865.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScimType {
    InvalidFilter,
    TooMany,
    Uniqueness,
    Mutability,
    InvalidSyntax,
    InvalidPath,
    NoTarget,
    InvalidValue,
    InvalidCursor,
    ExpiredCursor,
    InvalidCount,
}

impl ScimType {
    fn name(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::TooMany => "tooMany",
            Self::Uniqueness => "uniqueness",
            Self::Mutability => "mutability",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidPath => "invalidPath",
            Self::NoTarget => "noTarget",
            Self::InvalidValue => "invalidValue",
            Self::InvalidCursor => "invalidCursor",
            Self::ExpiredCursor => "expiredCursor",
            Self::InvalidCount => "invalidCount",
        }
    }
}

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScimError {
    /// What was sent cannot be used.
    #[error("{1}")]
    Wrong(ScimType, String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// This is not done here.
    #[error("{0}")]
    Forbidden(String),
    /// `If-Match` names another version.
    #[error("this changed since you read it: read it again")]
    Precondition,
    /// Too much at once.
    #[error("{0}")]
    TooLarge(String),
    /// What is here is not this.
    #[error("{0}")]
    NotImplemented(String),
    /// As everywhere else in the server.
    #[error(transparent)]
    Other(#[from] WebError),
}

impl ScimError {
    /// A complaint.
    pub fn new(kind: ScimType, detail: impl Into<String>) -> Self {
        Self::Wrong(kind, detail.into())
    }

    /// A value that makes no sense.
    pub fn value(detail: impl Into<String>) -> Self {
        Self::new(ScimType::InvalidValue, detail)
    }

    /// A text that is not what it should be.
    pub fn syntax(detail: impl Into<String>) -> Self {
        Self::new(ScimType::InvalidSyntax, detail)
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Wrong(ScimType::Uniqueness, _) => StatusCode::CONFLICT,
            Self::Wrong(..) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Precondition => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Other(error) => error.status(),
        }
    }

    /// As it is sent.
    pub fn body(&self) -> serde_json::Value {
        let kind = if let Self::Wrong(kind, _) = self { Some(*kind) } else { None };
        body(self.status(), kind, &self.to_string())
    }
}

impl From<StoreError> for ScimError {
    fn from(error: StoreError) -> Self {
        Self::Other(error.into())
    }
}

impl From<ScimRefusal> for ScimError {
    fn from(refusal: ScimRefusal) -> Self {
        Self::Other(match refusal {
            ScimRefusal::NotInForce => WebError::BadToken,
            ScimRefusal::Busy => WebError::Unavailable("the store is busy".to_owned()),
            ScimRefusal::Failed(cause) => WebError::Internal(cause),
        })
    }
}

fn body(status: StatusCode, kind: Option<ScimType>, detail: &str) -> serde_json::Value {
    let mut body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": status.as_str(),
        "detail": detail,
    });
    if let Some(kind) = kind {
        body["scimType"] = json!(kind.name());
    }
    body
}

impl IntoResponse for ScimError {
    fn into_response(self) -> Response {
        match self {
            // It gets its face where it is logged.
            Self::Other(error) => error.into_response(),
            error => answer(error.status(), &error.body()),
        }
    }
}

/// An error of the rest of the server, in the form of SCIM's.
pub(crate) fn respond(error: &Arc<WebError>) -> Response {
    let kind = if let WebError::Malformed(_) = **error { Some(ScimType::InvalidSyntax) } else { None };
    let status = error.status();
    answer(status, &body(status, kind, &error.to_string()))
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    let mut response = (status, body.to_string()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, MEDIA_TYPE);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
