//! Role edits the short way: what becomes or ceases to be justified for a member is a weight on one drift row.

use super::affected::Affected;
use super::incremental::{Applied, Delta, DriftState, owned_key, report};
use super::zset::Effect;
use super::{EntitlementIndex, IdentityIndex};

impl DriftState {
    /// What the roles that are about to be edited name now.
    pub(super) fn edited_roles(&self, roles: &[u32]) -> Vec<(u32, Vec<u32>)> {
        roles.iter().map(|role| (*role, self.justification.roles.row(*role).to_vec())).collect()
    }

    /// Applies role edits to members for whom a justified entitlement maps one to one onto a drift row: weight +1 for what
    /// became justified, -1 for what ceased to be. What is observed need not be looked at.
    pub(super) fn apply_role_edits(
        &mut self,
        before: &[(u32, Vec<u32>)],
        affected: &Affected,
        applied: &mut Applied,
        changed: &mut impl FnMut(Delta),
    ) {
        // Role and entitlement, for everything that an edited role names no longer or only now.
        let mut differences: Vec<(u32, u32)> = Vec::new();
        for (role, old) in before {
            let new = self.justification.roles.row(*role);
            differences.extend(
                old.iter().filter(|held| new.binary_search(held).is_err()).map(|held| (*role, *held)),
            );
            differences.extend(
                new.iter().filter(|held| old.binary_search(held).is_err()).map(|held| (*role, *held)),
            );
        }
        let mut touched: Vec<u32> = Vec::new();
        for &identity in &affected.members {
            let live = self.justification.live.get(identity as usize);
            if affected.set.get(identity as usize) || !live {
                continue;
            }
            let now = self.now;
            let assignments = self.justification.assignments.row(identity);
            let held = |role: u32| {
                assignments.iter().any(|assignment| assignment.role == role && now < assignment.end)
            };
            touched.clear();
            touched.extend(
                differences.iter().filter(|(role, _)| held(*role)).map(|(_, entitlement)| *entitlement),
            );
            touched.sort_unstable();
            touched.dedup();
            for &entitlement in &touched {
                let (was, is) = self.justified_before_and_now(before, identity, entitlement);
                let withheld =
                    self.justification.is_withheld(IdentityIndex(identity), EntitlementIndex(entitlement));
                if was == is || withheld {
                    continue;
                }
                let (key, account) = owned_key(&self.graph, identity, entitlement);
                let effect = self.drift.add(key, was);
                // What ceased to be justified either is held too much now or is no longer missing.
                let extra = was == (effect == Effect::Appeared);
                let account = if extra { account } else { None };
                report(
                    effect,
                    IdentityIndex(identity),
                    account,
                    EntitlementIndex(entitlement),
                    applied,
                    changed,
                );
            }
        }
    }

    /// Whether live roles or explicit reasons name the entitlement, with the edited roles as they were and as they are.
    fn justified_before_and_now(
        &self,
        before: &[(u32, Vec<u32>)],
        identity: u32,
        entitlement: u32,
    ) -> (bool, bool) {
        let explicit = self.justification.explicit.row(identity).iter();
        if explicit.clone().any(|reason| reason.entitlement == entitlement && self.now < reason.end) {
            return (true, true);
        }
        let (mut was, mut is) = (false, false);
        let assignments = self.justification.assignments.row(identity).iter();
        for assignment in assignments.filter(|assignment| self.now < assignment.end) {
            let new = self.justification.roles.row(assignment.role);
            let names = new.binary_search(&entitlement).is_ok();
            is |= names;
            was |= match before.binary_search_by_key(&assignment.role, |edited| edited.0) {
                Ok(at) => before[at].1.binary_search(&entitlement).is_ok(),
                Err(_) => names,
            };
        }
        (was, is)
    }
}
