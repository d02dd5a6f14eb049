//! The sign-in of a program that has no browser (RFC 8628): the codes that it waits with, and the token that it gets.

use jiff::SignedDuration;
use leasehold_store::{DeviceAnswer, DeviceLogin};

use crate::error::WebError;
use crate::form::{Complaints, short_text};
use crate::security::{secret_hash, secret_text};
use crate::sign_in::scope::Scope;
use crate::sign_in::token::{self, CreatedToken};
use crate::source::Source;
use crate::state::App;

/// How long somebody has to decide, in seconds.
pub(crate) const LASTS_SECONDS: u64 = 600;
/// How long a program waits between two questions, in seconds.
pub(crate) const INTERVAL_SECONDS: u64 = 5;
/// How long the token lasts, in days.
pub(crate) const TOKEN_DAYS: i64 = 30;
/// Anybody can ask: so many wait at once at most, of everybody and of one network.
const WAITING_MAX: u64 = 1_000;
const WAITING_OF_NETWORK_MAX: u64 = 20;
/// Letters that are not mistaken for one another and spell no words (RFC 8628, section 6.1): with eight of them there are
/// 20^8 codes, of which somebody who guesses tries a few before they have to wait.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const CODE_LETTERS: usize = 8;

/// The words of RFC 8628 and RFC 6749 for how a question for a token ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantError {
    /// Something is missing, or another way to a token is asked for.
    InvalidRequest,
    /// No token is given in this way.
    UnsupportedGrantType,
    /// A scope that there is not.
    InvalidScope,
    /// Nobody has decided yet.
    AuthorizationPending,
    /// The program asks too often.
    SlowDown,
    /// Somebody refused.
    AccessDenied,
    /// The code has ended, was redeemed, or was never given out.
    ExpiredToken,
}

impl GrantError {
    /// The word of the standard.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::AccessDenied => "access_denied",
            Self::ExpiredToken => "expired_token",
        }
    }
}

impl std::fmt::Display for GrantError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::InvalidRequest => "send `device_code`, as the call that began this gave it",
            Self::UnsupportedGrantType => "send `grant_type=urn:ietf:params:oauth:grant-type:device_code`",
            Self::InvalidScope => "ask for scopes that there are: read, plan, approve, admin, metrics",
            Self::AuthorizationPending => "nobody has decided yet: ask again after the interval",
            Self::SlowDown => "asked too soon: wait five seconds longer from now on",
            Self::AccessDenied => "somebody refused this",
            Self::ExpiredToken => "this code has expired, was used, or is unknown: begin anew",
        })
    }
}

/// What a program is told when it begins.
pub(crate) struct Begun {
    /// What it asks with.
    pub(crate) device_code: String,
    /// What a person types.
    pub(crate) user_code: String,
}

/// Begins a sign-in for a program that calls itself `client` and asks for scopes by name.
///
/// # Errors
/// [`WebError::Invalid`] where the name cannot be used, [`WebError::Grant`] for an unknown scope, and
/// [`WebError::TooMany`] where too many wait.
pub(crate) async fn begin(app: &App, source: Source, client: &str, scopes: &str) -> Result<Begun, WebError> {
    let mut wrong = Complaints::default();
    let client = short_text(client, "client_id", &mut wrong).to_owned();
    if !wrong.is_empty() {
        return Err(WebError::Invalid(wrong.into_fields()));
    }
    let mut names: Vec<String> = scopes.split_whitespace().map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    // A token that pushes is for one system, which nobody is asked for here.
    let is_offered = |name: &String| Scope::parse(name).is_some_and(|scope| scope != Scope::Scim);
    if names.is_empty() || !names.iter().all(is_offered) {
        return Err(WebError::Grant(GrantError::InvalidScope));
    }
    let now = app.now();
    let login = DeviceLogin {
        client,
        source: source.network(),
        scopes: names,
        created_at: now,
        expires_at: now + SignedDuration::from_secs(LASTS_SECONDS.cast_signed()),
        interval_seconds: INTERVAL_SECONDS,
    };
    let begun = Begun { device_code: secret_text()?, user_code: new_code()? };
    let hashes = (secret_hash(&begun.device_code), secret_hash(&begun.user_code));
    let made = app
        .store
        .begin_device_login(&hashes.0, &hashes.1, &login, WAITING_MAX, WAITING_OF_NETWORK_MAX)
        .await?;
    if made { Ok(begun) } else { Err(WebError::TooMany { retry_after_seconds: LASTS_SECONDS }) }
}

/// Gives a program its token, once somebody has allowed it.
///
/// # Errors
/// [`WebError::Grant`] until then, and where it will never be.
pub(crate) async fn redeem(app: &App, device_code: &str) -> Result<CreatedToken, WebError> {
    let hash = secret_hash(device_code);
    let (login, user, by) = match app.store.ask_device_login(&hash, app.now()).await? {
        DeviceAnswer::Pending => return Err(WebError::Grant(GrantError::AuthorizationPending)),
        DeviceAnswer::TooSoon => return Err(WebError::Grant(GrantError::SlowDown)),
        DeviceAnswer::Refused => return Err(WebError::Grant(GrantError::AccessDenied)),
        DeviceAnswer::Ended => return Err(WebError::Grant(GrantError::ExpiredToken)),
        DeviceAnswer::Allowed { login, user, by } => (login, user, by),
    };
    let (new, secret) = token::prepared(&user, &login.client, &login.scopes, None, TOKEN_DAYS, app.now())?;
    let redeemed = app.store.redeem_device_login(&hash, &new, &by, app.now()).await?;
    let token = redeemed.ok_or(WebError::Grant(GrantError::ExpiredToken))?;
    Ok(CreatedToken { token, secret })
}

/// A new code for a person to type.
fn new_code() -> Result<String, WebError> {
    let mut code = String::with_capacity(CODE_LETTERS);
    while code.len() < CODE_LETTERS {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).map_err(WebError::internal)?;
        // Bytes beyond the last whole multiple would make the first letters likelier.
        let fair = bytes.into_iter().filter(|byte| *byte < 240);
        code.extend(
            fair.map(|byte| char::from(LETTERS[usize::from(byte % 20)])).take(CODE_LETTERS - code.len()),
        );
    }
    Ok(code)
}

/// A code as people read it: `BCDF-GHJK`.
pub(crate) fn shown(code: &str) -> String {
    let (first, second) = code.split_at(code.len() / 2);
    format!("{first}-{second}")
}

/// A code that somebody typed, in any case and with any marks between; `None` where it cannot be one.
pub(crate) fn typed(text: &str) -> Option<String> {
    let letters =
        text.chars().filter(|c| !matches!(c, '-' | ' ' | '_' | '.')).map(|c| c.to_ascii_uppercase());
    let code: String = letters.take(CODE_LETTERS + 1).collect();
    let is_code = code.len() == CODE_LETTERS && code.bytes().all(|byte| LETTERS.contains(&byte));
    is_code.then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_people_type_them() {
        let code = new_code().expect("random");
        assert_eq!(typed(&shown(&code)).as_deref(), Some(code.as_str()));
        assert_eq!(typed(" bcdf ghjk ").as_deref(), Some("BCDFGHJK"));
        for wrong in ["", "BCDF", "BCDF-GHJKL", "BCDA-GHJK", "BCDF-GHJ0", "BCDFGHJé"] {
            assert_eq!(typed(wrong), None, "{wrong}");
        }
    }
}
