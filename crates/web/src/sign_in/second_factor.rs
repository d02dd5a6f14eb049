//! What stands beside a user's password: whoever has shown the password is asked for one of these, too.

use crate::error::WebError;
use crate::sign_in::one_time_code;
use crate::sign_in::password::{ALONE_CHARS_MIN, BESIDE_CHARS_MIN};
use crate::state::App;

/// The second factors that a user has set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SecondFactors {
    /// One-time codes.
    pub(crate) code: bool,
    /// How many passkeys.
    pub(crate) passkeys: usize,
}

impl SecondFactors {
    /// What a user has set up.
    ///
    /// # Errors
    /// Where the store fails.
    pub(crate) async fn of(app: &App, user: &str) -> Result<Self, WebError> {
        let code = one_time_code::is_set_up(app, user).await?;
        Ok(Self { code, passkeys: app.store.passkeys_of(user).await?.len() })
    }

    /// Whether there is a passkey.
    pub(crate) fn passkey(self) -> bool {
        self.passkeys > 0
    }

    /// Whether a second factor is asked for.
    pub(crate) fn any(self) -> bool {
        self.code || self.passkey()
    }

    /// The least length of the user's password, in characters.
    pub(crate) fn password_chars_min(self) -> usize {
        if self.any() { BESIDE_CHARS_MIN } else { ALONE_CHARS_MIN }
    }
}
