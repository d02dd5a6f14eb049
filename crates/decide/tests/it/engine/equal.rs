//! Properties: full recompute, parallel recompute, the incremental state and the oracle give the same answers.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_decide::engine::access::{self, Because, Listing};
use leasehold_decide::engine::drift::{self, Count, DriftKind, DriftRow};
use leasehold_decide::engine::graph::{Built, Graph};
use leasehold_decide::engine::incremental::{Delta, DriftState};
use leasehold_decide::engine::justification::Justification;
use leasehold_decide::engine::sod::SodIndex;
use leasehold_decide::engine::{AccountIndex, EntitlementIndex, IdentityIndex};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::oracle::{Row, World};
use super::worlds::{Features, Random, build, change, sod_sets, world};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(20_260_801),
        failure_persistence: None,
        ..Default::default()
    }
}

fn features() -> impl Strategy<Value = Features> {
    any::<(bool, bool, bool, bool)>().prop_map(|(containment, many_accounts, validity, baselines)| Features {
        containment,
        many_accounts,
        validity,
        baselines,
    })
}

/// Handles by account index, the inverse of what the builder returns.
fn handles(built: &Built) -> BTreeMap<AccountIndex, u32> {
    built.accounts.iter().enumerate().map(|(handle, account)| (*account, handle as u32)).collect()
}

fn words(rows: &[DriftRow], handles: &BTreeMap<AccountIndex, u32>) -> BTreeSet<Row> {
    let kind = |kind: DriftKind| match kind {
        DriftKind::Unjustified => "unjustified",
        DriftKind::Expired => "expired",
        DriftKind::NotLive => "not live",
        DriftKind::Missing => "missing",
    };
    let set: BTreeSet<Row> = rows
        .iter()
        .map(|row| {
            (row.identity.0, row.account.map(|account| handles[&account]), row.entitlement.0, kind(row.kind))
        })
        .collect();
    assert_eq!(set.len(), rows.len(), "a drift row was given twice");
    set
}

fn full_rows(graph: &Graph, justification: &Justification, now: u32) -> Vec<DriftRow> {
    let mut rows = Vec::new();
    drift::full(graph, justification, now, &mut rows);
    rows
}

fn assert_access(world: &World, built: &Built, graph: &Graph, justification: &Justification, now: u32) {
    let handles = handles(built);
    let mut listing = Listing::default();
    for identity in 0..world.identities {
        let allowed = world.allowed(identity, now);
        let effective = world.effective(identity, now);
        let accounts = world.accounts_of(identity);
        access::list(graph, justification, IdentityIndex(identity), now, &mut listing);
        let mut expected = BTreeSet::new();
        for account in &accounts {
            let direct = world.direct(*account, now);
            for entitlement in world.closure(direct.iter().copied()) {
                let is_direct = direct.contains(&entitlement);
                let baselined = is_direct && world.baselined(*account, entitlement, now);
                let justified =
                    world.live.contains(&identity) && (baselined || allowed.contains(&entitlement));
                expected.insert((*account, entitlement, is_direct, justified));
            }
        }
        let listed: BTreeSet<_> = listing
            .rows()
            .iter()
            .map(|row| (handles[&row.account], row.entitlement.0, row.direct, row.justified))
            .collect();
        assert_eq!(listed, expected);
        assert_eq!(listing.rows().len(), expected.len());

        for entitlement in 0..world.entitlements.len() as u32 {
            let held = access::check(
                graph,
                justification,
                IdentityIndex(identity),
                EntitlementIndex(entitlement),
                now,
            );
            let direct = accounts.iter().any(|account| world.direct(*account, now).contains(&entitlement));
            assert_eq!(held.direct, direct);
            assert_eq!(held.effective, effective.contains(&entitlement));
            let baselined = accounts.iter().any(|account| {
                world.direct(*account, now).contains(&entitlement)
                    && world.baselined(*account, entitlement, now)
            });
            let justified = world.live.contains(&identity) && (baselined || allowed.contains(&entitlement));
            assert_eq!(held.justified, justified);
            let roles: BTreeSet<(u32, u32)> = world
                .assignments
                .iter()
                .filter(|(whose, role, end)| {
                    *whose == identity
                        && now < *end
                        && world.closure(world.roles[*role as usize].iter().copied()).contains(&entitlement)
                })
                .map(|(_, role, end)| (*role, *end))
                .collect();
            let named: BTreeSet<(u32, u32)> = held
                .because
                .iter()
                .filter_map(|because| match because {
                    Because::Role { role, end } => Some((role.0, *end)),
                    _ => None,
                })
                .collect();
            assert_eq!(named, roles);
            for row in listing.rows().iter().filter(|row| row.entitlement.0 == entitlement) {
                // The list gives each account its own baseline reasons, the check those of all accounts.
                let of_row: BTreeSet<Because> = listing.because(row).iter().copied().collect();
                let of_check: BTreeSet<Because> = held
                    .because
                    .iter()
                    .copied()
                    .filter(|because| match because {
                        Because::Baseline { account, .. } => *account == row.account,
                        _ => true,
                    })
                    .collect();
                assert_eq!(of_row, of_check);
            }
        }
    }
    for entitlement in 0..world.entitlements.len() as u32 {
        let holders = access::who(graph, EntitlementIndex(entitlement), now);
        let rows: BTreeSet<(u32, u32)> =
            holders.iter().map(|holder| (handles[&holder.account], holder.via.0)).collect();
        assert_eq!(rows, world.who(entitlement, now));
        assert_eq!(rows.len(), holders.len());
    }
}

fn toxic(sod: &SodIndex) -> BTreeSet<(u32, u32)> {
    let rows: BTreeSet<_> = sod.toxic().iter().map(|row| (row.set, row.identity.0)).collect();
    for (set, identity) in &rows {
        assert!(sod.toxic_of_identity(IdentityIndex(*identity)).contains(set));
    }
    rows
}

proptest! {
    #![proptest_config(config(1_500))]

    #[test]
    fn full_drift_sod_and_access_equal_the_oracle(seed: u64, features in features(), now in 0..45u32) {
        let mut random = Random(seed);
        let world = world(&mut random, features);
        let (built, justification) = build(&world);
        let handles = handles(&built);
        let rows = full_rows(&built.graph, &justification, now);
        prop_assert_eq!(words(&rows, &handles), world.drift(now));
        let parallel = drift::full_parallel(&built.graph, &justification, now, Vec::new).concat();
        prop_assert_eq!(&parallel, &rows);
        let mut count = Count::default();
        drift::full(&built.graph, &justification, now, &mut count);
        prop_assert_eq!(count.total(), rows.len() as u64);
        let sod = SodIndex::build(&built.graph, &sod_sets(&world), now).unwrap();
        prop_assert_eq!(toxic(&sod), world.toxic(now));
        assert_access(&world, &built, &built.graph, &justification, now);
        let with_index = SodIndex::build(&built.graph, &sod_sets(&world), now).unwrap();
        prop_assert_eq!(toxic(&with_index), world.toxic(now));
    }

    #[test]
    fn incremental_drift_equals_full_drift_and_the_oracle(
        seed: u64,
        features in features(),
        batches in prop::collection::vec((0..12usize, 0..6u32, any::<bool>()), 1..10),
    ) {
        let mut random = Random(seed);
        let mut world = world(&mut random, features);
        let (built, justification) = build(&world);
        let handles = handles(&built);
        let sod = SodIndex::build(&built.graph, &sod_sets(&world), 0).unwrap();
        if seed % 2 == 0 {
            built.graph.index_holders();
        }
        let mut state = DriftState::new(built.graph.clone(), justification, 0);
        state.attach_sod(sod);
        let mut mirror: BTreeSet<(u32, Option<u32>, u32)> =
            world.drift(0).into_iter().map(|row| (row.0, row.1, row.2)).collect();
        for (size, seconds, compact) in batches {
            let changes: Vec<_> =
                (0..size).filter_map(|_| change(&mut random, features, &mut world, &built)).collect();
            let mut follow = |delta: Delta| {
                let row = (delta.identity.0, delta.account.map(|account| handles[&account]), delta.entitlement.0);
                let moved = if delta.appeared { mirror.insert(row) } else { mirror.remove(&row) };
                assert!(moved, "a delta that changes nothing: {delta:?}");
            };
            state.apply_with(&changes, &mut follow).unwrap();
            state.advance_with(state.now() + seconds, &mut follow);
            if compact {
                state.compact();
            }
            let expected = world.drift(state.now());
            let full = full_rows(state.graph(), state.justification(), state.now());
            prop_assert_eq!(words(&full, &handles), expected.clone());
            let mut rows = Vec::new();
            state.rows(&mut rows);
            prop_assert_eq!(words(&rows, &handles), expected.clone());
            prop_assert_eq!(state.row_count(), expected.len());
            let without_kind: BTreeSet<_> = expected.iter().map(|row| (row.0, row.1, row.2)).collect();
            prop_assert_eq!(&mirror, &without_kind);
            prop_assert_eq!(toxic(state.sod().unwrap()), world.toxic(state.now()));
            prop_assert_eq!(state.graph().grant_count(), world.grants.len());
        }
        assert_access(&world, &built, state.graph(), state.justification(), state.now());
    }
}
