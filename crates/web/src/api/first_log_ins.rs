//! First log-ins that wait, for programs that send the one-time links on.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::document::Problems;
use crate::error::WebError;
use crate::first_log_ins::{self, FirstLogIn};
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::call(Method::GET, "/api/v1/first-log-ins", Action::HandOverLogIn, || routes!(list))];

/// An account that was made for somebody who has nothing yet to log in with.
#[derive(Serialize, ToSchema)]
struct FirstLogInRow {
    identity: String,
    system: String,
    /// The account's login.
    account: String,
    account_key: String,
    /// When it was read back as there.
    #[schema(value_type = String, format = DateTime)]
    made_at: Timestamp,
}

impl From<FirstLogIn> for FirstLogInRow {
    fn from(found: FirstLogIn) -> Self {
        Self {
            identity: found.identity.to_string(),
            system: found.system.to_string(),
            account: found.login,
            account_key: found.account.to_string(),
            made_at: found.made_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct FirstLogInList {
    items: Vec<FirstLogInRow>,
}

#[utoipa::path(get, path = "/api/v1/first-log-ins", tag = "credentials",
    responses((status = 200, description = "Those that wait, the longest waiting first", body = FirstLogInList), Problems))]
/// Accounts that were made in the last 30 days for somebody who has nothing yet to log in with, and whose log-in you may hand over:
/// the event `action.verified` with the verb `create_account` tells of each, and `POST /api/v1/credential-links` makes its link.
async fn list(State(app): State<App>, person: Person) -> Result<Json<FirstLogInList>, WebError> {
    let view = app.view()?;
    let found = first_log_ins::waiting(&app, &person, &view).await?;
    Ok(Json(FirstLogInList { items: found.into_iter().map(FirstLogInRow::from).collect() }))
}
