//! Joiners: what somebody has a role for from their first day on is told before, and nothing of it is given.

use std::collections::BTreeSet;

use leasehold_model::decision::DriftKind;
use leasehold_model::id::IdentityKey;
use leasehold_model::plan::{LeftAlone, TO_COME};

use super::{Planner, Scope};

impl Planner<'_, '_> {
    /// Tells what begins later: of each entitlement once, by the first role that gives it.
    pub(super) fn tell_what_is_to_come(&mut self, scope: &Scope) {
        let evaluation = self.evaluation;
        if !scope.kinds.is_empty() && !scope.kinds.contains(&DriftKind::Missing) {
            return;
        }
        let mut told = BTreeSet::new();
        for (index, role) in &evaluation.to_come {
            let (identity, role) =
                (&evaluation.identities[index.index()], &evaluation.inputs.policy.roles[*role]);
            let is_meant = |wanted: &IdentityKey| wanted.folded() == identity.key.folded();
            if !scope.identities.is_empty() && !scope.identities.iter().any(is_meant) {
                continue;
            }
            let when = match identity.start {
                // Who is suspended, or leaves before, gets nothing then either.
                Some(start) if !identity.may_hold_access(start) => continue,
                Some(start) => format!("from {start} on, and nothing before"),
                None => "from the first day on, which no source tells yet".to_owned(),
            };
            for grant in &role.grants {
                let (system, entitlement) = (&grant.value.system, &grant.value.entitlement);
                let is_in_scope = scope.systems.is_empty() || scope.systems.contains(system);
                if !is_in_scope || !told.insert((index.0, system, entitlement)) {
                    continue;
                }
                self.left_alone.push(LeftAlone {
                    system: system.clone(),
                    account: None,
                    identity: Some(identity.key.clone()),
                    entitlement: Some(entitlement.clone()),
                    why: format!("{TO_COME}the role {} gives it {when}", role.name),
                });
            }
        }
    }
}
