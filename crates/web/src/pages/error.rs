//! The page of an error: what happened, and the way on.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::error::WebError;
use crate::frame::{self, Frame};

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    status: u16,
    detail: String,
    request_id: String,
}

/// Gives an error the form of a page.
pub(crate) fn respond(frame: Frame, error: &WebError, request_id: Option<&str>) -> Response {
    let status = error.status();
    let mut detail = error.to_string();
    if let Some(first) = detail.chars().next() {
        detail.replace_range(..first.len_utf8(), &first.to_uppercase().to_string());
    }
    let page = ErrorPage {
        frame: frame.titled(error.title()),
        status: status.as_u16(),
        detail,
        request_id: request_id.unwrap_or_default().to_owned(),
    };
    frame::show_with(status, &page).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
