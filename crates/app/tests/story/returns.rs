//! Stories of people who come back after they left, and of words about somebody that were wrong: neither gives anything that no word of
//! now gives.

use std::collections::BTreeSet;

use leasehold_model::clock::Clock as _;
use leasehold_model::identity::LifecycleState;
use leasehold_reconcile::workflow::offboard;

use crate::lifecycle::{KIM, close, company, person};
use crate::moves::everything;
use crate::reasons::adopt_everywhere;
use crate::seeds::tell;
use crate::world::Story;

const DAY_MS: u64 = 86_400_000;

/// What Kim is given by name, and nothing else says anything of.
fn exception(given: &str) -> String {
    format!(
        "[exception.kim]\nidentity = \"{KIM}\"\ngrants = [\"alpha:role/e3\"]\n{given}\nuntil = \"2040-01-01\"\n\
         owner = \"p0@example.com\"\nwhy = \"A story\"\n"
    )
}

async fn kim_begins(story: &mut Story, seed: u64) {
    story.world.join(person(KIM, "Ops", LifecycleState::Active)).expect("joins");
    story.observe_all().await;
    close(story, seed, &[KIM]).await;
}

fn given(story: &Story) -> BTreeSet<String> {
    everything(story, "kim").into_iter().filter(|one| one.contains(" gives ")).collect()
}

fn gives(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What somebody was given by name before they left is not theirs when they come back, unless it was given anew. Who was said to have
/// left by mistake has it still, whether their source said so or a person decided it.
#[test]
fn what_was_given_by_name_ends_with_the_leaving() {
    tell("what_was_given_by_name_ends_with_the_leaving", 12, |seed| async move {
        let cases = [(1, false, true), (30, false, false), (30, true, true)];
        let cases = cases.into_iter().flat_map(|case| [(case, false), (case, true)]);
        for ((days_away, is_given_anew, is_theirs), is_decided_here) in cases {
            let mut story = company(seed, "", &exception("")).await;
            kim_begins(&mut story, seed).await;
            let before = gives(&["alpha gives role/e0", "alpha gives role/e3", "beta gives role/e0"]);
            assert_eq!(given(&story), before);
            if is_decided_here {
                let plan = offboard::plan(story.load().await, &KIM.into(), Vec::new(), None).expect("a plan");
                story.apply(&plan, &[]).await;
            } else {
                story.world.leave(KIM, story.clock.now()).expect("leaves");
                story.observe_all().await;
            }
            close(&mut story, seed, &[KIM]).await;
            assert_eq!(given(&story), BTreeSet::new(), "decided here: {is_decided_here}");
            story.clock.advance_ms(days_away * DAY_MS);
            story.observe_all().await;
            if is_given_anew {
                let given = format!("given = \"{}\"", story.clock.now());
                story.apply_policy(crate::lifecycle::policy("", &exception(&given))).await;
            }
            story.world.join(person(KIM, "Sales", LifecycleState::Active)).expect("returns");
            if is_decided_here {
                let now = story.clock.now();
                assert!(story.store.rescind_departure(&KIM.into(), "ops", now).await.expect("takes back"));
            }
            story.observe_all().await;
            close(&mut story, seed, &[KIM]).await;
            let mut after = gives(&["alpha gives role/e2", "beta gives role/e2"]);
            if is_theirs {
                after.insert("alpha gives role/e3".to_owned());
            }
            // Accounts that were found closed by somebody else are a person's to open, which is another story.
            if everything(&story, "kim").iter().filter(|one| one.ends_with("lets in")).count() == 2 {
                assert_eq!(
                    given(&story),
                    after,
                    "{days_away} days, given anew: {is_given_anew}, decided here: {is_decided_here}"
                );
            }
        }
    });
}

/// A hand-over lets somebody keep what they have. It gives nothing: not what they never had because their source was wrong for a time,
/// nor what ended with their leaving.
#[test]
fn a_hand_over_gives_nothing() {
    tell("a_hand_over_gives_nothing", 12, |seed| async move {
        let mut story = company(seed, "hand_over = \"14d\"", "").await;
        kim_begins(&mut story, seed).await;
        let of_ops = gives(&["alpha gives role/e0", "beta gives role/e0"]);
        story.world.mover(KIM, "Sales", "Seller").expect("is said to move");
        story.observe_all().await;
        story.world.mover(KIM, "Ops", "Operator").expect("never did");
        story.observe_all().await;
        close(&mut story, seed, &[KIM]).await;
        assert_eq!(given(&story), of_ops, "nothing of the other department was ever theirs");
        story.world.leave(KIM, story.clock.now()).expect("leaves");
        story.observe_all().await;
        close(&mut story, seed, &[KIM]).await;
        story.clock.advance_ms(DAY_MS);
        story.world.join(person(KIM, "Sales", LifecycleState::Active)).expect("returns elsewhere");
        story.observe_all().await;
        close(&mut story, seed, &[KIM]).await;
        assert!(given(&story).is_disjoint(&of_ops), "what the former role gave is not handed over");
    });
}

/// Who is suspended keeps what they hold until they return. Who leaves does not, suspended or not.
#[test]
fn a_leaver_who_was_suspended_keeps_nothing() {
    tell("a_leaver_who_was_suspended_keeps_nothing", 12, |seed| async move {
        for is_decided_here in [false, true] {
            let mut story = company(seed, "", "").await;
            kim_begins(&mut story, seed).await;
            story.world.join(person(KIM, "Ops", LifecycleState::Suspended)).expect("is suspended");
            story.observe_all().await;
            close(&mut story, seed, &[KIM]).await;
            assert_eq!(
                given(&story),
                gives(&["alpha gives role/e0", "beta gives role/e0"]),
                "until they return"
            );
            if is_decided_here {
                let loaded = story.load().await;
                let plan = offboard::plan(loaded, &KIM.into(), Vec::new(), None).expect("a plan");
                story.apply(&plan, &[]).await;
            } else {
                let mut kim = person(KIM, "Ops", LifecycleState::Suspended);
                kim.end = Some(story.clock.now());
                story.world.join(kim).expect("has had a last day");
                story.observe_all().await;
            }
            close(&mut story, seed, &[KIM]).await;
            assert_eq!(given(&story), BTreeSet::new(), "decided here: {is_decided_here}");
        }
    });
}

/// What was there when a system was first looked at is nobody's who came back since, either.
#[test]
fn a_baseline_covers_nothing_of_who_came_back_since() {
    tell("a_baseline_covers_nothing_of_who_came_back_since", 8, |seed| async move {
        for (days_away, is_theirs) in [(1, true), (20, false)] {
            let mut story = company(seed, "", "").await;
            kim_begins(&mut story, seed).await;
            story.world.grant_out_of_band("alpha", "kim", "role/e3").expect("given by hand");
            story.observe_all().await;
            adopt_everywhere(&story, "p0@example.com").await;
            close(&mut story, seed, &[KIM]).await;
            let theirs = gives(&["alpha gives role/e0", "alpha gives role/e3", "beta gives role/e0"]);
            assert_eq!(given(&story), theirs);
            // Nothing is carried out until they are back.
            story.world.leave(KIM, story.clock.now()).expect("leaves");
            story.observe_all().await;
            story.clock.advance_ms(days_away * DAY_MS);
            story.world.join(person(KIM, "Ops", LifecycleState::Active)).expect("returns");
            story.observe_all().await;
            close(&mut story, seed, &[KIM]).await;
            let kept = if is_theirs { theirs } else { gives(&["alpha gives role/e0", "beta gives role/e0"]) };
            assert_eq!(given(&story), kept, "{days_away} days");
        }
    });
}
