//! Who asks, and what they may.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use leasehold_decide::authority::Action;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::document::Problems;
use crate::error::WebError;
use crate::person::{Person, Via};
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::call(Method::GET, "/api/v1/me", Action::SeeOwnAccess, || routes!(me))];

/// Who asks.
#[derive(Serialize, ToSchema)]
struct Me {
    user: String,
    name: String,
    mail: String,
    /// The identity whose access is theirs, where it is known.
    identity: Option<String>,
    roles: Vec<&'static str>,
    /// The token that was used; null in a browser.
    token: Option<String>,
    /// What the token may be used for; null in a browser.
    scopes: Option<Vec<&'static str>>,
    /// Actions that they may do to something.
    may: Vec<&'static str>,
}

#[utoipa::path(get, path = "/api/v1/me", tag = "me",
    responses((status = 200, description = "Who asks, and what they may", body = Me), Problems))]
/// Who asks, and what they may.
async fn me(State(app): State<App>, person: Person) -> Result<Json<Me>, WebError> {
    let (token, scopes) = match &person.via {
        Via::Session(_) => (None, None),
        Via::Token { id, scopes, .. } => {
            (Some(id.clone()), Some(scopes.iter().map(|scope| scope.name()).collect()))
        }
    };
    let may =
        Action::ALL.iter().filter(|action| person.may_somewhere(&app, **action)).map(|action| action.name());
    Ok(Json(Me {
        user: person.user().to_owned(),
        identity: person.identity().map(ToString::to_string),
        roles: person.principal.roles.iter().map(|role| role.name()).collect(),
        token,
        scopes,
        may: may.collect(),
        name: person.name.clone(),
        mail: person.mail.clone(),
    }))
}
