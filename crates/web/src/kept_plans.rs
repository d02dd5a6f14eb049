//! Plans that pages show, kept as they were read: a plan never changes, and reading a large one anew for each of its
//! pages costs more than all the rest.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use leasehold_decide::authority::Resource;
use leasehold_model::id::{ActionId, IdentityKey, PlanHash, SystemName};
use leasehold_model::plan::{Guard, Plan, Verb};

use crate::error::WebError;
use crate::state::App;

/// Plans of which somebody looks at more than one page at the same time.
const KEPT_MAX: usize = 8;

/// A plan, with what its pages need.
#[derive(Debug)]
pub(crate) struct KeptPlan {
    /// The plan.
    pub plan: Plan,
    /// Its items by whom they are about; accounts of nobody come last.
    pub by_identity: Vec<u32>,
    /// The guards that hold an item, by their place in the plan.
    held_by: HashMap<ActionId, Vec<u32>>,
    /// Folded keys of everybody whom an item is about.
    pub affected: HashSet<String>,
    /// Every system that an item changes.
    pub systems: BTreeSet<SystemName>,
    /// How many items of each verb there are.
    pub verbs: BTreeMap<Verb, usize>,
    /// The same of what no guard holds.
    pub free: BTreeMap<Verb, usize>,
}

impl KeptPlan {
    fn new(plan: Plan) -> Self {
        let mut by_identity: Vec<u32> = (0u32..).take(plan.items.len()).collect();
        by_identity.sort_by_cached_key(|position| {
            let item = &plan.items[*position as usize];
            let identity = item.identity.as_ref().map(IdentityKey::folded);
            (identity.is_none(), identity, item.system.clone(), item.account.clone(), *position)
        });
        let mut held_by: HashMap<ActionId, Vec<u32>> = HashMap::new();
        for (place, guard) in (0u32..).zip(&plan.guards) {
            for id in &guard.holds {
                held_by.entry(id.clone()).or_default().push(place);
            }
        }
        let affected = plan.items.iter().filter_map(|item| item.identity.as_ref()).map(IdentityKey::folded);
        let (affected, systems) =
            (affected.collect(), plan.items.iter().map(|item| item.system.clone()).collect());
        let (mut verbs, mut free) = (BTreeMap::new(), BTreeMap::new());
        for item in &plan.items {
            *verbs.entry(item.verb).or_default() += 1;
            if !held_by.contains_key(&item.id) {
                *free.entry(item.verb).or_default() += 1;
            }
        }
        Self { plan, by_identity, held_by, affected, systems, verbs, free }
    }

    /// The plan as authority knows it, as far as one person is concerned: of all whom it is about only they themselves
    /// can matter to whether they may decide on it, and it can be about a hundred thousand.
    pub(crate) fn resource(&self, app: &App, own: Option<&IdentityKey>) -> Resource {
        let owned = app.settings.system_owners.now();
        let owns = |name: &SystemName| {
            let owners = owned.get(name).map_or(&[][..], Vec::as_slice);
            owners.iter().any(|owner| own.is_some_and(|own| own.folded() == owner.folded()))
        };
        let owns_all = !self.systems.is_empty() && self.systems.iter().all(owns);
        let affected = own.filter(|own| self.affected.contains(&own.folded()));
        Resource::Plan {
            hash: self.plan.hash.to_string(),
            affected: affected.into_iter().cloned().collect(),
            owners: own.filter(|_| owns_all).into_iter().cloned().collect(),
        }
    }

    /// The guards that hold an item, but for those that are overridden.
    pub(crate) fn holding<'plan>(
        &'plan self,
        id: &ActionId,
        overridden: &HashSet<String>,
    ) -> Vec<&'plan Guard> {
        let places = self.held_by.get(id).map_or(&[][..], Vec::as_slice);
        let guards = places.iter().map(|place| &self.plan.guards[*place as usize]);
        guards.filter(|guard| !overridden.contains(&guard.name)).collect()
    }

    /// Whether any of it takes access away.
    pub(crate) fn takes_away(&self) -> bool {
        self.verbs.keys().any(|verb| verb.takes_away())
    }
}

/// What was looked at last, the newest first.
#[derive(Debug, Default)]
pub(crate) struct KeptPlans(Mutex<VecDeque<Arc<KeptPlan>>>);

impl App {
    /// The saved plan with this whole hash.
    ///
    /// # Errors
    /// Where the store fails.
    pub(crate) async fn saved_plan(&self, hash: &str) -> Result<Option<Arc<KeptPlan>>, WebError> {
        let kept = || {
            let kept = self.kept_plans.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.iter().find(|kept| kept.plan.hash.as_str() == hash).cloned()
        };
        if let Some(found) = kept() {
            return Ok(Some(found));
        }
        let plan = self.store.plan(hash).await?.filter(|plan| plan.hash == PlanHash::from(hash));
        let Some(plan) = plan else { return Ok(None) };
        let found = tokio::task::spawn_blocking(move || Arc::new(KeptPlan::new(plan)));
        let found = found.await.map_err(WebError::internal)?;
        let mut kept = self.kept_plans.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front(found.clone());
        kept.truncate(KEPT_MAX);
        Ok(Some(found))
    }
}
