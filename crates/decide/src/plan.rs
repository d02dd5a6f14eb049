//! From drift to a plan: which actions would close it, in which order, and what is left alone and why.
//!
//! Every drift item ends in exactly one of the two lists. Revocation is complete by path: an effective entitlement ends
//! only when every direct grant that leads to it ends, and those are exactly the unjustified direct grants of the
//! account, because a justified one justifies what it carries. What an identity keeps by right, but holds only through
//! a grant that ends, is granted directly before that grant is taken away.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::id::{AccountKey, ActionId, IdentityKey, SystemName};
use leasehold_model::identity::LifecycleState;
use leasehold_model::plan::{LeftAlone, Plan, PlanItem, StateFingerprint, Verb};
use sha2::{Digest, Sha256};

use crate::engine::access::{self, Because as EngineBecause, Listing};
use crate::engine::{AccountIndex, EntitlementIndex};
use crate::evaluate::{Abilities, Evaluation, Inputs};
use crate::guard;

/// Which drift a plan is about.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Only these systems; all where empty.
    pub systems: Vec<SystemName>,
    /// Only these kinds; all where empty.
    pub kinds: Vec<DriftKind>,
    /// Only these identities; all where empty.
    pub identities: Vec<IdentityKey>,
    /// A person says that what was removed out of band returns.
    pub restore: bool,
}

impl Scope {
    /// Whether a drift item is within the scope.
    pub fn covers(&self, item: &DriftItem) -> bool {
        (self.systems.is_empty() || self.systems.contains(&item.system))
            && (self.kinds.is_empty() || self.kinds.contains(&item.kind))
            && (self.identities.is_empty()
                || item.identity.as_ref().is_some_and(|identity| {
                    self.identities.iter().any(|wanted| wanted.folded() == identity.folded())
                }))
    }
}

/// Makes a plan that would close the drift. Planning again from the same state gives the same plan, hash included.
pub fn plan(
    evaluation: &Evaluation<'_>,
    drift: &[DriftItem],
    scope: &Scope,
    state: StateFingerprint,
) -> Plan {
    let mut planner = Planner::new(evaluation);
    for item in drift.iter().filter(|item| scope.covers(item)) {
        planner.consider(item, scope);
    }
    planner.keep_what_is_justified();
    let (mut items, mut left_alone) = planner.finish();
    name_and_order(&mut items, &state);
    left_alone.sort();
    left_alone.dedup();
    let guards = guard::guards(evaluation, &items);
    Plan::seal(state, items, left_alone, guards)
}

struct Planner<'plan, 'inputs> {
    evaluation: &'plan Evaluation<'inputs>,
    accounts: HashMap<(SystemName, AccountKey), AccountIndex>,
    untouchable: HashMap<AccountIndex, String>,
    /// Systems of which nothing may be concluded yet that takes access away, with why.
    unproved: HashMap<SystemName, String>,
    /// Entitlements for which a role would say whose they are, if its predicate could be decided, with why it cannot.
    undecided_by: HashMap<EntitlementIndex, String>,
    /// Direct grants that ended without us, by the snapshot's positions.
    vanished: HashSet<(u32, u32)>,
    /// Direct grants that end, with why.
    revokes: BTreeMap<AccountIndex, BTreeMap<EntitlementIndex, Vec<String>>>,
    grants: BTreeMap<(AccountIndex, EntitlementIndex), Vec<String>>,
    disables: BTreeMap<AccountIndex, Vec<String>>,
    left_alone: Vec<LeftAlone>,
}

impl<'plan, 'inputs> Planner<'plan, 'inputs> {
    fn new(evaluation: &'plan Evaluation<'inputs>) -> Self {
        let snapshot = evaluation.inputs.snapshot;
        let mut accounts = HashMap::with_capacity(snapshot.accounts.len());
        let mut untouchable = HashMap::new();
        let protected: HashMap<(&SystemName, &str), String> = evaluation
            .inputs
            .policy
            .protected
            .iter()
            .filter(|protected| {
                protected.break_glass.as_ref().is_none_or(|(_, until)| *until > evaluation.inputs.now)
            })
            .map(|protected| {
                let words = match &protected.break_glass {
                    Some((owner, until)) => {
                        format!("break-glass account ({}), owned by {owner}, until {until}", protected.name)
                    }
                    None => format!("protected by the policy ({}): {}", protected.name, protected.why),
                };
                ((&protected.account.system, protected.account.login.as_str()), words)
            })
            .collect();
        for (position, account) in (0u32..).zip(&snapshot.accounts) {
            let system = snapshot.system(account.system);
            let index = evaluation.index_of(position);
            accounts.insert((system.clone(), account.account.key.clone()), index);
            let names = [account.account.login.as_str(), account.account.key.as_str()];
            if let Some(words) = names.iter().find_map(|name| protected.get(&(system, *name))) {
                untouchable.insert(index, words.clone());
            }
            let connector = evaluation
                .inputs
                .systems
                .get(system)
                .and_then(|settings| settings.connector_login.as_deref());
            if connector.is_some_and(|own| {
                names.iter().any(|name| name.eq_ignore_ascii_case(own)) || is_dn(account, own)
            }) {
                untouchable.insert(index, "the account that Leasehold's own connector uses".to_owned());
            }
        }
        Self {
            evaluation,
            accounts,
            untouchable,
            unproved: unproved(evaluation),
            undecided_by: undecided_by(evaluation),
            vanished: snapshot.vanished.iter().map(|gone| (gone.account, gone.entitlement)).collect(),
            revokes: BTreeMap::new(),
            grants: BTreeMap::new(),
            disables: BTreeMap::new(),
            left_alone: Vec::new(),
        }
    }

    fn leave(&mut self, item: &DriftItem, why: impl Into<String>) {
        self.left_alone.push(LeftAlone {
            system: item.system.clone(),
            account: item.login.clone(),
            identity: item.identity.clone(),
            entitlement: item.entitlement.clone(),
            why: format!("{}: {}", item.kind, why.into()),
        });
    }

    fn abilities(&self, system: &SystemName) -> Abilities {
        self.evaluation.inputs.systems.get(system).map(|settings| settings.can).unwrap_or_default()
    }

    fn consider(&mut self, item: &DriftItem, scope: &Scope) {
        let settings = self.evaluation.inputs.systems.get(&item.system);
        if settings.is_some_and(|settings| settings.report_only) {
            return self.leave(item, "this system is set to `enforce = \"report\"`");
        }
        let account = item
            .account
            .as_ref()
            .and_then(|key| self.accounts.get(&(item.system.clone(), key.clone())))
            .copied();
        if let Some(words) = account.and_then(|account| self.untouchable.get(&account)).cloned() {
            return self.leave(item, words);
        }
        match (item.kind, account, &item.entitlement) {
            (DriftKind::Unjustified | DriftKind::Expired | DriftKind::Leaver, Some(account), Some(_)) => {
                self.consider_revoke(item, account);
            }
            (DriftKind::Leaver | DriftKind::Unjustified, Some(account), None) => {
                self.consider_disable(item, account);
            }
            (DriftKind::Missing, _, _) => self.consider_grant(item, account),
            (DriftKind::RemovedOutOfBand, _, _) if scope.restore => self.consider_grant(item, account),
            (DriftKind::RemovedOutOfBand, _, _) => {
                let identity = item.identity.as_ref().map(ToString::to_string).unwrap_or_default();
                let why = format!(
                    "somebody removed it on purpose or by mistake: {}; if it is to return, `leasehold plan --identity \
                     {identity} --restore`; if not, change what justifies it",
                    words(&item.because).join("; ")
                );
                self.leave(item, why);
            }
            (DriftKind::Toxic, _, _) => {
                self.leave(item, "a person chooses which side ends, by changing the policy or the roles")
            }
            (DriftKind::Orphan, _, _)
                if item.because.iter().any(|because| matches!(because, Because::Ambiguous { .. })) =>
            {
                let why = format!(
                    "{}; say whose it is with `[correlate.\"{}:{}\"]`",
                    words(&item.because).join(", "),
                    item.system,
                    item.login.as_deref().unwrap_or_default()
                );
                self.leave(item, why);
            }
            (DriftKind::Orphan, _, _) => {
                let login = item.login.as_deref().unwrap_or_default();
                let why = format!(
                    "no identity matches this account; say whose it is with `[correlate.\"{0}:{login}\"]`, or declare a non-human with `[identity.…] accounts = [\"{0}:{login}\"]`",
                    item.system
                );
                self.leave(item, why);
            }
            (DriftKind::Ownerless, _, _) => {
                self.leave(item, "somebody must take it over, or declare it finished")
            }
            (DriftKind::Dormant, _, _) => {
                self.leave(item, "disuse alone ends nothing; end its reason, or disable it by hand")
            }
            (DriftKind::StaleCredential, _, _) => self.leave(item, "the credential's holder must replace it"),
            (DriftKind::Posture, _, _) => {
                self.leave(item, "an administrator of the system must mend it there")
            }
            (
                DriftKind::UnknownSystem | DriftKind::Unjustified | DriftKind::Expired | DriftKind::Leaver,
                _,
                _,
            ) => {
                self.leave(item, "nothing that a connector could change");
            }
        }
    }

    fn consider_revoke(&mut self, item: &DriftItem, account: AccountIndex) {
        if let Some(why) = self.unproved.get(&item.system).cloned() {
            return self.leave(item, why);
        }
        let evaluation = self.evaluation;
        let identity =
            evaluation.graph.identity_of(account).map(|identity| &evaluation.identities[identity.index()]);
        if identity.is_some_and(|identity| identity.state == LifecycleState::Suspended) {
            let observed = &evaluation.account(account).account;
            if observed.enabled && self.abilities(&item.system).disable_account {
                self.disables.entry(account).or_insert_with(|| words(&item.because));
            }
            return self.leave(item, "the identity is suspended: its log-ins are stopped, its grants are kept until it returns or leaves");
        }
        let address = leasehold_model::id::EntitlementAddress {
            system: item.system.clone(),
            entitlement: item
                .entitlement
                .clone()
                .unwrap_or_else(|| leasehold_model::id::EntitlementName::new("", "")),
        };
        let Some(entitlement) = evaluation.entitlement(&address) else {
            return self.leave(item, "the entitlement is gone");
        };
        if let Some(why) =
            evaluation.observed_entitlement(entitlement).and_then(|observed| observed.irrevocable.clone())
        {
            return self.leave(item, format!("the connector cannot take it away: {why}"));
        }
        let live = identity.is_some_and(|identity| identity.may_hold_access(evaluation.inputs.now));
        if let Some(why) = self.undecided_by.get(&entitlement).filter(|_| live).cloned() {
            return self.leave(item, why);
        }
        if !self.abilities(&item.system).revoke {
            return self.leave(item, "the connector of this system cannot revoke; a person must do it there");
        }
        self.revokes.entry(account).or_default().insert(entitlement, words(&item.because));
    }

    fn consider_disable(&mut self, item: &DriftItem, account: AccountIndex) {
        let evaluation = self.evaluation;
        let identity = evaluation.graph.identity_of(account);
        let to_come = identity.map(|identity| &evaluation.identities[identity.index()]).filter(|identity| {
            identity.state != LifecycleState::Suspended && !identity.has_left(evaluation.inputs.now)
        });
        if let Some(identity) = to_come {
            let when = identity.start.map_or_else(|| "later".to_owned(), |start| format!("on {start}"));
            return self.leave(
                item,
                format!("the access of {} begins {when}; nothing would open the account again, so a person closes it until then", identity.key),
            );
        }
        if let Some(why) = self.unproved.get(&item.system).cloned() {
            return self.leave(item, why);
        }
        if !self.abilities(&item.system).disable_account {
            return self.leave(
                item,
                "the connector of this system cannot disable accounts; a person must do it there",
            );
        }
        self.disables.insert(account, words(&item.because));
    }

    fn consider_grant(&mut self, item: &DriftItem, account: Option<AccountIndex>) {
        let evaluation = self.evaluation;
        let Some(account) = account else {
            return self.leave(item, "the identity has no account in this system");
        };
        if !evaluation.account(account).account.enabled {
            return self.leave(item, "the identity's account in this system is disabled");
        }
        if !self.abilities(&item.system).grant {
            return self.leave(item, "the connector of this system cannot grant; a person must do it there");
        }
        let Some(name) = item.entitlement.clone() else { return };
        let address =
            leasehold_model::id::EntitlementAddress { system: item.system.clone(), entitlement: name };
        match evaluation
            .entitlement(&address)
            .filter(|index| evaluation.observed_entitlement(*index).is_some())
        {
            Some(entitlement) => {
                self.grants.insert((account, entitlement), words(&item.because));
            }
            None => self.leave(item, "the system has no such entitlement; make it there, or mend the policy"),
        }
    }

    /// What the account effectively holds by the direct grants that stay.
    fn staying(&self, account: AccountIndex) -> HashSet<u32> {
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
    fn keep_what_is_justified(&mut self) {
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

    fn finish(mut self) -> (Vec<PlanItem>, Vec<LeftAlone>) {
        let mut items = Vec::new();
        for (account, ending) in &self.revokes {
            let mut staying = self.staying(*account);
            for (_, granted) in self.grants.keys().filter(|(holder, _)| holder == account) {
                staying.insert(granted.0);
                staying.extend(self.evaluation.graph.containment().reaches(granted.0));
            }
            for (entitlement, because) in ending {
                let mut item = self.item(Verb::Revoke, *account, Some(*entitlement), because);
                let carried = self.evaluation.graph.containment().reaches(entitlement.0).iter();
                let lost: BTreeSet<u32> =
                    carried.copied().filter(|carried| !staying.contains(carried)).collect();
                let names = |indexes: &BTreeSet<u32>| {
                    indexes
                        .iter()
                        .map(|index| self.evaluation.entitlement_name(EntitlementIndex(*index)).clone())
                        .collect()
                };
                let others: BTreeSet<u32> =
                    lost.iter().copied().filter(|lost| *lost != entitlement.0).collect();
                item.also_loses = names(&others);
                let itself = (!staying.contains(&entitlement.0)).then_some(entitlement.0);
                item.must_end = names(&others.into_iter().chain(itself).collect());
                items.push(item);
            }
        }
        for ((account, entitlement), because) in &self.grants {
            items.push(self.item(Verb::Grant, *account, Some(*entitlement), because));
        }
        let disables = std::mem::take(&mut self.disables);
        for (account, ending) in &self.revokes {
            // A session that is open goes on with what it has taken up, as a database session does with a role.
            let because = ending.values().next().filter(|_| !disables.contains_key(account));
            if let Some(because) = because {
                let item = self.item(Verb::EndSessions, *account, None, because);
                if self.abilities(&item.system).end_sessions {
                    items.push(item);
                }
            }
        }
        for (account, because) in &disables {
            let item = self.item(Verb::DisableAccount, *account, None, because);
            if self.abilities(&item.system).end_sessions {
                items.push(self.item(Verb::EndSessions, *account, None, because));
            } else {
                self.left_alone.push(LeftAlone {
                    system: item.system.clone(),
                    account: Some(item.account.clone()),
                    identity: item.identity.clone(),
                    entitlement: None,
                    why: "live sessions are residual: this system cannot end them; they last until they close by themselves"
                        .to_owned(),
                });
            }
            items.push(item);
        }
        // Revoked entitlements that are granted again by the same plan would fight each other.
        debug_assert!(
            self.grants.keys().all(|(account, grant)| !self
                .revokes
                .get(account)
                .is_some_and(|all| all.contains_key(grant)))
        );
        (items, self.left_alone)
    }

    fn item(
        &self,
        verb: Verb,
        account: AccountIndex,
        entitlement: Option<EntitlementIndex>,
        because: &[String],
    ) -> PlanItem {
        let observed = self.evaluation.account(account);
        let identity = self.evaluation.graph.identity_of(account);
        PlanItem {
            id: ActionId(String::new()),
            verb,
            system: self.evaluation.inputs.snapshot.system(observed.system).clone(),
            account: observed.account.login.clone(),
            account_key: observed.account.key.clone(),
            identity: identity.map(|identity| self.evaluation.identities[identity.index()].key.clone()),
            entitlement: entitlement.map(|index| self.evaluation.entitlement_name(index).clone()),
            entitlement_native: entitlement
                .and_then(|index| self.evaluation.observed_entitlement(index))
                .and_then(|observed| observed.native.clone()),
            because: because.to_vec(),
            also_loses: Vec::new(),
            must_end: Vec::new(),
            after: Vec::new(),
        }
    }
}

/// Absence needs proof (law 3), and the lack of a reason is an absence, too: a nesting, or the other person whose account
/// this could be, may be in what was not read. So nothing is taken away in a system, or on the word of a people feed, that
/// was never read completely.
fn unproved(evaluation: &Evaluation<'_>) -> HashMap<SystemName, String> {
    let Inputs { snapshot, systems, .. } = evaluation.inputs;
    let never = |name: &SystemName| -> Option<String> {
        let state = snapshot.systems.iter().find(|system| &system.name == name);
        let why = match state.map(|system| (&system.latest_complete, &system.latest)) {
            Some((Some(_), _)) => return None,
            Some((None, Some(latest))) => latest.completeness.detail(),
            Some((None, None)) | None => "no enumeration has ended",
        };
        Some(format!(
            "system {name} was never read completely ({why}), and a reason may be in what was not read; run `leasehold sync {name}`"
        ))
    };
    let of_a_feed =
        systems.iter().filter(|(_, settings)| settings.authoritative).find_map(|(name, _)| never(name));
    let of_a_system = |name: &SystemName| never(name).or_else(|| of_a_feed.clone());
    let names = snapshot.systems.iter().map(|system| &system.name);
    names.filter_map(|name| Some((name.clone(), of_a_system(name)?))).collect()
}

/// What roles would give whose predicate relies on an attribute that no identity has. Unknown is not "nobody" (law 6).
fn undecided_by(evaluation: &Evaluation<'_>) -> HashMap<EntitlementIndex, String> {
    let mut undecided = HashMap::new();
    for role in &evaluation.inputs.policy.roles {
        let Some(why) = evaluation.undecidable(role) else { continue };
        for named in role.grants.iter().filter_map(|grant| evaluation.entitlement(&grant.value)) {
            let carried = evaluation.graph.containment().reaches(named.0).iter().copied();
            for entitlement in carried.map(EntitlementIndex).chain([named]) {
                undecided.entry(entitlement).or_insert_with(|| {
                    format!("{why}, so nobody can say who may keep this; is a column missing from the people feed?")
                });
            }
        }
    }
    undecided
}

/// A connector that binds by DN: its account is the one whose `dn` that is.
fn is_dn(account: &leasehold_model::snapshot::SnapshotAccount, own: &str) -> bool {
    account.account.attributes.get("dn").is_some_and(|dn| dn.eq_ignore_ascii_case(own))
}

fn words(because: &[Because]) -> Vec<String> {
    because.iter().map(Because::to_string).collect()
}

/// Orders the items as they should run, names them, and ties each to those that must come first.
fn name_and_order(items: &mut [PlanItem], state: &StateFingerprint) {
    items.sort_by(|left, right| key(left).cmp(&key(right)));
    let mut content = Sha256::new();
    content.update(serde_json::to_vec(state).unwrap_or_default());
    for item in items.iter() {
        content.update(serde_json::to_vec(&key(item)).unwrap_or_default());
    }
    let content = content.finalize();
    let mut grants_of: HashMap<(SystemName, AccountKey), Vec<ActionId>> = HashMap::new();
    for item in items.iter_mut() {
        let mut hasher = Sha256::new();
        hasher.update(content);
        hasher.update(serde_json::to_vec(&key(item)).unwrap_or_default());
        item.id = ActionId(format!("act-{}", &hex::encode(hasher.finalize())[..20]));
        let grants = grants_of.entry((item.system.clone(), item.account_key.clone())).or_default();
        match item.verb {
            Verb::Grant => grants.push(item.id.clone()),
            Verb::Revoke => item.after.clone_from(grants),
            Verb::DisableAccount | Verb::EndSessions => {}
        }
    }
}

type Key<'item> = (&'item SystemName, &'item AccountKey, Verb, String);

fn key(item: &PlanItem) -> Key<'_> {
    let entitlement = item.entitlement.as_ref().map(ToString::to_string).unwrap_or_default();
    (&item.system, &item.account_key, item.verb, entitlement)
}
