//! Home: what is wrong now.

use askama::Template;
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use leasehold_decide::authority::Action;

use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::route::{Access, Route};

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::page(Method::GET, "/", Access::Needs(Action::SeeOwnAccess), || get(home))];

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    frame: Frame,
}

async fn home(frame: Frame) -> Result<Response, WebError> {
    frame::show(&Home { frame: frame.titled("Home") })
}
