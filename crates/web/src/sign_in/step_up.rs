//! Showing again that it is you, before something that cannot be undone.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use leasehold_decide::authority::Action;
use leasehold_store::User;
use serde::Deserialize;

use crate::context::Context;
use crate::error::WebError;
use crate::form::Complaints;
use crate::frame::{self, Frame};
use crate::pages::theme::own_address;
use crate::person::Person;
use crate::route::{Access, Route};
use crate::sign_in::openid::page::{Button, button};
use crate::sign_in::passkey::Offer;
use crate::sign_in::second_factor::SecondFactors;
use crate::sign_in::throttle::Try;
use crate::sign_in::{one_time_code, password, session};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/step-up", Access::Needs(Action::ManageOwnSignIn), || get(show)),
    Route::page(Method::POST, "/step-up", Access::Needs(Action::ManageOwnSignIn), || post(confirm)),
];

#[derive(Template)]
#[template(path = "step_up.html")]
struct StepUpPage {
    frame: Frame,
    next: String,
    /// Where a password confirms, alone or with a code.
    by_password: bool,
    factors: SecondFactors,
    openid: Option<Button>,
    passkeys: Offer,
    wrong: Complaints,
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct StepUpForm {
    #[serde(default)]
    password: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
}

async fn show(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Query(Next { next }): Query<Next>,
) -> Result<Response, WebError> {
    page(&app, &person, frame, &next, Complaints::default(), StatusCode::OK).await
}

/// The page, with what was wrong.
///
/// # Errors
/// Where the store fails.
pub(crate) async fn page(
    app: &App,
    person: &Person,
    frame: Frame,
    next: &str,
    wrong: Complaints,
    status: StatusCode,
) -> Result<Response, WebError> {
    let user = app.store.user(person.user()).await?.ok_or(WebError::SignedOut)?;
    let factors = SecondFactors::of(app, &user.id).await?;
    let next = own_address(next).to_owned();
    let has_openid = app.store.has_provider(&user.id).await?;
    let openid = button(app, &next, true).filter(|_| has_openid);
    let by_password = by_password(&user, factors);
    let passkeys = Offer::of(app);
    let frame = frame.titled("Confirm that it is you");
    frame::show_with(status, &StepUpPage { frame, next, by_password, factors, openid, passkeys, wrong })
}

/// Whether the password can confirm: beside it stands what is asked for at a sign-in, too.
fn by_password(user: &User, factors: SecondFactors) -> bool {
    user.password_hash.is_some() && (factors.code || !factors.passkey())
}

async fn confirm(
    State(app): State<App>,
    Extension(context): Extension<Arc<Context>>,
    person: Person,
    headers: HeaderMap,
    frame: Frame,
    Form(form): Form<StepUpForm>,
) -> Result<Response, WebError> {
    let user = app.store.user(person.user()).await?.ok_or(WebError::SignedOut)?;
    let known = session::known_browser(&app, &headers, &user.id).await?;
    let tried = match Try::begin(&app, "step-up", &user.id, &context.source, known.as_deref()).await {
        Ok(tried) => tried,
        Err(error @ WebError::TooMany { .. }) => {
            let wrong = Complaints::one("password", error.to_string());
            return page(&app, &person, frame, &form.next, wrong, error.status()).await;
        }
        Err(error) => return Err(error),
    };
    let factors = SecondFactors::of(&app, &user.id).await?;
    if factors.passkey() && !factors.code {
        return Err(WebError::Refused("your password does not confirm alone: use your passkey".to_owned()));
    }
    let given = password::normalised(&form.password);
    let mut wrong = Complaints::default();
    if !app.hasher.matches(given, user.password_hash.clone()).await? {
        wrong.add("password", "this is not your password");
    }
    if wrong.is_empty() && factors.code && !one_time_code::check(&app, &user, &form.code).await? {
        wrong.add("code", "this code is wrong, or was used before: wait for the next one");
    }
    if !wrong.is_empty() {
        let source = context.source.0.to_string();
        app.store.record_failed_sign_in(Some(&user.id), &user.mail, &source, "step-up", app.now()).await?;
        return page(&app, &person, frame, &form.next, wrong, StatusCode::UNPROCESSABLE_ENTITY).await;
    }
    tried.succeeded(&app).await?;
    let mut response = Redirect::to(own_address(&form.next)).into_response();
    let method = if factors.code { "password and code" } else { "password" };
    session::confirm(&app, &person, method, &mut response).await?;
    Ok(response)
}
