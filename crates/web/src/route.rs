//! One way in: a method and a path, what it takes to use it, and what answers.

use axum::http::Method;
use axum::routing::MethodRouter;
use leasehold_decide::authority::Action;

use crate::state::App;

/// What it takes to use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: signed out is enough.
    Open,
    /// Authority to do this to something; what exactly, the handler asks for each thing that it shows or changes.
    Needs(Action),
}

/// Whom a route answers: it decides what an error looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// People: HTML.
    Page,
    /// Programs: JSON, and problems by RFC 9457.
    Api,
}

/// One line of the registry.
#[derive(Clone)]
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path, with `{name}` for a parameter.
    pub path: &'static str,
    /// What it takes.
    pub access: Access,
    /// Whom it answers.
    pub face: Face,
    pub(crate) handler: fn() -> MethodRouter<App>,
}

impl Route {
    /// A page or a form's target: answers people.
    pub(crate) const fn page(
        method: Method,
        path: &'static str,
        access: Access,
        handler: fn() -> MethodRouter<App>,
    ) -> Self {
        Self { method, path, access, face: Face::Page, handler }
    }

    /// A call of the API: answers programs.
    pub(crate) const fn call(
        method: Method,
        path: &'static str,
        access: Access,
        handler: fn() -> MethodRouter<App>,
    ) -> Self {
        Self { method, path, access, face: Face::Api, handler }
    }
}
