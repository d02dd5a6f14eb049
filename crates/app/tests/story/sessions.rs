//! Stories of sessions while their account is being closed: none outlives what it was begun with.

use std::sync::{Arc, Mutex};

use leasehold_connect::simulated::state::SystemTraits;
use leasehold_connect::simulated::{FaultKind, Faults, Operation};
use leasehold_decide::plan::Scope;
use leasehold_model::account::Account;
use leasehold_model::action::ActionState;
use leasehold_model::clock::Clock as _;
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::identity::LifecycleState;
use leasehold_model::plan::{Plan, Verb};
use leasehold_reconcile::run::Runner;
use leasehold_reconcile::stages::plan;

use crate::lifecycle::{KIM, close, company, person};
use crate::seeds::tell;
use crate::world::Story;

/// Somebody who left and is logged in still, and the plan about them.
async fn leaver(seed: u64) -> (Story, Plan, Account) {
    let mut story = company(seed, "", "").await;
    let traits = SystemTraits { read_back: true, sessions: true, last_use: true, credentials: true };
    story.world.set_traits("alpha", traits).expect("traits");
    story.world.join(person(KIM, "Ops", LifecycleState::Active)).expect("joins");
    story.observe_all().await;
    close(&mut story, seed, &[KIM]).await;
    let truth = story.truth();
    let mut accounts = truth.systems[&SystemName::new("alpha").expect("a system")].accounts.values();
    let account = accounts.find(|account| account.login == "kim").expect("an account").clone();
    story.world.log_in("alpha", account.key.as_str()).expect("logs in");
    story.world.leave(KIM, story.clock.now()).expect("leaves");
    story.observe_all().await;
    let scope = Scope { identities: [IdentityKey::from(KIM)].into(), ..Scope::default() };
    let plan = plan::make(&story.store, &story.load().await, &scope).await.expect("a plan");
    for verb in [Verb::EndSessions, Verb::DisableAccount, Verb::Revoke] {
        assert!(plan.items.iter().any(|item| item.verb == verb && item.system.as_str() == "alpha"), "{verb}");
    }
    (story, plan, account)
}

/// In a company this small every leaver is many at once.
fn overrides(plan: &Plan) -> Vec<String> {
    plan.guards.iter().map(|guard| guard.name.clone()).collect()
}

#[test]
fn who_logs_in_while_the_account_cannot_be_closed_keeps_no_session() {
    tell("who_logs_in_while_the_account_cannot_be_closed_keeps_no_session", 10, |seed| async move {
        let (story, plan, account) = leaver(seed).await;
        let (world, key) = (story.world.clone(), account.key.clone());
        let watch = Arc::new(move |item: &leasehold_model::plan::PlanItem, state| {
            if item.verb == Verb::DisableAccount
                && state == ActionState::Sent
                && item.system.as_str() == "alpha"
            {
                world.set_faults(Faults::none().next(Operation::Execute, FaultKind::Refused));
                world.log_in("alpha", key.as_str()).expect("logs in again");
            }
        });
        let runner = Runner { watch, ..story.runner() };
        let rows = runner.apply(&plan, &overrides(&plan), "story").await.expect("it is applied");
        let of = |verb: Verb| {
            let mut found = rows.iter().filter(|row| row.item.system.as_str() == "alpha");
            found.find(|row| row.item.verb == verb).expect("an action")
        };
        assert_eq!(of(Verb::DisableAccount).state, ActionState::Stuck);
        assert_eq!(of(Verb::Revoke).state, ActionState::Verified);
        let sessions = of(Verb::EndSessions);
        assert_eq!((sessions.state, sessions.attempts), (ActionState::Verified, 2), "{sessions:#?}");
        assert!(sessions.sent_at >= of(Verb::Revoke).read_back_at, "ended before the rest was gone");
        assert_eq!(story.world.sessions("alpha", account.key.as_str()), []);
    });
}

#[test]
fn sessions_end_where_somebody_else_closed_the_account_first() {
    tell("sessions_end_where_somebody_else_closed_the_account_first", 10, |seed| async move {
        let (story, plan, account) = leaver(seed).await;
        // The process died when nothing was sent yet.
        story
            .store
            .begin_apply(&plan, &overrides(&plan), "story", story.clock.now())
            .await
            .expect("it is begun");
        let closed = Account { enabled: false, ..account.clone() };
        story.world.create_account("alpha", closed).expect("it is closed by hand");
        story.observe_all().await;
        story.runner().resume().await.expect("it is taken up");
        assert_eq!(story.world.sessions("alpha", account.key.as_str()), []);
    });
}

#[test]
fn the_switch_comes_last_unless_taking_away_lasts() {
    for slow in [false, true] {
        tell("the_switch_comes_last_unless_taking_away_lasts", 6, |seed| async move {
            let (story, plan, _) = leaver(seed).await;
            let (clock, sent) = (story.clock.clone(), Arc::new(Mutex::new(Vec::new())));
            let noted = sent.clone();
            let watch = Arc::new(move |item: &leasehold_model::plan::PlanItem, state| {
                if state == ActionState::Sent && item.system.as_str() == "alpha" {
                    noted.lock().expect("a list").push(item.verb);
                    if slow {
                        clock.advance_ms(3_000);
                    }
                }
            });
            let runner = Runner { watch, ..story.runner() };
            let rows = runner.apply(&plan, &overrides(&plan), "story").await.expect("it is applied");
            assert!(rows.iter().all(|row| row.state == ActionState::Verified), "{rows:#?}");
            let sent = sent.lock().expect("a list").clone();
            let switch = sent.iter().position(|verb| *verb == Verb::DisableAccount);
            // Which one is next is decided when the intent of the one before lasts.
            let expected = if slow { 1 } else { sent.len() - 1 };
            assert_eq!((sent[0], switch), (Verb::EndSessions, Some(expected)), "{sent:?}");
        });
    }
}
