//! Receipts of offboardings, for pages and calls alike: whose one may see, one that is written now, and the file of one.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use leasehold_decide::authority::{Action, Resource};
use leasehold_model::id::IdentityKey;
use leasehold_model::text::safe;
use leasehold_reconcile::workflow::receipt::{self, Asked, BundleError, OffboardingReceipt, Refusal};
use leasehold_store::ReceiptRow;

use crate::error::WebError;
use crate::heavy;
use crate::person::Person;
use crate::proof;
use crate::state::App;

/// Writes the receipt of somebody who has left, of what is known now.
///
/// # Errors
/// [`WebError::Conflict`] where they have not left, or what is done about them moves on.
pub(crate) async fn write(app: &App, person: &Person, key: &IdentityKey) -> Result<ReceiptRow, WebError> {
    person.require(app, Action::SeeLedger, &Resource::Installation)?;
    let asked = Asked { identity: key.clone(), by: person.actor().to_owned(), at: app.now(), since: None };
    let _turn = heavy::turn().await?;
    receipt::write(&app.store, &asked, &mut app.live.clone()).await.map_err(|refusal| match refusal {
        Refusal::Unknown(key) => WebError::NotFound(format!("identity `{}`", safe(key))),
        Refusal::Reconcile(error) => error.into(),
        refusal => WebError::Conflict(refusal.to_string()),
    })
}

/// Hands out a receipt as a file, to who may see the log and every identity.
///
/// # Errors
/// [`WebError::NotFound`] where it is not signed yet, [`WebError::Conflict`] where it was erased or does not fit the log.
pub(crate) async fn file(app: &App, person: &Person, id: &str) -> Result<Response, WebError> {
    person.require(app, Action::SeeLedger, &Resource::Installation)?;
    let what = || format!("receipt `{}`", safe(id));
    let row = match id.parse() {
        Ok(number) => app.store.receipt(number).await?,
        Err(_) => None,
    };
    let row = row.ok_or_else(|| WebError::NotFound(what()))?;
    // It names whatever was theirs, and opens what the log only commits to.
    if !proof::may_open(app, person) {
        return Err(WebError::NotFound(what()));
    }
    let (directory, key) = proof::place(app).await?.ok_or_else(|| BundleError::Unpublished.into_web())?;
    let built = OffboardingReceipt::build(&app.store, directory, key, &row).await;
    let receipt = built.map_err(IntoWeb::into_web)?;
    let json = receipt.to_json().map_err(WebError::internal)?;
    let name = format!("attachment; filename=\"{}\"", receipt.file_name(1));
    let headers =
        [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, json).into_response())
}

/// What a request ends in where there is no file.
trait IntoWeb {
    fn into_web(self) -> WebError;
}

impl IntoWeb for BundleError {
    fn into_web(self) -> WebError {
        match self {
            Self::Reconcile(error) => error.into(),
            Self::Unpublished => {
                WebError::NotFound("this receipt, in a log that is signed: it is within seconds,".to_owned())
            }
            other => WebError::Conflict(safe(other)),
        }
    }
}
