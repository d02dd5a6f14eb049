//! Accounts, with what is known of their credentials.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_decide::correlate::Correlation;
use leasehold_decide::explain::explain_named_account;
use leasehold_decide::path::Carriers;
use leasehold_model::account::LastUse;
use leasehold_model::id::{AccountKey, SystemName};
use leasehold_model::request::AccountTarget;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::document::Problems;
use super::identities::{AccessRow, access_row};
use super::{paging, system_name, with_state};
use crate::error::WebError;
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/accounts", Action::SeeSystem, || routes!(list)),
    Route::call(Method::GET, "/api/v1/accounts/{system}/{account}/access", Action::SeeSystem, || {
        routes!(access)
    }),
];

/// An account, as plans and actions name it.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountRef {
    /// The system's own stable key.
    key: String,
    /// What people call it.
    login: String,
}

impl From<&AccountTarget> for AccountRef {
    fn from(target: &AccountTarget) -> Self {
        Self { key: target.key.to_string(), login: target.login.clone() }
    }
}

/// An account.
#[derive(Serialize, ToSchema)]
struct AccountRow {
    /// Where.
    system: String,
    /// What people call it.
    account: String,
    /// The system's own stable key.
    account_key: String,
    /// Whose it is; null where nobody's, or several match.
    identity: Option<String>,
    /// Whether it can be logged in to.
    enabled: bool,
    /// It was made, and its first credential opens it.
    awaits_credential: bool,
    /// Locked by the system.
    locked: bool,
    /// When the system itself ends its log-ins.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// `unknown`, `never`, or `at`.
    last_use: &'static str,
    /// When it was last used, where that is known.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// When its credential was last changed, where that is known.
    #[schema(value_type = Option<String>, format = DateTime)]
    credential_changed_at: Option<Timestamp>,
    /// Weaknesses that the system reports.
    posture: Vec<&'static str>,
}

#[derive(Serialize, ToSchema)]
struct AccountList {
    items: Vec<AccountRow>,
    /// The cursor of the following page.
    next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only of this system.
    system: Option<String>,
    /// Only of this identity, by its key.
    identity: Option<String>,
    /// Only those that belong to nobody.
    #[serde(default)]
    orphans: bool,
    /// Only those whose login or key contains this, in any case.
    q: Option<String>,
    /// Rows on a page, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// From `next` of the page before.
    cursor: Option<String>,
}

#[utoipa::path(get, path = "/api/v1/accounts", tag = "accounts", params(ListQuery),
    responses((status = 200, description = "A page of accounts, by system and key", body = AccountList), Problems))]
/// Accounts of the systems that you may see.
async fn list(
    State(app): State<App>,
    person: Person,
    Query(query): Query<ListQuery>,
) -> Result<Json<AccountList>, WebError> {
    let limit = paging::rows(query.limit)?;
    let after: Option<(String, String)> = paging::after(query.cursor.as_deref())?;
    let view = app.view()?;
    let directory = app.directories.of(&view);
    let (evaluation, snapshot) = (view.evaluation(), &view.loaded().snapshot);
    let seen = app.systems_seen(&person, Action::SeeSystem);
    let needle = query.q.as_deref().map(str::to_lowercase).unwrap_or_default();
    let of = query.identity.as_deref().map(|key| key.trim().to_lowercase());
    let owner = |position: u32| match &evaluation.correlation[position as usize] {
        Correlation::To { identity, .. } => Some(&evaluation.identities[*identity as usize].key),
        _ => None,
    };
    let wanted = |position: &u32| {
        let row = &snapshot.accounts[*position as usize];
        let system = snapshot.system(row.system);
        query.system.as_deref().is_none_or(|name| system.as_str() == name)
            && of.as_deref().is_none_or(|key| owner(*position).is_some_and(|own| own.folded() == key))
            && (!query.orphans || owner(*position).is_none())
            && (needle.is_empty()
                || row.account.login.to_lowercase().contains(&needle)
                || row.account.key.as_str().to_lowercase().contains(&needle))
            && seen.has(system)
    };
    let key = |position: &u32| -> (&SystemName, &AccountKey) {
        let row = &snapshot.accounts[*position as usize];
        (snapshot.system(row.system), &row.account.key)
    };
    let after = match after {
        None => None,
        Some((system, account)) => Some((super::system_name(&system)?, AccountKey::from(account))),
    };
    let after = after.as_ref().map(|(system, account)| (system, account));
    let (found, next) = paging::page(&directory.accounts, limit, after, key, wanted);
    let items = found.into_iter().map(|position| {
        let row = &snapshot.accounts[*position as usize];
        let account = &row.account;
        let (last_use, last_used_at) = match account.last_use {
            LastUse::Unknown => ("unknown", None),
            LastUse::Never => ("never", None),
            LastUse::At(at) => ("at", Some(at)),
        };
        AccountRow {
            system: snapshot.system(row.system).to_string(),
            account: account.login.clone(),
            account_key: account.key.to_string(),
            identity: owner(*position).map(ToString::to_string),
            enabled: account.enabled,
            awaits_credential: account.awaits_credential,
            locked: account.locked,
            expires_at: account.expires_at,
            last_use,
            last_used_at,
            credential_changed_at: account.credential_changed_at,
            posture: account.posture.iter().map(|finding| finding.as_str()).collect(),
        }
    });
    Ok(Json(AccountList { items: items.collect(), next }))
}

#[derive(Serialize, ToSchema)]
struct AccountAccess {
    system: String,
    account: String,
    /// The instant that this was so.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    items: Vec<AccessRow>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AccessQuery {
    /// As it stood then.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

#[utoipa::path(get, path = "/api/v1/accounts/{system}/{account}/access", tag = "accounts",
    params(("system" = String, Path, description = "Its system"), ("account" = String, Path, description = "Its login or key"), AccessQuery),
    responses((status = 200, description = "What it holds", body = AccountAccess), Problems))]
/// Everything that an account effectively holds, why, and by which paths: what `leasehold explain SYSTEM:LOGIN` says.
async fn access(
    State(app): State<App>,
    person: Person,
    Path((system, account)): Path<(String, String)>,
    Query(query): Query<AccessQuery>,
) -> Result<Json<AccountAccess>, WebError> {
    let name = system_name(&system)?;
    let what = format!("the account `{account}` of system `{system}`");
    person.require_seen(&app, Action::SeeSystem, &app.resource_of_system(&name), || what.clone())?;
    let found = with_state(&app, query.at, move |view| {
        let items = explain_named_account(view.evaluation(), &system, &account, Carriers::PATHS_MAX);
        let items = items.ok_or(WebError::NotFound(what))?.into_iter().map(access_row).collect();
        Ok(AccountAccess { system, account, at: view.as_of(), items })
    });
    found.await.map(Json)
}
