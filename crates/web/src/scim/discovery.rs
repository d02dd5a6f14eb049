//! What this service provider can do and what its resources are like (RFC 7644, section 4). Open to everybody, as it says nothing
//! about anybody.

use axum::extract::{Path, RawQuery, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use crate::route::Route;
use crate::scim::bulk::{OPERATIONS_MAX, PAYLOAD_BYTES_MAX};
use crate::scim::error::ScimError;
use crate::scim::query::{COUNT_DEFAULT, COUNT_MAX};
use crate::scim::schema::{RESOURCE_TYPES, schemas};
use crate::scim::{answer, cursor};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::scim_open(Method::GET, "/scim/v2/ServiceProviderConfig", || get(service_provider)),
    Route::scim_open(Method::GET, "/scim/v2/ResourceTypes", || get(resource_types)),
    Route::scim_open(Method::GET, "/scim/v2/ResourceTypes/{name}", || get(resource_type)),
    Route::scim_open(Method::GET, "/scim/v2/Schemas", || get(all_schemas)),
    Route::scim_open(Method::GET, "/scim/v2/Schemas/{id}", || get(schema)),
];

/// A filter on discovery is refused, as section 4 demands.
fn unfiltered(query: Option<&str>) -> Result<(), ScimError> {
    let mut names = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    if names.any(|(name, _)| name.eq_ignore_ascii_case("filter")) {
        return Err(ScimError::Forbidden(
            "what is described here cannot be filtered; ask for all of it".to_owned(),
        ));
    }
    Ok(())
}

async fn service_provider(State(app): State<App>, RawQuery(query): RawQuery) -> Result<Response, ScimError> {
    unfiltered(query.as_deref())?;
    let described = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": true},
        "bulk": {"supported": true, "maxOperations": OPERATIONS_MAX, "maxPayloadSize": PAYLOAD_BYTES_MAX},
        "filter": {"supported": true, "maxResults": COUNT_MAX},
        "changePassword": {"supported": false},
        "sort": {"supported": true},
        "etag": {"supported": true},
        "pagination": {
            "cursor": true,
            "index": true,
            "defaultPaginationMethod": "index",
            "defaultPageSize": COUNT_DEFAULT,
            "maxPageSize": COUNT_MAX,
            "cursorTimeout": cursor::LASTS.as_secs(),
        },
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "A token with the scope scim, which is for one system",
                "specUri": "https://www.rfc-editor.org/rfc/rfc6750",
                "primary": true,
            },
            {
                "type": "oauth2",
                "name": "Client credentials",
                "description": "Access tokens of an hour from /scim/oauth/token, for the id and the secret of such a token",
                "specUri": "https://www.rfc-editor.org/rfc/rfc6749#section-4.4",
            },
        ],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{}/ServiceProviderConfig", app.scim_base()),
        },
    });
    Ok(answer::value(StatusCode::OK, &described))
}

fn listed(items: &[Value]) -> Response {
    let list = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": items.len(),
        "startIndex": 1,
        "itemsPerPage": items.len(),
        "Resources": items,
    });
    answer::value(StatusCode::OK, &list)
}

async fn resource_types(State(app): State<App>, RawQuery(query): RawQuery) -> Result<Response, ScimError> {
    unfiltered(query.as_deref())?;
    let types: Vec<Value> = RESOURCE_TYPES.iter().map(|known| known.described(app.scim_base())).collect();
    Ok(listed(&types))
}

async fn resource_type(State(app): State<App>, Path(name): Path<String>) -> Result<Response, ScimError> {
    let known = RESOURCE_TYPES.iter().find(|known| known.name.eq_ignore_ascii_case(&name));
    let known =
        known.ok_or_else(|| ScimError::NotFound("there is no resource type of this name".to_owned()))?;
    Ok(answer::value(StatusCode::OK, &known.described(app.scim_base())))
}

async fn all_schemas(State(app): State<App>, RawQuery(query): RawQuery) -> Result<Response, ScimError> {
    unfiltered(query.as_deref())?;
    let described: Vec<Value> = schemas().iter().map(|schema| schema.described(app.scim_base())).collect();
    Ok(listed(&described))
}

async fn schema(State(app): State<App>, Path(id): Path<String>) -> Result<Response, ScimError> {
    let schema = schemas().into_iter().find(|schema| schema.id.eq_ignore_ascii_case(&id));
    let schema = schema.ok_or_else(|| ScimError::NotFound("there is no schema of this id".to_owned()))?;
    Ok(answer::value(StatusCode::OK, &schema.described(app.scim_base())))
}
