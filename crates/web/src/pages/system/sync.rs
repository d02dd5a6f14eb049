//! Asking for a reading of a system now. A task does it.

use axum::extract::{Path, State};
use axum::response::Response;
use leasehold_decide::authority::Action;
use leasehold_reconcile::error::ReconcileError;

use super::seen;
use crate::error::WebError;
use crate::flash::{FlashKind, redirect_with};
use crate::parts::link::system_path;
use crate::person::Person;
use crate::present::Present;
use crate::state::App;

/// Asks for it.
pub(super) async fn now(
    State(app): State<App>,
    person: Person,
    Present(view): Present,
    Path(name): Path<String>,
) -> Result<Response, WebError> {
    let name = seen(&app, &person, &view, &name)?;
    person.require(&app, Action::RunSync, &app.resource_of_system(&name))?;
    let requested = app.driver.request_sync(&name, false, person.actor()).await;
    let text = match requested {
        Ok(leasehold_store::Requested::Queued(_)) => {
            format!("{name} is being read; this page shows it once it is done")
        }
        Ok(leasehold_store::Requested::Coalesced(_)) => format!("{name} was about to be read already"),
        Err(ReconcileError::UnknownSystem(_)) => {
            return Err(WebError::Conflict(format!(
                "{name} is not configured any more, so it cannot be read"
            )));
        }
        Err(error) => return Err(WebError::internal(error)),
    };
    Ok(redirect_with(&app, &system_path(&name), FlashKind::Done, &text))
}
