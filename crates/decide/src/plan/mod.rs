//! From drift to a plan: which actions would close it, in which order, and what is left alone and why.
//!
//! Every drift item ends in exactly one of the two lists. Revocation is complete by path: an effective entitlement ends
//! only when every direct grant that leads to it ends, and those are exactly the unjustified direct grants of the
//! account, because a justified one justifies what it carries. What an identity keeps by right, but holds only through
//! a grant that ends, is granted directly before that grant is taken away.

mod consider;
mod hand_over;
mod join;
mod keep;
mod obstacles;
mod to_come;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use leasehold_model::credential::CredentialName;
use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::id::{AccountKey, ActionId, EntitlementName, IdentityKey, SystemName};
use leasehold_model::plan::{LeftAlone, Plan, PlanItem, StateFingerprint, Verb};
use leasehold_model::request::AccountTarget;
use sha2::{Digest, Sha256};

use crate::engine::{AccountIndex, EntitlementIndex, IdentityIndex};
use crate::evaluate::{Abilities, Evaluation};
use crate::guard;

pub use consider::CLOSED_BY_PLANS;

/// Which drift a plan is about.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Only these systems; all where empty.
    pub systems: Vec<SystemName>,
    /// Only these kinds; all where empty.
    pub kinds: Vec<DriftKind>,
    /// Where not empty, only these systems, and of each only these kinds.
    pub kinds_by_system: BTreeMap<SystemName, BTreeSet<DriftKind>>,
    /// Only these identities; all where empty.
    pub identities: Vec<IdentityKey>,
    /// A person says that these leave: no reason of theirs can be in what was never read, and what is seen of theirs ends.
    pub decided: Vec<IdentityKey>,
    /// A person says that what was removed out of band returns.
    pub restore: bool,
    /// Also end the sessions of accounts that somebody else closed, of these identities, or of all who have left: what was open then
    /// may be open still.
    pub sessions: bool,
    /// Also tell what the roles of somebody whose first day is still to come will give.
    pub to_come: bool,
    /// Not these accounts: something about them waits for a person.
    pub except: BTreeSet<(SystemName, AccountKey)>,
}

impl Scope {
    /// Whether a drift item is within the scope.
    pub fn covers(&self, item: &DriftItem) -> bool {
        (self.systems.is_empty() || self.systems.contains(&item.system))
            && (self.kinds.is_empty() || self.kinds.contains(&item.kind))
            && (self.kinds_by_system.is_empty()
                || self.kinds_by_system.get(&item.system).is_some_and(|kinds| kinds.contains(&item.kind)))
            && (self.identities.is_empty()
                || item.identity.as_ref().is_some_and(|identity| {
                    self.identities.iter().any(|wanted| wanted.folded() == identity.folded())
                }))
            && !item
                .account
                .as_ref()
                .is_some_and(|account| self.except.contains(&(item.system.clone(), account.clone())))
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
    planner.decided = scope.decided.iter().map(IdentityKey::folded).collect();
    for item in drift.iter().filter(|item| scope.covers(item)) {
        planner.consider(item, scope);
    }
    planner.keep_what_is_justified();
    planner.keep_what_is_handed_over();
    if scope.to_come {
        planner.tell_what_is_to_come(scope);
    }
    if scope.sessions {
        planner.end_sessions_of(scope);
    }
    let keeping = planner.keeping();
    let (mut items, mut left_alone) = planner.finish();
    name_and_order(&mut items, &state, &keeping);
    left_alone.sort();
    left_alone.dedup();
    let guards = guard::guards(evaluation, &items, !scope.identities.is_empty());
    Plan::seal(state, items, left_alone, guards)
}

struct Planner<'plan, 'inputs> {
    evaluation: &'plan Evaluation<'inputs>,
    accounts: HashMap<(SystemName, AccountKey), AccountIndex>,
    untouchable: HashMap<AccountIndex, String>,
    /// Systems of which nothing may be concluded yet that takes access away, with why.
    unproved: HashMap<SystemName, String>,
    /// Identities of which a person says that they leave, folded.
    decided: HashSet<String>,
    /// Entitlements for which a role would say whose they are, if its predicate could be decided, with why it cannot.
    undecided_by: HashMap<EntitlementIndex, String>,
    /// Direct grants that ended without us, by the snapshot's positions.
    vanished: HashSet<(u32, u32)>,
    /// Direct grants that end, with why.
    revokes: BTreeMap<AccountIndex, BTreeMap<EntitlementIndex, Vec<String>>>,
    grants: BTreeMap<(AccountIndex, EntitlementIndex), Vec<String>>,
    /// Those of them by which somebody keeps what goes with a path that ends.
    kept: BTreeSet<(AccountIndex, EntitlementIndex)>,
    /// Accounts of which nothing but their sessions ends, with why.
    sessions: BTreeMap<AccountIndex, Vec<String>>,
    /// Accounts that are opened again, with why.
    enables: BTreeMap<AccountIndex, Vec<String>>,
    disables: BTreeMap<AccountIndex, Vec<String>>,
    /// Accounts that are removed for good, with why.
    deletes: BTreeMap<AccountIndex, Vec<String>>,
    new_accounts: BTreeMap<(SystemName, IdentityIndex), join::NewAccount>,
    logins: join::Logins,
    /// Credentials that are stopped, ended or brought back, with why.
    credentials: BTreeMap<(AccountIndex, CredentialName), (Verb, Vec<String>)>,
    /// Credentials that run as another account from now on, with which, and why.
    hand_overs: BTreeMap<(AccountIndex, CredentialName), (AccountIndex, Vec<String>)>,
    /// Accounts whose credentials were to be, and cannot.
    not_handed_over: BTreeSet<AccountIndex>,
    left_alone: Vec<LeftAlone>,
}

impl<'plan, 'inputs> Planner<'plan, 'inputs> {
    fn new(evaluation: &'plan Evaluation<'inputs>) -> Self {
        let snapshot = evaluation.inputs.snapshot;
        let mut accounts = HashMap::with_capacity(snapshot.accounts.len());
        let mut logins = join::Logins::new();
        for (position, account) in (0u32..).zip(&snapshot.accounts) {
            let system = snapshot.system(account.system);
            let index = evaluation.index_of(position);
            accounts.insert((system.clone(), account.account.key.clone()), index);
            if evaluation.inputs.systems.get(system).is_some_and(|set| set.new_account_login.is_some()) {
                let logins = logins.entry(system.clone()).or_default();
                logins.insert(account.account.login.to_lowercase(), index);
            }
        }
        Self {
            evaluation,
            accounts,
            untouchable: obstacles::untouchable(evaluation),
            unproved: obstacles::unproved(evaluation),
            decided: HashSet::new(),
            undecided_by: obstacles::undecided_by(evaluation),
            vanished: snapshot.vanished.iter().map(|gone| (gone.account, gone.entitlement)).collect(),
            revokes: BTreeMap::new(),
            grants: BTreeMap::new(),
            kept: BTreeSet::new(),
            sessions: BTreeMap::new(),
            enables: BTreeMap::new(),
            disables: BTreeMap::new(),
            deletes: BTreeMap::new(),
            new_accounts: BTreeMap::new(),
            logins,
            credentials: BTreeMap::new(),
            hand_overs: BTreeMap::new(),
            not_handed_over: BTreeSet::new(),
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

    /// Why nothing may be taken away by this item yet.
    fn unproved_by(&self, item: &DriftItem) -> Option<String> {
        let is_decided = item.kind == DriftKind::Leaver
            && item.identity.as_ref().is_some_and(|identity| self.decided.contains(&identity.folded()));
        self.unproved.get(&item.system).filter(|_| !is_decided).cloned()
    }

    fn abilities(&self, system: &SystemName) -> Abilities {
        self.evaluation.inputs.systems.get(system).map(|settings| settings.can).unwrap_or_default()
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
        // A session that is open goes on with what it has taken up, as a database session does with a role, and a key that
        // opened one is not asked for again.
        let revoked =
            self.revokes.iter().filter_map(|(account, ending)| Some((*account, ending.values().next()?)));
        let stopped = self.credentials.iter().filter(|(_, (verb, _))| verb.takes_away());
        let stopped = stopped.map(|((account, _), (_, because))| (*account, because));
        let closed = self.sessions.iter().map(|(account, because)| (*account, because));
        let losing: BTreeMap<AccountIndex, &Vec<String>> = closed.chain(stopped).chain(revoked).collect();
        for (account, because) in losing.into_iter().filter(|(account, _)| !disables.contains_key(account)) {
            let item = self.item(Verb::EndSessions, account, None, because);
            if self.abilities(&item.system).end_sessions {
                items.push(item);
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
        for ((account, credential), (verb, because)) in &self.credentials {
            let item = self.item(*verb, *account, None, because);
            items.push(PlanItem { credential: Some(credential.clone()), ..item });
        }
        for ((account, credential), (to, because)) in &self.hand_overs {
            let item = self.item(Verb::HandOverCredential, *account, None, because);
            let to = &self.evaluation.account(*to).account;
            let to = Some(AccountTarget { key: to.key.clone(), login: to.login.clone() });
            items.push(PlanItem { credential: Some(credential.clone()), to, ..item });
        }
        for (account, because) in &self.enables {
            items.push(self.item(Verb::EnableAccount, *account, None, because));
        }
        for (account, because) in &self.deletes {
            items.push(self.item(Verb::DeleteAccount, *account, None, because));
        }
        items.extend(self.joining());
        // Revoked entitlements that are granted again by the same plan would fight each other.
        debug_assert!(
            self.grants.keys().all(|(account, grant)| !self
                .revokes
                .get(account)
                .is_some_and(|all| all.contains_key(grant)))
        );
        (items, self.left_alone)
    }

    /// Sessions of accounts of these identities that somebody else closed.
    fn end_sessions_of(&mut self, scope: &Scope) {
        let evaluation = self.evaluation;
        let named: Vec<IdentityIndex> = match scope.identities.is_empty() {
            true => (0u32..)
                .zip(&evaluation.identities)
                .filter(|(_, identity)| identity.has_left(evaluation.inputs.now))
                .map(|(position, _)| IdentityIndex(position))
                .collect(),
            false => scope.identities.iter().filter_map(|key| evaluation.identity(key)).collect(),
        };
        for identity in named {
            for account in evaluation.graph.accounts_of(identity) {
                let system = evaluation.inputs.snapshot.system(evaluation.account(account).system);
                let is_meant = scope.systems.is_empty() || scope.systems.contains(system);
                // What Leasehold closed, it closed with its sessions; what never let anybody in has none.
                let is_over =
                    evaluation.account(account).account.takes_credentials() || self.is_closed_by_us(account);
                if is_meant && !is_over && !self.untouchable.contains_key(&account) {
                    let text = "somebody else closed this account, and what was open then may be open still";
                    self.sessions.insert(account, vec![text.to_owned()]);
                }
            }
        }
    }

    /// What is given so that nothing is lost.
    fn keeping(&self) -> Keeping {
        let kept = self.kept.iter().map(|(account, entitlement)| {
            let observed = self.evaluation.account(*account);
            let system = self.evaluation.inputs.snapshot.system(observed.system).clone();
            (system, observed.account.key.clone(), self.evaluation.entitlement_name(*entitlement).clone())
        });
        kept.collect()
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
            privileged: entitlement
                .and_then(|index| self.evaluation.observed_entitlement(index))
                .is_some_and(|observed| observed.privileged),
            credential: None,
            to: None,
            attributes: BTreeMap::new(),
            because: because.to_vec(),
            also_loses: Vec::new(),
            must_end: Vec::new(),
            after: Vec::new(),
        }
    }
}

fn words(because: &[Because]) -> Vec<String> {
    because.iter().map(Because::to_string).collect()
}

/// Grants by which somebody keeps what goes with a path that ends: where, to which account, and what.
type Keeping = BTreeSet<(SystemName, AccountKey, EntitlementName)>;

/// Orders the items as they should run, names them, and ties each to those that must come first.
fn name_and_order(items: &mut [PlanItem], state: &StateFingerprint, keeping: &Keeping) {
    items.sort_by(|left, right| key(left).cmp(&key(right)));
    let mut content = Sha256::new();
    content.update(serde_json::to_vec(state).unwrap_or_default());
    for item in items.iter() {
        content.update(serde_json::to_vec(&key(item)).unwrap_or_default());
    }
    let content = content.finalize();
    /// Of one account: what opens it, what it is given, and what others take over from it.
    #[derive(Default)]
    struct Before {
        opened: Vec<ActionId>,
        granted: Vec<ActionId>,
        handed_over: Vec<ActionId>,
    }
    let mut before: HashMap<(SystemName, AccountKey, String), Before> = HashMap::new();
    for item in items.iter_mut() {
        let mut hasher = Sha256::new();
        hasher.update(content);
        hasher.update(serde_json::to_vec(&key(item)).unwrap_or_default());
        item.id = ActionId(format!("act-{}", &hex::encode(hasher.finalize())[..20]));
        let (key, login) = item.account_id();
        let before = before.entry((item.system.clone(), key.clone(), login.to_owned())).or_default();
        match item.verb {
            Verb::CreateAccount | Verb::EnableAccount => before.opened.push(item.id.clone()),
            Verb::Grant | Verb::EnableCredential | Verb::HandOverCredential => {
                // A new role that cannot be given holds up nothing of the old one's end.
                let about = item.entitlement.clone().map(|name| (item.system.clone(), key.clone(), name));
                item.after.clone_from(&before.opened);
                if about.is_some_and(|about| keeping.contains(&about)) {
                    before.granted.push(item.id.clone());
                }
                if item.verb == Verb::HandOverCredential {
                    before.handed_over.push(item.id.clone());
                }
            }
            Verb::DeleteAccount => item.after.clone_from(&before.handed_over),
            Verb::Revoke => item.after.clone_from(&before.granted),
            _ => {}
        }
    }
}

type Key<'item> = (&'item SystemName, &'item AccountKey, Verb, String);

fn key(item: &PlanItem) -> Key<'_> {
    let entitlement = item.entitlement.as_ref().map(ToString::to_string);
    let credential = item.credential.as_ref().map(|credential| credential.key.to_string());
    let mut about = entitlement.or(credential).unwrap_or_default();
    let (key, login) = item.account_id();
    if !login.is_empty() {
        about = format!("{login} {about}");
    }
    if let Some(to) = &item.to {
        about = format!("{about} to {}", to.key);
    }
    (&item.system, key, item.verb, about)
}
