//! Stories of the field's known failures, one each, over many companies.

use std::collections::BTreeSet;

use leasehold_connect::simulated::dice::Dice;
use leasehold_connect::simulated::state::{SystemTraits, WorldState};
use leasehold_connect::simulated::{FaultKind, Faults, Operation};
use leasehold_model::action::ActionState;
use leasehold_model::clock::Clock as _;
use leasehold_model::decision::{DriftItem, DriftKind};
use leasehold_model::fact::Completeness;
use leasehold_model::id::IdentityKey;
use leasehold_model::identity::LifecycleState;
use leasehold_model::plan::{Guard, Plan, Verb};
use leasehold_reconcile::error::ReconcileError;
use leasehold_reconcile::stages::enforce::effect_of;

use crate::scene::{Scene, identity};
use crate::seeds::tell;
use crate::world::Story;
use crate::{faults, invariants};

pub async fn observed(seed: u64) -> Story {
    let story = Story::begin(Scene::drawn(seed)).await;
    story.observe_all().await;
    story
}

/// Field 3: a connector reports success without acting.
#[test]
fn a_lying_connector_never_yields_verified() {
    tell("a_lying_connector_never_yields_verified", 150, |seed| async move {
        let mut story = observed(seed).await;
        let (_, plan) = story.plan().await;
        let lies = Faults::seeded(seed, 1_000, u64::MAX).only(&[FaultKind::LyingSuccess]);
        story.world.set_faults(lies);
        let before = story.truth();
        let rows = story.apply(&plan, &[]).await;
        invariants::actions_are_settled(&story, &plan, &[], &rows);
        assert_eq!(before, story.truth(), "it lied, so nothing changed");
        for row in rows.iter().filter(|row| row.state != ActionState::Planned) {
            // An effect can already be there, as when a disabled leaver has no session to end.
            let already = row.state == ActionState::Verified && row.item.verb == Verb::EndSessions;
            assert!(row.state == ActionState::Stuck || already, "{row:?}");
        }
        story.calm();
        let (drift_before, _) = story.plan().await;
        story.observe_all().await;
        let (drift_after, _) = story.plan().await;
        assert_eq!(drift_before, drift_after, "what was lied about is drift still");
    });
}

/// A target that cannot be read back: nobody claims to know.
#[test]
fn what_cannot_be_read_back_is_never_verified() {
    tell("what_cannot_be_read_back_is_never_verified", 100, |seed| async move {
        let mut story = observed(seed).await;
        for name in ["alpha", "beta"] {
            let traits = SystemTraits {
                read_back: false,
                sessions: name == "alpha",
                last_use: false,
                credentials: true,
            };
            story.world.set_traits(name, traits).expect("traits");
        }
        let (_, plan) = story.plan().await;
        let rows = story.apply(&plan, &[]).await;
        for row in &rows {
            if row.state == ActionState::Planned {
                assert!(plan.guard_of(&row.id).is_some(), "{row:?}");
                continue;
            }
            let expected = matches!(row.state, ActionState::Unverifiable | ActionState::Stuck);
            assert!(expected && row.reason.as_ref().is_some_and(|why| !why.is_empty()), "{row:?}");
            if row.state == ActionState::Stuck {
                assert!(
                    !row.item.after.is_empty() || row.item.verb == Verb::EndSessions,
                    "only what waits for an unverified grant is stuck: {row:?}"
                );
            }
        }
    });
}

/// Field 26 to 28: an empty, partial or broken answer revokes nothing and says so.
#[test]
fn an_empty_or_partial_answer_revokes_nothing() {
    const KINDS: [FaultKind; 8] = [
        FaultKind::PartialPages,
        FaultKind::BrokenPages,
        FaultKind::EmptyAnswer,
        FaultKind::EmptyClaimedComplete,
        FaultKind::RateLimited { after_ms: 1_500 },
        FaultKind::TimeoutBefore,
        FaultKind::TimeoutAfter,
        FaultKind::Unreachable,
    ];
    tell("an_empty_or_partial_answer_revokes_nothing", 60, |seed| async move {
        let story = observed(seed).await;
        let (drift, plan) = story.plan().await;
        let known = story.store.snapshot(None).await.expect("a snapshot");
        for kind in KINDS {
            for name in ["hr", "alpha", "beta"] {
                story.clock.advance_ms(1_000);
                story.world.set_faults(Faults::none().next(Operation::Enumerate, kind));
                let report = story.observe(name).await;
                let Completeness::Partial { why } = &report.summary.completeness else {
                    panic!("{kind:?} of {name} was taken for complete: {report:?}")
                };
                assert!(!why.is_empty());
                let now = story.store.snapshot(None).await.expect("a snapshot");
                assert_eq!(invariants::pairs(&known), invariants::pairs(&now), "{kind:?} of {name}");
                assert_eq!(known.identities, now.identities, "{kind:?} of {name}");
            }
        }
        let (drift_after, plan_after) = story.plan().await;
        assert_eq!(drift, drift_after);
        assert_eq!(effects(&plan), effects(&plan_after));
        // What was cut off at first contact takes nothing away either.
        for first in ["hr", "alpha", "beta"] {
            let story = Story::begin(Scene::drawn(seed)).await;
            story.world.set_faults(Faults::none().next(Operation::Enumerate, FaultKind::PartialPages));
            story.observe(first).await;
            story.world.set_faults(Faults::none());
            for other in ["hr", "alpha", "beta"].into_iter().filter(|other| *other != first) {
                story.observe(other).await;
            }
            let (drift, plan) = story.plan().await;
            invariants::plan_explains_drift(&story, &drift, &plan);
            let takes = plan.items.iter().filter(|item| item.verb.takes_away());
            let from: Vec<_> = takes.filter(|item| first == "hr" || item.system.as_str() == first).collect();
            assert!(from.is_empty(), "{first} was never read completely, and yet: {from:?}");
        }
    });
}

pub fn effects(plan: &Plan) -> BTreeSet<impl Ord + std::fmt::Debug + use<>> {
    plan.items.iter().map(effect_of).collect()
}

/// Field 14, law 5: what somebody removed in an incident is not put back.
#[test]
fn a_removal_out_of_band_is_asked_about_and_never_undone() {
    tell("a_removal_out_of_band_is_asked_about_and_never_undone", 150, |seed| async move {
        let mut dice = Dice::new(seed ^ 0x14);
        let mut story = observed(seed).await;
        let (_, plan) = story.plan().await;
        story.apply(&plan, &[]).await;
        story.observe_all().await;
        let truth = story.truth();
        for (system, account, entitlement) in invariants::true_pairs(&truth) {
            let touchable = !story.scene.untouchable.contains(&(system.clone(), account.clone()));
            let inherent = truth.systems[&system].entitlements[&entitlement].inherent;
            if touchable && !inherent && dice.in_a_thousand(300) {
                let (system_text, entitlement_text) = (system.as_str(), entitlement.to_string());
                story
                    .world
                    .remove_out_of_band(system_text, account.as_str(), &entitlement_text)
                    .expect("taken");
                story.removed.insert((system, account, entitlement));
            }
        }
        for _ in 0..2 {
            story.observe_all().await;
            let (drift, plan) = story.plan().await;
            invariants::plan_explains_drift(&story, &drift, &plan);
            nothing_returns_by_another_account(&story, &drift, &plan);
            let before = story.truth();
            let rows = story.apply(&plan, &[]).await;
            let after = story.truth();
            for (system, account, entitlement) in &story.removed {
                let held =
                    |state: &WorldState| state.systems[system].effective(account).contains(entitlement);
                let place = format!("{entitlement} of {account} in {system}");
                assert!(held(&before) || !held(&after), "{place} was given back");
                // What was held on a second path goes on, unless that path had no reason and the plan said so.
                let promised = plan.items.iter().any(|item| {
                    let of_account = item.system == *system && item.account_key == *account;
                    item.verb == Verb::Revoke && of_account && item.must_end.contains(entitlement)
                });
                assert!(held(&after) || !held(&before) || promised, "{place} was lost");
            }
            let claims = story.scene.claims.clone().expect("a drawn scene has claims");
            let oracle = faults::oracle(&story, &claims).await;
            invariants::nothing_justified_is_lost(&oracle, &before, &after, &rows, &story.removed, false);
        }
    });
}

/// What a person lost in a system by a removal there is not given to another account of the same person.
fn nothing_returns_by_another_account(story: &Story, drift: &[DriftItem], plan: &Plan) {
    for item in drift.iter().filter(|item| item.kind == DriftKind::Missing) {
        // Without an account nothing is granted.
        let (Some(identity), Some(entitlement), Some(_)) = (&item.identity, &item.entitlement, &item.account)
        else {
            continue;
        };
        let removed = story.removed.iter().find(|(system, account, removed)| {
            let local = identity.as_str().split('@').next().unwrap_or_default();
            let state = &story.truth().systems[system];
            let login = state.accounts[account].login.trim_start_matches("adm-").to_owned();
            *system == item.system && removed == entitlement && login == local
        });
        assert!(removed.is_none(), "removed out of band, and yet missing: {removed:?} {item:?}");
    }
    for item in plan.items.iter().filter(|item| item.verb == Verb::Grant) {
        assert!(item.identity.is_some());
    }
}

/// Law 6: a column that went missing from the feed says nothing of who belongs where, so nobody loses anything by it.
#[test]
fn a_feed_without_a_column_takes_nothing_from_anybody() {
    tell("a_feed_without_a_column_takes_nothing_from_anybody", 100, |seed| async move {
        let mut story = observed(seed).await;
        let (_, plan) = story.plan().await;
        let overrides: Vec<String> = plan.guards.iter().map(|guard| guard.name.clone()).collect();
        story.apply(&plan, &overrides).await;
        story.observe_all().await;
        for (_, mut person) in story.truth().people {
            person.attributes.remove("department");
            story.world.join(person).expect("written");
        }
        let before = story.truth();
        let report = story.observe("hr").await;
        assert!(report.summary.completeness.is_complete(), "{report:?}");
        let (drift, plan) = story.plan().await;
        invariants::plan_explains_drift(&story, &drift, &plan);
        let overrides: Vec<String> = plan.guards.iter().map(|guard| guard.name.clone()).collect();
        story.apply(&plan, &overrides).await;
        for (name, state) in &before.systems {
            for account in state.accounts.keys() {
                let lost: Vec<_> = state
                    .effective(account)
                    .difference(&story.truth().systems[name].effective(account))
                    .cloned()
                    .collect();
                assert!(lost.is_empty(), "{account} of {name} lost {lost:?}");
            }
        }
    });
}

/// Field 2: a revoked grant that something else restores is drift again, and ends.
#[test]
fn a_resurrected_grant_is_drift_again() {
    tell("a_resurrected_grant_is_drift_again", 100, |seed| async move {
        let mut story = observed(seed).await;
        let (_, plan) = story.plan().await;
        let later = FaultKind::Resurrected { after_steps: 40 };
        story.world.set_faults(Faults::seeded(seed, 1_000, 100_000).only(&[later]));
        let rows = story.apply(&plan, &[]).await;
        invariants::actions_are_settled(&story, &plan, &[], &rows);
        for _ in 0..20 {
            story.observe_all().await;
        }
        story.calm();
        story.observe_all().await;
        let truth = story.truth();
        let (_, again) = story.plan().await;
        let wanted = effects(&again);
        let mut back = 0;
        for row in
            rows.iter().filter(|row| row.item.verb == Verb::Revoke && row.state == ActionState::Verified)
        {
            let entitlement = row.item.entitlement.clone().expect("an entitlement");
            if truth.systems[&row.item.system].holds_directly(&row.item.account_key, &entitlement) {
                back += 1;
                let found = wanted
                    .iter()
                    .any(|wanted| format!("{wanted:?}") == format!("{:?}", effect_of(&row.item)));
                assert!(found, "came back and is no drift: {row:?}");
            }
        }
        let revoked =
            rows.iter().any(|row| row.item.verb == Verb::Revoke && row.state == ActionState::Verified);
        assert!(back > 0 || !revoked, "everything that was revoked was to come back");
        for row in story.apply(&again, &[]).await {
            assert!(matches!(row.state, ActionState::Verified | ActionState::Planned), "{row:?}");
        }
    });
}

/// Law 7: a plan is refused when what it was made from has moved.
#[test]
fn a_plan_of_another_state_is_refused() {
    tell("a_plan_of_another_state_is_refused", 60, |seed| async move {
        let mut dice = Dice::new(seed ^ 0x7);
        let mut story = observed(seed).await;
        let (_, plan) = story.plan().await;
        story.disturb(&mut dice, true).await;
        let reports = story.observe_all().await;
        let moved = reports.iter().any(|(_, report)| !report.changes.is_empty());
        let before = story.truth();
        match story.runner().apply(&plan, &[], "story").await {
            Err(ReconcileError::StateMoved { .. }) => assert!(moved),
            Err(other) => panic!("{other}"),
            Ok(_) => assert!(!moved, "applied although the state moved"),
        }
        if moved {
            assert_eq!(before, story.truth());
            assert!(story.store.actions(&plan.hash).await.expect("actions").is_empty());
        }
        let mut edited = plan.clone();
        edited.items.pop();
        if edited.items.len() < plan.items.len() {
            let refused = story.runner().apply(&edited, &[], "story").await;
            assert!(matches!(refused, Err(ReconcileError::PlanEdited { .. })), "an edited plan");
        }
    });
}

/// A row that leaves the feed is a leaver after a complete read, and everything of it comes down; not after a partial one.
#[test]
fn whoever_leaves_the_feed_leaves_everything() {
    tell("whoever_leaves_the_feed_leaves_everything", 100, |seed| async move {
        let mut scene = Scene::drawn(seed);
        let gone = IdentityKey::from("p1@example.com");
        scene.state.people.insert(gone.clone(), identity("p1@example.com", "Green"));
        scene.state.people.remove(&IdentityKey::from("p1@other.example"));
        let story = Story::begin(scene.clone()).await;
        story.observe_all().await;
        let (_, plan) = story.plan().await;
        story.runner().apply(&plan, &[], "story").await.expect("applied");
        // The same world without that row: the feed is read from it, the systems are as they were.
        scene.state = story.truth();
        scene.state.people.remove(&gone);
        let mut rest = Story::begin(scene).await;
        rest.store = story.store.clone();
        rest.clock.advance_ms(600_000);
        rest.world.set_faults(Faults::none().next(Operation::Enumerate, FaultKind::PartialPages));
        rest.observe("hr").await;
        let (drift, _) = rest.plan().await;
        let leaver =
            |item: &DriftItem| item.kind == DriftKind::Leaver && item.identity.as_ref() == Some(&gone);
        assert!(!drift.iter().any(leaver), "a partial feed made a leaver");
        rest.calm();
        rest.observe_all().await;
        let (drift, plan) = rest.plan().await;
        invariants::plan_explains_drift(&rest, &drift, &plan);
        let overrides: Vec<String> = plan.guards.iter().map(|guard| guard.name.clone()).collect();
        rest.apply(&plan, &overrides).await;
        for (name, state) in &rest.truth().systems {
            for account in
                state.accounts.values().filter(|account| account.login.trim_start_matches("adm-") == "p1")
            {
                assert!(!account.enabled, "{} of {name} can log in still", account.key);
                for held in state.revocable(&account.key) {
                    let irrevocable = state.entitlements[&held].irrevocable.is_some();
                    assert!(irrevocable, "{} of {name} holds {held} still", account.key);
                }
                // Sessions of an account that was closed before, and held nothing, are nowhere to be seen.
                let planned =
                    plan.items.iter().any(|item| item.system == *name && item.account_key == account.key);
                let logged_in = state.sessions.contains_key(&account.key);
                assert!(!(planned && logged_in), "{} of {name} is logged in still", account.key);
            }
        }
    });
}

/// Field 26: a feed that says that everybody left, or is suspended. What they hold waits for a person, who sees who it is; one who has
/// really left need not wait.
#[test]
fn many_leavers_at_once_wait_for_a_person() {
    tell("many_leavers_at_once_wait_for_a_person", 10, |seed| async move {
        for (state, have_contracts) in [
            (LifecycleState::Left, false),
            (LifecycleState::Left, true),
            (LifecycleState::Suspended, false),
            (LifecycleState::PreHire, false),
        ] {
            many_go_at_once(seed, state, have_contracts).await;
        }
    });
}

async fn many_go_at_once(seed: u64, state: LifecycleState, have_contracts: bool) {
    let (scene, _company) = Scene::company(seed, 60);
    let mut story = Story::begin(scene).await;
    story.observe_all().await;
    let (_, plan) = story.plan().await;
    let is_mass = |guard: &Guard| guard.name == "mass_departure:hr";
    assert!(!plan.guards.iter().any(is_mass), "those of a generated company left one by one");
    let overrides: Vec<String> = plan.guards.iter().map(|guard| guard.name.clone()).collect();
    story.apply(&plan, &overrides).await;
    story.clock.advance_ms(7_200_000);
    let truth = story.truth();
    let here = |identity: &&leasehold_model::identity::Identity| {
        identity.state == LifecycleState::Active
            && identity.end.is_none()
            && identity.key.as_str().contains('@')
    };
    let gone: Vec<IdentityKey> =
        truth.people.values().filter(here).map(|identity| identity.key.clone()).take(12).collect();
    let last_day =
        |number: i64| story.clock.now().checked_add(jiff::SignedDuration::from_hours(24 * 30 * number));
    let begins_at = |told| match state {
        LifecycleState::PreHire => last_day(1).ok(),
        _ => told,
    };
    for (number, who) in (1..).zip(&gone) {
        // Some feeds tell no last day, and some that of a contract that would have ended later.
        let mut identity = truth.people[who].clone();
        identity.state = state;
        identity.start = begins_at(identity.start);
        identity.end = have_contracts.then(|| last_day(number).expect("an instant"));
        story.world.join(identity).expect("is told so");
    }
    story.observe_all().await;
    let (_, plan) = story.plan().await;
    let guard = plan.guards.iter().find(|guard| is_mass(guard)).expect("a guard");
    assert!(gone.iter().all(|who| guard.message.contains(who.as_str())), "{}", guard.message);
    for item in plan.items.iter().filter(|item| item.verb.takes_away()) {
        // And so does what they answered for.
        let owner = |key: &IdentityKey| truth.people.get(key)?.owner.clone();
        let is_theirs = item.identity.as_ref().is_some_and(|identity| {
            gone.contains(identity) || owner(identity).is_some_and(|owner| gone.contains(&owner))
        });
        assert_eq!(guard.holds.contains(&item.id), is_theirs, "{item:?}");
    }
    let loaded = story.load().await;
    let one =
        leasehold_reconcile::workflow::offboard::plan(loaded, &gone[0], Vec::new(), None).expect("a plan");
    assert!(!one.items.is_empty() && !one.guards.iter().any(is_mass), "{:?}", one.guards);
    // It does not let go by itself, not even when contracts end, nor because the feed says something else of some of them, and does when
    // a person says that it is meant.
    story.clock.advance_ms(if have_contracts { 200 * 86_400_000 } else { 7_200_000 });
    for who in &gone[..4] {
        let mut identity = truth.people[who].clone();
        (identity.state, identity.start) = (state, begins_at(identity.start));
        identity.attributes.insert("title".to_owned(), "Former".to_owned());
        story.world.join(identity).expect("has another title");
    }
    story.observe_all().await;
    let (_, plan) = story.plan().await;
    assert!(plan.guards.iter().any(is_mass));
    let overrides: Vec<String> = plan.guards.iter().map(|guard| guard.name.clone()).collect();
    story.apply(&plan, &overrides).await;
    story.observe_all().await;
    let (_, plan) = story.plan().await;
    assert!(!plan.guards.iter().any(is_mass), "nothing of theirs is left: {:?}", plan.guards);
}
