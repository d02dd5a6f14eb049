//! One way in: a method and a path, what it takes to use it, and what answers.

use axum::http::Method;
use axum::routing::MethodRouter;
use leasehold_decide::authority::Action;
use utoipa_axum::router::UtoipaMethodRouter;

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
    /// Identity providers: SCIM, and its errors.
    Scim,
}

/// What answers.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    /// A handler.
    Plain(fn() -> MethodRouter<App>),
    /// A handler with its part of the API's document.
    Documented(fn() -> UtoipaMethodRouter<App>),
}

impl Handler {
    pub(crate) fn method_router(self) -> MethodRouter<App> {
        match self {
            Self::Plain(handler) => handler(),
            Self::Documented(handler) => handler().2,
        }
    }
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
    pub(crate) handler: Handler,
}

impl Route {
    /// A page or a form's target: answers people.
    pub(crate) const fn page(
        method: Method,
        path: &'static str,
        access: Access,
        handler: fn() -> MethodRouter<App>,
    ) -> Self {
        Self { method, path, access, face: Face::Page, handler: Handler::Plain(handler) }
    }

    /// A call that is no part of the API's document: for whoever runs the server.
    pub(crate) const fn plain(
        method: Method,
        path: &'static str,
        access: Access,
        handler: fn() -> MethodRouter<App>,
    ) -> Self {
        Self { method, path, access, face: Face::Api, handler: Handler::Plain(handler) }
    }

    /// A call of SCIM: answers identity providers.
    pub(crate) const fn scim(
        method: Method,
        path: &'static str,
        action: Action,
        handler: fn() -> MethodRouter<App>,
    ) -> Self {
        let access = Access::Needs(action);
        Self { method, path, access, face: Face::Scim, handler: Handler::Plain(handler) }
    }

    /// A call of SCIM that is open to everybody.
    pub(crate) const fn scim_open(
        method: Method,
        path: &'static str,
        handler: fn() -> MethodRouter<App>,
    ) -> Self {
        Self { method, path, access: Access::Open, face: Face::Scim, handler: Handler::Plain(handler) }
    }

    /// A call of the API that is open to everybody: what is sent shows who asks.
    pub(crate) const fn open_call(
        method: Method,
        path: &'static str,
        handler: fn() -> UtoipaMethodRouter<App>,
    ) -> Self {
        Self { method, path, access: Access::Open, face: Face::Api, handler: Handler::Documented(handler) }
    }

    /// A call of the API: answers programs.
    pub(crate) const fn call(
        method: Method,
        path: &'static str,
        action: Action,
        handler: fn() -> UtoipaMethodRouter<App>,
    ) -> Self {
        Self {
            method,
            path,
            access: Access::Needs(action),
            face: Face::Api,
            handler: Handler::Documented(handler),
        }
    }
}
