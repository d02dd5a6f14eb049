//! One's own passkeys: registered, named and removed on the page of one's account.

use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use leasehold_decide::authority::Action;
use serde::Deserialize;

use crate::error::WebError;
use crate::flash::{self, FlashKind};
use crate::form::Complaints;
use crate::frame::Frame;
use crate::pages::account;
use crate::person::Person;
use crate::route::{Access, Route};
use crate::sign_in::passkey;
use crate::sign_in::second_factor::SecondFactors;
use crate::state::App;

const OWN: Access = Access::Needs(Action::ManageOwnSignIn);

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::POST, "/account/passkeys/challenge", OWN, || post(ask)),
    Route::page(Method::POST, "/account/passkeys", OWN, || post(register)),
    Route::page(Method::POST, "/account/passkeys/remove", OWN, || post(remove)),
];

#[derive(Deserialize)]
struct RegisterForm {
    #[serde(default)]
    passkey_name: String,
    /// The browser's answer, as JSON.
    #[serde(default)]
    answer: String,
}

#[derive(Deserialize)]
struct IdForm {
    #[serde(default)]
    id: String,
}

async fn ask(State(app): State<App>, person: Person) -> Result<Response, WebError> {
    person.require_confirmed(app.now())?;
    let session = person.session()?;
    let user = app.store.user(person.user()).await?.ok_or(WebError::SignedOut)?;
    Ok(passkey::begin_registration(&app, &user, session).await?.respond(&app))
}

async fn register(
    State(app): State<App>,
    person: Person,
    headers: HeaderMap,
    frame: Frame,
    Form(form): Form<RegisterForm>,
) -> Result<Response, WebError> {
    person.require_confirmed(app.now())?;
    let session = person.session()?;
    let user = app.store.user(person.user()).await?.ok_or(WebError::SignedOut)?;
    let before = SecondFactors::of(&app, &user.id).await?;
    let (name, answer) = (&form.passkey_name, &form.answer);
    if let Err(error) = passkey::finish_registration(&app, &headers, &user, session, name, answer).await {
        let status = error.status();
        let wrong = Complaints::of_error(error, "passkey")?;
        // Two forms of the page have a name to be given.
        let wrong = wrong.renamed("name", "passkey_name");
        return account::page(&app, &person, frame, status, |page| {
            page.wrong = wrong;
            page.passkey_name = form.passkey_name;
        })
        .await;
    }
    let said = if user.password_hash.is_some() && !before.any() {
        "The passkey is registered. It signs you in alone, and from now on your password asks for it, too."
    } else {
        "The passkey is registered."
    };
    Ok(flash::redirect_with(&app, "/account", FlashKind::Done, said))
}

async fn remove(
    State(app): State<App>,
    person: Person,
    Form(form): Form<IdForm>,
) -> Result<Response, WebError> {
    person.require_confirmed(app.now())?;
    person.session()?;
    let user = app.store.user(person.user()).await?.ok_or(WebError::SignedOut)?;
    match passkey::remove(&app, &user, &form.id, person.actor()).await {
        Ok(true) => {
            let said = "The passkey no longer signs you in here. Your device may still show it: remove it there, too.";
            Ok(flash::redirect_with(&app, "/account", FlashKind::Done, said))
        }
        Ok(false) => Ok(Redirect::to("/account").into_response()),
        Err(WebError::Conflict(why)) => {
            let said = format!("Not removed: {why}.");
            Ok(flash::redirect_with(&app, "/account", FlashKind::Warning, &said))
        }
        Err(error) => Err(error),
    }
}
