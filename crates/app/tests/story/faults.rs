//! Thousands of small companies, with faults at every step, until everything is calm and the loop has caught up.

use leasehold_connect::simulated::dice::Dice;
use leasehold_connect::simulated::{FaultKind, Faults};
use leasehold_model::action::ActionState;
use leasehold_model::clock::Clock;
use leasehold_model::id::SystemName;
use leasehold_model::plan::Verb;
use leasehold_model::reason::Baseline;

use crate::invariants;
use crate::oracle::Oracle;
use crate::scene::{Scene, days_from};
use crate::seeds::tell;
use crate::world::Story;

/// After faults end, the loop must have caught up within this many rounds.
const ROUNDS_MAX: usize = 6;

#[test]
fn every_fault_at_every_step() {
    tell("every_fault_at_every_step", 2_000, |seed| async move {
        let story = from_first_contact_to_calm(seed).await;
        invariants::ledger_is_a_chain(&story).await;
        if seed % 16 == 0 {
            invariants::ledger_verifies(&story).await;
        }
    });
}

#[test]
fn a_company_with_faults_at_every_step() {
    tell("a_company_with_faults_at_every_step", 40, |seed| async move {
        let people = 24 + usize::try_from(seed % 17).unwrap_or(0);
        let (scene, company) = Scene::company(seed, people);
        let mut story = Story::begin(scene).await;
        story.systems_at_once = 5;
        story.observe_all().await;
        let (drift, _) = story.plan().await;
        for planted in &company.planted {
            let found = drift.iter().any(|item| {
                item.kind == planted.kind
                    && item.system == planted.system
                    && item.account.as_ref() == Some(&planted.account)
                    && item.entitlement == planted.entitlement
            });
            let near: Vec<_> = drift.iter().filter(|item| item.identity == planted.identity).collect();
            assert!(found, "not found: {planted:?}; there is {near:#?}");
        }
        tell_on(&mut story, &mut Dice::new(seed ^ 0xC0), true).await;
        invariants::ledger_is_a_chain(&story).await;
    });
}

#[test]
fn the_same_seed_tells_the_same_story() {
    tell("the_same_seed_tells_the_same_story", 60, |seed| async move {
        let (first, second) =
            (from_first_contact_to_calm(seed).await, from_first_contact_to_calm(seed).await);
        assert_eq!(first.truth(), second.truth());
        assert_eq!(first.world.steps(), second.world.steps());
        let (left, right) = (invariants::entries(&first).await, invariants::entries(&second).await);
        let shown = |entry: &(u64, serde_json::Value)| {
            (entry.0, entry.1["kind"].clone(), entry.1["at"].clone(), entry.1["body"].clone())
        };
        for (left, right) in left.iter().zip(&right) {
            // Commitments are salted anew each time; everything else is the seed's.
            assert_eq!(shown(left), shown(right));
        }
        assert_eq!(left.len(), right.len());
    });
}

async fn from_first_contact_to_calm(seed: u64) -> Story {
    let mut dice = Dice::new(seed ^ 0xFA_017);
    let mut story = Story::begin(Scene::drawn(seed)).await;
    let flawed_from_the_start = dice.in_a_thousand(150);
    if flawed_from_the_start {
        story.world.set_faults(Faults::seeded(seed, 500, 20));
    }
    story.observe_all_mortal().await;
    story.world.set_faults(Faults::none());
    if !flawed_from_the_start && dice.in_a_thousand(250) {
        adopt(&mut story, &mut dice).await;
    }
    tell_on(&mut story, &mut dice, !flawed_from_the_start).await;
    story
}

/// Gives what was observed in one system a reason that ends.
async fn adopt(story: &mut Story, dice: &mut Dice) {
    let snapshot = story.store.snapshot(None).await.expect("a snapshot");
    let system = SystemName::new(["alpha", "beta"][dice.below(2)]).expect("a system");
    let state = &snapshot.systems[snapshot.system_position(&system).expect("observed") as usize];
    let ends = dice.in_a_thousand(200);
    let baseline = Baseline {
        system: system.clone(),
        epoch: state.latest_complete.as_ref().expect("complete").id,
        until: days_from(story.clock.now(), if ends { -1 } else { 30 }),
        owner: "security@example.com".to_owned(),
        adopted_at: story.clock.now(),
    };
    story.store.adopt_baseline(&baseline, story.clock.now()).await.expect("adopted");
    if !ends {
        story.baseline = invariants::pairs(&snapshot).into_iter().filter(|pair| pair.0 == system).collect();
        story.adopted = story.baseline.clone();
    }
}

/// Things happen, everything fails now and then, the plan is carried out, and everything is judged.
async fn tell_on(story: &mut Story, dice: &mut Dice, observed: bool) {
    story.disturb(dice, observed).await;
    let share = [60, 200, 450][dice.below(3)];
    story.world.set_faults(Faults::seeded(dice.roll(), share, 400));
    story.observe_all_mortal().await;
    let (drift, plan) = story.plan().await;
    invariants::plan_explains_drift(story, &drift, &plan);
    if dice.in_a_thousand(300) {
        // The world moves on between plan and apply; only the next read will tell.
        story.disturb(dice, observed).await;
        // What somebody removed that the plan ends, too, ended with our consent.
        story.removed.retain(|(system, account, entitlement)| {
            !plan.items.iter().any(|item| {
                item.verb == Verb::Revoke
                    && item.system == *system
                    && item.account_key == *account
                    && item.entitlement.as_ref() == Some(entitlement)
            })
        });
    }
    let overrides: Vec<String> = match dice.in_a_thousand(500) {
        true => plan.guards.iter().map(|guard| guard.name.clone()).collect(),
        false => Vec::new(),
    };
    let truth = story.truth();
    let rows = story.apply(&plan, &overrides).await;
    invariants::actions_are_settled(story, &plan, &overrides, &rows);
    invariants::only_the_plan_changed(story, &truth, &rows);
    let resurrects =
        story.world.struck().iter().any(|fault| matches!(fault.kind, FaultKind::Resurrected { .. }));
    if let Some(claims) = story.scene.claims.clone() {
        let oracle = oracle(story, &claims).await;
        invariants::nothing_justified_is_lost(
            &oracle,
            &truth,
            &story.truth(),
            &rows,
            &story.taken,
            resurrects,
        );
    }
    catch_up(story, !resurrects).await;
}

/// The slow judge of what the story's people may hold now.
pub async fn oracle<'story>(story: &'story Story, claims: &'story crate::scene::Claims) -> Oracle<'story> {
    let snapshot = story.store.snapshot(None).await.expect("a snapshot");
    Oracle {
        claims,
        identities: snapshot.identities.into_iter().map(|(_, identity)| identity).collect(),
        baseline: &story.baseline,
        now: story.clock.now(),
    }
}

/// Nothing fails any more: every further round changes only what is needed, ends verified, and soon there is nothing
/// left to do, and really nothing left.
async fn catch_up(story: &mut Story, at_once: bool) {
    for round in 1.. {
        story.calm();
        let reports = story.observe_all().await;
        for (name, report) in &reports {
            assert!(report.summary.completeness.is_complete(), "{name} in calm: {report:?}");
        }
        let (drift, plan) = story.plan().await;
        invariants::plan_explains_drift(story, &drift, &plan);
        let truth = story.truth();
        let rows = story.apply(&plan, &[]).await;
        invariants::actions_are_settled(story, &plan, &[], &rows);
        invariants::only_the_plan_changed(story, &truth, &rows);
        let free = |row: &&leasehold_store::ActionRow| row.state != ActionState::Planned;
        for row in rows.iter().filter(free) {
            assert_eq!(row.state, ActionState::Verified, "nothing failed, and yet: {row:?}");
        }
        if let Some(claims) = story.scene.claims.clone() {
            let oracle = oracle(story, &claims).await;
            invariants::nothing_justified_is_lost(
                &oracle,
                &truth,
                &story.truth(),
                &rows,
                &story.taken,
                !at_once,
            );
        }
        if rows.iter().filter(free).count() + story.tried_again.len() > 0 {
            assert!(round < ROUNDS_MAX, "still something to do after {round} calm rounds: {rows:?}");
            assert!(!at_once || round <= 2, "calm round {round} still had something to do: {rows:?}");
            continue;
        }
        assert_eq!(truth, story.truth(), "a round without actions changed the world");
        if let Some(claims) = story.scene.claims.clone() {
            let oracle = oracle(story, &claims).await;
            invariants::nothing_unjustified_is_left(story, &oracle, &plan);
        }
        let snapshot = story.store.snapshot(None).await.expect("a snapshot");
        assert_eq!(
            invariants::pairs(&snapshot),
            invariants::true_pairs(&story.truth()),
            "what is believed is so"
        );
        return;
    }
}
