//! Checking what a passkey answers, for every purpose but registering one.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use leasehold_store::{PasskeyRow, User, UserState};
use uuid::Uuid;
use webauthn_rs::prelude::{DiscoverableAuthentication, Passkey, PublicKeyCredential, WebauthnError};

use super::challenge::{self, Purpose};
use super::register::{descriptors, handle};
use super::{Asked, EXPIRED, UNREADABLE};
use crate::context::Context;
use crate::error::WebError;
use crate::form::Complaints;
use crate::sign_in::session;
use crate::sign_in::throttle::Try;
use crate::state::App;

/// Says nothing about which of the two it is.
const UNKNOWN: &str = "this passkey is not known here, or was removed: sign in another way";
/// A counter that did not grow: law 11, what could be somebody else's grants nothing.
const COPIED: &str =
    "this passkey may have been copied: its counter went back. Remove it in Your account, and register anew";

/// Asks for an answer by one of the user's passkeys, or by whichever the device has for this server.
///
/// # Errors
/// [`WebError::Conflict`] where passkeys cannot be used at this address.
pub(super) async fn begin(app: &App, purpose: &Purpose, user: Option<&User>) -> Result<Asked, WebError> {
    let rules = app.passkeys.rules()?;
    let (options, state) = rules.start_discoverable_authentication().map_err(WebError::internal)?;
    let mut options = serde_json::to_value(options).map_err(WebError::internal)?;
    // The library means this for the field of a form; our page has a button.
    if let Some(fields) = options.as_object_mut() {
        fields.remove("mediation");
    }
    if let Some(user) = user {
        options["publicKey"]["allowCredentials"] = descriptors(&app.store.passkeys_of(&user.id).await?);
    }
    Ok(Asked { options, sealed: challenge::keep(app, purpose, state)? })
}

fn refused(why: &str) -> WebError {
    WebError::Invalid(Complaints::one("passkey", why).into_fields())
}

/// Checks an answer, and says whose it is: the device has verified its user. `wanted` is whose it has to be; without, it
/// is whose the passkey says.
///
/// # Errors
/// [`WebError::Invalid`] where it does not count, [`WebError::TooMany`] where it was tried too often.
pub(super) async fn finish(
    app: &App,
    context: &Context,
    headers: &HeaderMap,
    purpose: &Purpose,
    wanted: Option<User>,
    answer: &str,
) -> Result<User, WebError> {
    app.passkeys.rules()?;
    let answer: PublicKeyCredential = serde_json::from_str(answer).map_err(|_| refused(UNREADABLE))?;
    let claimed = answer.get_user_unique_id().and_then(|bytes| Uuid::from_slice(bytes).ok());
    let user = match (wanted, claimed) {
        (Some(wanted), claimed) if claimed.is_none() || claimed == Some(handle(&wanted)?) => Some(wanted),
        (None, Some(claimed)) => app.store.user(&claimed.to_string()).await?,
        _ => None,
    };
    let user = user.filter(|user| user.state == UserState::Active);
    let known = match &user {
        Some(user) => session::known_browser(app, headers, &user.id).await?,
        None => None,
    };
    let who = user.as_ref().map_or("nobody", |user| user.id.as_str());
    let tried = Try::begin(app, "passkey", who, &context.source, known.as_deref()).await?;
    let outcome = match &user {
        Some(user) => verified(app, headers, purpose, user, &answer).await?,
        None => Err(UNKNOWN),
    };
    match (user, outcome) {
        (Some(user), Ok(())) => {
            tried.succeeded(app).await?;
            Ok(user)
        }
        (user, outcome) => {
            let source = context.source.0.to_string();
            let (id, mail) = user.map(|user| (user.id, user.mail)).unzip();
            let mail = mail.unwrap_or_default();
            app.store.record_failed_sign_in(id.as_deref(), &mail, &source, "passkey", app.now()).await?;
            Err(refused(outcome.err().unwrap_or(UNKNOWN)))
        }
    }
}

/// Whether one of the user's passkeys has answered the browser's challenge; notes its new counter.
async fn verified(
    app: &App,
    headers: &HeaderMap,
    purpose: &Purpose,
    user: &User,
    answer: &PublicKeyCredential,
) -> Result<Result<(), &'static str>, WebError> {
    let Some(state) = challenge::take::<DiscoverableAuthentication>(app, headers, purpose).await? else {
        return Ok(Err(EXPIRED));
    };
    let credential = URL_SAFE_NO_PAD.encode(&answer.raw_id);
    let Some(before) = passkey(app, user, &credential).await? else { return Ok(Err(UNKNOWN)) };
    let mut passkey: Passkey = serde_json::from_str(&before.body).map_err(WebError::internal)?;
    let result = match app.passkeys.rules()?.finish_discoverable_authentication_v2(answer, state, &passkey) {
        Ok(result) => result,
        Err(WebauthnError::CredentialPossibleCompromise) => {
            tracing::warn!(
                user = user.id,
                credential,
                "the counter of a passkey went back: it may be copied"
            );
            return Ok(Err(COPIED));
        }
        Err(error) => {
            tracing::warn!(user = user.id, %error, "a passkey's answer was refused");
            return Ok(Err(UNKNOWN));
        }
    };
    passkey.update_credential(&result);
    let body = serde_json::to_string(&passkey).map_err(WebError::internal)?;
    let counts = app.store.use_passkey(&before, &body, app.now()).await?;
    Ok(if counts { Ok(()) } else { Err(EXPIRED) })
}

async fn passkey(app: &App, user: &User, credential: &str) -> Result<Option<PasskeyRow>, WebError> {
    let known = app.store.passkeys_of(&user.id).await?;
    Ok(known.into_iter().find(|row| row.credential == credential))
}
