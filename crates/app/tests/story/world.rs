//! The harness: a scene with its world, store, clock and a process that can die, and the loop's verbs over them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use leasehold_connect::simulated::dice::Dice;
use leasehold_connect::simulated::state::WorldState;
use leasehold_connect::simulated::{Faults, World};
use leasehold_decide::correlate::CorrelationRule;
use leasehold_decide::merge::Precedence;
use leasehold_decide::plan::Scope;
use leasehold_decide::{policy, rules};
use leasehold_model::clock::Clock;
use leasehold_model::decision::DriftItem;
use leasehold_model::id::{AccountKey, EntitlementName, SystemName};
use leasehold_model::plan::Plan;
use leasehold_reconcile::driver::{Driver, DriverSettings};
use leasehold_reconcile::pace::Patience;
use leasehold_reconcile::run::Runner;
use leasehold_reconcile::stages::decide::Loaded;
use leasehold_reconcile::stages::observe::{Observe, observe};
use leasehold_reconcile::stages::plan;
use leasehold_reconcile::system::{Enforce, INTERVAL_MS_DEFAULT, System, Systems};
use leasehold_store::{ActionRow, EpochReport, Store, StoreOptions};

use crate::invariants;
use crate::life::{Calls, Life, MortalConnector, StoryClock};
use crate::scene::{Scene, identity};

/// One direct grant.
pub type Pair = (SystemName, AccountKey, EntitlementName);

/// A story that is being told.
pub struct Story {
    pub scene: Scene,
    pub world: Arc<World>,
    pub clock: Arc<StoryClock>,
    pub life: Arc<Life>,
    pub calls: Arc<Mutex<Calls>>,
    pub store: Store,
    pub systems: Systems,
    /// Direct grants that an adopted baseline covers and that nobody has removed since.
    pub baseline: BTreeSet<Pair>,
    /// Direct grants that the baseline was adopted with and that were never seen to end.
    pub adopted: BTreeSet<Pair>,
    /// Direct grants that somebody removed in the system after they had been observed.
    pub removed: BTreeSet<Pair>,
    /// Direct grants that somebody removed in the system, whether or not anybody had read them.
    pub taken: BTreeSet<Pair>,
    /// Sessions that earlier plans could not end and that the latest run tried again.
    pub tried_again: Vec<ActionRow>,
    /// One, so that a seed's calls come in the same order each time; more where that is not asked for.
    pub systems_at_once: usize,
    path: PathBuf,
    /// Removed with the story.
    _folder: tempfile::TempDir,
}

/// Where temporary stores go: memory where the machine offers it.
pub fn folder() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a temporary folder")
}

fn options() -> StoreOptions {
    StoreOptions { durable: false, connections_max: 2, ..StoreOptions::default() }
}

impl Story {
    /// A story at its beginning: an empty store and the scene's policy.
    pub async fn begin(scene: Scene) -> Self {
        let folder = folder();
        let path = folder.path().join("leasehold.db");
        std::fs::write(&path, MADE.get_or_init(made_store)).expect("a copy of a store");
        let store = open(&path).await;
        let world = World::of(scene.state.clone());
        let clock = StoryClock::at(scene.state.as_of);
        clock.advance_ms(3_600_000);
        world.set_clock(clock.clone());
        let life = Life::new();
        let dying = life.clone();
        world.on_crash(Arc::new(move || dying.die()));
        let calls = Arc::new(Mutex::new(Calls::default()));
        let mut names = world.systems();
        names.insert(0, SystemName::new("hr").expect("the feed"));
        let systems = names
            .into_iter()
            .map(|name| (name.clone(), system(&scene, &world, &life, &clock, &calls, name)))
            .collect();
        let mut story = Self {
            scene,
            world,
            clock,
            life,
            calls,
            store,
            systems,
            baseline: BTreeSet::new(),
            adopted: BTreeSet::new(),
            removed: BTreeSet::new(),
            taken: BTreeSet::new(),
            tried_again: Vec::new(),
            systems_at_once: 1,
            path,
            _folder: folder,
        };
        let files = story.scene.policy.clone();
        story.apply_policy(files).await;
        story
    }

    /// Makes a policy the live one.
    pub async fn apply_policy(&mut self, files: BTreeMap<String, String>) {
        let read = policy::read::read(&files).unwrap_or_else(|all| panic!("the policy: {all:?}"));
        self.store
            .apply_policy(files.clone(), &read.digest, "story", self.clock.now())
            .await
            .expect("policy");
        self.scene.policy = files;
    }

    /// Starts the process again on what its store holds.
    pub async fn restart(&mut self) {
        // A commit that was under way lands or not, but not later than the next life begins.
        self.store.close().await;
        self.store = open(&self.path).await;
    }

    /// Reads one system.
    pub async fn observe(&self, name: &str) -> EpochReport {
        let system = &self.systems[&SystemName::new(name).expect("a system")];
        observe(&self.store, system, &*self.clock, Observe::default(), &mut |_, _, _| {})
            .await
            .expect("the store takes an epoch")
            .report
    }

    /// Reads every system, a moment after whatever happened before.
    pub async fn observe_all(&self) -> Vec<(SystemName, EpochReport)> {
        self.clock.advance_ms(60_000);
        let mut reports = Vec::new();
        for name in self.systems.keys() {
            reports.push((name.clone(), self.observe(name.as_str()).await));
        }
        reports
    }

    pub async fn load(&self) -> Loaded {
        Loaded::load(&self.store, &self.systems, self.clock.now(), None).await.expect("what was observed")
    }

    /// Drift and a plan that is kept.
    pub async fn plan(&self) -> (Vec<DriftItem>, Plan) {
        let loaded = self.load().await;
        let drift = rules::drift(&loaded.evaluate().expect("an evaluation"));
        let plan = plan::make(&self.store, &loaded, &Scope::default()).await.expect("a plan");
        (drift, plan)
    }

    /// A process that runs the loop over this story's store. One reading at a time, so that a seed's calls come in one order.
    pub fn driver(&self) -> Driver {
        let settings = DriverSettings { syncs_at_once: 1, ..DriverSettings::default() };
        let patience = Patience { systems_at_once: 1, ..Patience::default() };
        Driver::new(self.store.clone(), self.systems.clone(), self.clock.clone(), patience, None, settings)
    }

    pub fn runner(&self) -> Runner {
        let life = self.life.clone();
        Runner {
            store: self.store.clone(),
            systems: self.systems.clone(),
            pace: self.clock.clone(),
            patience: Patience { systems_at_once: self.systems_at_once, ..Patience::default() },
            watch: Arc::new(move |_, _| {
                life.point();
            }),
        }
    }

    /// Carries a plan out, starting again after every death of the process.
    pub async fn apply(&mut self, plan: &Plan, overrides: &[String]) -> Vec<ActionRow> {
        let begun_at = self.clock.now();
        loop {
            let runner = self.runner();
            let life = self.life.clone();
            match life.lives(async { runner.apply(plan, overrides, "story").await }).await {
                Some(rows) => {
                    rows.expect("the loop goes on");
                    let all = self.store.all_actions().await.expect("actions");
                    let again = |row: &ActionRow| row.plan != plan.hash && row.sent_at >= Some(begun_at);
                    self.tried_again = all.into_iter().filter(again).collect();
                    return self.store.actions(&plan.hash).await.expect("actions");
                }
                None => self.restart().await,
            }
        }
    }

    /// Reads everything, even where the process dies on the way. A partial or empty answer must end nothing (law 3).
    pub async fn observe_all_mortal(&mut self) {
        loop {
            let before = self.store.snapshot(None).await.expect("a snapshot");
            let life = self.life.clone();
            if let Some(reports) = life.lives(self.observe_all()).await {
                let after = self.store.snapshot(None).await.expect("a snapshot");
                return invariants::partial_ends_nothing(&before, &after, &reports);
            }
            self.restart().await;
        }
    }

    /// From here on nothing goes wrong any more, and what was slow has become visible.
    pub fn calm(&self) {
        self.world.set_faults(Faults::none());
        self.clock.advance_ms(600_000);
    }

    /// The world as it really is.
    pub fn truth(&self) -> WorldState {
        self.world.snapshot()
    }

    /// What happens in a company without asking: access given and taken in the systems, people who leave and move,
    /// log-ins, new accounts. `observed` says that everything was read before.
    pub async fn disturb(&mut self, dice: &mut Dice, observed: bool) {
        // Only what was seen can be seen to vanish.
        let known = invariants::pairs(&self.store.snapshot(None).await.expect("a snapshot"));
        for _ in 0..dice.below(5) {
            let truth = self.truth();
            let names: Vec<SystemName> = truth.systems.keys().cloned().collect();
            let system = names[dice.below(names.len())].clone();
            let state = &truth.systems[&system];
            let accounts: Vec<AccountKey> = state
                .accounts
                .keys()
                .filter(|key| !self.scene.untouchable.contains(&(system.clone(), (*key).clone())))
                .cloned()
                .collect();
            let account = accounts[dice.below(accounts.len())].clone();
            let people: Vec<_> = truth.people.keys().cloned().collect();
            let person = people[dice.below(people.len())].clone();
            match dice.below(8) {
                0..=2 => {
                    let all: Vec<_> = state
                        .entitlements
                        .values()
                        .filter(|found| !found.inherent)
                        .map(|found| &found.name)
                        .collect();
                    let entitlement = all[dice.below(all.len())].clone();
                    if !state.holds_directly(&account, &entitlement) {
                        self.world
                            .grant_out_of_band(system.as_str(), account.as_str(), &entitlement.to_string())
                            .expect("given");
                        let pair = (system, account, entitlement);
                        self.removed.remove(&pair);
                        self.taken.remove(&pair);
                        // Taken and given again between two readings, it never ended as far as anybody saw.
                        if !known.contains(&pair) {
                            self.adopted.remove(&pair);
                        } else if self.adopted.contains(&pair) {
                            self.baseline.insert(pair);
                        }
                    }
                }
                3 | 4 => {
                    let held = state.revocable(&account);
                    if !held.is_empty() {
                        let entitlement = held[dice.below(held.len())].clone();
                        self.world
                            .remove_out_of_band(system.as_str(), account.as_str(), &entitlement.to_string())
                            .expect("taken");
                        let pair = (system, account, entitlement);
                        self.baseline.remove(&pair);
                        self.taken.insert(pair.clone());
                        if observed && known.contains(&pair) {
                            self.removed.insert(pair);
                        }
                    }
                }
                5 => {
                    let at = self.clock.now();
                    self.world.leave(person.as_str(), at).expect("left");
                }
                6 => {
                    let department = ["Red", "Green", "Blue"][dice.below(3)];
                    self.world.mover(person.as_str(), department, "Something").expect("moved");
                }
                _ => {
                    if state.traits.sessions {
                        self.world.log_in(system.as_str(), account.as_str()).expect("logged in");
                    } else {
                        let number = dice.below(100);
                        self.world
                            .join(identity(&format!("new{number}@example.com"), "Blue"))
                            .expect("joined");
                    }
                }
            }
        }
    }
}

/// An empty store's bytes, to be copied: making one anew costs more than a short story.
static MADE: OnceLock<Vec<u8>> = OnceLock::new();

fn made_store() -> Vec<u8> {
    // Called from within a story's runtime, so it needs a thread of its own.
    let made = std::thread::spawn(|| {
        let folder = folder();
        let path = folder.path().join("made.db");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { open(&path).await.close().await });
        std::fs::read(&path).expect("the made store")
    });
    made.join().expect("a store is made")
}

/// An empty store in a file.
pub async fn empty_store(path: &std::path::Path) -> Store {
    std::fs::write(path, MADE.get_or_init(made_store)).expect("a copy of an empty store");
    open(path).await
}

async fn open(path: &std::path::Path) -> Store {
    Store::open(&format!("sqlite:{}", path.display()), options()).await.expect("a store in a file")
}

fn system(
    scene: &Scene,
    world: &Arc<World>,
    life: &Arc<Life>,
    clock: &Arc<StoryClock>,
    calls: &Arc<Mutex<Calls>>,
    name: SystemName,
) -> System {
    let connector = MortalConnector {
        inner: world.connector(name.as_str()).expect("a connector"),
        system: name.clone(),
        world: world.clone(),
        life: life.clone(),
        clock: clock.clone(),
        calls: calls.clone(),
    };
    let rules = scene.correlate.get(&name).into_iter().flatten();
    let feed = name.as_str() == "hr";
    System {
        connector_kind: "simulated".to_owned(),
        connector: Arc::new(connector),
        correlate: rules.map(|rule| CorrelationRule::parse(rule).expect("a rule")).collect(),
        new_account_login: None,
        precedence: Precedence::default(),
        authoritative: feed,
        enforce: Enforce::Enforce.into(),
        interval_ms: INTERVAL_MS_DEFAULT,
        connector_login: scene.own_login.filter(|_| !feed).map(str::to_owned),
        name,
    }
}
