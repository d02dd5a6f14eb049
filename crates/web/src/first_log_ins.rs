//! First log-ins that wait: accounts that were made here for somebody who has nothing yet to log in with. Whoever manages them
//! makes the one-time link and sends it to them.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use leasehold_decide::authority::Action;
use leasehold_model::id::{AccountKey, IdentityKey, SystemName};
use leasehold_reconcile::view::View;

use crate::error::WebError;
use crate::person::Person;
use crate::state::App;

/// What was made longer ago has its log-in from elsewhere.
const WAITS_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);
/// More are not listed at once.
const LISTED_MAX: u32 = 500;

/// A first log-in that waits.
pub(crate) struct FirstLogIn {
    pub identity: IdentityKey,
    pub system: SystemName,
    pub login: String,
    pub account: AccountKey,
    pub made_at: Timestamp,
}

/// The first log-ins that this person may hand over, the longest waiting first. Who has not begun yet, or may hold nothing any more,
/// is not among them, nor is oneself.
pub(crate) async fn waiting(app: &App, person: &Person, view: &View) -> Result<Vec<FirstLogIn>, WebError> {
    if !person.may_somewhere(app, Action::HandOverLogIn) {
        return Ok(Vec::new());
    }
    let now = app.now();
    let since = now.saturating_sub(WAITS_MAX).unwrap_or(Timestamp::MIN);
    let made = app.store.accounts_without_log_in(since, now, LISTED_MAX).await?;
    let issues: Vec<SystemName> = app
        .driver
        .systems()
        .into_iter()
        .filter(|face| face.capabilities.issue_credential.supported)
        .map(|face| face.name)
        .collect();
    let mut made_at: HashMap<(&SystemName, &str), Timestamp> = made
        .iter()
        .filter(|made| issues.contains(&made.item.system))
        .map(|made| ((&made.item.system, made.item.account.as_str()), made.made_at))
        .collect();
    if made_at.is_empty() {
        return Ok(Vec::new());
    }
    let evaluation = view.evaluation();
    let snapshot = evaluation.inputs.snapshot;
    let mut found = Vec::new();
    for (position, observed) in (0u32..).zip(&snapshot.accounts) {
        let system = snapshot.system(observed.system);
        let Some(made_at) = made_at.remove(&(system, observed.account.login.as_str())) else { continue };
        let Some(index) = evaluation.graph.identity_of(evaluation.index_of(position)) else { continue };
        let identity = &evaluation.identities[index.index()];
        let is_own = person.identity().is_some_and(|own| own.folded() == identity.key.folded());
        let is_theirs = observed.account.enabled && identity.may_hold_access(now) && !is_own;
        if is_theirs && person.may(app, Action::HandOverLogIn, &app.resource_of_identity(identity)) {
            found.push(FirstLogIn {
                identity: identity.key.clone(),
                system: system.clone(),
                login: observed.account.login.clone(),
                account: observed.account.key.clone(),
                made_at,
            });
        }
    }
    found.sort_by(|one, other| {
        (one.made_at, &one.system, &one.login).cmp(&(other.made_at, &other.system, &other.login))
    });
    Ok(found)
}
