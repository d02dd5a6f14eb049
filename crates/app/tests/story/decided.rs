//! Stories of what a person decided about somebody: it is done whatever moves meanwhile.

use leasehold_model::clock::Clock as _;
use leasehold_model::identity::LifecycleState;
use leasehold_reconcile::system::Enforce;
use leasehold_reconcile::workflow::offboard;
use leasehold_store::TaskState;

use crate::scene::Scene;
use crate::seeds::tell;
use crate::world::Story;

/// Somebody approves that another one leaves, from a plan that is read at leisure. What is read of others in the meantime does not keep
/// the leaver here: the plan is made anew, and what they got meanwhile ends, too.
#[test]
fn who_was_decided_to_leave_leaves_whatever_moves_meanwhile() {
    tell("who_was_decided_to_leave_leaves_whatever_moves_meanwhile", 8, |seed| async move {
        let (scene, _company) = Scene::company(seed, 40);
        let mut story = Story::begin(scene).await;
        for system in story.systems.values_mut() {
            system.enforce = Enforce::Propose.into();
        }
        let driver = story.driver();
        driver.start().await.expect("starts");
        driver.turn().await.expect("turns");
        let truth = story.truth();
        let here = |identity: &&leasehold_model::identity::Identity| {
            identity.state == LifecycleState::Active
                && identity.end.is_none()
                && identity.key.as_str().contains('@')
                && !identity.attribute("title").unwrap_or_default().starts_with("Head")
        };
        let mut people = truth.people.values().filter(here).map(|identity| identity.key.clone());
        let (leaves, other) = (people.next().expect("somebody"), people.next().expect("somebody else"));
        let plan = offboard::plan(story.load().await, &leaves, Vec::new(), None).expect("a plan");
        story.store.save_plan(&plan, story.clock.now()).await.expect("saves");
        story.world.leave(other.as_str(), story.clock.now()).expect("leaves, too");
        story.observe_all().await;
        let asked = driver.handle().request_apply(&plan.hash, &[], "ops@example.com").await.expect("asks");
        driver.turn().await.expect("turns");
        let task = story.store.task(asked.id()).await.expect("reads").expect("a task");
        assert_eq!(task.state, TaskState::Done, "{:?}", task.error);
        let carried_out = task.result.as_ref().and_then(|result| result["plan"].as_str()).expect("a plan");
        let done = story.store.plan(carried_out).await.expect("reads").expect("is kept");
        assert!(
            done.items.iter().all(|item| item.identity.as_ref() != Some(&other)),
            "nobody decided about {other}"
        );
        assert_ne!(carried_out, plan.hash.as_str(), "it was made anew");
        let loaded = story.load().await;
        let evaluation = loaded.evaluate().expect("evaluates");
        let index = evaluation.identity(&leaves).expect("is known");
        let accounts: Vec<_> =
            evaluation.graph.accounts_of(index).map(|account| evaluation.account(account)).collect();
        assert!(!accounts.is_empty(), "{leaves} has accounts");
        for row in accounts {
            let system = evaluation.inputs.snapshot.system(row.system);
            let really = story.world.account(system.as_str(), row.account.key.as_str()).expect("is there");
            assert!(!really.enabled, "{leaves} in {system}");
        }
    });
}
