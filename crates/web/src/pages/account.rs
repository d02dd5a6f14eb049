//! One's own account: password, one-time codes, passkeys, sessions and API tokens.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_store::{ApiToken, PasskeyRow, Session, User};
use serde::Deserialize;

use crate::error::WebError;
use crate::flash::{self, FlashKind};
use crate::form::Complaints;
use crate::frame::{self, Frame};
use crate::parts::Moment;
use crate::person::Person;
use crate::route::{Access, Route};
use crate::sign_in::one_time_code::{self, Proposal};
use crate::sign_in::passkey::{Offer, PASSKEYS_MAX};
use crate::sign_in::scope::Scope;
use crate::sign_in::second_factor::SecondFactors;
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
pub(crate) struct AccountPage {
    frame: Frame,
    user: User,
    roles: Vec<&'static str>,
    identity: Option<String>,
    this_session: String,
    sessions: Vec<Session>,
    tokens: Vec<ApiToken>,
    scopes: &'static [Scope],
    factors: SecondFactors,
    passkeys: Vec<PasskeyRow>,
    /// Where passkeys work, or why they do not.
    offer: Offer,
    pub(crate) passkey_name: String,
    passkeys_max: usize,
    recovery_left: u64,
    chars_min: usize,
    secret: Option<String>,
    token_name: String,
    now: Timestamp,
    /// What people call the provider, and whether it signs this user in.
    openid: Option<(String, bool)>,
    pub(crate) wrong: Complaints,
}

impl AccountPage {
    /// An instant, for the template.
    fn moment(&self, at: &Timestamp) -> Moment {
        Moment::relative(*at, self.now)
    }
}

#[derive(Template)]
#[template(path = "account_code.html")]
struct CodePage {
    frame: Frame,
    proposal: Option<Proposal>,
    recovery: Vec<String>,
    wrong: Complaints,
}

/// The page; `fill` adds what a form has to say.
///
/// # Errors
/// Where the store fails, or a program asks.
pub(crate) async fn page(
    app: &App,
    person: &Person,
    frame: Frame,
    status: StatusCode,
    fill: impl FnOnce(&mut AccountPage),
) -> Result<Response, WebError> {
    let this_session = person.session()?.to_owned();
    let user = app.store.user(person.user()).await?.ok_or(WebError::SignedOut)?;
    let factors = SecondFactors::of(app, &user.id).await?;
    let has_openid = app.store.has_provider(&user.id).await?;
    let mut page = AccountPage {
        frame: frame.titled("Your account"),
        roles: person.principal.roles.iter().map(|role| role.name()).collect(),
        identity: person.identity().map(ToString::to_string),
        this_session,
        sessions: app.store.sessions(Some(&user.id), app.now() - session::IDLE, app.now()).await?,
        tokens: app.store.tokens(Some(&user.id)).await?,
        scopes: Scope::ALL,
        factors,
        passkeys: app.store.passkeys_of(&user.id).await?,
        offer: Offer::of(app),
        passkey_name: String::new(),
        passkeys_max: PASSKEYS_MAX,
        recovery_left: app.store.recovery_codes_left(&user.id).await?,
        chars_min: factors.password_chars_min(),
        user,
        secret: None,
        token_name: String::new(),
        now: app.now(),
        openid: app.settings.openid.as_ref().map(|openid| (openid.name.clone(), has_openid)),
        wrong: Complaints::default(),
    };
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
    let session = person.session()?;
    let beside = SecondFactors::of(&app, person.user()).await?.any();
    let given = password::normalised(&form.password);
    if let Err(message) = password::check(&given, beside, &[&person.name, &person.mail, "leasehold"]) {
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
    person.session()?;
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
    person.session()?;
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
    person.session()?;
    let user = app.store.user(person.user()).await?.ok_or(WebError::SignedOut)?;
    if !user.password_alone && !SecondFactors::of(&app, person.user()).await?.passkey() {
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
    person.session()?;
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
    person.session()?;
    let field =
        |name: &str| fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let scopes: Vec<String> =
        fields.iter().filter(|(key, _)| key == "scope").map(|(_, value)| value.clone()).collect();
    let name = field("name").to_owned();
    let days = field("days").trim().parse().unwrap_or(0);
    let user = app.store.user(person.user()).await?.ok_or(WebError::SignedOut)?;
    let system = Some(field("system"));
    match token::create_token(&app.store, &user, &name, &scopes, system, days, person.actor(), app.now())
        .await
    {
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
    person.session()?;
    let revoked = app.store.revoke_token(&form.id, Some(person.user()), person.actor(), app.now()).await?;
    if !revoked {
        return Ok(Redirect::to("/account").into_response());
    }
    Ok(flash::redirect_with(&app, "/account", FlashKind::Done, "The token is revoked."))
}
