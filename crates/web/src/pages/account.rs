//! One's own account: password, one-time codes, sessions and API tokens.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use leasehold_decide::authority::Action;
use leasehold_store::{ApiToken, Session, User};
use serde::Deserialize;

use crate::error::WebError;
use crate::flash::{self, FlashKind};
use crate::form::Complaints;
use crate::frame::{self, Frame};
use crate::person::{Person, Via};
use crate::route::{Access, Route};
use crate::sign_in::one_time_code::{self, Proposal};
use crate::sign_in::scope::Scope;
use crate::sign_in::{password, session, token};
use crate::state::App;

const OWN: Access = Access::Needs(Action::ManageOwnSignIn);

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/account", OWN, || get(show)),
    Route::page(Method::POST, "/account/password", OWN, || post(change_password)),
    Route::page(Method::GET, "/account/code", OWN, || get(show_code)),
    Route::page(Method::POST, "/account/code", OWN, || post(confirm_code)),
    Route::page(Method::POST, "/account/code/remove", OWN, || post(remove_code)),
    Route::page(Method::POST, "/account/sessions/end", OWN, || post(end_session)),
    Route::page(Method::POST, "/account/tokens", OWN, || post(create_token)),
    Route::page(Method::POST, "/account/tokens/revoke", OWN, || post(revoke_token)),
];

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    user: User,
    roles: Vec<&'static str>,
    identity: Option<String>,
    this_session: String,
    sessions: Vec<Session>,
    tokens: Vec<ApiToken>,
    scopes: &'static [Scope],
    has_code: bool,
    recovery_left: u64,
    chars_min: usize,
    secret: Option<String>,
    token_name: String,
    now: jiff::Timestamp,
    /// What people call the provider, and whether it signs this user in.
    openid: Option<(String, bool)>,
    wrong: Complaints,
}

#[derive(Template)]
#[template(path = "account_code.html")]
struct CodePage {
    frame: Frame,
    proposal: Option<Proposal>,
    recovery: Vec<String>,
    wrong: Complaints,
}

/// A person with a browser: a token does not change what it is made from.
fn in_session(person: &Person) -> Result<&str, WebError> {
    match &person.via {
        Via::Session(session) => Ok(&session.id),
        Via::Token { .. } => Err(WebError::Refused("this is done in the browser: a token cannot".to_owned())),
    }
}

async fn page(
    app: &App,
    person: &Person,
    frame: Frame,
    status: StatusCode,
    fill: impl FnOnce(&mut AccountPage),
) -> Result<Response, WebError> {
    let this_session = in_session(person)?.to_owned();
    let user = app.store.user(person.user()).await?.ok_or(WebError::SignedOut)?;
    let has_code = one_time_code::is_set_up(app, &user.id).await?;
    let has_openid = app.store.has_provider(&user.id).await?;
    let mut page = AccountPage {
        frame: frame.titled("Your account"),
        roles: person.principal.roles.iter().map(|role| role.name()).collect(),
        identity: person.identity().map(ToString::to_string),
        this_session,
        sessions: app.store.sessions_of(&user.id, app.now()).await?,
        tokens: app.store.tokens(Some(&user.id)).await?,
        scopes: Scope::ALL,
        has_code,
        recovery_left: app.store.recovery_codes_left(&user.id).await?,
        chars_min: if has_code { password::BESIDE_CHARS_MIN } else { password::ALONE_CHARS_MIN },
        user,
        secret: None,
        token_name: String::new(),
        now: app.now(),
        openid: app.settings.openid.as_ref().map(|openid| (openid.name.clone(), has_openid)),
        wrong: Complaints::default(),
    };
    page.sessions.retain(|session| app.now().duration_since(session.last_used_at) < session::IDLE);
    fill(&mut page);
    frame::show_with(status, &page)
}

async fn show(State(app): State<App>, person: Person, frame: Frame) -> Result<Response, WebError> {
    page(&app, &person, frame, StatusCode::OK, |_| {}).await
}

#[derive(Deserialize)]
struct PasswordForm {
    #[serde(default)]
    password: String,
}

async fn change_password(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Form(form): Form<PasswordForm>,
) -> Result<Response, WebError> {
    person.require_confirmed(app.now())?;
    let session = in_session(&person)?;
    let has_code = one_time_code::is_set_up(&app, person.user()).await?;
    let given = password::normalised(&form.password);
    if let Err(message) = password::check(&given, has_code, &[&person.name, &person.mail, "leasehold"]) {
        let wrong = Complaints::one("password", message);
        return page(&app, &person, frame, StatusCode::UNPROCESSABLE_ENTITY, |page| page.wrong = wrong).await;
    }
    let alone = password::stands_alone(&given);
    let hash = app.hasher.hash(given).await?;
    app.store.set_password(person.user(), &hash, alone, Some(session), person.actor(), app.now()).await?;
    let said = "Your password is changed. Other sessions of yours have ended.";
    Ok(flash::redirect_with(&app, "/account", FlashKind::Done, said))
}

async fn show_code(State(app): State<App>, person: Person, frame: Frame) -> Result<Response, WebError> {
    person.require_confirmed(app.now())?;
    in_session(&person)?;
    let proposal = one_time_code::propose(&app, person.user(), &person.mail).await?;
    let frame = frame.titled("One-time codes");
    frame::show(&CodePage {
        frame,
        proposal: Some(proposal),
        recovery: Vec::new(),
        wrong: Complaints::default(),
    })
}

#[derive(Deserialize)]
struct CodeForm {
    #[serde(default)]
    code: String,
}

async fn confirm_code(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Form(form): Form<CodeForm>,
) -> Result<Response, WebError> {
    person.require_confirmed(app.now())?;
    in_session(&person)?;
    let frame = frame.titled("One-time codes");
    match one_time_code::confirm(&app, person.user(), &person.mail, &form.code).await? {
        Some(recovery) => {
            frame::show(&CodePage { frame, proposal: None, recovery, wrong: Complaints::default() })
        }
        None => {
            let proposal = one_time_code::propose(&app, person.user(), &person.mail).await?;
            let wrong =
                Complaints::one("code", "this is not the code of this moment: check the device's clock");
            let page = CodePage { frame, proposal: Some(proposal), recovery: Vec::new(), wrong };
            frame::show_with(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

async fn remove_code(State(app): State<App>, person: Person) -> Result<Response, WebError> {
    person.require_confirmed(app.now())?;
    in_session(&person)?;
    let user = app.store.user(person.user()).await?.ok_or(WebError::SignedOut)?;
    if !user.password_alone {
        let said = format!(
            "Your password is too short to be the only factor: change it to one of at least {} characters first.",
            password::ALONE_CHARS_MIN
        );
        return Ok(flash::redirect_with(&app, "/account", FlashKind::Warning, &said));
    }
    app.store.remove_one_time_code(person.user(), person.actor(), app.now()).await?;
    Ok(flash::redirect_with(&app, "/account", FlashKind::Done, "One-time codes are no longer asked for."))
}

#[derive(Deserialize)]
struct IdForm {
    #[serde(default)]
    id: String,
}

async fn end_session(
    State(app): State<App>,
    person: Person,
    Form(form): Form<IdForm>,
) -> Result<Response, WebError> {
    in_session(&person)?;
    let one = (form.id != "all").then_some(form.id.as_str()).filter(|id| !id.is_empty());
    if form.id.is_empty() {
        return Err(WebError::Malformed("say which session".to_owned()));
    }
    let ended = app.store.end_sessions(person.user(), one, person.actor(), app.now()).await?;
    let said = if ended == 1 {
        "The session has ended.".to_owned()
    } else {
        format!("{ended} sessions have ended.")
    };
    Ok(flash::redirect_with(&app, "/account", FlashKind::Done, &said))
}

/// Fields of a form that can have several values are read by hand: the usual reader takes one of each.
async fn create_token(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    person.require_confirmed(app.now())?;
    in_session(&person)?;
    let field =
        |name: &str| fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let scopes: Vec<String> =
        fields.iter().filter(|(key, _)| key == "scope").map(|(_, value)| value.clone()).collect();
    let name = field("name").to_owned();
    let days = field("days").trim().parse().unwrap_or(0);
    let user = app.store.user(person.user()).await?.ok_or(WebError::SignedOut)?;
    match token::create_token(&app.store, &user, &name, &scopes, days, person.actor(), app.now()).await {
        Ok(created) => {
            page(&app, &person, frame, StatusCode::OK, |page| page.secret = Some(created.secret)).await
        }
        Err(WebError::Invalid(fields)) => {
            let mut wrong = Complaints::default();
            for error in fields {
                wrong.add(&error.field, error.message);
            }
            page(&app, &person, frame, StatusCode::UNPROCESSABLE_ENTITY, |page| {
                page.wrong = wrong;
                page.token_name = name;
            })
            .await
        }
        Err(error) => Err(error),
    }
}

async fn revoke_token(
    State(app): State<App>,
    person: Person,
    Form(form): Form<IdForm>,
) -> Result<Response, WebError> {
    in_session(&person)?;
    let revoked = app.store.revoke_token(&form.id, Some(person.user()), person.actor(), app.now()).await?;
    if !revoked {
        return Ok(Redirect::to("/account").into_response());
    }
    Ok(flash::redirect_with(&app, "/account", FlashKind::Done, "The token is revoked."))
}
