//! Enumerations: what they add and end, and what does not count.

use leasehold_model::fact::{Fact, Owned, OwnerFact, Untold};
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState, Unsaid};
use leasehold_store::{ChangeCounts, Store, StoreError};

use crate::common::*;

fn small_directory() -> Vec<Fact> {
    vec![
        // A grant may come before what it is about.
        grant("ada", "staff"),
        account("ada"),
        account("bo"),
        entitlement("staff"),
        entitlement("admins"),
        contains("staff", "admins"),
        grant("bo", "admins"),
        Fact::Owner(OwnerFact { of: Owned::Account("bo".into()), owner: "ada@example.com".into() }),
    ]
}

fn without(facts: Vec<Fact>, gone: &[Fact]) -> Vec<Fact> {
    facts.into_iter().filter(|fact| !gone.contains(fact)).collect()
}

fn person(key: &str, last_day: Option<i64>) -> Fact {
    Fact::Identity(Identity {
        key: key.into(),
        kind: IdentityKind::Person,
        state: LifecycleState::Active,
        start: None,
        end: last_day.map(at),
        manager: None,
        owner: None,
        attributes: [("email".to_owned(), key.to_owned())].into(),
        unsaid: Unsaid::default(),
    })
}

/// Each identity of the snapshot with its state and end.
async fn people(store: &leasehold_store::Store, minute: Option<i64>) -> Vec<String> {
    let snapshot = store.snapshot(minute.map(at)).await.expect("reads");
    let mut people: Vec<String> = snapshot
        .identities
        .iter()
        .map(|(system, identity)| {
            let end = identity.end.map_or_else(
                || "-".to_owned(),
                |end| ((end.as_second() - at(0).as_second()) / 60).to_string(),
            );
            format!("{} {} {} {end}", snapshot.system(*system), identity.key, identity.state.as_str())
        })
        .collect();
    people.sort();
    people
}

on_both! {
    async fn whom_a_complete_read_no_longer_lists_has_left(fresh: &Fresh) {
        let store = &fresh.store;
        sync(store, vec![person("ada", None), person("bo", Some(2)), person("cy", Some(90))], complete(), 1).await;
        sync(store, vec![person("ada", None)], partial(), 3).await;
        let all = ["directory ada active -", "directory bo active 2", "directory cy active 90"];
        assert_eq!(people(store, None).await, all, "a partial read ends nobody");

        sync(store, vec![person("ada", None)], complete(), 4).await;
        let gone = ["directory ada active -", "directory bo left 2", "directory cy left 4"];
        assert_eq!(people(store, None).await, gone, "an earlier last day stays");
        assert_eq!(people(store, Some(3)).await, all, "as it stood before");

        sync(store, vec![person("ada", None), person("cy", None)], complete(), 5).await;
        let back = ["directory ada active -", "directory bo left 2", "directory cy active -"];
        assert_eq!(people(store, None).await, back, "listed again");
        assert_eq!(people(store, Some(4)).await, gone);
    }

    async fn whom_another_source_lists_has_not_left(fresh: &Fresh) {
        let store = &fresh.store;
        let read = async |name: &str, facts: Vec<Fact>, minute: i64| {
            let mut writer = store.begin_epoch(&system(name), at(minute)).await.expect("begins");
            writer.accept(facts).await.expect("takes facts");
            writer.finish(complete(), at(minute)).await.expect("finishes");
        };
        read("hr", vec![person("ada", None)], 1).await;
        read("contractors", vec![person("ada", None), person("bo", None)], 2).await;
        read("hr", vec![], 3).await;
        assert_eq!(people(store, None).await, ["contractors ada active -", "contractors bo active -"]);
        read("contractors", vec![], 4).await;
        assert_eq!(people(store, None).await, ["contractors ada left 4", "contractors bo left 4"], "once, by the last");
    }

    async fn a_first_read_is_what_the_snapshot_shows(fresh: &Fresh) {
        let report = sync(&fresh.store, small_directory(), complete(), 1).await;
        assert_eq!(report.summary.facts, 8);
        assert_eq!(report.summary.problems, 0);
        let expected = ChangeCounts {
            accounts_added: 2, entitlements_added: 2, grants_added: 2, containments_added: 1, owners_added: 1,
            ..ChangeCounts::default()
        };
        assert_eq!(report.changes, expected);

        let snapshot = fresh.store.snapshot(None).await.expect("reads");
        assert_eq!(grants(&snapshot), ["ada staff", "bo admins"]);
        assert_eq!(snapshot.containments.len(), 1);
        let bo = snapshot.accounts.iter().position(|row| row.account.key.as_str() == "bo").expect("bo") as u32;
        assert_eq!(snapshot.account_owners[&bo].as_str(), "ada@example.com");
        let state = &snapshot.systems[0];
        assert_eq!(state.generation, report.summary.id);
        assert_eq!(state.latest.as_ref(), Some(&report.summary));
        assert_eq!(state.latest_complete, state.latest);
        assert_eq!(snapshot.ended_at(report.summary.id), Some(at(1)));
    }

    async fn an_unchanged_read_changes_nothing(fresh: &Fresh) {
        let first = sync(&fresh.store, small_directory(), complete(), 1).await;
        let mut facts = small_directory();
        facts.reverse();
        let second = sync(&fresh.store, facts, complete(), 2).await;
        assert!(second.changes.is_empty(), "{:?}", second.changes);
        let state = &fresh.store.systems().await.expect("reads")[0];
        assert_eq!(state.generation, first.summary.id, "nothing moved");
        assert_eq!(state.latest.as_ref(), Some(&second.summary));
        assert_eq!(fresh.store.epochs(&system("directory"), 10).await.expect("reads"), [second.summary, first.summary]);
    }

    async fn a_partial_read_ends_nothing(fresh: &Fresh) {
        let first = sync(&fresh.store, small_directory(), complete(), 1).await;
        let nothing = sync(&fresh.store, Vec::new(), partial(), 2).await;
        assert!(nothing.changes.is_empty(), "{:?}", nothing.changes);
        // What it adds counts, also where the other end was told earlier.
        let more = sync(&fresh.store, vec![grant("ada", "admins")], partial(), 3).await;
        assert_eq!((more.changes.grants_added, more.changes.grants_ended), (1, 0));
        assert_eq!(more.summary.problems, 0);
        let snapshot = fresh.store.snapshot(None).await.expect("reads");
        assert_eq!(grants(&snapshot), ["ada staff", "ada admins", "bo admins"]);
        assert_eq!(snapshot.systems[0].latest_complete.as_ref(), Some(&first.summary));
        assert_eq!(snapshot.systems[0].latest.as_ref(), Some(&more.summary));
        assert_eq!(snapshot.systems[0].generation, more.summary.id);
    }

    async fn a_complete_read_ends_what_it_does_not_tell(fresh: &Fresh) {
        sync(&fresh.store, small_directory(), complete(), 1).await;
        let facts = without(small_directory(), &[grant("ada", "staff")]);
        let report = sync(&fresh.store, facts, complete(), 2).await;
        assert_eq!(report.changes, ChangeCounts { grants_ended: 1, ..ChangeCounts::default() });
        let snapshot = fresh.store.snapshot(None).await.expect("reads");
        assert_eq!(grants(&snapshot), ["bo admins"]);
        assert_eq!(vanished(&snapshot), ["ada staff"]);
        assert_eq!(snapshot.vanished[0].until, report.summary.id);

        // It comes back: held, and no longer vanished.
        sync(&fresh.store, small_directory(), complete(), 3).await;
        let snapshot = fresh.store.snapshot(None).await.expect("reads");
        assert_eq!(grants(&snapshot), ["ada staff", "bo admins"]);
        assert!(vanished(&snapshot).is_empty());
        // As it stood in between.
        let then = fresh.store.snapshot(Some(at(2))).await.expect("reads");
        assert_eq!(grants(&then), ["bo admins"]);
        assert_eq!(vanished(&then), ["ada staff"]);
        assert!(fresh.store.snapshot(Some(at(0))).await.expect("reads").systems.is_empty());
    }

    async fn an_account_that_goes_takes_its_grants_along(fresh: &Fresh) {
        sync(&fresh.store, small_directory(), complete(), 1).await;
        // The grant is still told, but its account is not.
        let report = sync(&fresh.store, without(small_directory(), &[account("bo")]), complete(), 2).await;
        let expected = ChangeCounts { accounts_ended: 1, owners_ended: 1, grants_ended: 1, ..ChangeCounts::default() };
        assert_eq!(report.changes, expected);
        let problems = fresh.store.problems(&system("directory")).await.expect("reads");
        let places: Vec<_> = problems.iter().map(|problem| problem.place.as_str()).collect();
        assert_eq!(places, ["owner of account bo", "grant of group/admins to account bo"]);
        assert_eq!(report.summary.problems, 2);

        let back = sync(&fresh.store, small_directory(), complete(), 3).await;
        assert_eq!((back.changes.accounts_added, back.changes.grants_added), (1, 1));
        let snapshot = fresh.store.snapshot(None).await.expect("reads");
        let bo = snapshot.accounts.iter().find(|row| row.account.key.as_str() == "bo").expect("bo");
        assert_eq!(bo.since, back.summary.id, "a new presence");
    }

    async fn a_changed_account_keeps_its_first_epoch(fresh: &Fresh) {
        let first = sync(&fresh.store, small_directory(), complete(), 1).await;
        let mut facts = without(small_directory(), &[account("ada")]);
        let mut ada = leasehold_model::account::Account::new("ada", "ada");
        ada.enabled = false;
        facts.push(Fact::Account(ada));
        let report = sync(&fresh.store, facts, complete(), 2).await;
        assert_eq!(report.changes, ChangeCounts { accounts_changed: 1, ..ChangeCounts::default() });
        for (when, enabled) in [(Some(at(1)), true), (None, false)] {
            let snapshot = fresh.store.snapshot(when).await.expect("reads");
            let ada = snapshot.accounts.iter().find(|row| row.account.key.as_str() == "ada").expect("ada");
            assert_eq!((ada.account.enabled, ada.since), (enabled, first.summary.id));
        }
    }

    async fn a_log_in_is_kept_and_moves_nothing(fresh: &Fresh) {
        let first = sync(&fresh.store, small_directory(), complete(), 1).await;
        let used = |at| {
            let mut facts = without(small_directory(), &[account("ada")]);
            let mut ada = leasehold_model::account::Account::new("ada", "ada");
            ada.last_use = leasehold_model::account::LastUse::At(at);
            facts.push(Fact::Account(ada));
            facts
        };
        for minute in [2, 3] {
            let report = sync(&fresh.store, used(at(minute)), complete(), minute).await;
            assert!(report.changes.is_empty(), "{:?}", report.changes);
            assert_eq!(report.changes.accounts_used, 1);
            let snapshot = fresh.store.snapshot(None).await.expect("reads");
            assert_eq!(snapshot.systems[0].generation, first.summary.id, "a plan made before still holds");
            let ada = snapshot.accounts.iter().find(|row| row.account.key.as_str() == "ada").expect("ada");
            assert_eq!(ada.account.last_use, leasehold_model::account::LastUse::At(at(minute)));
        }
        assert_eq!(sync(&fresh.store, used(at(3)), complete(), 4).await.changes, ChangeCounts::default());
    }

    async fn of_two_the_first_counts(fresh: &Fresh) {
        let mut other = leasehold_model::account::Account::new("ada", "another login");
        other.locked = true;
        let mut limited = direct_grant("ada", "staff");
        limited.valid_until = Some(at(500));
        let mut facts = small_directory();
        facts.extend([
            Fact::Account(other),
            entitlement("staff"),
            Fact::Grant(limited),
            contains("staff", "admins"),
            Fact::Owner(OwnerFact { of: Owned::Account("bo".into()), owner: "zoe@example.com".into() }),
        ]);
        let report = sync(&fresh.store, facts, complete(), 1).await;
        assert_eq!(report.summary.problems, 5);
        let mut places: Vec<String> = fresh.store.problems(&system("directory")).await.expect("reads").into_iter()
            .map(|problem| problem.place).collect();
        places.sort();
        assert_eq!(places, [
            "account ada", "entitlement group/staff", "grant of group/staff to account ada",
            "group/staff containing group/admins", "owner of account bo",
        ]);
        let snapshot = fresh.store.snapshot(None).await.expect("reads");
        assert!(snapshot.accounts.iter().all(|row| !row.account.locked));
        assert!(snapshot.validity.is_empty());
        assert!(snapshot.account_owners.values().all(|owner| owner.as_str() == "ada@example.com"));
    }

    async fn what_cannot_be_held_is_a_problem(fresh: &Fresh) {
        let mut facts = small_directory();
        facts.extend([
            account("nul\0byte"),
            account(""),
            account(&"long".repeat(1_000)),
            entitlement(""),
            grant("ada", "nowhere"),
            grant("nobody", "staff"),
            grant("ada", "nul\0byte"),
            contains("staff", "nowhere"),
            Fact::Owner(OwnerFact { of: Owned::Entitlement(group("nowhere")), owner: "zoe@example.com".into() }),
        ]);
        // Texts of a target may hold anything; only names are refused.
        let mut odd = leasehold_model::account::Account::new("odd", "o\0d'd\u{202e}");
        odd.attributes.insert("display_name".to_owned(), "\0 \\u0000 \"quoted\" '); DROP TABLE object; --".to_owned());
        facts.push(Fact::Account(odd.clone()));
        let mut writer = fresh.store.begin_epoch(&system("directory"), at(1)).await.expect("begins");
        writer.accept(facts).await.expect("takes facts");
        writer.problem(leasehold_model::fact::Problem::new("people.csv:17\0", "bad date\0"));
        let report = writer.finish(complete(), at(1)).await.expect("finishes");
        assert_eq!(report.summary.problems, 10);
        assert_eq!(fresh.store.problems(&system("directory")).await.expect("reads").len(), 10);
        let snapshot = fresh.store.snapshot(None).await.expect("reads");
        assert_eq!(grants(&snapshot), ["ada staff", "bo admins"]);
        assert!(snapshot.accounts.iter().any(|row| row.account == odd));
    }

    async fn too_many_problems_are_counted_and_the_first_are_listed(fresh: &Fresh) {
        let mut facts = vec![account("ada")];
        facts.extend((0..12_000).map(|number| grant("ada", &format!("nowhere-{number}"))));
        let report = sync(&fresh.store, facts, complete(), 1).await;
        assert_eq!(report.summary.problems, 12_000);
        let problems = fresh.store.problems(&system("directory")).await.expect("reads");
        assert_eq!(problems.len(), 10_001);
        assert_eq!(problems[10_000].message, "2000 more problems were counted and are not listed");
    }

    async fn an_interrupted_or_overtaken_read_does_not_count(fresh: &Fresh) {
        sync(&fresh.store, small_directory(), complete(), 1).await;
        let writing_at_once = Store::open(&fresh.url, staging()).await.expect("opens");
        let mut first = writing_at_once.begin_epoch(&system("directory"), at(2)).await.expect("begins");
        let mut facts = Vec::new();
        for number in 0..20 {
            facts.push(account(&format!("ghost-{number}")));
        }
        first.accept(facts).await.expect("takes facts");
        let before = fresh.store.ledger_len().await.expect("reads");
        let second = sync(&fresh.store, small_directory(), complete(), 3).await;
        assert!(second.changes.is_empty(), "{:?}", second.changes);
        match first.finish(complete(), at(4)).await {
            Err(StoreError::Overtaken { system: name }) => assert_eq!(name, system("directory")),
            other => panic!("{other:?}"),
        }
        assert_eq!(fresh.store.ledger_len().await.expect("reads"), before + 1);
        assert_eq!(fresh.store.snapshot(None).await.expect("reads").accounts.len(), 2);
        // Names that an interrupted read brought keep their numbers and hold nothing.
        let third = sync(&fresh.store, vec![account("ada"), account("ghost-7")], complete(), 5).await;
        assert_eq!((third.changes.accounts_added, third.changes.accounts_ended), (1, 1));
    }

    async fn what_stands_beside_a_grant_has_its_own_history(fresh: &Fresh) {
        let facts = |until: Option<i64>| {
            let mut limited = direct_grant("ada", "staff");
            limited.valid_until = until.map(at);
            limited.options = Some("admin".to_owned());
            let mut facts = without(small_directory(), &[grant("ada", "staff")]);
            facts.push(Fact::Grant(limited));
            facts
        };
        let first = sync(&fresh.store, facts(Some(100)), complete(), 1).await;
        assert_eq!(first.changes.grants_changed, 0);
        let second = sync(&fresh.store, facts(Some(200)), complete(), 2).await;
        assert_eq!(second.changes, ChangeCounts { grants_changed: 1, ..ChangeCounts::default() });
        sync(&fresh.store, facts(None), complete(), 3).await;
        for (minute, until) in [(1, Some(100)), (2, Some(200)), (3, None)] {
            let snapshot = fresh.store.snapshot(Some(at(minute))).await.expect("reads");
            assert_eq!(snapshot.validity.get(&0).map(|validity| validity.until), until.map(|until| Some(at(until))));
            assert_eq!(snapshot.grants[0].since, first.summary.id.0 as u32, "the grant itself went on");
        }
    }

    async fn whose_state_is_not_told_stands_as_was_told_before(fresh: &Fresh) {
        let person = |key: &str, state| Identity {
            key: key.into(), kind: IdentityKind::Person, state, start: None, end: None, manager: None, owner: None,
            attributes: Default::default(), unsaid: Unsaid::default(),
        };
        let told = async |facts: Vec<Fact>, accepts: bool, minute: i64| {
            let mut writer = fresh.store.begin_epoch(&system("hr"), at(minute)).await.expect("begins");
            if accepts {
                writer.take_unknown_states_as_active();
            }
            writer.accept(facts).await.expect("takes facts");
            let kept = writer.states_kept();
            writer.finish(complete(), at(minute)).await.expect("finishes");
            let snapshot = fresh.store.snapshot(None).await.expect("reads");
            let mut states: Vec<_> =
                snapshot.identities.iter().map(|(_, identity)| (identity.key.to_string(), identity.state)).collect();
            states.sort();
            (kept, states.into_iter().map(|(_, state)| state).collect::<Vec<_>>())
        };
        use LifecycleState::{Active, Left, Suspended};
        let known = [("ada", Active), ("eve", Left), ("tom", Suspended)];
        let unknown = |keys: &[&str]| -> Vec<Fact> {
            keys.iter().map(|key| Fact::IdentityInPart(person(key, Active), Untold { state: true, ..Untold::default() })).collect()
        };
        told(known.map(|(key, state)| Fact::Identity(person(key, state))).into(), false, 1).await;
        let all = unknown(&["ada", "eve", "tom", "zoe"]);
        assert_eq!(told(all, false, 2).await, (2, vec![Active, Left, Suspended, Active]));
        assert_eq!(told(unknown(&["ada", "eve"]), false, 4).await.0, 1);
        // Whoever was not listed in between begins anew; zoe is gone, and so has left.
        let listed = || unknown(&["ada", "eve", "tom"]);
        assert_eq!(told(listed(), false, 5).await, (1, vec![Active, Left, Active, Left]));
        assert_eq!(told(listed(), true, 6).await, (0, vec![Active, Active, Active, Left]), "a person says so");
    }

    async fn who_has_left_does_not_leave_anew_with_a_new_title(fresh: &Fresh) {
        use LifecycleState::{Active, Left, Suspended};
        let person = |state, title: &str| Identity {
            key: "ada@example.com".into(), kind: IdentityKind::Person, state, start: None, end: None,
            manager: None, owner: None, attributes: [("title".to_owned(), title.to_owned())].into(), unsaid: Unsaid::default(),
        };
        let told = [
            // The minute, what is told, and the minute since which that counts.
            (1, Active, "a", 1), (2, Active, "b", 2), (3, Suspended, "b", 3), (4, Suspended, "c", 3), (5, Left, "c", 5), (6, Left, "c", 5),
            (7, Left, "d", 5), (8, Left, "e", 5), (9, Active, "e", 9), (10, Left, "e", 10),
        ];
        for (minute, state, title, since) in told {
            let mut writer = fresh.store.begin_epoch(&system("hr"), at(minute)).await.expect("begins");
            writer.accept(vec![Fact::Identity(person(state, title))]).await.expect("takes facts");
            writer.finish(complete(), at(minute)).await.expect("finishes");
            let snapshot = fresh.store.snapshot(None).await.expect("reads");
            assert_eq!(snapshot.ended_at(snapshot.identity_since[0]), Some(at(since)), "minute {minute}");
        }
        let then = fresh.store.snapshot(Some(at(8))).await.expect("reads");
        assert_eq!(then.ended_at(then.identity_since[0]), Some(at(5)), "and as it stood then");
    }

    async fn a_last_day_counts_from_when_it_was_told(fresh: &Fresh) {
        let person = |title: &str, state, end: Option<i64>| Identity {
            key: "ada@example.com".into(), kind: IdentityKind::Person, state, start: None, end: end.map(at),
            manager: None, owner: None, attributes: [("title".to_owned(), title.to_owned())].into(), unsaid: Unsaid::default(),
        };
        use LifecycleState::{Active, Leaving, Left};
        let told = [
            // The minute, who is listed, the minute since which that counts, and when they left.
            (1, Some(person("a", Active, None)), 1, None), (2, Some(person("b", Active, Some(3))), 2, Some(3)),
            (4, Some(person("c", Active, Some(3))), 2, Some(3)), (5, Some(person("c", Left, Some(3))), 2, Some(3)),
            (6, None, 2, Some(3)), (7, Some(person("c", Active, None)), 7, None),
            (8, Some(person("d", Active, Some(5))), 8, Some(5)), (9, Some(person("e", Active, Some(5))), 8, Some(5)),
            (10, None, 8, Some(5)), (11, Some(person("e", Active, None)), 11, None), (12, None, 12, Some(12)),
            // Whoever is listed again as one who has left was gone in between, too.
            (13, Some(person("e", Left, None)), 12, None), (14, Some(person("f", Left, None)), 12, None), (15, None, 12, None),
            (16, Some(person("f", Active, Some(99))), 16, Some(99)), (17, None, 17, Some(17)),
            // Who is said to have left does not stay until the end of a contract.
            (18, Some(person("g", Left, Some(99))), 17, Some(17)), (19, Some(person("h", Left, Some(99))), 17, Some(17)),
            (20, None, 17, Some(17)), (21, Some(person("h", Active, None)), 21, None),
            // A last day that was told before stays one, though the word for it comes without.
            (22, Some(person("h", Leaving, Some(23))), 22, Some(23)), (24, Some(person("h", Left, None)), 22, Some(23)),
            (25, Some(person("h", Left, Some(20))), 22, Some(20)), (26, None, 22, Some(20)),
            // Who works on after a last day was here, whenever that was told.
            (30, Some(person("h", Active, Some(35))), 30, Some(35)), (38, Some(person("h", Active, Some(50))), 38, Some(50)),
            (52, Some(person("h", Left, None)), 38, Some(50)), (53, Some(person("i", Left, Some(90))), 38, Some(50)),
            (54, Some(person("i", Active, Some(60))), 54, Some(60)), (61, Some(person("i", Left, Some(60))), 54, Some(60)),
            // What was corrected stays corrected.
            (62, Some(person("i", Active, Some(70))), 62, Some(70)), (71, Some(person("i", Active, Some(66))), 62, Some(66)),
            (72, Some(person("i", Left, None)), 62, Some(66)), (73, Some(person("j", Left, None)), 62, Some(66)), (74, None, 62, Some(66)),
            (75, Some(person("j", Leaving, Some(80))), 75, Some(80)), (82, None, 75, Some(80)),
        ];
        for (minute, listed, since, end) in told {
            let mut writer = fresh.store.begin_epoch(&system("hr"), at(minute)).await.expect("begins");
            writer.accept(listed.into_iter().map(Fact::Identity).collect()).await.expect("takes facts");
            writer.finish(complete(), at(minute)).await.expect("finishes");
            let snapshot = fresh.store.snapshot(None).await.expect("reads");
            let known = (snapshot.ended_at(snapshot.identity_since[0]), snapshot.identities[0].1.end);
            assert_eq!(known, (Some(at(since)), end.map(at)), "minute {minute}");
        }
    }

    async fn identities_come_with_their_system(fresh: &Fresh) {
        let person = |state| Identity {
            key: "ada@example.com".into(), kind: IdentityKind::Person, state, start: None, end: None,
            manager: None, owner: None, attributes: [("department".to_owned(), "Payments".to_owned())].into(), unsaid: Unsaid::default(),
        };
        for (minute, state) in [(1, LifecycleState::Active), (2, LifecycleState::Left)] {
            let mut writer = fresh.store.begin_epoch(&system("hr"), at(minute)).await.expect("begins");
            writer.accept(vec![Fact::Identity(person(state))]).await.expect("takes facts");
            writer.finish(complete(), at(minute)).await.expect("finishes");
        }
        sync(&fresh.store, small_directory(), complete(), 3).await;
        let now = fresh.store.snapshot(None).await.expect("reads");
        assert_eq!(now.identities, [(0, person(LifecycleState::Left))]);
        assert_eq!(now.systems.iter().map(|state| state.name.as_str()).collect::<Vec<_>>(), ["hr", "directory"]);
        assert!(now.accounts.iter().all(|row| row.system == 1));
        let then = fresh.store.snapshot(Some(at(1))).await.expect("reads");
        assert_eq!(then.identities, [(0, person(LifecycleState::Active))]);
        assert_eq!(then.systems.len(), 1);
    }
}
