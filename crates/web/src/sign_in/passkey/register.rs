//! Giving a user another passkey.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use leasehold_store::{PasskeyRow, User};
use serde_json::json;
use uuid::Uuid;
use webauthn_rs::prelude::{PasskeyRegistration, RegisterPublicKeyCredential};

use super::challenge::{self, Purpose};
use super::{Asked, EXPIRED, UNREADABLE};
use crate::error::WebError;
use crate::form::{Complaints, short_text};
use crate::state::App;

/// More than anybody has devices; what a browser is told of them stays small.
pub(crate) const PASSKEYS_MAX: usize = 20;

/// What devices know a user by: it says nothing about them, and never changes.
pub(super) fn handle(user: &User) -> Result<Uuid, WebError> {
    user.id.parse().map_err(WebError::internal)
}

/// Asks a device of the user for another passkey.
///
/// # Errors
/// [`WebError::Conflict`] where passkeys cannot be used at this address, or there are too many.
pub(crate) async fn begin_registration(app: &App, user: &User, session: &str) -> Result<Asked, WebError> {
    let rules = app.passkeys.rules()?;
    let known = app.store.passkeys_of(&user.id).await?;
    if known.len() >= PASSKEYS_MAX {
        return Err(WebError::Conflict(format!(
            "there are {PASSKEYS_MAX} passkeys already: remove one first"
        )));
    }
    let (options, state) = rules
        .start_passkey_registration(handle(user)?, &user.mail, &user.name, None)
        .map_err(WebError::internal)?;
    let mut options = serde_json::to_value(options).map_err(WebError::internal)?;
    // Only what a device finds by itself can sign in without a mail address being typed.
    options["publicKey"]["authenticatorSelection"]["residentKey"] = json!("required");
    options["publicKey"]["authenticatorSelection"]["requireResidentKey"] = json!(true);
    options["publicKey"]["excludeCredentials"] = descriptors(&known);
    let purpose = Purpose::Register { session: session.to_owned() };
    Ok(Asked { options, sealed: challenge::keep(app, &purpose, state)? })
}

/// Passkeys as browsers are told of them.
pub(super) fn descriptors(passkeys: &[PasskeyRow]) -> serde_json::Value {
    passkeys.iter().map(|row| json!({ "type": "public-key", "id": row.credential })).collect()
}

/// Keeps the passkey that the device has made, under the name that its user gives it.
///
/// # Errors
/// [`WebError::Invalid`] with what is wrong with the field `name` or `passkey`.
pub(crate) async fn finish_registration(
    app: &App,
    headers: &HeaderMap,
    user: &User,
    session: &str,
    name: &str,
    answer: &str,
) -> Result<(), WebError> {
    let rules = app.passkeys.rules()?;
    let mut wrong = Complaints::default();
    let name = short_text(name, "name", &mut wrong).to_owned();
    let answer: Option<RegisterPublicKeyCredential> = serde_json::from_str(answer).ok();
    if answer.is_none() {
        wrong.add("passkey", UNREADABLE);
    }
    let (Some(answer), true) = (answer, wrong.is_empty()) else {
        return Err(WebError::Invalid(wrong.into_fields()));
    };
    let refused = |why: &str| WebError::Invalid(Complaints::one("passkey", why).into_fields());
    let purpose = Purpose::Register { session: session.to_owned() };
    let state: PasskeyRegistration =
        challenge::take(app, headers, &purpose).await?.ok_or_else(|| refused(EXPIRED))?;
    let passkey = rules.finish_passkey_registration(&answer, &state).map_err(|error| {
        tracing::warn!(user = user.id, %error, "a passkey was not taken");
        refused("the device's answer does not fit what was asked: try again, or use another device")
    })?;
    let row = PasskeyRow {
        credential: URL_SAFE_NO_PAD.encode(passkey.cred_id()),
        user: user.id.clone(),
        name,
        body: serde_json::to_string(&passkey).map_err(WebError::internal)?,
        created_at: app.now(),
        last_used_at: None,
    };
    if app.store.add_passkey(&row, &user.mail, app.now()).await? {
        Ok(())
    } else {
        Err(refused("this passkey is known here already"))
    }
}
