//! Direct grants, as they were observed.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::Method;
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_model::id::{AccountKey, EntitlementName, EpochId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::document::Problems;
use super::{paging, system_name};
use crate::error::WebError;
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::call(Method::GET, "/api/v1/grants", Action::SeeSystem, || routes!(list))];

/// An account that holds an entitlement directly.
#[derive(Serialize, ToSchema)]
struct GrantRow {
    /// Where.
    system: String,
    /// What people call the account.
    account: String,
    /// The system's own stable key of it.
    account_key: String,
    /// What, as `kind/name`.
    entitlement: String,
    /// When it was first seen.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// From when the system lets it count.
    #[schema(value_type = Option<String>, format = DateTime)]
    valid_from: Option<Timestamp>,
    /// Until when the system lets it count.
    #[schema(value_type = Option<String>, format = DateTime)]
    valid_until: Option<Timestamp>,
    /// What the system keeps beside it, in its own words.
    options: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct GrantList {
    items: Vec<GrantRow>,
    /// The cursor of the following page.
    next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only of this system.
    system: Option<String>,
    /// Only of this account, by login or key.
    account: Option<String>,
    /// Rows on a page, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// From `next` of the page before.
    cursor: Option<String>,
}

#[utoipa::path(get, path = "/api/v1/grants", tag = "grants", params(ListQuery),
    responses((status = 200, description = "A page of direct grants, by system, account and entitlement", body = GrantList), Problems))]
/// Direct grants of the systems that you may see.
async fn list(
    State(app): State<App>,
    person: Person,
    Query(query): Query<ListQuery>,
) -> Result<Json<GrantList>, WebError> {
    let limit = paging::rows(query.limit)?;
    let after: Option<(String, AccountKey, EntitlementName)> = paging::after(query.cursor.as_deref())?;
    let view = app.view()?;
    let directory = app.directories.of(&view);
    let snapshot = &view.loaded().snapshot;
    let seen = app.systems_seen(&person, Action::SeeSystem);
    let place = |position: u32| {
        let row = &snapshot.accounts[position as usize];
        (snapshot.system(row.system), &row.account.key)
    };
    let from = match &after {
        None => 0,
        Some((system, account, _)) => {
            let system = system_name(system)?;
            directory.accounts.partition_point(|position| place(*position) < (&system, account))
        }
    };
    let mut items: Vec<GrantRow> = Vec::with_capacity(limit + 1);
    'accounts: for position in &directory.accounts[from..] {
        let row = &snapshot.accounts[*position as usize];
        let system = snapshot.system(row.system);
        let is_named = |name: &str| row.account.login == name || row.account.key.as_str() == name;
        if query.system.as_deref().is_some_and(|name| system.as_str() != name)
            || query.account.as_deref().is_some_and(|name| !is_named(name))
            || !seen.has(system)
        {
            continue;
        }
        let begin = snapshot.grants.partition_point(|grant| grant.account < *position);
        let own = snapshot.grants[begin..].iter().take_while(|grant| grant.account == *position);
        let mut own: Vec<(usize, &EntitlementName)> = (begin..)
            .zip(own)
            .map(|(at, grant)| (at, &snapshot.entitlements[grant.entitlement as usize].entitlement.name))
            .collect();
        own.sort_by(|a, b| a.1.cmp(b.1));
        for (at, entitlement) in own {
            let is_before = after.as_ref().is_some_and(|(after_system, account, name)| {
                (system.as_str(), &row.account.key, entitlement) <= (after_system.as_str(), account, name)
            });
            if is_before {
                continue;
            }
            let grant = &snapshot.grants[at];
            let place = u32::try_from(at).unwrap_or(u32::MAX);
            let validity = snapshot.validity.get(&place).copied().unwrap_or_default();
            items.push(GrantRow {
                system: system.to_string(),
                account: row.account.login.clone(),
                account_key: row.account.key.to_string(),
                entitlement: entitlement.to_string(),
                since: snapshot.ended_at(EpochId(i64::from(grant.since))),
                valid_from: validity.from,
                valid_until: validity.until,
                options: snapshot.options.get(&place).cloned(),
            });
            if items.len() > limit {
                break 'accounts;
            }
        }
    }
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items
        .last()
        .filter(|_| more)
        .map(|last| paging::cursor(&(&last.system, &last.account_key, &last.entitlement)));
    Ok(Json(GrantList { items, next }))
}
