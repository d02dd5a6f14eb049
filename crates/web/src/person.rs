//! Who asks: a user, the way in which they showed it, and what they may.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use leasehold_decide::authority::{Action, Principal, Resource};
use leasehold_model::id::{IdentityKey, SystemName};

use crate::context::Context;
use crate::error::WebError;
use crate::security::FormSecret;
use crate::sign_in::scope::Scope;
use crate::state::App;

/// For how long showing that it is you counts.
pub(crate) const STEP_UP: SignedDuration = SignedDuration::from_mins(10);

/// A signed-in person, or a program with their token. An extractor: a handler that takes one is for nobody else.
#[derive(Debug, Clone)]
pub struct Person {
    /// What they are called.
    pub name: String,
    /// Their mail address.
    pub mail: String,
    /// What authority is asked about.
    pub principal: Principal,
    /// How they showed who they are.
    pub via: Via,
}

/// How somebody showed who they are.
#[derive(Debug, Clone)]
pub enum Via {
    /// With a browser's session.
    Session(SessionInUse),
    /// With an API token.
    Token {
        /// Its id.
        id: String,
        /// What it may be used for.
        scopes: Vec<Scope>,
        /// The one system that it is for.
        system: Option<SystemName>,
        /// The version of its owner when they were looked up.
        owner_version: i64,
    },
}

/// The session of a request.
#[derive(Debug, Clone)]
pub struct SessionInUse {
    /// Its id, which is not its secret.
    pub id: String,
    /// When its user last showed that it is them.
    pub confirmed_at: Timestamp,
    /// What the tokens of its forms are made from.
    pub(crate) form_secret: FormSecret,
}

impl SessionInUse {
    /// Whether a form's token belongs to this session.
    pub(crate) fn form_token_matches(&self, token: &str) -> bool {
        self.form_secret.matches(token)
    }
}

impl Person {
    /// The user's id.
    pub fn user(&self) -> &str {
        &self.principal.user
    }

    /// The identity whose access is theirs, where it is known.
    pub fn identity(&self) -> Option<&IdentityKey> {
        self.principal.identity.as_ref()
    }

    /// The id of the browser's session: a token does not change what it is made from.
    ///
    /// # Errors
    /// [`WebError::Refused`] for programs.
    pub(crate) fn session(&self) -> Result<&str, WebError> {
        match &self.via {
            Via::Session(session) => Ok(&session.id),
            Via::Token { .. } => {
                Err(WebError::Refused("this is done in the browser: a token cannot".to_owned()))
            }
        }
    }

    /// As the ledger and `by` fields name them.
    pub fn actor(&self) -> &str {
        &self.mail
    }

    /// Whether they may do this to everything.
    pub fn may_everywhere(&self, app: &App, action: Action) -> bool {
        self.in_scope(action) && app.authority.may_everywhere(&self.principal, action)
    }

    /// Whether the shipped policies alone decide about it: what they may do it to follows from roles and owners.
    pub fn only_shipped(&self, app: &App, action: Action) -> bool {
        app.authority.only_shipped(&self.principal, action)
    }

    /// Whether there can be something that they may do this to.
    pub fn may_somewhere(&self, app: &App, action: Action) -> bool {
        self.in_scope(action) && app.authority.may_somewhere(&self.principal, action)
    }

    /// Whether they may do this to that.
    pub fn may(&self, app: &App, action: Action, resource: &Resource) -> bool {
        self.in_scope(action) && app.authority.may(&self.principal, action, resource)
    }

    /// Refuses who may not do this to that.
    ///
    /// # Errors
    /// [`WebError::Forbidden`], [`WebError::Scope`].
    pub fn require(&self, app: &App, action: Action, resource: &Resource) -> Result<(), WebError> {
        self.require_scope(action)?;
        if app.authority.may(&self.principal, action, resource) {
            Ok(())
        } else {
            Err(WebError::Forbidden(action))
        }
    }

    /// Refuses who may not see that, in the same words as what is not there.
    ///
    /// # Errors
    /// [`WebError::NotFound`].
    pub fn require_seen(
        &self,
        app: &App,
        action: Action,
        resource: &Resource,
        what: impl FnOnce() -> String,
    ) -> Result<(), WebError> {
        if self.may(app, action, resource) { Ok(()) } else { Err(WebError::NotFound(what())) }
    }

    /// Refuses a person whose last sign-in is too long ago. A token was made for what its scopes say, after a sign-in.
    ///
    /// # Errors
    /// [`WebError::StepUp`].
    pub fn require_confirmed(&self, now: Timestamp) -> Result<(), WebError> {
        match &self.via {
            Via::Session(session) if now.duration_since(session.confirmed_at) > STEP_UP => {
                Err(WebError::StepUp)
            }
            _ => Ok(()),
        }
    }

    /// What the door of a route asks.
    pub(crate) fn passes(&self, app: &App, action: Action) -> Result<(), WebError> {
        self.require_scope(action)?;
        if !app.authority.may_somewhere(&self.principal, action) {
            return Err(WebError::Forbidden(action));
        }
        Ok(())
    }

    fn in_scope(&self, action: Action) -> bool {
        match &self.via {
            Via::Session(_) => true,
            Via::Token { scopes, .. } => scopes.iter().any(|scope| scope.allows(action)),
        }
    }

    fn require_scope(&self, action: Action) -> Result<(), WebError> {
        if self.in_scope(action) {
            return Ok(());
        }
        let names: Vec<&str> =
            Scope::ALL.iter().filter(|scope| scope.allows(action)).map(|scope| scope.name()).collect();
        Err(WebError::Scope(names.join(", ")))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Person {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, WebError> {
        let person = parts.extensions.get::<Arc<Context>>().and_then(|context| context.person.clone());
        person.map(Arc::unwrap_or_clone).ok_or(WebError::SignedOut)
    }
}

/// Whoever asks, for a handler that is asked so often that a copy of them would cost more than its answer. An extractor.
pub(crate) struct Asker(Arc<Person>);

impl std::ops::Deref for Asker {
    type Target = Person;
    fn deref(&self) -> &Person {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, WebError> {
        let person = parts.extensions.get::<Arc<Context>>().and_then(|context| context.person.clone());
        person.map(Self).ok_or(WebError::SignedOut)
    }
}
