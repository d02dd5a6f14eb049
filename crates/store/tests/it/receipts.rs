//! Receipts: due once something was done and nothing is under way, written of what is so at that instant, and erased with what
//! they name.

use leasehold_ledger::entry::Entry;
use leasehold_model::action::ActionState::{Acknowledged, Approved, Contradicted, Sent, Stuck, Verified};
use leasehold_model::id::IdentityKey;
use leasehold_model::plan::Verb;
use leasehold_model::receipt::{ActionReceipt, EndedAccess, OffboardingStatement, ReceiptTally};
use leasehold_store::{ActionAbout, NewLeaving, Store};

use crate::common::*;

const ADA: &str = "Ada@example.com";

fn about(identity: &str) -> Vec<IdentityKey> {
    vec![identity.into()]
}

fn statement(seen: &[ActionAbout], minute: i64) -> OffboardingStatement {
    let ended = |about: &ActionAbout| {
        EndedAccess::new(ActionReceipt::from(&about.row), &about.row.item, about.seen.clone())
    };
    OffboardingStatement {
        identity: ADA.into(),
        written_at: at(minute),
        written_by: "dana@example.com".to_owned(),
        left_at: Some(at(1)),
        decided_by: None,
        items: seen.iter().map(ended).collect(),
        remaining: Vec::new(),
        accounts: Vec::new(),
        successors: [("svc-backup".into(), "dana@example.com".into())].into(),
        readings: Vec::new(),
    }
}

async fn settled(store: &Store) -> Vec<String> {
    let settled = store.settled_identities(at(100)).await.expect("reads");
    settled.into_iter().map(|settled| settled.identity.to_string()).collect()
}

on_both! {
    async fn a_receipt_is_due_when_nothing_is_under_way(fresh: &Fresh) {
        let store = &fresh.store;
        let whose = |id: &str, identity: &str| {
            let mut item = item(id, Verb::Revoke, id, Some("staff"));
            item.identity = Some(identity.into());
            item
        };
        let plan = plan(vec![whose("one", ADA), whose("two", "ada@EXAMPLE.com"), whose("other", "bo@example.com")], vec![]);
        assert_eq!(settled(store).await, [""; 0]);
        store.begin_apply(&plan, &[], "ops@example.com", at(2)).await.expect("begins");
        assert_eq!(settled(store).await, [""; 0], "everything is under way");
        for (from, to, minute) in [(Approved, Sent, 3), (Sent, Acknowledged, 4), (Acknowledged, Verified, 5)] {
            make(store, step(&plan, "one", from, to, minute)).await;
            make(store, step(&plan, "other", from, to, minute)).await;
        }
        assert_eq!(settled(store).await, ["bo@example.com"], "half of what is Ada's is under way");
        for (from, to, minute) in [(Approved, Sent, 3), (Sent, Contradicted, 4), (Contradicted, Stuck, 5)] {
            make(store, step(&plan, "two", from, to, minute)).await;
        }
        let all = store.settled_identities(at(100)).await.expect("reads");
        assert_eq!(settled(store).await, ["ada@example.com", "bo@example.com"]);

        // Where something moved since it was looked at, nothing is written.
        let seen = store.actions_about(&about(ADA)).await.expect("reads");
        assert_eq!(seen.iter().map(|about| about.row.id.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        assert!(seen.iter().all(|about| about.begun_at == at(2)));
        make(store, step(&plan, "two", Stuck, Approved, 6)).await;
        assert_eq!(settled(store).await, ["bo@example.com"]);
        let length = store.ledger_len().await.expect("reads");
        let refused = store.write_receipt(&statement(&seen, 7), &about(ADA), &seen).await.expect("asks");
        assert_eq!((refused, store.ledger_len().await.expect("reads")), (None, length));
        // One that is written while something is under way leaves what becomes of that to be told.
        let seen = store.actions_about(&about(ADA)).await.expect("reads");
        store.write_receipt(&statement(&seen, 7), &about(ADA), &seen).await.expect("writes").expect("one");
        // What was begun meanwhile stays due, whoever has looked before.
        make(store, step(&plan, "two", Approved, Stuck, 7)).await;
        store.need_no_receipt(&all).await.expect("forgets");
        assert_eq!(settled(store).await, ["ada@example.com"]);

        let seen = store.actions_about(&about("ada@example.com")).await.expect("reads");
        let written = store.write_receipt(&statement(&seen, 8), &about(ADA), &seen).await.expect("writes").expect("one");
        let tally = ReceiptTally { verified: 1, void: 0, not_verified: 1, remaining: 0, unread: 0 };
        assert_eq!((written.identity.as_str(), written.tally, written.written_at), ("ada@example.com", tally, at(8)));
        assert_eq!(settled(store).await, [""; 0]);
        let second = store.write_receipt(&statement(&seen, 9), &about(ADA), &seen).await.expect("writes").expect("one");
        assert_eq!(store.receipts(&ADA.into()).await.expect("reads")[..2], [second.clone(), written.clone()]);
        assert_eq!(store.receipts(&"bo@example.com".into()).await.expect("reads"), []);
        assert_eq!(store.receipt(written.id).await.expect("reads"), Some(written.clone()));
        assert_eq!(store.receipt(99).await.expect("reads"), None);

        // The entry commits to all of it, and tells nobody whom it is about.
        let (_, bytes) = store.ledger_entries(written.ledger_index, 1).await.expect("reads").remove(0);
        let entry = Entry::from_bytes(&bytes).expect("an entry");
        assert_eq!((entry.kind.as_str(), entry.body["verified"].as_i64()), ("receipt.written", Some(1)));
        assert!(!String::from_utf8_lossy(&bytes).contains("da@"));
        let said = store.receipt_statement(&written).await.expect("reads").expect("what it says");
        assert!(said.matches(&entry.commitments["statement"]));
        let read: OffboardingStatement = serde_json::from_str(&said.value).expect("a statement");
        assert_eq!(read, statement(&seen, 8));
        let actions: Vec<_> = read.items.iter().map(|item| (item.action.plan.clone(), item.action.id.clone())).collect();
        let proved = store.ledger_indexes_before(&actions, written.ledger_index).await.expect("reads");
        assert_eq!(proved.len(), 4 + 6, "approved, and every step since");
        assert_eq!(store.ledger_indexes_before(&actions, proved[3]).await.expect("reads"), proved[..3]);

        // What names somebody is erased with them, however they are spelled; the entry stays. What only has the same letters in
        // it is no name of theirs.
        store.erase_openings("backup").await.expect("erases");
        assert!(store.receipt_statement(&written).await.expect("reads").is_some());
        store.erase_openings("ADA@example.com").await.expect("erases");
        assert_eq!(store.receipt_statement(&written).await.expect("reads"), None);
        let left = store.ledger_openings(written.ledger_index).await.expect("reads");
        assert_eq!(left.keys().collect::<Vec<_>>(), ["by"]);
        let another = store.write_receipt(&statement(&[], 10), &about(ADA), &seen).await.expect("writes").expect("one");
        store.erase_openings("svc-backup").await.expect("erases");
        assert_eq!(store.receipt_statement(&another).await.expect("reads"), None);
    }

    async fn since_when_somebody_has_left_is_kept_until_they_return(fresh: &Fresh) {
        let store = &fresh.store;
        let new = |identity: &str, minute: i64, is_news: bool| NewLeaving {
            identity: identity.into(), since: at(minute), is_news,
        };
        store.note_leavings(&[new(ADA, 5, true), new("bo@example.com", 5, false)], &[], at(20)).await.expect("notes");
        let ada = async || store.leaving(&ADA.into()).await.expect("reads");
        assert_eq!(ada().await, Some(at(5)));
        // Later words move it never to a later instant.
        store.note_leavings(&[new(ADA, 9, true)], &[], at(21)).await.expect("notes");
        assert_eq!(ada().await, Some(at(5)));
        store.note_leavings(&[new(ADA, 3, false)], &[], at(21)).await.expect("notes");
        assert_eq!(store.leavings().await.expect("reads")["ada@example.com"], at(3));
        // Whose leaving is news has a receipt to come, if nothing is begun before.
        let due = async |minute| store.settled_identities(at(minute)).await.expect("reads");
        assert_eq!(due(19).await, []);
        let settled = due(20).await;
        assert_eq!(settled.iter().map(|settled| settled.identity.as_str()).collect::<Vec<_>>(), ["ada@example.com"]);
        store.receipt_later(&settled[0], at(30)).await.expect("waits");
        assert_eq!(due(29).await, []);
        assert_eq!(due(30).await, settled);
        store.note_leavings(&[], &[ADA.into()], at(40)).await.expect("notes");
        assert_eq!(ada().await, None);
    }
}
