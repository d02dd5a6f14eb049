//! The policy: its revisions, and checking, comparing and applying files.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use leasehold_decide::authority::{Action, Resource};
use leasehold_decide::evaluate::{Evaluation, Inputs};
use leasehold_decide::policy::diagnostic::{Diagnostic, Severity};
use leasehold_decide::policy::{self, Policy};
use leasehold_model::id::SystemName;
use leasehold_reconcile::live::View;
use leasehold_store::PolicyRevision;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::document::Problems;
use super::with_state;
use crate::error::{FieldError, WebError};
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/policy/revisions", Action::SeePolicy, || routes!(list)),
    Route::call(Method::GET, "/api/v1/policy/revisions/{id}", Action::SeePolicy, || routes!(one)),
    Route::call(Method::POST, "/api/v1/policy/revisions", Action::ChangePolicy, || routes!(apply)),
    Route::call(Method::GET, "/api/v1/policy/authority", Action::SeePolicy, || routes!(authority)),
    Route::call(Method::POST, "/api/v1/policy/check", Action::SeePolicy, || routes!(check)),
    Route::call(Method::POST, "/api/v1/policy/diff", Action::SeePolicy, || routes!(diff)),
];

/// A policy that was applied.
#[derive(Serialize, ToSchema)]
struct RevisionRow {
    /// Counted from 1.
    revision: i64,
    /// SHA-256 over its files.
    digest: String,
    #[schema(value_type = String, format = DateTime)]
    applied_at: Timestamp,
    applied_by: String,
    /// Whether it is the live one.
    live: bool,
}

#[derive(Serialize, ToSchema)]
struct RevisionList {
    items: Vec<RevisionRow>,
}

/// A policy that was applied, with its files.
#[derive(Serialize, ToSchema)]
struct RevisionDocument {
    revision: i64,
    digest: String,
    #[schema(value_type = String, format = DateTime)]
    applied_at: Timestamp,
    applied_by: String,
    /// Texts by path, relative to the policy folder.
    files: BTreeMap<String, String>,
}

/// A file of authority policies.
#[derive(Serialize, ToSchema)]
struct AuthorityRow {
    /// Its name.
    name: String,
    /// Whether it comes with the product.
    shipped: bool,
    /// The policies, in Cedar.
    text: String,
}

#[derive(Serialize, ToSchema)]
struct AuthorityList {
    items: Vec<AuthorityRow>,
}

/// The files of a whole policy.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PolicyFiles {
    /// Texts by path, relative to the policy folder.
    files: BTreeMap<String, String>,
}

/// A complaint about a file.
#[derive(Serialize, ToSchema)]
struct DiagnosticRow {
    /// `error` or `warning`.
    severity: &'static str,
    file: String,
    /// Counted from 1.
    line: usize,
    /// The bytes of the file that it is about: from this one,
    start: usize,
    /// and before this one.
    end: usize,
    message: String,
    help: String,
}

#[derive(Serialize, ToSchema)]
struct CheckSummary {
    files: usize,
    errors: usize,
    warnings: usize,
}

#[derive(Serialize, ToSchema)]
struct CheckAnswer {
    items: Vec<DiagnosticRow>,
    summary: CheckSummary,
}

/// Access that would change.
#[derive(Serialize, ToSchema)]
struct DiffRow {
    /// `gains` or `loses`.
    change: &'static str,
    identity: String,
    /// `system:kind/name`.
    entitlement: String,
}

#[derive(Serialize, ToSchema)]
struct DiffSummary {
    gains: usize,
    losses: usize,
}

#[derive(Serialize, ToSchema)]
struct DiffAnswer {
    /// At most the first 500 of each change unless all are asked for; the summary counts all.
    items: Vec<DiffRow>,
    summary: DiffSummary,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DiffQuery {
    /// Every change is listed, however many there are.
    #[serde(default)]
    all: bool,
}

#[derive(Serialize, ToSchema)]
struct Applied {
    revision: i64,
    digest: String,
    /// False where the files were live already.
    changed: bool,
}

/// Changes of each kind that are listed.
const CHANGES_MAX: usize = 500;

#[utoipa::path(get, path = "/api/v1/policy/revisions", tag = "policy",
    responses((status = 200, description = "Every revision, the newest first", body = RevisionList), Problems))]
/// Every policy that was ever applied.
async fn list(State(app): State<App>, person: Person) -> Result<Json<RevisionList>, WebError> {
    person.require(&app, Action::SeePolicy, &Resource::Installation)?;
    let revisions = app.store.policy_revisions().await?;
    let items = revisions.into_iter().enumerate().map(|(place, revision)| RevisionRow {
        revision: revision.id,
        digest: revision.digest,
        applied_at: revision.applied_at,
        applied_by: revision.applied_by,
        live: place == 0,
    });
    Ok(Json(RevisionList { items: items.collect() }))
}

#[utoipa::path(get, path = "/api/v1/policy/revisions/{id}", tag = "policy",
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, description = "The revision with its files", body = RevisionDocument), Problems))]
/// One revision.
async fn one(
    State(app): State<App>,
    person: Person,
    Path(id): Path<i64>,
) -> Result<Json<RevisionDocument>, WebError> {
    person.require(&app, Action::SeePolicy, &Resource::Installation)?;
    let found = app.store.policy_revisions().await?.into_iter().find(|revision| revision.id == id);
    let PolicyRevision { id, digest, applied_at, applied_by, files } =
        found.ok_or_else(|| WebError::NotFound(format!("the policy revision {id}")))?;
    Ok(Json(RevisionDocument { revision: id, digest, applied_at, applied_by, files }))
}

/// Reads files, and says everything that is wrong with them beside what was observed.
fn checked(
    files: &BTreeMap<String, String>,
    systems: &[SystemName],
    view: &View,
) -> (Option<Policy>, Vec<Diagnostic>) {
    match policy::read::read(files) {
        Err(diagnostics) => (None, diagnostics),
        Ok(policy) => {
            let diagnostics = policy::check::check(&policy, systems, &view.loaded().snapshot);
            (Some(policy), diagnostics)
        }
    }
}

fn line_of(files: &BTreeMap<String, String>, diagnostic: &Diagnostic) -> usize {
    let text = files.get(&diagnostic.file).map_or("", String::as_str);
    let end = diagnostic.span.start.min(text.len());
    text.as_bytes()[..end].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The policy where nothing is wrong with it; else every mistake, by file and line.
fn usable(files: &BTreeMap<String, String>, systems: &[SystemName], view: &View) -> Result<Policy, WebError> {
    let (policy, diagnostics) = checked(files, systems, view);
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    let errors: Vec<FieldError> = errors
        .map(|error| {
            let place = format!("{}:{}", error.file, line_of(files, error));
            FieldError { field: place, message: format!("{}; {}", error.message, error.help) }
        })
        .collect();
    policy.filter(|_| errors.is_empty()).ok_or(WebError::Invalid(errors))
}

fn system_names(app: &App) -> Vec<SystemName> {
    app.driver.systems().into_iter().map(|face| face.name).collect()
}

#[utoipa::path(get, path = "/api/v1/policy/authority", tag = "policy",
    responses((status = 200, description = "Every file of authority policies in force", body = AuthorityList), Problems))]
/// Who may do what inside Leasehold: the shipped Cedar policies and the installation's own.
async fn authority(State(app): State<App>) -> Json<AuthorityList> {
    let row = |(name, text, shipped): (&str, &str, bool)| AuthorityRow {
        name: name.to_owned(),
        shipped,
        text: text.to_owned(),
    };
    Json(AuthorityList { items: app.authority.files().map(row).collect() })
}

#[utoipa::path(post, path = "/api/v1/policy/check", tag = "policy", request_body = PolicyFiles,
    responses((status = 200, description = "Everything that is wrong with the files", body = CheckAnswer), Problems))]
/// Checks files, without changing anything.
async fn check(
    State(app): State<App>,
    person: Person,
    Json(PolicyFiles { files }): Json<PolicyFiles>,
) -> Result<Json<CheckAnswer>, WebError> {
    person.require(&app, Action::SeePolicy, &Resource::Installation)?;
    let systems = system_names(&app);
    let found = with_state(&app, None, move |view| {
        let (_, diagnostics) = checked(&files, &systems, view);
        let errors = diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
        let summary = CheckSummary { files: files.len(), errors, warnings: diagnostics.len() - errors };
        let row = |found: &Diagnostic| DiagnosticRow {
            severity: if found.severity == Severity::Error { "error" } else { "warning" },
            file: found.file.clone(),
            line: line_of(&files, found),
            start: found.span.start,
            end: found.span.end,
            message: found.message.clone(),
            help: found.help.clone(),
        };
        Ok(CheckAnswer { items: diagnostics.iter().map(row).collect(), summary })
    });
    found.await.map(Json)
}

/// What identities may hold: key and address.
fn justified(evaluation: &Evaluation<'_>) -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    evaluation.for_each_justified(|identity, entitlement| {
        let address =
            format!("{}:{}", evaluation.system_of(entitlement), evaluation.entitlement_name(entitlement));
        all.insert((evaluation.identities[identity.index()].key.to_string(), address));
    });
    all
}

#[utoipa::path(post, path = "/api/v1/policy/diff", tag = "policy", request_body = PolicyFiles, params(DiffQuery),
    responses((status = 200, description = "Whose access would change", body = DiffAnswer), Problems))]
/// Says who would gain and lose what by these files, without changing anything.
async fn diff(
    State(app): State<App>,
    person: Person,
    Query(DiffQuery { all }): Query<DiffQuery>,
    Json(PolicyFiles { files }): Json<PolicyFiles>,
) -> Result<Json<DiffAnswer>, WebError> {
    person.require(&app, Action::SeePolicy, &Resource::Installation)?;
    let systems = system_names(&app);
    let found = with_state(&app, None, move |view| {
        let policy = usable(&files, &systems, view)?;
        let before = justified(view.evaluation());
        let inputs = Inputs { policy: &policy, ..view.loaded().inputs() };
        let after = justified(&Evaluation::new(inputs).map_err(WebError::internal)?);
        let rows =
            |from: &BTreeSet<(String, String)>, to: &BTreeSet<(String, String)>, change: &'static str| {
                let changes = from.difference(to);
                let count = changes.clone().count();
                let row = |(identity, entitlement): &(String, String)| DiffRow {
                    change,
                    identity: identity.clone(),
                    entitlement: entitlement.clone(),
                };
                (changes.take(if all { usize::MAX } else { CHANGES_MAX }).map(row).collect::<Vec<_>>(), count)
            };
        let (mut items, gains) = rows(&after, &before, "gains");
        let (lost, losses) = rows(&before, &after, "loses");
        items.extend(lost);
        Ok(DiffAnswer { items, summary: DiffSummary { gains, losses } })
    });
    found.await.map(Json)
}

#[utoipa::path(post, path = "/api/v1/policy/revisions", tag = "policy", request_body = PolicyFiles,
    responses((status = 201, description = "They are live now", body = Applied),
        (status = 200, description = "They were live already", body = Applied), Problems))]
/// Makes files the live policy.
async fn apply(
    State(app): State<App>,
    person: Person,
    Json(PolicyFiles { files }): Json<PolicyFiles>,
) -> Result<Response, WebError> {
    person.require(&app, Action::ChangePolicy, &Resource::Installation)?;
    person.require_confirmed(app.now())?;
    let systems = system_names(&app);
    let checked_files = files.clone();
    with_state(&app, None, move |view| usable(&checked_files, &systems, view).map(|_| ())).await?;
    let digest = policy::digest(&files);
    if let Some(live) = app.store.live_policy().await?.filter(|live| live.digest == digest) {
        let applied = Applied { revision: live.id, digest, changed: false };
        return Ok((StatusCode::OK, Json(applied)).into_response());
    }
    let revision = app.store.apply_policy(files, &digest, person.actor(), app.now()).await?;
    app.live.refresh().await?;
    let applied = Applied { revision: revision.id, digest, changed: true };
    Ok((StatusCode::CREATED, Json(applied)).into_response())
}
