//! Errors as programs read them: RFC 9457, `application/problem+json`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{FieldError, WebError};

/// A problem.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Which sort: an address whose last part is a stable word.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same in a few words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What happened here, and what to do.
    pub detail: String,
    /// The request, as the log names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The word of RFC 8628 or RFC 6749, where a program asks for a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// Gives an error the form of a problem.
pub(crate) fn respond(error: &WebError, request_id: Option<&str>) -> Response {
    let problem = Problem {
        kind: format!("/api/v1/problems#{}", error.code()),
        title: error.title().to_owned(),
        status: error.status().as_u16(),
        detail: error.to_string(),
        instance: request_id.map(|id| format!("urn:uuid:{id}")),
        error: if let WebError::Grant(error) = error { Some(error.code()) } else { None },
        errors: if let WebError::Invalid(fields) = error { fields.clone() } else { Vec::new() },
    };
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
