//! Challenges: of one browser and one purpose, for some minutes, and answered once.

use axum::http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::WebError;
use crate::security::{self, Cookie, secret_hash};
use crate::state::App;

/// A challenge can be answered for this long; it is what browsers are told, too.
const LASTS: SignedDuration = SignedDuration::from_mins(5);

/// What a challenge is for. An answer to one counts for nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To give a user another passkey, in their session.
    Register {
        /// The session's id.
        session: String,
    },
    /// To sign in as whoever the passkey says.
    SignIn,
    /// To sign in as this user, who has shown their password.
    SecondFactor {
        /// The user's id.
        user: String,
    },
    /// To show again that it is them, in a session.
    StepUp {
        /// The session's id.
        session: String,
    },
}

impl Purpose {
    /// What a challenge is sealed for.
    fn text(&self) -> String {
        match self {
            Self::Register { session } => format!("passkey: register in {session}"),
            Self::SignIn => "passkey: sign in".to_owned(),
            Self::SecondFactor { user } => format!("passkey: second factor of {user}"),
            Self::StepUp { session } => format!("passkey: step up in {session}"),
        }
    }
}

/// What is kept in the browser until the answer comes. Nobody else can read it, and the browser cannot write it.
#[derive(Serialize, Deserialize)]
struct Kept<S> {
    state: S,
    until: Timestamp,
}

/// Seals what belongs to a challenge, for the browser to keep.
///
/// # Errors
/// [`WebError::Internal`] where the machine gives no randomness.
pub(super) fn keep<S: Serialize>(app: &App, purpose: &Purpose, state: S) -> Result<String, WebError> {
    let until = app.now() + LASTS;
    app.settings.seal_key.seal(&purpose.text(), &Kept { state, until })
}

/// Takes what belongs to the browser's challenge, once; `None` where there is none for this purpose, it is too old, or it
/// was answered before.
///
/// # Errors
/// Where the store fails.
pub(super) async fn take<S: DeserializeOwned>(
    app: &App,
    headers: &HeaderMap,
    purpose: &Purpose,
) -> Result<Option<S>, WebError> {
    let sealed = security::cookie(headers, &app.settings, &Cookie::PASSKEY);
    let kept =
        sealed.as_ref().and_then(|sealed| app.settings.seal_key.open::<Kept<S>>(&purpose.text(), sealed));
    let (Some(kept), Some(sealed)) = (kept.filter(|kept| app.now() < kept.until), sealed) else {
        return Ok(None);
    };
    // Sealed anew each time: no two challenges look alike.
    let is_first = app.store.use_challenge(&secret_hash(&sealed), kept.until).await?;
    Ok(is_first.then_some(kept.state))
}
