//! `.search`: questions in a body (RFC 7644, section 3.4.3), about one resource type or about all; and `/Me`, which is nobody.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use leasehold_decide::authority::Action;

use crate::route::Route;
use crate::scim::caller::Caller;
use crate::scim::error::ScimError;
use crate::scim::query::Query;
use crate::scim::schema::{RESOURCE_TYPES, ResourceType};
use crate::scim::{answer, deeds, list, resources};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::scim(Method::POST, "/scim/v2/.search", Action::PushIdentities, || post(search_all)),
    Route::scim(Method::POST, "/scim/v2/{endpoint}/.search", Action::PushIdentities, || post(search)),
    Route::scim(Method::GET, "/scim/v2/Me", Action::PushIdentities, || get(me)),
];

async fn search_all(State(app): State<App>, caller: Caller, body: Bytes) -> Result<Response, ScimError> {
    found(&app, &caller, RESOURCE_TYPES, &body).await
}

async fn search(
    State(app): State<App>,
    caller: Caller,
    Path(endpoint): Path<String>,
    body: Bytes,
) -> Result<Response, ScimError> {
    found(&app, &caller, &[resources::known(&endpoint)?], &body).await
}

async fn found(
    app: &App,
    caller: &Caller,
    types: &[&'static ResourceType],
    body: &[u8],
) -> Result<Response, ScimError> {
    let query = Query::of_body(deeds::json(body)?)?;
    Ok(answer::text(StatusCode::OK, list::answer(app, caller, types, &query).await?))
}

async fn me(_: Caller) -> ScimError {
    let why = "whoever pushes identities is none of them; ask for /Users/ID";
    ScimError::NotImplemented(why.to_owned())
}
