//! The loop that runs by itself, over simulated systems and a clock that the test holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};

use leasehold_connect::simulated::state::WorldState;
use leasehold_connect::simulated::{FaultKind, Faults};
use leasehold_decide::plan::CLOSED_BY_PLANS;
use leasehold_model::action::ActionState;
use leasehold_model::clock::Clock as _;
use leasehold_model::decision::{DriftItem, DriftKind};
use leasehold_model::id::SystemName;
use leasehold_model::plan::Verb;
use leasehold_reconcile::driver::{Driver, DriverSettings};
use leasehold_reconcile::notice::NoticeKind;
use leasehold_reconcile::pace::Patience;
use leasehold_reconcile::stages::enforce::Effect;
use leasehold_reconcile::system::{Enforce, Enforcing};
use leasehold_reconcile::tasks::enforce::ACTOR;
use leasehold_store::{ReadingOutcome, ScheduleRow, TaskFilter, TaskRow, TaskState};

use crate::invariants;
use crate::scene::Scene;
use crate::seeds::tell;
use crate::world::Story;

const MINUTE_MS: u64 = 60_000;

/// The interval of every system of a story, with the most that it may be spread by.
const NEXT_READING_MS: u64 = 17 * MINUTE_MS;

fn set(story: &mut Story, enforce: impl Fn(&str) -> Enforcing) {
    for (name, system) in &mut story.systems {
        system.enforce = enforce(name.as_str());
    }
}

fn name(system: &str) -> SystemName {
    SystemName::new(system).expect("a system")
}

async fn begin(driver: &Driver) -> usize {
    driver.start().await.expect("starts");
    driver.turn().await.expect("turns")
}

async fn later(story: &Story, driver: &Driver, by_ms: u64) -> usize {
    story.clock.advance_ms(by_ms);
    driver.turn().await.expect("turns")
}

async fn schedule(story: &Story, system: &str) -> ScheduleRow {
    let schedules = story.store.schedules().await.expect("schedules");
    schedules.into_iter().find(|row| row.system.as_str() == system).expect("a schedule")
}

async fn tasks(story: &Story, kind: &str) -> Vec<TaskRow> {
    let filter = TaskFilter { kind: Some(kind.to_owned()), ..TaskFilter::default() };
    story.store.tasks(&filter, 1_000).await.expect("tasks")
}

/// What is there, as pairs, and who may log in.
fn held(truth: &WorldState) -> BTreeSet<(String, String, String)> {
    let mut held = BTreeSet::new();
    for (system, state) in &truth.systems {
        for (account, grants) in &state.grants {
            held.extend(
                grants.keys().map(|name| (system.to_string(), account.to_string(), name.to_string())),
            );
        }
        for account in state.accounts.values().filter(|account| account.enabled) {
            held.insert((system.to_string(), account.key.to_string(), "may log in".to_owned()));
        }
    }
    held
}

/// The difference that an item of drift is about, in the same form.
fn about(item: &DriftItem) -> Option<(String, String, String)> {
    let what = item.entitlement.as_ref().map_or_else(|| "may log in".to_owned(), ToString::to_string);
    Some((item.system.to_string(), item.account.as_ref()?.to_string(), what))
}

/// A story that has nothing to tell in some companies has something to tell in most.
fn is_told(told: &AtomicU32) {
    let told = told.load(Ordering::Relaxed);
    assert!(told > 3 || std::env::var_os("LEASEHOLD_STORY_SEEDS").is_some(), "told {told} times only");
}

#[test]
fn systems_are_read_when_they_are_due_and_feeds_first() {
    tell("systems_are_read_when_they_are_due_and_feeds_first", 10, |seed| async move {
        let mut story = Story::begin(Scene::drawn(seed)).await;
        set(&mut story, |_| Enforce::Propose.into());
        let driver = story.driver();
        let mut notices = driver.live().subscribe();
        let systems = story.systems.len();
        assert_eq!(begin(&driver).await, systems);
        let epoch = async |system: &str| {
            let epochs = story.store.epochs(&name(system), 10).await.expect("epochs");
            epochs.into_iter().map(|epoch| epoch.id).collect::<Vec<_>>()
        };
        let feed = epoch("hr").await;
        for system in ["alpha", "beta"] {
            assert!(epoch(system).await[0] > feed[0], "the feed is read first");
        }
        let view = driver.live().view().expect("a state");
        assert_eq!(view.systems().len(), systems);
        assert_eq!(driver.turn().await.expect("turns"), 0, "nothing is due");

        // A state in which a system was only read again is the same state, shown as fresher.
        let row = schedule(&story, "alpha").await;
        let wait_ms = row.due_at.as_millisecond() - row.ended_at.expect("ended").as_millisecond();
        assert!((15 * 60_000..=16 * 60_000 + 30_000).contains(&wait_ms), "{wait_ms}");
        assert_eq!(row.outcome, Some(ReadingOutcome::Complete));
        assert_eq!(later(&story, &driver, 14 * MINUTE_MS).await, 0, "nothing is due yet");
        assert_eq!(later(&story, &driver, 3 * MINUTE_MS).await, systems);
        let fresher = driver.live().view().expect("a state");
        assert_eq!(epoch("hr").await.len(), 2);
        for (then, now) in view.systems().iter().zip(fresher.systems()) {
            assert_eq!(then.generation, now.generation);
            assert!(now.latest.as_ref().map(|epoch| epoch.id) > then.latest.as_ref().map(|epoch| epoch.id));
        }
        assert_eq!(fresher.drift(), view.drift());
        let mut kinds = BTreeSet::new();
        while let Ok(notice) = notices.try_recv() {
            kinds.insert(notice.kind.as_str());
        }
        for kind in [NoticeKind::SyncStarted, NoticeKind::SyncFinished, NoticeKind::ViewChanged] {
            assert!(kinds.contains(kind.as_str()), "{kinds:?}");
        }

        // A person who asks need not wait, and the next one is due from then on.
        let asked =
            driver.handle().request_sync(&name("alpha"), false, "ops@example.com").await.expect("asks");
        assert_eq!(later(&story, &driver, MINUTE_MS).await, 1);
        let task = story.store.task(asked.id()).await.expect("reads").expect("a task");
        assert_eq!((task.state, task.requested_by.as_str()), (TaskState::Done, "ops@example.com"));
        assert_eq!(schedule(&story, "alpha").await.ended_at, task.ended_at);
        assert!(driver.handle().request_sync(&name("gamma"), false, "ops@example.com").await.is_err());
    });
}

#[test]
fn a_system_that_cannot_be_read_is_tried_soon_and_then_ever_later() {
    tell("a_system_that_cannot_be_read_is_tried_soon_and_then_ever_later", 5, |seed| async move {
        let mut story = Story::begin(Scene::drawn(seed)).await;
        set(&mut story, |_| Enforce::Propose.into());
        let unreachable = Faults::seeded(seed, 1_000, u64::MAX).only(&[FaultKind::Unreachable]);
        story.world.set_faults(unreachable);
        let driver = story.driver();
        assert_eq!(begin(&driver).await, story.systems.len());
        let mut waits_s = Vec::new();
        for failures in 1..=9 {
            let row = schedule(&story, "alpha").await;
            assert_eq!((row.failures, row.outcome), (failures, Some(ReadingOutcome::Failed)));
            assert!(row.detail.expect("why").contains("connection refused"));
            waits_s.push(row.due_at.duration_since(row.ended_at.expect("ended")).as_secs());
            story
                .clock
                .advance_ms(u64::try_from(waits_s[waits_s.len() - 1] * 1_000 + 1_000).expect("a wait"));
            driver.turn().await.expect("turns");
        }
        for (wait_s, least_s) in waits_s.iter().zip([30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]) {
            assert!((least_s..=least_s + least_s / 10).contains(wait_s), "{waits_s:?}");
        }
        assert!(driver.live().view().is_some_and(|view| view.drift().is_empty()), "nothing was concluded");
        story.calm();
        later(&story, &driver, 70 * MINUTE_MS).await;
        let row = schedule(&story, "alpha").await;
        assert_eq!((row.failures, row.outcome), (0, Some(ReadingOutcome::Complete)));
    });
}

/// Somebody is asked, somebody is not, and somebody is left alone: by kind of drift and by system.
#[test]
fn policy_closes_exactly_the_kinds_and_systems_that_it_may() {
    tell("policy_closes_exactly_the_kinds_and_systems_that_it_may", 6, |seed| async move {
        let (scene, _) = Scene::company(seed, 120);
        let mut story = Story::begin(scene).await;
        set(&mut story, |_| Enforce::Propose.into());
        let first = story.driver();
        begin(&first).await;
        assert!(tasks(&story, "enforce").await.is_empty(), "nothing may be closed, so nothing is asked for");
        let before = held(&story.truth());
        let drift = first.live().view().expect("a state").drift().to_vec();

        let leavers =
            Enforcing { default: Enforce::Propose, by_kind: [(DriftKind::Leaver, Enforce::Enforce)].into() };
        let all_but_missing =
            Enforcing { default: Enforce::Enforce, by_kind: [(DriftKind::Missing, Enforce::Report)].into() };
        set(&mut story, |system| match system {
            "directory" => leavers.clone(),
            "crm" => all_but_missing.clone(),
            "vpn" => Enforce::Report.into(),
            _ => Enforce::Propose.into(),
        });
        let second = story.driver();
        begin(&second).await;
        let after = held(&story.truth());
        let may = |item: &&DriftItem| match item.system.as_str() {
            "directory" => item.kind == DriftKind::Leaver,
            "crm" => CLOSED_BY_PLANS.contains(&item.kind) && item.kind != DriftKind::Missing,
            _ => false,
        };
        let allowed: BTreeSet<_> = drift.iter().filter(may).filter_map(about).collect();
        let changed: BTreeSet<_> = before.symmetric_difference(&after).cloned().collect();
        assert!(!changed.is_empty(), "something was to be closed");
        // What somebody keeps by right, and held by a path that ended only, was granted directly first.
        let added: BTreeSet<_> = after.difference(&before).cloned().collect();
        for change in changed.difference(&added) {
            assert!(allowed.contains(change), "closed without leave: {change:?}");
        }
        for change in &added {
            assert!(matches!(change.0.as_str(), "directory" | "crm"), "granted without leave: {change:?}");
        }
        // And it was done by the policy, in plans of one system each that no guard held, to the end.
        let rows = story.store.all_actions().await.expect("actions");
        for row in &rows {
            assert!(matches!(row.state, ActionState::Verified | ActionState::Void), "{row:?}");
        }
        let done = tasks(&story, "enforce").await;
        assert!(
            done.iter().all(|task| task.state == TaskState::Done && task.requested_by == ACTOR),
            "{done:?}"
        );
        // What was allowed and is still there, a plan leaves alone for a reason that it names.
        let view = second.live().view().expect("a state");
        let plan = view.plan(&Default::default());
        let left: BTreeSet<_> =
            plan.left_alone.iter().map(|left| (left.system.to_string(), left.account.clone())).collect();
        for item in view.drift().iter().filter(may) {
            assert!(left.contains(&(item.system.to_string(), item.login.clone())), "not closed: {item:?}");
        }
        // Read again, it is all as it was: nothing is done twice.
        let tasks_before = tasks(&story, "enforce").await.len();
        later(&story, &second, NEXT_READING_MS).await;
        assert_eq!(held(&story.truth()), after);
        assert_eq!(tasks(&story, "enforce").await.len(), tasks_before);
    });
}

/// Half a company that is gone is a broken feed until a person says so.
#[test]
fn a_guard_holds_what_policy_would_close_until_a_person_overrides_it() {
    tell("a_guard_holds_what_policy_would_close_until_a_person_overrides_it", 3, |seed| async move {
        let (scene, _) = Scene::company(seed, 120);
        let mut story = Story::begin(scene).await;
        set(&mut story, |system| match system {
            "directory" => Enforce::Enforce.into(),
            _ => Enforce::Propose.into(),
        });
        let now = story.clock.now();
        let people: Vec<String> = story.truth().people.keys().map(ToString::to_string).collect();
        for person in people.iter().filter(|person| person.contains('@')).step_by(2) {
            story.world.leave(person, now).expect("left");
        }
        let before = held(&story.truth());
        let driver = story.driver();
        begin(&driver).await;
        assert_eq!(held(&story.truth()), before, "the guard holds all of it");
        assert!(story.store.all_actions().await.expect("actions").is_empty());
        let plan = story.store.latest_plan().await.expect("reads").expect("a plan that waits");
        assert!(!plan.guards.is_empty() && plan.items.iter().all(|item| item.system.as_str() == "directory"));
        // Each system that is read for the first time moves the state, and so makes another plan; later nothing moves.
        let proposed = tasks(&story, "enforce").await.len();
        later(&story, &driver, NEXT_READING_MS).await;
        assert_eq!(tasks(&story, "enforce").await.len(), proposed, "one state is proposed for once");

        let handle = driver.handle();
        let unknown = ["no such guard".to_owned()];
        assert!(handle.request_apply(&plan.hash, &unknown, "ops@example.com").await.is_err());
        let guards: Vec<String> = plan.guards.iter().map(|guard| guard.name.clone()).collect();
        let asked = handle.request_apply(&plan.hash, &guards, "ops@example.com").await.expect("asks");
        driver.turn().await.expect("turns");
        let task = story.store.task(asked.id()).await.expect("reads").expect("a task");
        assert_eq!(task.state, TaskState::Done, "{task:?}");
        let rows = story.store.actions(&plan.hash).await.expect("actions");
        assert_eq!(rows.len(), plan.items.len());
        assert!(rows.iter().all(|row| row.state == ActionState::Verified), "{rows:?}");
        assert_ne!(held(&story.truth()), before);
    });
}

#[test]
fn what_is_stuck_waits_for_a_person_and_is_tried_once_for_each_word() {
    let told = &AtomicU32::new(0);
    tell("what_is_stuck_waits_for_a_person_and_is_tried_once_for_each_word", 8, |seed| async move {
        let story = Story::begin(Scene::drawn(seed)).await;
        story.world.set_faults(Faults::seeded(seed, 1_000, u64::MAX).only(&[FaultKind::Refused]));
        let driver = story.driver();
        begin(&driver).await;
        let stuck = story.store.stuck_actions().await.expect("actions");
        if stuck.is_empty() {
            // In some companies nothing is to be closed, or a guard holds it.
            return;
        }
        told.fetch_add(1, Ordering::Relaxed);
        let asked = story.calls.lock().expect("calls").asked.clone();
        for _ in 0..3 {
            later(&story, &driver, NEXT_READING_MS).await;
        }
        assert_eq!(story.calls.lock().expect("calls").asked, asked, "nobody said a word");

        // The cause is mended; each plan is taken up again by a person's word.
        story.calm();
        let plans: BTreeSet<_> = stuck.iter().map(|row| row.plan.clone()).collect();
        for plan in &plans {
            driver.handle().request_apply(plan, &[], "ops@example.com").await.expect("asks");
        }
        driver.turn().await.expect("turns");
        for row in stuck {
            let rows = story.store.actions(&row.plan).await.expect("actions");
            let now = rows.into_iter().find(|now| now.id == row.id).expect("the action");
            assert!(matches!(now.state, ActionState::Verified | ActionState::Void), "{now:?}");
        }
    });
    is_told(told);
}

/// How a story of the loop ended.
struct Ended {
    truth: WorldState,
    asked: BTreeMap<Effect, u32>,
    steps: u64,
}

#[test]
fn the_work_of_a_process_that_died_is_taken_over_and_ends_alike() {
    tell("the_work_of_a_process_that_died_is_taken_over_and_ends_alike", 5, |seed| async move {
        let whole = until_the_end(seed, None).await;
        for step in 0..whole.steps {
            let crashed = until_the_end(seed, Some(step)).await;
            let place = format!("seed {seed}, dead after step {step} of {}", whole.steps);
            assert_eq!(held(&crashed.truth), held(&whole.truth), "another end: {place}");
            for (change, asked) in &crashed.asked {
                let once = whole.asked.get(change).copied().unwrap_or(0);
                assert!(once > 0, "asked for what was never wanted: {change:?}, {place}");
                assert!(*asked <= once + 1, "asked for too often: {change:?}, {place}");
            }
        }
    });
}

async fn until_the_end(seed: u64, dies_at: Option<u64>) -> Ended {
    let mut story = Story::begin(Scene::tiny(seed)).await;
    if let Some(step) = dies_at {
        story.life.dies_at(step);
    }
    let life = story.life.clone();
    let first = story.driver();
    let lived = life.lives(begin(&first)).await;
    assert_eq!(lived.is_none(), dies_at.is_some(), "it dies once, where it was told to");
    drop(first);
    let steps = story.life.passed();
    if lived.is_none() {
        story.restart().await;
    }
    let second = story.driver();
    begin(&second).await;
    // What the first one had claimed passes to the second, and no sooner.
    later(&story, &second, MINUTE_MS + 1_000).await;
    for _ in 0..2 {
        later(&story, &second, NEXT_READING_MS).await;
    }
    for state in [TaskState::Running, TaskState::Queued] {
        let filter = TaskFilter { state: Some(state), ..TaskFilter::default() };
        let open = story.store.tasks(&filter, 10).await.expect("tasks");
        assert!(open.is_empty(), "{open:?}");
    }
    assert!(story.store.unfinished_actions().await.expect("actions").is_empty());
    invariants::ledger_is_a_chain(&story).await;
    let asked = story.calls.lock().expect("calls").asked.clone();
    Ended { truth: story.truth(), asked, steps }
}

/// Two processes of one store, turn by turn: each piece of work is done by one of them.
#[test]
fn two_processes_share_the_work_and_do_none_of_it_twice() {
    tell("two_processes_share_the_work_and_do_none_of_it_twice", 6, |seed| async move {
        let story = Story::begin(Scene::drawn(seed)).await;
        let (first, second) = (story.driver(), story.driver());
        first.start().await.expect("starts");
        second.start().await.expect("starts");
        for _ in 0..3 {
            let (one, other) = tokio::join!(first.turn(), second.turn());
            one.expect("turns");
            other.expect("turns");
        }
        for system in story.systems.keys() {
            assert_eq!(story.store.epochs(system, 10).await.expect("epochs").len(), 1, "{system}");
        }
        for row in story.store.all_actions().await.expect("actions") {
            assert!(row.state.is_final() || row.state == ActionState::Stuck, "{row:?}");
        }
        for (change, asked) in &story.calls.lock().expect("calls").asked {
            assert_eq!(*asked, 1, "{change:?}");
        }
    });
}

/// A change that fails as a whole says why, and the schedule is untouched by it.
#[test]
fn a_plan_of_another_state_fails_by_name() {
    tell("a_plan_of_another_state_fails_by_name", 4, |seed| async move {
        let mut story = Story::begin(Scene::drawn(seed)).await;
        set(&mut story, |_| Enforce::Propose.into());
        let driver = story.driver();
        begin(&driver).await;
        let plan = driver.handle().make_plan(Default::default()).await.expect("a plan");
        let now = story.clock.now();
        let person = story.truth().people.keys().next().expect("somebody").to_string();
        story.world.leave(&person, now).expect("left");
        later(&story, &driver, NEXT_READING_MS).await;
        let asked = driver.handle().request_apply(&plan.hash, &[], "ops@example.com").await.expect("asks");
        driver.turn().await.expect("turns");
        let task = story.store.task(asked.id()).await.expect("reads").expect("a task");
        assert_eq!(task.state, TaskState::Failed);
        assert!(task.error.expect("why").contains("another state"));
        assert!(story.store.all_actions().await.expect("actions").is_empty());
    });
}

/// Nothing is read and nobody does anything: a reason ends at its instant all the same, and what it held goes.
#[test]
fn time_alone_ends_a_reason_and_policy_closes_what_it_held() {
    let told = &AtomicU32::new(0);
    tell("time_alone_ends_a_reason_and_policy_closes_what_it_held", 12, |seed| async move {
        let mut story = Story::begin(Scene::drawn(seed)).await;
        set(&mut story, |_| Enforce::Propose.into());
        begin(&story.driver()).await;
        let view = story.driver().live().refresh().await.expect("a state");
        let people = story.truth().people;
        let is_live = |key: &leasehold_model::id::IdentityKey| {
            people.get(key).is_some_and(|identity| identity.may_hold_access(story.clock.now()))
        };
        // What a plan would take from somebody who is there, with nothing that a guard or a rule holds.
        let plan = view.plan(&Default::default());
        let taken = plan.items.iter().find(|item| {
            item.verb == Verb::Revoke
                && plan.guard_of(&item.id).is_none()
                && item.identity.as_ref().is_some_and(is_live)
        });
        let Some(item) = taken else { return };
        told.fetch_add(1, Ordering::Relaxed);
        let (identity, entitlement) = (item.identity.as_ref().expect("somebody"), item.entitlement.as_ref());
        let address = format!("{}:{}", item.system, entitlement.expect("an entitlement"));
        let owner = people.keys().find(|key| *key != identity && is_live(key)).expect("an owner");
        let end = story.clock.now() + jiff::SignedDuration::from_mins(5);
        let exception = format!(
            "[exception.for-a-while]\nidentity = \"{identity}\"\ngrants = [\"{address}\"]\nuntil = \"{end}\"\n\
             owner = \"{owner}\"\nwhy = \"a story\"\n"
        );
        let mut files = story.scene.policy.clone();
        files.insert("exceptions/for-a-while.toml".to_owned(), exception);
        story.apply_policy(files).await;
        set(&mut story, |_| Enforcing {
            default: Enforce::Propose,
            by_kind: [(DriftKind::Expired, Enforce::Enforce)].into(),
        });

        let driver = story.driver();
        begin(&driver).await;
        let of_item = |drift: &DriftItem| {
            (&drift.system, drift.account.as_ref()) == (&item.system, Some(&item.account_key))
                && drift.entitlement.as_ref() == entitlement
                && drift.kind != DriftKind::Toxic
        };
        let view = driver.live().view().expect("a state");
        let covered: Vec<_> = view.drift().iter().filter(|drift| of_item(drift)).collect();
        assert!(covered.is_empty(), "an exception covers it: {covered:?}");
        let holds = |story: &Story| {
            let entitlement = entitlement.expect("an entitlement").to_string();
            story.world.holds(item.system.as_str(), item.account_key.as_str(), &entitlement).0
        };
        assert!(holds(&story));
        assert_eq!(later(&story, &driver, 4 * MINUTE_MS).await, 0);
        assert!(holds(&story), "it has a minute left");
        assert_eq!(later(&story, &driver, 2 * MINUTE_MS).await, 1, "one task, and no reading");
        assert!(!holds(&story), "its reason has ended");
        assert_eq!(tasks(&story, "sync").await.len(), story.systems.len(), "read once, at the beginning");
    });
    is_told(told);
}

/// A process that is told to stop gives back what it could not finish, and the next one need not wait for its claim.
#[test]
fn what_is_not_finished_when_a_process_stops_is_given_back() {
    tell("what_is_not_finished_when_a_process_stops_is_given_back", 2, |seed| async move {
        let mut story = Story::begin(Scene::drawn(seed)).await;
        set(&mut story, |_| Enforce::Propose.into());
        // The feed is asked and never answers.
        story.life.dies_at(0);
        let settings = DriverSettings { stop_within_ms: 0, poll_ms: 1, ..DriverSettings::default() };
        let (store, systems, clock) = (story.store.clone(), story.systems.clone(), story.clock.clone());
        let first = Driver::new(store, systems, clock, Patience::default(), None, settings);
        let (stop, stopping) = tokio::sync::watch::channel(false);
        let running = tokio::spawn(async move { first.run(stopping).await });
        let feed = async || tasks(&story, "sync").await.into_iter().find(|task| task.subject == "hr");
        while story.life.passed() == 0 {
            tokio::task::yield_now().await;
        }
        let begun = feed().await.expect("a task");
        assert_eq!((begun.state, begun.attempts), (TaskState::Running, 1));
        stop.send_replace(true);
        running.await.expect("it stops");
        let left = feed().await.expect("a task");
        assert_eq!((left.state, left.failures, left.claimed_by), (TaskState::Queued, 0, None));

        // The next process; its clock has not moved.
        let life = story.life.clone();
        life.lives(std::future::pending::<()>()).await;
        assert_eq!(begin(&story.driver()).await, story.systems.len());
        assert_eq!(feed().await.expect("a task").state, TaskState::Done);
    });
}

/// A person says when somebody leaves: until then nothing changes, then everything of theirs ends, whatever policy allows, and
/// what was taken back is not done.
#[test]
fn somebody_is_offboarded_at_the_time_that_a_person_set() {
    tell("somebody_is_offboarded_at_the_time_that_a_person_set", 10, |seed| async move {
        let (scene, _company) = Scene::company(seed, 40);
        let mut story = Story::begin(scene).await;
        set(&mut story, |_| Enforce::Propose.into());
        let driver = story.driver();
        begin(&driver).await;
        let here = |identity: &&leasehold_model::identity::Identity| {
            identity.state == leasehold_model::identity::LifecycleState::Active
                && identity.end.is_none()
                && identity.key.as_str().contains('@')
                && !identity.attribute("title").unwrap_or_default().starts_with("Head")
        };
        let truth = story.truth();
        let mut people = truth.people.values().filter(here).map(|identity| identity.key.clone());
        let (leaves, stays) = (people.next().expect("somebody"), people.next().expect("somebody else"));
        let at = story.clock.now() + jiff::SignedDuration::from_mins(90);
        let handle = driver.handle();
        for who in [&leaves, &stays] {
            let task = handle.request_offboard(who, at, "ops@example.com").await.expect("asks");
            assert!(task.is_some());
        }
        assert_eq!(handle.request_offboard(&leaves, at, "ops@example.com").await.expect("asks"), None);
        let taken_back = story.store.rescind_departure(&stays, "ops@example.com", story.clock.now()).await;
        assert!(taken_back.expect("takes back"));
        let before = held(&story.truth());
        later(&story, &driver, 60 * MINUTE_MS).await;
        assert_eq!(held(&story.truth()), before, "they are here until then");

        for _ in 0..3 {
            later(&story, &driver, NEXT_READING_MS).await;
        }
        let tasks = tasks(&story, "offboard").await;
        let state_of = |who: &leasehold_model::id::IdentityKey| {
            tasks.iter().find(|task| task.subject == who.folded()).map(|task| task.state)
        };
        assert_eq!(state_of(&leaves), Some(TaskState::Done), "{tasks:?}");
        assert_eq!(state_of(&stays), Some(TaskState::Cancelled), "{tasks:?}");
        let loaded = story.load().await;
        let evaluation = loaded.evaluate().expect("evaluates");
        for (who, ended) in [(&leaves, true), (&stays, false)] {
            let index = evaluation.identity(who).expect("is known");
            let accounts = evaluation.graph.accounts_of(index).map(|account| evaluation.account(account));
            let accounts: Vec<_> = accounts.collect();
            assert!(!accounts.is_empty(), "{who} has accounts");
            for row in accounts {
                let system = evaluation.inputs.snapshot.system(row.system);
                let really =
                    story.world.account(system.as_str(), row.account.key.as_str()).expect("is there");
                assert_eq!(really.enabled, !ended, "{who} in {system}");
            }
        }
    });
}
