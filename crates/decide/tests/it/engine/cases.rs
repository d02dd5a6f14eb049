//! Single cases that people name: a clock that steps back, a leaver, a refused batch, patches against a rebuilt graph.

use std::collections::BTreeSet;

use leasehold_decide::engine::access;
use leasehold_decide::engine::drift::{self, DriftKind, DriftRow};
use leasehold_decide::engine::graph::{Built, GraphBuilder, Validity};
use leasehold_decide::engine::incremental::{Change, DriftState};
use leasehold_decide::engine::justification::JustificationBuilder;
use leasehold_decide::engine::{EngineError, EntitlementIndex, IdentityIndex, NEVER, SystemIndex};

const ALICE: IdentityIndex = IdentityIndex(0);
const BOB: IdentityIndex = IdentityIndex(1);

/// One system, two identities with one account each, four entitlements; Alice holds 0 and 1, Bob holds 2.
fn built() -> Built {
    let mut builder = GraphBuilder::new(1, 2);
    let entitlements: Vec<_> = (0..4).map(|_| builder.add_entitlement(SystemIndex(0)).unwrap()).collect();
    let bob = builder.add_account(SystemIndex(0), Some(BOB)).unwrap();
    let alice = builder.add_account(SystemIndex(0), Some(ALICE)).unwrap();
    builder.add_grant(alice, entitlements[1]).unwrap();
    builder.add_grant(alice, entitlements[0]).unwrap();
    builder.add_grant(bob, entitlements[2]).unwrap();
    builder.finish().unwrap()
}

fn rows(state: &DriftState) -> Vec<DriftRow> {
    let mut rows = Vec::new();
    state.rows(&mut rows);
    rows.sort();
    rows
}

/// 30,000 accounts of two systems in scattered order, 150,000 grants in scattered order and some of them twice, once with
/// identities known from the beginning and once correlated afterwards: each account has exactly its own.
#[test]
fn a_large_graph_in_any_order_has_the_grants_that_were_added() {
    const ACCOUNTS: u32 = 30_000;
    const ENTITLEMENTS: u32 = 500;
    // 7,919 and the number of accounts have no common factor, so that accounts of an identity lie far apart.
    let identity =
        |number: u32| (!number.is_multiple_of(11)).then_some(IdentityIndex(number * 7_919 % ACCOUNTS / 2));
    let mut graphs = [true, false].map(|known| {
        let mut builder = GraphBuilder::new(2, ACCOUNTS / 2);
        for entitlement in 0..ENTITLEMENTS {
            builder.add_entitlement(SystemIndex(entitlement % 2)).unwrap();
        }
        let handles: Vec<_> = (0..ACCOUNTS)
            .map(|number| {
                let identity = identity(number).filter(|_| known);
                builder.add_account(SystemIndex(number % 2), identity).unwrap()
            })
            .collect();
        let mut expected = vec![BTreeSet::new(); ACCOUNTS as usize];
        for step in 0..150_000u32 {
            let number = step.wrapping_mul(2_654_435_761) % ACCOUNTS;
            let entitlement = step / 3 * 14 % ENTITLEMENTS / 2 * 2 + number % 2;
            builder.add_grant(handles[number as usize], EntitlementIndex(entitlement)).unwrap();
            expected[number as usize].insert(EntitlementIndex(entitlement));
        }
        if !known {
            for (number, handle) in (0..).zip(&handles) {
                builder.correlate(*handle, identity(number)).unwrap();
            }
        }
        let built = builder.finish().unwrap();
        let mut seen = Vec::new();
        for (number, handle) in (0..).zip(handles) {
            let account = built.account(handle);
            assert_eq!(built.graph.identity_of(account), identity(number));
            assert_eq!(built.graph.system_of_account(account), SystemIndex(number % 2));
            let held: Vec<_> = built.graph.grants_of(account).collect();
            assert!(held.iter().eq(&expected[number as usize]), "account {number}");
            seen.push((account, held));
        }
        seen.sort_unstable();
        seen
    });
    let [known, correlated] = &mut graphs;
    assert_eq!(known, correlated);
}

#[test]
fn a_clock_that_steps_back_does_not_revive_a_reason() {
    let built = built();
    let mut claims = JustificationBuilder::new();
    claims.all_live();
    claims.add_explicit(ALICE, EntitlementIndex(0), 100, 7);
    claims.add_explicit(ALICE, EntitlementIndex(1), NEVER, 8);
    claims.add_explicit(BOB, EntitlementIndex(2), NEVER, 9);
    let justification = claims.finish(&built.graph).unwrap();
    let mut state = DriftState::new(built.graph, justification, 50);
    assert!(rows(&state).is_empty());
    state.advance(100);
    let expired = rows(&state);
    assert_eq!(expired.len(), 1);
    assert_eq!((expired[0].identity, expired[0].kind), (ALICE, DriftKind::Expired));
    state.advance(60);
    assert_eq!(state.now(), 100);
    assert_eq!(rows(&state), expired);
}

#[test]
fn a_leaver_keeps_nothing_and_comes_back_as_before() {
    let built = built();
    let mut claims = JustificationBuilder::new();
    claims.all_live();
    let role = claims.add_role([EntitlementIndex(0), EntitlementIndex(1), EntitlementIndex(3)]);
    claims.assign(ALICE, role, NEVER);
    claims.add_baseline_of_system(SystemIndex(0), NEVER, 1);
    let justification = claims.finish(&built.graph).unwrap();
    let mut state = DriftState::new(built.graph, justification, 0);
    let before = rows(&state);
    assert_eq!(before.len(), 1, "only entitlement 3 is missing, Bob is on baseline");
    state.apply(&[Change::LiveChanged { identity: ALICE, live: false }]).unwrap();
    let left = rows(&state);
    assert_eq!(left.iter().filter(|row| row.kind == DriftKind::NotLive).count(), 2);
    assert_eq!(left.len(), 2);
    state.apply(&[Change::LiveChanged { identity: ALICE, live: true }]).unwrap();
    assert_eq!(rows(&state), before);
}

#[test]
fn a_batch_with_an_unknown_index_changes_nothing() {
    let built = built();
    let account = built.graph.accounts_of(ALICE).next().unwrap();
    let mut claims = JustificationBuilder::new();
    claims.all_live();
    let justification = claims.finish(&built.graph).unwrap();
    let mut state = DriftState::new(built.graph, justification, 0);
    let before = rows(&state);
    let good = Change::GrantRemoved { account, entitlement: EntitlementIndex(0) };
    let bad = Change::GrantAdded { account, entitlement: EntitlementIndex(9), validity: Validity::ALWAYS };
    let error = state.apply(&[good, bad]).unwrap_err();
    assert_eq!(error, EngineError::Unknown { what: "entitlement", index: 9, count: 4 });
    assert_eq!(rows(&state), before);
    assert_eq!(state.graph().grant_count(), 3);
}

#[test]
fn a_direct_grant_across_systems_is_refused() {
    let mut builder = GraphBuilder::new(2, 1);
    let entitlement = builder.add_entitlement(SystemIndex(1)).unwrap();
    let account = builder.add_account(SystemIndex(0), Some(ALICE)).unwrap();
    let error = builder.add_grant(account, entitlement).unwrap_err();
    assert!(matches!(error, EngineError::SystemMismatch { account_system: 0, entitlement_system: 1, .. }));
    assert!(error.to_string().contains("use containment"));
}

#[test]
fn a_removed_grant_that_comes_back_is_no_longer_on_baseline() {
    let built = built();
    let account = built.graph.accounts_of(BOB).next().unwrap();
    let mut claims = JustificationBuilder::new();
    claims.all_live();
    claims.add_baseline_of_system(SystemIndex(0), NEVER, 1);
    let justification = claims.finish(&built.graph).unwrap();
    let mut state = DriftState::new(built.graph, justification, 0);
    assert!(rows(&state).is_empty());
    let entitlement = EntitlementIndex(2);
    state.apply(&[Change::GrantRemoved { account, entitlement }]).unwrap();
    state.apply(&[Change::GrantAdded { account, entitlement, validity: Validity::ALWAYS }]).unwrap();
    let drift = rows(&state);
    assert_eq!(drift.len(), 1);
    assert_eq!(drift[0].kind, DriftKind::Unjustified);
}

/// Many changes to few accounts, so that patches move and the arena is packed; the holders' log passes its limit.
#[test]
fn ten_thousand_changes_leave_the_same_graph_as_building_it_anew() {
    const IDENTITIES: u32 = 50;
    const ENTITLEMENTS: u32 = 400;
    let mut random = super::worlds::Random(99);
    let build = |grants: &std::collections::BTreeSet<(u32, u32)>| {
        let mut builder = GraphBuilder::new(1, IDENTITIES);
        let entitlements: Vec<_> =
            (0..ENTITLEMENTS).map(|_| builder.add_entitlement(SystemIndex(0)).unwrap()).collect();
        let accounts: Vec<_> = (0..IDENTITIES)
            .map(|identity| builder.add_account(SystemIndex(0), Some(IdentityIndex(identity))).unwrap())
            .collect();
        for (account, entitlement) in grants {
            builder.add_grant(accounts[*account as usize], entitlements[*entitlement as usize]).unwrap();
        }
        builder.finish().unwrap()
    };
    let mut grants = std::collections::BTreeSet::new();
    for _ in 0..3_000 {
        grants.insert((random.below(IDENTITIES), random.below(ENTITLEMENTS)));
    }
    let first = build(&grants);
    first.graph.index_holders();
    let mut claims = JustificationBuilder::new();
    claims.all_live();
    let role = claims.add_role((0..100).map(EntitlementIndex));
    (0..IDENTITIES).for_each(|identity| claims.assign(IdentityIndex(identity), role, NEVER));
    let justification = claims.finish(&first.graph).unwrap();
    let mut state = DriftState::new(first.graph, justification.clone(), 0);
    for _ in 0..5 {
        let changes: Vec<Change> = (0..2_000)
            .map(|_| {
                let (holder, number) = (random.below(IDENTITIES), random.below(ENTITLEMENTS));
                let account = state.graph().accounts_of(IdentityIndex(holder)).next().unwrap();
                let entitlement = EntitlementIndex(number);
                if grants.remove(&(holder, number)) {
                    return Change::GrantRemoved { account, entitlement };
                }
                grants.insert((holder, number));
                Change::GrantAdded { account, entitlement, validity: Validity::ALWAYS }
            })
            .collect();
        let applied = state.apply(&changes).unwrap();
        assert_eq!(applied.recomputed, 0, "plain changes need no recompute");
        let anew = build(&grants);
        let mut expected = Vec::new();
        drift::full(&anew.graph, &justification, 0, &mut expected);
        expected.sort();
        assert_eq!(rows(&state), expected);
        for entitlement in (0..ENTITLEMENTS).map(EntitlementIndex) {
            assert_eq!(
                access::who(state.graph(), entitlement, 0),
                access::who(&anew.graph, entitlement, 0),
                "holders of {entitlement:?}"
            );
            assert_eq!(
                state.graph().identities_holding(entitlement, 0),
                anew.graph.identities_holding(entitlement, 0)
            );
        }
    }
}
