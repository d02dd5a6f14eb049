//! The present state, for pages that show it; and what such a page says while the first one is being evaluated.

use std::sync::Arc;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use leasehold_reconcile::view::View;

use crate::context::Context;
use crate::frame::{self, Frame};
use crate::state::App;

/// The present state. An extractor: a handler that takes one runs only when there is one.
#[derive(Clone)]
pub struct Present(pub Arc<View>);

#[derive(Template)]
#[template(path = "not_yet.html")]
struct NotYet {
    frame: Frame,
    trouble: Option<String>,
}

/// When the browser asks again.
const ASK_AGAIN: &str = "2";

impl FromRequestParts<App> for Present {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        if let Some(view) = app.live.view() {
            return Ok(Self(view));
        }
        let context = parts.extensions.get::<Arc<Context>>().cloned().unwrap_or_default();
        let trouble = app.live.trouble().map(leasehold_model::text::safe);
        let page = NotYet { frame: Frame::new(app, &context).titled("Not yet"), trouble };
        let mut response = frame::show(&page).unwrap_or_else(IntoResponse::into_response);
        response.headers_mut().insert(header::REFRESH, header::HeaderValue::from_static(ASK_AGAIN));
        Err(response)
    }
}
