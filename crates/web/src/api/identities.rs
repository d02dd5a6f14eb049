//! Identities, and what one holds and why.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_decide::explain::{Explained, explain};
use leasehold_decide::path::Carriers;
use leasehold_model::id::{EntitlementAddress, EntitlementName, IdentityKey};
use leasehold_model::identity::Identity;
use leasehold_model::snapshot::{Claimed, IdentityConflict};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::document::Problems;
use super::{paging, with_state, wrong};
use crate::error::WebError;
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/identities", Action::SeeIdentity, || routes!(list)),
    Route::call(Method::GET, "/api/v1/identities/{key}", Action::SeeIdentity, || routes!(one)),
    Route::call(Method::GET, "/api/v1/identities/{key}/access", Action::SeeIdentity, || routes!(access)),
];

/// An identity.
#[derive(Serialize, ToSchema)]
struct IdentityRow {
    /// Its primary key in the authoritative source.
    key: String,
    /// `person`, `service`, `workload` or `agent`.
    kind: &'static str,
    /// Where it stands: `pre_hire`, `active`, `on_leave`, `suspended`, `leaving`, `left` or `returned`, by what its source says, its
    /// dates, and whether it had left before.
    state: &'static str,
    /// The first instant at which access may be held.
    #[schema(value_type = Option<String>, format = DateTime)]
    start: Option<Timestamp>,
    /// The instant at which access ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    end: Option<Timestamp>,
    /// Whom it reports to.
    manager: Option<String>,
    /// Who answers for it.
    owner: Option<String>,
    /// Everything else that the source says.
    attributes: std::collections::BTreeMap<String, String>,
    /// Where several sources list it and disagree.
    conflicts: Vec<ConflictRow>,
    /// How much drift is about it.
    drift: usize,
}

/// That sources disagree about an identity.
#[derive(Serialize, ToSchema)]
struct ConflictRow {
    /// About what.
    attribute: String,
    /// What is believed.
    used: ClaimedRow,
    /// What others say instead.
    instead: Vec<ClaimedRow>,
}

/// What one source says.
#[derive(Serialize, ToSchema)]
struct ClaimedRow {
    system: String,
    value: String,
}

#[derive(Serialize, ToSchema)]
struct IdentityList {
    items: Vec<IdentityRow>,
    /// The cursor of the following page.
    next: Option<String>,
    /// The instant that decisions are for.
    #[schema(value_type = String, format = DateTime)]
    as_of: Timestamp,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only those whose key or an attribute contains this, in any case.
    q: Option<String>,
    /// Only this kind.
    kind: Option<String>,
    /// Only in this state.
    state: Option<String>,
    /// Only those about whom their sources disagree.
    #[serde(default)]
    conflicts: bool,
    /// Rows on a page, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// From `next` of the page before.
    cursor: Option<String>,
}

fn claimed(claimed: &Claimed) -> ClaimedRow {
    ClaimedRow { system: claimed.system.to_string(), value: claimed.value.clone() }
}

fn row(view: &leasehold_reconcile::live::View, identity: &Identity) -> IdentityRow {
    let index = view.evaluation().identity(&identity.key);
    let conflicts = index.map_or(&[][..], |index| view.loaded().snapshot.conflicts_of(index.0));
    let conflict = |conflict: &IdentityConflict| ConflictRow {
        attribute: conflict.attribute.clone(),
        used: claimed(&conflict.used),
        instead: conflict.instead.iter().map(claimed).collect(),
    };
    IdentityRow {
        key: identity.key.to_string(),
        kind: identity.kind.as_str(),
        state: view.loaded().snapshot.state_of(identity, view.as_of()).as_str(),
        start: identity.start,
        end: identity.end,
        manager: identity.manager.as_ref().map(ToString::to_string),
        owner: identity.owner.as_ref().map(ToString::to_string),
        attributes: identity.attributes.clone(),
        conflicts: conflicts.iter().map(conflict).collect(),
        drift: view.drift_of_identity(&identity.key).len(),
    }
}

#[utoipa::path(get, path = "/api/v1/identities", tag = "identities", params(ListQuery),
    responses((status = 200, description = "A page of identities, by key", body = IdentityList), Problems))]
/// Identities that you may see.
async fn list(
    State(app): State<App>,
    person: Person,
    Query(query): Query<ListQuery>,
) -> Result<Json<IdentityList>, WebError> {
    let limit = paging::rows(query.limit)?;
    let after: Option<String> = paging::after(query.cursor.as_deref())?;
    let view = app.view()?;
    let directory = app.directories.of(&view);
    let identities = &view.evaluation().identities;
    let everywhere = person.may_everywhere(&app, Action::SeeIdentity);
    let only_shipped = person.only_shipped(&app, Action::SeeIdentity);
    let own = person.identity().map(IdentityKey::folded).unwrap_or_default();
    let needle = query.q.as_deref().map(str::to_lowercase).unwrap_or_default();
    let is_own = |identity: &Identity| {
        identity.key.folded() == own
            || [&identity.manager, &identity.owner].into_iter().flatten().any(|key| key.folded() == own)
    };
    let state_of = |identity: &Identity| view.loaded().snapshot.state_of(identity, view.as_of()).as_str();
    let wanted = |position: &u32| {
        let identity = &identities[*position as usize];
        query.kind.as_deref().is_none_or(|kind| identity.kind.as_str() == kind)
            && query.state.as_deref().is_none_or(|state| state_of(identity) == state)
            && (!query.conflicts || !view.loaded().snapshot.conflicts_of(*position).is_empty())
            && (needle.is_empty()
                || identity.key.as_str().to_lowercase().contains(&needle)
                || identity.attributes.values().any(|value| value.to_lowercase().contains(&needle)))
            // Authority is asked about each; the quick look before keeps that to those it can be true of.
            && (everywhere
                || ((!only_shipped || is_own(identity))
                    && person.may(&app, Action::SeeIdentity, &app.resource_of_identity(identity))))
    };
    let key = |position: &u32| identities[*position as usize].key.folded();
    let (found, next) = paging::page(&directory.identities, limit, after, key, wanted);
    let items = found.into_iter().map(|position| row(&view, &identities[*position as usize])).collect();
    Ok(Json(IdentityList { items, next, as_of: view.as_of() }))
}

/// An identity that the person may see; one that they may not is as if it were not there.
pub(super) fn seen(
    app: &App,
    person: &Person,
    view: &leasehold_reconcile::live::View,
    key: &str,
) -> Result<leasehold_decide::engine::IdentityIndex, WebError> {
    let what = || format!("the identity `{key}`");
    let index =
        view.evaluation().identity(&IdentityKey::from(key)).ok_or_else(|| WebError::NotFound(what()))?;
    let identity = &view.evaluation().identities[index.index()];
    person.require_seen(app, Action::SeeIdentity, &app.resource_of_identity(identity), what)?;
    Ok(index)
}

#[utoipa::path(get, path = "/api/v1/identities/{key}", tag = "identities",
    params(("key" = String, Path, description = "Its primary key, in any case"), AtQuery),
    responses((status = 200, description = "The identity", body = IdentityRow), Problems))]
/// One identity.
async fn one(
    State(app): State<App>,
    person: Person,
    Path(key): Path<String>,
    Query(query): Query<AtQuery>,
) -> Result<Json<IdentityRow>, WebError> {
    let asked = app.clone();
    let found = with_state(&app, query.at, move |view| {
        let index = seen(&asked, &person, view, &key)?;
        Ok(row(view, &view.evaluation().identities[index.index()]))
    });
    found.await.map(Json)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AtQuery {
    /// As it stood then.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

/// Something that an identity effectively holds.
#[derive(Serialize, ToSchema)]
pub(super) struct AccessRow {
    /// Where.
    system: String,
    /// By which account.
    account: String,
    /// What, as `kind/name`.
    entitlement: String,
    /// Granted to the account itself, not only carried.
    direct: bool,
    /// Every account of the system has it.
    inherent: bool,
    /// What the system keeps beside a direct grant, in its own words.
    options: Option<String>,
    /// `justified`, `unjustified` or `undecided`.
    decision: &'static str,
    /// Why.
    because: Vec<String>,
    /// Ways by which it is held: the account, the direct grant, … the entitlement.
    paths: Vec<Vec<String>>,
    /// There are more ways than are listed; `path_steps` tells them all.
    more_paths: bool,
    /// Where there are more: every step, from one entitlement to what it carries, that lies on a way.
    path_steps: Vec<[String; 2]>,
}

#[derive(Serialize, ToSchema)]
struct AccessList {
    identity: String,
    /// The instant that this was so.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    items: Vec<AccessRow>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AccessQuery {
    /// Only this entitlement, as `system:kind/name`.
    entitlement: Option<String>,
    /// As it stood then.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

pub(super) fn access_row(item: Explained) -> AccessRow {
    let path = |path: &Vec<EntitlementName>| {
        std::iter::once(item.login.clone()).chain(path.iter().map(ToString::to_string)).collect()
    };
    AccessRow {
        paths: item.paths.iter().map(path).collect(),
        system: item.system.to_string(),
        account: item.login.clone(),
        entitlement: item.entitlement.to_string(),
        direct: item.direct,
        inherent: item.inherent,
        options: item.options,
        decision: item.decision.as_str(),
        because: item.because.iter().map(ToString::to_string).collect(),
        more_paths: item.more_paths,
        path_steps: item.path_steps.iter().map(|(from, to)| [from.to_string(), to.to_string()]).collect(),
    }
}

#[utoipa::path(get, path = "/api/v1/identities/{key}/access", tag = "identities",
    params(("key" = String, Path, description = "Its primary key, in any case"), AccessQuery),
    responses((status = 200, description = "What it holds", body = AccessList), Problems))]
/// Everything that an identity effectively holds, why, and by which paths: what `leasehold explain` says.
async fn access(
    State(app): State<App>,
    person: Person,
    Path(key): Path<String>,
    Query(query): Query<AccessQuery>,
) -> Result<Json<AccessList>, WebError> {
    let only: Option<EntitlementAddress> = match &query.entitlement {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|error: leasehold_model::id::NameError| wrong("entitlement", error.to_string()))?,
        ),
    };
    let asked = app.clone();
    let found = with_state(&app, query.at, move |view| {
        let index = seen(&asked, &person, view, &key)?;
        let mut items = explain(view.evaluation(), index, Carriers::PATHS_MAX);
        if let Some(only) = &only {
            items.retain(|item| item.system == only.system && item.entitlement == only.entitlement);
        }
        let identity = view.evaluation().identities[index.index()].key.to_string();
        Ok(AccessList { identity, at: view.as_of(), items: items.into_iter().map(access_row).collect() })
    });
    found.await.map(Json)
}
