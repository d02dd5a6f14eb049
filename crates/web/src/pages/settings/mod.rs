//! Settings: how this installation is set up, who may sign in, and with what. What stands in files is shown, with where.

pub(crate) mod sessions;
pub(crate) mod tokens;
pub(crate) mod user;
pub(crate) mod users;

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use leasehold_decide::authority::{Action, Resource};
use leasehold_store::{User, UserState};

use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::pages::systems::{enforce_words, interval};
use crate::parts::moment::duration;
use crate::parts::{Link, count};
use crate::person::{Person, STEP_UP};
use crate::route::{Access, Route};
use crate::sign_in::passkey::Offer;
use crate::sign_in::{password, session};
use crate::state::App;

const SEE: Access = Access::Needs(Action::SeeSettings);
const ADMINISTER: Access = Access::Needs(Action::AdministerUsers);

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[Route::page(Method::GET, "/settings", SEE, || get(show))];

#[derive(Template)]
#[template(path = "settings/page.html")]
struct SettingsPage {
    frame: Frame,
    tabs: Vec<Tab>,
    users: String,
    /// How many may not, where there are any.
    suspended: Option<usize>,
    administrators: Vec<(String, String)>,
    tokens: String,
    sessions: String,
    address: String,
    is_https: bool,
    proxies: String,
    password_alone: usize,
    password_beside: usize,
    passkeys: Offer,
    openid: Option<Provider>,
    idle: String,
    lasting: String,
    step_up: String,
    systems: Vec<SystemRow>,
    sees_authority: bool,
}

/// A place within Settings.
struct Tab {
    href: &'static str,
    label: &'static str,
    current: bool,
}

/// The places within Settings, with the one where somebody is.
fn tabs(current: &str) -> Vec<Tab> {
    let places = [
        ("/settings", "This installation"),
        ("/settings/users", "Users"),
        ("/settings/sessions", "Sessions"),
        ("/settings/tokens", "API tokens"),
    ];
    places.into_iter().map(|(href, label)| Tab { href, label, current: href == current }).collect()
}

/// The OpenID provider, as it is configured.
struct Provider {
    name: String,
    issuer: String,
    client_id: String,
    scopes: String,
    groups_claim: String,
    /// Which group gives which role.
    roles: Vec<(String, &'static str)>,
}

/// What may be done about a system's drift.
struct SystemRow {
    system: Link,
    connector: String,
    interval: String,
    enforce: String,
}

/// Refuses who may not see how the installation is set up.
fn require_seen(app: &App, person: &Person) -> Result<(), WebError> {
    person.require(app, Action::SeeSettings, &Resource::Installation)
}

/// Whether changes are offered, or only shown.
fn may_administer(app: &App, person: &Person) -> bool {
    person.may(app, Action::AdministerUsers, &Resource::Installation)
}

/// Mail addresses by user.
async fn mails(app: &App) -> Result<BTreeMap<String, String>, WebError> {
    let users = app.store.users().await?;
    Ok(users.into_iter().map(|user| (user.id, user.mail)).collect())
}

/// The page of a user.
fn user_path(id: &str) -> String {
    format!("/settings/users/{}", crate::parts::query::segment(id))
}

async fn show(State(app): State<App>, person: Person, frame: Frame) -> Result<Response, WebError> {
    require_seen(&app, &person)?;
    let now = app.now();
    let users = app.store.users().await?;
    let suspended = users.iter().filter(|user| user.state == UserState::Suspended).count();
    let tokens = app.store.tokens(None).await?;
    let tokens = tokens.iter().filter(|token| token.revoked_at.is_none() && token.expires_at > now).count();
    let sessions = app.store.sessions(None, now - session::IDLE, now).await?.len();
    let seen = app.systems_seen(&person, Action::SeeSystem);
    let systems = app.driver.systems().into_iter().filter(|face| seen.has(&face.name));
    let proxies: Vec<String> = app.settings.trusted_proxies.iter().map(ToString::to_string).collect();
    let page = SettingsPage {
        frame: frame.titled("Settings"),
        tabs: tabs("/settings"),
        suspended: Some(suspended).filter(|number| *number > 0),
        administrators: users.iter().filter(|user| administers(user)).map(named).collect(),
        users: count(users.len(), "user"),
        tokens: count(tokens, "token"),
        sessions: count(sessions, "session"),
        address: app.settings.url.as_str().trim_end_matches('/').to_owned(),
        is_https: app.settings.is_https(),
        proxies: proxies.join(", "),
        password_alone: password::ALONE_CHARS_MIN,
        password_beside: password::BESIDE_CHARS_MIN,
        passkeys: Offer::of(&app),
        openid: app.settings.openid.as_ref().map(|openid| Provider {
            name: openid.name.clone(),
            issuer: openid.issuer.clone(),
            client_id: openid.client_id.clone(),
            scopes: openid.scopes.join(", "),
            groups_claim: openid.groups_claim.clone(),
            roles: openid.roles.iter().map(|(group, role)| (group.clone(), role.name())).collect(),
        }),
        sees_authority: person.may_somewhere(&app, Action::SeePolicy),
        idle: duration(session::IDLE.as_secs()),
        lasting: duration(session::LASTING.as_secs()),
        step_up: duration(STEP_UP.as_secs()),
        systems: systems
            .map(|face| SystemRow {
                system: Link::system(&face.name),
                connector: face.connector_kind.clone(),
                interval: interval(face.interval_ms),
                enforce: enforce_words(&face.enforce),
            })
            .collect(),
    };
    frame::show(&page)
}

fn administers(user: &User) -> bool {
    let mut roles = user.roles.iter().chain(&user.provider_roles);
    user.state == UserState::Active && roles.any(|role| role == "administrator")
}

fn named(user: &User) -> (String, String) {
    (user_path(&user.id), user.mail.clone())
}
