//! The ledger's entries.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::Method;
use leasehold_decide::authority::{Action, Resource};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::document::Problems;
use super::paging;
use crate::error::WebError;
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::call(Method::GET, "/api/v1/ledger/entries", Action::SeeLedger, || routes!(list))];

/// An entry.
#[derive(Serialize, ToSchema)]
struct EntryRow {
    /// Its place in the log, counted from 0.
    index: u64,
    /// What is hashed; null where the bytes are no entry.
    #[schema(value_type = Option<Object>)]
    entry: Option<serde_json::Value>,
    /// The personal data that its commitments stand for, as far as it was not erased.
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
        let openings = app.store.ledger_openings(index).await?;
        items.push(EntryRow {
            index,
            entry: serde_json::from_slice(&bytes).ok(),
            opened: openings.into_iter().map(|(field, opening)| (field, opening.value)).collect(),
        });
    }
    let summary = LedgerSummary {
        size: app.store.ledger_len().await?,
        published: app.store.ledger_published().await?,
        key: app.store.ledger_key().await?,
    };
    Ok(Json(EntryList { items, next, summary }))
}
