//! The choice of a theme, kept in a cookie and put into the page by the server: no script, and no flash of the wrong one.

use axum::Form;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use serde::Deserialize;

use crate::context::Theme;
use crate::route::{Access, Route};
use crate::security::{self, Cookie};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[Route::page(Method::POST, "/theme", Access::Open, || post(choose))];

#[derive(Deserialize)]
struct Choice {
    theme: String,
    #[serde(default)]
    back: String,
}

async fn choose(State(app): State<App>, Form(choice): Form<Choice>) -> Response {
    let mut response = Redirect::to(own_address(&choice.back)).into_response();
    match Theme::parse(&choice.theme) {
        Some(theme) => {
            security::remember(response.headers_mut(), &app.settings, &Cookie::THEME, theme.name())
        }
        None => security::forget(response.headers_mut(), &app.settings, &Cookie::THEME),
    }
    response
}

/// An address of this server, or the home page: nobody is sent elsewhere by what a request says.
pub(crate) fn own_address(text: &str) -> &str {
    let is_own = text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains(['\\', '\r', '\n', '\t'])
        && text.is_ascii();
    if is_own { text } else { "/" }
}
