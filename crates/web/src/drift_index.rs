//! Drift in every order that pages list it in: sorted once for each evaluated state, not once for each request.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jiff::Timestamp;
use leasehold_model::decision::{DriftItem, DriftKind};
use leasehold_reconcile::view::View;
use leasehold_store::Revision;

/// What drift is grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DriftOrder {
    /// By kind, the most severe first.
    Kind,
    /// By system.
    System,
    /// By identity; accounts of nobody come last.
    Identity,
}

impl DriftOrder {
    /// Every order, with what people read.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Kind, "kind", "Kind"),
        (Self::System, "system", "System"),
        (Self::Identity, "identity", "Identity"),
    ];

    /// The order of this name; by kind where there is none.
    pub(crate) fn parse(name: &str) -> Self {
        Self::ALL.into_iter().find(|(_, known, _)| *known == name).map_or(Self::Kind, |(order, ..)| order)
    }

    /// Its name in addresses.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(order, ..)| *order == self).map_or("", |(_, name, _)| name)
    }

    /// Which of two groups comes first; the same where both items are of one group.
    pub(crate) fn compare(self, left: &DriftItem, right: &DriftItem) -> Ordering {
        match self {
            Self::Kind => left.kind.cmp(&right.kind),
            Self::System => left.system.cmp(&right.system),
            Self::Identity => identity(left).cmp(&identity(right)),
        }
    }
}

/// Whoever is known comes before accounts of nobody.
fn identity(item: &DriftItem) -> (bool, Option<String>) {
    (item.identity.is_none(), item.identity.as_ref().map(leasehold_model::id::IdentityKey::folded))
}

/// Positions in [`View::drift`], sorted.
#[derive(Debug, Default)]
pub(crate) struct DriftIndex {
    by_system: OnceLock<Vec<u32>>,
    by_identity: OnceLock<Vec<u32>>,
    oldest: OnceLock<BTreeMap<DriftKind, Timestamp>>,
}

impl DriftIndex {
    /// The positions of all drift in an order; drift is kept in the order of kinds already.
    pub(crate) fn positions<'index>(
        &'index self,
        view: &View,
        order: DriftOrder,
    ) -> Box<dyn Iterator<Item = u32> + 'index> {
        let drift = view.drift();
        let all = 0..u32::try_from(drift.len()).unwrap_or(u32::MAX);
        let sorted = || {
            let mut positions: Vec<u32> = all.clone().collect();
            match order {
                // Folding a key costs more than comparing it, so it is done once for each.
                DriftOrder::Identity => {
                    positions.sort_by_cached_key(|position| (identity(&drift[*position as usize]), *position))
                }
                _ => positions
                    .sort_by(|left, right| order.compare(&drift[*left as usize], &drift[*right as usize])),
            }
            positions
        };
        match order {
            DriftOrder::Kind => Box::new(all.clone()),
            DriftOrder::System => Box::new(self.by_system.get_or_init(sorted).iter().copied()),
            DriftOrder::Identity => Box::new(self.by_identity.get_or_init(sorted).iter().copied()),
        }
    }

    /// Since when the oldest drift of each kind is there, where that is known of any.
    pub(crate) fn oldest(&self, view: &View) -> &BTreeMap<DriftKind, Timestamp> {
        self.oldest.get_or_init(|| {
            let mut oldest: BTreeMap<DriftKind, Timestamp> = BTreeMap::new();
            for item in view.drift() {
                if let Some(since) = item.since {
                    oldest.entry(item.kind).and_modify(|at| *at = since.min(*at)).or_insert(since);
                }
            }
            oldest
        })
    }
}

/// The index of the state that was asked for last.
#[derive(Debug, Default)]
pub(crate) struct DriftIndexes(Mutex<Option<Kept>>);

/// The state that the index is of, and the index.
type Kept = ((Revision, Timestamp), Arc<DriftIndex>);

impl DriftIndexes {
    /// The index of a state.
    pub(crate) fn of(&self, view: &View) -> Arc<DriftIndex> {
        let state = (view.revision(), view.as_of());
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((known, index)) if *known == state => index.clone(),
            _ => kept.insert((state, Arc::default())).1.clone(),
        }
    }
}
