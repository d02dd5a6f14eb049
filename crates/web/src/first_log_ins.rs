//! First log-ins that wait: accounts that were made here for somebody who has nothing yet to log in with. Whoever manages them
//! makes the one-time link and sends it to them.

use jiff::{SignedDuration, Timestamp};
use leasehold_decide::authority::Action;
use leasehold_model::account::LastUse;
use leasehold_model::id::{AccountKey, IdentityKey, SystemName};
use leasehold_model::identity::IdentityKind;
use leasehold_reconcile::view::View;
use leasehold_store::MadeAccount;

use crate::error::WebError;
use crate::person::Person;
use crate::state::App;

/// What was made longer ago has its log-in from elsewhere.
const WAITS_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);
/// More are not looked at: the latest count.
const LOOKED_AT_MAX: u32 = 10_000;

/// A first log-in that waits.
pub(crate) struct FirstLogIn {
    pub identity: IdentityKey,
    pub system: SystemName,
    pub login: String,
    pub account: AccountKey,
    pub made_at: Timestamp,
}

/// The first log-ins that this person may hand over, the longest waiting first.
pub(crate) async fn waiting(app: &App, person: &Person, view: &View) -> Result<Vec<FirstLogIn>, WebError> {
    if !person.may_somewhere(app, Action::HandOverLogIn) {
        return Ok(Vec::new());
    }
    let now = app.now();
    let since = now.saturating_sub(WAITS_MAX).unwrap_or(Timestamp::MIN);
    let made = app.store.accounts_without_log_in(since, now, LOOKED_AT_MAX).await?;
    let issues: Vec<SystemName> = app
        .driver
        .systems()
        .into_iter()
        .filter(|face| face.capabilities.issue_credential.supported)
        .map(|face| face.name)
        .collect();
    let made = made.into_iter().filter(|made| issues.contains(&made.item.system));
    let mut found: Vec<FirstLogIn> = made.filter_map(|made| of_account(app, person, view, &made)).collect();
    found.sort_by(|one, other| {
        (one.made_at, &one.system, &one.login).cmp(&(other.made_at, &other.system, &other.login))
    });
    found.dedup_by(|one, other| (&one.system, &one.account) == (&other.system, &other.account));
    Ok(found)
}

/// The log-in of an account that was made, where it is still that of the person it was made for, who has begun, is somebody else than
/// who asks, and has never been in: whoever is in already has their log-in from elsewhere, and nobody else is handed another one.
fn of_account(app: &App, person: &Person, view: &View, made: &MadeAccount) -> Option<FirstLogIn> {
    let evaluation = view.evaluation();
    let snapshot = evaluation.inputs.snapshot;
    let index = evaluation.identity(made.item.identity.as_ref()?)?;
    let identity = &evaluation.identities[index.index()];
    let is_own = person.identity().is_some_and(|own| own.folded() == identity.key.folded());
    if is_own || identity.kind != IdentityKind::Person || !identity.may_hold_access(app.now()) {
        return None;
    }
    let account = evaluation.graph.accounts_of(index).find(|account| {
        let observed = evaluation.account(*account);
        *snapshot.system(observed.system) == made.item.system && observed.account.login == made.item.account
    })?;
    let observed = &evaluation.account(account).account;
    let has_log_in = snapshot
        .credentials_of(evaluation.position_of(account))
        .iter()
        .any(|credential| credential.credential.active);
    let was_in = matches!(observed.last_use, LastUse::At(_));
    let may = || person.may(app, Action::HandOverLogIn, &app.resource_of_identity(identity));
    (observed.takes_credentials() && !has_log_in && !was_in && may()).then(|| FirstLogIn {
        identity: identity.key.clone(),
        system: made.item.system.clone(),
        login: observed.login.clone(),
        account: observed.key.clone(),
        made_at: made.made_at,
    })
}
