//! The ledger's rows: gapless, in the order of commits, and free of personal data.

use std::collections::BTreeMap;

use leasehold_ledger::entry::Entry;
use leasehold_model::event::EventKind;
use leasehold_store::{Event, StoreError};
use serde_json::json;

use crate::common::*;

fn event(subject: &str, person: &str) -> Event {
    Event {
        kind: EventKind::PolicyApplied,
        subject: subject.to_owned(),
        body: json!({ "system": "directory" }),
        personal: BTreeMap::from([("identity".to_owned(), person.to_owned())]),
    }
}

on_both! {
    async fn entries_are_gapless_however_many_write_at_once(fresh: &Fresh) {
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..6 {
            let store = fresh.store.clone();
            writers.spawn(async move {
                let mut indexes = Vec::new();
                for number in 0..10 {
                    let event = event(&format!("{writer}.{number}"), "ada@example.com");
                    indexes.push((store.record(event, at(number)).await.expect("records"), format!("{writer}.{number}")));
                    // One that cannot be written leaves no gap.
                    let broken = Event { body: json!({ "share": 0.5 }), ..self::event("broken", "ada@example.com") };
                    assert!(matches!(store.record(broken, at(number)).await, Err(StoreError::Ledger(_))));
                }
                indexes
            });
        }
        let mut told: Vec<(u64, String)> = writers.join_all().await.into_iter().flatten().collect();
        told.sort();
        assert_eq!(fresh.store.ledger_len().await.expect("reads"), 60);
        let entries = fresh.store.ledger_entries(0, 100).await.expect("reads");
        let found: Vec<(u64, String)> = entries
            .iter()
            .map(|(index, bytes)| (*index, Entry::from_bytes(bytes).expect("an entry").subject))
            .collect();
        assert_eq!(found, told);
        assert_eq!(fresh.store.ledger_entries(58, 100).await.expect("reads"), entries[58..]);
        assert_eq!(fresh.store.ledger_entries(3, 2).await.expect("reads"), entries[3..5]);
        assert!(fresh.store.ledger_entries(60, 5).await.expect("reads").is_empty());
    }

    async fn openings_open_their_entry_and_can_be_erased(fresh: &Fresh) {
        fresh.store.record(event("first", "ada@example.com"), at(1)).await.expect("records");
        fresh.store.record(event("second", "bo\0@example.com"), at(2)).await.expect("records");
        let entries = fresh.store.ledger_entries(0, 10).await.expect("reads");
        let mut commitments = Vec::new();
        for (index, bytes) in &entries {
            let text = String::from_utf8_lossy(bytes);
            assert!(!text.contains("example.com"), "{text}");
            let commitment = Entry::from_bytes(bytes).expect("an entry").commitments["identity"].clone();
            assert!(fresh.store.ledger_openings(*index).await.expect("reads")["identity"].matches(&commitment));
            commitments.push(commitment);
        }
        assert_ne!(commitments[0], commitments[1]);
        assert_eq!(fresh.store.erase_openings("ada@example.com").await.expect("erases"), 1);
        assert_eq!(fresh.store.erase_openings("ada@example.com").await.expect("erases"), 0);
        assert!(fresh.store.ledger_openings(0).await.expect("reads").is_empty());
        assert_eq!(fresh.store.ledger_openings(1).await.expect("reads").len(), 1);
        assert_eq!(fresh.store.ledger_entries(0, 10).await.expect("reads"), entries, "no entry was touched");
    }

    async fn the_first_key_is_kept(fresh: &Fresh) {
        assert_eq!(fresh.store.ledger_key().await.expect("reads"), None);
        for key in ["first", "second", "first"] {
            assert_eq!(fresh.store.pin_ledger_key(key).await.expect("keeps"), "first");
        }
        assert_eq!(fresh.store.ledger_key().await.expect("reads").as_deref(), Some("first"));
    }

    async fn an_audit_sees_every_row_and_how_many_there_should_be(fresh: &Fresh) {
        for number in 0..3 {
            fresh.store.record(event(&number.to_string(), "ada@example.com"), at(number)).await.expect("records");
        }
        let (length, rows) = fresh.store.ledger_rows().await.expect("reads");
        assert_eq!((length, rows.iter().map(|(index, _)| *index).collect::<Vec<_>>()), (3, vec![0, 1, 2]));
        let entries = fresh.store.ledger_entries(0, 10).await.expect("reads");
        assert!(entries.iter().zip(&rows).all(|(entry, row)| entry.1 == row.1));
    }

    async fn an_enumeration_is_recorded_with_its_counts(fresh: &Fresh) {
        let report = sync(&fresh.store, vec![account("ada"), account("ada"), grant("ada", "x")], partial(), 7).await;
        let (_, bytes) = fresh.store.ledger_entries(0, 1).await.expect("reads").remove(0);
        let entry = Entry::from_bytes(&bytes).expect("an entry");
        assert_eq!((entry.kind.as_str(), entry.subject.as_str()), ("epoch.ended", "directory"));
        assert_eq!(entry.at, at(7).to_string());
        assert_eq!(entry.body["epoch"], report.summary.id.0);
        assert_eq!(entry.body["completeness"], "partial");
        assert_eq!(entry.body["detail"], "the last page timed out");
        assert_eq!((&entry.body["facts"], &entry.body["problems"]), (&json!(3), &json!(2)));
        assert_eq!(entry.body["changes"]["accounts_added"], 1);
    }

    async fn a_long_text_of_a_target_does_not_stop_the_loop(fresh: &Fresh) {
        use leasehold_model::action::ActionState::{Approved, Sent, Stuck};
        use leasehold_model::plan::Verb;
        let plan = plan(vec![item("a", Verb::Revoke, "ada", Some("staff"))], Vec::new());
        fresh.store.begin_apply(&plan, &[], "ops", at(1)).await.expect("begins");
        make(&fresh.store, step(&plan, "a", Approved, Sent, 2)).await;
        let mut stuck = step(&plan, "a", Sent, Stuck, 3);
        stuck.reason = Some("refused\0 ".repeat(50_000));
        make(&fresh.store, stuck).await;
        let row = &fresh.store.stuck_actions().await.expect("reads")[0];
        assert_eq!(row.reason.as_ref().map(|text| text.chars().count()), Some(450_000), "whole in the journal");
        let mut writer = fresh.store.begin_epoch(&system("directory"), at(4)).await.expect("begins");
        writer.accept(vec![account("ada")]).await.expect("takes facts");
        let why = leasehold_model::fact::Completeness::Partial { why: "x".repeat(500_000) };
        writer.finish(why, at(4)).await.expect("finishes");
    }
}
