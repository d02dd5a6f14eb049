//! Observed against justified, by full recompute: one pass over identities with mark bits that stay in the first-level cache.

use std::ops::Range;

use rayon::prelude::*;

use super::bits::Marks;
use super::graph::Graph;
use super::justification::Justification;
use super::{AccountIndex, EntitlementIndex, IdentityIndex, Seconds};

/// Why a row is drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DriftKind {
    /// Held, and no reason ever named it, or it is withheld.
    Unjustified,
    /// Held, and every reason that named it has ended.
    Expired,
    /// Held by an identity whose lifecycle allows nothing.
    NotLive,
    /// Named by a live reason, and held by no account of the identity, directly or through containment.
    Missing,
}

impl DriftKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [DriftKind; 4] =
        [DriftKind::Unjustified, DriftKind::Expired, DriftKind::NotLive, DriftKind::Missing];
}

/// One difference. For what is held too much it is a direct grant and names its account; for what is missing there is no
/// account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DriftRow {
    /// Whose.
    pub identity: IdentityIndex,
    /// The account that holds the grant, `None` for [`DriftKind::Missing`].
    pub account: Option<AccountIndex>,
    /// What is held or missing.
    pub entitlement: EntitlementIndex,
    /// Why it is drift.
    pub kind: DriftKind,
}

/// Receives drift rows. Rows of one identity come together, identities ascending within one sink.
pub trait Sink {
    /// Takes one row.
    fn row(&mut self, row: DriftRow);
}

impl Sink for Vec<DriftRow> {
    fn row(&mut self, row: DriftRow) {
        self.push(row);
    }
}

/// Counts rows by kind, with a checksum that does not depend on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Rows of each kind, in the order of [`DriftKind::ALL`].
    pub by_kind: [u64; 4],
    /// Sum over rows of a mix of identity, entitlement and whether it is missing.
    pub checksum: u64,
}

impl Count {
    /// All rows.
    pub fn total(&self) -> u64 {
        self.by_kind.iter().sum()
    }

    /// What is held too much, whatever the kind.
    pub fn extra(&self) -> u64 {
        self.total() - self.by_kind[DriftKind::Missing as usize]
    }

    /// Adds the count of another part.
    pub fn merge(self, other: Count) -> Count {
        let mut by_kind = self.by_kind;
        for (kind, rows) in by_kind.iter_mut().zip(other.by_kind) {
            *kind += rows;
        }
        Count { by_kind, checksum: self.checksum.wrapping_add(other.checksum) }
    }
}

impl Sink for Count {
    fn row(&mut self, row: DriftRow) {
        self.by_kind[row.kind as usize] += 1;
        let missing = row.kind == DriftKind::Missing;
        self.checksum = self.checksum.wrapping_add(row_mix(row.identity.0, row.entitlement.0, missing));
    }
}

/// The contribution of one row to [`Count::checksum`]: the finaliser of SplitMix64 (Steele, Lea, Flood 2014) over the packed row.
pub fn row_mix(identity: u32, entitlement: u32, missing: bool) -> u64 {
    let mut word = (u64::from(identity) << 33) | (u64::from(entitlement) << 1) | u64::from(missing);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// Compares everything on the calling thread.
pub fn full(graph: &Graph, justification: &Justification, now: Seconds, sink: &mut impl Sink) {
    Scratch::new(graph).range(graph, justification, now, 0..graph.identity_count() as u32, sink);
}

/// Identities per parallel task: enough to hide the cost of a task, few enough to balance heavy identities.
const IDENTITIES_PER_TASK: usize = 16 * 1024;

/// Compares everything on the current rayon pool, one sink per stretch of identities, in identity order.
pub fn full_parallel<S: Sink + Send>(
    graph: &Graph,
    justification: &Justification,
    now: Seconds,
    new_sink: impl Fn() -> S + Sync,
) -> Vec<S> {
    let identities = graph.identity_count();
    (0..identities.div_ceil(IDENTITIES_PER_TASK))
        .into_par_iter()
        .map_init(
            || Scratch::new(graph),
            |scratch, task| {
                let start = task * IDENTITIES_PER_TASK;
                let end = (start + IDENTITIES_PER_TASK).min(identities);
                let mut sink = new_sink();
                scratch.range(graph, justification, now, start as u32..end as u32, &mut sink);
                sink
            },
        )
        .collect()
}

/// Why a direct grant that is not in the justified set is drift, or `None` when a baseline covers it.
///
/// Only asked for the few grants that failed the mark test, so it walks the reasons instead of remembering them.
pub(crate) fn classify_extra(
    graph: &Graph,
    justification: &Justification,
    now: Seconds,
    identity: u32,
    account: u32,
    entitlement: u32,
) -> Option<DriftKind> {
    if !justification.live.get(identity as usize) {
        return Some(DriftKind::NotLive);
    }
    let mut expired = false;
    for baseline in justification.baselines_of(graph.account_system[account as usize]) {
        if baseline.covers(account, entitlement) {
            if now < baseline.end {
                return None;
            }
            expired = true;
        }
    }
    // What is withheld is unjustified because somebody said so, not because time passed.
    if justification.has_withheld.get(identity as usize)
        && justification.is_withheld(IdentityIndex(identity), EntitlementIndex(entitlement))
    {
        return Some(DriftKind::Unjustified);
    }
    expired = expired
        || justification.assignments.row(identity).iter().any(|assignment| {
            assignment.end <= now
                && justification.closed_role(assignment.role).binary_search(&entitlement).is_ok()
        })
        || justification.explicit.row(identity).iter().any(|explicit| {
            explicit.end <= now
                && (explicit.entitlement == entitlement
                    || graph.containment.reaches(explicit.entitlement).binary_search(&entitlement).is_ok())
        });
    Some(if expired { DriftKind::Expired } else { DriftKind::Unjustified })
}

/// Working memory of one thread.
#[derive(Debug)]
pub(crate) struct Scratch {
    marks: Marks,
    extras: Vec<(u32, u32)>,
    taken: Vec<u32>,
}

impl Scratch {
    pub(crate) fn new(graph: &Graph) -> Self {
        Scratch { marks: Marks::new(graph.entitlement_count()), extras: Vec::new(), taken: Vec::new() }
    }

    fn range(
        &mut self,
        graph: &Graph,
        justification: &Justification,
        now: Seconds,
        identities: Range<u32>,
        sink: &mut impl Sink,
    ) {
        for identity in identities {
            self.identity(graph, justification, now, identity, sink);
        }
    }

    /// The drift rows of one identity. Leaves every mark clear.
    #[inline]
    pub(crate) fn identity(
        &mut self,
        graph: &Graph,
        justification: &Justification,
        now: Seconds,
        identity: u32,
        sink: &mut impl Sink,
    ) {
        if !justification.live.get(identity as usize) {
            not_live(graph, now, identity, sink);
            return;
        }
        let assignments = justification.assignments.row(identity);
        let explicit = justification.explicit.row(identity);
        let contains = !graph.containment.is_empty();
        let mut marked = 0u32;
        for assignment in assignments {
            if now < assignment.end {
                for entitlement in justification.closed_role(assignment.role) {
                    marked += self.marks.mark(*entitlement);
                }
            }
        }
        for reason in explicit {
            if now < reason.end {
                marked += self.marks.mark(reason.entitlement);
                for entitlement in graph.containment.reaches(reason.entitlement) {
                    marked += self.marks.mark(*entitlement);
                }
            }
        }
        for entitlement in justification.withheld_of(identity) {
            marked -= self.marks.take(entitlement);
        }

        let found = if graph.irregular.get(identity as usize) {
            self.observe_irregular(graph, now, identity)
        } else {
            self.observe(graph, identity)
        };
        // Every mark was met by a grant: nothing is missing and no mark is left to clear.
        if found != marked {
            for assignment in assignments.iter().filter(|assignment| now < assignment.end) {
                for entitlement in justification.roles.row(assignment.role) {
                    if self.marks.take(*entitlement) == 1 {
                        self.missing(graph, now, identity, *entitlement, sink);
                    }
                }
            }
            for reason in explicit.iter().filter(|reason| now < reason.end) {
                if self.marks.take(reason.entitlement) == 1 {
                    self.missing(graph, now, identity, reason.entitlement, sink);
                }
            }
            if contains {
                self.clear_implied(graph, justification, now, identity);
            }
        }
        if !self.extras.is_empty() {
            for &(account, entitlement) in &self.extras {
                if let Some(kind) = classify_extra(graph, justification, now, identity, account, entitlement)
                {
                    sink.row(DriftRow {
                        identity: IdentityIndex(identity),
                        account: Some(AccountIndex(account)),
                        entitlement: EntitlementIndex(entitlement),
                        kind,
                    });
                }
            }
            self.extras.clear();
        }
    }

    /// Takes the mark of every direct grant; grants without a mark become extras. Right only when no two accounts can hold
    /// the same entitlement and every grant is always valid.
    #[inline]
    fn observe(&mut self, graph: &Graph, identity: u32) -> u32 {
        let mut found = 0;
        for account in graph.account_range(identity) {
            for entitlement in graph.grants.row(account) {
                let was = self.marks.take(*entitlement);
                found += was;
                if was == 0 {
                    self.extras.push((account, *entitlement));
                }
            }
        }
        found
    }

    /// The same for identities with several accounts in a system or grants with limited validity: marks are taken only
    /// after all accounts have been compared.
    #[cold]
    fn observe_irregular(&mut self, graph: &Graph, now: Seconds, identity: u32) -> u32 {
        for account in graph.account_range(identity) {
            for &entitlement in graph.grants.row(account) {
                if !graph.is_valid(account, entitlement, now) {
                    continue;
                }
                if self.marks.get(entitlement) {
                    self.taken.push(entitlement);
                } else {
                    self.extras.push((account, entitlement));
                }
            }
        }
        let mut found = 0;
        for entitlement in self.taken.drain(..) {
            found += self.marks.take(entitlement);
        }
        found
    }

    /// A named entitlement that no account holds directly: missing unless containment gives it.
    fn missing(&self, graph: &Graph, now: Seconds, identity: u32, entitlement: u32, sink: &mut impl Sink) {
        if graph.containment.has_parents(entitlement)
            && graph.holds_effectively(IdentityIndex(identity), EntitlementIndex(entitlement), now)
        {
            return;
        }
        sink.row(DriftRow {
            identity: IdentityIndex(identity),
            account: None,
            entitlement: EntitlementIndex(entitlement),
            kind: DriftKind::Missing,
        });
    }

    /// Clears marks that came only through containment; these are allowed, not owed.
    fn clear_implied(&mut self, graph: &Graph, justification: &Justification, now: Seconds, identity: u32) {
        for assignment in
            justification.assignments.row(identity).iter().filter(|assignment| now < assignment.end)
        {
            for entitlement in justification.closed_role(assignment.role) {
                self.marks.take(*entitlement);
            }
        }
        for reason in justification.explicit.row(identity).iter().filter(|reason| now < reason.end) {
            for entitlement in graph.containment.reaches(reason.entitlement) {
                self.marks.take(*entitlement);
            }
        }
    }
}

/// Everything that an identity which is not live still holds.
fn not_live(graph: &Graph, now: Seconds, identity: u32, sink: &mut impl Sink) {
    for account in graph.account_range(identity) {
        for &entitlement in graph.grants.row(account) {
            if graph.is_valid(account, entitlement, now) {
                sink.row(DriftRow {
                    identity: IdentityIndex(identity),
                    account: Some(AccountIndex(account)),
                    entitlement: EntitlementIndex(entitlement),
                    kind: DriftKind::NotLive,
                });
            }
        }
    }
}
