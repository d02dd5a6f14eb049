//! Receipts of offboardings: those that were written about somebody, another one, and each as a file that is checked offline.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use leasehold_decide::authority::{Action, Resource};
use leasehold_store::ReceiptRow;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::document::Problems;
use super::identities::seen;
use crate::error::WebError;
use crate::person::Person;
use crate::receipts;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/identities/{key}/receipts", Action::SeeLedger, || routes!(list)),
    Route::call(Method::POST, "/api/v1/identities/{key}/receipts", Action::ProposePlan, || routes!(write)),
    Route::call(Method::GET, "/api/v1/receipts/{id}", Action::SeeLedger, || routes!(file)),
];

/// A receipt of an offboarding.
#[derive(Serialize, ToSchema)]
struct ReceiptDocument {
    /// Its number: `/api/v1/receipts/{id}` is the file.
    id: i64,
    /// Who left.
    identity: String,
    #[schema(value_type = String, format = DateTime)]
    written_at: Timestamp,
    /// The ledger entry that commits to what it says.
    ledger_index: u64,
    /// Actions that were read back as ended.
    verified: u64,
    /// Actions that were not needed: facts had moved first.
    void: u64,
    /// Actions that are not verified: they are under way, wait for a person, are held by a guard, or cannot be read back.
    not_verified: u64,
    /// What is still there, and nothing is under way to end it.
    remaining: u64,
    /// Systems that were never read completely: what is there is not known.
    unread: u64,
}

#[derive(Serialize, ToSchema)]
struct ReceiptList {
    /// The latest first: it takes the place of those before.
    items: Vec<ReceiptDocument>,
}

fn document(row: ReceiptRow, identity: &str) -> ReceiptDocument {
    ReceiptDocument {
        id: row.id,
        identity: identity.to_owned(),
        written_at: row.written_at,
        ledger_index: row.ledger_index,
        verified: row.tally.verified,
        void: row.tally.void,
        not_verified: row.tally.not_verified,
        remaining: row.tally.remaining,
        unread: row.tally.unread,
    }
}

#[utoipa::path(get, path = "/api/v1/identities/{key}/receipts", tag = "identities",
    params(("key" = String, Path, description = "Its primary key, in any case")),
    responses((status = 200, description = "The receipts of its offboarding", body = ReceiptList), Problems))]
/// The receipts of an identity's offboarding. One is written by itself whenever nothing of it is under way any more.
async fn list(
    State(app): State<App>,
    person: Person,
    Path(key): Path<String>,
) -> Result<Json<ReceiptList>, WebError> {
    person.require(&app, Action::SeeLedger, &Resource::Installation)?;
    let view = app.view()?;
    let index = seen(&app, &person, &view, &key)?;
    let key = &view.evaluation().identities[index.index()].key;
    let rows = app.store.receipts(key).await?;
    Ok(Json(ReceiptList { items: rows.into_iter().map(|row| document(row, key.as_str())).collect() }))
}

#[utoipa::path(post, path = "/api/v1/identities/{key}/receipts", tag = "identities",
    params(("key" = String, Path, description = "Its primary key, in any case")),
    responses((status = 201, description = "It was written; its file is there as soon as the log is signed", body = ReceiptDocument), Problems))]
/// Writes a receipt of what is known now about the offboarding of somebody who has left, also while something is under way.
async fn write(
    State(app): State<App>,
    person: Person,
    Path(key): Path<String>,
) -> Result<Response, WebError> {
    let view = app.view()?;
    let index = seen(&app, &person, &view, &key)?;
    let key = &view.evaluation().identities[index.index()].key;
    let row = receipts::write(&app, &person, key).await?;
    let location = format!("/api/v1/receipts/{}", row.id);
    let document = document(row, key.as_str());
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(document)).into_response())
}

#[utoipa::path(get, path = "/api/v1/receipts/{id}", tag = "identities",
    params(("id" = String, Path, description = "Its number")),
    responses((status = 200, description = "What it says and what proves it, for `leasehold ledger verify --bundle`", body = Object), Problems))]
/// A receipt as a file, which anybody checks offline.
async fn file(State(app): State<App>, person: Person, Path(id): Path<String>) -> Result<Response, WebError> {
    receipts::file(&app, &person, &id).await
}
