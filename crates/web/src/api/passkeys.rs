//! One's own passkeys. They are registered in a browser, on the page of one's account.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_store::PasskeyRow;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::document::Problems;
use crate::error::WebError;
use crate::person::Person;
use crate::route::Route;
use crate::sign_in::passkey;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/passkeys", Action::ManageOwnSignIn, || routes!(list)),
    Route::call(Method::DELETE, "/api/v1/passkeys/{id}", Action::ManageOwnSignIn, || routes!(remove)),
];

/// A passkey.
#[derive(Serialize, ToSchema)]
struct Passkey {
    /// The credential's id, in base64url.
    id: String,
    /// What its user calls it.
    name: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
struct PasskeyList {
    items: Vec<Passkey>,
}

fn row(passkey: PasskeyRow) -> Passkey {
    Passkey {
        id: passkey.credential,
        name: passkey.name,
        created_at: passkey.created_at,
        last_used_at: passkey.last_used_at,
    }
}

#[utoipa::path(get, path = "/api/v1/passkeys", tag = "passkeys",
    responses((status = 200, description = "Your passkeys, the oldest first", body = PasskeyList), Problems))]
/// Your passkeys.
async fn list(State(app): State<App>, person: Person) -> Result<Json<PasskeyList>, WebError> {
    let passkeys = app.store.passkeys_of(person.user()).await?;
    Ok(Json(PasskeyList { items: passkeys.into_iter().map(row).collect() }))
}

#[utoipa::path(delete, path = "/api/v1/passkeys/{id}", tag = "passkeys",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "It is removed"), Problems))]
/// Removes a passkey of yours. One that you need to sign in stays.
async fn remove(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<StatusCode, WebError> {
    person.require_confirmed(app.now())?;
    let user = app.store.user(person.user()).await?.ok_or(WebError::SignedOut)?;
    if passkey::remove(&app, &user, &id, person.actor()).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(WebError::NotFound(format!("the passkey {id}")))
    }
}
