//! Stories of keys: they end with whoever holds them, come back with whoever comes back, and are asked about where they only
//! got old.

use jiff::{SignedDuration, Timestamp};
use leasehold_connect::simulated::{FaultKind, Faults};
use leasehold_model::account::Account;
use leasehold_model::action::ActionState;
use leasehold_model::clock::Clock as _;
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::decision::DriftKind;
use leasehold_model::id::{CredentialKey, SystemName};
use leasehold_model::identity::LifecycleState;
use leasehold_model::plan::{Plan, Verb};
use leasehold_reconcile::pace::SharedPace;
use leasehold_reconcile::workflow::credential_link::{self, LASTS_DEFAULT, Refusal, Wanted};
use leasehold_reconcile::workflow::offboard;
use leasehold_reconcile::workflow::steward::{self, Word};

use crate::invariants;
use crate::scene::{Scene, identity};
use crate::seeds::tell;
use crate::world::Story;

const HOLDER: &str = "kim@example.com";

/// Somebody with an account in `alpha` and three keys there: one works, one is stopped, one has ended by itself.
async fn with_keys(seed: u64, state: LifecycleState) -> Story {
    let story = Story::begin(Scene::drawn(seed)).await;
    let mut kim = identity(HOLDER, "Ops");
    kim.state = state;
    story.world.join(kim).expect("joins");
    story.world.create_account("alpha", Account::new("uid-kim", "kim")).expect("an account");
    for name in ["works", "stopped", "ended"] {
        let mut key = Credential::new(name, "uid-kim", CredentialKind::AccessKey, name);
        key.active = name != "stopped";
        key.expires_at = (name == "ended").then(|| "2001-01-01T00:00:00Z".parse().expect("an instant"));
        story.world.create_credential("alpha", key).expect("a key");
    }
    story.observe_all().await;
    story
}

fn key(story: &Story, name: &str) -> Option<Credential> {
    story.world.credential("alpha", &CredentialKey::from(name))
}

/// Field 9: keys stay valid when their holder goes. Through faults at every step none is called gone that works.
#[test]
fn the_keys_of_a_leaver_end() {
    tell("the_keys_of_a_leaver_end", 120, |seed| async move {
        let mut story = with_keys(seed, LifecycleState::Left).await;
        let (drift, plan) = story.plan().await;
        invariants::plan_explains_drift(&story, &drift, &plan);
        let ends: Vec<_> = plan
            .items
            .iter()
            .filter(|item| item.account == "kim" && item.verb == Verb::RevokeCredential)
            .filter_map(|item| item.credential.as_ref().map(|credential| credential.key.0.as_str()))
            .collect();
        assert_eq!(ends, ["works"], "what lets nobody in is no difference");
        story.world.set_faults(Faults::seeded(seed, 250, 400));
        let overrides: Vec<String> = plan.guards.iter().map(|guard| guard.name.clone()).collect();
        let rows = story.apply(&plan, &overrides).await;
        invariants::actions_are_settled(&story, &plan, &overrides, &rows);
        let row = rows
            .iter()
            .find(|row| row.item.account == "kim" && row.item.verb == Verb::RevokeCredential)
            .expect("was planned");
        if row.state != ActionState::Verified {
            assert!(matches!(row.state, ActionState::Stuck | ActionState::Void), "{row:?}");
        }
        // What went wrong is done again when the target is well.
        story.calm();
        for _ in 0..3 {
            story.observe_all().await;
            let (_, plan) = story.plan().await;
            let overrides: Vec<String> = plan.guards.iter().map(|guard| guard.name.clone()).collect();
            story.apply(&plan, &overrides).await;
        }
        assert_eq!(key(&story, "works"), None);
        assert!(key(&story, "stopped").is_some() && key(&story, "ended").is_some(), "nobody asked for these");
    });
}

/// What a leaver had running by itself is stopped, waits for whoever needs it where everybody sees it, and ends after the time for
/// which everything that is stopped is kept, or by a person's word.
#[test]
fn the_job_of_a_leaver_is_stopped_and_ends_later() {
    tell("the_job_of_a_leaver_is_stopped_and_ends_later", 60, |seed| async move {
        let mut story = with_keys(seed, LifecycleState::Left).await;
        let job = Credential::new("job", "uid-kim", CredentialKind::ScheduledJob, "nightly report");
        story.world.create_credential("alpha", job).expect("a job");
        story.observe_all().await;
        let about_job = |plan: &Plan| {
            let job = |item: &&leasehold_model::plan::PlanItem| {
                item.credential.as_ref().is_some_and(|credential| credential.key.0 == "job")
            };
            plan.items.iter().filter(job).map(|item| item.verb).collect::<Vec<_>>()
        };
        let (_, plan) = story.plan().await;
        assert_eq!(about_job(&plan), [Verb::DisableCredential]);
        story.apply(&plan, &overrides_of(&plan)).await;
        assert!(key(&story, "job").is_some_and(|job| !job.active), "others may need what it does");

        // It is told of, and nothing is done about it.
        story.observe_all().await;
        let (drift, plan) = story.plan().await;
        invariants::plan_explains_drift(&story, &drift, &plan);
        let told: Vec<_> = drift
            .iter()
            .filter(|item| item.credential.as_ref().is_some_and(|credential| credential.key.0 == "job"))
            .collect();
        assert_eq!(told.len(), 1, "{drift:#?}");
        assert_eq!(told[0].kind, DriftKind::Ownerless);
        assert!(
            ["leasehold retire kim@example.com --end", "leasehold successor kim@example.com PERSON"]
                .iter()
                .all(|way| told[0].because[0].to_string().contains(way)),
            "{told:?}"
        );
        assert_eq!(about_job(&plan), []);
        let say = async |story: &Story, word: &Word| {
            let (loaded, now) = (story.load().await, story.clock.now());
            steward::say(&story.store, &loaded, &HOLDER.into(), word, "story", now).await
        };
        let refused = say(&story, &Word::BringBack).await;
        assert!(matches!(refused, Err(steward::Refusal::HolderLeft(_))), "{refused:?}");

        // A person says so, or the time is over.
        match seed % 2 {
            0 => _ = say(&story, &Word::End).await.expect("ends"),
            _ => story.clock.advance_ms(15 * 86_400_000),
        }
        story.observe_all().await;
        let (drift, plan) = story.plan().await;
        invariants::plan_explains_drift(&story, &drift, &plan);
        assert_eq!(about_job(&plan), [Verb::RevokeCredential]);
        story.apply(&plan, &overrides_of(&plan)).await;
        assert_eq!(key(&story, "job"), None);
    });
}

/// What a leaver had running by itself runs as whoever takes it over, through faults at every step; and only as an account of
/// theirs that nobody had to guess.
#[test]
fn the_job_of_a_leaver_is_handed_over() {
    tell("the_job_of_a_leaver_is_handed_over", 90, |seed| async move {
        const TAKER: &str = "dana@example.com";
        let mut story = with_keys(seed, LifecycleState::Left).await;
        story.world.join(identity(TAKER, "Ops")).expect("joins");
        let job = Credential::new("job", "uid-kim", CredentialKind::ScheduledJob, "nightly report");
        story.world.create_credential("alpha", job).expect("a job");
        story.observe_all().await;
        let (_, plan) = story.plan().await;
        story.apply(&plan, &overrides_of(&plan)).await;
        story.observe_all().await;
        let say = async |story: &Story, word: &Word| {
            let (loaded, now) = (story.load().await, story.clock.now());
            steward::say(&story.store, &loaded, &HOLDER.into(), word, "story", now).await
        };
        let leaver = say(&story, &Word::TakeOver(HOLDER.into())).await;
        assert!(matches!(leaver, Err(steward::Refusal::Successor(_))), "{leaver:?}");
        say(&story, &Word::TakeOver(TAKER.into())).await.expect("takes it over");

        // Nobody to run as, and then too many.
        let handed_over = |plan: &Plan| {
            let items = plan.items.iter().filter(|item| item.verb == Verb::HandOverCredential);
            items.map(|item| item.to.as_ref().expect("to somebody").login.clone()).collect::<Vec<_>>()
        };
        let left_alone = |plan: &Plan, why: &str| {
            let is_it = |left: &&leasehold_model::plan::LeftAlone| left.why.contains(why);
            assert!(plan.left_alone.iter().any(|left| is_it(&left)), "{why}: {:#?}", plan.left_alone);
            assert!(handed_over(plan).is_empty());
        };
        let (drift, plan) = story.plan().await;
        invariants::plan_explains_drift(&story, &drift, &plan);
        left_alone(&plan, "has no open account in alpha");
        let mut closed = Account::new("uid-dana-old", "dana.old");
        closed.enabled = false;
        story.world.create_account("alpha", Account::new("uid-dana", "dana")).expect("an account");
        story.world.create_account("alpha", closed).expect("an account");
        if seed % 3 == 0 {
            story.world.create_account("alpha", Account::new("uid-dana2", "dana.admin")).expect("an account");
            story.observe_all().await;
            let (_, plan) = story.plan().await;
            let has_several = plan.left_alone.iter().any(|left| left.why.contains("is not guessed"));
            // Where the second login is nobody's, one is left.
            assert_eq!(has_several, handed_over(&plan).is_empty(), "{:#?}", plan.left_alone);
            if has_several {
                return;
            }
        }
        story.observe_all().await;
        let (drift, plan) = story.plan().await;
        invariants::plan_explains_drift(&story, &drift, &plan);
        assert_eq!(handed_over(&plan), ["dana"]);

        // A target that undoes it later has a job that somebody else stopped.
        let kinds = FaultKind::ALL.into_iter().filter(|kind| !matches!(kind, FaultKind::Resurrected { .. }));
        story.world.set_faults(Faults::seeded(seed, 250, 400).only(&kinds.collect::<Vec<_>>()));
        let rows = story.apply(&plan, &overrides_of(&plan)).await;
        invariants::actions_are_settled(&story, &plan, &overrides_of(&plan), &rows);
        story.calm();
        for _ in 0..3 {
            story.observe_all().await;
            let (_, plan) = story.plan().await;
            story.apply(&plan, &overrides_of(&plan)).await;
        }
        let job = key(&story, "job").expect("it is there");
        assert_eq!((job.account.as_str(), job.active), ("uid-dana", true));
        let (drift, _) = story.plan().await;
        let is_job = |item: &&leasehold_model::decision::DriftItem| {
            item.credential.as_ref().is_some_and(|credential| credential.key.0 == "job")
        };
        assert_eq!(drift.iter().find(is_job), None);

        // It ends with whoever has it now.
        story.world.leave(TAKER, story.clock.now()).expect("leaves");
        story.observe_all().await;
        let (_, plan) = story.plan().await;
        story.apply(&plan, &overrides_of(&plan)).await;
        assert!(key(&story, "job").is_some_and(|job| !job.active && job.account.as_str() == "uid-dana"));
    });
}

fn overrides_of(plan: &Plan) -> Vec<String> {
    plan.guards.iter().map(|guard| guard.name.clone()).collect()
}

/// A lying target: the key works on, and nobody says that it is gone.
#[test]
fn a_key_that_still_works_is_never_called_gone() {
    tell("a_key_that_still_works_is_never_called_gone", 60, |seed| async move {
        let mut story = with_keys(seed, LifecycleState::Left).await;
        let (_, plan) = story.plan().await;
        story.world.set_faults(Faults::seeded(seed, 1_000, u64::MAX).only(&[FaultKind::LyingSuccess]));
        let overrides: Vec<String> = plan.guards.iter().map(|guard| guard.name.clone()).collect();
        let rows = story.apply(&plan, &overrides).await;
        let of_keys = rows.iter().filter(|row| row.item.credential.is_some());
        assert!(of_keys.clone().count() > 0);
        assert!(of_keys.into_iter().all(|row| row.state == ActionState::Stuck), "{rows:#?}");
        assert!(key(&story, "works").is_some_and(|key| key.active));
    });
}

/// Somebody who may come back keeps their key, stopped.
#[test]
fn the_key_of_a_suspended_person_is_stopped_and_kept() {
    tell("the_key_of_a_suspended_person_is_stopped_and_kept", 60, |seed| async move {
        let mut story = with_keys(seed, LifecycleState::Suspended).await;
        let (_, plan) = story.plan().await;
        let overrides: Vec<String> = plan.guards.iter().map(|guard| guard.name.clone()).collect();
        story.apply(&plan, &overrides).await;
        assert!(key(&story, "works").is_some_and(|key| !key.active));
        story.observe_all().await;
        let (drift, _) = story.plan().await;
        assert!(!drift.iter().any(|item| item.login.as_deref() == Some("kim") && item.credential.is_some()));
    });
}

/// A key of a service that a leaver made: the leaver may know it, and the service needs it. A person replaces it.
#[test]
fn a_key_that_a_leaver_made_for_others_is_to_be_replaced() {
    tell("a_key_that_a_leaver_made_for_others_is_to_be_replaced", 60, |seed| async move {
        let mut story = with_keys(seed, LifecycleState::Left).await;
        let mut shared = Credential::new("shared", "bot", CredentialKind::ApiKey, "shared");
        shared.created_by = Some("kim".to_owned());
        story.world.create_credential("alpha", shared).expect("a key");
        story.observe_all().await;
        let (drift, plan) = story.plan().await;
        let item = drift
            .iter()
            .find(|item| item.credential.as_ref().is_some_and(|credential| credential.label == "shared"))
            .expect("is told");
        assert_eq!(item.kind, DriftKind::StaleCredential);
        assert!(item.because.iter().any(|because| because.to_string().contains(HOLDER)), "{item:?}");
        let is_shared = |item: &&leasehold_model::plan::PlanItem| {
            item.credential.as_ref().is_some_and(|credential| credential.label == "shared")
        };
        assert!(!plan.items.iter().any(|item| is_shared(&item)), "the service would stop");
        assert!(
            plan.left_alone.iter().any(
                |left| left.account.as_deref() == Some("bot") && left.why.starts_with("stale_credential")
            )
        );
        let overrides: Vec<String> = plan.guards.iter().map(|guard| guard.name.clone()).collect();
        story.apply(&plan, &overrides).await;
        assert!(key(&story, "shared").is_some_and(|key| key.active));
    });
}

/// What somebody knows who leaves is on the rotation list until it is replaced: by the system's own word, or by a person's.
#[test]
fn a_shared_secret_that_a_leaver_knows_is_to_be_replaced() {
    tell("a_shared_secret_that_a_leaver_knows_is_to_be_replaced", 20, |seed| async move {
        let mut story = with_keys(seed, LifecycleState::Active).await;
        story.world.join(identity("max@example.com", "Ops")).expect("joins");
        let changed = |at: Option<Timestamp>| {
            let mut terminal = Account::new("uid-terminal", "terminal");
            terminal.credential_changed_at = at;
            terminal
        };
        let long_ago = story.clock.now();
        story.world.create_account("alpha", changed(Some(long_ago))).expect("an account");
        story.world.create_account("alpha", Account::new("uid-desk", "desk")).expect("an account");
        story.clock.advance_ms(3_600_000);
        let policy = |replaced: &str| {
            let text = format!(
                "[shared_secret.till]\naccounts = [\"alpha:terminal\", \"alpha:uid-desk\"]\nowner = \"max@example.com\"\n\
                 known_by = [\"{HOLDER}\", \"max@example.com\"]\nkept_in = \"the vault, secret/till\"\n{replaced}"
            );
            [("policy/all.toml".to_owned(), text)].into()
        };
        let told = async |story: &Story| {
            let (drift, _) = story.plan().await;
            let about = drift.iter().filter(|item| {
                let words = item.because.iter().map(ToString::to_string).collect::<String>();
                item.kind == DriftKind::StaleCredential && words.contains("the shared secret till")
            });
            about.filter_map(|item| item.login.clone()).collect::<Vec<_>>()
        };
        story.observe_all().await;
        story.apply_policy(policy("")).await;
        assert_eq!(told(&story).await, [""; 0], "everybody who knows it is here");
        // Whoever looks at the plan that ends their access sees what they know.
        let ending = offboard::plan(story.load().await, &HOLDER.into(), Vec::new(), None).expect("a plan");
        let named = ending.left_alone.iter().filter(|left| left.why.contains("the shared secret till"));
        assert_eq!(named.count(), 2, "{:#?}", ending.left_alone);
        let left_at = story.clock.now();
        story.world.leave(HOLDER, left_at).expect("leaves");
        story.clock.advance_ms(3_600_000);
        story.observe_all().await;
        assert_eq!(told(&story).await, ["desk", "terminal"]);
        story.clock.advance_ms(3_600_000);
        // What a person says counts where the system says nothing, and not before its time.
        story.apply_policy(policy("replaced = \"2099-01-01\"")).await;
        assert_eq!(told(&story).await, ["desk", "terminal"]);
        story.apply_policy(policy(&format!("replaced = \"{}\"", story.clock.now()))).await;
        assert_eq!(told(&story).await, ["terminal"]);
        story.apply_policy(policy("")).await;
        // The system tells of one that it has another password now, which is nothing about a key.
        story.world.create_account("alpha", changed(Some(story.clock.now()))).expect("is changed");
        story.observe_all().await;
        assert_eq!(told(&story).await, ["desk"]);
        story.apply_policy(policy("kind = \"key\"")).await;
        assert_eq!(told(&story).await, ["desk", "terminal"]);
        // Of the other a person says so; the day on which they left is not after it.
        let day = left_at.strftime("%Y-%m-%d");
        story.apply_policy(policy(&format!("replaced = {day}"))).await;
        assert_eq!(told(&story).await, ["desk"]);
        story.apply_policy(policy(&format!("replaced = \"{}\"", story.clock.now()))).await;
        assert_eq!(told(&story).await, [""; 0]);
        // Until it is known that somebody has left, they can learn what is new, too.
        let last_day = story.clock.now();
        story.clock.advance_ms(3_600_000);
        let replaced = story.clock.now();
        story.world.create_account("alpha", changed(Some(replaced))).expect("is changed");
        story.clock.advance_ms(3_600_000);
        story.world.leave("max@example.com", last_day).expect("leaves");
        story.observe_all().await;
        story.apply_policy(policy(&format!("replaced = \"{replaced}\""))).await;
        assert_eq!(told(&story).await, ["desk", "terminal"]);
        story.clock.advance_ms(3_600_000);
        let replaced = story.clock.now();
        story.world.create_account("alpha", changed(Some(replaced))).expect("is changed");
        story.observe_all().await;
        story.apply_policy(policy(&format!("replaced = \"{replaced}\""))).await;
        assert_eq!(told(&story).await, [""; 0]);
        // What else is told of them is no news of that.
        story.clock.advance_ms(3_600_000);
        story.world.mover("max@example.com", "None", "Former").expect("is told");
        story.observe_all().await;
        assert_eq!(told(&story).await, [""; 0]);
    });
}

/// A key is replaced: both work while they overlap, and then the old one ends, through faults at every step.
#[test]
fn a_replaced_key_ends_when_its_overlap_is_over() {
    tell("a_replaced_key_ends_when_its_overlap_is_over", 60, |seed| async move {
        let mut story = with_keys(seed, LifecycleState::Active).await;
        let loaded = story.load().await;
        let alpha = &story.systems[&SystemName::new("alpha").expect("a name")];
        let capabilities = alpha.connector.capabilities();
        let wanted = Wanted {
            system: alpha.name.clone(),
            account: "kim".to_owned(),
            replaces: Some("works".to_owned()),
            overlap: SignedDuration::from_hours(24 * 7),
            lasts: LASTS_DEFAULT,
        };
        let unknown = Wanted { replaces: Some("no such key".to_owned()), ..wanted.clone() };
        let refused = credential_link::check(&loaded, &capabilities, &unknown);
        assert!(matches!(refused, Err(Refusal::UnknownCredential { .. })), "{refused:?}");
        let new = credential_link::check(&loaded, &capabilities, &wanted).expect("may be replaced");
        let now = story.clock.now();
        story.store.make_credential_link("hash", &new, "story", now).await.expect("a link");
        let pace: SharedPace = story.clock.clone();
        let open = async || {
            let loaded = story.load().await;
            credential_link::open(&story.store, &story.systems, &pace, &loaded, "hash").await
        };
        let opened = open().await.expect("opens");
        let made = opened.issued.credential.expect("is listed").key;
        assert!(opened.remark.contains("read back"), "{}", opened.remark);
        assert!(matches!(open().await, Err(Refusal::NotInForce)));
        story.observe_all().await;
        let of_keys = |plan: &Plan| {
            let keys = plan.items.iter().filter(|item| item.account == "kim" && item.credential.is_some());
            keys.map(|item| (item.verb, item.credential.clone().expect("a key").key)).collect::<Vec<_>>()
        };
        let (_, early) = story.plan().await;
        assert_eq!(of_keys(&early), [], "both stay");
        story.clock.advance_ms(8 * 86_400_000);
        story.observe_all().await;
        let (drift, late) = story.plan().await;
        invariants::plan_explains_drift(&story, &drift, &late);
        assert_eq!(of_keys(&late), [(Verb::RevokeCredential, CredentialKey::from("works"))]);
        let faults: Vec<FaultKind> = FaultKind::ALL
            .into_iter()
            .filter(|kind| !matches!(kind, FaultKind::Resurrected { .. }))
            .collect();
        story.world.set_faults(Faults::seeded(seed, 250, 400).only(&faults));
        let mut plan = late;
        for _ in 0..4 {
            let overrides: Vec<String> = plan.guards.iter().map(|guard| guard.name.clone()).collect();
            let rows = story.apply(&plan, &overrides).await;
            invariants::actions_are_settled(&story, &plan, &overrides, &rows);
            story.calm();
            story.observe_all().await;
            plan = story.plan().await.1;
        }
        assert_eq!(key(&story, "works"), None);
        assert!(story.world.credential("alpha", &made).is_some_and(|key| key.active), "its successor works");
    });
}
