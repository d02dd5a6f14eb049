//! Showing again that it is you, before something that cannot be undone.

use askama::Template;
use axum::Extension;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use leasehold_decide::authority::Action;
use serde::Deserialize;

use crate::context::Context;
use crate::error::WebError;
use crate::form::Complaints;
use crate::frame::{self, Frame};
use crate::pages::theme::own_address;
use crate::person::Person;
use crate::route::{Access, Route};
use crate::sign_in::openid::page::{Button, button};
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
    has_password: bool,
    with_code: bool,
    openid: Option<Button>,
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

async fn page(
    app: &App,
    person: &Person,
    frame: Frame,
    next: &str,
    wrong: Complaints,
    status: StatusCode,
) -> Result<Response, WebError> {
    let user = app.store.user(person.user()).await?.ok_or(WebError::SignedOut)?;
    let with_code = one_time_code::is_set_up(app, person.user()).await?;
    let next = own_address(next).to_owned();
    let has_openid = app.store.has_provider(&user.id).await?;
    let openid = button(app, &next, true).filter(|_| has_openid);
    let has_password = user.password_hash.is_some();
    let frame = frame.titled("Confirm that it is you");
    frame::show_with(status, &StepUpPage { frame, next, has_password, with_code, openid, wrong })
}

async fn confirm(
    State(app): State<App>,
    Extension(context): Extension<Context>,
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
    let given = password::normalised(&form.password);
    let mut wrong = Complaints::default();
    if !app.hasher.matches(given, user.password_hash.clone()).await? {
        wrong.add("password", "this is not your password");
    }
    let with_code = one_time_code::is_set_up(&app, &user.id).await?;
    if wrong.is_empty() && with_code && !one_time_code::check(&app, &user, &form.code).await? {
        wrong.add("code", "this code is wrong, or was used before: wait for the next one");
    }
    if !wrong.is_empty() {
        let source = context.source.0.to_string();
        app.store.record_failed_sign_in(Some(&user.id), &user.mail, &source, "step-up", app.now()).await?;
        return page(&app, &person, frame, &form.next, wrong, StatusCode::UNPROCESSABLE_ENTITY).await;
    }
    tried.succeeded(&app).await?;
    let mut response = Redirect::to(own_address(&form.next)).into_response();
    let method = if with_code { "password and code" } else { "password" };
    session::confirm(&app, &person, method, &mut response).await?;
    Ok(response)
}
