//! Requests that come by the thousand a second, answered without the router: one resource that has no members is made, read or
//! changed. They pass the same door and the same edge as behind the router, and the same functions answer.

use axum::body::HttpBody as _;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;

use crate::access::{self, Door};
use crate::edge;
use crate::error::WebError;
use crate::metrics::Counted;
use crate::route::Route;
use crate::scim::caller::Caller;
use crate::scim::error::ScimError;
use crate::scim::resources::{One, ROUTES};
use crate::scim::schema::{ResourceType, at_endpoint};
use crate::state::App;

/// What is longer is left to the router, so that nobody waits behind it.
const BODY_BYTES_MAX: u64 = 16 << 10;
const BELOW: &str = "/scim/v2/";

/// What a short request is about.
pub(crate) struct Short {
    known: &'static ResourceType,
    /// Where in the path the id begins, where there is one.
    id_at: Option<usize>,
    /// The line of the registry that it falls under.
    route: &'static Route,
}

impl Short {
    /// What a request is about that is short; `None` where the router finds out.
    pub fn of(request: &Request) -> Option<Self> {
        let path = request.uri().path();
        let asked = path.strip_prefix(BELOW)?;
        let (endpoint, id) = match asked.split_once('/') {
            Some((endpoint, id)) => (endpoint, Some(id)),
            None => (asked, None),
        };
        let is_plain =
            |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let template = match (request.method(), id) {
            (&Method::POST, None) => "/scim/v2/{endpoint}",
            (&Method::GET | &Method::PUT | &Method::PATCH | &Method::DELETE, Some(id)) if is_plain(id) => {
                "/scim/v2/{endpoint}/{id}"
            }
            _ => return None,
        };
        let known = at_endpoint(endpoint).filter(|known| !known.has_members)?;
        request.body().size_hint().upper().filter(|bytes| *bytes <= BODY_BYTES_MAX)?;
        let route =
            ROUTES.iter().find(|route| route.path == template && route.method == *request.method())?;
        Some(Self { known, id_at: id.map(|id| path.len() - id.len()), route })
    }

    /// Answers it.
    pub async fn answer(self, app: App, request: Request) -> Response {
        let counted = Counted::to(&request, self.route.path);
        edge::around(&app, counted, request, |request| self.answered(&app, request)).await
    }

    async fn answered(&self, app: &App, request: Request) -> Response {
        let door = Door { app: app.clone(), access: self.route.access, face: self.route.face };
        match access::pass(&door, request).await {
            Ok(request) => self.done(app, request).await.unwrap_or_else(ScimError::into_response),
            Err(error) => error.into_response(),
        }
    }

    async fn done(&self, app: &App, request: Request) -> Result<Response, ScimError> {
        let (parts, body) = request.into_parts();
        let caller = &Caller::of_parts(app, &parts)?;
        let (query, headers) = (parts.uri.query(), &parts.headers);
        let one = One { app, caller, known: self.known, query, headers };
        let id = self.id_at.and_then(|at| parts.uri.path().get(at..)).unwrap_or_default();
        match parts.method {
            Method::GET => return one.read(id).await,
            Method::DELETE => return one.remove(id).await,
            _ => {}
        }
        let cut_off =
            |error: axum::Error| WebError::Malformed(format!("the body did not come whole: {error}"));
        let body = body.collect().await.map_err(cut_off)?.to_bytes();
        match parts.method {
            Method::POST => one.create(&body).await,
            Method::PUT => one.replace(id, &body).await,
            _ => one.change(id, &body).await,
        }
    }
}
