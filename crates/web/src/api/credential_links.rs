//! Links that give their holder a new credential, once: made, listed and taken back.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use leasehold_decide::authority::Action;
use leasehold_model::id::SystemName;
use leasehold_reconcile::workflow::credential_link::{self, LASTS_DEFAULT, Refusal, Wanted};
use leasehold_store::{CredentialLink, CredentialLinkState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::document::Problems;
use super::{system_name, wrong};
use crate::error::WebError;
use crate::pages::credential_link::make_credential_link;
use crate::person::Person;
use crate::route::Route;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::call(Method::GET, "/api/v1/credential-links", Action::IssueCredential, || routes!(list)),
    Route::call(Method::POST, "/api/v1/credential-links", Action::IssueCredential, || routes!(create)),
    Route::call(Method::DELETE, "/api/v1/credential-links/{id}", Action::IssueCredential, || {
        routes!(withdraw)
    }),
];

/// So many of the latest links are listed.
const LISTED_MAX: u32 = 500;

/// A link to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewLink {
    /// The system that the account is in.
    system: String,
    /// The account, by its login or its key.
    account: String,
    /// How long the link lasts, in hours; 72 where nothing is said, 336 at most.
    hours: Option<i64>,
    /// The key of the credential that the new one replaces.
    replaces: Option<String>,
    /// For how many hours both stay after the link was opened; 0 where nothing is said.
    overlap_hours: Option<i64>,
}

/// A link, without its address.
#[derive(Serialize, ToSchema)]
struct LinkRow {
    id: String,
    system: String,
    /// The account's login.
    account: String,
    account_key: String,
    identity: String,
    /// The key of the credential that the new one replaces.
    replaces: Option<String>,
    overlap_hours: i64,
    /// `waiting`, `opened`, `issued`, `not_issued` or `withdrawn`. One that stays `opened` belongs to a process that died:
    /// what came of it is not known.
    #[schema(value_type = String)]
    state: CredentialLinkState,
    made_by: String,
    #[schema(value_type = String, format = DateTime)]
    made_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    opened_at: Option<Timestamp>,
    /// What came of it, for people.
    remark: Option<String>,
}

impl From<CredentialLink> for LinkRow {
    fn from(link: CredentialLink) -> Self {
        Self {
            id: link.id,
            system: link.of.system.to_string(),
            account: link.of.account.login,
            account_key: link.of.account.key.to_string(),
            identity: link.of.identity.to_string(),
            replaces: link.of.replaces.map(|credential| credential.to_string()),
            overlap_hours: SignedDuration::from_millis(link.of.overlap_ms).as_hours(),
            state: link.state,
            made_by: link.made_by,
            made_at: link.made_at,
            expires_at: link.of.expires_at,
            opened_at: link.opened_at,
            remark: link.remark,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct LinkList {
    items: Vec<LinkRow>,
}

/// A link with its address, which is shown once.
#[derive(Serialize, ToSchema)]
struct MadeLink {
    link: LinkRow,
    /// Whoever has it gets the credential.
    url: String,
}

#[utoipa::path(get, path = "/api/v1/credential-links", tag = "credentials",
    responses((status = 200, description = "The latest 500 links, the newest first", body = LinkList), Problems))]
/// Links that were made, and what came of them.
async fn list(State(app): State<App>, person: Person) -> Result<Json<LinkList>, WebError> {
    let links = app.store.credential_links(LISTED_MAX).await?;
    let may = |link: &CredentialLink| {
        person.may(&app, Action::IssueCredential, &app.resource_of_system(&link.of.system))
    };
    Ok(Json(LinkList { items: links.into_iter().filter(may).map(LinkRow::from).collect() }))
}

#[utoipa::path(post, path = "/api/v1/credential-links", tag = "credentials", request_body = NewLink,
    responses((status = 201, description = "The link with its address", body = MadeLink), Problems))]
/// Makes a link by which the holder of an account gets a new credential, once.
async fn create(
    State(app): State<App>,
    person: Person,
    Json(new): Json<NewLink>,
) -> Result<Response, WebError> {
    let hours = |field: &str, hours: Option<i64>, default: SignedDuration| match hours {
        None => Ok(default),
        Some(hours @ 0..=100_000) => Ok(SignedDuration::from_hours(hours)),
        Some(_) => Err(wrong(field, "write a number of hours")),
    };
    let wanted = Wanted {
        system: system_name(&new.system)?,
        account: new.account,
        replaces: new.replaces,
        overlap: hours("overlap_hours", new.overlap_hours, SignedDuration::ZERO)?,
        lasts: hours("hours", new.hours, LASTS_DEFAULT)?,
    };
    let (link, url) = make(&app, &person, &wanted).await?;
    Ok((StatusCode::CREATED, Json(MadeLink { link: link.into(), url })).into_response())
}

#[utoipa::path(delete, path = "/api/v1/credential-links/{id}", tag = "credentials",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "It no longer works"), Problems))]
/// Takes a link back that nobody has opened.
async fn withdraw(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<StatusCode, WebError> {
    let missing = || WebError::NotFound(format!("a link {id} that waits"));
    let link = app.store.credential_link_by_id(&id).await?.ok_or_else(missing)?;
    person.require(&app, Action::IssueCredential, &app.resource_of_system(&link.of.system))?;
    match app.store.withdraw_credential_link(&id, person.actor(), app.now()).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(missing()),
    }
}

/// Makes a link where this person may, never for an account of their own.
pub(crate) async fn make(
    app: &App,
    person: &Person,
    wanted: &Wanted,
) -> Result<(CredentialLink, String), WebError> {
    person.require(app, Action::IssueCredential, &app.resource_of_system(&wanted.system))?;
    make_allowed(app, person, wanted).await
}

/// The same where it was asked already whether this person may.
pub(crate) async fn make_allowed(
    app: &App,
    person: &Person,
    wanted: &Wanted,
) -> Result<(CredentialLink, String), WebError> {
    person.require_confirmed(app.now())?;
    let view = app.view()?;
    let face = app.driver.systems().into_iter().find(|system| system.name == wanted.system);
    let capabilities = face.map(|face| face.capabilities).ok_or_else(|| no_system(&wanted.system))?;
    let loaded = view.loaded().at(app.now());
    let new = credential_link::check(&loaded, &capabilities, wanted).map_err(|refusal| match refusal {
        Refusal::Reconcile(error) => WebError::internal(error),
        Refusal::Store(error) => error.into(),
        Refusal::Time(why) => wrong("hours", why),
        Refusal::UnknownAccount { .. } => wrong("account", refusal.to_string()),
        Refusal::UnknownCredential { .. } => wrong("replaces", refusal.to_string()),
        refusal => WebError::Refused(refusal.to_string()),
    })?;
    if person.identity().is_some_and(|own| own.folded() == new.identity.folded()) {
        return Err(WebError::Refused(
            "nobody makes themselves a credential: somebody else sends you the link".to_owned(),
        ));
    }
    make_credential_link(&app.store, &app.settings.url, &new, person.actor(), app.now()).await
}

fn no_system(name: &SystemName) -> WebError {
    wrong("system", format!("there is no system `{name}` in leasehold.toml"))
}
