//! A message for the next page: what was done, said where the browser is sent.

use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::security::{self, Cookie};
use crate::state::App;

/// A cookie holds not more than this.
const TEXT_CHARS_MAX: usize = 500;

/// What sort of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlashKind {
    /// It was done.
    Done,
    /// It was not done, or something is to be seen to.
    Warning,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    /// What sort.
    pub kind: FlashKind,
    /// What it says.
    pub text: String,
}

impl Flash {
    /// What it is called in the style.
    pub fn class(&self) -> &'static str {
        match self.kind {
            FlashKind::Done => "done",
            FlashKind::Warning => "warning",
        }
    }
}

/// Sends the browser to a page that then says this.
pub fn redirect_with(app: &App, to: &str, kind: FlashKind, text: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    let text = text.chars().take(TEXT_CHARS_MAX).collect();
    let json = serde_json::to_vec(&Flash { kind, text }).unwrap_or_default();
    security::remember(response.headers_mut(), &app.settings, &Cookie::FLASH, &URL_SAFE_NO_PAD.encode(json));
    response
}

/// Reads a message back. It comes from the browser, so that it is shown as text and nothing else.
pub(crate) fn decode(text: &str) -> Option<Flash> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}
