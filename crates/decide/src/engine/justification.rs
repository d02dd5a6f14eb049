//! What is claimed: roles, who has them, explicit reasons, baselines, withheld pairs and whose lifecycle allows access.
//!
//! The justified set of a live identity is the closure through containment of every unexpired role's and explicit
//! reason's entitlements, less what is withheld. A baseline justifies single direct grants and implies nothing.
//! An identity that is not live has nothing justified.

use std::collections::BTreeSet;

use roaring::RoaringBitmap;

use super::bits::{BitSet, PairSet};
use super::graph::Graph;
use super::rows::Rows;
use super::{
    AccountIndex, EngineError, EntitlementIndex, IdentityIndex, RoleIndex, Seconds, SystemIndex, known, pair,
};

/// One membership of an identity in a role. Birthright memberships are folded in here: one list per identity is what the
/// drift kernel reads fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Assignment {
    pub(crate) role: u32,
    pub(crate) end: Seconds,
}

/// One explicit reason of an identity for an entitlement; `source` is the caller's number for the claim behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Explicit {
    pub(crate) entitlement: u32,
    pub(crate) end: Seconds,
    pub(crate) source: u32,
}

/// Which direct grants of its system a baseline covers.
#[derive(Clone, Debug)]
pub(crate) enum Coverage {
    /// All but these, by `pair(account, entitlement)`: what was there when a whole system was adopted.
    AllExcept(PairSet<u64>),
    /// Only these.
    Only(PairSet<u64>),
}

/// A reason given to access that was there when a system was first connected.
#[derive(Clone, Debug)]
pub(crate) struct Baseline {
    pub(crate) system: u32,
    pub(crate) end: Seconds,
    pub(crate) source: u32,
    pub(crate) coverage: Coverage,
}

impl Baseline {
    /// Whether the baseline names this grant, expired or not. The caller has matched the system.
    #[inline]
    pub(crate) fn covers(&self, account: u32, entitlement: u32) -> bool {
        match &self.coverage {
            Coverage::AllExcept(except) => except.is_empty() || !except.contains(&pair(account, entitlement)),
            Coverage::Only(only) => only.contains(&pair(account, entitlement)),
        }
    }
}

/// All claims in dense form. Built by [`JustificationBuilder`]; changed through [`super::incremental::DriftState`].
#[derive(Clone, Debug)]
pub struct Justification {
    pub(crate) roles: Rows<u32>,
    /// Role entitlements with everything they contain; `None` when nothing contains anything, so `roles` serves for both.
    pub(crate) closed_roles: Option<Rows<u32>>,
    pub(crate) assignments: Rows<Assignment>,
    pub(crate) explicit: Rows<Explicit>,
    pub(crate) withheld: BTreeSet<u64>,
    /// Identities with an entry in `withheld`.
    pub(crate) has_withheld: BitSet,
    pub(crate) live: BitSet,
    pub(crate) baselines: Vec<Baseline>,
    pub(crate) baselines_of_system: Vec<Vec<u32>>,
}

impl Justification {
    /// Number of roles.
    pub fn role_count(&self) -> usize {
        self.roles.len()
    }

    /// Number of role memberships.
    pub fn assignment_count(&self) -> usize {
        self.assignments.value_count()
    }

    /// Number of explicit reasons.
    pub fn explicit_count(&self) -> usize {
        self.explicit.value_count()
    }

    /// Whether the identity's lifecycle allows access.
    pub fn is_live(&self, identity: IdentityIndex) -> bool {
        self.live.get(identity.index())
    }

    /// Whether the entitlement is withheld from the identity.
    pub fn is_withheld(&self, identity: IdentityIndex, entitlement: EntitlementIndex) -> bool {
        self.has_withheld.get(identity.index()) && self.withheld.contains(&pair(identity.0, entitlement.0))
    }

    /// The entitlements that a role names, without what they contain.
    pub fn role_entitlements(&self, role: RoleIndex) -> impl Iterator<Item = EntitlementIndex> + '_ {
        self.roles.row(role.0).iter().copied().map(EntitlementIndex)
    }

    /// Everything that a live identity may hold at `now` by role or explicit reason, ascending, what is carried included.
    pub fn justified_of(
        &self,
        graph: &Graph,
        identity: IdentityIndex,
        now: Seconds,
    ) -> BTreeSet<EntitlementIndex> {
        let mut justified = BTreeSet::new();
        for assignment in self.assignments.row(identity.0).iter().filter(|assignment| now < assignment.end) {
            justified.extend(self.closed_role(assignment.role).iter().copied().map(EntitlementIndex));
        }
        for explicit in self.explicit.row(identity.0).iter().filter(|explicit| now < explicit.end) {
            justified.extend(closure(graph, &[explicit.entitlement]).into_iter().map(EntitlementIndex));
        }
        for withheld in self.withheld_of(identity.0) {
            justified.remove(&EntitlementIndex(withheld));
        }
        justified
    }

    /// A role's entitlements with everything they contain.
    #[inline]
    pub(crate) fn closed_role(&self, role: u32) -> &[u32] {
        match &self.closed_roles {
            None => self.roles.row(role),
            Some(closed) => closed.row(role),
        }
    }

    /// The withheld entitlements of one identity, ascending.
    #[inline]
    pub(crate) fn withheld_of(&self, identity: u32) -> impl Iterator<Item = u32> + '_ {
        let range = self.has_withheld.get(identity as usize).then(|| {
            self.withheld.range(pair(identity, 0)..=pair(identity, u32::MAX)).map(|key| *key as u32)
        });
        range.into_iter().flatten()
    }

    /// The baselines of a system, expired ones included.
    #[inline]
    pub(crate) fn baselines_of(&self, system: u32) -> impl Iterator<Item = &Baseline> + '_ {
        self.baselines_of_system[system as usize].iter().map(|index| &self.baselines[*index as usize])
    }

    /// Sets a role's entitlements and its closure.
    pub(crate) fn set_role(&mut self, graph: &Graph, role: u32, entitlements: &[EntitlementIndex]) {
        let named: Vec<u32> = entitlements.iter().map(|entitlement| entitlement.0).collect();
        if let Some(closed) = &mut self.closed_roles {
            closed.replace(role, closure(graph, &named));
        }
        self.roles.replace(role, named);
    }

    /// Keeps baselines to the grants they were given to: what is added later, or comes back after a gap, is not covered.
    pub(crate) fn baseline_forgets(&mut self, system: u32, account: u32, entitlement: u32) {
        for index in &self.baselines_of_system[system as usize] {
            match &mut self.baselines[*index as usize].coverage {
                Coverage::AllExcept(except) => {
                    except.insert(pair(account, entitlement));
                }
                Coverage::Only(only) => {
                    only.remove(&pair(account, entitlement));
                }
            }
        }
    }

    /// Heap bytes.
    pub fn memory_bytes(&self) -> usize {
        let baselines: usize = self
            .baselines
            .iter()
            .map(|baseline| match &baseline.coverage {
                Coverage::AllExcept(set) | Coverage::Only(set) => set.capacity() * 9,
            })
            .sum();
        // A B-tree of 8-byte keys is on average three quarters full, with a small header per eleven keys.
        let withheld = self.withheld.len() * 12;
        self.roles.memory_bytes()
            + self.closed_roles.as_ref().map_or(0, Rows::memory_bytes)
            + self.assignments.memory_bytes()
            + self.explicit.memory_bytes()
            + self.has_withheld.memory_bytes()
            + self.live.memory_bytes()
            + withheld
            + baselines
    }
}

/// The entitlements with everything they contain.
fn closure(graph: &Graph, named: &[u32]) -> Vec<u32> {
    let mut all = named.to_vec();
    for entitlement in named {
        all.extend_from_slice(graph.containment.reaches(*entitlement));
    }
    all
}

/// A baseline that is being built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaselineHandle(u32);

/// Collects claims in any order. Nobody is live until [`JustificationBuilder::live`] says so.
#[derive(Debug, Default)]
pub struct JustificationBuilder {
    roles: Vec<Vec<u32>>,
    assignments: Vec<(u32, Assignment)>,
    explicit: Vec<(u32, Explicit)>,
    withheld: BTreeSet<u64>,
    live: RoaringBitmap,
    all_live: bool,
    baselines: Vec<Baseline>,
}

impl JustificationBuilder {
    /// No claims at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a role that grants these entitlements and, through containment, what they contain.
    pub fn add_role(&mut self, entitlements: impl IntoIterator<Item = EntitlementIndex>) -> RoleIndex {
        self.roles.push(entitlements.into_iter().map(|entitlement| entitlement.0).collect());
        RoleIndex(self.roles.len() as u32 - 1)
    }

    /// Gives an identity a role until `end`.
    pub fn assign(&mut self, identity: IdentityIndex, role: RoleIndex, end: Seconds) {
        self.assignments.push((identity.0, Assignment { role: role.0, end }));
    }

    /// Gives a role to every identity of a bitmap, as a birthright rule does.
    pub fn assign_members(&mut self, members: &RoaringBitmap, role: RoleIndex, end: Seconds) {
        self.assignments.extend(members.iter().map(|identity| (identity, Assignment { role: role.0, end })));
    }

    /// Gives an identity an explicit reason for an entitlement until `end`. `source` is the caller's own number for the
    /// assignment, exception, lease or request behind it, and comes back in every "because".
    pub fn add_explicit(
        &mut self,
        identity: IdentityIndex,
        entitlement: EntitlementIndex,
        end: Seconds,
        source: u32,
    ) {
        self.explicit.push((identity.0, Explicit { entitlement: entitlement.0, end, source }));
    }

    /// Withholds an entitlement from an identity whatever its reasons say: a review ended it, an SoD rule bars it.
    pub fn withhold(&mut self, identity: IdentityIndex, entitlement: EntitlementIndex) {
        self.withheld.insert(pair(identity.0, entitlement.0));
    }

    /// Marks an identity as one whose lifecycle allows access.
    pub fn live(&mut self, identity: IdentityIndex) {
        self.live.insert(identity.0);
    }

    /// Marks every identity of a bitmap as live.
    pub fn live_members(&mut self, members: &RoaringBitmap) {
        self.live |= members;
    }

    /// Marks every identity of the graph as live.
    pub fn all_live(&mut self) {
        self.all_live = true;
    }

    /// Gives every direct grant of a system a baseline reason until `end`; see [`JustificationBuilder::except`].
    pub fn add_baseline_of_system(
        &mut self,
        system: SystemIndex,
        end: Seconds,
        source: u32,
    ) -> BaselineHandle {
        self.push_baseline(system, end, source, Coverage::AllExcept(PairSet::default()))
    }

    /// Gives single direct grants of a system a baseline reason until `end`; see [`JustificationBuilder::cover`].
    pub fn add_baseline_of_grants(
        &mut self,
        system: SystemIndex,
        end: Seconds,
        source: u32,
    ) -> BaselineHandle {
        self.push_baseline(system, end, source, Coverage::Only(PairSet::default()))
    }

    fn push_baseline(
        &mut self,
        system: SystemIndex,
        end: Seconds,
        source: u32,
        coverage: Coverage,
    ) -> BaselineHandle {
        self.baselines.push(Baseline { system: system.0, end, source, coverage });
        BaselineHandle(self.baselines.len() as u32 - 1)
    }

    /// Leaves a grant out of a baseline: it appeared after the baseline was adopted, or was gone in between.
    pub fn except(&mut self, baseline: BaselineHandle, account: AccountIndex, entitlement: EntitlementIndex) {
        self.set_coverage(baseline, account, entitlement, false);
    }

    /// Takes a grant into a baseline.
    pub fn cover(&mut self, baseline: BaselineHandle, account: AccountIndex, entitlement: EntitlementIndex) {
        self.set_coverage(baseline, account, entitlement, true);
    }

    fn set_coverage(
        &mut self,
        baseline: BaselineHandle,
        account: AccountIndex,
        entitlement: EntitlementIndex,
        covered: bool,
    ) {
        let key = pair(account.0, entitlement.0);
        let (set, stored) = match &mut self.baselines[baseline.0 as usize].coverage {
            Coverage::AllExcept(set) => (set, !covered),
            Coverage::Only(set) => (set, covered),
        };
        if stored {
            set.insert(key);
        } else {
            set.remove(&key);
        }
    }

    /// Checks every index against the graph and builds the rows and closures.
    pub fn finish(self, graph: &Graph) -> Result<Justification, EngineError> {
        let (identities, entitlements) = (graph.identity_count(), graph.entitlement_count());
        for entitlement in self.roles.iter().flatten() {
            known("entitlement", *entitlement, entitlements)?;
        }
        for (identity, assignment) in &self.assignments {
            known("identity", *identity, identities)?;
            known("role", assignment.role, self.roles.len())?;
        }
        for (identity, explicit) in &self.explicit {
            known("identity", *identity, identities)?;
            known("entitlement", explicit.entitlement, entitlements)?;
        }
        let mut has_withheld = BitSet::default();
        for key in &self.withheld {
            known("identity", (*key >> 32) as u32, identities)?;
            known("entitlement", *key as u32, entitlements)?;
            has_withheld.set((*key >> 32) as usize);
        }
        let mut live = if self.all_live { BitSet::full(identities) } else { BitSet::new(identities) };
        for identity in &self.live {
            known("identity", identity, identities)?;
            live.set(identity as usize);
        }
        let mut baselines_of_system = vec![Vec::new(); graph.system_count()];
        for (index, baseline) in self.baselines.iter().enumerate() {
            known("system", baseline.system, graph.system_count())?;
            baselines_of_system[baseline.system as usize].push(index as u32);
        }
        let role_pairs = || flatten(&self.roles);
        let roles = Rows::group(self.roles.len(), "role entitlements", role_pairs)?;
        let closed_roles = if graph.containment.is_empty() {
            None
        } else {
            let closed: Vec<Vec<u32>> = self.roles.iter().map(|named| closure(graph, named)).collect();
            Some(Rows::group(closed.len(), "role entitlements", || flatten(&closed))?)
        };
        Ok(Justification {
            roles,
            closed_roles,
            assignments: Rows::group(identities, "assignments", || self.assignments.iter().copied())?,
            explicit: Rows::group(identities, "explicit reasons", || self.explicit.iter().copied())?,
            withheld: self.withheld,
            has_withheld,
            live,
            baselines: self.baselines,
            baselines_of_system,
        })
    }
}

fn flatten(lists: &[Vec<u32>]) -> impl Iterator<Item = (u32, u32)> + '_ {
    lists.iter().enumerate().flat_map(|(row, list)| list.iter().map(move |value| (row as u32, *value)))
}
