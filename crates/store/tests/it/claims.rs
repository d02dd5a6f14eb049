//! Policies, baselines and plans: kept as they were claimed, each with its ledger entry.

use std::collections::BTreeMap;

use leasehold_ledger::entry::Entry;
use leasehold_model::id::EpochId;
use leasehold_model::plan::{LeftAlone, Plan, StateFingerprint, Verb};
use leasehold_model::reason::Baseline;
use leasehold_store::{Store, StoreError};

use crate::common::*;

async fn kinds(store: &Store) -> Vec<String> {
    let entries = store.ledger_entries(0, 100).await.expect("reads");
    entries.iter().map(|(_, bytes)| Entry::from_bytes(bytes).expect("an entry").kind).collect()
}

on_both! {
    async fn the_last_policy_is_live(fresh: &Fresh) {
        assert!(fresh.store.live_policy().await.expect("reads").is_none());
        let files = |text: &str| BTreeMap::from([("roles/a.toml".to_owned(), text.to_owned())]);
        let first = fresh.store.apply_policy(files("one"), "d1", "ops@example.com", at(1)).await.expect("applies");
        let second = fresh.store.apply_policy(files("two\0"), "d2", "ops@example.com", at(2)).await.expect("applies");
        assert_eq!((first.id, second.id), (1, 2));
        assert_eq!(fresh.store.live_policy().await.expect("reads"), Some(second.clone()));
        assert_eq!(fresh.store.policy_revisions().await.expect("reads"), [second, first]);
        assert_eq!(kinds(&fresh.store).await, ["policy.applied", "policy.applied"]);
        let openings = fresh.store.ledger_openings(0).await.expect("reads");
        assert_eq!(openings["by"].value, "ops@example.com");
    }

    async fn an_edited_policy_replaces_only_the_one_that_was_edited(fresh: &Fresh) {
        let files = |text: &str| BTreeMap::from([("roles/a.toml".to_owned(), text.to_owned())]);
        let store = &fresh.store;
        let none = store.replace_policy(Some("d0"), files("one"), "d1", "ops", at(1)).await.expect("runs");
        assert_eq!(none, None, "there is none that could have been edited");
        let first = store.replace_policy(None, files("one"), "d1", "ops", at(1)).await.expect("runs");
        assert_eq!(first.map(|revision| revision.id), Some(1));
        let late = store.replace_policy(None, files("two"), "d2", "ops", at(2)).await.expect("runs");
        assert_eq!(late, None, "somebody was faster");
        let second = store.replace_policy(Some("d1"), files("two"), "d2", "ops", at(3)).await.expect("runs");
        assert_eq!(second.map(|revision| revision.id), Some(2));
        assert_eq!(kinds(store).await, ["policy.applied", "policy.applied"], "what was refused left no entry");
    }

    async fn baselines_read_back(fresh: &Fresh) {
        let baseline = |name: &str, minute| Baseline {
            system: system(name), epoch: EpochId(minute), until: at(90), owner: "dana@example.com".to_owned(),
            adopted_at: at(minute),
        };
        for minute in [1, 2] {
            fresh.store.adopt_baseline(&baseline("directory", minute), at(minute)).await.expect("adopts");
        }
        assert_eq!(
            fresh.store.baselines().await.expect("reads"),
            [baseline("directory", 1), baseline("directory", 2)]
        );
        let ended = fresh.store.end_baseline(&system("directory"), at(5)).await.expect("ends").expect("one");
        assert_eq!((ended.epoch, ended.until), (EpochId(2), at(5)));
        assert_eq!(fresh.store.end_baseline(&system("directory"), at(6)).await.expect("ends"), None);
        assert_eq!(fresh.store.baselines().await.expect("reads").last(), Some(&ended));
        assert_eq!(
            kinds(&fresh.store).await,
            ["baseline.adopted", "baseline.adopted", "baseline.ended"]
        );
    }

    async fn plans_are_found_by_the_beginning_of_their_hash(fresh: &Fresh) {
        assert!(fresh.store.latest_plan().await.expect("reads").is_none());
        let mut plans: Vec<Plan> = Vec::new();
        for number in 0..20 {
            let left_alone = LeftAlone {
                system: system("directory"), account: None, identity: None, entitlement: Some(group("staff")),
                why: format!("question {number}"),
            };
            let items = vec![item("a", Verb::Revoke, "ada", Some("staff"))];
            plans.push(Plan::seal(StateFingerprint::default(), items, vec![left_alone], Vec::new()));
        }
        for plan in &plans {
            fresh.store.save_plan(plan, at(1)).await.expect("saves");
        }
        fresh.store.save_plan(&plans[3], at(2)).await.expect("saves again");
        assert_eq!(fresh.store.ledger_len().await.expect("reads"), 20);
        assert_eq!(fresh.store.latest_plan().await.expect("reads").as_ref(), plans.last());
        for plan in &plans {
            let hash = plan.hash.as_str();
            assert_eq!(fresh.store.plan(&hash[..12]).await.expect("reads").as_ref(), Some(plan));
            assert_eq!(fresh.store.plan(hash).await.expect("reads").as_ref(), Some(plan));
        }
        // Twenty hashes begin with at most sixteen letters.
        let first_letters: Vec<&str> = plans.iter().map(|plan| &plan.hash.as_str()[..1]).collect();
        let twice = first_letters.iter().find(|letter| first_letters.iter().filter(|other| other == letter).count() > 1);
        assert!(matches!(
            fresh.store.plan(twice.expect("two plans begin alike")).await,
            Err(StoreError::AmbiguousPlan { .. })
        ));
        assert!(fresh.store.plan("no such plan").await.expect("reads").is_none());
    }
}
