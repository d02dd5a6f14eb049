//! How long it takes from when somebody leaves until what they held is read back as gone, by system, and how much is still there.

use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use leasehold_model::action::ActionState;
use leasehold_model::decision::{DriftItem, DriftKind};
use leasehold_model::id::{
    AccountKey, CredentialKey, EntitlementAddress, EntitlementName, IdentityKey, SystemName,
};
use leasehold_reconcile::view::View;
use leasehold_store::{ActionFilter, ActionOrder};

use crate::error::WebError;
use crate::state::App;

/// Of how many ended revocations the times are told, the latest.
const REVOCATIONS_MAX: usize = 5_000;

/// Whoever left longer ago is history: times are told of the others.
const LEFT_WITHIN: SignedDuration = SignedDuration::from_hours(90 * 24);

/// So long live sessions that nobody can end are told: tickets and idle connections do not last longer as a rule.
const RESIDUAL_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Times of ended revocations, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Times {
    sorted_ms: Vec<i64>,
}

impl Times {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.sorted_ms.len()
    }

    /// The time within which this share of them ended, by nearest rank, so that it is a time that was measured.
    pub(crate) fn within(&self, share: f64) -> Option<i64> {
        let position = (share * self.sorted_ms.len() as f64).ceil() as usize;
        self.sorted_ms.get(position.saturating_sub(1)).copied()
    }
}

impl FromIterator<i64> for Times {
    fn from_iter<Iter: IntoIterator<Item = i64>>(times_ms: Iter) -> Self {
        let mut sorted_ms: Vec<i64> = times_ms.into_iter().collect();
        sorted_ms.sort_unstable();
        Self { sorted_ms }
    }
}

/// Why something of a leaver is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// Ending it is under way.
    UnderWay,
    /// Nothing was begun: a plan waits for approval, or none was made.
    NotBegun,
    /// A guard holds it until a person decides.
    HeldByGuard,
    /// It could not be ended, and a person has to look.
    Stuck,
    /// It was ended as far as its system says, which nobody can read back.
    Unverifiable,
    /// Live sessions of an account that was closed: its system cannot end them, and they last until they close by themselves.
    Residual,
    /// Its connector cannot end it.
    CannotBeEnded,
    /// Its system is set to be reported about only.
    ReportedOnly,
}

impl Why {
    /// The name in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::UnderWay => "under_way",
            Self::NotBegun => "not_begun",
            Self::HeldByGuard => "held_by_guard",
            Self::Stuck => "stuck",
            Self::Unverifiable => "unverifiable",
            Self::Residual => "residual",
            Self::CannotBeEnded => "cannot_be_ended",
            Self::ReportedOnly => "reported_only",
        }
    }

    /// The same for people, after a number.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::UnderWay => "under way",
            Self::NotBegun => "not begun",
            Self::HeldByGuard => "held by a guard",
            Self::Stuck => "stuck",
            Self::Unverifiable => "cannot be read back",
            Self::Residual => "with live sessions that may last",
            Self::CannotBeEnded => "its system cannot end",
            Self::ReportedOnly => "only reported",
        }
    }

    fn of_state(state: ActionState) -> Option<Self> {
        match state {
            ActionState::Planned => Some(Self::HeldByGuard),
            ActionState::Stuck => Some(Self::Stuck),
            ActionState::Unverifiable => Some(Self::Unverifiable),
            ActionState::Approved
            | ActionState::Sent
            | ActionState::Acknowledged
            | ActionState::Contradicted => Some(Self::UnderWay),
            ActionState::Verified | ActionState::Void => None,
        }
    }
}

/// How much of leavers' is still there, by why.
pub(crate) type Left = BTreeMap<Why, usize>;

/// What became of leavers' access.
#[derive(Debug, Default)]
pub(crate) struct Leavers {
    /// In all systems together.
    pub(crate) all: Times,
    /// By system; also those in which nothing has ended yet and something is left.
    pub(crate) by_system: BTreeMap<SystemName, (Times, Left)>,
}

/// What an action or an item of drift is about.
type About<'item> =
    (&'item SystemName, &'item str, Option<&'item EntitlementName>, Option<&'item CredentialKey>);

impl Leavers {
    /// Of the present state.
    pub(crate) async fn of(app: &App, view: &View) -> Result<Self, WebError> {
        let now = view.as_of();
        let evaluation = view.evaluation();
        let has_left = |key: Option<&IdentityKey>| {
            let index = key.and_then(|key| evaluation.identity(key));
            index.is_some_and(|index| evaluation.identities[index.index()].has_left(now))
        };
        let ago = |time: SignedDuration| now.checked_sub(time).unwrap_or(Timestamp::MIN);
        let mut times_ms: BTreeMap<SystemName, Vec<i64>> = BTreeMap::new();
        for revocation in app.store.leaver_revocations(ago(LEFT_WITHIN), REVOCATIONS_MAX).await? {
            times_ms.entry(revocation.system).or_default().push(revocation.taken_ms);
        }
        let all = times_ms.values().flatten().copied().collect();
        let mut by_system: BTreeMap<SystemName, (Times, Left)> = BTreeMap::new();
        for (system, times_ms) in times_ms {
            by_system.entry(system).or_default().0 = times_ms.into_iter().collect();
        }
        // Sessions, too, of which no drift tells.
        let mut rows = app.store.waiting_actions().await?;
        rows.extend(app.store.unfinished_actions().await?);
        let unverifiable =
            ActionFilter { states: vec![ActionState::Unverifiable], ..ActionFilter::default() };
        rows.extend(
            app.store.action_rows(&unverifiable, ActionOrder::NewestChange, 0, REVOCATIONS_MAX).await?,
        );
        rows.retain(|row| {
            let is_history = row.state == ActionState::Unverifiable
                && row.sent_at.is_some_and(|sent_at| sent_at < ago(LEFT_WITHIN));
            row.item.verb.takes_away() && has_left(row.item.identity.as_ref()) && !is_history
        });
        let mut told: HashSet<About<'_>> = HashSet::new();
        for row in &rows {
            let item = &row.item;
            let credential = item.credential.as_ref().map(|credential| &credential.key);
            told.insert((&item.system, item.account_key.as_str(), item.entitlement.as_ref(), credential));
            if let Some(why) = Why::of_state(row.state) {
                *by_system.entry(item.system.clone()).or_default().1.entry(why).or_default() += 1;
            }
        }
        for item in view.drift().iter().filter(|item| item.kind == DriftKind::Leaver) {
            let account = item.account.as_ref().map_or("", AccountKey::as_str);
            let credential = item.credential.as_ref().map(|credential| &credential.key);
            if !told.contains(&(&item.system, account, item.entitlement.as_ref(), credential)) {
                let why = not_begun(view, item);
                *by_system.entry(item.system.clone()).or_default().1.entry(why).or_default() += 1;
            }
        }
        for (system, number) in app.store.leaver_residuals(ago(RESIDUAL_FOR)).await? {
            *by_system.entry(system).or_default().1.entry(Why::Residual).or_default() +=
                usize::try_from(number).unwrap_or(usize::MAX);
        }
        Ok(Self { all, by_system })
    }
}

/// Why nothing is under way for something.
fn not_begun(view: &View, item: &DriftItem) -> Why {
    let evaluation = view.evaluation();
    let Some(settings) = evaluation.inputs.systems.get(&item.system) else { return Why::NotBegun };
    if settings.report_only.contains(&item.kind) {
        return Why::ReportedOnly;
    }
    let abilities = &settings.can;
    let can = match (&item.entitlement, &item.credential) {
        (Some(name), _) => {
            let address = EntitlementAddress { system: item.system.clone(), entitlement: name.clone() };
            let observed =
                evaluation.entitlement(&address).and_then(|found| evaluation.observed_entitlement(found));
            abilities.revoke && observed.is_none_or(|observed| observed.irrevocable.is_none())
        }
        (None, Some(_)) => abilities.revoke_credential || abilities.disable_credential,
        (None, None) => abilities.disable_account || abilities.delete_account,
    };
    if can { Why::NotBegun } else { Why::CannotBeEnded }
}

#[cfg(test)]
mod tests {
    use super::Times;

    #[test]
    fn a_share_is_a_time_that_was_measured() {
        let times: Times = [5, 1, 9, 7].into_iter().collect();
        assert_eq!([0.5, 0.95, 1.0].map(|share| times.within(share)), [Some(5), Some(9), Some(9)]);
        assert_eq!(Times::default().within(0.5), None);
    }
}
