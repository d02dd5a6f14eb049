//! The ledger's entries.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use leasehold_decide::authority::{Action, Resource};
use leasehold_model::id::ActionId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::document::Problems;
use super::{paging, wrong};
use crate::error::WebError;
use crate::person::Person;
use crate::proof::{self, Log, may_open, number_of};
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/ledger/checkpoint", Action::SeeLedger, || routes!(checkpoint)),
    Route::call(Method::GET, "/api/v1/ledger/entries", Action::SeeLedger, || routes!(list)),
    Route::call(Method::GET, "/api/v1/ledger/entries/{index}", Action::SeeLedger, || routes!(one)),
    Route::call(Method::GET, "/api/v1/ledger/entries/{index}/proof", Action::SeeLedger, || routes!(prove)),
    Route::call(Method::GET, "/api/v1/ledger/proof", Action::SeeLedger, || routes!(prove_several)),
];

/// An entry.
#[derive(Serialize, ToSchema)]
struct EntryRow {
    /// Its place in the log, counted from 0.
    index: u64,
    /// What is hashed; null where the bytes are no entry.
    #[schema(value_type = Option<Object>)]
    entry: Option<serde_json::Value>,
    /// The personal data that its commitments stand for, as far as it was not erased and you may see every identity.
    opened: BTreeMap<String, String>,
}

#[derive(Serialize, ToSchema)]
struct LedgerSummary {
    /// How many entries there are.
    size: u64,
    /// How many stand under a signed checkpoint.
    published: u64,
    /// The public key of the log.
    key: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct EntryList {
    items: Vec<EntryRow>,
    /// The cursor of the following page.
    next: Option<String>,
    summary: LedgerSummary,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// From this entry on, counted from 0.
    from: Option<u64>,
    /// Rows on a page, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// From `next` of the page before.
    cursor: Option<String>,
}

#[utoipa::path(get, path = "/api/v1/ledger/entries", tag = "ledger", params(ListQuery),
    responses((status = 200, description = "A page of entries, in the order of the log", body = EntryList), Problems))]
/// Entries of the ledger.
async fn list(
    State(app): State<App>,
    person: Person,
    Query(query): Query<ListQuery>,
) -> Result<Json<EntryList>, WebError> {
    person.require(&app, Action::SeeLedger, &Resource::Installation)?;
    let limit = paging::rows(query.limit)?;
    let after: Option<u64> = paging::after(query.cursor.as_deref())?;
    let from = after.map_or(query.from.unwrap_or(0), |last| last.saturating_add(1));
    // The store counts in signed numbers; there is nothing beyond them.
    let from = from.min(i64::MAX.unsigned_abs());
    let mut rows = app.store.ledger_entries(from, limit + 1).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|(index, _)| paging::cursor(index));
    let mut items = Vec::with_capacity(rows.len());
    for (index, bytes) in rows {
        items.push(row(&app, &person, index, &bytes).await?);
    }
    let summary = LedgerSummary {
        size: app.store.ledger_len().await?,
        published: app.store.ledger_published().await?,
        key: app.store.ledger_key().await?,
    };
    Ok(Json(EntryList { items, next, summary }))
}

async fn row(app: &App, person: &Person, index: u64, bytes: &[u8]) -> Result<EntryRow, WebError> {
    let openings =
        if may_open(app, person) { app.store.ledger_openings(index).await? } else { BTreeMap::new() };
    Ok(EntryRow {
        index,
        entry: serde_json::from_slice(bytes).ok(),
        opened: openings.into_iter().map(|(field, opening)| (field, opening.value)).collect(),
    })
}

#[utoipa::path(get, path = "/api/v1/ledger/entries/{index}", tag = "ledger",
    params(("index" = String, Path, description = "Its place in the log, counted from 0")),
    responses((status = 200, description = "The entry", body = EntryRow), Problems))]
/// One entry of the ledger.
async fn one(
    State(app): State<App>,
    person: Person,
    Path(index): Path<String>,
) -> Result<Json<EntryRow>, WebError> {
    person.require(&app, Action::SeeLedger, &Resource::Installation)?;
    let index = number_of(&index)?;
    let not_there = || WebError::NotFound(format!("ledger entry {index}"));
    // The store counts in signed numbers; there is nothing beyond its length.
    if index >= app.store.ledger_len().await? {
        return Err(not_there());
    }
    let (_, bytes) = app.store.ledger_entries(index, 1).await?.pop().ok_or_else(not_there)?;
    Ok(Json(row(&app, &person, index, &bytes).await?))
}

/// The published log's head.
#[derive(Serialize, ToSchema)]
struct CheckpointDocument {
    /// How many entries it covers.
    size: u64,
    /// The public key that it is signed with.
    key: String,
    /// The signed checkpoint, verbatim, as `leasehold ledger verify --since` takes it.
    checkpoint: String,
}

#[utoipa::path(get, path = "/api/v1/ledger/checkpoint", tag = "ledger",
    responses((status = 200, description = "The checkpoint, its signature found good", body = CheckpointDocument), Problems))]
/// The signed checkpoint of the published log: keep it where nobody who can write the log can change it.
async fn checkpoint(State(app): State<App>, person: Person) -> Result<Json<CheckpointDocument>, WebError> {
    person.require(&app, Action::SeeLedger, &Resource::Installation)?;
    match proof::log(&app).await? {
        Log::Signed { size, key, checkpoint, .. } => Ok(Json(CheckpointDocument { size, key, checkpoint })),
        Log::Unpublished => Err(WebError::NotFound("a published checkpoint".to_owned())),
        Log::Wrong(why) => Err(WebError::Conflict(format!(
            "the published log is not as it should be: {why}; run `leasehold ledger verify`"
        ))),
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ProofQuery {
    /// Keeps personal data closed: commitments are not opened.
    #[serde(default)]
    pub closed: bool,
}

#[utoipa::path(get, path = "/api/v1/ledger/entries/{index}/proof", tag = "ledger",
    params(("index" = String, Path, description = "Its place in the log, counted from 0"), ProofQuery),
    responses((status = 200, description = "A bundle as `leasehold ledger prove` writes it, for `leasehold ledger verify --bundle`", body = Object), Problems))]
/// The proof of an entry, which anybody checks offline.
async fn prove(
    State(app): State<App>,
    person: Person,
    Path(index): Path<String>,
    Query(query): Query<ProofQuery>,
) -> Result<Response, WebError> {
    person.require(&app, Action::SeeLedger, &Resource::Installation)?;
    let json = proof::file(&app, &person, &[number_of(&index)?], query.closed).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SeveralQuery {
    /// The entries with these places in the log, with commas between.
    #[serde(default)]
    index: String,
    /// The entries about these actions, by name, with commas between.
    #[serde(default)]
    action: String,
    /// Keeps personal data closed: commitments are not opened.
    #[serde(default)]
    closed: bool,
}

/// Entries that are proved in one bundle at most.
const PROVED_MAX: usize = 1_000;

#[utoipa::path(get, path = "/api/v1/ledger/proof", tag = "ledger", params(SeveralQuery),
    responses((status = 200, description = "A bundle as `leasehold ledger prove` writes it, for `leasehold ledger verify --bundle`", body = Object), Problems))]
/// The proof of several entries, or of all that are about an action, which anybody checks offline.
async fn prove_several(
    State(app): State<App>,
    person: Person,
    Query(query): Query<SeveralQuery>,
) -> Result<Response, WebError> {
    person.require(&app, Action::SeeLedger, &Resource::Installation)?;
    let parts = |text: &str| -> Vec<String> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let mut indexes: Vec<u64> = parts(&query.index)
        .iter()
        .map(|part| part.parse().map_err(|_| wrong("index", "write places in the log, counted from 0")))
        .collect::<Result<_, _>>()?;
    for action in parts(&query.action) {
        let steps = app.store.ledger_indexes_of_action(&ActionId::from(action.as_str())).await?;
        if steps.is_empty() {
            return Err(WebError::NotFound(format!("an entry about `{action}`")));
        }
        indexes.extend(steps);
    }
    indexes.sort_unstable();
    indexes.dedup();
    if indexes.is_empty() || indexes.len() > PROVED_MAX {
        let message = format!("name by `index` or `action` 1 to {PROVED_MAX} entries");
        return Err(wrong("index", message));
    }
    let last = indexes.last().copied().unwrap_or_default();
    if last >= app.store.ledger_len().await? {
        return Err(WebError::NotFound(format!("ledger entry {last}")));
    }
    let json = proof::file(&app, &person, &indexes, query.closed).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}
