//! Why something may be held, and since when it may not any more: reasons with their owners and ends (law 4).

use std::collections::HashMap;

use jiff::Timestamp;
use leasehold_model::decision::Because;
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::reason::{Baseline, Reason, ReasonKind};

use super::{EndedRole, Evaluation, HandOver, instant};
use crate::engine::{self, AccountIndex, EntitlementIndex, IdentityIndex};
use crate::policy::Explicit;
use crate::policy::predicate::Attributes;

/// Stands for an end of which only is known that it has come.
const ENDED_AT_ANY_RATE: Timestamp = Timestamp::UNIX_EPOCH;

fn told(end: Timestamp) -> Option<Timestamp> {
    (end != ENDED_AT_ANY_RATE).then_some(end)
}

impl<'inputs> Evaluation<'inputs> {
    pub(super) fn end_roles_of_gone_owners(&mut self) {
        let mut attributes = Attributes::new(&self.identities);
        let mut ended = HashMap::new();
        for (position, role) in self.inputs.policy.roles.iter().enumerate() {
            let Some(end) = self.owner_end(&role.owner.value) else { continue };
            let members = role.members.as_ref().map(|members| members.value.members(&mut attributes));
            let members = members.unwrap_or_default();
            ended.insert(role.name.clone(), EndedRole { position, end, members });
        }
        self.ended_roles = ended;
    }

    /// When an assignment or exception ends: on its own date, or earlier with its owner or its role's (law 4).
    pub fn explicit_end(&self, position: usize) -> Timestamp {
        let explicit = &self.inputs.policy.explicit[position];
        let role = explicit.role.as_ref().and_then(|role| self.ended_roles.get(&role.value));
        let ends =
            [self.owner_end(&explicit.owner.value), role.map(|role| role.end), self.outlived(explicit)];
        ends.into_iter().flatten().fold(explicit.until, Timestamp::min)
    }

    /// When somebody left who came back later, where what they were given is from before, or does not say: a new hire holds nothing
    /// for what the old one did.
    fn outlived(&self, explicit: &Explicit) -> Option<Timestamp> {
        let snapshot = self.inputs.snapshot;
        let identity = Some(&explicit.identity.value).filter(|_| !snapshot.away.is_empty())?;
        let left_at = snapshot.rehired_after(identity)?;
        explicit.given.is_none_or(|given| given < left_at).then_some(left_at)
    }

    /// Why nobody can say who belongs to the role, where its predicate relies on what no identity has: a column that
    /// is missing from the feed, or a slip of the pen.
    pub fn undecidable(&self, role: &crate::policy::Role) -> Option<String> {
        let relied_on = role.members.as_ref()?.value.relied_on();
        let missing = relied_on
            .into_iter()
            .find(|name| !self.identities.iter().any(|identity| identity.attribute(name).is_some()))?;
        Some(format!("role {} asks for `{missing}`, which no identity has", role.name))
    }

    /// The roles by which this identity held the entitlement until their owner went.
    pub fn ended_roles_of(
        &self,
        identity: IdentityIndex,
        entitlement: EntitlementIndex,
    ) -> impl Iterator<Item = &'inputs crate::policy::Role> + '_ {
        let policy = self.inputs.policy;
        let assigned = |name: &str| {
            let mut explicit = self.explicit_of.get(&identity.0).into_iter().flatten();
            explicit.any(|position| {
                let explicit = &policy.explicit[*position];
                explicit.until > self.inputs.now
                    && explicit.role.as_ref().is_some_and(|role| role.value == name)
            })
        };
        let mut roles: Vec<_> = self
            .ended_roles
            .values()
            .map(|ended| (ended, &policy.roles[ended.position]))
            .filter(move |(ended, role)| ended.members.contains(identity.0) || assigned(&role.name))
            .map(|(_, role)| role)
            .collect();
        roles.sort_by(|left, right| left.name.cmp(&right.name));
        roles.into_iter().filter(move |role| {
            let named = role.grants.iter().filter_map(|grant| self.entitlement(&grant.value));
            self.carrier_among(named, entitlement).is_some()
        })
    }

    /// When a baseline ends: on its own date, or earlier with its owner.
    pub fn baseline_end(&self, baseline: &Baseline) -> Timestamp {
        self.owner_end(&IdentityKey(baseline.owner.clone()))
            .map_or(baseline.until, |end| end.min(baseline.until))
    }

    /// The baseline of a system that ended before its date, because its owner went.
    pub fn baseline_of_gone_owner(&self, system: &SystemName) -> Option<&'inputs Baseline> {
        let (baselines, now) = (self.inputs.baselines, self.inputs.now);
        let early = |baseline: &&Baseline| {
            baseline.system == *system && baseline.until > now && self.baseline_end(baseline) <= now
        };
        baselines.iter().find(early)
    }

    /// Whether a baseline gives a direct grant its reason: it was there when the baseline was adopted.
    pub fn covers(&self, baseline: &Baseline, account: AccountIndex, entitlement: EntitlementIndex) -> bool {
        let grants = &self.inputs.snapshot.grants;
        self.grant_position(account, entitlement)
            .is_some_and(|position| i64::from(grants[position].since) <= baseline.epoch.0)
            && !self.is_outlived(baseline, account)
    }

    /// Whether a baseline is from before its account's holder left who came back: a new hire holds nothing for what the old one held.
    pub(super) fn is_outlived(&self, baseline: &Baseline, account: AccountIndex) -> bool {
        let snapshot = self.inputs.snapshot;
        if snapshot.away.is_empty() {
            return false;
        }
        let holder = self.graph.identity_of(account).map(|identity| &self.identities[identity.index()]);
        let left_at = holder.and_then(|holder| snapshot.rehired_after(&holder.key));
        left_at.is_some_and(|left_at| baseline.adopted_at < left_at)
    }

    /// When an owner's word stops counting; `None` while it counts, or where the owner is not an identity that we know.
    pub(super) fn owner_end(&self, owner: &IdentityKey) -> Option<Timestamp> {
        let owner = &self.identities[*self.identity_by_key.get(&owner.folded())? as usize];
        let gone = owner.has_left(self.inputs.now);
        // Where the source does not tell when, no instant is made up: the reason has ended at any rate.
        gone.then(|| owner.end.filter(|end| *end <= self.inputs.now).unwrap_or(ENDED_AT_ANY_RATE))
    }

    /// Whether an owner is an identity that may hold access; `None` where it is no identity that we know.
    pub fn owner_is_live(&self, owner: &IdentityKey) -> Option<bool> {
        let position = *self.identity_by_key.get(&owner.folded())?;
        Some(self.identities[position as usize].may_hold_access(self.inputs.now))
    }

    /// A live reason of the engine, in the policy's words.
    pub fn because(&self, because: &engine::access::Because, entitlement: EntitlementIndex) -> Because {
        let (named, reason) = match *because {
            engine::access::Because::Role { role, end } => {
                let role = &self.inputs.policy.roles[role.index()];
                let named = role.grants.iter().filter_map(|grant| self.entitlement(&grant.value));
                let carrier = self.carrier_among(named, entitlement);
                let (kind, name) = (ReasonKind::Role, role.name.clone());
                (carrier, Reason { kind, name, owner: Some(role.owner.value.clone()), until: instant(end) })
            }
            engine::access::Because::Explicit { source, entitlement: named, .. } => {
                (Some(named), self.explicit_reason(source as usize))
            }
            engine::access::Because::Baseline { source, .. } => {
                (Some(entitlement), self.baseline_reason(source as usize))
            }
        };
        match named {
            Some(carrier) if carrier != entitlement => {
                Because::CarriedBy { entitlement: self.entitlement_name(carrier).clone(), reason }
            }
            _ => Because::Reason { reason },
        }
    }

    /// The entitlement itself where it is named, else the first named one that carries it.
    pub(super) fn carrier_among(
        &self,
        named: impl Iterator<Item = EntitlementIndex>,
        entitlement: EntitlementIndex,
    ) -> Option<EntitlementIndex> {
        let carriers = self.graph.containment().reached_from(entitlement.0);
        named
            .filter(|name| *name == entitlement || carriers.contains(&name.0))
            .min_by_key(|name| *name != entitlement)
    }

    /// An assignment, exception or hand-over as a reason, by the position that the engine has of it.
    pub fn explicit_reason(&self, position: usize) -> Reason {
        let policy = self.inputs.policy;
        let Some(explicit) = policy.explicit.get(position) else {
            return self.hand_over_reason(&self.hand_overs[position - policy.explicit.len()]);
        };
        Reason {
            kind: if explicit.exception { ReasonKind::Exception } else { ReasonKind::Role },
            name: explicit.name.clone(),
            owner: Some(explicit.owner.value.clone()),
            until: told(self.explicit_end(position)),
        }
    }

    /// Whether a live reason of the engine is a hand-over.
    pub fn is_hand_over(&self, because: &engine::access::Because) -> bool {
        let explicit = self.inputs.policy.explicit.len();
        matches!(because, engine::access::Because::Explicit { source, .. } if *source as usize >= explicit)
    }

    /// A hand-over as a reason: a lease that begins when somebody moves.
    fn hand_over_reason(&self, hand_over: &HandOver) -> Reason {
        let role = &self.inputs.policy.roles[hand_over.role];
        Reason {
            kind: ReasonKind::Lease,
            name: format!("hand-over of {}", role.name),
            owner: Some(role.owner.value.clone()),
            until: Some(hand_over.until),
        }
    }

    /// A baseline as a reason.
    pub fn baseline_reason(&self, position: usize) -> Reason {
        let baseline = &self.inputs.baselines[position];
        Reason {
            kind: ReasonKind::Baseline,
            name: baseline.system.to_string(),
            owner: Some(IdentityKey(baseline.owner.clone())),
            until: told(self.baseline_end(baseline)),
        }
    }

    /// The reasons that once covered this grant and have ended.
    pub fn ended_reasons(&self, identity: IdentityIndex, entitlement: EntitlementIndex) -> Vec<Because> {
        let (policy, now) = (self.inputs.policy, self.inputs.now);
        let mut ended = Vec::new();
        for position in self.explicit_of.get(&identity.0).into_iter().flatten().copied() {
            let explicit = &policy.explicit[position];
            if self.explicit_end(position) > now {
                continue;
            }
            let role = explicit
                .role
                .as_ref()
                .and_then(|name| policy.roles.iter().find(|role| role.name == name.value));
            let grants = role.map_or(&explicit.grants, |role| &role.grants);
            let named = grants.iter().filter_map(|grant| self.entitlement(&grant.value));
            if self.carrier_among(named, entitlement).is_some() {
                ended.push(Because::ReasonEnded { reason: self.explicit_reason(position) });
            }
        }
        let handed_over = |hand_over: &&HandOver| hand_over.identity == identity && hand_over.until <= now;
        for hand_over in self.hand_overs.iter().filter(handed_over) {
            let grants = &policy.roles[hand_over.role].grants;
            let named = grants.iter().filter_map(|grant| self.entitlement(&grant.value));
            if self.carrier_among(named, entitlement).is_some() {
                ended.push(Because::ReasonEnded { reason: self.hand_over_reason(hand_over) });
            }
        }
        for role in self.ended_roles_of(identity, entitlement) {
            let reason = Reason {
                kind: ReasonKind::Role,
                name: role.name.clone(),
                owner: Some(role.owner.value.clone()),
                until: self.ended_roles.get(&role.name).and_then(|ended| told(ended.end)),
            };
            // An assignment of the role has said so already, in its own name.
            if self.ended_roles[&role.name].members.contains(identity.0) {
                ended.push(Because::ReasonEnded { reason });
            }
        }
        for (position, baseline) in self.inputs.baselines.iter().enumerate() {
            if &baseline.system == self.system_of(entitlement) && self.baseline_end(baseline) <= now {
                ended.push(Because::ReasonEnded { reason: self.baseline_reason(position) });
            }
        }
        ended
    }
}
