//! What a request can end in besides an answer. What it looks like, page or problem, is decided by [`crate::faces`].

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use leasehold_decide::authority::Action;
use leasehold_reconcile::error::ReconcileError;
use leasehold_store::StoreError;

use crate::sign_in::device::GrantError;

/// What is wrong with one field of a form or a body.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Which.
    pub field: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl FieldError {
    /// A complaint about a field.
    pub fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into() }
    }
}

/// Why a request was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// There is no such thing, or none that this person may know of.
    #[error("{0} is not there, or is not yours to see")]
    NotFound(String),
    /// Nobody is signed in.
    #[error("sign in first")]
    SignedOut,
    /// A token was shown that is not in force.
    #[error("this token is unknown, expired or revoked: make another one in Settings")]
    BadToken,
    /// A notice that the system did not sign, or not just now.
    #[error(
        "the signature does not fit: check `webhook_secret` of this system, its name in the address, and the sender's clock"
    )]
    BadSignature,
    /// The person may not.
    #[error("this needs the authority to {}, which you do not have", readable(*.0))]
    Forbidden(Action),
    /// The token may not, whatever its owner may.
    #[error("this token has no scope for this; it needs one of: {0}")]
    Scope(String),
    /// The person may, but not about this.
    #[error("{0}")]
    Refused(String),
    /// The person must show again that it is them.
    #[error("confirm that it is you: this needs a sign-in within the last ten minutes")]
    StepUp,
    /// A form from elsewhere, or from a session that ended.
    #[error("this form did not come from this session: go back, reload the page and send it again")]
    Forged,
    /// A question for a token that does not end in one, or not yet.
    #[error("{0}")]
    Grant(GrantError),
    /// The request makes no sense.
    #[error("{0}")]
    Malformed(String),
    /// Fields that make no sense.
    #[error("{} of what was sent cannot be used", count(.0))]
    Invalid(Vec<FieldError>),
    /// The thing moved in between.
    #[error("{0}")]
    Conflict(String),
    /// `If-Match` names another state.
    #[error("this changed since you read it: read it again")]
    Precondition,
    /// Too often.
    #[error("too many attempts: try again in {retry_after_seconds} s")]
    TooMany {
        /// When it makes sense to try again, in seconds.
        retry_after_seconds: u64,
    },
    /// What is needed does not answer.
    #[error("{0}: try again shortly")]
    Unavailable(String),
    /// The server has just begun, and loads the present state: nothing was done.
    #[error("the present state is being loaded: try again shortly")]
    Loading,
    /// An answer of the framework: wrong method, wrong media type, too large.
    #[error("{message}")]
    Framework {
        /// Its status.
        status: StatusCode,
        /// What it said.
        message: String,
    },
    /// Something of ours failed. What exactly is written to the log with the request's id, not into the answer.
    #[error("the server could not do this; the log has more under this request's id")]
    Internal(String),
}

fn readable(action: Action) -> String {
    action.name().replace('_', " ")
}

fn count(fields: &[FieldError]) -> String {
    if fields.len() == 1 { "one field".to_owned() } else { format!("{} fields", fields.len()) }
}

impl WebError {
    /// A failure of ours, for the log.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        Self::Internal(error.to_string())
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::SignedOut | Self::BadToken | Self::BadSignature => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::Scope(_) | Self::Refused(_) | Self::StepUp | Self::Forged => {
                StatusCode::FORBIDDEN
            }
            Self::Malformed(_) | Self::Grant(_) => StatusCode::BAD_REQUEST,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Precondition => StatusCode::PRECONDITION_FAILED,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) | Self::Loading => StatusCode::SERVICE_UNAVAILABLE,
            Self::Framework { status, .. } => *status,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A word for programs, stable over releases.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not-found",
            Self::SignedOut => "signed-out",
            Self::BadToken => "bad-token",
            Self::BadSignature => "bad-signature",
            Self::Forbidden(_) => "forbidden",
            Self::Scope(_) => "scope",
            Self::Refused(_) => "refused",
            Self::StepUp => "step-up",
            Self::Forged => "forged-request",
            Self::Grant(_) => "device-login",
            Self::Malformed(_) => "malformed",
            Self::Invalid(_) => "invalid",
            Self::Conflict(_) => "conflict",
            Self::Precondition => "precondition-failed",
            Self::TooMany { .. } => "too-many-attempts",
            Self::Unavailable(_) | Self::Loading => "unavailable",
            Self::Framework { .. } => "request",
            Self::Internal(_) => "internal",
        }
    }

    /// A short title for people.
    pub fn title(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "Not found",
            Self::SignedOut => "Signed out",
            Self::BadToken => "Token not accepted",
            Self::BadSignature => "Notice not accepted",
            Self::Forbidden(_) | Self::Scope(_) | Self::Refused(_) => "Not allowed",
            Self::StepUp => "Confirm that it is you",
            Self::Forged => "Form not accepted",
            Self::Grant(_) => "No token",
            Self::Malformed(_) => "Request not understood",
            Self::Invalid(_) => "Something to mend",
            Self::Conflict(_) => "In conflict with the present state",
            Self::Precondition => "Changed in between",
            Self::TooMany { .. } => "Too many attempts",
            Self::Unavailable(_) | Self::Loading => "Not available now",
            Self::Framework { status, .. } => status.canonical_reason().unwrap_or("Request not accepted"),
            Self::Internal(_) => "Something failed",
        }
    }
}

impl From<StoreError> for WebError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::Unavailable("the store is busy".to_owned()),
            StoreError::PlanMoved { .. } | StoreError::PlanChanged { .. } => {
                Self::Conflict(error.to_string())
            }
            StoreError::AmbiguousPlan { .. } | StoreError::UnknownGuard { .. } => {
                Self::Malformed(error.to_string())
            }
            StoreError::UserExists { .. } | StoreError::LastAdministrator => {
                Self::Conflict(error.to_string())
            }
            StoreError::UnknownUser { .. } => Self::NotFound("this user".to_owned()),
            StoreError::UserMoved => Self::Precondition,
            error => Self::internal(error),
        }
    }
}

impl From<ReconcileError> for WebError {
    fn from(error: ReconcileError) -> Self {
        match error {
            ReconcileError::Store(error) => error.into(),
            ReconcileError::StateMoved { .. } | ReconcileError::PlanEdited { .. } => {
                Self::Conflict(error.to_string())
            }
            ReconcileError::UnknownSystem(system) => Self::NotFound(format!("the system `{system}`")),
            ReconcileError::UnknownPlan { hash } => Self::NotFound(format!("the plan {hash}")),
            error => Self::internal(error),
        }
    }
}

impl IntoResponse for WebError {
    /// A bare answer that carries the error along; [`crate::faces`] gives it a face.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}
