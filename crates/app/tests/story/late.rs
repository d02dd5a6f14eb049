//! The story of a run whose time is over: what is open then stays open, and a later run brings it to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use leasehold_decide::plan::Scope;
use leasehold_model::action::ActionState;
use leasehold_model::id::IdentityKey;
use leasehold_model::identity::LifecycleState;
use leasehold_reconcile::pace::{Deadline, Patience, WhenLate};
use leasehold_reconcile::run::Runner;
use leasehold_reconcile::stages::plan;
use leasehold_reconcile::system::System;

use crate::lifecycle::{KIM, close, company, person};
use crate::seeds::tell;

/// Longer than a run has in the end.
const LATENCY: Duration = Duration::from_secs(3);

#[test]
fn a_run_whose_time_is_over_leaves_the_rest_to_a_later_one() {
    tell("a_run_whose_time_is_over_leaves_the_rest_to_a_later_one", 1, |seed| async move {
        let mut story = company(seed, "", "").await;
        story.world.join(person(KIM, "Ops", LifecycleState::Active)).expect("joins");
        story.observe_all().await;
        close(&mut story, seed, &[KIM]).await;
        story.calm();
        story.world.leave(KIM, leasehold_model::clock::Clock::now(&*story.clock)).expect("leaves");
        story.observe_all().await;
        let scope = Scope { identities: [IdentityKey::from(KIM)].into(), ..Scope::default() };
        let plan = plan::make(&story.store, &story.load().await, &scope).await.expect("a plan");
        let overrides: Vec<String> = plan.guards.iter().map(|guard| guard.name.clone()).collect();

        let mut systems = story.systems.clone();
        let (slow, others): (Vec<_>, Vec<_>) =
            plan.items.iter().map(|item| &item.system).partition(|system| system.as_str() == "alpha");
        assert!(slow.len() > 1 && !others.is_empty(), "{:#?}", plan.items);
        for (name, system) in &mut systems {
            if name.as_str() == "alpha" {
                let connector = story.world.connector("alpha").expect("a connector").with_latency(LATENCY);
                *system = System { connector: Arc::new(connector), ..system.clone() };
            }
        }
        let (then, last_call) = (WhenLate::GoOnLater, 10 * LATENCY);
        let deadline = Deadline { until: Instant::now(), then, last_call, is_urgent: false };
        let patience = Patience { deadline: Some(deadline), ..Patience::default() };
        let runner = Runner { systems, patience, ..story.runner() };
        let began = Instant::now();
        let rows = runner.apply(&plan, &overrides, "story").await.expect("it is applied");
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        for row in &rows {
            let is_slow = row.item.system.as_str() == "alpha";
            assert!(is_slow || row.state == ActionState::Verified, "{row:#?}");
            assert_ne!(row.state, ActionState::Stuck, "{row:#?}");
        }
        let open = rows.iter().filter(|row| !row.state.is_final());
        assert!(open.count() > 0, "a run that is late does no more: {rows:#?}");

        story.runner().resume().await.expect("it is taken up");
        let rows = story.store.actions(&plan.hash).await.expect("actions");
        assert!(rows.iter().all(|row| row.state == ActionState::Verified), "{rows:#?}");
    });
}
