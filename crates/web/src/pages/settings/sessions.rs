//! Sessions: who is signed in, from where, and ending that.

use askama::Template;
use axum::extract::{Query as Asked, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use leasehold_decide::authority::{Action, Resource};
use leasehold_store::Session;
use serde::Deserialize;

use super::{ADMINISTER, SEE, Tab, mails, may_administer, require_seen, tabs, user_path};
use crate::error::WebError;
use crate::fields::Fields;
use crate::flash::{self, FlashKind};
use crate::frame::{self, Frame};
use crate::parts::{Moment, Pager, Query};
use crate::person::{Person, Via};
use crate::route::Route;
use crate::sign_in::session;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/settings/sessions", SEE, || get(list)),
    Route::page(Method::POST, "/settings/sessions/end", ADMINISTER, || post(end_one)),
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Question {
    page: String,
}

#[derive(Template)]
#[template(path = "settings/sessions.html")]
struct SessionsPage {
    frame: Frame,
    tabs: Vec<Tab>,
    rows: Vec<SessionRow>,
    pager: Pager,
    may_administer: bool,
}

/// A session, as pages show it.
pub(super) struct SessionRow {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) path: String,
    pub(super) mail: String,
    pub(super) browser: String,
    pub(super) source: String,
    pub(super) method: String,
    pub(super) begun: Moment,
    pub(super) used: Moment,
    pub(super) is_this: bool,
}

/// Sessions as pages show them.
///
/// # Errors
/// Where the store fails.
pub(super) async fn rows(
    app: &App,
    person: &Person,
    sessions: Vec<Session>,
) -> Result<Vec<SessionRow>, WebError> {
    let now = app.now();
    let mails = mails(app).await?;
    let this = match &person.via {
        Via::Session(session) => Some(session.id.as_str()),
        Via::Token { .. } => None,
    };
    let row = |session: Session| SessionRow {
        path: user_path(&session.user),
        mail: mails.get(&session.user).cloned().unwrap_or_default(),
        is_this: this == Some(session.id.as_str()),
        begun: Moment::relative(session.created_at, now),
        used: Moment::relative(session.last_used_at, now),
        id: session.id,
        user: session.user,
        browser: session.browser,
        source: session.source,
        method: session.method,
    };
    Ok(sessions.into_iter().map(row).collect())
}

async fn list(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Asked(question): Asked<Question>,
) -> Result<Response, WebError> {
    require_seen(&app, &person)?;
    let now = app.now();
    let mut sessions = app.store.sessions(None, now - session::IDLE, now).await?;
    let query = Query::new("/settings/sessions");
    let pager = Pager::new(question.page.parse().unwrap_or(1), sessions.len(), &query);
    let page = SessionsPage {
        frame: frame.titled("Sessions"),
        tabs: tabs("/settings/sessions"),
        rows: rows(&app, &person, sessions.drain(pager.range()).collect()).await?,
        pager,
        may_administer: may_administer(&app, &person),
    };
    frame::show(&page)
}

async fn end_one(State(app): State<App>, person: Person, fields: Fields) -> Result<Response, WebError> {
    end(&app, &person, fields.get("user"), fields.get("session"), "/settings/sessions").await
}

/// Ends a session of a user, or with `all` every one of theirs, and goes on to a page that says so.
///
/// # Errors
/// Where the person may not, nothing is named, or the store fails.
pub(super) async fn end(
    app: &App,
    person: &Person,
    user: &str,
    session: &str,
    to: &str,
) -> Result<Response, WebError> {
    person.require(app, Action::AdministerUsers, &Resource::Installation)?;
    if session.is_empty() || user.is_empty() {
        return Err(WebError::Malformed("say which session, and whose".to_owned()));
    }
    let one = (session != "all").then_some(session);
    let (kind, said) = match app.store.end_sessions(user, one, person.actor(), app.now()).await? {
        0 => (FlashKind::Warning, "The session had ended already.".to_owned()),
        1 => (FlashKind::Done, "The session has ended.".to_owned()),
        ended => (FlashKind::Done, format!("{ended} sessions have ended.")),
    };
    Ok(flash::redirect_with(app, to, kind, &said))
}
