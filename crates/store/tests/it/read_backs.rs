//! Read-backs: newer than an enumeration that was running meanwhile, and marked as ours.

use leasehold_model::account::Account;
use leasehold_model::action::ActionState;
use leasehold_model::fact::Fact;
use leasehold_model::id::EpochId;
use leasehold_model::plan::Verb;
use leasehold_store::{ObservedEffect, Store, Transition, TransitionOutcome};

use crate::common::*;

fn two_grants() -> Vec<Fact> {
    vec![
        account("ada"),
        entitlement("staff"),
        entitlement("admins"),
        grant("ada", "staff"),
        grant("ada", "admins"),
    ]
}

fn one_grant() -> Vec<Fact> {
    two_grants().into_iter().filter(|fact| *fact != grant("ada", "admins")).collect()
}

on_both! {
    async fn a_revoked_grant_is_not_resurrected_by_a_read_that_was_running(fresh: &Fresh) {
        sync(&fresh.store, two_grants(), complete(), 1).await;
        let mut running = fresh.store.begin_epoch(&system("directory"), at(2)).await.expect("begins");
        running.accept(two_grants()).await.expect("takes facts");
        read_back(&fresh.store, Verb::Revoke, "ada", vec![absent("ada", "admins")], 3).await;
        let report = running.finish(complete(), at(4)).await.expect("finishes");
        assert!(report.changes.is_empty(), "{:?}", report.changes);
        let snapshot = fresh.store.snapshot(None).await.expect("reads");
        assert_eq!(grants(&snapshot), ["ada staff"]);
        assert!(vanished(&snapshot).is_empty(), "we ended it");

        // A later read counts: what it shows is there.
        let report = sync(&fresh.store, two_grants(), complete(), 5).await;
        assert_eq!(report.changes.grants_added, 1);
    }

    /// What a reading showed first between our call and its read-back went by us all the same, and is brought back by us where that is
    /// meant; what had gone before the call did not.
    async fn what_a_reading_showed_first_after_our_call_was_ended_by_us(fresh: &Fresh) {
        let store = &fresh.store;
        for (minute, sent, expected) in [(10, 11, ""), (20, 23, "ada admins")] {
            sync(store, two_grants(), complete(), minute).await;
            let (grant, login) = (format!("grant-{minute}"), format!("login-{minute}"));
            let items = vec![
                item(&grant, Verb::Revoke, "ada", Some("admins")),
                item(&login, Verb::DisableAccount, "ada", None),
            ];
            let plan = plan(items, Vec::new());
            store.begin_apply(&plan, &[], "ops", at(minute)).await.expect("begins");
            let closed = || {
                let shut = |fact: Fact| match fact {
                    Fact::Account(account) => Fact::Account(Account { enabled: false, ..account }),
                    other => other,
                };
                one_grant().into_iter().map(shut).collect::<Vec<_>>()
            };
            if sent > minute + 2 {
                sync(store, closed(), complete(), minute + 2).await;
            }
            for action in [&grant, &login] {
                make(store, step(&plan, action, ActionState::Approved, ActionState::Sent, sent)).await;
            }
            if sent <= minute + 2 {
                sync(store, closed(), complete(), minute + 2).await;
            }
            let disabled = ObservedEffect::AccountDisabled { system: system("directory"), account: "ada".into() };
            for (action, observed) in [(&grant, absent("ada", "admins")), (&login, disabled)] {
                let observed = vec![observed];
                let verified = step(&plan, action, ActionState::Sent, ActionState::Verified, minute + 5);
                make(store, Transition { observed, ..verified }).await;
            }
            let snapshot = store.snapshot(None).await.expect("reads");
            assert_eq!(vanished(&snapshot).join(", "), expected, "sent at {sent}");
            assert_eq!(snapshot.closed.len(), usize::from(expected.is_empty()), "sent at {sent}");
        }
    }

    async fn a_granted_entitlement_is_not_ended_by_a_read_that_was_running(fresh: &Fresh) {
        sync(&fresh.store, one_grant(), complete(), 1).await;
        let mut running = fresh.store.begin_epoch(&system("directory"), at(2)).await.expect("begins");
        running.accept(one_grant()).await.expect("takes facts");
        read_back(&fresh.store, Verb::Grant, "ada", vec![present("ada", "admins")], 3).await;
        running.finish(complete(), at(4)).await.expect("finishes");
        assert_eq!(grants(&fresh.store.snapshot(None).await.expect("reads")), ["ada staff", "ada admins"]);
        sync(&fresh.store, one_grant(), complete(), 5).await;
        let snapshot = fresh.store.snapshot(None).await.expect("reads");
        assert_eq!(grants(&snapshot), ["ada staff"]);
        assert_eq!(vanished(&snapshot), ["ada admins"], "it went without us");
    }

    async fn a_disabled_account_is_not_enabled_by_a_read_that_was_running(fresh: &Fresh) {
        let first = sync(&fresh.store, two_grants(), complete(), 1).await;
        let mut running = fresh.store.begin_epoch(&system("directory"), at(2)).await.expect("begins");
        running.accept(two_grants()).await.expect("takes facts");
        let disabled = ObservedEffect::AccountDisabled { system: system("directory"), account: "ada".into() };
        read_back(&fresh.store, Verb::DisableAccount, "ada", vec![disabled], 3).await;
        running.finish(complete(), at(4)).await.expect("finishes");
        let snapshot = fresh.store.snapshot(None).await.expect("reads");
        assert!(!snapshot.accounts[0].account.enabled);
        assert_eq!(snapshot.accounts[0].since, first.summary.id);
        assert!(fresh.store.snapshot(Some(at(2))).await.expect("reads").accounts[0].account.enabled);
        // Read again as enabled, later: that is what holds.
        sync(&fresh.store, two_grants(), complete(), 5).await;
        assert!(fresh.store.snapshot(None).await.expect("reads").accounts[0].account.enabled);
    }

    async fn an_account_read_back_as_gone_holds_nothing(fresh: &Fresh) {
        sync(&fresh.store, two_grants(), complete(), 1).await;
        let mut running = fresh.store.begin_epoch(&system("directory"), at(2)).await.expect("begins");
        running.accept(two_grants()).await.expect("takes facts");
        let gone = ObservedEffect::AccountAbsent { system: system("directory"), account: "ada".into() };
        // A grant that was seen of an account that is gone holds nothing either.
        read_back(&fresh.store, Verb::Revoke, "ada", vec![present("ada", "admins"), gone], 3).await;
        let report = running.finish(complete(), at(4)).await.expect("finishes");
        assert_eq!(report.summary.problems, 2, "both grants are told of an account that is not there");
        let snapshot = fresh.store.snapshot(None).await.expect("reads");
        assert!(snapshot.accounts.is_empty() && snapshot.grants.is_empty());
        let back = sync(&fresh.store, two_grants(), complete(), 5).await;
        assert_eq!((back.changes.accounts_added, back.changes.grants_added), (1, 2));
    }

    async fn a_read_back_moves_the_generation_only_where_it_changes_something(fresh: &Fresh) {
        let first = sync(&fresh.store, one_grant(), complete(), 1).await;
        let generation = async || fresh.store.systems().await.expect("reads")[0].generation;
        read_back(&fresh.store, Verb::Revoke, "ada", vec![absent("ada", "admins")], 2).await;
        read_back(&fresh.store, Verb::Revoke, "nobody", vec![absent("nobody", "admins")], 3).await;
        assert_eq!(generation().await, first.summary.id);
        read_back(&fresh.store, Verb::Revoke, "ada", vec![absent("ada", "staff")], 4).await;
        assert_eq!(generation().await, EpochId(first.summary.id.0 + 3));
        let state = &fresh.store.systems().await.expect("reads")[0];
        assert_eq!(state.latest.as_ref(), Some(&first.summary), "a read-back is no enumeration");
    }

    async fn what_went_before_we_sent_anything_went_without_us(fresh: &Fresh) {
        use leasehold_model::action::ActionState::{Approved, Void};
        sync(&fresh.store, two_grants(), complete(), 1).await;
        let plan = plan(vec![item("a", Verb::Revoke, "ada", Some("admins"))], Vec::new());
        fresh.store.begin_apply(&plan, &[], "ops", at(2)).await.expect("begins");
        let mut void = step(&plan, "a", Approved, Void, 3);
        void.observed = vec![absent("ada", "admins")];
        make(&fresh.store, void).await;
        assert_eq!(vanished(&fresh.store.snapshot(None).await.expect("reads")), ["ada admins"]);
    }

    async fn steps_that_come_together_change_what_they_change_one_after_the_other(fresh: &Fresh) {
        for seed in 0..12 {
            let mut told = Vec::new();
            for together in [false, true] {
                let fresh = if fresh.url.starts_with("sqlite:") { Fresh::sqlite().await } else { Fresh::postgres().await };
                told.push(told_after_many(&fresh.store, seed, together).await);
            }
            assert_eq!(told[0], told[1], "seed {seed}");
        }
    }
}

const SYSTEMS: [&str; 2] = ["directory", "crm"];
/// What is seen with how many steps.
const STEPS: usize = 40;

/// Numbers that look random, and are the same for each seed (Marsaglia's xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// Something that may be seen: mostly that a grant is gone, now and then of what nobody ever told.
    fn effect(&mut self) -> ObservedEffect {
        let system = system(SYSTEMS[self.below(2) as usize]);
        let account = match self.below(12) {
            10 => "nobody".into(),
            11 => "".into(),
            number => format!("a{}", number % 4).as_str().into(),
        };
        let entitlement = match self.below(10) {
            9 => group("nothing"),
            number => group(&format!("e{}", number % 3)),
        };
        match self.below(12) {
            0 => ObservedEffect::GrantPresent { system, account, entitlement },
            1 => ObservedEffect::AccountDisabled { system, account },
            2 => ObservedEffect::AccountEnabled { system, account },
            3 if self.below(3) == 0 => ObservedEffect::AccountAbsent { system, account },
            _ => ObservedEffect::GrantAbsent { system, account, entitlement },
        }
    }
}

/// Facts and entries after many steps that saw something, made one after the other or begun all at once.
async fn told_after_many(store: &Store, seed: u64, together: bool) -> (String, Vec<serde_json::Value>) {
    use leasehold_model::action::ActionState::{Approved, Sent, Verified};
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15 ^ (seed + 1));
    for name in SYSTEMS {
        let mut facts: Vec<Fact> = (0..3).map(|number| entitlement(&format!("e{number}"))).collect();
        for number in 0..4 {
            let key = format!("a{number}");
            facts.push(account(&key));
            facts.extend((0..3).map(|number| grant(&key, &format!("e{number}"))));
        }
        let mut writer = store.begin_epoch(&system(name), at(1)).await.expect("begins");
        writer.accept(facts).await.expect("takes facts");
        writer.finish(complete(), at(1)).await.expect("finishes");
    }
    let id = |number: usize| format!("action-{number:02}");
    let items = (0..STEPS).map(|number| {
        let verb = if numbers.below(4) == 0 { Verb::Grant } else { Verb::Revoke };
        item(&id(number), verb, "ada", None)
    });
    let plan = plan(items.collect(), Vec::new());
    store.begin_apply(&plan, &[], "ops", at(2)).await.expect("begins");
    for number in 0..STEPS {
        make(store, step(&plan, &id(number), Approved, Sent, 3)).await;
    }
    let mut begun = Vec::new();
    for number in 0..STEPS {
        let observed = (0..1 + numbers.below(3)).map(|_| numbers.effect()).collect();
        let verified = Transition { observed, ..step(&plan, &id(number), Sent, Verified, 4) };
        let step = store.begin_transition(&verified);
        match together {
            true => begun.push(step),
            false => assert!(matches!(step.lasting().await, Ok(TransitionOutcome::Done { .. }))),
        }
    }
    for step in begun {
        assert!(matches!(step.lasting().await, Ok(TransitionOutcome::Done { .. })));
    }
    let snapshot = store.snapshot(None).await.expect("reads");
    let generations: Vec<_> =
        store.systems().await.expect("reads").iter().map(|state| state.generation).collect();
    let told = format!("{:#?}", (&snapshot.accounts, &snapshot.grants, &snapshot.vanished, generations));
    let entries = store.ledger_entries(0, 10_000).await.expect("reads");
    let entry = |(_, bytes): (u64, Vec<u8>)| {
        let mut entry: serde_json::Value = serde_json::from_slice(&bytes).expect("an entry");
        // Salts differ.
        let commitments = entry["commitments"].as_object_mut().expect("commitments");
        commitments.values_mut().for_each(|commitment| *commitment = serde_json::Value::Null);
        entry
    };
    (told, entries.into_iter().map(entry).collect())
}
