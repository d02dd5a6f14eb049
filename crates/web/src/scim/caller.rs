//! Who pushes: a program with a token that is for one system.
//!
//! Whoever was looked up is remembered for a short time, so that thousands of requests in a second do not each ask the store.
//! That a token is still in force, and its owner as they were, is asked in the transaction of each request all the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use jiff::{SignedDuration, Timestamp};
use leasehold_decide::authority::Action;
use leasehold_model::id::SystemName;
use leasehold_store::{ApiToken, ScimAuthority, ScimPlace, User};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::WebError;
use crate::person::{Person, Via};
use crate::scim::error::ScimError;
use crate::scim::schema::ResourceType;
use crate::security::{hex_text, secret_digest};
use crate::sign_in::scope::Scope;
use crate::sign_in::session::{NOTED, TOKEN_PREFIX, of_token};
use crate::state::App;

/// What a token begins with that was given for a client's secret and does not last.
pub(super) const ACCESS_PREFIX: &str = "lha_";
const SEALED_FOR: &str = "scim access token";
/// For so long somebody is remembered.
const REMEMBERED: Duration = Duration::from_secs(30);
/// More are not remembered at once.
const CALLERS_MAX: usize = 1_000;

/// What an access token says.
#[derive(Serialize, Deserialize)]
struct Access {
    /// The API token that it was given for: where that ends, it ends.
    token: String,
    until: i64,
}

/// An access token that ends at an instant, for the holder of an API token.
pub(super) fn access_token(app: &App, token: &ApiToken, until: Timestamp) -> Result<String, WebError> {
    let access = Access { token: token.id.clone(), until: until.as_second() };
    Ok(format!("{ACCESS_PREFIX}{}", app.settings.seal_key.seal(SEALED_FOR, &access)?))
}

struct Remembered {
    person: Arc<Person>,
    until: Timestamp,
    since: Instant,
}

/// Who was looked up lately, by the digest of what they showed.
#[derive(Default)]
pub(crate) struct Callers(Mutex<HashMap<[u8; 32], Remembered>>);

impl Callers {
    fn get(&self, digest: &[u8; 32], now: Timestamp) -> Option<Arc<Person>> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = remembered.get(digest)?;
        (known.since.elapsed() < REMEMBERED && known.until > now).then(|| known.person.clone())
    }

    fn put(&self, digest: [u8; 32], person: Arc<Person>, until: Timestamp) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= CALLERS_MAX {
            remembered.clear();
        }
        remembered.insert(digest, Remembered { person, until, since: Instant::now() });
    }

    /// Forgets who showed a token: it has ended, or its owner has changed.
    fn forget(&self, token: &str) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.retain(|_, known| !matches!(&known.person.via, Via::Token { id, .. } if id == token));
    }
}

/// Finds out who pushes, from a bearer token. A browser's session counts for nothing here.
///
/// # Errors
/// [`WebError::BadToken`] where a token was shown that is not in force.
pub(crate) async fn identify(app: &App, headers: &HeaderMap) -> Result<Option<Arc<Person>>, WebError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().ok().and_then(|text| text.split_once(' '));
    let Some((scheme, shown)) = text else { return Err(WebError::BadToken) };
    // The endpoint for access tokens reads this itself.
    if scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(WebError::BadToken);
    }
    let (now, shown) = (app.now(), shown.trim());
    let digest = secret_digest(shown);
    if let Some(known) = app.pushers.get(&digest, now) {
        return Ok(Some(known));
    }
    // Each request has room for the steps that it may take: those of the few that get here would be most of it.
    Box::pin(looked_up(app, shown, digest, now)).await.map(Some)
}

/// Asks the store who has shown this.
async fn looked_up(
    app: &App,
    shown: &str,
    digest: [u8; 32],
    now: Timestamp,
) -> Result<Arc<Person>, WebError> {
    let (token, owner, until) = if let Some(sealed) = shown.strip_prefix(ACCESS_PREFIX) {
        let access: Access = app.settings.seal_key.open(SEALED_FOR, sealed).ok_or(WebError::BadToken)?;
        let until = Timestamp::from_second(access.until).map_err(|_| WebError::BadToken)?;
        if until <= now {
            return Err(WebError::BadToken);
        }
        let (token, owner) = app.store.token_by_id(&access.token, now).await?.ok_or(WebError::BadToken)?;
        (token, owner, until)
    } else if shown.starts_with(TOKEN_PREFIX) {
        let found = app.store.token_in_use(&hex_text(&digest), now).await?;
        let (token, owner) = found.ok_or(WebError::BadToken)?;
        let until = token.expires_at;
        (token, owner, until)
    } else {
        return Err(WebError::BadToken);
    };
    if token.last_used_at.is_none_or(|last| now.duration_since(last) >= NOTED) {
        app.store.touch_token(&token.id, now).await?;
    }
    let until = until.min(token.expires_at);
    let person = Arc::new(of_token(app, owner, token));
    app.pushers.put(digest, person.clone(), until);
    Ok(person)
}

/// How long an access token lasts.
pub(super) const ACCESS_LASTS: SignedDuration = SignedDuration::from_hours(1);

/// The API token and its owner, where this is its id and this its secret, and it is for pushing.
pub(super) async fn client(
    app: &App,
    id: &str,
    secret: &str,
    now: Timestamp,
) -> Result<Option<(ApiToken, User)>, WebError> {
    let found = app.store.token_in_use(&hex_text(&secret_digest(secret)), now).await?;
    Ok(found.filter(|(token, _)| {
        token.id == id
            && token.system.is_some()
            && token.scopes.iter().any(|scope| scope == Scope::Scim.name())
    }))
}

/// Who pushes, and into which system. An extractor.
#[derive(Clone)]
pub(crate) struct Caller {
    pub system: SystemName,
    authority: ScimAuthority,
}

impl Caller {
    /// By whose authority the store is asked.
    pub fn authority(&self) -> ScimAuthority {
        self.authority.clone()
    }

    /// Resources of a type in the caller's system.
    pub fn place(&self, known: &ResourceType) -> ScimPlace {
        let ResourceType { name: kind, has_members, member_of, .. } = *known;
        ScimPlace { system: self.system.to_string(), kind, has_members, member_of }
    }

    /// Who sends a request.
    ///
    /// # Errors
    /// Where they may not push.
    pub fn of_parts(app: &App, parts: &Parts) -> Result<Self, ScimError> {
        let context = parts.extensions.get::<Arc<Context>>();
        Self::of(app, context.and_then(|context| context.person.as_deref()).ok_or(WebError::SignedOut)?)
    }

    fn of(app: &App, person: &Person) -> Result<Self, ScimError> {
        let Via::Token { id, scopes, system, owner_version } = &person.via else {
            return Err(WebError::SignedOut.into());
        };
        let Some(system) = system.clone().filter(|_| scopes.contains(&Scope::Scim)) else {
            let why = "this token is for no system; make one with `leasehold token create --scope scim --system NAME`";
            return Err(ScimError::Forbidden(why.to_owned()));
        };
        if !app.driver.is_pushed(&system) {
            let why = format!(
                "`{system}` is no system that is pushed; connect it with `connector = \"scim_push\"`"
            );
            return Err(ScimError::Forbidden(why));
        }
        person.require(app, Action::PushIdentities, &app.resource_of_system(&system))?;
        let authority = ScimAuthority { token: id.clone(), owner_version: *owner_version };
        Ok(Self { system, authority })
    }

    /// The same caller as their token and its owner are now: the store found that they are not as they were.
    ///
    /// # Errors
    /// [`WebError::BadToken`] where the token is not in force any more.
    pub async fn renewed(&self, app: &App) -> Result<Self, ScimError> {
        app.pushers.forget(&self.authority.token);
        let found = Box::pin(app.store.token_by_id(&self.authority.token, app.now())).await?;
        let (token, owner) = found.ok_or(WebError::BadToken)?;
        Self::of(app, &of_token(app, owner, token))
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ScimError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ScimError> {
        Self::of_parts(app, parts)
    }
}
