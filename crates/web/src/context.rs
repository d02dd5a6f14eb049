//! What is known of a request before anything is done about it: who asks, from where, in which theme.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::flash::{self, Flash};
use crate::person::Person;
use crate::security::{Cookie, cookie};
use crate::sign_in::session;
use crate::source::Source;
use crate::state::App;

/// What is known of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Context {
    /// Who asks; nobody where signed out.
    pub person: Option<Arc<Person>>,
    /// From where.
    pub source: Source,
    /// Path and query, as they were asked for.
    pub address: String,
    /// The theme that the person chose.
    pub theme: Option<Theme>,
    /// What an earlier request has to say.
    pub flash: Option<Flash>,
    /// The request's id, as the log names it.
    pub request_id: Option<String>,
}

/// A theme that a person chose; without a choice the browser's preference counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    /// Its name in the cookie and in the page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The theme of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Light, Self::Dark].into_iter().find(|theme| theme.name() == name)
    }
}

/// The name under which a request's id travels.
pub(crate) const REQUEST_ID: header::HeaderName = header::HeaderName::from_static("x-request-id");

/// Finds out who asks, and runs the request.
pub(crate) async fn establish(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let source = Source::of(&request, &app.settings);
    let address = request.uri().path_and_query().map_or("/", |address| address.as_str()).to_owned();
    let text = |name: &Cookie| cookie(headers, &app.settings, name);
    let theme = text(&Cookie::THEME).and_then(|name| Theme::parse(&name));
    let flash = text(&Cookie::FLASH).and_then(|text| flash::decode(&text));
    let had_flash = flash.is_some();
    let request_id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    let open = address.starts_with("/static/") || address.starts_with("/healthz");
    let person = if open { Ok(None) } else { session::identify(&app, request.method(), headers).await };
    let mut context = Context { person: None, source, address, theme, flash, request_id };
    let mut response = match person {
        Ok(person) => {
            context.person = person;
            request.extensions_mut().insert(context);
            next.run(request).await
        }
        Err(error) => {
            request.extensions_mut().insert(context);
            request.extensions_mut().insert(Arc::new(error));
            next.run(request).await
        }
    };
    if had_flash && is_page(response.headers()) {
        crate::security::forget(response.headers_mut(), &app.settings, &Cookie::FLASH);
    }
    response
}

fn is_page(headers: &HeaderMap<HeaderValue>) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}
