//! What every page has around it: navigation, search, theme, messages, and the token of its forms.

use std::sync::Arc;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};

use crate::context::Context;
use crate::error::WebError;
use crate::flash::Flash;
use crate::pages::NAVIGATION;
use crate::state::App;
use crate::static_files;

/// The frame of a page. An extractor; a template holds it as `frame` and extends `layout.html`.
#[derive(Debug, Clone)]
pub struct Frame {
    /// What the page is called.
    pub title: String,
    /// The person's name; `None` where signed out.
    pub name: Option<String>,
    /// Where they may go.
    pub navigation: Vec<NavigationItem>,
    /// The chosen theme; empty where the browser's preference counts.
    pub theme: &'static str,
    /// What an earlier request has to say.
    pub flash: Option<Flash>,
    /// Path and query of this page.
    pub address: String,
    /// What is searched for; empty on most pages.
    pub search: String,
    /// The token of this page's forms; empty where signed out.
    pub csrf: String,
}

/// One entry of the navigation.
#[derive(Debug, Clone)]
pub struct NavigationItem {
    /// Where it leads.
    pub path: &'static str,
    /// What it is called.
    pub label: &'static str,
    /// Whether this page is in it.
    pub current: bool,
}

impl Frame {
    pub(crate) fn new(app: &App, context: &Context) -> Self {
        let path = context.address.split('?').next().unwrap_or("/");
        let within = |item: &str| path == item || (item != "/" && path.starts_with(&format!("{item}/")));
        let person = context.person.as_deref();
        let navigation = person.map(|person| {
            let open = NAVIGATION.iter().filter(|place| person.may_somewhere(app, place.action));
            open.map(|place| NavigationItem {
                path: place.path,
                label: place.label,
                current: within(place.path),
            })
            .collect()
        });
        let csrf = person.and_then(|person| match &person.via {
            crate::person::Via::Session(session) => Some(session.form_secret.token()),
            crate::person::Via::Token { .. } => None,
        });
        Self {
            title: "Leasehold".to_owned(),
            name: person.map(|person| person.name.clone()),
            navigation: navigation.unwrap_or_default(),
            theme: context.theme.map_or("", crate::context::Theme::name),
            flash: context.flash.clone(),
            address: context.address.clone(),
            search: String::new(),
            csrf: csrf.unwrap_or_default(),
        }
    }

    /// The same with the page's title.
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Where a file of ours is to be had.
    pub fn file(&self, name: &str) -> &'static str {
        static_files::address(name)
    }
}

impl FromRequestParts<App> for Frame {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, WebError> {
        let context = parts.extensions.get::<Arc<Context>>().cloned().unwrap_or_default();
        Ok(Self::new(app, &context))
    }
}

/// Gives a page as an answer.
///
/// # Errors
/// [`WebError::Internal`] where the template fails.
pub fn show(page: &impl Template) -> Result<Response, WebError> {
    show_with(StatusCode::OK, page)
}

/// The same with another status: a form that is shown again with what is wrong.
///
/// # Errors
/// [`WebError::Internal`] where the template fails.
pub fn show_with(status: StatusCode, page: &impl Template) -> Result<Response, WebError> {
    let text = page.render().map_err(WebError::internal)?;
    Ok((status, Html(text)).into_response())
}
