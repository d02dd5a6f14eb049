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
use crate::scim::deeds::{self, Deed, NewId};
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
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ScimError> {
    One { app: &app, caller: &caller, known: known(&endpoint)?, query: query.as_deref(), headers: &headers }
        .create(&body)
        .await
}

async fn read(
    State(app): State<App>,
    caller: Caller,
    Path((endpoint, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ScimError> {
    One { app: &app, caller: &caller, known: known(&endpoint)?, query: query.as_deref(), headers: &headers }
        .read(&id)
        .await
}

async fn replace(
    State(app): State<App>,
    caller: Caller,
    Path((endpoint, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ScimError> {
    One { app: &app, caller: &caller, known: known(&endpoint)?, query: query.as_deref(), headers: &headers }
        .replace(&id, &body)
        .await
}

async fn change(
    State(app): State<App>,
    caller: Caller,
    Path((endpoint, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ScimError> {
    One { app: &app, caller: &caller, known: known(&endpoint)?, query: query.as_deref(), headers: &headers }
        .change(&id, &body)
        .await
}

async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path((endpoint, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ScimError> {
    One { app: &app, caller: &caller, known: known(&endpoint)?, query: None, headers: &headers }
        .remove(&id)
        .await
}

/// A request about one resource, or one that is to be made.
pub(crate) struct One<'a> {
    pub app: &'a App,
    pub caller: &'a Caller,
    pub known: &'static ResourceType,
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
}

impl One<'_> {
    pub async fn create(&self, body: &[u8]) -> Result<Response, ScimError> {
        let projection = projection(self.query)?;
        let Self { app, caller, known, .. } = *self;
        let id = NewId { id: deeds::new_id(), is_known: false };
        let done = deeds::create(app, caller, known, id, deeds::json(body)?).await?;
        answer::done(app, known, &done, &projection)
    }

    pub async fn read(&self, id: &str) -> Result<Response, ScimError> {
        let projection = projection(self.query)?;
        let Self { app, caller, known, headers, .. } = *self;
        let resource = deeds::read(app, caller, known, id, projection.has(known, MEMBERS)).await?;
        let condition = answer::condition(headers, header::IF_NONE_MATCH);
        if condition.0.is_some() && condition.fits(&resource) {
            return Ok(answer::not_modified(&resource));
        }
        answer::resource(app, known, StatusCode::OK, &resource, &projection)
    }

    pub async fn replace(&self, id: &str, body: &[u8]) -> Result<Response, ScimError> {
        let mut object = value::resource(self.known, deeds::json(body)?)?;
        value::complete(self.known, &mut object)?;
        self.done(id, Deed::Replace(object)).await
    }

    pub async fn change(&self, id: &str, body: &[u8]) -> Result<Response, ScimError> {
        let patch = Patch::parse(deeds::json(body)?)?;
        self.done(id, Deed::Patch(Arc::new(patch))).await
    }

    pub async fn remove(&self, id: &str) -> Result<Response, ScimError> {
        Self { query: None, ..*self }.done(id, Deed::Delete).await
    }

    async fn done(&self, id: &str, deed: Deed) -> Result<Response, ScimError> {
        let projection = projection(self.query)?;
        let Self { app, caller, known, headers, .. } = *self;
        let condition = answer::condition(headers, header::IF_MATCH);
        let done = deeds::change(app, caller, known, id, &condition, deed).await?;
        answer::done(app, known, &done, &projection)
    }
}
