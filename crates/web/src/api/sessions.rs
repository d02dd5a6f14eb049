//! Sessions of users: one's own, and for administrators everybody's.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use leasehold_decide::authority::{Action, Resource};
use leasehold_store::Session;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::document::Problems;
use crate::error::WebError;
use crate::person::Person;
use crate::route::Route;
use crate::sign_in::session::IDLE;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/sessions", Action::SeeSettings, || routes!(all)),
    Route::call(Method::GET, "/api/v1/users/{id}/sessions", Action::ManageOwnSignIn, || routes!(list)),
    Route::call(Method::DELETE, "/api/v1/users/{id}/sessions/{session}", Action::ManageOwnSignIn, || {
        routes!(end)
    }),
];

/// A session.
#[derive(Serialize, ToSchema)]
struct SessionRow {
    id: String,
    /// Whose.
    user: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    source: String,
    browser: String,
    /// How the user signed in.
    method: String,
}

#[derive(Serialize, ToSchema)]
struct SessionList {
    items: Vec<SessionRow>,
}

/// Everybody about themselves, administrators about everybody.
fn require_own_or_administer(app: &App, person: &Person, user: &str, action: Action) -> Result<(), WebError> {
    if person.user() == user { Ok(()) } else { person.require(app, action, &Resource::Installation) }
}

#[utoipa::path(get, path = "/api/v1/users/{id}/sessions", tag = "users",
    params(("id" = String, Path, description = "The user's id")),
    responses((status = 200, description = "The user's sessions, the latest first", body = SessionList), Problems))]
/// A user's sessions.
async fn list(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Json<SessionList>, WebError> {
    require_own_or_administer(&app, &person, &id, Action::SeeSettings)?;
    listed(&app, Some(&id)).await
}

/// The sessions of a user, or everybody's.
async fn listed(app: &App, user: Option<&str>) -> Result<Json<SessionList>, WebError> {
    let sessions = app.store.sessions(user, app.now() - IDLE, app.now()).await?;
    let row = |session: Session| SessionRow {
        id: session.id,
        user: session.user,
        created_at: session.created_at,
        last_used_at: session.last_used_at,
        expires_at: session.expires_at,
        source: session.source,
        browser: session.browser,
        method: session.method,
    };
    Ok(Json(SessionList { items: sessions.into_iter().map(row).collect() }))
}

#[utoipa::path(get, path = "/api/v1/sessions", tag = "users",
    responses((status = 200, description = "Every session, the latest first", body = SessionList), Problems))]
/// Everybody's sessions.
async fn all(State(app): State<App>, person: Person) -> Result<Json<SessionList>, WebError> {
    person.require(&app, Action::SeeSettings, &Resource::Installation)?;
    listed(&app, None).await
}

#[utoipa::path(delete, path = "/api/v1/users/{id}/sessions/{session}", tag = "users",
    params(("id" = String, Path, description = "The user's id"), ("session" = String, Path, description = "The session's id")),
    responses((status = 204, description = "It has ended"), Problems))]
/// Ends a session.
async fn end(
    State(app): State<App>,
    person: Person,
    Path((id, session)): Path<(String, String)>,
) -> Result<StatusCode, WebError> {
    require_own_or_administer(&app, &person, &id, Action::AdministerUsers)?;
    match app.store.end_sessions(&id, Some(&session), person.actor(), app.now()).await? {
        0 => Err(WebError::NotFound(format!("the session {session}"))),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}
