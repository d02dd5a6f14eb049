//! Observations and claims, brought together: whose each account is, what each identity may hold, and the dense graph
//! in which every further question is asked.

pub mod lifecycle;
mod names;
mod reasons;
mod whose;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use leasehold_model::decision::DriftKind;
use leasehold_model::id::{EntitlementAddress, EntitlementName, IdentityKey, SystemName};
use leasehold_model::identity::{Identity, LifecycleState, Unsaid};
use leasehold_model::reason::Baseline;
use leasehold_model::snapshot::{Snapshot, SnapshotCredential};
use leasehold_model::stewardship::Stewardship;
use roaring::RoaringBitmap;

use self::lifecycle::{HandOver, Stewards};
use self::names::{EntitlementNames, Named};
use crate::correlate::{Correlation, CorrelationRule, LoginRule};
use crate::engine::graph::{Graph, GraphBuilder, Validity};
use crate::engine::justification::{Justification, JustificationBuilder};
use crate::engine::{
    AccountIndex, EngineError, EntitlementIndex, IdentityIndex, NEVER, RoleIndex, Seconds, SystemIndex,
};
use crate::merge::Precedence;
use crate::path::Carriers;
use crate::policy::Policy;
use crate::policy::predicate::Attributes;

/// What a system's connector can do, as far as planning needs it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Abilities {
    /// Give an entitlement to an account.
    pub grant: bool,
    /// Take an entitlement from an account.
    pub revoke: bool,
    /// Make an account.
    pub create_account: bool,
    /// Let an account log in again.
    pub enable_account: bool,
    /// Stop an account's log-ins.
    pub disable_account: bool,
    /// Remove an account for good.
    pub delete_account: bool,
    /// End live sessions.
    pub end_sessions: bool,
    /// Stop a credential so that it can be brought back, and bring it back.
    pub disable_credential: bool,
    /// End a credential for good.
    pub revoke_credential: bool,
    /// Have work that an account runs by itself run as another account.
    pub hand_over_credential: bool,
}

/// What the configuration says of a system, as far as deciding needs it.
#[derive(Debug, Clone, Default)]
pub struct SystemSettings {
    /// Whose an account is, in order.
    pub correlate: Vec<CorrelationRule>,
    /// Its identities are the ones that access is for.
    pub authoritative: bool,
    /// How early it is believed where several sources list an identity.
    pub precedence: Precedence,
    /// What the login of a new account is made from; where nothing is said, none is made.
    pub new_account_login: Option<LoginRule>,
    /// The login that our own connector uses; never touched.
    pub connector_login: Option<String>,
    /// What the connector can do.
    pub can: Abilities,
    /// Differences of these kinds are reported and nothing is proposed.
    pub report_only: BTreeSet<DriftKind>,
}

/// Everything that a decision rests on.
#[derive(Clone, Copy)]
pub struct Inputs<'inputs> {
    /// What was observed.
    pub snapshot: &'inputs Snapshot,
    /// What access is for.
    pub policy: &'inputs Policy,
    /// Adopted baselines.
    pub baselines: &'inputs [Baseline],
    /// What people said about non-humans.
    pub stewardship: &'inputs Stewardship,
    /// Settings by system.
    pub systems: &'inputs BTreeMap<SystemName, SystemSettings>,
    /// The instant that decisions are for.
    pub now: Timestamp,
}

/// Observations and claims, brought together.
pub struct Evaluation<'inputs> {
    /// What it rests on.
    pub inputs: Inputs<'inputs>,
    /// Identities from feeds, then declared in policy, then implied by owned non-human accounts.
    pub identities: Vec<Identity>,
    /// Whose each account of the snapshot is.
    pub correlation: Vec<Correlation>,
    /// The dense graph. Entitlements have the snapshot's positions, then those that only the policy names.
    pub graph: Graph,
    /// The dense claims. Explicit reasons carry their position in [`Policy::explicit`], and after those in
    /// [`Evaluation::hand_overs`].
    pub justification: Justification,
    /// Which entitlements carry which.
    pub carriers: Carriers,
    /// What movers keep for a while, or kept.
    pub hand_overs: Vec<HandOver>,
    /// Roles, by position in [`Policy::roles`], that somebody has from their first day on, which is still to come.
    pub to_come: Vec<(IdentityIndex, usize)>,
    /// What became of non-humans by somebody's word, or because their owner left.
    stewards: Stewards,
    /// The graph's index of each account of the snapshot.
    account_index: Vec<AccountIndex>,
    /// The snapshot's position of each account of the graph.
    account_position: Vec<u32>,
    /// By [`IdentityKey::folded`]: a mail address is the same in any case.
    identity_by_key: HashMap<String, u32>,
    entitlements: EntitlementNames,
    /// Entitlements that only the policy names, from the snapshot's count on.
    unobserved: Vec<EntitlementAddress>,
    /// Reasons written for one identity, by identity.
    explicit_of: HashMap<u32, Vec<usize>>,
    /// Roles that ended with their owner (law 4), by name.
    ended_roles: HashMap<String, EndedRole>,
}

/// A role whose owner has gone: it justifies nothing until somebody answers for it again.
struct EndedRole {
    /// Its place in the policy.
    position: usize,
    /// When its owner went.
    end: Timestamp,
    /// Who held it by rule.
    members: RoaringBitmap,
}

/// Whole seconds since the epoch, as the engine counts.
pub fn seconds(at: Timestamp) -> Seconds {
    u32::try_from(at.as_second().max(0)).unwrap_or(NEVER - 1)
}

/// The engine's seconds as an instant; `None` for [`NEVER`].
pub fn instant(at: Seconds) -> Option<Timestamp> {
    (at != NEVER).then(|| Timestamp::from_second(i64::from(at)).ok()).flatten()
}

impl<'inputs> Evaluation<'inputs> {
    /// Brings everything together.
    ///
    /// # Errors
    /// Only where the snapshot contradicts itself, which the store prevents.
    pub fn new(inputs: Inputs<'inputs>) -> Result<Self, EngineError> {
        let Inputs { snapshot, policy, now, .. } = inputs;
        let mut identities: Vec<Identity> =
            snapshot.identities.iter().map(|(_, identity)| identity.as_of(inputs.now)).collect();
        identities.extend(policy.identities.iter().map(|declared| Identity {
            key: declared.key.clone(),
            kind: declared.kind,
            state: LifecycleState::Active,
            start: None,
            end: None,
            manager: None,
            owner: Some(declared.owner.value.clone()),
            attributes: declared.attributes.clone(),
            unsaid: Unsaid::default(),
        }));
        let correlation = whose::correlate(&inputs, &mut identities);
        let mut identity_by_key: HashMap<String, u32> = HashMap::with_capacity(identities.len());
        for (position, identity) in (0u32..).zip(&identities) {
            identity_by_key.entry(identity.key.folded()).or_insert(position);
        }
        let stewards = lifecycle::steward(&inputs, &mut identities, &correlation, &identity_by_key);

        let mut entitlements = EntitlementNames::default();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        // Systems that only the policy names have nothing; they need no place in the graph.
        let mut builder = GraphBuilder::new(count(snapshot.systems.len()), count(identities.len()));
        builder.reserve_grants(snapshot.grants.len());
        for entitlement in &snapshot.entitlements {
            let index = builder.add_entitlement(SystemIndex(entitlement.system))?;
            entitlements.insert(Named { snapshot, unobserved: &[] }, index);
        }
        let mut unobserved = Vec::new();
        for address in named_by(policy) {
            let Some(system) = snapshot.system_position(&address.system) else { continue };
            let named = Named { snapshot, unobserved: &unobserved };
            if entitlements.get(named, system, &address.entitlement).is_none() {
                let index = builder.add_entitlement(SystemIndex(system))?;
                unobserved.push(address.clone());
                entitlements.insert(Named { snapshot, unobserved: &unobserved }, index);
            }
        }
        let mut handles = Vec::with_capacity(snapshot.accounts.len());
        for (account, correlation) in snapshot.accounts.iter().zip(&correlation) {
            let identity = match correlation {
                Correlation::To { identity, .. } => Some(IdentityIndex(*identity)),
                Correlation::Ambiguous { .. } | Correlation::Orphan => None,
            };
            handles.push(builder.add_account(SystemIndex(account.system), identity)?);
        }
        for (position, grant) in (0u32..).zip(&snapshot.grants) {
            let (account, entitlement) =
                (handles[grant.account as usize], EntitlementIndex(grant.entitlement));
            match snapshot.validity.get(&position) {
                None => builder.add_grant(account, entitlement)?,
                Some(validity) => {
                    let from = validity.from.map_or(0, seconds);
                    let until = validity.until.map_or(NEVER, seconds);
                    builder.add_grant_within(account, entitlement, Validity { from, until })?;
                }
            }
        }
        for (parent, child) in &snapshot.containments {
            builder.add_containment(EntitlementIndex(*parent), EntitlementIndex(*child))?;
        }
        let built = builder.finish()?;
        let mut account_position = vec![0; built.accounts.len()];
        for (position, index) in (0u32..).zip(&built.accounts) {
            account_position[index.index()] = position;
        }
        let mut evaluation = Self {
            inputs,
            identities,
            correlation,
            justification: JustificationBuilder::new().finish(&built.graph)?,
            graph: built.graph,
            carriers: Carriers::new(&snapshot.containments),
            hand_overs: Vec::new(),
            to_come: Vec::new(),
            stewards,
            account_index: built.accounts,
            account_position,
            identity_by_key,
            entitlements,
            unobserved,
            explicit_of: HashMap::new(),
            ended_roles: HashMap::new(),
        };
        evaluation.end_roles_of_gone_owners();
        for (position, explicit) in policy.explicit.iter().enumerate() {
            if let Some(identity) = evaluation.identity_by_key.get(&explicit.identity.value.folded()) {
                evaluation.explicit_of.entry(*identity).or_default().push(position);
            }
        }
        let is_ended = |role: &str| evaluation.ended_roles.contains_key(role);
        evaluation.hand_overs = lifecycle::hand_overs(policy, snapshot, &evaluation.identities, is_ended);
        (evaluation.justification, evaluation.to_come) = evaluation.justify(now)?;
        Ok(evaluation)
    }

    /// What is justified now, and which roles are somebody's from their first day on.
    fn justify(&self, now: Timestamp) -> Result<(Justification, Vec<(IdentityIndex, usize)>), EngineError> {
        let policy = self.inputs.policy;
        let numbered = (0u32..).zip(&self.identities);
        let before_first_day: RoaringBitmap = numbered
            .filter(|(_, identity)| identity.state_at(now) == LifecycleState::PreHire)
            .map(|(position, _)| position)
            .collect();
        let mut to_come = Vec::new();
        let mut builder = JustificationBuilder::new();
        let mut attributes = Attributes::new(&self.identities);
        let mut roles: HashMap<&str, RoleIndex> = HashMap::new();
        for (position, role) in policy.roles.iter().enumerate() {
            let index =
                builder.add_role(role.grants.iter().filter_map(|grant| self.entitlement(&grant.value)));
            roles.insert(&role.name, index);
            if let Some(members) = &role.members {
                let end = self.ended_roles.get(&role.name).map_or(NEVER, |ended| seconds(ended.end));
                let members = members.value.members(&mut attributes);
                if !before_first_day.is_empty() && end == NEVER {
                    let new = &members & &before_first_day;
                    to_come.extend(new.into_iter().map(|identity| (IdentityIndex(identity), position)));
                }
                builder.assign_members(&members, index, end);
            }
        }
        for (position, explicit) in (0u32..).zip(&policy.explicit) {
            let Some(identity) =
                self.identity_by_key.get(&explicit.identity.value.folded()).copied().map(IdentityIndex)
            else {
                continue;
            };
            let end = seconds(self.explicit_end(position as usize));
            if let Some(role) = explicit.role.as_ref().and_then(|role| roles.get(role.value.as_str())) {
                builder.assign(identity, *role, end);
            }
            for grant in &explicit.grants {
                if let Some(entitlement) = self.entitlement(&grant.value) {
                    builder.add_explicit(identity, entitlement, end, position);
                }
            }
        }
        let first = u32::try_from(policy.explicit.len()).unwrap_or(u32::MAX);
        for (source, hand_over) in (first..).zip(&self.hand_overs) {
            for grant in &policy.roles[hand_over.role].grants {
                if let Some(entitlement) = self.entitlement(&grant.value) {
                    builder.add_explicit(hand_over.identity, entitlement, seconds(hand_over.until), source);
                }
            }
        }
        for (source, baseline) in (0u32..).zip(self.inputs.baselines) {
            let Some(system) = self.inputs.snapshot.system_position(&baseline.system) else { continue };
            let end = seconds(self.baseline_end(baseline));
            let handle = builder.add_baseline_of_system(SystemIndex(system), end, source);
            let is_rehire_looked_for = !self.inputs.snapshot.away.is_empty();
            for grant in &self.inputs.snapshot.grants {
                let is_later = i64::from(grant.since) > baseline.epoch.0;
                if !(is_later || is_rehire_looked_for)
                    || self.inputs.snapshot.accounts[grant.account as usize].system != system
                {
                    continue;
                }
                let account = self.account_index[grant.account as usize];
                if is_later || self.is_outlived(baseline, account) {
                    builder.except(handle, account, EntitlementIndex(grant.entitlement));
                }
            }
        }
        let live = (0u32..).zip(&self.identities).filter(|(_, identity)| identity.may_hold_access(now));
        builder.live_members(&live.map(|(position, _)| position).collect::<RoaringBitmap>());
        Ok((builder.finish(&self.graph)?, to_come))
    }

    /// "Now" in the engine's seconds.
    pub fn now(&self) -> Seconds {
        seconds(self.inputs.now)
    }

    /// The index of an entitlement, observed or named by the policy.
    pub fn entitlement(&self, address: &EntitlementAddress) -> Option<EntitlementIndex> {
        let system = self.inputs.snapshot.system_position(&address.system)?;
        let named = Named { snapshot: self.inputs.snapshot, unobserved: &self.unobserved };
        self.entitlements.get(named, system, &address.entitlement)
    }

    /// The name of an entitlement.
    pub fn entitlement_name(&self, index: EntitlementIndex) -> &EntitlementName {
        let observed = &self.inputs.snapshot.entitlements;
        match observed.get(index.index()) {
            Some(entitlement) => &entitlement.entitlement.name,
            None => &self.unobserved[index.index() - observed.len()].entitlement,
        }
    }

    /// The observed entitlement; `None` where only the policy names it.
    pub fn observed_entitlement(
        &self,
        index: EntitlementIndex,
    ) -> Option<&'inputs leasehold_model::entitlement::Entitlement> {
        self.inputs.snapshot.entitlements.get(index.index()).map(|entitlement| &entitlement.entitlement)
    }

    /// The system of an entitlement.
    pub fn system_of(&self, index: EntitlementIndex) -> &'inputs SystemName {
        self.inputs.snapshot.system(self.graph.system_of_entitlement(index).0)
    }

    /// An account of the graph, as observed.
    pub fn account(&self, index: AccountIndex) -> &'inputs leasehold_model::snapshot::SnapshotAccount {
        &self.inputs.snapshot.accounts[self.account_position[index.index()] as usize]
    }

    /// What authenticates an account of the graph.
    pub fn credentials_of(&self, index: AccountIndex) -> &'inputs [SnapshotCredential] {
        self.inputs.snapshot.credentials_of(self.position_of(index))
    }

    /// The snapshot's position of an account of the graph.
    pub fn position_of(&self, index: AccountIndex) -> u32 {
        self.account_position[index.index()]
    }

    /// The graph's index of an account of the snapshot.
    pub fn index_of(&self, position: u32) -> AccountIndex {
        self.account_index[position as usize]
    }

    /// An identity by key.
    pub fn identity(&self, key: &IdentityKey) -> Option<IdentityIndex> {
        self.identity_by_key.get(&key.folded()).copied().map(IdentityIndex)
    }

    /// When a direct grant was first seen.
    pub fn granted_since(&self, account: AccountIndex, entitlement: EntitlementIndex) -> Option<Timestamp> {
        let at = self.grant_position(account, entitlement)?;
        let since = self.inputs.snapshot.grants[at].since;
        self.inputs.snapshot.ended_at(leasehold_model::id::EpochId(i64::from(since)))
    }

    /// What the system keeps beside a direct grant, such as the right to pass it on.
    pub fn grant_options(
        &self,
        account: AccountIndex,
        entitlement: EntitlementIndex,
    ) -> Option<&'inputs str> {
        let at = u32::try_from(self.grant_position(account, entitlement)?).ok()?;
        self.inputs.snapshot.options.get(&at).map(String::as_str)
    }

    fn grant_position(&self, account: AccountIndex, entitlement: EntitlementIndex) -> Option<usize> {
        let key = (self.position_of(account), entitlement.0);
        let grants = &self.inputs.snapshot.grants;
        grants.binary_search_by_key(&key, |grant| (grant.account, grant.entitlement)).ok()
    }

    /// Calls back for every entitlement that a live identity may hold by role or explicit reason, carried ones included.
    pub fn for_each_justified(&self, mut each: impl FnMut(IdentityIndex, EntitlementIndex)) {
        let now = self.now();
        for identity in (0u32..).map(IdentityIndex).take(self.identities.len()) {
            if !self.justification.is_live(identity) {
                continue;
            }
            for entitlement in self.justification.justified_of(&self.graph, identity, now) {
                each(identity, entitlement);
            }
        }
    }
}

/// Every entitlement that the policy names.
fn named_by(policy: &Policy) -> impl Iterator<Item = &EntitlementAddress> {
    let roles = policy.roles.iter().flat_map(|role| &role.grants);
    let explicit = policy.explicit.iter().flat_map(|explicit| &explicit.grants);
    let sod = policy.sod.iter().flat_map(|set| set.sides.iter().flatten());
    roles.chain(explicit).chain(sod).map(|placed| &placed.value)
}
