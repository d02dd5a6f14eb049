//! The kinds of connectors that this server has, and what each can do.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use leasehold_decide::authority::Action;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::document::Problems;
use super::systems::{CapabilityRow, capability_rows};
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::call(Method::GET, "/api/v1/capabilities", Action::SeeSystem, || routes!(list))];

/// A kind of connector.
#[derive(Serialize, ToSchema)]
struct KindRow {
    /// Its name in `leasehold.toml`.
    connector: String,
    summary: String,
    capabilities: BTreeMap<String, CapabilityRow>,
}

#[derive(Serialize, ToSchema)]
struct KindList {
    items: Vec<KindRow>,
}

#[utoipa::path(get, path = "/api/v1/capabilities", tag = "systems",
    responses((status = 200, description = "Every kind", body = KindList), Problems))]
/// The kinds of connectors that this server has: what `leasehold connector list` says.
async fn list(State(app): State<App>) -> Json<KindList> {
    let row = |face: leasehold_reconcile::driver::ConnectorFace| KindRow {
        connector: face.kind.to_owned(),
        summary: face.summary.to_owned(),
        capabilities: capability_rows(&face.capabilities),
    };
    Json(KindList { items: app.driver.connectors().into_iter().map(row).collect() })
}
