//! Combinations that one identity may not hold, found where they are effectively held and valid now.

use std::collections::BTreeSet;

use leasehold_model::decision::{Because, DriftItem, DriftKind};

use super::{Context, about_grant};
use crate::engine::sod::{SodIndex, SodSet};
use crate::engine::{AccountIndex, EntitlementIndex, IdentityIndex, access};
use crate::evaluate::Evaluation;

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    let policy = evaluation.inputs.policy;
    let sets: Vec<SodSet> = policy.sod.iter().map(|set| engine_set(evaluation, set)).collect();
    let Ok(index) = SodIndex::build(&evaluation.graph, &sets, evaluation.now()) else { return };
    for toxic in index.toxic() {
        let set = &policy.sod[toxic.set as usize];
        let held = held_of(evaluation, toxic.identity, &sets[toxic.set as usize]);
        let names: BTreeSet<String> = held
            .iter()
            .map(|(_, entitlement)| {
                format!(
                    "{}:{}",
                    evaluation.system_of(*entitlement),
                    evaluation.entitlement_name(*entitlement)
                )
            })
            .collect();
        let names: Vec<String> = names.into_iter().collect();
        let text = format!("{} ({}): holds {}", set.name, set.severity, names.join(" and "));
        // One item for each entitlement of the combination: any one of them would resolve it, a person says which.
        for (account, entitlement) in held {
            let because = vec![Because::Fact { text: text.clone() }];
            items.push(about_grant(evaluation, DriftKind::Toxic, account, entitlement, because));
        }
    }
}

fn engine_set(evaluation: &Evaluation<'_>, set: &crate::policy::SodSet) -> SodSet {
    let side = |side: &Vec<crate::policy::Placed<_>>| {
        side.iter().filter_map(|address| evaluation.entitlement(&address.value)).collect()
    };
    SodSet { sides: set.sides.iter().map(side).collect() }
}

/// Which accounts of the identity effectively hold something of the set.
fn held_of(
    evaluation: &Evaluation<'_>,
    identity: IdentityIndex,
    set: &SodSet,
) -> BTreeSet<(AccountIndex, EntitlementIndex)> {
    let named: BTreeSet<EntitlementIndex> = set.sides.iter().flatten().copied().collect();
    let mut listing = access::Listing::default();
    access::list(&evaluation.graph, &evaluation.justification, identity, evaluation.now(), &mut listing);
    let rows = listing.rows().iter().filter(|row| named.contains(&row.entitlement));
    rows.map(|row| (row.account, row.entitlement)).collect()
}
