//! First log-ins to hand over: for whom an account was made, and the one-time link that lets them in.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use leasehold_decide::authority::Action;
use leasehold_model::id::SystemName;
use leasehold_model::text::safe;

use crate::api::credential_links::make_allowed;
use crate::error::WebError;
use crate::first_log_ins::{FirstLogIn, waiting};
use crate::frame::{self, Frame};
use crate::pages::identity::credential_link::{Chosen, shown};
use crate::parts::{Link, Moment, Sources};
use crate::person::Person;
use crate::present::Present;
use crate::route::{Access, Route};
use crate::state::App;

const PATH: &str = "/first-log-ins";

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, PATH, Access::Needs(Action::HandOverLogIn), || get(list)),
    Route::page(Method::POST, PATH, Access::Needs(Action::HandOverLogIn), || axum::routing::post(hand_over)),
];

/// One that waits.
struct Waiting {
    identity: Link,
    system: String,
    login: String,
    made: Moment,
    /// The system, a space, and the account's key.
    value: String,
}

#[derive(Template)]
#[template(path = "first_log_ins.html")]
struct FirstLogInsPage {
    frame: Frame,
    sources: Sources,
    waiting: Vec<Waiting>,
}

async fn list(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Present(view): Present,
) -> Result<Response, WebError> {
    let found = waiting(&app, &person, &view).await?;
    let is_about = |name: &SystemName| found.is_empty() || found.iter().any(|found| found.system == *name);
    let sources = Sources::of(&app, &view, is_about);
    let row = |found: FirstLogIn| Waiting {
        identity: Link::identity(&found.identity),
        system: found.system.to_string(),
        login: safe(&found.login),
        made: Moment::relative(found.made_at, app.now()),
        value: format!("{} {}", found.system, found.account),
    };
    let waiting = found.into_iter().map(row).collect();
    frame::show(&FirstLogInsPage { frame: frame.titled("First log-ins"), sources, waiting })
}

/// Makes the link of one that waits.
async fn hand_over(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Present(view): Present,
    Form(chosen): Form<Chosen>,
) -> Result<Response, WebError> {
    let wanted = chosen.wanted()?;
    let found = waiting(&app, &person, &view).await?;
    let is_it =
        |found: &FirstLogIn| found.system == wanted.system && found.account.as_str() == wanted.account;
    let made = match found.iter().any(is_it) {
        true => make_allowed(&app, &person, &wanted).await,
        false => {
            Err(WebError::Refused("that account does not wait for its first log-in any more".to_owned()))
        }
    };
    shown(&app, frame, made, PATH)
}
