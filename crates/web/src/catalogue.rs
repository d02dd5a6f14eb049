//! Names in their order, and what belongs to whom: made once for each set of facts, so that a list or a search of a
//! hundred thousand identities costs no work in proportion to all grants.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use leasehold_decide::correlate::Correlation;
use leasehold_decide::engine::access;
use leasehold_decide::engine::{AccountIndex, EntitlementIndex, IdentityIndex};
use leasehold_decide::policy::Policy;
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::identity::Identity;
use leasehold_model::snapshot::Snapshot;
use leasehold_reconcile::view::View;
use tokio::sync::Mutex;

use crate::error::WebError;
use crate::state::App;

/// Separates the names that one thing goes by.
const BETWEEN: char = '\n';

/// What somebody answers for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owned {
    /// Identities that report to them.
    pub reports: Vec<IdentityIndex>,
    /// Non-humans that they answer for.
    pub identities: Vec<IdentityIndex>,
    /// Entitlements, as policy or systems say.
    pub entitlements: Vec<EntitlementIndex>,
    /// Roles, by their place in the policy.
    pub roles: Vec<usize>,
    /// Assignments and exceptions, by their place in the policy.
    pub explicit: Vec<usize>,
}

/// What one system has.
#[derive(Debug, Clone, Default)]
pub(crate) struct SystemContents {
    /// Its accounts, by their position in the snapshot, in the order of names.
    pub accounts: Vec<u32>,
    /// Its entitlements, in the order of names; those that only the policy names are among them.
    pub entitlements: Vec<EntitlementIndex>,
    /// How many of its accounts are nobody's, or could be several people's.
    pub orphans: usize,
    /// How many direct grants it has.
    pub grants: usize,
}

/// Names of one sort of thing: in their order, and each where it is in that order.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Positions, in the order of names.
    order: Vec<u32>,
    /// What is searched, in lower case, by position: every name that a thing goes by.
    folded: Vec<String>,
    /// The place in the order, by position.
    ranks: Vec<u32>,
}

impl Names {
    fn new(folded: Vec<String>) -> Self {
        let mut order: Vec<u32> = (0u32..).take(folded.len()).collect();
        order.sort_unstable_by(|left, right| {
            folded[*left as usize].cmp(&folded[*right as usize]).then(left.cmp(right))
        });
        let mut ranks = vec![0; order.len()];
        for (rank, position) in (0u32..).zip(&order) {
            ranks[*position as usize] = rank;
        }
        Self { order, folded, ranks }
    }

    /// Positions in the order of names.
    pub(crate) fn in_order(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.order.iter().copied()
    }

    /// The place of a position in that order.
    pub(crate) fn rank(&self, position: u32) -> u32 {
        self.ranks[position as usize]
    }

    /// How well a search term, in lower case, fits: 0 where a name is it, 1 where one begins with it, 2 where one holds
    /// it; `None` where none does.
    pub(crate) fn fit(&self, position: u32, term: &str) -> Option<u8> {
        let folded = &self.folded[position as usize];
        if !folded.contains(term) {
            return None;
        }
        let mut names = folded.split(BETWEEN);
        if names.clone().any(|name| name == term) {
            Some(0)
        } else if names.any(|name| name.starts_with(term)) {
            Some(1)
        } else {
            Some(2)
        }
    }
}

/// Names and owners of one set of facts and claims.
pub(crate) struct Catalogue {
    snapshot: Arc<Snapshot>,
    policy: Arc<Policy>,
    /// Of identities, by [`IdentityIndex`].
    pub identities: Names,
    /// Of accounts, by their position in the snapshot.
    pub accounts: Names,
    /// Of entitlements, by [`EntitlementIndex`].
    pub entitlements: Names,
    owners_of: HashMap<u32, Vec<IdentityKey>>,
    owned_by: HashMap<String, Owned>,
    /// By the system's position in the snapshot.
    contents: Vec<SystemContents>,
    /// How many accounts hold an entitlement, as far as somebody asked, and for which instant.
    holders: RwLock<(Timestamp, HashMap<u32, usize>)>,
}

impl Catalogue {
    /// This computes: not for the threads that serve.
    fn new(view: &View) -> Self {
        let (loaded, evaluation) = (view.loaded(), view.evaluation());
        let snapshot = &loaded.snapshot;
        let identities = evaluation.identities.iter().map(identity_names).collect();
        let account = |account: &leasehold_model::snapshot::SnapshotAccount| {
            let mut names = account.account.login.to_lowercase();
            for other in
                [Some(account.account.key.as_str()), display_name(&account.account.attributes).as_deref()]
                    .into_iter()
                    .flatten()
            {
                push_name(&mut names, other);
            }
            names
        };
        let accounts = snapshot.accounts.iter().map(account).collect();
        let count = u32::try_from(evaluation.graph.entitlement_count()).unwrap_or(u32::MAX);
        let entitlement = |index: EntitlementIndex| {
            let name = evaluation.entitlement_name(index);
            let mut names = format!("{}:{name}", evaluation.system_of(index)).to_lowercase();
            push_name(&mut names, &name.name);
            if let Some(title) = evaluation.observed_entitlement(index).and_then(|it| it.title.as_deref()) {
                push_name(&mut names, title);
            }
            names
        };
        let entitlements = (0..count).map(|index| entitlement(EntitlementIndex(index))).collect();
        let owners_of = owners_of_entitlements(view);
        let (accounts, entitlements) = (Names::new(accounts), Names::new(entitlements));
        Self {
            contents: contents(view, &accounts, &entitlements),
            holders: RwLock::new((view.as_of(), HashMap::new())),
            owned_by: owned_by(view, &owners_of),
            owners_of,
            snapshot: snapshot.clone(),
            policy: loaded.policy.clone(),
            identities: Names::new(identities),
            accounts,
            entitlements,
        }
    }

    /// Whether names and owners of this state are these. Time alone changes neither.
    fn is_of(&self, view: &View) -> bool {
        Arc::ptr_eq(&self.snapshot, &view.loaded().snapshot)
            && Arc::ptr_eq(&self.policy, &view.loaded().policy)
    }

    /// Who answers for an entitlement, as policy or its system says.
    pub(crate) fn owners_of(&self, entitlement: EntitlementIndex) -> &[IdentityKey] {
        self.owners_of.get(&entitlement.0).map_or(&[], Vec::as_slice)
    }

    /// What a system has; `None` where it was never read.
    pub(crate) fn contents(&self, system: &SystemName) -> Option<&SystemContents> {
        self.contents.get(self.snapshot.system_position(system)? as usize)
    }

    /// The accounts that effectively hold an entitlement, in the order of names.
    pub(crate) fn accounts_holding(&self, view: &View, index: EntitlementIndex) -> Vec<AccountIndex> {
        let evaluation = view.evaluation();
        let holders = access::who(&evaluation.graph, index, evaluation.now());
        let mut accounts: Vec<AccountIndex> = holders.into_iter().map(|holder| holder.account).collect();
        accounts.dedup();
        accounts.sort_unstable_by_key(|account| self.accounts.rank(evaluation.position_of(*account)));
        accounts
    }

    /// How many accounts effectively hold an entitlement. Counted once for each instant that is decided for.
    pub(crate) fn holders(&self, view: &View, index: EntitlementIndex) -> usize {
        let at = view.as_of();
        {
            let counted = self.holders.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = counted.1.get(&index.0).filter(|_| counted.0 == at) {
                return *count;
            }
        }
        let evaluation = view.evaluation();
        let mut holders = access::who(&evaluation.graph, index, evaluation.now());
        holders.dedup_by_key(|holder| holder.account);
        let mut counted = self.holders.write().unwrap_or_else(PoisonError::into_inner);
        if counted.0 != at {
            *counted = (at, HashMap::new());
        }
        counted.1.insert(index.0, holders.len());
        holders.len()
    }

    /// What somebody answers for.
    pub(crate) fn owned_by(&self, identity: &IdentityKey) -> Option<&Owned> {
        self.owned_by.get(&identity.folded())
    }
}

/// The catalogue of the newest facts that were asked about.
#[derive(Default)]
pub(crate) struct Catalogues {
    newest: RwLock<Option<Arc<Catalogue>>>,
    /// Whoever holds it makes one; the others wait and find it made.
    making: Mutex<()>,
}

impl Catalogues {
    fn made(&self, view: &View) -> Option<Arc<Catalogue>> {
        let newest = self.newest.read().unwrap_or_else(PoisonError::into_inner);
        newest.as_ref().filter(|catalogue| catalogue.is_of(view)).cloned()
    }
}

/// The catalogue of a state.
///
/// # Errors
/// [`WebError::Internal`] where it could not be made.
pub(crate) async fn of(app: &App, view: &Arc<View>) -> Result<Arc<Catalogue>, WebError> {
    if let Some(catalogue) = app.catalogues.made(view) {
        return Ok(catalogue);
    }
    let _making = app.catalogues.making.lock().await;
    if let Some(catalogue) = app.catalogues.made(view) {
        return Ok(catalogue);
    }
    let made = of_another_time(view).await?;
    *app.catalogues.newest.write().unwrap_or_else(PoisonError::into_inner) = Some(made.clone());
    Ok(made)
}

/// The catalogue of a state that few ask about, such as a past one: made, and not kept.
///
/// # Errors
/// [`WebError::Internal`] where it could not be made.
pub(crate) async fn of_another_time(view: &Arc<View>) -> Result<Arc<Catalogue>, WebError> {
    let view = view.clone();
    let made = tokio::task::spawn_blocking(move || Catalogue::new(&view)).await;
    made.map(Arc::new).map_err(WebError::internal)
}

fn push_name(names: &mut String, name: &str) {
    names.push(BETWEEN);
    names.extend(name.to_lowercase().chars().map(|c| if c == BETWEEN { ' ' } else { c }));
}

fn identity_names(identity: &Identity) -> String {
    let mut names = identity.key.folded().replace(BETWEEN, " ");
    let others = [display_name(&identity.attributes)];
    let attributes =
        ["email", "employee_number", "family_name"].map(|name| identity.attributes.get(name).cloned());
    for other in others.into_iter().chain(attributes).flatten() {
        push_name(&mut names, &other);
    }
    names
}

/// What people call somebody, where the source says.
pub(crate) fn display_name(attributes: &std::collections::BTreeMap<String, String>) -> Option<String> {
    if let Some(name) = attributes.get("display_name").filter(|name| !name.trim().is_empty()) {
        return Some(name.clone());
    }
    let parts = ["given_name", "family_name"].map(|name| attributes.get(name).map_or("", |part| part.trim()));
    let name = parts.join(" ").trim().to_owned();
    (!name.is_empty()).then_some(name)
}

fn owners_of_entitlements(view: &View) -> HashMap<u32, Vec<IdentityKey>> {
    let (loaded, evaluation) = (view.loaded(), view.evaluation());
    let mut owners: HashMap<u32, Vec<IdentityKey>> = HashMap::new();
    for (position, owner) in &loaded.snapshot.entitlement_owners {
        owners.entry(*position).or_default().push(owner.clone());
    }
    for (address, owner) in &loaded.policy.owners {
        if let Some(index) = evaluation.entitlement(&address.value) {
            let of_it = owners.entry(index.0).or_default();
            if !of_it.iter().any(|known| known.folded() == owner.value.folded()) {
                of_it.push(owner.value.clone());
            }
        }
    }
    owners
}

fn owned_by(view: &View, owners_of: &HashMap<u32, Vec<IdentityKey>>) -> HashMap<String, Owned> {
    let (policy, evaluation) = (&view.loaded().policy, view.evaluation());
    let mut owned: HashMap<String, Owned> = HashMap::new();
    for (index, identity) in (0u32..).map(IdentityIndex).zip(&evaluation.identities) {
        if let Some(manager) = &identity.manager {
            owned.entry(manager.folded()).or_default().reports.push(index);
        }
        if let Some(owner) = &identity.owner {
            owned.entry(owner.folded()).or_default().identities.push(index);
        }
    }
    let mut entitlements: Vec<_> = owners_of.iter().collect();
    entitlements.sort_unstable_by_key(|(index, _)| **index);
    for (index, owners) in entitlements {
        for owner in owners {
            owned.entry(owner.folded()).or_default().entitlements.push(EntitlementIndex(*index));
        }
    }
    for (position, role) in policy.roles.iter().enumerate() {
        owned.entry(role.owner.value.folded()).or_default().roles.push(position);
    }
    for (position, explicit) in policy.explicit.iter().enumerate() {
        owned.entry(explicit.owner.value.folded()).or_default().explicit.push(position);
    }
    owned
}

fn contents(view: &View, accounts: &Names, entitlements: &Names) -> Vec<SystemContents> {
    let (snapshot, evaluation) = (&view.loaded().snapshot, view.evaluation());
    let mut contents = vec![SystemContents::default(); snapshot.systems.len()];
    for position in accounts.in_order() {
        let of_it = &mut contents[snapshot.accounts[position as usize].system as usize];
        of_it.accounts.push(position);
        if !matches!(evaluation.correlation[position as usize], Correlation::To { .. }) {
            of_it.orphans += 1;
        }
    }
    for index in entitlements.in_order().map(EntitlementIndex) {
        contents[evaluation.graph.system_of_entitlement(index).0 as usize].entitlements.push(index);
    }
    for grant in &snapshot.grants {
        contents[snapshot.accounts[grant.account as usize].system as usize].grants += 1;
    }
    contents
}
