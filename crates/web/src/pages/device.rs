//! Where somebody who is signed in lets a program without a browser have a token of theirs, or refuses.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use leasehold_decide::authority::Action;
use leasehold_model::text::safe;
use leasehold_store::DeviceLogin;
use serde::Deserialize;

use crate::context::Context;
use crate::error::WebError;
use crate::flash::{self, FlashKind};
use crate::form::Complaints;
use crate::frame::{self, Frame};
use crate::parts::Moment;
use crate::person::{Person, Via};
use crate::route::{Access, Route};
use crate::security::secret_hash;
use crate::sign_in::device::{self, TOKEN_DAYS};
use crate::sign_in::scope::Scope;
use crate::sign_in::throttle::Try;
use crate::state::App;

const OWN: Access = Access::Needs(Action::ManageOwnSignIn);

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/device", OWN, || get(show)),
    Route::page(Method::POST, "/device", OWN, || post(decide)),
];

const UNKNOWN: &str = "no program waits with this code: it was used, has expired, or is mistyped";

/// What a program asks for.
struct Question {
    code: String,
    client: String,
    source: String,
    asked: Moment,
    scopes: Vec<Scope>,
}

#[derive(Template)]
#[template(path = "device.html")]
struct DevicePage {
    frame: Frame,
    typed: String,
    question: Option<Question>,
    mail: String,
    days: i64,
    wrong: Complaints,
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    user_code: String,
}

#[derive(Deserialize)]
struct Decided {
    #[serde(default)]
    user_code: String,
    #[serde(default)]
    decision: String,
}

fn page(
    person: &Person,
    frame: Frame,
    typed: &str,
    question: Option<Question>,
    wrong: Complaints,
    status: StatusCode,
) -> Result<Response, WebError> {
    let title = if question.is_some() { "Let a program in?" } else { "Let a program in" };
    let typed = typed.chars().filter(|c| !c.is_control()).take(40).collect();
    let (frame, mail) = (frame.titled(title), person.mail.clone());
    frame::show_with(status, &DevicePage { frame, typed, question, mail, days: TOKEN_DAYS, wrong })
}

/// A person with a browser: a token does not make another by this way.
fn require_session(person: &Person) -> Result<(), WebError> {
    match &person.via {
        Via::Session(_) => Ok(()),
        Via::Token { .. } => Err(WebError::Refused("this is done in the browser: a token cannot".to_owned())),
    }
}

/// What waits under a code. Codes are short, so that looking is counted and slowed down like guessing.
async fn found(
    app: &App,
    context: &Context,
    person: &Person,
    code: &str,
) -> Result<Option<(String, DeviceLogin)>, WebError> {
    let tried = Try::begin(app, "device", person.user(), &context.source, None).await?;
    let Some(code) = device::typed(code) else { return Ok(None) };
    let login = app.store.device_login(&secret_hash(&code), app.now()).await?;
    if login.is_some() {
        tried.succeeded(app).await?;
    }
    Ok(login.map(|login| (code, login)))
}

async fn show(
    State(app): State<App>,
    Extension(context): Extension<Arc<Context>>,
    person: Person,
    frame: Frame,
    Query(Asked { user_code }): Query<Asked>,
) -> Result<Response, WebError> {
    require_session(&person)?;
    if user_code.trim().is_empty() {
        return page(&person, frame, "", None, Complaints::default(), StatusCode::OK);
    }
    // Asked before the question is shown, so that the way back leads to it.
    person.require_confirmed(app.now())?;
    match found(&app, &context, &person, &user_code).await {
        Ok(Some((code, login))) => {
            let question = Question {
                code: device::shown(&code),
                client: safe(login.client),
                source: login.source,
                asked: Moment::relative(login.created_at, app.now()),
                scopes: login.scopes.iter().filter_map(|name| Scope::parse(name)).collect(),
            };
            page(&person, frame, &user_code, Some(question), Complaints::default(), StatusCode::OK)
        }
        Ok(None) => {
            let wrong = Complaints::one("user_code", UNKNOWN);
            page(&person, frame, &user_code, None, wrong, StatusCode::UNPROCESSABLE_ENTITY)
        }
        Err(error @ WebError::TooMany { .. }) => {
            let wrong = Complaints::one("user_code", error.to_string());
            page(&person, frame, &user_code, None, wrong, error.status())
        }
        Err(error) => Err(error),
    }
}

async fn decide(
    State(app): State<App>,
    Extension(context): Extension<Arc<Context>>,
    person: Person,
    frame: Frame,
    Form(decided): Form<Decided>,
) -> Result<Response, WebError> {
    require_session(&person)?;
    person.require_confirmed(app.now())?;
    let again = |message: String, status| {
        let wrong = Complaints::one("user_code", message);
        page(&person, frame.clone(), &decided.user_code, None, wrong, status)
    };
    let allowed = match decided.decision.as_str() {
        "allow" => true,
        "refuse" => false,
        _ => return again("choose to allow it or to refuse it".to_owned(), StatusCode::UNPROCESSABLE_ENTITY),
    };
    let code = match found(&app, &context, &person, &decided.user_code).await {
        Ok(found) => found.map(|(code, _)| secret_hash(&code)),
        Err(error @ WebError::TooMany { .. }) => return again(error.to_string(), error.status()),
        Err(error) => return Err(error),
    };
    let done = match &code {
        None => false,
        Some(code) => {
            app.store.decide_device_login(code, allowed, person.user(), person.actor(), app.now()).await?
        }
    };
    if !done {
        return again(UNKNOWN.to_owned(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    Ok(if allowed {
        let text = "The program gets its token now: go back to it. The token is in this list once it has asked for it.";
        flash::redirect_with(&app, "/account", FlashKind::Done, text)
    } else {
        flash::redirect_with(&app, "/account", FlashKind::Done, "The program gets no token.")
    })
}
