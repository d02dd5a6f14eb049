//! Departures that a person decides: who did, from when on, and what became of it stays told.

use leasehold_ledger::entry::Entry;
use leasehold_model::plan::Verb;

use crate::common::*;

on_both! {
    async fn who_decides_anew_is_named_and_what_was_decided_before_stays_told(fresh: &Fresh) {
        let (store, ada) = (&fresh.store, "ada@example.com".into());
        assert!(store.record_departure(&ada, at(50), "alice", at(1)).await.expect("records"));
        assert!(!store.record_departure(&ada, at(60), "carol", at(2)).await.expect("is decided already"));
        let plan = plan(vec![item("a", Verb::Revoke, "ada", Some("staff"))], Vec::new());
        let plan = plan.taking_as_left(vec!["Ada@example.com".into()]);
        store.save_plan(&plan, at(9)).await.expect("saves");
        store.begin_apply(&plan, &[], "bob", at(10)).await.expect("begins");
        let departures = store.departures().await.expect("reads");
        let told: Vec<_> = departures
            .iter()
            .map(|departure| (departure.recorded_by.as_str(), departure.end, departure.recorded_at, departure.rescinded_at))
            .collect();
        assert_eq!(told, [("alice", at(50), at(1), Some(at(10))), ("bob", at(10), at(10), None)]);
        assert!(store.rescind_departure(&ada, "dora", at(20)).await.expect("takes back"));

        let mut told = Vec::new();
        for (index, bytes) in store.ledger_entries(0, 100).await.expect("reads") {
            let entry = Entry::from_bytes(&bytes).expect("an entry");
            if entry.kind.starts_with("departure.") {
                assert!(entry.commitments.contains_key("by"), "{index}: {entry:?}");
                assert!(!String::from_utf8_lossy(&bytes).contains("alice"), "names are commitments");
                told.push((entry.kind.clone(), entry.body["end"].as_str().map(str::to_owned)));
            }
        }
        let recorded = |minute| ("departure.recorded".to_owned(), Some(at(minute).to_string()));
        let rescinded = || ("departure.rescinded".to_owned(), None);
        assert_eq!(told, [recorded(50), rescinded(), recorded(10), rescinded()]);
    }
}
