//! Sessions and tokens: begun at a sign-in, and shown with every request.

use std::sync::Arc;

use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use leasehold_decide::authority::{Principal, Role};
use leasehold_model::id::SystemName;
use leasehold_store::{ApiToken, NewSession, ProviderSession, User};

use crate::context::Context;
use crate::directory;
use crate::error::WebError;
use crate::person::{Person, SessionInUse, Via};
use crate::security::{self, Cookie, FormSecret, hex_text, secret_digest, secret_hash, secret_text};
use crate::sign_in::recent_tokens::AsOf;
use crate::sign_in::scope::Scope;
use crate::state::App;

/// A session that is not used for this long has ended.
pub(crate) const IDLE: SignedDuration = SignedDuration::from_hours(1);
/// A session ends after this long however much it is used.
pub(crate) const LASTING: SignedDuration = SignedDuration::from_hours(24);
/// What every API token begins with, so that people and scanners know one when they see it.
pub(crate) const TOKEN_PREFIX: &str = "lh_";
/// Use is noted to this precision: a write for each request would be the larger part of it.
pub(crate) const NOTED: SignedDuration = SignedDuration::from_mins(1);

/// Finds out who asks, from a bearer token or a session.
///
/// # Errors
/// [`WebError::BadToken`] where a token was shown that is not in force.
pub(crate) async fn identify(
    app: &App,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<Arc<Person>>, WebError> {
    let now = app.now();
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let text = value.to_str().ok().and_then(|text| text.split_once(' '));
        let Some((_, token)) = text.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) else {
            return Err(WebError::BadToken);
        };
        return by_token(app, method, token.trim(), now).await.map(Some);
    }
    let Some(secret) = security::cookie(headers, &app.settings, &Cookie::SESSION) else { return Ok(None) };
    let used_after = now - IDLE;
    let Some(in_use) = app.store.session_in_use(&secret_hash(&secret), used_after, now).await? else {
        return Ok(None);
    };
    let session = in_use.session;
    if now.duration_since(session.last_used_at) >= NOTED {
        app.store.touch_session(&session.id, now).await?;
    }
    let via = Via::Session(SessionInUse {
        id: session.id,
        confirmed_at: session.confirmed_at,
        form_secret: FormSecret::of_session(&secret),
    });
    Ok(Some(Arc::new(person(app, in_use.user, via))))
}

async fn by_token(app: &App, method: &Method, token: &str, now: Timestamp) -> Result<Arc<Person>, WebError> {
    if !token.starts_with(TOKEN_PREFIX) {
        return Err(WebError::BadToken);
    }
    let digest = secret_digest(token);
    let as_of = AsOf::now(app);
    if let Some(known) = app.recent_tokens.get(&digest, as_of, now).filter(|_| *method == Method::GET) {
        return Ok(known);
    }
    let hash = hex_text(&digest);
    let (token, owner) = app.store.token_in_use(&hash, now).await?.ok_or(WebError::BadToken)?;
    if token.last_used_at.is_none_or(|last| now.duration_since(last) >= NOTED) {
        app.store.touch_token(&token.id, now).await?;
    }
    let expires_at = token.expires_at;
    let person = Arc::new(of_token(app, owner, token));
    app.recent_tokens.put(digest, as_of, expires_at, person.clone());
    Ok(person)
}

/// Whoever shows a token of this owner.
pub(crate) fn of_token(app: &App, owner: User, token: ApiToken) -> Person {
    let via = Via::Token {
        scopes: token.scopes.iter().filter_map(|name| Scope::parse(name)).collect(),
        system: token.system.and_then(|name| SystemName::new(name).ok()),
        owner_version: owner.version,
        id: token.id,
    };
    person(app, owner, via)
}

fn person(app: &App, user: User, via: Via) -> Person {
    let (identity, mut roles) = directory::standing(app, &user.mail);
    roles.extend(user.roles.iter().chain(&user.provider_roles).filter_map(|name| Role::assigned(name)));
    let principal = Principal { user: user.id, mail: user.mail.clone(), roles, identity };
    Person { name: user.name, mail: user.mail, principal, via }
}

/// How somebody showed that it is them.
pub(crate) struct Shown {
    /// In which way.
    pub(crate) method: &'static str,
    /// The provider's session that this one follows and ends with.
    pub(crate) provider: Option<ProviderSession>,
    /// When.
    pub(crate) confirmed_at: Timestamp,
}

/// Begins a session for a user who has shown just now that it is them.
///
/// # Errors
/// As [`begin_shown`].
pub(crate) async fn begin(
    app: &App,
    context: &Context,
    headers: &HeaderMap,
    user: &User,
    method: &'static str,
    response: &mut Response,
) -> Result<(), WebError> {
    let shown = Shown { method, provider: None, confirmed_at: app.now() };
    begin_shown(app, context, headers, user, shown, response).await
}

/// Begins a session for a user who has shown that it is them, and gives its secret to the browser. The session that the
/// browser had before ends, so that nobody can have planted it.
///
/// # Errors
/// Where the store fails, or the user is suspended.
pub(crate) async fn begin_shown(
    app: &App,
    context: &Context,
    headers: &HeaderMap,
    user: &User,
    shown: Shown,
    response: &mut Response,
) -> Result<(), WebError> {
    let now = app.now();
    let secret = secret_text()?;
    let browser = headers.get(header::USER_AGENT).and_then(|text| text.to_str().ok()).unwrap_or_default();
    // Whoever comes back from a provider does not show which browser it is, and needs no protection from guessing.
    let is_here = shown.provider.is_none();
    let new = NewSession {
        token_hash: secret_hash(&secret),
        user: user.id.clone(),
        expires_at: now + LASTING,
        confirmed_at: shown.confirmed_at,
        source: context.source.0.to_string(),
        browser: browser.chars().take(300).collect(),
        method: shown.method.to_owned(),
        provider: shown.provider,
    };
    let before = context.person.as_ref().and_then(|person| match &person.via {
        Via::Session(session) => Some(session.id.clone()),
        Via::Token { .. } => None,
    });
    app.store.begin_session(&new, before.as_deref(), now).await?;
    security::remember(response.headers_mut(), &app.settings, &Cookie::SESSION, &secret);
    security::forget(response.headers_mut(), &app.settings, &Cookie::PENDING);
    if is_here {
        let known = match security::cookie(headers, &app.settings, &Cookie::KNOWN) {
            Some(known) if known.len() <= 64 => known,
            _ => secret_text()?,
        };
        app.store.remember_browser(&secret_hash(&known), &user.id, now).await?;
        security::remember(response.headers_mut(), &app.settings, &Cookie::KNOWN, &known);
    }
    Ok(())
}

/// Notes that a session's user showed again that it is them, and gives the browser a new secret for it.
///
/// # Errors
/// Where the store fails, or the session has ended.
pub(crate) async fn confirm(
    app: &App,
    person: &Person,
    method: &str,
    response: &mut Response,
) -> Result<(), WebError> {
    let Via::Session(session) = &person.via else { return Err(WebError::SignedOut) };
    let secret = secret_text()?;
    if !app
        .store
        .confirm_session(&session.id, person.user(), &secret_hash(&secret), method, app.now())
        .await?
    {
        return Err(WebError::SignedOut);
    }
    security::remember(response.headers_mut(), &app.settings, &Cookie::SESSION, &secret);
    Ok(())
}

/// The hash of the browser, where this user signed in with it before.
///
/// # Errors
/// Where the store fails.
pub(crate) async fn known_browser(
    app: &App,
    headers: &HeaderMap,
    user: &str,
) -> Result<Option<String>, WebError> {
    let Some(known) = security::cookie(headers, &app.settings, &Cookie::KNOWN) else { return Ok(None) };
    let hash = secret_hash(&known);
    Ok(app.store.is_known_browser(&hash, user).await?.then_some(hash))
}
