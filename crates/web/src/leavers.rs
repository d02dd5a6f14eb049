//! How long it takes until what leavers held is read back as gone, by system, and how much of theirs is still there.

use std::collections::BTreeMap;

use leasehold_model::decision::DriftKind;
use leasehold_model::id::SystemName;
use leasehold_reconcile::view::View;

use crate::error::WebError;
use crate::state::App;

/// Of how many ended revocations the times are told, the latest.
const REVOCATIONS_MAX: usize = 5_000;

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

/// What became of leavers' access.
#[derive(Debug, Default)]
pub(crate) struct Leavers {
    /// In all systems together.
    pub(crate) all: Times,
    /// By system; also those in which nothing has ended yet and something is left.
    pub(crate) by_system: BTreeMap<SystemName, (Times, usize)>,
}

impl Leavers {
    /// Of the present state.
    pub(crate) async fn of(app: &App, view: &View) -> Result<Self, WebError> {
        let now = view.as_of();
        let evaluation = view.evaluation();
        let mut times_ms: BTreeMap<SystemName, Vec<i64>> = BTreeMap::new();
        for revocation in app.store.revocations(REVOCATIONS_MAX).await? {
            let identity = revocation.identity.as_ref().and_then(|key| evaluation.identity(key));
            let has_left = identity.is_some_and(|index| evaluation.identities[index.index()].has_left(now));
            if has_left {
                times_ms.entry(revocation.system).or_default().push(revocation.taken_ms);
            }
        }
        let all = times_ms.values().flatten().copied().collect();
        let mut by_system: BTreeMap<SystemName, (Times, usize)> = BTreeMap::new();
        for (system, times_ms) in times_ms {
            by_system.entry(system).or_default().0 = times_ms.into_iter().collect();
        }
        for item in view.drift().iter().filter(|item| item.kind == DriftKind::Leaver) {
            by_system.entry(item.system.clone()).or_default().1 += 1;
        }
        Ok(Self { all, by_system })
    }
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
