//! `/Users`, `/Groups` and whatever resource types there are: create, read, list, replace, change, delete.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::{delete, get, patch, post, put};
use leasehold_decide::authority::Action;

use crate::route::Route;
use crate::scim::caller::Caller;
use crate::scim::deeds::{self, Deed};
use crate::scim::error::ScimError;
use crate::scim::patch::Patch;
use crate::scim::projection::Projection;
use crate::scim::query::Query;
use crate::scim::schema::{MEMBERS, ResourceType, at_endpoint};
use crate::scim::{answer, list, value};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::scim(Method::GET, "/scim/v2/{endpoint}", Action::PushIdentities, || get(list_resources)),
    Route::scim(Method::POST, "/scim/v2/{endpoint}", Action::PushIdentities, || post(create)),
    Route::scim(Method::GET, "/scim/v2/{endpoint}/{id}", Action::PushIdentities, || get(read)),
    Route::scim(Method::PUT, "/scim/v2/{endpoint}/{id}", Action::PushIdentities, || put(replace)),
    Route::scim(Method::PATCH, "/scim/v2/{endpoint}/{id}", Action::PushIdentities, || patch(change)),
    Route::scim(Method::DELETE, "/scim/v2/{endpoint}/{id}", Action::PushIdentities, || delete(remove)),
];

/// The resource type of an address.
pub(crate) fn known(endpoint: &str) -> Result<&'static ResourceType, ScimError> {
    at_endpoint(endpoint).ok_or_else(|| {
        let shown: String = endpoint.chars().take(80).collect();
        ScimError::NotFound(format!(
            "there is no resource type at `{shown}`; /ResourceTypes lists those that there are"
        ))
    })
}

fn projection(query: Option<&str>) -> Result<Projection, ScimError> {
    match query {
        None => Ok(Projection::default()),
        Some(query) => Ok(Query::of_address(query)?.projection),
    }
}

async fn list_resources(
    State(app): State<App>,
    caller: Caller,
    Path(endpoint): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ScimError> {
    let known = known(&endpoint)?;
    let query = Query::of_address(query.as_deref().unwrap_or_default())?;
    Ok(answer::text(StatusCode::OK, list::answer(&app, &caller, &[known], &query).await?))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(endpoint): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, ScimError> {
    let known = known(&endpoint)?;
    let projection = projection(query.as_deref())?;
    let done = deeds::create(&app, &caller, known, deeds::new_id(), deeds::json(&body)?).await?;
    answer::done(&app, known, &done, &projection)
}

async fn read(
    State(app): State<App>,
    caller: Caller,
    Path((endpoint, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ScimError> {
    let known = known(&endpoint)?;
    let projection = projection(query.as_deref())?;
    let resource = deeds::read(&app, &caller, known, &id, projection.has(known, MEMBERS)).await?;
    let condition = answer::condition(&headers, header::IF_NONE_MATCH);
    if condition.0.is_some() && condition.fits(resource.version) {
        return Ok(answer::not_modified(resource.version));
    }
    answer::resource(&app, known, StatusCode::OK, &resource, &projection)
}

async fn replace(
    State(app): State<App>,
    caller: Caller,
    Path((endpoint, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ScimError> {
    let known = known(&endpoint)?;
    let projection = projection(query.as_deref())?;
    let mut object = value::resource(known, deeds::json(&body)?)?;
    value::complete(known, &mut object)?;
    let condition = answer::condition(&headers, header::IF_MATCH);
    let done = deeds::change(&app, &caller, known, &id, &condition, Deed::Replace(object)).await?;
    answer::done(&app, known, &done, &projection)
}

async fn change(
    State(app): State<App>,
    caller: Caller,
    Path((endpoint, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ScimError> {
    let known = known(&endpoint)?;
    let projection = projection(query.as_deref())?;
    let patch = Patch::parse(deeds::json(&body)?)?;
    let condition = answer::condition(&headers, header::IF_MATCH);
    let done = deeds::change(&app, &caller, known, &id, &condition, Deed::Patch(Arc::new(patch))).await?;
    answer::done(&app, known, &done, &projection)
}

async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path((endpoint, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ScimError> {
    let known = known(&endpoint)?;
    let condition = answer::condition(&headers, header::IF_MATCH);
    let done = deeds::change(&app, &caller, known, &id, &condition, Deed::Delete).await?;
    answer::done(&app, known, &done, &Projection::default())
}
