//! API tokens: one's own, and for administrators everybody's.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use leasehold_decide::authority::{Action, Resource};
use leasehold_model::id::SystemName;
use leasehold_store::ApiToken;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::document::Problems;
use crate::FieldError;
use crate::error::WebError;
use crate::person::{Person, Via};
use crate::route::Route;
use crate::sign_in::token::{DAYS_DEFAULT, create_token};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/tokens", Action::ManageOwnSignIn, || routes!(list)),
    Route::call(Method::POST, "/api/v1/tokens", Action::ManageOwnSignIn, || routes!(create)),
    Route::call(Method::DELETE, "/api/v1/tokens/{id}", Action::ManageOwnSignIn, || routes!(revoke)),
];

/// A token, without its secret.
#[derive(Serialize, ToSchema)]
struct TokenRow {
    id: String,
    /// Whose authority it has, at most: their mail address.
    user: String,
    name: String,
    scopes: Vec<String>,
    /// The one system that it is for; with the scope `scim`.
    system: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
struct TokenList {
    items: Vec<TokenRow>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Everybody's, for administrators.
    #[serde(default)]
    all: bool,
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// What it is for.
    name: String,
    /// `read`, `plan`, `approve`, `admin`, `metrics`; or `scim` alone.
    scopes: Vec<String>,
    /// The one system that identities are pushed into; with the scope `scim`.
    system: Option<String>,
    /// How long it lasts, 1 to 366; 90 where nothing is said.
    days: Option<i64>,
}

/// A token with its secret, which is shown once.
#[derive(Serialize, ToSchema)]
struct Created {
    token: TokenRow,
    secret: String,
}

fn row(token: ApiToken, mail: &str) -> TokenRow {
    TokenRow {
        id: token.id,
        user: mail.to_owned(),
        name: token.name,
        scopes: token.scopes,
        system: token.system,
        created_at: token.created_at,
        expires_at: token.expires_at,
        last_used_at: token.last_used_at,
        revoked_at: token.revoked_at,
    }
}

#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", params(ListQuery),
    responses((status = 200, description = "Tokens, the newest first", body = TokenList), Problems))]
/// Your tokens, or everybody's.
async fn list(
    State(app): State<App>,
    person: Person,
    Query(query): Query<ListQuery>,
) -> Result<Json<TokenList>, WebError> {
    if query.all {
        person.require(&app, Action::SeeSettings, &Resource::Installation)?;
    }
    let tokens = app.store.tokens((!query.all).then(|| person.user())).await?;
    let users = app.store.users().await?;
    let mail = |id: &str| users.iter().find(|user| user.id == id).map_or(id, |user| &user.mail).to_owned();
    let items = tokens.into_iter().map(|token| {
        let mail = mail(&token.user);
        row(token, &mail)
    });
    Ok(Json(TokenList { items: items.collect() }))
}

#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = NewToken,
    responses((status = 201, description = "The token with its secret", body = Created), Problems))]
/// Makes a token of yours. A token cannot make one that may more than itself.
async fn create(
    State(app): State<App>,
    person: Person,
    Json(new): Json<NewToken>,
) -> Result<Response, WebError> {
    person.require_confirmed(app.now())?;
    if let Via::Token { scopes, .. } = &person.via {
        let has = |name: &String| scopes.iter().any(|scope| scope.name() == name || scope.name() == "admin");
        if !new.scopes.iter().all(has) {
            return Err(WebError::Refused("a token cannot make one that may more than itself".to_owned()));
        }
    }
    if let Some(system) = &new.system
        && !SystemName::new(system).is_ok_and(|name| app.driver.is_pushed(&name))
    {
        let why =
            "is not a system that pushes (`connector = \"scim_push\"`), so a token of it would open nothing";
        return Err(WebError::Invalid(vec![FieldError::new("system", why)]));
    }
    let user = app.store.user(person.user()).await?.ok_or(WebError::SignedOut)?;
    let days = new.days.unwrap_or(DAYS_DEFAULT);
    let created = create_token(
        &app.store,
        &user,
        &new.name,
        &new.scopes,
        new.system.as_deref(),
        days,
        person.actor(),
        app.now(),
    )
    .await?;
    let body = Created { token: row(created.token, &user.mail), secret: created.secret };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "It is revoked"), Problems))]
/// Revokes a token of yours; an administrator, anybody's.
async fn revoke(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<StatusCode, WebError> {
    let anybody = person.may_everywhere(&app, Action::AdministerUsers);
    let owner = (!anybody).then(|| person.user());
    if app.store.revoke_token(&id, owner, person.actor(), app.now()).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(WebError::NotFound(format!("the token {id}, in force,")))
    }
}
