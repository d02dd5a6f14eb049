//! The API for programs: `/api/v1`, one file a resource, each with its table of routes.
//!
//! Lists are `{"items": […], "next": …}`: `next` is the cursor of the following page, null on the last. Errors are
//! problems by RFC 9457. Names of fields are those of `docs/json.md` where the same thing stands there.

pub(crate) mod accounts;
pub(crate) mod actions;
pub(crate) mod baselines;
pub(crate) mod capabilities;
pub(crate) mod checks;
pub(crate) mod conditional;
pub(crate) mod connectors;
pub(crate) mod credential_links;
pub(crate) mod credentials;
pub(crate) mod deliveries;
pub(crate) mod device;
pub(crate) mod document;
pub(crate) mod drift;
pub(crate) mod entitlements;
pub(crate) mod events;
pub(crate) mod first_log_ins;
pub(crate) mod grants;
pub(crate) mod idempotency;
pub(crate) mod identities;
pub(crate) mod ledger;
pub(crate) mod me;
pub(crate) mod notices;
pub(crate) mod offboard;
pub(crate) mod paging;
pub(crate) mod passkeys;
pub(crate) mod plans;
pub(crate) mod policy;
pub(crate) mod receipts;
pub(crate) mod sessions;
pub(crate) mod stewards;
pub(crate) mod systems;
pub(crate) mod tasks;
pub(crate) mod tokens;
pub(crate) mod users;
pub(crate) mod webhooks;

use jiff::Timestamp;
use leasehold_model::id::SystemName;
use leasehold_reconcile::live::View;
use leasehold_reconcile::stages::decide::Loaded;

use crate::error::WebError;
use crate::form::Complaints;
use crate::state::App;

/// What one parameter of a request says that cannot be used.
fn wrong(field: &str, message: impl Into<String>) -> WebError {
    WebError::Invalid(Complaints::one(field, message).into_fields())
}

/// The name of a system in a request.
fn system_name(text: &str) -> Result<SystemName, WebError> {
    SystemName::new(text).map_err(|error| wrong("system", error.to_string()))
}

/// Asks a question of the present state, or of what was known at an earlier instant, away from the threads that serve.
async fn with_state<T: Send + 'static>(
    app: &App,
    at: Option<Timestamp>,
    ask: impl FnOnce(&View) -> Result<T, WebError> + Send + 'static,
) -> Result<T, WebError> {
    let view = app.view()?;
    let Some(at) = at else {
        return tokio::task::spawn_blocking(move || ask(&view)).await.map_err(WebError::internal)?;
    };
    if at > app.now() {
        return Err(wrong("at", "this is in the future: name an instant that has passed"));
    }
    let settings = view.loaded().settings.clone();
    let loaded = Loaded::load_with(&app.store, settings, app.now(), Some(at)).await?;
    let revision = view.revision();
    let work = move || ask(&View::new(loaded, revision, at)?);
    tokio::task::spawn_blocking(work).await.map_err(WebError::internal)?
}
