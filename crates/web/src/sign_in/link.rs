//! Links that stand for a sign-in: the first administrator's, an invitation, a sign-in without a password.
//!
//! Looking at a link does not use it up: programs that read mail look at every link.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use jiff::{SignedDuration, Timestamp};
use leasehold_decide::authority::Role;
use leasehold_store::{LinkKind, NewUser, SignInLink, Store, User, UserState};
use serde::Deserialize;
use url::Url;

use crate::context::Context;
use crate::error::WebError;
use crate::form::{Complaints, mail_address, short_text};
use crate::frame::{self, Frame};
use crate::route::{Access, Route};
use crate::security::{secret_hash, secret_text};
use crate::sign_in::second_factor::SecondFactors;
use crate::sign_in::{password, session};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/link", Access::Open, || get(show)),
    Route::page(Method::POST, "/link", Access::Open, || post(follow)),
];

/// The first administrator's link lasts this long; a server that starts anew prints another.
const SETUP_LASTS: SignedDuration = SignedDuration::from_hours(24);
/// An invitation lasts this long.
const INVITATION_LASTS: SignedDuration = SignedDuration::from_hours(72);
/// A link that signs in by itself lasts this long.
const SIGN_IN_LASTS: SignedDuration = SignedDuration::from_mins(15);

#[derive(Template)]
#[template(path = "link.html")]
struct LinkPage {
    frame: Frame,
    token: String,
    kind: LinkKind,
    name: String,
    mail: String,
    chars_min: usize,
    wrong: Complaints,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
}

#[derive(Deserialize)]
struct LinkForm {
    #[serde(default)]
    token: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    mail: String,
    #[serde(default)]
    password: String,
}

/// Makes the link by which the first administrator is made; `None` where there are users already.
///
/// # Errors
/// Where the store fails, or the machine gives no randomness.
pub async fn setup_link(store: &Store, url: &Url, now: Timestamp) -> Result<Option<String>, WebError> {
    if store.has_users().await? {
        return Ok(None);
    }
    let link = SignInLink { kind: LinkKind::Setup, user: None, expires_at: now + SETUP_LASTS };
    make(store, url, &link, "server", now).await.map(Some)
}

/// Makes a link by which a user sets their password, or signs in once. Whoever has it is that user.
///
/// # Errors
/// Where the store fails, or the machine gives no randomness.
pub async fn user_link(
    store: &Store,
    url: &Url,
    kind: LinkKind,
    user: &User,
    by: &str,
    now: Timestamp,
) -> Result<String, WebError> {
    let lasts = if kind == LinkKind::SignIn { SIGN_IN_LASTS } else { INVITATION_LASTS };
    let link = SignInLink { kind, user: Some(user.id.clone()), expires_at: now + lasts };
    make(store, url, &link, by, now).await
}

async fn make(
    store: &Store,
    url: &Url,
    link: &SignInLink,
    by: &str,
    now: Timestamp,
) -> Result<String, WebError> {
    let token = secret_text()?;
    store.make_link(&secret_hash(&token), link, by, now).await?;
    Ok(format!("{}/link?token={token}", url.as_str().trim_end_matches('/')))
}

fn not_in_force() -> WebError {
    WebError::NotFound("this link was used, has expired or was replaced by a newer one; it".to_owned())
}

/// A link that is in force, and whose it is.
async fn found(app: &App, token: &str) -> Result<(SignInLink, Option<User>), WebError> {
    let link = app.store.link(&secret_hash(token), app.now()).await?.ok_or_else(not_in_force)?;
    let Some(id) = &link.user else {
        // Once somebody is there, nobody becomes the first any more.
        return if app.store.has_users().await? { Err(not_in_force()) } else { Ok((link, None)) };
    };
    let user =
        app.store.user(id).await?.filter(|user| user.state == UserState::Active).ok_or_else(not_in_force)?;
    Ok((link, Some(user)))
}

async fn chars_min(app: &App, user: Option<&User>) -> Result<usize, WebError> {
    match user {
        Some(user) => Ok(SecondFactors::of(app, &user.id).await?.password_chars_min()),
        None => Ok(password::ALONE_CHARS_MIN),
    }
}

fn title(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Setup => "First administrator",
        LinkKind::Invitation => "Set your password",
        LinkKind::SignIn => "Sign in",
    }
}

async fn show(
    State(app): State<App>,
    frame: Frame,
    Query(Token { token }): Query<Token>,
) -> Result<Response, WebError> {
    let (link, user) = found(&app, &token).await?;
    let chars_min = chars_min(&app, user.as_ref()).await?;
    let (name, mail) = user.map_or_else(Default::default, |user| (user.name, user.mail));
    let frame = frame.titled(title(link.kind));
    frame::show(&LinkPage {
        frame,
        token,
        kind: link.kind,
        name,
        mail,
        chars_min,
        wrong: Complaints::default(),
    })
}

async fn follow(
    State(app): State<App>,
    Extension(context): Extension<Arc<Context>>,
    headers: HeaderMap,
    frame: Frame,
    Form(form): Form<LinkForm>,
) -> Result<Response, WebError> {
    let (link, user) = found(&app, &form.token).await?;
    let mut wrong = Complaints::default();
    let (name, mail) = match &user {
        Some(user) => (user.name.clone(), user.mail.clone()),
        None => (
            short_text(&form.name, "name", &mut wrong).to_owned(),
            mail_address(&form.mail, "mail", &mut wrong).to_owned(),
        ),
    };
    let chars_min = chars_min(&app, user.as_ref()).await?;
    let given = password::normalised(&form.password);
    if link.kind != LinkKind::SignIn
        && let Err(message) =
            password::check(&given, chars_min < password::ALONE_CHARS_MIN, &[&name, &mail, "leasehold"])
    {
        wrong.add("password", message);
    }
    if !wrong.is_empty() {
        let frame = frame.titled(title(link.kind));
        let page = LinkPage {
            frame,
            token: form.token,
            kind: link.kind,
            name: form.name,
            mail: form.mail,
            chars_min,
            wrong,
        };
        return frame::show_with(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    let hash = secret_hash(&form.token);
    let alone = password::stands_alone(&given);
    let user = match (link.kind, user) {
        (LinkKind::Setup, _) | (_, None) => {
            let new = NewUser {
                mail,
                name,
                roles: vec![Role::Administrator.name().to_owned()],
                password_hash: Some(app.hasher.hash(given).await?),
                password_alone: alone,
            };
            app.store.create_first_user(&hash, &new, app.now()).await?.ok_or_else(not_in_force)?
        }
        (kind, Some(user)) => {
            let new_hash =
                if kind == LinkKind::Invitation { Some(app.hasher.hash(given).await?) } else { None };
            if !app.store.use_link(&hash, app.now()).await? {
                return Err(not_in_force());
            }
            if let Some(new_hash) = new_hash {
                app.store.set_password(&user.id, &new_hash, alone, None, &user.mail, app.now()).await?;
            }
            user
        }
    };
    // The link stands for the password only: where a second factor is set up, it is asked for.
    if SecondFactors::of(&app, &user.id).await?.any() {
        return super::page::ask_for_second(&app, &user, "/");
    }
    let mut response = Redirect::to("/").into_response();
    session::begin(&app, &context, &headers, &user, "link", &mut response).await?;
    Ok(response)
}
