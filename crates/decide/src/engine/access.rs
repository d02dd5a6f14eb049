//! Questions about one identity or one entitlement: does it hold, why, what else, and who. Answers are never truncated.

use std::ops::Range;

use super::graph::Graph;
use super::justification::Justification;
use super::{AccountIndex, EntitlementIndex, IdentityIndex, RoleIndex, Seconds};

/// A live reason that gives an entitlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Because {
    /// A role that names the entitlement or something that contains it.
    Role {
        /// Which.
        role: RoleIndex,
        /// When the membership ends.
        end: Seconds,
    },
    /// An explicit reason for the entitlement or something that contains it.
    Explicit {
        /// The caller's number for the claim.
        source: u32,
        /// What the claim names.
        entitlement: EntitlementIndex,
        /// When it ends.
        end: Seconds,
    },
    /// A baseline that covers the direct grant.
    Baseline {
        /// The caller's number for the baseline.
        source: u32,
        /// The account whose grant is covered.
        account: AccountIndex,
        /// When it ends.
        end: Seconds,
    },
}

/// The answer of [`check`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Some account holds it directly.
    pub direct: bool,
    /// Some account holds it, directly or through containment.
    pub effective: bool,
    /// The identity is allowed to hold it, whether or not it does. With a baseline as the only reason this is so only while
    /// the covered grant is there.
    pub justified: bool,
    /// Every live reason. Not empty although `justified` is false when the entitlement is withheld or the identity is not live.
    pub because: Vec<Because>,
}

/// One held entitlement of a [`Listing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListedRow {
    /// The account that holds it.
    pub account: AccountIndex,
    /// What is held.
    pub entitlement: EntitlementIndex,
    /// Held directly, not only through containment.
    pub direct: bool,
    /// Whether a live reason allows it.
    pub justified: bool,
    because_start: u32,
    because_end: u32,
}

/// The answer of [`list`]; reused between calls so that a list costs no allocation.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    rows: Vec<ListedRow>,
    because: Vec<Because>,
    found: Vec<(u32, Because)>,
}

impl Listing {
    /// All rows, account by account.
    pub fn rows(&self) -> &[ListedRow] {
        &self.rows
    }

    /// The live reasons of one row.
    pub fn because(&self, row: &ListedRow) -> &[Because] {
        &self.because[row.because_start as usize..row.because_end as usize]
    }
}

/// Who holds an entitlement, one row for each direct grant through which an account holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// The account.
    pub account: AccountIndex,
    /// The direct grant: the entitlement itself, or one that contains it.
    pub via: EntitlementIndex,
}

/// Whether the identity holds the entitlement, whether it may, and because of what.
pub fn check(
    graph: &Graph,
    justification: &Justification,
    identity: IdentityIndex,
    entitlement: EntitlementIndex,
    now: Seconds,
) -> Held {
    let mut held = Held::default();
    let accounts = graph.account_range(identity.0);
    load_ahead(graph, justification, identity.0, accounts.clone());
    // With many accounts most are in other systems; with few, looking into their rows costs less than asking which.
    let system = (accounts.len() > 2).then(|| graph.entitlement_system[entitlement.index()]);
    let in_system =
        |account: u32| system.is_none_or(|system| graph.account_system[account as usize] == system);
    let may_be_implied = graph.containment.has_parents(entitlement.0);
    let mut baselined = false;
    for account in accounts {
        if in_system(account) && graph.holds_directly(account, entitlement.0, now) {
            held.direct = true;
            if justification.baselines.is_empty() {
                continue;
            }
            for baseline in justification.baselines_of(graph.account_system[account as usize]) {
                if now < baseline.end && baseline.covers(account, entitlement.0) {
                    baselined = true;
                    let account = AccountIndex(account);
                    held.because.push(Because::Baseline {
                        source: baseline.source,
                        account,
                        end: baseline.end,
                    });
                }
            }
        } else if may_be_implied && !held.effective {
            held.effective = graph.account_holds_effectively(account, entitlement.0, now);
        }
    }
    held.effective |= held.direct;
    let baseline_reasons = held.because.len();
    reasons(graph, justification, identity.0, now, |named, because| {
        let found = match named {
            Named::List(list) => list.binary_search(&entitlement.0).is_ok(),
            Named::One(one) => one == entitlement.0,
        };
        if found {
            held.because.push(because);
        }
    });
    let allowed = held.because.len() > baseline_reasons && !justification.is_withheld(identity, entitlement);
    held.justified = justification.is_live(identity) && (allowed || baselined);
    held
}

/// Everything the identity effectively holds, with the live reasons of each. `listing` is cleared first.
pub fn list(
    graph: &Graph,
    justification: &Justification,
    identity: IdentityIndex,
    now: Seconds,
    listing: &mut Listing,
) {
    let Listing { rows, because, found } = listing;
    rows.clear();
    because.clear();
    found.clear();
    let live = justification.is_live(identity);
    for account in graph.account_range(identity.0) {
        let start = rows.len();
        push_held(graph, account, now, rows);
        let held = &rows[start..];
        let position = |entitlement: u32| {
            held.binary_search_by_key(&entitlement, |row| row.entitlement.0)
                .ok()
                .map(|at| (start + at) as u32)
        };
        reasons(graph, justification, identity.0, now, |named, because| match named {
            Named::List(list) => {
                found.extend(list.iter().filter_map(|named| position(*named)).map(|at| (at, because)));
            }
            Named::One(one) => found.extend(position(one).map(|at| (at, because))),
        });
        for baseline in justification.baselines_of(graph.account_system[account as usize]) {
            if now < baseline.end {
                let reason = Because::Baseline {
                    source: baseline.source,
                    account: AccountIndex(account),
                    end: baseline.end,
                };
                let covered = held
                    .iter()
                    .enumerate()
                    .filter(|(_, row)| row.direct && baseline.covers(account, row.entitlement.0));
                found.extend(covered.map(|(at, _)| ((start + at) as u32, reason)));
            }
        }
    }
    // Counting sort of the reasons by row: first counts, then ends become starts while filling backwards.
    for (at, _) in found.iter() {
        rows[*at as usize].because_end += 1;
    }
    let mut sum = 0;
    for row in rows.iter_mut() {
        sum += row.because_end;
        row.because_start = sum;
        row.because_end = sum;
    }
    let Some((_, filler)) = found.first() else {
        return;
    };
    because.resize(found.len(), *filler);
    for (at, reason) in found.iter().rev() {
        let row = &mut rows[*at as usize];
        row.because_start -= 1;
        because[row.because_start as usize] = *reason;
        row.justified = live;
    }
    if live && justification.has_withheld.get(identity.index()) {
        for row in rows.iter_mut().filter(|row| justification.is_withheld(identity, row.entitlement)) {
            let reasons = &because[row.because_start as usize..row.because_end as usize];
            row.justified = reasons.iter().any(|reason| matches!(reason, Because::Baseline { .. }));
        }
    }
}

/// Every account that effectively holds the entitlement at `now`, uncorrelated accounts included, ascending.
pub fn who(graph: &Graph, entitlement: EntitlementIndex, now: Seconds) -> Vec<Holder> {
    let own = [entitlement.0];
    let sources = if graph.containment.has_parents(entitlement.0) {
        graph.containment.reached_from(entitlement.0)
    } else {
        &own
    };
    let mut holders = Vec::new();
    for &source in sources {
        graph.holders().for_each(&graph.grants, source, |account| {
            if graph.is_valid(account, source, now) {
                holders.push(Holder { account: AccountIndex(account), via: EntitlementIndex(source) });
            }
        });
    }
    holders.sort_unstable();
    holders
}

/// Appends what one account effectively holds, ascending by entitlement.
fn push_held(graph: &Graph, account: u32, now: Seconds, rows: &mut Vec<ListedRow>) {
    let start = rows.len();
    let new = |entitlement: u32, direct: bool| ListedRow {
        account: AccountIndex(account),
        entitlement: EntitlementIndex(entitlement),
        direct,
        justified: false,
        because_start: 0,
        because_end: 0,
    };
    let limited = graph.limited.get(account as usize);
    let contains = !graph.containment.is_empty();
    let mut implied = false;
    for &entitlement in graph.grants.row(account) {
        if limited && !graph.is_valid(account, entitlement, now) {
            continue;
        }
        rows.push(new(entitlement, true));
        implied |= contains && graph.containment.has_children(entitlement);
    }
    if !implied {
        return;
    }
    for at in start..rows.len() {
        for child in graph.containment.reaches(rows[at].entitlement.0) {
            rows.push(new(*child, false));
        }
    }
    // Direct before implied, so that of equal entitlements the direct row is kept.
    rows[start..].sort_unstable_by_key(|row| (row.entitlement, !row.direct));
    let mut write = start;
    for read in start..rows.len() {
        if write == start || rows[write - 1].entitlement != rows[read].entitlement {
            rows[write] = rows[read];
            write += 1;
        }
    }
    rows.truncate(write);
}

/// Loads the first words of every list that an answer about the identity reads. Whether a list has what is asked for cannot be
/// foreseen, so the reading itself would begin to wait for one list only when it is done with the one before.
#[inline]
fn load_ahead(graph: &Graph, justification: &Justification, identity: u32, accounts: Range<u32>) {
    let assignments = justification.assignments.row(identity);
    std::hint::black_box(justification.explicit.touch(identity));
    for account in accounts {
        std::hint::black_box(graph.grants.touch(account));
    }
    for assignment in assignments {
        std::hint::black_box(justification.closed_role(assignment.role).first());
    }
}

/// What a reason names, closed over containment.
enum Named<'a> {
    List(&'a [u32]),
    One(u32),
}

/// Visits every live role membership and explicit reason of an identity.
#[inline]
fn reasons<'a>(
    graph: &'a Graph,
    justification: &'a Justification,
    identity: u32,
    now: Seconds,
    mut visit: impl FnMut(Named<'a>, Because),
) {
    for assignment in justification.assignments.row(identity) {
        if now < assignment.end {
            let because = Because::Role { role: RoleIndex(assignment.role), end: assignment.end };
            visit(Named::List(justification.closed_role(assignment.role)), because);
        }
    }
    for reason in justification.explicit.row(identity) {
        if now < reason.end {
            let entitlement = EntitlementIndex(reason.entitlement);
            let because = Because::Explicit { source: reason.source, entitlement, end: reason.end };
            let reached = graph.containment.reaches(reason.entitlement);
            visit(
                if reached.is_empty() { Named::One(reason.entitlement) } else { Named::List(reached) },
                because,
            );
        }
    }
}
