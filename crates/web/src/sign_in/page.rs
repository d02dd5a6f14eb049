//! The page where people sign in by password, and the step after it where they have a second factor.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use jiff::{SignedDuration, Timestamp};
use leasehold_decide::authority::Action;
use leasehold_store::{User, UserState};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::WebError;
use crate::form::Complaints;
use crate::frame::{self, Frame};
use crate::pages::theme::own_address;
use crate::person::{Person, Via};
use crate::route::{Access, Route};
use crate::security::{self, Cookie};
use crate::sign_in::openid::page::{Button, button};
use crate::sign_in::passkey::Offer;
use crate::sign_in::second_factor::SecondFactors;
use crate::sign_in::throttle::Try;
use crate::sign_in::{one_time_code, password, session};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/sign-in", Access::Open, || get(show)),
    Route::page(Method::POST, "/sign-in", Access::Open, || post(by_password)),
    Route::page(Method::GET, "/sign-in/code", Access::Open, || get(show_code)),
    Route::page(Method::POST, "/sign-in/code", Access::Open, || post(by_code)),
    Route::page(Method::POST, "/sign-out", Access::Needs(Action::ManageOwnSignIn), || post(sign_out)),
];

/// After the password, the second factor has this long.
const PENDING: SignedDuration = SignedDuration::from_mins(5);
const SEALED_FOR: &str = "pending sign-in";
/// Says nothing about which of the two is wrong.
const WRONG: &str = "this mail address and password do not belong together";

/// The page with the ways to sign in.
#[derive(Template)]
#[template(path = "sign_in.html")]
pub(crate) struct SignInPage {
    frame: Frame,
    mail: String,
    next: String,
    pub(crate) wrong: Complaints,
    is_new: bool,
    openid: Option<Button>,
    passkeys: Offer,
}

impl SignInPage {
    /// The page as it is before anything is typed. `next` is an address of ours.
    pub(crate) fn new(app: &App, frame: Frame, next: &str) -> Self {
        Self {
            frame: frame.titled("Sign in"),
            mail: String::new(),
            next: next.to_owned(),
            wrong: Complaints::default(),
            is_new: false,
            openid: button(app, next, false),
            passkeys: Offer::of(app),
        }
    }
}

/// The page that asks for the second factor.
#[derive(Template)]
#[template(path = "sign_in_code.html")]
pub(crate) struct CodePage {
    frame: Frame,
    pub(crate) wrong: Complaints,
    factors: SecondFactors,
    passkeys: Offer,
}

impl CodePage {
    /// The page with the factors that this user has.
    ///
    /// # Errors
    /// Where the store fails.
    pub(crate) async fn new(app: &App, frame: Frame, user: &User) -> Result<Self, WebError> {
        Ok(Self {
            frame: frame.titled("Second factor"),
            wrong: Complaints::default(),
            factors: SecondFactors::of(app, &user.id).await?,
            passkeys: Offer::of(app),
        })
    }
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct SignInForm {
    #[serde(default)]
    mail: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct CodeForm {
    #[serde(default)]
    code: String,
}

/// What is known after the password and before the second factor.
#[derive(Serialize, Deserialize)]
pub(crate) struct Pending {
    user: String,
    /// Where to go then.
    pub(crate) next: String,
    until: Timestamp,
}

async fn show(
    State(app): State<App>,
    frame: Frame,
    Query(Next { next }): Query<Next>,
) -> Result<Response, WebError> {
    let mut page = SignInPage::new(&app, frame, own_address(&next));
    page.is_new = !app.store.has_users().await?;
    frame::show(&page)
}

async fn by_password(
    State(app): State<App>,
    Extension(context): Extension<Arc<Context>>,
    headers: HeaderMap,
    frame: Frame,
    Form(mut form): Form<SignInForm>,
) -> Result<Response, WebError> {
    form.mail.retain(|c| !c.is_control());
    let next = own_address(&form.next).to_owned();
    let user = app.store.user_by_mail(&form.mail).await?.filter(|user| user.state == UserState::Active);
    let known = match &user {
        Some(user) => session::known_browser(&app, &headers, &user.id).await?,
        None => None,
    };
    let again = |frame: Frame, message: String, status| {
        let mut page = SignInPage::new(&app, frame, &next);
        page.mail.clone_from(&form.mail);
        page.wrong = Complaints::one("password", message);
        frame::show_with(status, &page)
    };
    let tried = match Try::begin(&app, "password", &form.mail, &context.source, known.as_deref()).await {
        Ok(tried) => tried,
        Err(error @ WebError::TooMany { retry_after_seconds }) => {
            let mut response = again(frame, error.to_string(), error.status())?;
            response.headers_mut().insert(axum::http::header::RETRY_AFTER, retry_after_seconds.into());
            return Ok(response);
        }
        Err(error) => return Err(error),
    };
    let hash = user.as_ref().and_then(|user| user.password_hash.clone());
    let given = password::normalised(&form.password);
    let is_right = app.hasher.matches(given, hash).await?;
    let Some(user) = user.filter(|_| is_right) else {
        let source = context.source.0.to_string();
        let mail: String = form.mail.chars().take(254).collect();
        let known_user = app.store.user_by_mail(&mail).await?.map(|user| user.id);
        app.store.record_failed_sign_in(known_user.as_deref(), &mail, &source, "password", app.now()).await?;
        return again(frame, WRONG.to_owned(), StatusCode::UNPROCESSABLE_ENTITY);
    };
    tried.succeeded(&app).await?;
    if SecondFactors::of(&app, &user.id).await?.any() {
        return ask_for_second(&app, &user, &next);
    }
    let mut response = Redirect::to(&next).into_response();
    session::begin(&app, &context, &headers, &user, "password", &mut response).await?;
    Ok(response)
}

/// Asks a user, who has shown one factor, for the second.
pub(crate) fn ask_for_second(app: &App, user: &User, next: &str) -> Result<Response, WebError> {
    let pending = Pending { user: user.id.clone(), next: next.to_owned(), until: app.now() + PENDING };
    let mut response = Redirect::to("/sign-in/code").into_response();
    let sealed = app.settings.seal_key.seal(SEALED_FOR, &pending)?;
    security::remember(response.headers_mut(), &app.settings, &Cookie::PENDING, &sealed);
    Ok(response)
}

/// Who has shown one factor in this browser, and is to show the second.
///
/// # Errors
/// Where the store fails.
pub(crate) async fn pending(app: &App, headers: &HeaderMap) -> Result<Option<(User, Pending)>, WebError> {
    let sealed = security::cookie(headers, &app.settings, &Cookie::PENDING);
    let pending = sealed.and_then(|sealed| app.settings.seal_key.open::<Pending>(SEALED_FOR, &sealed));
    let Some(pending) = pending.filter(|pending| app.now() < pending.until) else { return Ok(None) };
    let user = app.store.user(&pending.user).await?.filter(|user| user.state == UserState::Active);
    Ok(user.map(|user| (user, pending)))
}

async fn show_code(State(app): State<App>, headers: HeaderMap, frame: Frame) -> Result<Response, WebError> {
    let Some((user, _)) = pending(&app, &headers).await? else {
        return Ok(Redirect::to("/sign-in").into_response());
    };
    frame::show(&CodePage::new(&app, frame, &user).await?)
}

async fn by_code(
    State(app): State<App>,
    Extension(context): Extension<Arc<Context>>,
    headers: HeaderMap,
    frame: Frame,
    Form(form): Form<CodeForm>,
) -> Result<Response, WebError> {
    let Some((user, pending)) = pending(&app, &headers).await? else {
        return Ok(Redirect::to("/sign-in").into_response());
    };
    let known = session::known_browser(&app, &headers, &user.id).await?;
    let mut page = CodePage::new(&app, frame, &user).await?;
    let mut again = |message: String, status| {
        page.wrong = Complaints::one("code", message);
        frame::show_with(status, &page)
    };
    let tried = match Try::begin(&app, "code", &user.id, &context.source, known.as_deref()).await {
        Ok(tried) => tried,
        Err(error @ WebError::TooMany { .. }) => return again(error.to_string(), error.status()),
        Err(error) => return Err(error),
    };
    if !one_time_code::check(&app, &user, &form.code).await? {
        let source = context.source.0.to_string();
        app.store.record_failed_sign_in(Some(&user.id), &user.mail, &source, "code", app.now()).await?;
        let message = "this code is wrong, or was used before: wait for the next one";
        return again(message.to_owned(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    tried.succeeded(&app).await?;
    let mut response = Redirect::to(&pending.next).into_response();
    session::begin(&app, &context, &headers, &user, "password and code", &mut response).await?;
    Ok(response)
}

async fn sign_out(State(app): State<App>, person: Person) -> Result<Response, WebError> {
    let Via::Session(session) = &person.via else { return Err(WebError::SignedOut) };
    app.store.end_sessions(person.user(), Some(&session.id), person.actor(), app.now()).await?;
    let mut response = Redirect::to("/sign-in").into_response();
    security::forget(response.headers_mut(), &app.settings, &Cookie::SESSION);
    Ok(response)
}
