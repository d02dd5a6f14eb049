//! Who gains and who loses what by another policy, on the same facts.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use leasehold_model::id::{EntitlementAddress, IdentityKey};

use crate::engine::{EntitlementIndex, IdentityIndex};
use crate::evaluate::Evaluation;

/// One identity and something that it may hold.
pub type Justified = (IdentityKey, EntitlementAddress);

/// What becomes of justifications.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// What is justified only afterwards, in order.
    pub gains: Vec<Justified>,
    /// What is justified only before, in order.
    pub losses: Vec<Justified>,
}

/// Compares two evaluations of the same facts.
pub fn difference(before: &Evaluation<'_>, after: &Evaluation<'_>) -> Difference {
    let (then, now) = (Pairs::of(before), Pairs::of(after));
    let mut gains = Vec::new();
    let mut losses = Vec::new();
    merge(
        &then.observed,
        &now.observed,
        |pair| losses.push(named(before, pair)),
        |pair| {
            gains.push(named(after, pair));
        },
    );
    gains.extend(now.other.difference(&then.other).cloned());
    losses.extend(then.other.difference(&now.other).cloned());
    gains.sort();
    losses.sort();
    Difference { gains, losses }
}

/// Everything that is justified. Identities and entitlements that were observed have the same numbers whatever the
/// policy; what only a policy names is compared by name.
struct Pairs {
    observed: Vec<(u32, u32)>,
    other: BTreeSet<Justified>,
}

impl Pairs {
    fn of(evaluation: &Evaluation<'_>) -> Self {
        let snapshot = evaluation.inputs.snapshot;
        let (mut observed, mut other) = (Vec::new(), BTreeSet::new());
        evaluation.for_each_justified(|identity, entitlement| {
            let pair = (identity.0, entitlement.0);
            if identity.index() < snapshot.identities.len()
                && entitlement.index() < snapshot.entitlements.len()
            {
                observed.push(pair);
            } else {
                other.insert(named(evaluation, pair));
            }
        });
        observed.sort_unstable();
        observed.dedup();
        Self { observed, other }
    }
}

fn named(evaluation: &Evaluation<'_>, (identity, entitlement): (u32, u32)) -> Justified {
    let entitlement = EntitlementIndex(entitlement);
    let address = EntitlementAddress {
        system: evaluation.system_of(entitlement).clone(),
        entitlement: evaluation.entitlement_name(entitlement).clone(),
    };
    (evaluation.identities[IdentityIndex(identity).index()].key.clone(), address)
}

/// Walks two sorted lists and calls back for what only one of them has.
fn merge(
    left: &[(u32, u32)],
    right: &[(u32, u32)],
    mut only_left: impl FnMut((u32, u32)),
    mut only_right: impl FnMut((u32, u32)),
) {
    let (mut left, mut right) = (left.iter().copied().peekable(), right.iter().copied().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.cmp(other),
        };
        let from_left = if order == Ordering::Greater { None } else { left.next() };
        let from_right = if order == Ordering::Less { None } else { right.next() };
        match (from_left, from_right) {
            (Some(one), None) => only_left(one),
            (None, Some(other)) => only_right(other),
            _ => {}
        }
    }
}
