//! Any sequence of enumerations and read-backs against a naive model that keeps a copy of everything at every step:
//! the store shows the same now and at every past instant, on both databases.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_model::account::Account;
use leasehold_model::entitlement::DirectGrant;
use leasehold_model::fact::{Fact, Owned, OwnerFact};
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState, Unsaid};
use leasehold_model::plan::Verb;
use leasehold_model::snapshot::Snapshot;
use leasehold_store::{ObservedEffect, Store};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::common::*;

const ACCOUNTS: [&str; 3] = ["ada", "bo", "cy"];
const GROUPS: [&str; 3] = ["staff", "admins", "ops"];

/// One fact of a small world, with a variant where it can have different states.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    Identity(u8, bool),
    Account(usize, bool),
    Group(usize),
    Grant(usize, usize, Option<u8>),
    Contains(usize, usize),
    Owner(usize, u8),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Seen {
    Absent(usize, usize, bool),
    Present(usize, usize),
    Enabled(usize, bool),
    Gone(usize),
}

#[derive(Debug, Clone)]
enum Step {
    /// Facts, how many of them before the read-backs that happen meanwhile, and whether it is complete.
    Read {
        facts: Vec<Told>,
        meanwhile: Vec<Seen>,
        complete: bool,
    },
    /// A read that dies.
    Dies(Vec<Told>),
    Back(Seen),
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        1 => (0..2u8, any::<bool>()).prop_map(|(who, left)| Told::Identity(who, left)),
        4 => (0..3usize, prop::bool::weighted(0.8)).prop_map(|(who, enabled)| Told::Account(who, enabled)),
        4 => (0..3usize).prop_map(Told::Group),
        6 => (0..3usize, 0..3usize, prop::option::weighted(0.3, 0..2u8)).prop_map(|(a, g, v)| Told::Grant(a, g, v)),
        2 => (0..3usize, 0..3usize).prop_map(|(parent, child)| Told::Contains(parent, child)),
        1 => (0..3usize, 0..2u8).prop_map(|(account, owner)| Told::Owner(account, owner)),
    ]
}

fn seen() -> impl Strategy<Value = Seen> {
    prop_oneof![
        3 => (0..3usize, 0..3usize, any::<bool>()).prop_map(|(a, g, ours)| Seen::Absent(a, g, ours)),
        3 => (0..3usize, 0..3usize).prop_map(|(a, g)| Seen::Present(a, g)),
        2 => (0..3usize, any::<bool>()).prop_map(|(a, enabled)| Seen::Enabled(a, enabled)),
        1 => (0..3usize).prop_map(Seen::Gone),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let facts = || prop::collection::vec(told(), 0..40);
    prop_oneof![
        6 => (facts(), prop::collection::vec(seen(), 0..3), prop::bool::weighted(0.7))
            .prop_map(|(facts, meanwhile, complete)| Step::Read { facts, meanwhile, complete }),
        1 => facts().prop_map(Step::Dies),
        2 => seen().prop_map(Step::Back),
    ]
}

/// What holds, by name; the same for the model and for a snapshot. The numbers are epochs.
#[derive(Debug, Clone, Default, PartialEq)]
struct World {
    /// Whether each has left, and the epoch that no longer listed it.
    identities: BTreeMap<String, (bool, Option<i64>)>,
    accounts: BTreeMap<String, (bool, i64)>,
    groups: BTreeSet<String>,
    grants: BTreeMap<(String, String), (i64, Option<u8>)>,
    contains: BTreeSet<(String, String)>,
    owners: BTreeMap<String, String>,
    vanished: BTreeMap<(String, String), i64>,
    vanished_contains: BTreeSet<(String, String)>,
    generation: i64,
}

/// The naive model: the world, and what ended last for each pair.
#[derive(Debug, Clone, Default)]
struct Model {
    world: World,
    epoch: i64,
    /// For each pair that ended: when, and whether we ended it.
    ended: BTreeMap<(String, String), (i64, bool)>,
    ended_contains: BTreeSet<(String, String)>,
    /// Identities that a complete read no longer listed, and in which epoch; of whom had left before, that was no news.
    departed: BTreeMap<String, Option<i64>>,
    /// Names that a finished read has told; a read-back of any other says nothing.
    known: BTreeSet<&'static str>,
}

fn name(who: u8) -> String {
    format!("person-{who}@example.com")
}

impl Model {
    /// The world with what vanished: ended without us, not held, both ends there.
    fn shown(&self) -> World {
        let mut world = self.world.clone();
        for (who, until) in &self.departed {
            world.identities.entry(who.clone()).or_insert((true, *until));
        }
        for (pair, (until, ours)) in &self.ended {
            let there = world.accounts.contains_key(&pair.0) && world.groups.contains(&pair.1);
            if there && !ours && !world.grants.contains_key(pair) {
                world.vanished.insert(pair.clone(), *until);
            }
        }
        for pair in &self.ended_contains {
            let there = world.groups.contains(&pair.0) && world.groups.contains(&pair.1);
            if there && !world.contains.contains(pair) {
                world.vanished_contains.insert(pair.clone());
            }
        }
        world
    }

    fn end_grants(&mut self, which: impl Fn(&(String, String)) -> bool, ours: bool) {
        let gone: Vec<_> = self.world.grants.keys().filter(|pair| which(pair)).cloned().collect();
        for pair in gone {
            self.world.grants.remove(&pair);
            self.ended.insert(pair, (self.epoch, ours));
        }
    }

    fn read_back(&mut self, seen: Seen) {
        self.epoch += 1;
        let before = self.world.clone();
        match seen {
            Seen::Absent(account, group, ours) => {
                self.end_grants(|pair| *pair == pair_of(account, group), ours);
            }
            Seen::Present(account, group) => {
                let pair = pair_of(account, group);
                if self.world.accounts.contains_key(&pair.0) && self.world.groups.contains(&pair.1) {
                    self.world.grants.entry(pair).or_insert((self.epoch, None));
                }
            }
            Seen::Enabled(account, enabled) => {
                if let Some(state) = self.world.accounts.get_mut(ACCOUNTS[account]) {
                    state.0 = enabled;
                }
            }
            Seen::Gone(account) => {
                self.world.accounts.remove(ACCOUNTS[account]);
                self.world.owners.remove(ACCOUNTS[account]);
                self.end_grants(|pair| pair.0 == ACCOUNTS[account], true);
            }
        }
        if self.world != before {
            self.world.generation = self.epoch;
        }
    }

    fn know(&mut self, written: bool, facts: &[Told]) {
        if written {
            self.known.extend(facts.iter().copied().flat_map(names_in));
        }
    }

    fn read(&mut self, facts: &[Told], meanwhile: &[Seen], complete: bool) {
        for seen in meanwhile {
            self.read_back(*seen);
        }
        self.epoch += 1;
        let epoch = self.epoch;
        let before = self.world.clone();
        let newer_accounts: BTreeSet<&str> = meanwhile
            .iter()
            .filter_map(|seen| match seen {
                Seen::Enabled(account, _) | Seen::Gone(account) => Some(ACCOUNTS[*account]),
                _ => None,
            })
            .filter(|account| self.known.contains(account))
            .collect();
        let newer_grants: BTreeSet<_> = meanwhile
            .iter()
            .filter_map(|seen| match seen {
                Seen::Absent(account, group, _) | Seen::Present(account, group) => {
                    Some(pair_of(*account, *group))
                }
                _ => None,
            })
            .filter(|(account, group)| self.known.contains(&**account) && self.known.contains(&**group))
            .collect();

        let mut told = World::default();
        for fact in facts {
            self.known.extend(names_in(*fact));
            match *fact {
                Told::Identity(who, left) => {
                    told.identities.entry(name(who)).or_insert((left, None));
                }
                Told::Account(account, enabled) => {
                    told.accounts.entry(ACCOUNTS[account].to_owned()).or_insert((enabled, epoch));
                }
                Told::Group(group) => {
                    told.groups.insert(GROUPS[group].to_owned());
                }
                Told::Grant(account, group, until) => {
                    told.grants.entry(pair_of(account, group)).or_insert((epoch, until));
                }
                Told::Contains(parent, child) => {
                    told.contains.insert((GROUPS[parent].to_owned(), GROUPS[child].to_owned()));
                }
                Told::Owner(account, owner) => {
                    told.owners.entry(ACCOUNTS[account].to_owned()).or_insert(name(owner));
                }
            }
        }

        let world = &mut self.world;
        if complete {
            let gone = world.identities.iter().filter(|(who, _)| !told.identities.contains_key(*who));
            self.departed.extend(gone.map(|(who, (left, _))| (who.clone(), (!left).then_some(epoch))));
            world.identities.retain(|who, _| told.identities.contains_key(who));
            world
                .accounts
                .retain(|who, _| told.accounts.contains_key(who) || newer_accounts.contains(who.as_str()));
            world.groups.retain(|group| told.groups.contains(group));
        }
        world.identities.extend(told.identities);
        for (who, (enabled, since)) in told.accounts {
            if !newer_accounts.contains(who.as_str()) {
                world.accounts.entry(who).or_insert((enabled, since)).0 = enabled;
            }
        }
        world.groups.extend(told.groups);
        let present =
            |pair: &(String, String)| world.accounts.contains_key(&pair.0) && world.groups.contains(&pair.1);
        told.grants.retain(|pair, _| present(pair));
        told.contains.retain(|pair| world.groups.contains(&pair.0) && world.groups.contains(&pair.1));
        told.owners.retain(|who, _| world.accounts.contains_key(who));
        if complete {
            world.owners.retain(|who, _| told.owners.contains_key(who));
        }
        world.owners.retain(|who, _| world.accounts.contains_key(who));
        world.owners.extend(told.owners.clone());

        if complete {
            let gone: Vec<_> = world.contains.difference(&told.contains).cloned().collect();
            for pair in gone {
                world.contains.remove(&pair);
                self.ended_contains.insert(pair);
            }
        }
        world.contains.extend(told.contains);

        let held: BTreeSet<_> = world.grants.keys().cloned().collect();
        for pair in held {
            let both = world.accounts.contains_key(&pair.0) && world.groups.contains(&pair.1);
            if !both || (complete && !told.grants.contains_key(&pair) && !newer_grants.contains(&pair)) {
                world.grants.remove(&pair);
                self.ended.insert(pair, (epoch, false));
            }
        }
        for (pair, (since, until)) in told.grants {
            if !newer_grants.contains(&pair) {
                world.grants.entry(pair).or_insert((since, until)).1 = until;
            }
        }
        if self.world != before {
            self.world.generation = epoch;
        }
    }
}

fn names_in(fact: Told) -> Vec<&'static str> {
    match fact {
        Told::Identity(..) => vec![],
        Told::Account(account, _) | Told::Owner(account, _) => vec![ACCOUNTS[account]],
        Told::Group(group) => vec![GROUPS[group]],
        Told::Grant(account, group, _) => vec![ACCOUNTS[account], GROUPS[group]],
        Told::Contains(parent, child) => vec![GROUPS[parent], GROUPS[child]],
    }
}

fn pair_of(account: usize, group: usize) -> (String, String) {
    (ACCOUNTS[account].to_owned(), GROUPS[group].to_owned())
}

/// A snapshot by names.
fn by_name(snapshot: &Snapshot) -> World {
    let account = |position: u32| snapshot.accounts[position as usize].account.key.to_string();
    let group = |position: u32| snapshot.entitlements[position as usize].entitlement.name.name.clone();
    let epoch_of = |end: jiff::Timestamp| {
        let found = snapshot.epoch_ended_at.iter().find(|(_, ended_at)| **ended_at == end);
        found.map(|(epoch, _)| epoch.0)
    };
    let identities = snapshot.identities.iter().map(|(_, identity)| {
        let left = identity.state == LifecycleState::Left;
        (identity.key.to_string(), (left, identity.end.and_then(epoch_of)))
    });
    let accounts =
        snapshot.accounts.iter().map(|row| (row.account.key.to_string(), (row.account.enabled, row.since.0)));
    let grants = (0u32..).zip(&snapshot.grants).map(|(position, grant)| {
        let until = snapshot.validity.get(&position).and_then(|validity| validity.until);
        let until = until.map(|until| u8::from(until == at(1_001)));
        ((account(grant.account), group(grant.entitlement)), (i64::from(grant.since), until))
    });
    assert!(snapshot.grants.is_sorted_by(|a, b| (a.account, a.entitlement) < (b.account, b.entitlement)));
    World {
        identities: identities.collect(),
        accounts: accounts.collect(),
        groups: snapshot.entitlements.iter().map(|row| row.entitlement.name.name.clone()).collect(),
        grants: grants.collect(),
        contains: snapshot
            .containments
            .iter()
            .map(|(parent, child)| (group(*parent), group(*child)))
            .collect(),
        owners: snapshot.account_owners.iter().map(|(of, owner)| (account(*of), owner.to_string())).collect(),
        vanished: snapshot
            .vanished
            .iter()
            .map(|gone| ((account(gone.account), group(gone.entitlement)), gone.until.0))
            .collect(),
        vanished_contains: snapshot
            .vanished_containments
            .iter()
            .map(|(parent, child)| (group(*parent), group(*child)))
            .collect(),
        generation: snapshot.systems.first().map_or(0, |system| system.generation.0),
    }
}

fn fact(told: Told) -> Fact {
    match told {
        Told::Identity(who, left) => Fact::Identity(Identity {
            key: name(who).as_str().into(),
            kind: IdentityKind::Person,
            state: if left { LifecycleState::Left } else { LifecycleState::Active },
            start: None,
            end: None,
            manager: None,
            owner: None,
            attributes: BTreeMap::new(),
            unsaid: Unsaid::default(),
        }),
        Told::Account(who, enabled) => {
            Fact::Account(Account { enabled, ..Account::new(ACCOUNTS[who], ACCOUNTS[who]) })
        }
        Told::Group(which) => entitlement(GROUPS[which]),
        Told::Grant(account, which, until) => Fact::Grant(DirectGrant {
            valid_until: until.map(|until| at(1_000 + i64::from(until))),
            ..direct_grant(ACCOUNTS[account], GROUPS[which])
        }),
        Told::Contains(parent, child) => contains(GROUPS[parent], GROUPS[child]),
        Told::Owner(account, owner) => Fact::Owner(OwnerFact {
            of: Owned::Account(ACCOUNTS[account].into()),
            owner: name(owner).as_str().into(),
        }),
    }
}

async fn see(store: &Store, seen: Seen, minute: i64) {
    let directory = system("directory");
    let (verb, account, effect) = match seen {
        // Seen by an action that gives something: what is gone then went without us.
        Seen::Absent(account, group, ours) => {
            (if ours { Verb::Revoke } else { Verb::Grant }, account, absent(ACCOUNTS[account], GROUPS[group]))
        }
        Seen::Present(account, group) => (Verb::Grant, account, present(ACCOUNTS[account], GROUPS[group])),
        Seen::Enabled(account, true) => (
            Verb::DisableAccount,
            account,
            ObservedEffect::AccountEnabled { system: directory, account: ACCOUNTS[account].into() },
        ),
        Seen::Enabled(account, false) => (
            Verb::DisableAccount,
            account,
            ObservedEffect::AccountDisabled { system: directory, account: ACCOUNTS[account].into() },
        ),
        Seen::Gone(account) => (
            Verb::DisableAccount,
            account,
            ObservedEffect::AccountAbsent { system: directory, account: ACCOUNTS[account].into() },
        ),
    };
    read_back(store, verb, ACCOUNTS[account], vec![effect], minute).await;
}

/// Runs the steps on a store and the model and compares at the end: now, and at every instant on the way.
///
/// `staged`: whether the store writes names down as soon as they are told.
async fn compare(store: &Store, staged: bool, steps: &[Step]) {
    let mut model = Model::default();
    let mut past = Vec::new();
    let mut minute = 1;
    // The system is there from the beginning, as a read-back needs it.
    sync(store, vec![account(ACCOUNTS[0])], partial(), minute).await;
    model.read(&[Told::Account(0, true)], &[], false);
    past.push((minute, model.shown()));
    for step in steps {
        minute += 1;
        match step {
            Step::Back(seen) => {
                see(store, *seen, minute).await;
                model.read_back(*seen);
            }
            Step::Dies(facts) => {
                let mut writer = store.begin_epoch(&system("directory"), at(minute)).await.expect("begins");
                writer.accept(facts.iter().copied().map(fact).collect()).await.expect("takes facts");
                model.know(staged, facts);
            }
            Step::Read { facts, meanwhile, complete: is_complete } => {
                let mut writer = store.begin_epoch(&system("directory"), at(minute)).await.expect("begins");
                let (before, after) = facts.split_at(facts.len() / 2);
                writer.accept(before.iter().copied().map(fact).collect()).await.expect("takes facts");
                model.know(staged, before);
                let mut instants = Vec::new();
                let mut between = model.clone();
                for seen in meanwhile {
                    minute += 1;
                    see(store, *seen, minute).await;
                    between.read_back(*seen);
                    instants.push((minute, between.shown()));
                }
                past.extend(instants);
                minute += 1;
                writer.accept(after.iter().copied().map(fact).collect()).await.expect("takes facts");
                let how = if *is_complete { complete() } else { partial() };
                writer.finish(how, at(minute)).await.expect("finishes");
                model.read(facts, meanwhile, *is_complete);
            }
        }
        past.push((minute, model.shown()));
        assert_eq!(
            by_name(&store.snapshot(None).await.expect("reads")),
            model.shown(),
            "now, in minute {minute}"
        );
    }
    for (minute, world) in past {
        let then = by_name(&store.snapshot(Some(at(minute))).await.expect("reads"));
        assert_eq!(then, world, "as it stood in minute {minute}");
    }
}

fn run(cases: u32, staged: bool, store: impl AsyncFn() -> Store) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, random)
        .run(&prop::collection::vec(step(), 1..10), |steps| {
            runtime.block_on(async {
                let store = store().await;
                compare(&store, staged, &steps).await;
                store.close().await;
            });
            Ok(())
        })
        .expect("the store and the model agree");
}

#[test]
fn the_store_agrees_with_a_naive_model_at_every_instant_sqlite() {
    run(40, false, async || Store::open("sqlite::memory:", options()).await.expect("opens"));
}

#[test]
fn the_store_agrees_with_a_naive_model_at_every_instant_sqlite_staged() {
    run(40, true, async || Store::open("sqlite::memory:", staging()).await.expect("opens"));
}

#[test]
fn the_store_agrees_with_a_naive_model_at_every_instant_postgres() {
    run(6, false, async || Store::open(&postgres_url(), options()).await.expect("opens"));
}

#[test]
fn the_store_agrees_with_a_naive_model_at_every_instant_postgres_staged() {
    run(6, true, async || Store::open(&postgres_url(), staging()).await.expect("opens"));
}
