//! Showing again with a passkey that it is you, before something that cannot be undone.

use std::sync::Arc;

use axum::Extension;
use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use leasehold_decide::authority::Action;

use super::challenge::Purpose;
use super::check;
use super::page::AnswerForm;
use crate::context::Context;
use crate::error::WebError;
use crate::form::Complaints;
use crate::frame::Frame;
use crate::pages::theme::own_address;
use crate::person::Person;
use crate::route::{Access, Route};
use crate::sign_in::{session, step_up};
use crate::state::App;

const OWN: Access = Access::Needs(Action::ManageOwnSignIn);

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::POST, "/step-up/passkey/challenge", OWN, || post(ask)),
    Route::page(Method::POST, "/step-up/passkey", OWN, || post(confirm)),
];

async fn ask(State(app): State<App>, person: Person) -> Result<Response, WebError> {
    let purpose = Purpose::StepUp { session: person.session()?.to_owned() };
    let user = app.store.user(person.user()).await?.ok_or(WebError::SignedOut)?;
    Ok(check::begin(&app, &purpose, Some(&user)).await?.respond(&app))
}

async fn confirm(
    State(app): State<App>,
    Extension(context): Extension<Arc<Context>>,
    person: Person,
    headers: HeaderMap,
    frame: Frame,
    Form(form): Form<AnswerForm>,
) -> Result<Response, WebError> {
    let purpose = Purpose::StepUp { session: person.session()?.to_owned() };
    let user = app.store.user(person.user()).await?.ok_or(WebError::SignedOut)?;
    if let Err(error) = check::finish(&app, &context, &headers, &purpose, Some(user), &form.answer).await {
        let status = error.status();
        let wrong = Complaints::of_error(error, "passkey")?;
        return step_up::page(&app, &person, frame, &form.next, wrong, status).await;
    }
    let mut response = Redirect::to(own_address(&form.next)).into_response();
    session::confirm(&app, &person, "passkey", &mut response).await?;
    Ok(response)
}
