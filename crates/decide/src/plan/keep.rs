//! What an identity keeps by right while grants around it end.

use std::collections::HashSet;

use leasehold_model::plan::LeftAlone;

use super::Planner;
use crate::engine::access::{self, Because as EngineBecause, Listing};
use crate::engine::{AccountIndex, EntitlementIndex};

impl Planner<'_, '_> {
    /// What the account effectively holds by the direct grants that stay.
    pub(super) fn staying(&self, account: AccountIndex) -> HashSet<u32> {
        let ending = self.revokes.get(&account);
        let mut staying = HashSet::new();
        for grant in self.evaluation.graph.grants_of(account) {
            if !ending.is_some_and(|ending| ending.contains_key(&grant)) {
                staying.insert(grant.0);
                staying.extend(self.evaluation.graph.containment().reaches(grant.0));
            }
        }
        staying
    }

    /// Plans direct grants for what an identity keeps by right but holds only through grants that end. Where that
    /// cannot be granted, the grants that carry it stay.
    pub(super) fn keep_what_is_justified(&mut self) {
        let accounts: Vec<AccountIndex> = self.revokes.keys().copied().collect();
        for account in accounts {
            let Some(identity) = self.evaluation.graph.identity_of(account) else { continue };
            let mut listing = Listing::default();
            let evaluation = self.evaluation;
            access::list(
                &evaluation.graph,
                &evaluation.justification,
                identity,
                evaluation.now(),
                &mut listing,
            );
            let staying = self.staying(account);
            for row in listing.rows().iter().filter(|row| row.account == account && row.justified) {
                if staying.contains(&row.entitlement.0) {
                    continue;
                }
                let Some((mut carrier, because)) = self.carrier_to_grant(&listing, row) else { continue };
                // What somebody took away is not put back (law 5): then only what is held still goes on.
                if self.vanished.contains(&(evaluation.position_of(account), carrier.0)) {
                    carrier = row.entitlement;
                }
                if staying.contains(&carrier.0) {
                    continue;
                }
                let system = evaluation.system_of(row.entitlement);
                if self.abilities(system).grant && evaluation.observed_entitlement(carrier).is_some() {
                    self.grants.entry((account, carrier)).or_insert_with(|| vec![because]);
                    self.kept.insert((account, carrier));
                } else {
                    self.spare_carriers_of(account, row.entitlement);
                }
            }
        }
    }

    /// The entitlement that a role or explicit reason names for this row.
    fn carrier_to_grant(
        &self,
        listing: &Listing,
        row: &access::ListedRow,
    ) -> Option<(EntitlementIndex, String)> {
        listing.because(row).iter().find_map(|because| {
            let carrier = match *because {
                EngineBecause::Explicit { entitlement, .. } => entitlement,
                EngineBecause::Role { role, .. } => {
                    let carriers = self.evaluation.graph.containment().reached_from(row.entitlement.0);
                    let named = self.evaluation.justification.role_entitlements(role);
                    named
                        .filter(|named| *named == row.entitlement || carriers.contains(&named.0))
                        .min_by_key(|named| *named != row.entitlement)?
                }
                EngineBecause::Baseline { .. } => return None,
            };
            Some((carrier, self.evaluation.because(because, carrier).to_string()))
        })
    }

    fn spare_carriers_of(&mut self, account: AccountIndex, kept: EntitlementIndex) {
        let evaluation = self.evaluation;
        let carriers = evaluation.graph.containment().reached_from(kept.0);
        let Some(ending) = self.revokes.get_mut(&account) else { return };
        let spared: Vec<EntitlementIndex> =
            ending.keys().copied().filter(|grant| *grant == kept || carriers.contains(&grant.0)).collect();
        for grant in spared {
            ending.remove(&grant);
            let observed = evaluation.account(account);
            self.left_alone.push(LeftAlone {
                system: evaluation.inputs.snapshot.system(observed.system).clone(),
                account: Some(observed.account.login.clone()),
                identity: None,
                entitlement: Some(evaluation.entitlement_name(grant).clone()),
                why: format!(
                    "unjustified, but it carries {}, which is justified and cannot be granted directly",
                    evaluation.entitlement_name(kept)
                ),
            });
        }
    }
}
