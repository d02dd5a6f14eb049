//! Signing in with a passkey: alone, or after the password as the second factor.

use std::sync::Arc;

use axum::Extension;
use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use serde::Deserialize;

use super::challenge::Purpose;
use super::check;
use crate::context::Context;
use crate::error::WebError;
use crate::form::Complaints;
use crate::frame::{self, Frame};
use crate::pages::theme::own_address;
use crate::route::{Access, Route};
use crate::sign_in::page::{CodePage, SignInPage, pending};
use crate::sign_in::session;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::POST, "/sign-in/passkey/challenge", Access::Open, || post(ask)),
    Route::page(Method::POST, "/sign-in/passkey", Access::Open, || post(sign_in)),
    Route::page(Method::POST, "/sign-in/code/passkey/challenge", Access::Open, || post(ask_second)),
    Route::page(Method::POST, "/sign-in/code/passkey", Access::Open, || post(second)),
];

/// What the script of our pages sends.
#[derive(Deserialize)]
pub(super) struct AnswerForm {
    /// The browser's answer, as JSON.
    #[serde(default)]
    pub(super) answer: String,
    /// Where to go then.
    #[serde(default)]
    pub(super) next: String,
}

async fn ask(State(app): State<App>) -> Result<Response, WebError> {
    Ok(check::begin(&app, &Purpose::SignIn, None).await?.respond(&app))
}

async fn sign_in(
    State(app): State<App>,
    Extension(context): Extension<Arc<Context>>,
    headers: HeaderMap,
    frame: Frame,
    Form(form): Form<AnswerForm>,
) -> Result<Response, WebError> {
    let next = own_address(&form.next);
    let user = match check::finish(&app, &context, &headers, &Purpose::SignIn, None, &form.answer).await {
        Ok(user) => user,
        Err(error) => {
            let status = error.status();
            let mut page = SignInPage::new(&app, frame, next);
            page.wrong = Complaints::of_error(error, "passkey")?;
            return frame::show_with(status, &page);
        }
    };
    let mut response = Redirect::to(next).into_response();
    session::begin(&app, &context, &headers, &user, "passkey", &mut response).await?;
    Ok(response)
}

async fn ask_second(State(app): State<App>, headers: HeaderMap) -> Result<Response, WebError> {
    let (user, _) = pending(&app, &headers).await?.ok_or(WebError::SignedOut)?;
    let purpose = Purpose::SecondFactor { user: user.id.clone() };
    Ok(check::begin(&app, &purpose, Some(&user)).await?.respond(&app))
}

async fn second(
    State(app): State<App>,
    Extension(context): Extension<Arc<Context>>,
    headers: HeaderMap,
    frame: Frame,
    Form(form): Form<AnswerForm>,
) -> Result<Response, WebError> {
    let Some((user, pending)) = pending(&app, &headers).await? else {
        return Ok(Redirect::to("/sign-in").into_response());
    };
    let purpose = Purpose::SecondFactor { user: user.id.clone() };
    let wanted = Some(user.clone());
    if let Err(error) = check::finish(&app, &context, &headers, &purpose, wanted, &form.answer).await {
        let status = error.status();
        let mut page = CodePage::new(&app, frame, &user).await?;
        page.wrong = Complaints::of_error(error, "passkey")?;
        return frame::show_with(status, &page);
    }
    let mut response = Redirect::to(&pending.next).into_response();
    session::begin(&app, &context, &headers, &user, "password and passkey", &mut response).await?;
    Ok(response)
}
