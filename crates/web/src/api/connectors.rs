//! Kinds of connectors, and connecting a system.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use leasehold_decide::authority::Action;
use leasehold_model::setting::SettingKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::document::Problems;
use super::wrong;
use crate::connections::{ConnectedSystem, NewSystem, NotConnected};
use crate::error::WebError;
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/connectors", Action::ConnectSystem, || routes!(list)),
    Route::call(Method::POST, "/api/v1/systems", Action::ConnectSystem, || routes!(make)),
];

/// A setting that is asked for.
#[derive(Serialize, ToSchema)]
struct FieldRow {
    key: &'static str,
    label: &'static str,
    help: &'static str,
    example: &'static str,
    /// `text`, `file`, `list` (one text in each line), `flag` (`true` or empty), `choice` or `secret`.
    kind: &'static str,
    /// What a `choice` is among.
    choices: Vec<&'static str>,
    required: bool,
}

/// A kind of connector that can be connected by a call.
#[derive(Serialize, ToSchema)]
struct ConnectorRow {
    connector: &'static str,
    summary: &'static str,
    fields: Vec<FieldRow>,
}

#[derive(Serialize, ToSchema)]
struct ConnectorList {
    items: Vec<ConnectorRow>,
}

#[utoipa::path(get, path = "/api/v1/connectors", tag = "systems",
    responses((status = 200, description = "The kinds, with what each asks for", body = ConnectorList), Problems))]
/// Kinds of connectors by which a system can be connected here.
async fn list(State(app): State<App>) -> Json<ConnectorList> {
    let row = |form: crate::connections::ConnectorForm| ConnectorRow {
        connector: form.kind,
        summary: form.summary,
        fields: form
            .fields
            .iter()
            .map(|field| FieldRow {
                key: field.key,
                label: field.label,
                help: field.help,
                example: field.example,
                kind: kind_name(field.kind),
                choices: match field.kind {
                    SettingKind::Choice(names) => names.to_vec(),
                    _ => Vec::new(),
                },
                required: field.required,
            })
            .collect(),
    };
    Json(ConnectorList { items: app.connections.kinds().into_iter().map(row).collect() })
}

fn kind_name(kind: SettingKind) -> &'static str {
    match kind {
        SettingKind::Text => "text",
        SettingKind::File => "file",
        SettingKind::List => "list",
        SettingKind::Flag => "flag",
        SettingKind::Choice(_) => "choice",
        SettingKind::Secret => "secret",
    }
}

/// A system to be connected.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSystemBody {
    name: String,
    /// The kind of its connector.
    connector: String,
    /// By the keys of its fields, as texts; secrets included.
    values: BTreeMap<String, String>,
    /// Rules by which its accounts find their identities.
    #[serde(default)]
    correlate: Vec<String>,
    /// Further settings, as TOML.
    #[serde(default)]
    further: String,
}

/// A system that was connected.
#[derive(Serialize, ToSchema)]
struct ConnectedDocument {
    system: String,
    /// What was reached.
    target: String,
    /// As whom.
    acting_as: Option<String>,
    /// What our own login may not do there.
    missing_rights: Vec<String>,
}

#[utoipa::path(post, path = "/api/v1/systems", tag = "systems", request_body = NewSystemBody,
    responses((status = 201, description = "Reached, kept, and being read", body = ConnectedDocument), Problems))]
/// Tries a system and connects it where it is reached. Nothing is kept of one that is not.
async fn make(
    State(app): State<App>,
    person: Person,
    Json(new): Json<NewSystemBody>,
) -> Result<Response, WebError> {
    person.require_confirmed(app.now())?;
    let new = NewSystem {
        name: new.name,
        connector: new.connector,
        values: new.values,
        correlate: new.correlate.join("\n"),
        further: new.further,
    };
    let connected = connect(&app, &person, &new).await.map_err(|refused| match refused {
        NotConnected::Wrong(errors) => WebError::Invalid(errors),
        NotConnected::Unreachable(why) => wrong("values", why),
        NotConnected::NotWritten { why, .. } => WebError::Conflict(why),
    })?;
    let place = format!("/api/v1/systems/{}", connected.name);
    let document = ConnectedDocument {
        system: connected.name.to_string(),
        target: connected.target,
        acting_as: connected.acting_as,
        missing_rights: connected.missing_rights,
    };
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(document)).into_response())
}

/// Connects a system, and writes into the ledger who did.
pub(crate) async fn connect(
    app: &App,
    person: &Person,
    new: &NewSystem,
) -> Result<ConnectedSystem, NotConnected> {
    let connected = app.connections.connect(new).await?;
    let recorded =
        app.store.system_connected(&connected.name, &new.connector, person.actor(), app.now()).await;
    if let Err(error) = recorded {
        // It is connected all the same; the log of the process says what the ledger does not.
        tracing::error!(system = %connected.name, %error, "a connected system is not in the ledger");
    }
    Ok(connected)
}
