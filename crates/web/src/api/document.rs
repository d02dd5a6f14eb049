//! The API's document: OpenAPI 3.1, made from the routes of the registry.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr,
    Response as DocumentedResponse, ResponseBuilder,
};
use utoipa::{IntoResponses, PartialSchema as _, ToSchema as _};
use utoipa_axum::router::OpenApiRouter;

use crate::error::FieldError;
use crate::problem::Problem;
use crate::route::{Access, Handler, Route};
use crate::routes::routes;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::plain(Method::GET, "/api/v1/openapi.json", Access::Open, || get(show))];

/// The problems that every call can end in.
pub(crate) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<DocumentedResponse>> {
        let content = || ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
        let problem = |about: &str| {
            RefOr::T(
                ResponseBuilder::new()
                    .description(about)
                    .content("application/problem+json", content())
                    .build(),
            )
        };
        [
            ("400", "The request is not understood"),
            ("401", "Nobody is signed in, or the token is not in force"),
            ("403", "Not allowed"),
            ("404", "Not there, or not to be seen"),
            ("405", "The address does not take this method"),
            ("409", "In conflict with the present state"),
            ("412", "Changed since it was read"),
            ("413", "Too large"),
            ("415", "Not in a form that is understood"),
            ("422", "A field cannot be used"),
            ("429", "Too often"),
            ("500", "Something of the server's failed"),
            ("503", "Not available now"),
        ]
        .into_iter()
        .map(|(status, about)| (status.to_owned(), problem(about)))
        .collect()
    }
}

/// The document.
pub fn document() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Leasehold")
        .version("1")
        .description(Some(
            "Who can reach what, why, and what is done about it. Lists have `items` and `next`, the cursor of the \
             following page. Errors are problems by RFC 9457. A call that changes something takes an \
             `Idempotency-Key`; sent again with the same key, it is not done again.",
        ))
        .build();
    let token = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("lh_…")
            .description(Some("An API token, made under \"Your account\" or by `leasehold token create`"))
            .build(),
    );
    let components = ComponentsBuilder::new()
        .schema(Problem::name(), Problem::schema())
        .schema(FieldError::name(), FieldError::schema())
        .security_scheme("token", token)
        .build();
    let empty = OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .security(Some([SecurityRequirement::new::<_, [&str; 0], &str>("token", [])]))
        .build();
    let mut all: OpenApiRouter<App> = OpenApiRouter::with_openapi(empty);
    for route in routes() {
        if let Handler::Documented(handler) = route.handler {
            all = all.routes(handler());
        }
    }
    all.into_openapi()
}

async fn show() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_json().unwrap_or_default());
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}
