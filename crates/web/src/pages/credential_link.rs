//! The link by which somebody gets a new credential, once. Looking at it does not use it up: programs that read mail look
//! at every link.

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use jiff::Timestamp;
use leasehold_model::id::IdentityKey;
use leasehold_model::text::safe;
use leasehold_reconcile::workflow::credential_link::Refusal;
use leasehold_store::{CredentialLink, NewCredentialLink, Store};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use url::Url;

use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::parts::Moment;
use crate::route::{Access, Route};
use crate::security::{secret_hash, secret_text};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/credential-link", Access::Open, || get(show)),
    Route::page(Method::POST, "/credential-link", Access::Open, || post(open)),
];

#[derive(Template)]
#[template(path = "credential_link.html")]
struct LinkPage {
    frame: Frame,
    token: String,
    system: String,
    login: String,
    expires: Moment,
    complaint: String,
}

#[derive(Template)]
#[template(path = "credential_opened.html")]
struct OpenedPage {
    frame: Frame,
    system: String,
    login: String,
    kind: String,
    secret: String,
    instructions: String,
    remark: String,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
}

/// Makes a link, and gives it with its address. Whoever has the address gets a credential of the account.
///
/// # Errors
/// Where the store fails, or the machine gives no randomness.
pub async fn make_credential_link(
    store: &Store,
    url: &Url,
    new: &NewCredentialLink,
    by: &str,
    now: Timestamp,
) -> Result<(CredentialLink, String), WebError> {
    let token = secret_text()?;
    let link = store.make_credential_link(&secret_hash(&token), new, by, now).await?;
    Ok((link, format!("{}/credential-link?token={token}", url.as_str().trim_end_matches('/'))))
}

fn not_in_force() -> WebError {
    WebError::NotFound("this link was opened, has expired or was taken back; it".to_owned())
}

async fn show(
    State(app): State<App>,
    frame: Frame,
    Query(Token { token }): Query<Token>,
) -> Result<Response, WebError> {
    let link = app.store.credential_link(&secret_hash(&token), app.now()).await?;
    frame::show(&page(&app, frame, token, &link.ok_or_else(not_in_force)?, String::new()))
}

fn page(app: &App, frame: Frame, token: String, link: &CredentialLink, complaint: String) -> LinkPage {
    LinkPage {
        frame: frame.titled("A credential for you"),
        token,
        system: link.of.system.to_string(),
        login: safe(&link.of.account.login).to_string(),
        expires: Moment::relative(link.of.expires_at, app.now()),
        complaint,
    }
}

/// Whether whoever made a link may hold nothing themselves any more.
fn has_left(app: &App, maker: &str) -> Result<bool, WebError> {
    let view = app.view()?;
    let index = view.evaluation().identity(&IdentityKey::from(maker));
    let identity = index.map(|index| &view.evaluation().identities[index.index()]);
    Ok(identity.is_some_and(|identity| !identity.may_hold_access(app.now())))
}

async fn open(
    State(app): State<App>,
    frame: Frame,
    Form(Token { token }): Form<Token>,
) -> Result<Response, WebError> {
    let hash = secret_hash(&token);
    // Kept to be shown again where the account is not ready yet: then the link is not used up.
    let link = app.store.credential_link(&hash, app.now()).await?.ok_or_else(not_in_force)?;
    if has_left(&app, &link.made_by)? {
        // What somebody who has left has in their mailbox lets nobody in.
        return Err(not_in_force());
    }
    match app.driver.open_credential_link(&hash).await {
        Ok(opened) => frame::show(&OpenedPage {
            frame: frame.titled("Your credential"),
            system: opened.link.of.system.to_string(),
            login: safe(&opened.link.of.account.login).to_string(),
            kind: opened.issued.kind.as_str().replace('_', " "),
            secret: opened.issued.secret.expose_secret().to_owned(),
            instructions: opened.issued.instructions,
            remark: opened.remark,
        }),
        Err(Refusal::NotInForce) => Err(not_in_force()),
        Err(Refusal::Store(error)) => Err(error.into()),
        Err(Refusal::Reconcile(error)) => Err(WebError::internal(error)),
        Err(Refusal::Target(why)) => {
            // What a target says of itself is for whoever made the link: it stands in the list of links.
            tracing::warn!(link = %link.id, %why, "a credential link gave no credential");
            let complaint =
                "The system gave no credential. The link is used up: ask whoever sent it for another one.";
            frame::show_with(
                StatusCode::BAD_GATEWAY,
                &page(&app, frame, String::new(), &link, complaint.to_owned()),
            )
        }
        Err(refusal) => {
            tracing::info!(link = %link.id, why = %refusal, "a credential link was opened too early, or too late");
            let complaint = "The account is not open for you at present. Nothing was made, and the link still works: try \
                             later, or ask whoever sent it.";
            frame::show_with(StatusCode::CONFLICT, &page(&app, frame, token, &link, complaint.to_owned()))
        }
    }
}
