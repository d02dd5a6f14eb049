//! Reading a logout token: a JSON Web Token of the provider that can be mistaken for no other, and counts once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use leasehold_store::ProviderLogout;
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey as _, JwsSigningAlgorithm as _};
use serde::Deserialize;
use serde_json::Value;

use crate::error::WebError;
use crate::sign_in::openid::OpenIdSettings;
use crate::sign_in::openid::flow::SKEW;
use crate::sign_in::openid::provider::{self, ALGORITHMS};
use crate::state::App;

/// The member of `events` that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// A token that was made longer ago is not taken.
const LASTS: SignedDuration = SignedDuration::from_mins(5);
/// No provider's token is longer.
const BYTES_MAX: usize = 16 << 10;

#[derive(Deserialize)]
struct Header {
    alg: CoreJwsSigningAlgorithm,
    kid: Option<String>,
    typ: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Value,
    iat: i64,
    exp: Option<i64>,
    jti: String,
    sub: Option<String>,
    sid: Option<String>,
    #[serde(default)]
    events: serde_json::Map<String, Value>,
    nonce: Option<Value>,
}

/// Reads a token, and says whose sessions end by it.
///
/// # Errors
/// [`WebError::Malformed`] where it is not the provider's word.
pub(crate) async fn read(
    app: &App,
    settings: &OpenIdSettings,
    token: &str,
) -> Result<ProviderLogout, WebError> {
    let parts = Parts::of(token).ok_or_else(|| refused("it is not a signed token"))?;
    if let Some(typ) = &parts.header.typ {
        // Some providers write the general word; what is named as another kind of token is one.
        let typ = typ.to_ascii_lowercase();
        if !["logout+jwt", "application/logout+jwt", "jwt"].contains(&typ.as_str()) {
            return Err(refused("it is another kind of token"));
        }
    }
    if parts.header.crit.is_some() || !ALGORITHMS.contains(&parts.header.alg) {
        return Err(refused("it is signed in a way that is not taken"));
    }
    let provider = provider::reach(app).await?;
    if !parts.is_signed_by(&provider.keys) && !parts.is_signed_by(&provider::reach_again(app).await?.keys) {
        return Err(refused("its signature does not hold"));
    }
    logout(settings, parts.claims, app.now()).map_err(refused)
}

/// Judges claims whose signature holds.
fn logout(settings: &OpenIdSettings, claims: Claims, now: Timestamp) -> Result<ProviderLogout, &'static str> {
    if claims.iss != settings.issuer {
        return Err("it is from another issuer");
    }
    let is_ours = match &claims.aud {
        Value::String(one) => *one == settings.client_id,
        Value::Array(all) => all.iter().any(|one| one.as_str() == Some(settings.client_id.as_str())),
        _ => false,
    };
    if !is_ours {
        return Err("it is meant for somebody else");
    }
    if claims.nonce.is_some() || !claims.events.get(EVENT).is_some_and(Value::is_object) {
        return Err("it is another kind of token");
    }
    let issued = Timestamp::from_second(claims.iat).map_err(|_| "its time makes no sense")?;
    let is_over = claims.exp.is_some_and(|second| second <= (now - SKEW).as_second());
    if issued > now + SKEW || issued < now - LASTS || is_over {
        return Err("it is not of this time");
    }
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (subject, session) = (given(claims.sub), given(claims.sid));
    if subject.is_none() && session.is_none() {
        return Err("it names nobody");
    }
    if claims.jti.is_empty() || claims.jti.len() > 1_000 {
        return Err("it has no usable name of its own");
    }
    // Later than that its age alone refuses it.
    let refused_until = issued + LASTS + SKEW;
    Ok(ProviderLogout { issuer: claims.iss, token_id: claims.jti, subject, session, refused_until })
}

/// A token in its parts, nothing of it believed yet.
struct Parts<'token> {
    header: Header,
    claims: Claims,
    message: &'token str,
    signature: Vec<u8>,
}

impl<'token> Parts<'token> {
    fn of(token: &'token str) -> Option<Self> {
        if token.len() > BYTES_MAX {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        Some(Self {
            header: serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?,
            claims: serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?,
            message,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    fn is_signed_by(&self, keys: &[CoreJsonWebKey]) -> bool {
        let kind = self.header.alg.key_type();
        keys.iter()
            .filter(|key| kind.as_ref() == Some(key.key_type()))
            .filter(|key| match (&self.header.kid, key.key_id()) {
                (Some(wanted), Some(id)) => wanted == id.as_str(),
                _ => true,
            })
            .any(|key| {
                key.verify_signature(&self.header.alg, self.message.as_bytes(), &self.signature).is_ok()
            })
    }
}

fn refused(why: &'static str) -> WebError {
    tracing::warn!(why, "a logout token was refused");
    WebError::Malformed(format!("this logout token is not taken: {why}"))
}
