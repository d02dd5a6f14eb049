//! API tokens: made with scopes and an end, shown once.

use jiff::{SignedDuration, Timestamp};
use leasehold_model::id::SystemName;
use leasehold_store::{ApiToken, NewApiToken, Store, User};

use crate::error::WebError;
use crate::form::{Complaints, short_text};
use crate::security::{secret_hash, secret_text};
use crate::sign_in::scope::Scope;
use crate::sign_in::session::TOKEN_PREFIX;

/// How long a token lasts where nobody says, in days.
pub const DAYS_DEFAULT: i64 = 90;
/// How long a token lasts at most, in days.
pub const DAYS_MAX: i64 = 366;

/// A token with its secret, which is not kept anywhere.
pub struct CreatedToken {
    /// The token.
    pub token: ApiToken,
    /// Its secret, to be shown once.
    pub secret: String,
}

/// Makes a token for a user. `days` counts from now; `system` is the one that it pushes into, for the scope `scim`.
///
/// # Errors
/// [`WebError::Invalid`] where name, scopes or end cannot be used.
#[allow(clippy::too_many_arguments, reason = "each is one field of a form")]
pub async fn create_token(
    store: &Store,
    user: &User,
    name: &str,
    scopes: &[String],
    system: Option<&str>,
    days: i64,
    by: &str,
    now: Timestamp,
) -> Result<CreatedToken, WebError> {
    let (new, secret) = prepared(&user.id, name, scopes, system, days, now)?;
    let token = store.create_token(&new, by, now).await?;
    Ok(CreatedToken { token, secret })
}

/// A token as it is to be stored, and its secret.
///
/// # Errors
/// As [`create_token`].
pub(crate) fn prepared(
    user: &str,
    name: &str,
    scopes: &[String],
    system: Option<&str>,
    days: i64,
    now: Timestamp,
) -> Result<(NewApiToken, String), WebError> {
    let mut wrong = Complaints::default();
    let name = short_text(name, "name", &mut wrong).to_owned();
    let known = || Scope::ALL.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(", ");
    if scopes.is_empty() {
        wrong.add("scopes", format!("choose at least one scope of {}", known()));
    }
    for scope in scopes {
        if Scope::parse(scope).is_none() {
            wrong.add("scopes", format!("`{scope}` is not a scope: there are {}", known()));
        }
    }
    let system = system.map(str::trim).filter(|system| !system.is_empty());
    let is_for_pushing = scopes.iter().any(|scope| scope == Scope::Scim.name());
    match system {
        None if is_for_pushing => wrong.add("system", "name the one system that is pushed into"),
        Some(_) if !is_for_pushing => {
            wrong.add("system", "a token with the scope scim alone is for one system")
        }
        Some(name) if SystemName::new(name).is_err() => wrong.add("system", "this is no name of a system"),
        _ => {}
    }
    if is_for_pushing && scopes.iter().any(|scope| scope != Scope::Scim.name()) {
        wrong.add("scopes", "the scope scim stands alone: whoever pushes identities does nothing else");
    }
    if !(1..=DAYS_MAX).contains(&days) {
        wrong.add("days", format!("a token lasts 1 to {DAYS_MAX} days"));
    }
    if !wrong.is_empty() {
        return Err(WebError::Invalid(wrong.into_fields()));
    }
    let secret = format!("{TOKEN_PREFIX}{}", secret_text()?);
    let mut scopes = scopes.to_vec();
    scopes.sort_unstable();
    scopes.dedup();
    let new = NewApiToken {
        token_hash: secret_hash(&secret),
        user: user.to_owned(),
        name,
        scopes,
        system: system.map(str::to_owned),
        expires_at: now + SignedDuration::from_hours(24 * days),
    };
    Ok((new, secret))
}
