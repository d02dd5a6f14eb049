//! One evaluated state, made once and read by everybody: facts, claims, what follows from them, and drift.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use leasehold_decide::evaluate::Evaluation;
use leasehold_decide::lease::{LeaseCounts, lease_counts};
use leasehold_decide::plan::{Scope, plan};
use leasehold_decide::rules;
use leasehold_model::decision::{DriftItem, DriftKind};
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::plan::Plan;
use leasehold_model::snapshot::SystemState;
use leasehold_store::Revision;
use self_cell::self_cell;

use crate::error::ReconcileError;
use crate::moment;
use crate::stages::decide::Loaded;
use crate::trace::SPANS;

self_cell!(
    /// What was loaded, and the evaluation that borrows from it.
    struct Evaluated {
        owner: Loaded,
        #[covariant]
        dependent: Evaluation,
    }
);

/// What does not change when a system was read again and showed nothing new.
struct Core {
    evaluated: Evaluated,
    drift: Vec<DriftItem>,
    /// When time alone changes a decision next.
    moves_at: Option<Timestamp>,
    by_identity: OnceLock<HashMap<String, Vec<u32>>>,
    by_system: OnceLock<HashMap<SystemName, Vec<u32>>>,
    by_kind: OnceLock<BTreeMap<DriftKind, usize>>,
    leases: OnceLock<LeaseCounts>,
}

/// One immutable evaluated state. Whoever holds it sees the same answer to every question, however long that takes.
pub struct View {
    core: Arc<Core>,
    systems: Vec<SystemState>,
    revision: Revision,
    loaded_at: Timestamp,
}

impl View {
    /// Evaluates what was loaded; `revision` was read before loading. This computes: not for the threads that serve.
    ///
    /// # Errors
    /// Where the facts contradict each other.
    pub fn new(loaded: Loaded, revision: Revision, loaded_at: Timestamp) -> Result<Self, ReconcileError> {
        let _evaluating = tracing::info_span!(target: SPANS, "evaluate").entered();
        let systems = loaded.snapshot.systems.clone();
        let moves_at = moment::next(&loaded);
        let evaluated = Evaluated::try_new(loaded, Loaded::evaluate)?;
        let drift = rules::drift(evaluated.borrow_dependent());
        let core = Core {
            evaluated,
            drift,
            moves_at,
            by_identity: OnceLock::new(),
            by_system: OnceLock::new(),
            by_kind: OnceLock::new(),
            leases: OnceLock::new(),
        };
        Ok(Self { core: Arc::new(core), systems, revision, loaded_at })
    }

    /// The same state where systems were read again without showing anything new.
    pub(crate) fn read_again(&self, systems: Vec<SystemState>, revision: Revision, at: Timestamp) -> Self {
        Self { core: self.core.clone(), systems, revision, loaded_at: at }
    }

    /// Facts and claims.
    pub fn loaded(&self) -> &Loaded {
        self.core.evaluated.borrow_owner()
    }

    /// What follows from them. Every further question is asked here.
    pub fn evaluation(&self) -> &Evaluation<'_> {
        self.core.evaluated.borrow_dependent()
    }

    /// All drift, in the order of kind, system, account, entitlement.
    pub fn drift(&self) -> &[DriftItem] {
        &self.core.drift
    }

    /// The instant that decisions are for.
    pub fn as_of(&self) -> Timestamp {
        self.loaded().now
    }

    /// When the store was last looked at for this state.
    pub fn loaded_at(&self) -> Timestamp {
        self.loaded_at
    }

    /// The store's revision that this shows. With [`View::as_of`] it names the state.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Every system that was ever read, with its latest enumerations. Fresher than `loaded().snapshot.systems`, which
    /// stays as it is while a system is read again and shows nothing new.
    pub fn systems(&self) -> &[SystemState] {
        &self.systems
    }

    /// The drift of an identity, in the order of [`View::drift`].
    pub fn drift_of_identity(&self, identity: &IdentityKey) -> impl ExactSizeIterator<Item = &DriftItem> {
        let index = self.core.by_identity.get_or_init(|| {
            grouped(&self.core.drift, |item| item.identity.as_ref().map(IdentityKey::folded))
        });
        self.items(index.get(&identity.folded()))
    }

    /// The drift of a system, in the order of [`View::drift`].
    pub fn drift_of_system(&self, system: &SystemName) -> impl ExactSizeIterator<Item = &DriftItem> {
        let index =
            self.core.by_system.get_or_init(|| grouped(&self.core.drift, |item| Some(item.system.clone())));
        self.items(index.get(system))
    }

    /// How much drift there is of each kind that there is any of.
    pub fn drift_counts(&self) -> &BTreeMap<DriftKind, usize> {
        self.core.by_kind.get_or_init(|| {
            let mut counts = BTreeMap::new();
            for item in &self.core.drift {
                *counts.entry(item.kind).or_default() += 1;
            }
            counts
        })
    }

    /// What access is held for, in numbers. The first question computes: not for the threads that serve.
    pub fn lease_counts(&self) -> &LeaseCounts {
        self.core.leases.get_or_init(|| lease_counts(self.evaluation()))
    }

    /// What would close the drift of a scope. This computes: not for the threads that serve.
    pub fn plan(&self, scope: &Scope) -> Plan {
        plan(self.evaluation(), self.drift(), scope, self.loaded().fingerprint())
    }

    /// Whether the other view shows the same evaluated state, however often systems were read again in between.
    pub fn is_same_state(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }

    /// Whether time alone may have changed a decision since.
    pub(crate) fn is_outdated(&self, now: Timestamp, after_ms: i64) -> bool {
        let age_ms = now.as_millisecond().saturating_sub(self.as_of().as_millisecond());
        age_ms >= after_ms || self.core.moves_at.is_some_and(|at| at <= now)
    }

    fn items(&self, positions: Option<&Vec<u32>>) -> impl ExactSizeIterator<Item = &DriftItem> {
        let positions = positions.map_or(&[][..], Vec::as_slice);
        positions.iter().map(|position| &self.core.drift[*position as usize])
    }
}

fn grouped<K: std::hash::Hash + Eq>(
    drift: &[DriftItem],
    key: impl Fn(&DriftItem) -> Option<K>,
) -> HashMap<K, Vec<u32>> {
    let mut groups: HashMap<K, Vec<u32>> = HashMap::new();
    for (position, item) in (0u32..).zip(drift) {
        if let Some(key) = key(item) {
            groups.entry(key).or_default().push(position);
        }
    }
    groups
}
