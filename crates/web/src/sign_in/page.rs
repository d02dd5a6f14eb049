//! The page where people sign in.

use askama::Template;
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;

use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::route::{Access, Route};

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[Route::page(Method::GET, "/sign-in", Access::Open, || get(page))];

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
}

async fn page(frame: Frame) -> Result<Response, WebError> {
    frame::show(&SignInPage { frame: frame.titled("Sign in") })
}
