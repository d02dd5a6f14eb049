//! What is known of a request before anything is done about it: who asks, from where, in which theme.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};

use crate::error::WebError;
use crate::flash::{self, Flash};
use crate::person::Person;
use crate::scim::{self, is_scim};
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

impl Context {
    /// What a request says itself; who asks is not known yet. The id is ours: what a client sends could be made to look like
    /// another's in the log.
    pub(crate) fn of(app: &App, request: &Request) -> Self {
        let headers = request.headers();
        let text = |name: &Cookie| cookie(headers, &app.settings, name);
        Self {
            person: None,
            source: Source::of(request, &app.settings),
            address: request.uri().path_and_query().map_or("/", |address| address.as_str()).to_owned(),
            theme: text(&Cookie::THEME).and_then(|name| Theme::parse(&name)),
            flash: text(&Cookie::FLASH).and_then(|text| flash::decode(&text)),
            request_id: Some(uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string()),
        }
    }

    /// Finds out who asks.
    ///
    /// # Errors
    /// Where what was shown is not in force: then nobody asks.
    pub(crate) async fn identify(
        &mut self,
        app: &App,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<(), WebError> {
        if is_scim(&self.address) {
            self.person = scim::identify(app, headers).await?;
            return Ok(());
        }
        let open = self.address.starts_with("/static/") || self.address.starts_with("/healthz");
        if !open {
            self.person = Box::pin(session::identify(app, method, headers)).await?;
        }
        Ok(())
    }

    /// Has the browser forget what a page has said by now.
    pub(crate) fn settle(&self, app: &App, headers: &mut HeaderMap) {
        if self.flash.is_some() && is_page(headers) {
            crate::security::forget(headers, &app.settings, &Cookie::FLASH);
        }
    }
}

fn is_page(headers: &HeaderMap<HeaderValue>) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}
