//! Users: who may sign in, and with which roles.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use leasehold_decide::authority::{Action, Resource};
use leasehold_store::User;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::conditional::require_match;
use super::document::Problems;
use crate::error::WebError;
use crate::person::Person;
use crate::route::Route;
use crate::state::App;
use crate::users::{self, Change};

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/users", Action::SeeSettings, || routes!(list)),
    Route::call(Method::POST, "/api/v1/users", Action::AdministerUsers, || routes!(create)),
    Route::call(Method::GET, "/api/v1/users/{id}", Action::SeeSettings, || routes!(one)),
    Route::call(Method::PATCH, "/api/v1/users/{id}", Action::AdministerUsers, || routes!(change)),
    Route::call(Method::POST, "/api/v1/users/{id}/invitation", Action::AdministerUsers, || routes!(invite)),
    Route::call(Method::DELETE, "/api/v1/users/{id}/factors", Action::AdministerUsers, || routes!(forget)),
];

/// Somebody who signs in.
#[derive(Serialize, ToSchema)]
struct UserRow {
    id: String,
    mail: String,
    name: String,
    /// The roles that they were given.
    roles: Vec<String>,
    /// The roles that an OpenID provider's groups gave them at their last sign-in with it.
    provider_roles: Vec<String>,
    /// `active` or `suspended`.
    state: &'static str,
    has_password: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_sign_in_at: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
struct UserList {
    items: Vec<UserRow>,
}

/// Somebody who shall be able to sign in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUserBody {
    mail: String,
    name: String,
    /// `administrator`, `operator`, `auditor`, `reviewer`.
    #[serde(default)]
    roles: Vec<String>,
}

/// What is to change; what is not named stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UserChangeBody {
    name: Option<String>,
    roles: Option<Vec<String>>,
    /// `active` or `suspended`.
    state: Option<String>,
}

/// A user that was made, and the link by which they set their password.
#[derive(Serialize, ToSchema)]
struct Invited {
    user: UserRow,
    /// To be handed to them: whoever has it is that user. It works once, for 72 hours.
    link: String,
}

fn row(user: &User) -> UserRow {
    UserRow {
        id: user.id.clone(),
        mail: user.mail.clone(),
        name: user.name.clone(),
        roles: user.roles.clone(),
        provider_roles: user.provider_roles.clone(),
        state: user.state.as_str(),
        has_password: user.password_hash.is_some(),
        created_at: user.created_at,
        last_sign_in_at: user.last_sign_in_at,
    }
}

#[utoipa::path(get, path = "/api/v1/users", tag = "users",
    responses((status = 200, description = "Every user, by mail address", body = UserList), Problems))]
/// Every user.
async fn list(State(app): State<App>, person: Person) -> Result<Json<UserList>, WebError> {
    person.require(&app, Action::SeeSettings, &Resource::Installation)?;
    let users = app.store.users().await?;
    Ok(Json(UserList { items: users.iter().map(row).collect() }))
}

#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = NewUserBody,
    responses((status = 201, description = "The user, with their invitation", body = Invited), Problems))]
/// Makes a user.
async fn create(
    State(app): State<App>,
    person: Person,
    Json(new): Json<NewUserBody>,
) -> Result<Response, WebError> {
    let (user, link) = users::create(&app, &person, &new.mail, &new.name, new.roles).await?;
    let location = format!("/api/v1/users/{}", user.id);
    let body = Json(Invited { user: row(&user), link });
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], body).into_response())
}

#[utoipa::path(get, path = "/api/v1/users/{id}", tag = "users", params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "The user", body = UserRow), Problems))]
/// One user.
async fn one(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Json<UserRow>, WebError> {
    person.require(&app, Action::SeeSettings, &Resource::Installation)?;
    Ok(Json(row(&users::found(&app, &id).await?)))
}

#[utoipa::path(patch, path = "/api/v1/users/{id}", tag = "users", request_body = UserChangeBody,
    params(("id" = String, Path, description = "Its id"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` that was read: refuses where it moved")),
    responses((status = 200, description = "The user as they are now", body = UserRow), Problems))]
/// Changes a user. Whoever is suspended, or is given other roles, is signed out everywhere.
async fn change(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(change): Json<UserChangeBody>,
) -> Result<Json<UserRow>, WebError> {
    users::administer(&app, &person)?;
    let user = users::found(&app, &id).await?;
    require_match(&headers, &row(&user))?;
    let wanted = Change { name: change.name.as_deref(), roles: change.roles, state: change.state.as_deref() };
    let user = users::change(&app, &person, &user, wanted).await?;
    Ok(Json(row(&user)))
}

#[utoipa::path(post, path = "/api/v1/users/{id}/invitation", tag = "users",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 201, description = "A new invitation; the one before no longer works", body = Invited), Problems))]
/// Makes a new link by which a user sets their password.
async fn invite(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    users::administer(&app, &person)?;
    let user = users::found(&app, &id).await?;
    let link = users::invite(&app, &person, &user).await?;
    Ok((StatusCode::CREATED, Json(Invited { user: row(&user), link })).into_response())
}

#[utoipa::path(delete, path = "/api/v1/users/{id}/factors", tag = "users",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "No second factor is asked for any more"), Problems))]
/// Takes a user's passkeys and one-time codes away, for whoever has lost their devices, and signs them out everywhere.
async fn forget(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<StatusCode, WebError> {
    users::administer(&app, &person)?;
    let user = users::found(&app, &id).await?;
    users::remove_factors(&app, &person, &user).await?;
    Ok(StatusCode::NO_CONTENT)
}
