//! Taking a passkey away, but not the last way to sign in.

use leasehold_store::User;

use crate::error::WebError;
use crate::sign_in::password::ALONE_CHARS_MIN;
use crate::sign_in::second_factor::SecondFactors;
use crate::state::App;

/// Takes a passkey of a user away; `false` where there is none such.
///
/// # Errors
/// [`WebError::Conflict`] where it is needed to sign in.
pub(crate) async fn remove(app: &App, user: &User, credential: &str, by: &str) -> Result<bool, WebError> {
    let known = app.store.passkeys_of(&user.id).await?;
    if !known.iter().any(|row| row.credential == credential) {
        return Ok(false);
    }
    let code = SecondFactors::of(app, &user.id).await?.code;
    let left = SecondFactors { code, passkeys: known.len() - 1 };
    if user.password_hash.is_none() {
        let by_provider = app.settings.openid.is_some() && app.store.has_provider(&user.id).await?;
        if !left.passkey() && !by_provider {
            let why =
                "this passkey is the only way to sign in: set a password, or register another passkey first";
            return Err(WebError::Conflict(why.to_owned()));
        }
    } else if !left.any() && !user.password_alone {
        return Err(WebError::Conflict(format!(
            "the password is too short to be the only factor: change it to one of at least {ALONE_CHARS_MIN} \
             characters, or register another passkey first"
        )));
    }
    Ok(app.store.remove_passkey(credential, &user.id, by, app.now()).await?)
}
