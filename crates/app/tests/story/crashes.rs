//! The process dies after every single step of a story, and the end is the same as if it had lived.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_connect::simulated::state::WorldState;
use leasehold_model::action::ActionState;
use leasehold_reconcile::stages::enforce::{Effect, effect_of};

use crate::invariants;
use crate::scene::Scene;
use crate::seeds::tell;
use crate::world::Story;

/// How a story ended.
struct Ended {
    truth: WorldState,
    done: BTreeSet<Effect>,
    asked: BTreeMap<Effect, u32>,
    steps: u64,
}

#[test]
fn a_crash_after_every_step_changes_nothing_about_the_end() {
    tell("a_crash_after_every_step_changes_nothing_about_the_end", 12, |seed| async move {
        let whole = tell_it(seed, None).await;
        for step in 0..whole.steps {
            let crashed = tell_it(seed, Some(step)).await;
            let place = format!("seed {seed}, dead after step {step} of {}", whole.steps);
            assert_eq!(crashed.truth, whole.truth, "another end: {place}");
            for effect in &whole.done {
                assert!(crashed.done.contains(effect), "not done: {effect:?}, {place}");
            }
            for (change, asked) in &crashed.asked {
                let once = whole.asked.get(change).copied().unwrap_or(0);
                assert!(once > 0, "asked for what was never wanted: {change:?}, {place}");
                assert!(*asked <= once + 1, "asked for too often: {change:?}, {place}");
            }
        }
    });
}

/// What an administrator's script does: finish what was begun, read, plan, apply; and again after a crash.
async fn tell_it(seed: u64, dies_at: Option<u64>) -> Ended {
    let mut story = Story::begin(Scene::tiny(seed)).await;
    if let Some(step) = dies_at {
        story.life.dies_at(step);
    }
    let mut lives = 1;
    loop {
        let life = story.life.clone();
        let runner = story.runner();
        let lived = life
            .lives(async {
                runner.resume().await.expect("resumed");
                story.observe_all().await;
                let (_, plan) = story.plan().await;
                runner.apply(&plan, &[], "story").await.expect("applied");
            })
            .await;
        if lived.is_some() {
            break;
        }
        lives += 1;
        drop(runner);
        story.restart().await;
    }
    let steps = story.life.passed();
    // What a guard held may be free after the first plan, so both go on until nothing is left to do.
    for _ in 0..3 {
        story.observe_all().await;
        let (_, plan) = story.plan().await;
        story.apply(&plan, &[]).await;
    }
    assert_eq!(lives, if dies_at.is_some() { 2 } else { 1 }, "it dies once, where it was told to");
    let rows = story.store.all_actions().await.expect("actions");
    let mut done = BTreeSet::new();
    for row in &rows {
        let held = row.state == ActionState::Planned;
        assert!(held || matches!(row.state, ActionState::Verified | ActionState::Void), "{row:?}");
        if row.state == ActionState::Verified {
            done.insert(effect_of(&row.item));
        }
    }
    invariants::ledger_is_a_chain(&story).await;
    let asked = story.calls.lock().expect("calls").asked.clone();
    Ended { truth: story.truth(), done, asked, steps }
}
