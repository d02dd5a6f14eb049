//! Passkeys (Web Authentication, level 3): keys on a user's devices, which sign in alone, stand beside a password, or
//! confirm that it is them. Every check asks the device to verify its user, so that a passkey alone is two factors.

mod challenge;
mod check;
mod offer;
pub(crate) mod page;
mod register;
mod relying_party;
mod remove;
pub(crate) mod step_up;

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::security::{self, Cookie};
use crate::state::App;

pub(crate) use offer::Offer;
pub(crate) use register::{PASSKEYS_MAX, begin_registration, finish_registration};
pub(crate) use relying_party::RelyingParty;
pub(crate) use remove::remove;

/// What a browser is to ask a device, and what the server keeps of it in the browser, sealed.
pub(crate) struct Asked {
    options: Value,
    sealed: String,
}

impl Asked {
    /// As an answer to the script of our pages.
    pub(crate) fn respond(self, app: &App) -> Response {
        let mut response = Json(self.options).into_response();
        security::remember(response.headers_mut(), &app.settings, &Cookie::PASSKEY, &self.sealed);
        response
    }
}

/// What the browser answered cannot be read: a script of ours sends nothing like it.
const UNREADABLE: &str = "the browser sent nothing that could be read: try again";
/// The challenge is not there, was answered before, or is too old.
const EXPIRED: &str = "this took too long, or was sent before: try again";
