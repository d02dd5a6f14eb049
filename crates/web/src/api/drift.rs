//! Drift: what is held without a live reason, and what is justified and not there.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::Method;
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_model::decision::{DriftItem, DriftKind};
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::snapshot::SystemState;
use leasehold_reconcile::live::View;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::credentials::CredentialRef;
use super::document::Problems;
use super::{paging, with_state, wrong};
use crate::error::WebError;
use crate::person::Person;

use crate::route::Route;
use crate::seen::SeenSystems;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::call(Method::GET, "/api/v1/drift", Action::SeeDrift, || routes!(list))];

/// A difference between what is observed and what is justified.
#[derive(Serialize, ToSchema)]
struct DriftRow {
    /// How it differs.
    kind: &'static str,
    /// Where.
    system: String,
    /// What people call the account.
    account: Option<String>,
    /// The system's own stable key of it.
    account_key: Option<String>,
    /// Whom it is about, where known.
    identity: Option<String>,
    /// What it is about, as `kind/name`.
    entitlement: Option<String>,
    /// The credential that it is about, where it is about one.
    credential: Option<CredentialRef>,
    /// When it was first seen.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Why.
    because: Vec<String>,
}

/// How fresh and how complete a system is.
#[derive(Serialize, ToSchema)]
pub(crate) struct SourceRow {
    system: String,
    epoch: Option<i64>,
    /// `complete` or `partial`; null where it was never read.
    completeness: Option<&'static str>,
    #[schema(value_type = Option<String>, format = DateTime)]
    observed_at: Option<Timestamp>,
    /// The evidence of completeness, or why it is partial.
    detail: Option<String>,
    /// The last complete reading.
    #[schema(value_type = Option<String>, format = DateTime)]
    complete_at: Option<Timestamp>,
}

impl SourceRow {
    /// A system that was never read.
    pub(crate) fn unread(system: &SystemName) -> Self {
        let system = system.to_string();
        Self { system, epoch: None, completeness: None, observed_at: None, detail: None, complete_at: None }
    }

    pub(crate) fn of(system: &SystemState) -> Self {
        let latest = system.latest.as_ref();
        Self {
            system: system.name.to_string(),
            epoch: latest.map(|epoch| epoch.id.0),
            completeness: latest.map(|epoch| epoch.completeness.as_str()),
            observed_at: latest.map(|epoch| epoch.ended_at),
            detail: latest.map(|epoch| epoch.completeness.detail().to_owned()),
            complete_at: system.latest_complete.as_ref().map(|epoch| epoch.ended_at),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct DriftSummary {
    /// How much there is that the filters let through.
    total: usize,
    by_kind: BTreeMap<&'static str, usize>,
    sources: Vec<SourceRow>,
}

#[derive(Serialize, ToSchema)]
struct DriftList {
    items: Vec<DriftRow>,
    /// The cursor of the following page.
    next: Option<String>,
    summary: DriftSummary,
    /// The instant that decisions are for.
    #[schema(value_type = String, format = DateTime)]
    as_of: Timestamp,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only this kind.
    kind: Option<String>,
    /// Only of this system.
    system: Option<String>,
    /// Only about this identity, by its key.
    identity: Option<String>,
    /// As it stood then.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// Rows on a page, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// From `next` of the page before.
    cursor: Option<String>,
}

/// A cursor: the place of the last row in the list, and its name, by which it is found again after the list has moved.
#[derive(Serialize, Deserialize)]
struct Place(usize, String);

fn name(item: &DriftItem) -> String {
    let parts = (item.kind.as_str(), &item.system, &item.account, &item.identity, &item.entitlement);
    let bytes = serde_json::to_vec(&(parts, item.credential.as_ref().map(|credential| &credential.key)));
    let bytes = bytes.unwrap_or_default();
    hex::encode(&Sha256::digest(bytes)[..12])
}

#[utoipa::path(get, path = "/api/v1/drift", tag = "drift", params(ListQuery),
    responses((status = 200, description = "A page of drift, by kind, system and account", body = DriftList), Problems))]
/// Drift in the systems that you may see.
async fn list(
    State(app): State<App>,
    person: Person,
    Query(query): Query<ListQuery>,
) -> Result<Json<DriftList>, WebError> {
    let limit = paging::rows(query.limit)?;
    let after: Option<Place> = paging::after(query.cursor.as_deref())?;
    let kind = query.kind.as_deref().map(drift_kind).transpose()?;
    let seen = app.systems_seen(&person, Action::SeeDrift);
    let configured: Vec<SystemName> = app.driver.systems().into_iter().map(|face| face.name).collect();
    let answer = with_state(&app, query.at, move |view| {
        Ok(page(view, &query, kind, after, limit, &seen, &configured))
    });
    answer.await.map(Json)
}

/// A page of the drift of a state.
fn page(
    view: &View,
    query: &ListQuery,
    kind: Option<DriftKind>,
    after: Option<Place>,
    limit: usize,
    seen: &SeenSystems,
    configured: &[SystemName],
) -> DriftList {
    let drift = view.drift();
    let of = query.identity.as_deref().map(|key| key.trim().to_lowercase());
    let wanted = |item: &&DriftItem| {
        kind.is_none_or(|kind| item.kind == kind)
            && query.system.as_deref().is_none_or(|name| item.system.as_str() == name)
            && of.as_deref().is_none_or(|key| {
                item.identity.as_ref().map(IdentityKey::folded).is_some_and(|own| own == key)
            })
            && seen.has(&item.system)
    };
    let mut by_kind: BTreeMap<&'static str, usize> = BTreeMap::new();
    for item in drift.iter().filter(wanted) {
        *by_kind.entry(item.kind.as_str()).or_default() += 1;
    }
    let from = after.map_or(0, |Place(place, last)| match drift.get(place) {
        Some(item) if name(item) == last => place + 1,
        // The list has moved: the row is looked for; where it is gone, its place is the nearest there is.
        _ => {
            drift.iter().position(|item| name(item) == last).map_or(place.min(drift.len()), |place| place + 1)
        }
    });
    let mut found: Vec<(usize, &DriftItem)> =
        (from..).zip(&drift[from..]).filter(|(_, item)| wanted(item)).take(limit + 1).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(place, last)| paging::cursor(&Place(*place, name(last))));
    let items = found.into_iter().map(|(_, item)| DriftRow {
        kind: item.kind.as_str(),
        system: item.system.to_string(),
        account: item.login.clone(),
        account_key: item.account.as_ref().map(ToString::to_string),
        identity: item.identity.as_ref().map(ToString::to_string),
        entitlement: item.entitlement.as_ref().map(ToString::to_string),
        credential: item.credential.as_ref().map(CredentialRef::from),
        since: item.since,
        because: item.because.iter().map(ToString::to_string).collect(),
    });
    let known = |name: &&SystemName| view.systems().iter().any(|system| system.name == **name);
    let read = view.systems().iter().filter(|system| seen.has(&system.name)).map(SourceRow::of);
    // Silence about a system that was never read is no good news.
    let unread = configured.iter().filter(|name| !known(name) && seen.has(name)).map(SourceRow::unread);
    let sources = read.chain(unread).collect();
    let summary = DriftSummary { total: by_kind.values().sum(), by_kind, sources };
    DriftList { items: items.collect(), next, summary, as_of: view.as_of() }
}

/// A kind of drift by its name.
pub(crate) fn drift_kind(name: &str) -> Result<DriftKind, WebError> {
    DriftKind::ALL.iter().copied().find(|kind| kind.as_str() == name).ok_or_else(|| {
        let known: Vec<&str> = DriftKind::ALL.iter().map(|kind| kind.as_str()).collect();
        wrong("kind", format!("`{name}` is no kind of drift: there are {}", known.join(", ")))
    })
}
