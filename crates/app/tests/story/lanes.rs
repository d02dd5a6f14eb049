//! Stories of turns: what one event takes and gives is one plan, and whoever leaves waits for nobody else's.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::SignedDuration;
use leasehold_decide::plan::Scope;
use leasehold_model::action::ActionState;
use leasehold_model::clock::Clock as _;
use leasehold_model::id::{IdentityKey, PlanHash};
use leasehold_model::identity::LifecycleState;
use leasehold_model::plan::Verb;
use leasehold_reconcile::stages::plan;
use leasehold_reconcile::system::Enforce;
use leasehold_reconcile::tasks::{apply, resume};
use leasehold_reconcile::workflow::offboard;
use leasehold_store::{TaskFilter, TaskState};

use crate::lifecycle::{KIM, close, company, person};
use crate::moves::{apart, everything};
use crate::seeds::tell;
use crate::world::Story;

const LOU: &str = "lou@example.com";
const HALF_A_MINUTE: SignedDuration = SignedDuration::from_secs(30);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A company in which these work, with what their department gives them.
async fn company_of(seed: u64, people: &[&str], enforce: Enforce) -> Story {
    let mut story = company(seed, "", "").await;
    story.apply_policy(apart()).await;
    for key in people {
        story.world.join(person(key, "Ops", LifecycleState::Active)).expect("joins");
    }
    story.observe_all().await;
    close(&mut story, seed, people).await;
    story.calm();
    for system in story.systems.values_mut() {
        system.enforce = enforce.into();
    }
    story
}

/// What policy closes by itself when somebody moves is one plan, whatever the systems.
#[test]
fn what_a_move_takes_and_what_it_gives_is_one_plan() {
    static TOLD: AtomicU32 = AtomicU32::new(0);
    tell("what_a_move_takes_and_what_it_gives_is_one_plan", 12, |seed| async move {
        let story = company_of(seed, &[KIM], Enforce::Enforce).await;
        let driver = story.driver();
        driver.start().await.expect("starts");
        driver.turn().await.expect("turns");
        let before: BTreeSet<PlanHash> =
            plans_about(&story, KIM).await.into_iter().map(|(plan, ..)| plan).collect();
        story.world.mover(KIM, "Sales", "Seller").expect("moves");
        story.clock.advance_ms(20 * 60_000);
        driver.turn().await.expect("turns");
        let done = plans_about(&story, KIM).await;
        let done: Vec<_> = done.into_iter().filter(|(plan, ..)| !before.contains(plan)).collect();
        // In some companies a guard holds what would be taken away, which then waits for a person.
        let gives = done.iter().find(|(_, verb, _)| matches!(verb, Verb::Grant | Verb::CreateAccount));
        let takes = done.iter().find(|(_, verb, _)| *verb == Verb::Revoke);
        let (Some((gives, _, there)), Some((takes, _, here))) = (gives, takes) else { return };
        assert_eq!(gives, takes, "{done:#?}");
        assert_ne!(here, there, "{done:#?}");
        TOLD.fetch_add(1, Ordering::Relaxed);
    });
    let told = TOLD.load(Ordering::Relaxed);
    assert!(told > 3 || std::env::var_os("LEASEHOLD_STORY_SEEDS").is_some(), "told {told} times only");
}

/// Of each action about somebody its plan, its verb and its system.
async fn plans_about(story: &Story, key: &str) -> Vec<(PlanHash, Verb, String)> {
    let about = story.store.actions_about(&[IdentityKey::from(key)]).await.expect("actions");
    about
        .into_iter()
        .map(|about| (about.row.plan, about.row.item.verb, about.row.item.system.to_string()))
        .collect()
}

/// Another process is in the middle of something that does not end, and somebody leaves.
#[test]
fn a_leaver_waits_for_no_other_plan() {
    tell("a_leaver_waits_for_no_other_plan", 8, |seed| async move {
        let story = company_of(seed, &[KIM, LOU], Enforce::Propose).await;
        let driver = story.driver();
        driver.start().await.expect("starts");
        driver.turn().await.expect("turns");
        let now = story.clock.now();
        story.store.request_task(&resume::request("ops@example.com", now), now).await.expect("asks");
        let hanging = story.store.claim_task(&["resume"], &[], "another process", now, now + HOUR).await;
        let hanging = hanging.expect("claims").expect("a task");
        // One by their page, the other by a plan that was made of it.
        driver.handle().request_offboard(&KIM.into(), now, "ops@example.com").await.expect("asks");
        let scope = Scope { identities: vec![LOU.into()], ..Scope::default() };
        story.world.leave(LOU, now).expect("leaves");
        story.clock.advance_ms(1_000);
        story.observe_all().await;
        let made = plan::make(&story.store, &story.load().await, &scope).await.expect("a plan");
        let guards: Vec<String> = made.guards.iter().map(|guard| guard.name.clone()).collect();
        driver.handle().request_apply(&made.hash, &guards, "ops@example.com").await.expect("asks");
        driver.turn().await.expect("turns");
        // Where facts moved while one of them began, it begins anew a second later.
        story.clock.advance_ms(2_000);
        driver.turn().await.expect("turns");
        let still = story.store.task(&hanging.id).await.expect("reads").expect("the task");
        assert_eq!(still.state, TaskState::Running, "nobody took it over");
        assert_eq!(everything(&story, "lou"), BTreeSet::new());
        let about = story.store.actions_about(&[KIM.into()]).await.expect("actions");
        let is_held = |state: ActionState| state == ActionState::Planned;
        let left = everything(&story, "kim");
        let tasks = story.store.tasks(&TaskFilter::default(), 20).await.expect("tasks");
        assert!(
            left.is_empty() || about.iter().any(|about| is_held(about.row.state)),
            "{left:?} {tasks:#?} {about:#?}"
        );
    });
}

/// What a running task carries out is taken up by nobody else while its claim lasts, and by whoever takes the task over.
#[test]
fn a_plan_that_is_carried_out_is_taken_up_once() {
    tell("a_plan_that_is_carried_out_is_taken_up_once", 6, |seed| async move {
        let story = company_of(seed, &[KIM], Enforce::Propose).await;
        let driver = story.driver();
        driver.start().await.expect("starts");
        driver.turn().await.expect("turns");
        story.world.leave(KIM, story.clock.now()).expect("leaves");
        story.clock.advance_ms(1_000);
        story.observe_all().await;
        let scope = Scope { identities: vec![KIM.into()], ..Scope::default() };
        let made = plan::make(&story.store, &story.load().await, &scope).await.expect("a plan");
        let guards: Vec<String> = made.guards.iter().map(|guard| guard.name.clone()).collect();
        let now = story.clock.now();
        // Another process has approved it, and dies before it sends anything.
        story
            .store
            .request_task(&apply::request(&made, &guards, "ops@example.com", now), now)
            .await
            .expect("asks");
        let claimed =
            story.store.claim_task(&["apply"], &[], "another process", now, now + HALF_A_MINUTE).await;
        assert!(claimed.expect("claims").is_some());
        story.store.begin_apply(&made, &guards, "ops@example.com", now).await.expect("approves");
        story.store.request_task(&resume::request("ops@example.com", now), now).await.expect("asks");
        driver.turn().await.expect("turns");
        let rows = story.store.actions(&made.hash).await.expect("actions");
        assert!(rows.iter().all(|row| row.state == ActionState::Approved), "{rows:#?}");
        story.clock.advance_ms(60_000);
        driver.turn().await.expect("turns");
        let rows = story.store.actions(&made.hash).await.expect("actions");
        assert!(rows.iter().all(|row| row.state.is_final()), "{rows:#?}");
        assert_eq!(everything(&story, "kim"), BTreeSet::new());
    });
}

/// What another plan is about to give to somebody when they leave is not given any more, whoever carries that plan out.
#[test]
fn whoever_leaves_is_given_nothing_by_a_plan_that_was_under_way() {
    tell("whoever_leaves_is_given_nothing_by_a_plan_that_was_under_way", 6, |seed| async move {
        let story = company_of(seed, &[LOU], Enforce::Propose).await;
        story.world.join(person(KIM, "Ops", LifecycleState::Active)).expect("joins");
        let driver = story.driver();
        driver.start().await.expect("starts");
        driver.turn().await.expect("turns");
        story.observe_all().await;
        let scope = Scope { identities: vec![KIM.into()], ..Scope::default() };
        let gives = plan::make(&story.store, &story.load().await, &scope).await.expect("a plan");
        assert!(gives.items.iter().any(|item| item.verb == Verb::CreateAccount), "{gives:#?}");
        let now = story.clock.now();
        let asked = apply::request(&gives, &[], "ops@example.com", now);
        story.store.request_task(&asked, now).await.expect("asks");
        let claimed =
            story.store.claim_task(&["apply"], &[], "another process", now, now + HALF_A_MINUTE).await;
        assert!(claimed.expect("claims").is_some());
        story.store.begin_apply(&gives, &[], "ops@example.com", now).await.expect("approves");
        // The lane of that plan is their own; whoever decides on the spot does not wait for it.
        let ends = offboard::plan(story.load().await, &KIM.into(), Vec::new(), None).expect("a plan");
        story.store.save_plan(&ends, now).await.expect("saves");
        story.runner().apply(&ends, &[], "dana@example.com").await.expect("applied");
        story.clock.advance_ms(60_000);
        driver.turn().await.expect("turns");
        let rows = story.store.actions(&gives.hash).await.expect("actions");
        assert!(rows.iter().all(|row| row.state == ActionState::Void && row.sent_at.is_none()), "{rows:#?}");
        assert_eq!(everything(&story, "kim"), BTreeSet::new());
    });
}
