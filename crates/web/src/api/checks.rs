//! Does an identity hold an entitlement now, and may it? The question that a program asks often: one answer, no list.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_decide::explain::{Holding, holdings};
use leasehold_model::id::{EntitlementAddress, NameError};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::document::Problems;
use super::identities::seen;
use super::wrong;
use crate::error::WebError;
use crate::person::Asker;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::call(Method::GET, "/api/v1/identities/{key}/access/{address}", Action::SeeIdentity, || {
        routes!(check)
    })];

/// An account by which it is held.
#[derive(Serialize, ToSchema)]
struct HoldingRow {
    /// The account.
    account: String,
    /// Granted to the account itself, not only carried.
    direct: bool,
    /// `justified`, `unjustified` or `undecided`.
    decision: &'static str,
    /// Why.
    because: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct Check {
    identity: String,
    entitlement: String,
    /// Whether it effectively holds the entitlement, directly or carried by another.
    held: bool,
    /// By which accounts. None where it is not held.
    accounts: Vec<HoldingRow>,
    /// The instant that this was so.
    #[schema(value_type = String, format = DateTime)]
    as_of: Timestamp,
}

fn row(holding: Holding) -> HoldingRow {
    HoldingRow {
        account: holding.login,
        direct: holding.direct,
        decision: holding.decision.as_str(),
        because: holding.because.iter().map(ToString::to_string).collect(),
    }
}

#[utoipa::path(get, path = "/api/v1/identities/{key}/access/{address}", tag = "identities",
    params(("key" = String, Path, description = "Its primary key, in any case"),
           ("address" = String, Path, description = "`system:kind/name`")),
    responses((status = 200, description = "Whether it is held, by which accounts, and why", body = Check), Problems))]
/// Whether an identity effectively holds an entitlement, and whether it may.
async fn check(
    State(app): State<App>,
    person: Asker,
    Path((key, address)): Path<(String, String)>,
) -> Result<Json<Check>, WebError> {
    let address: EntitlementAddress =
        address.parse().map_err(|error: NameError| wrong("address", error.to_string()))?;
    let view = app.view()?;
    let identity = seen(&app, &person, &view, &key)?;
    let evaluation = view.evaluation();
    let entitlement = evaluation
        .entitlement(&address)
        .ok_or_else(|| WebError::NotFound(format!("the entitlement {address}")))?;
    let accounts: Vec<HoldingRow> =
        holdings(evaluation, identity, entitlement).into_iter().map(row).collect();
    Ok(Json(Check {
        identity: evaluation.identities[identity.index()].key.to_string(),
        entitlement: address.to_string(),
        held: !accounts.is_empty(),
        accounts,
        as_of: view.as_of(),
    }))
}
