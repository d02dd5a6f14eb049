//! Fan-out: many targets at once, each a network away, one of them dead. How long until everything that the others hold is
//! read back as gone, beside the floor that the calls themselves set, and beside one target after the other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use leasehold_connect::error::ConnectError;
use leasehold_connect::simulated::state::{SystemState, SystemTraits, WorldState};
use leasehold_connect::simulated::{FaultKind, Faults, World};
use leasehold_decide::correlate::CorrelationRule;
use leasehold_decide::merge::Precedence;
use leasehold_decide::plan::Scope;
use leasehold_model::account::Account;
use leasehold_model::action::ActionState;
use leasehold_model::clock::{Clock as _, SystemClock};
use leasehold_model::entitlement::Entitlement;
use leasehold_model::id::{AccountKey, IdentityKey, SystemName};
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState, Unsaid};
use leasehold_model::plan::Plan;
use leasehold_model::request::{AccountTarget, ReadTarget};
use leasehold_reconcile::pace::Patience;
use leasehold_reconcile::run::Runner;
use leasehold_reconcile::stages::decide::Loaded;
use leasehold_reconcile::stages::observe::{Observe, observe};
use leasehold_reconcile::stages::plan;
use leasehold_reconcile::system::{Enforce, INTERVAL_MS_DEFAULT, System, Systems};
use leasehold_store::{Store, StoreOptions};
use tokio::task::JoinSet;

use crate::measure::{Report, Row, median};

const FEED: &str = "hr";
const WHO: &str = "lee@example.com";
/// By name the last, so that one target after the other is not held up by it.
const DEAD: &str = "z-dead";
/// Each revocation is one call that changes and one that reads back.
const CALLS_EACH: u32 = 2;

/// What is revoked where.
#[derive(Args, Clone, Debug)]
pub struct Load {
    /// Number of targets, of which one is dead.
    #[arg(long, default_value_t = 50)]
    targets: u32,
    /// Grants to revoke in each.
    #[arg(long, default_value_t = 4)]
    grants: u32,
    /// How long every call takes, in milliseconds.
    #[arg(long, default_value_t = 20)]
    latency_ms: u64,
    /// How often both are run.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

impl Load {
    /// What the calls of one worker for one target take where each ends on time.
    fn named_floor_seconds(&self) -> f64 {
        f64::from(CALLS_EACH * self.grants) * self.latency_ms as f64 / 1e3
    }
}

/// Runs the job.
pub fn run(load: &Load) -> anyhow::Result<Report> {
    anyhow::ensure!(load.targets > 1 && load.grants > 0, "there is a dead target and one that lives");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (mut floors, mut at_once, mut in_turn) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=load.rounds.max(1) {
        let floor = runtime.block_on(floor_seconds(load))?;
        let fanned = runtime.block_on(revoke_all(load, load.targets as usize))?;
        let sequential = runtime.block_on(revoke_all(load, 1))?;
        // The first of each is not measured.
        if round > 0 {
            floors.push(floor);
            at_once.push(fanned);
            in_turn.push(sequential);
        }
    }
    let living = load.targets - 1;
    let mut report = Report::new(format!(
        "{} targets, one of them dead, {} grants each, {} ms a call; a durable store in {}",
        load.targets,
        load.grants,
        load.latency_ms,
        std::env::temp_dir().display()
    ));
    let named_floor = load.named_floor_seconds();
    let floor = median(floors);
    let all = f64::from(living * load.grants);
    let per_second = |seconds: f64| all / seconds;
    let note = format!("{:.0} ms if every call ended on time", named_floor * 1e3);
    report.push(Row::new("fan-out", "floor: one worker a target").figure(floor * 1e3, "ms").note(note));
    let ratios: Vec<f64> = in_turn.iter().zip(&at_once).map(|(one, all)| one / all).collect();
    let (at_once, in_turn) = (median(at_once), median(in_turn));
    let over = at_once / floor;
    let row = Row::new("fan-out", "leasehold, all at once").figure(at_once * 1e3, "ms").ratio(over, "floor");
    let of_named = at_once / named_floor;
    let note = format!(
        "{:.0} verified revocations/s; {of_named:.2} if every call ended on time",
        per_second(at_once)
    );
    report.push(row.at_most(over, 1.25, "<= 1.25").note(note));
    let faster = median(ratios);
    let row = Row::new("fan-out", "leasehold, one after the other").figure(in_turn * 1e3, "ms");
    let row = row.ratio(faster, "all at once");
    let note = format!("{:.0} verified revocations/s", per_second(in_turn));
    report.push(row.at_least(faster, 40.0, ">= 40").note(note));
    Ok(report)
}

/// Seconds that the calls of one worker a target take, with nothing written down and nothing judged.
async fn floor_seconds(load: &Load) -> anyhow::Result<f64> {
    let systems = targets(load, &mut Vec::new())?;
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for system in systems.into_values().filter(|system| system.name.as_str() != FEED) {
        let calls = CALLS_EACH * load.grants;
        workers.spawn(async move {
            let account = AccountTarget { key: AccountKey::from("lee"), login: "lee".to_owned() };
            for _ in 0..calls {
                system.connector.read_back(&ReadTarget::Account { account: account.clone() }).await?;
            }
            Ok::<(), ConnectError>(())
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// Seconds from the word to apply until the last grant of a living target is read back as gone.
async fn revoke_all(load: &Load, systems_at_once: usize) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:{}", folder.path().join("leasehold.db").display());
    let store = Store::open(&url, StoreOptions::default()).await?;
    let clock = SystemClock::default();
    let mut worlds = Vec::new();
    let systems = targets(load, &mut worlds)?;
    for system in systems.values() {
        observe(&store, system, &clock, Observe::default(), &mut |_, _, _| {}).await?;
    }
    let loaded = Loaded::load(&store, &systems, clock.now(), None).await?;
    let plan = plan::compute(&loaded, &Scope::default())?;
    let wanted = (load.targets * load.grants) as usize;
    anyhow::ensure!(
        plan.items.len() == wanted && plan.guards.is_empty(),
        "{} actions are planned, {wanted} are wanted",
        plan.items.len()
    );
    drop(loaded);
    let dead = worlds.pop().context("the dead target")?;
    dead.set_faults(Faults::seeded(1, 1_000, u64::MAX).only(&[FaultKind::Unreachable]));
    let (seconds, verified) = apply(&store, systems, &plan, systems_at_once).await?;
    let living = wanted - load.grants as usize;
    anyhow::ensure!(verified == living, "{verified} of {living} revocations were verified");
    for world in &worlds {
        for system in world.systems() {
            anyhow::ensure!(world.grants(system.as_str()).is_empty(), "{system} holds something still");
        }
    }
    store.close().await;
    Ok(seconds)
}

/// Applies the plan; gives when the last action of a living target was verified, and how many were.
async fn apply(
    store: &Store,
    systems: Systems,
    plan: &Plan,
    systems_at_once: usize,
) -> anyhow::Result<(f64, usize)> {
    let told: Arc<Mutex<(f64, usize)>> = Arc::default();
    let tell = Arc::clone(&told);
    let begun = Instant::now();
    let runner = Runner {
        store: store.clone(),
        systems,
        pace: Arc::new(SystemClock::default()),
        patience: Patience { systems_at_once, sends_max: 2, ..Patience::default() },
        watch: Arc::new(move |_, state| {
            if state == ActionState::Verified
                && let Ok(mut told) = tell.lock()
            {
                *told = (begun.elapsed().as_secs_f64(), told.1 + 1);
            }
        }),
    };
    runner.apply(plan, &[], "bench").await?;
    let told = told.lock().map_err(|_| anyhow::anyhow!("the watch failed"))?;
    Ok(*told)
}

/// The feed, and the targets with a world each, so that one can be dead; the dead one is the last.
fn targets(load: &Load, worlds: &mut Vec<Arc<World>>) -> anyhow::Result<Systems> {
    let as_of = SystemClock::default().now();
    let empty = || WorldState { as_of, people: BTreeMap::new(), systems: BTreeMap::new() };
    let latency = Duration::from_millis(load.latency_ms);
    let mut feed = empty();
    feed.people.insert(IdentityKey::from(WHO), person());
    let feed = World::of(feed);
    let mut systems = Systems::new();
    systems.insert(SystemName::new(FEED)?, system(&feed, FEED, Duration::ZERO)?);
    for number in 1..=load.targets {
        let name = if number == load.targets { DEAD.to_owned() } else { format!("target-{number:03}") };
        let mut state = empty();
        state.systems.insert(SystemName::new(&name)?, target(load.grants));
        let world = World::of(state);
        systems.insert(SystemName::new(&name)?, system(&world, &name, latency)?);
        worlds.push(world);
    }
    Ok(systems)
}

fn person() -> Identity {
    Identity {
        key: IdentityKey::from(WHO),
        kind: IdentityKind::Person,
        state: LifecycleState::Active,
        start: None,
        end: None,
        manager: None,
        owner: None,
        attributes: BTreeMap::new(),
        unsaid: Unsaid::default(),
    }
}

/// One account that holds what nobody has a reason for.
fn target(grants: u32) -> SystemState {
    let traits = SystemTraits { sessions: false, credentials: false, ..SystemTraits::default() };
    let mut state = SystemState { traits, ..SystemState::default() };
    let key = AccountKey::from("lee");
    state.add_account(Account::new("lee", "lee"));
    for number in 0..grants {
        let held = Entitlement::new("role", format!("r{number}"));
        let name = held.name.clone();
        state.entitlements.insert(name.clone(), held);
        state.grant(&key, &name);
    }
    state
}

fn system(world: &Arc<World>, name: &str, latency: Duration) -> anyhow::Result<System> {
    let feed = name == FEED;
    Ok(System {
        name: SystemName::new(name)?,
        connector_kind: "simulated".to_owned(),
        connector: Arc::new(world.connector(name)?.with_latency(latency)),
        correlate: vec![CorrelationRule::parse("login = key.local")?],
        new_account_login: None,
        authoritative: feed,
        precedence: Precedence::default(),
        enforce: Enforce::Propose.into(),
        interval_ms: INTERVAL_MS_DEFAULT,
        connector_login: None,
    })
}
