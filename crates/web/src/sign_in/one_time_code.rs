//! One-time codes by time (RFC 6238) as a second factor, and recovery codes for when the device is lost.

use leasehold_store::User;
use totp_rs::{Builder, Secret, Totp};

use crate::error::WebError;
use crate::security::secret_hash;
use crate::state::App;

const SEALED_FOR: &str = "one-time code";
/// How many recovery codes there are.
const RECOVERY_CODES: usize = 10;

/// A secret that a device can be given.
pub(crate) struct Proposal {
    /// For typing.
    pub secret: String,
    /// For a link or a picture.
    pub address: String,
}

fn generator(secret: &[u8], mail: &str) -> Result<Totp, WebError> {
    // A colon parts issuer and account in the address.
    let name = mail.replace(':', " ");
    // SHA-1, six digits, thirty seconds, one step early or late: what every device can do.
    Builder::new()
        .with_secret(secret.to_vec())
        .with_account_name(name)
        .with_issuer(Some("Leasehold"))
        .build()
        .map_err(WebError::internal)
}

/// Whether one-time codes are asked for when this user signs in.
///
/// # Errors
/// Where the store fails.
pub(crate) async fn is_set_up(app: &App, user: &str) -> Result<bool, WebError> {
    Ok(app.store.one_time_code(user).await?.is_some_and(|code| code.confirmed_at.is_some()))
}

/// Makes a secret that counts once the user has shown a right code.
///
/// # Errors
/// [`WebError::Conflict`] where codes are asked for already.
pub(crate) async fn propose(app: &App, user: &str, mail: &str) -> Result<Proposal, WebError> {
    let known = app.store.one_time_code(user).await?;
    let secret: Vec<u8> = match known {
        Some(code) if code.confirmed_at.is_some() => {
            return Err(WebError::Conflict(
                "one-time codes are set up already: remove them first".to_owned(),
            ));
        }
        // Shown again, it stays the same: the device may have it by now.
        Some(code) => open(app, user, &code.sealed_secret)?,
        None => {
            let mut bytes = [0_u8; 20];
            getrandom::fill(&mut bytes).map_err(WebError::internal)?;
            let sealed = app.settings.seal_key.seal(&purpose(user), &bytes.to_vec())?;
            app.store.propose_one_time_code(user, &sealed).await?;
            bytes.to_vec()
        }
    };
    let totp = generator(&secret, mail)?;
    let text = Secret::from(secret).to_base32();
    Ok(Proposal { secret: grouped(&text), address: totp.to_url().map_err(WebError::internal)? })
}

/// Has the proposed secret count, where the code is right; gives the recovery codes, which are shown once.
///
/// # Errors
/// Where the store fails.
pub(crate) async fn confirm(
    app: &App,
    user: &str,
    mail: &str,
    code: &str,
) -> Result<Option<Vec<String>>, WebError> {
    let Some(known) = app.store.one_time_code(user).await? else { return Ok(None) };
    let secret = open(app, user, &known.sealed_secret)?;
    let Some(step) = step_of(app, &secret, mail, code)? else { return Ok(None) };
    let mut codes = Vec::with_capacity(RECOVERY_CODES);
    for _ in 0..RECOVERY_CODES {
        codes.push(recovery_code()?);
    }
    let hashes: Vec<String> = codes.iter().map(|code| recovery_hash(user, code)).collect();
    let done = app.store.confirm_one_time_code(user, step, &hashes, mail, app.now()).await?;
    Ok(done.then_some(codes))
}

/// Whether this is a right code that was not used before, or a recovery code that was not; uses it up.
///
/// # Errors
/// Where the store fails.
pub(crate) async fn check(app: &App, user: &User, code: &str) -> Result<bool, WebError> {
    let Some(known) = app.store.one_time_code(&user.id).await? else { return Ok(false) };
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let secret = open(app, &user.id, &known.sealed_secret)?;
        return match step_of(app, &secret, &user.mail, &digits)? {
            Some(step) => Ok(app.store.use_one_time_code(&user.id, step).await?),
            None => Ok(false),
        };
    }
    Ok(app.store.use_recovery_code(&user.id, &recovery_hash(&user.id, code), app.now()).await?)
}

fn step_of(app: &App, secret: &[u8], mail: &str, code: &str) -> Result<Option<u64>, WebError> {
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let second = u64::try_from(app.now().as_second()).unwrap_or(0);
    Ok(generator(secret, mail)?.check(&digits, second))
}

fn purpose(user: &str) -> String {
    format!("{SEALED_FOR}:{user}")
}

fn open(app: &App, user: &str, sealed: &str) -> Result<Vec<u8>, WebError> {
    app.settings.seal_key.open(&purpose(user), sealed).ok_or_else(|| {
        WebError::internal(
            "a one-time code's secret was sealed with another key: restore the server's key file",
        )
    })
}

/// Letters and digits that are not mistaken for each other: 75 bits, so that a plain hash of them is enough.
fn recovery_code() -> Result<String, WebError> {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let mut bytes = [0_u8; 15];
    getrandom::fill(&mut bytes).map_err(WebError::internal)?;
    let letters: String = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte & 31)])).collect();
    Ok(format!("{}-{}-{}", &letters[..5], &letters[5..10], &letters[10..]))
}

/// What is stored of a recovery code: of one user, in small letters, however it was parted.
fn recovery_hash(user: &str, code: &str) -> String {
    let letters: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    secret_hash(&format!("recovery:{user}:{}", letters.to_lowercase()))
}

/// In groups of four, for whoever types it.
fn grouped(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}
