//! Entitlements, and who holds one.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_decide::explain::{WhoHolds, who};
use leasehold_decide::path::Carriers;
use leasehold_model::id::{EntitlementAddress, EntitlementName, NameError, SystemName};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::document::Problems;
use super::{paging, system_name, with_state, wrong};
use crate::error::WebError;
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/entitlements", Action::SeeEntitlement, || routes!(list)),
    Route::call(Method::GET, "/api/v1/entitlements/{address}/holders", Action::SeeEntitlement, || {
        routes!(holders)
    }),
];

/// An entitlement.
#[derive(Serialize, ToSchema)]
struct EntitlementRow {
    /// `system:kind/name`.
    address: String,
    /// Where.
    system: String,
    /// What, as `kind/name`.
    entitlement: String,
    /// What people call it.
    title: Option<String>,
    /// It gives far-reaching rights.
    privileged: bool,
    /// Every account of its system has it.
    inherent: bool,
    /// Why it cannot be taken away, where it cannot.
    irrevocable: Option<String>,
    /// Who owns it, as its system says.
    owner: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct EntitlementList {
    items: Vec<EntitlementRow>,
    /// The cursor of the following page.
    next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only of this system.
    system: Option<String>,
    /// Only those whose name or title contains this, in any case.
    q: Option<String>,
    /// Rows on a page, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// From `next` of the page before.
    cursor: Option<String>,
}

#[utoipa::path(get, path = "/api/v1/entitlements", tag = "entitlements", params(ListQuery),
    responses((status = 200, description = "A page of entitlements, by system and name", body = EntitlementList), Problems))]
/// Entitlements that you may see.
async fn list(
    State(app): State<App>,
    person: Person,
    Query(query): Query<ListQuery>,
) -> Result<Json<EntitlementList>, WebError> {
    let limit = paging::rows(query.limit)?;
    let after: Option<(String, EntitlementName)> = paging::after(query.cursor.as_deref())?;
    let view = app.view()?;
    let directory = app.directories.of(&view);
    let snapshot = &view.loaded().snapshot;
    let everywhere = person.may_everywhere(&app, Action::SeeEntitlement);
    let needle = query.q.as_deref().map(str::to_lowercase).unwrap_or_default();
    let wanted = |position: &u32| {
        let row = &snapshot.entitlements[*position as usize];
        let system = snapshot.system(row.system);
        query.system.as_deref().is_none_or(|name| system.as_str() == name)
            && (needle.is_empty()
                || row.entitlement.name.to_string().to_lowercase().contains(&needle)
                || row
                    .entitlement
                    .title
                    .as_deref()
                    .is_some_and(|title| title.to_lowercase().contains(&needle)))
            && (everywhere || {
                let address =
                    EntitlementAddress { system: system.clone(), entitlement: row.entitlement.name.clone() };
                let owner = snapshot.entitlement_owners.get(position);
                person.may(&app, Action::SeeEntitlement, &app.resource_of_entitlement(&address, owner))
            })
    };
    let key = |position: &u32| -> (&SystemName, &EntitlementName) {
        let row = &snapshot.entitlements[*position as usize];
        (snapshot.system(row.system), &row.entitlement.name)
    };
    let after = match after {
        None => None,
        Some((system, name)) => Some((system_name(&system)?, name)),
    };
    let after = after.as_ref().map(|(system, name)| (system, name));
    let (found, next) = paging::page(&directory.entitlements, limit, after, key, wanted);
    let items = found.into_iter().map(|position| {
        let row = &snapshot.entitlements[*position as usize];
        let system = snapshot.system(row.system);
        EntitlementRow {
            address: format!("{system}:{}", row.entitlement.name),
            system: system.to_string(),
            entitlement: row.entitlement.name.to_string(),
            title: row.entitlement.title.clone(),
            privileged: row.entitlement.privileged,
            inherent: row.entitlement.inherent,
            irrevocable: row.entitlement.irrevocable.clone(),
            owner: snapshot.entitlement_owners.get(position).map(ToString::to_string),
        }
    });
    Ok(Json(EntitlementList { items: items.collect(), next }))
}

/// An account that effectively holds an entitlement.
#[derive(Serialize, ToSchema)]
struct HolderRow {
    /// Whose account it is, where known.
    identity: Option<String>,
    /// The account.
    account: String,
    /// Ways by which it is held: the account, the direct grant, … the entitlement.
    paths: Vec<Vec<String>>,
    /// There are more ways than are listed; `path_steps` tells them all.
    more_paths: bool,
    /// Where there are more: every step, from one entitlement to what it carries, that lies on a way.
    path_steps: Vec<[String; 2]>,
}

#[derive(Serialize, ToSchema)]
struct HolderList {
    entitlement: String,
    /// The instant that this was so.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    items: Vec<HolderRow>,
    /// How many there are on all pages.
    total: usize,
    /// The cursor of the following page.
    next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HoldersQuery {
    /// As it stood then.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// Rows on a page, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// From `next` of the page before.
    cursor: Option<String>,
}

fn holder_row(holder: &WhoHolds) -> HolderRow {
    let path = |path: &Vec<EntitlementName>| {
        std::iter::once(holder.login.clone()).chain(path.iter().map(ToString::to_string)).collect()
    };
    HolderRow {
        identity: holder.identity.as_ref().map(ToString::to_string),
        account: holder.login.clone(),
        paths: holder.paths.iter().map(path).collect(),
        more_paths: holder.more_paths,
        path_steps: holder.path_steps.iter().map(|(from, to)| [from.to_string(), to.to_string()]).collect(),
    }
}

#[utoipa::path(get, path = "/api/v1/entitlements/{address}/holders", tag = "entitlements",
    params(("address" = String, Path, description = "`system:kind/name`"), HoldersQuery),
    responses((status = 200, description = "A page of accounts that hold it", body = HolderList), Problems))]
/// Who effectively holds an entitlement, and by which paths: what `leasehold who` says.
async fn holders(
    State(app): State<App>,
    person: Person,
    Path(address): Path<String>,
    Query(query): Query<HoldersQuery>,
) -> Result<Json<HolderList>, WebError> {
    let limit = paging::rows(query.limit)?;
    let after: Option<(String, Option<String>)> = paging::after(query.cursor.as_deref())?;
    let address: EntitlementAddress =
        address.parse().map_err(|error: NameError| wrong("address", error.to_string()))?;
    let asked = app.clone();
    let found = with_state(&app, query.at, move |view| {
        let evaluation = view.evaluation();
        let snapshot = &view.loaded().snapshot;
        let what = || format!("the entitlement {address}");
        let index = evaluation.entitlement(&address).ok_or_else(|| WebError::NotFound(what()))?;
        let owner =
            u32::try_from(index.index()).ok().and_then(|index| snapshot.entitlement_owners.get(&index));
        let resource = asked.resource_of_entitlement(&address, owner);
        person.require_seen(&asked, Action::SeeEntitlement, &resource, what)?;
        let holders = who(evaluation, index, Carriers::PATHS_MAX);
        let key =
            |holder: &WhoHolds| (holder.login.clone(), holder.identity.as_ref().map(ToString::to_string));
        let (found, next) = paging::page(&holders, limit, after, key, |_| true);
        let items = found.into_iter().map(holder_row).collect();
        Ok(HolderList {
            entitlement: address.to_string(),
            at: view.as_of(),
            items,
            total: holders.len(),
            next,
        })
    });
    found.await.map(Json)
}
