//! Gives every error its face: a page for people, a problem for programs. The framework's own errors too.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use http_body_util::BodyExt as _;

use crate::context::Context;
use crate::error::WebError;
use crate::frame::Frame;
use crate::pages::error as error_page;
use crate::problem;
use crate::route::Face;
use crate::routes::routes;
use crate::scim;
use crate::server::Settings;
use crate::state::App;

/// What the framework says of an error is shorter than this.
const MESSAGE_BYTES_MAX: usize = 4096;

/// Whether a path is one of programs.
pub(crate) fn is_for_programs(path: &str) -> bool {
    path.starts_with("/api/") || matches!(path, "/healthz" | "/readyz" | "/metrics")
}

fn face_of(path: &str) -> Face {
    if scim::is_scim(path) {
        Face::Scim
    } else if is_for_programs(path) {
        Face::Api
    } else {
        Face::Page
    }
}

/// What of a request its error's face depends on.
pub(crate) struct Asked {
    face: Face,
    method: Method,
    referer: Option<HeaderValue>,
}

impl Asked {
    /// Whom the answer is for.
    pub(crate) fn face(&self) -> Face {
        self.face
    }

    /// Of this request, before it is answered.
    pub(crate) fn of(request: &Request) -> Self {
        Self {
            face: face_of(request.uri().path()),
            method: request.method().clone(),
            referer: request.headers().get(header::REFERER).cloned(),
        }
    }
}

/// Gives an answer that is an error its face; any other stays as it is.
pub(crate) async fn give(app: &App, asked: &Asked, context: &Context, response: Response) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let Asked { face, ref method, .. } = *asked;
    let for_programs = face != Face::Page;
    let sent_from = asked.referer.as_ref().and_then(|referer| sent_from(referer, &app.settings));
    let (error, response) = match response.extensions().get::<Arc<WebError>>().cloned() {
        Some(error) => (error, response),
        // A form that is shown again with what is wrong has its face already.
        None if has_a_face(&response) => return response,
        None => framework(response).await,
    };
    if let WebError::Internal(cause) = &*error {
        let request_id = context.request_id.as_deref();
        tracing::error!(request_id, %cause, "a request failed");
    }
    let mut answer = if face == Face::Scim {
        scim::error::respond(&error)
    } else if for_programs {
        problem::respond(&error, context.request_id.as_deref())
    } else if matches!(*error, WebError::SignedOut) {
        Redirect::to(&sign_in_address(method, context)).into_response()
    } else if matches!(*error, WebError::StepUp) {
        // A form's target that is no page itself is asked for from the page that has the form.
        let is_page = *method == Method::GET || is_a_page(&context.address);
        let next = if is_page { &context.address } else { sent_from.as_ref().unwrap_or(&context.address) };
        Redirect::to(&format!("/step-up?{}", next_parameter(next))).into_response()
    } else {
        error_page::respond(Frame::new(app, context), &error, context.request_id.as_deref())
    };
    if let Some(allow) = response.headers().get(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, allow.clone());
    }
    match *error {
        WebError::TooMany { retry_after_seconds } => {
            answer.headers_mut().insert(header::RETRY_AFTER, retry_after_seconds.into());
        }
        WebError::Loading => {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        WebError::SignedOut | WebError::BadToken if for_programs => {
            answer
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"leasehold\""));
        }
        _ => {}
    }
    answer
}

/// What the framework says itself is plain text.
fn has_a_face(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/html") || kind.starts_with("application/"))
}

/// An error that the framework made itself.
async fn framework(response: Response) -> (Arc<WebError>, Response) {
    let (parts, body) = response.into_parts();
    let status = parts.status;
    let bytes = http_body_util::Limited::new(body, MESSAGE_BYTES_MAX).collect().await;
    let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes.to_bytes()).into_owned()).unwrap_or_default();
    let message = match status {
        StatusCode::NOT_FOUND => "there is nothing at this address".to_owned(),
        StatusCode::METHOD_NOT_ALLOWED => "this address does not take this method".to_owned(),
        StatusCode::PAYLOAD_TOO_LARGE => "what was sent is too large".to_owned(),
        StatusCode::REQUEST_TIMEOUT => "this took too long, and was given up".to_owned(),
        _ if text.is_empty() => status.canonical_reason().unwrap_or("not accepted").to_owned(),
        _ => text,
    };
    let error = if status == StatusCode::NOT_FOUND {
        WebError::NotFound("this address".to_owned())
    } else if status == StatusCode::INTERNAL_SERVER_ERROR {
        WebError::internal(status)
    } else {
        WebError::Framework { status, message }
    };
    (Arc::new(error), Response::from_parts(parts, Body::empty()))
}

/// The page of ours that a form was sent from: our own policy has browsers say it.
fn sent_from(referer: &HeaderValue, settings: &Settings) -> Option<String> {
    let page = referer.to_str().ok().and_then(|referer| referer.parse::<url::Url>().ok());
    let page = page.filter(|page| page.origin() == settings.url.origin())?;
    Some(page[url::Position::BeforePath..url::Position::AfterQuery].to_owned())
}

/// Whether a page of ours stands at exactly this path.
fn is_a_page(address: &str) -> bool {
    let path = address.split('?').next().unwrap_or_default();
    routes().any(|route| route.method == Method::GET && route.path == path)
}

/// Where to sign in, and then back to a page that can be asked for again.
fn sign_in_address(method: &Method, context: &Context) -> String {
    if *method == Method::GET && context.address != "/" {
        format!("/sign-in?{}", next_parameter(&context.address))
    } else {
        "/sign-in".to_owned()
    }
}

fn next_parameter(address: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair("next", address).finish()
}
