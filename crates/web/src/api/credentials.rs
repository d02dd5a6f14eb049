//! Credentials: what authenticates each account, how old it is and when it was used, never the secret.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::Method;
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_decide::correlate::Correlation;
use leasehold_model::account::LastUse;
use leasehold_model::credential::{CredentialKind, CredentialName};
use leasehold_model::id::{AccountKey, CredentialKey, SystemName};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::document::Problems;
use super::{paging, wrong};
use crate::error::WebError;
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::call(Method::GET, "/api/v1/credentials", Action::SeeSystem, || routes!(list))];

/// A credential, as drift and plans name it.
#[derive(Serialize, ToSchema)]
pub(crate) struct CredentialRef {
    /// The system's own stable key of it, never the secret.
    key: String,
    /// `password`, `api_key`, `access_key`, `ssh_key`, `certificate`, `oauth_grant`, `token`, `mfa_device` or `scheduled_job`.
    kind: &'static str,
    /// What people call it.
    label: String,
}

impl From<&CredentialName> for CredentialRef {
    fn from(name: &CredentialName) -> Self {
        Self { key: name.key.to_string(), kind: name.kind.as_str(), label: name.label.clone() }
    }
}

#[derive(Serialize, ToSchema)]
struct CredentialRow {
    /// Where.
    system: String,
    /// What people call the account.
    account: String,
    /// The system's own stable key of the account.
    account_key: String,
    /// Whose the account is; null where nobody's, or several match.
    identity: Option<String>,
    /// The system's own stable key of the credential, never the secret.
    key: String,
    /// `password`, `api_key`, `access_key`, `ssh_key`, `certificate`, `oauth_grant`, `token`, `mfa_device` or `scheduled_job`.
    kind: &'static str,
    /// What people call it.
    label: String,
    /// Whether it can be used as far as its own switch says.
    active: bool,
    /// When it was made, where that is known.
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
    /// Who made it, where the system tells and it is not the account itself.
    created_by: Option<String>,
    /// When the system itself ends it.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// `unknown`, `never`, or `at`.
    last_use: &'static str,
    /// When it was last used, where that is known.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// What it is limited to, in the system's words; empty where it can do what its account can.
    scope: Vec<String>,
    /// Whether it is older than the policy allows; null where its age is not known, or the policy sets no limit.
    older_than_allowed: Option<bool>,
}

#[derive(Serialize, ToSchema)]
struct CredentialList {
    items: Vec<CredentialRow>,
    /// The cursor of the following page.
    next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only of this system.
    system: Option<String>,
    /// Only of this identity's accounts, by its key.
    identity: Option<String>,
    /// Only of this kind.
    kind: Option<String>,
    /// Only those that can be used, or only those that cannot.
    active: Option<bool>,
    /// Only those whose label, key or account contains this, in any case.
    q: Option<String>,
    /// Rows on a page, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// From `next` of the page before.
    cursor: Option<String>,
}

#[utoipa::path(get, path = "/api/v1/credentials", tag = "credentials", params(ListQuery),
    responses((status = 200, description = "A page of credentials, by system, account and key", body = CredentialList), Problems))]
/// Credentials in the systems that you may see.
async fn list(
    State(app): State<App>,
    person: Person,
    Query(query): Query<ListQuery>,
) -> Result<Json<CredentialList>, WebError> {
    let limit = paging::rows(query.limit)?;
    let after: Option<(String, String, String)> = paging::after(query.cursor.as_deref())?;
    let kind = match query.kind.as_deref() {
        None => None,
        Some(text) => Some(CredentialKind::parse(text).ok_or_else(|| {
            let known: Vec<&str> = CredentialKind::ALL.iter().map(|kind| kind.as_str()).collect();
            wrong("kind", format!("kinds are {}", known.join(", ")))
        })?),
    };
    let view = app.view()?;
    let directory = app.directories.of(&view);
    let (evaluation, snapshot) = (view.evaluation(), &view.loaded().snapshot);
    let seen = app.systems_seen(&person, Action::SeeSystem);
    let needle = query.q.as_deref().map(str::to_lowercase).unwrap_or_default();
    let of = query.identity.as_deref().map(|key| key.trim().to_lowercase());
    let owner = |account: u32| match &evaluation.correlation[account as usize] {
        Correlation::To { identity, .. } => Some(&evaluation.identities[*identity as usize].key),
        _ => None,
    };
    let account_of =
        |position: u32| &snapshot.accounts[snapshot.credentials[position as usize].account as usize];
    let wanted = |position: &u32| {
        let row = &snapshot.credentials[*position as usize];
        let (account, credential) = (account_of(*position), &row.credential);
        let system = snapshot.system(account.system);
        let holds = |text: &str| text.to_lowercase().contains(&needle);
        query.system.as_deref().is_none_or(|name| system.as_str() == name)
            && of.as_deref().is_none_or(|key| owner(row.account).is_some_and(|own| own.folded() == key))
            && kind.is_none_or(|kind| credential.kind == kind)
            && query.active.is_none_or(|active| credential.active == active)
            && (needle.is_empty()
                || [&credential.label, &credential.key.0, &account.account.login]
                    .iter()
                    .any(|text| holds(text)))
            && seen.has(system)
    };
    let key = |position: &u32| -> (&SystemName, &AccountKey, &CredentialKey) {
        let account = account_of(*position);
        let credential = &snapshot.credentials[*position as usize].credential;
        (snapshot.system(account.system), &account.account.key, &credential.key)
    };
    let after = match after {
        None => None,
        Some((system, account, credential)) => {
            Some((super::system_name(&system)?, AccountKey::from(account), CredentialKey::from(credential)))
        }
    };
    let after = after.as_ref().map(|(system, account, credential)| (system, account, credential));
    let (found, next) = paging::page(&directory.credentials, limit, after, key, wanted);
    let limit = evaluation.inputs.policy.limits.credential_age_max;
    let items = found.into_iter().map(|position| {
        let (account, row) = (account_of(*position), &snapshot.credentials[*position as usize]);
        let credential = &row.credential;
        let (last_use, last_used_at) = match credential.last_use {
            LastUse::Unknown => ("unknown", None),
            LastUse::Never => ("never", None),
            LastUse::At(at) => ("at", Some(at)),
        };
        let age = credential.created_at.map(|created| view.as_of().duration_since(created));
        CredentialRow {
            system: snapshot.system(account.system).to_string(),
            account: account.account.login.clone(),
            account_key: account.account.key.to_string(),
            identity: owner(row.account).map(ToString::to_string),
            key: credential.key.to_string(),
            kind: credential.kind.as_str(),
            label: credential.label.clone(),
            active: credential.active,
            created_at: credential.created_at,
            created_by: credential.created_by.clone(),
            expires_at: credential.expires_at,
            last_use,
            last_used_at,
            scope: credential.scope.clone(),
            older_than_allowed: age.zip(limit).map(|(age, limit)| age > limit),
        }
    });
    Ok(Json(CredentialList { items: items.collect(), next }))
}
