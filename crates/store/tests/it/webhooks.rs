//! Deliveries to webhooks: they follow from the ledger, each once, and one process has each at a time.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_ledger::entry::Entry;
use leasehold_model::event::EventKind;
use leasehold_store::{
    AttemptEnd, Delivery, DeliveryState, Event, Message, NewWebhook, Store, WEBHOOKS_MAX, Webhook,
    WebhookChange, WebhookState,
};

use crate::common::*;

/// Tells of plans only, under one name.
fn message(index: u64, bytes: &[u8]) -> Option<Message> {
    let entry = Entry::from_bytes(bytes).expect("an entry");
    (entry.kind == "plan.created")
        .then(|| Message { event: "plan.created", body: format!("{{\"entry\":{index}}}") })
}

async fn webhook(store: &Store, id: &str, events: &[&str], minute: i64) -> Webhook {
    let new = NewWebhook {
        id: id.to_owned(),
        url: format!("https://{id}.example.com"),
        description: String::new(),
        events: events.iter().map(|event| (*event).to_owned()).collect(),
        secret: "sealed".to_owned(),
    };
    store.create_webhook(&new, "dana@example.com", at(minute)).await.expect("makes").expect("not too many")
}

async fn record(store: &Store, subject: &str) {
    let event = Event {
        kind: EventKind::PlanCreated,
        subject: subject.to_owned(),
        body: serde_json::json!({}),
        personal: BTreeMap::new(),
    };
    store.record(event, at(1)).await.expect("records");
}

async fn queue(store: &Store) {
    while store.queue_deliveries(message, at(2)).await.expect("queues") {}
}

async fn all(store: &Store, webhook: &str) -> Vec<Delivery> {
    let mut deliveries = store.deliveries(webhook, None, None, 10_000).await.expect("reads");
    deliveries.reverse();
    deliveries
}

fn set(state: WebhookState) -> WebhookChange {
    WebhookChange { state: Some(state), ..WebhookChange::default() }
}

on_both! {
    async fn what_is_recorded_is_queued_once_for_each_that_wants_it(fresh: &Fresh) {
        let store = &fresh.store;
        record(store, "before").await;
        webhook(store, "all", &[], 1).await;
        webhook(store, "plans", &["plan.created"], 1).await;
        webhook(store, "other", &["action.stuck"], 1).await;
        // More than one step along the ledger.
        for number in 0..520 {
            record(store, &number.to_string()).await;
        }
        // Several processes at once.
        tokio::join!(queue(store), queue(store), queue(store), queue(store));
        let plans = all(store, "plans").await;
        let entries: BTreeSet<u64> = plans.iter().filter_map(|delivery| delivery.entry).collect();
        assert_eq!((plans.len(), entries.len()), (520, 520));
        let order: Vec<_> = plans.iter().map(|delivery| delivery.entry).collect();
        assert!(order.is_sorted(), "ids sort as they were recorded");
        assert_eq!(plans[0].body, format!("{{\"entry\":{}}}", plans[0].entry.expect("an entry")));
        assert_eq!(all(store, "all").await.len(), 520, "nothing of what was there before it");
        assert_eq!(all(store, "other").await, []);
    }

    async fn one_process_has_a_delivery_at_a_time_and_who_was_overtaken_ends_nothing(fresh: &Fresh) {
        let store = &fresh.store;
        webhook(store, "w", &[], 1).await;
        for number in 0..4 {
            record(store, &number.to_string()).await;
        }
        queue(store).await;
        let claim = |by: &'static str| async move {
            store.claim_delivery("w", by, at(3), at(4)).await.expect("claims")
        };
        let (a, b, c, d) = tokio::join!(claim("a"), claim("b"), claim("c"), claim("d"));
        let claimed: Vec<Delivery> = [a, b, c, d].into_iter().flatten().collect();
        let ids: BTreeSet<&str> = claimed.iter().map(|delivery| delivery.id.as_str()).collect();
        assert_eq!((claimed.len(), ids.len()), (4, 4));
        assert_eq!(claim("e").await, None);
        // The claims pass; who was overtaken can say nothing any more.
        let again = store.claim_delivery("w", "f", at(4), at(5)).await.expect("claims").expect("is free again");
        let first = claimed.iter().find(|delivery| delivery.id == again.id).expect("known");
        assert_eq!((first.attempts, again.attempts), (1, 2));
        let taken = AttemptEnd::Delivered { status: 204 };
        assert!(!store.end_attempt(first, &taken, at(4)).await.expect("notes"));
        assert!(store.end_attempt(&again, &taken, at(4)).await.expect("notes"));
        let known = store.delivery("w", &again.id).await.expect("reads").expect("is there");
        assert_eq!((known.state, known.status, known.ended_at), (DeliveryState::Delivered, Some(204), Some(at(4))));
        assert_eq!(store.webhook("w").await.expect("reads").expect("is there").delivered_at, Some(at(4)));
        // A message that somebody wants once more keeps its id and its words.
        assert!(store.redeliver("w", &again.id, at(6)).await.expect("queues"));
        let anew = store.delivery("w", &again.id).await.expect("reads").expect("is there");
        assert_eq!((anew.state, anew.attempts, &anew.body), (DeliveryState::Waiting, 0, &again.body));
        assert!(!store.redeliver("w", "msg_none", at(6)).await.expect("looks"));
    }

    async fn who_takes_nothing_for_long_or_is_gone_is_disabled_and_the_ledger_says_so(fresh: &Fresh) {
        let store = &fresh.store;
        for id in ["silent", "gone", "mixed"] {
            webhook(store, id, &[], 1).await;
        }
        for number in 0..2 {
            record(store, &number.to_string()).await;
        }
        queue(store).await;
        let end = |id: &'static str, end: AttemptEnd, minute: i64| async move {
            let claimed = store.claim_delivery(id, "a", at(minute), at(minute + 1)).await.expect("claims");
            assert!(store.end_attempt(&claimed.expect("is due"), &end, at(minute)).await.expect("notes"));
        };
        let again = AttemptEnd::Again { status: Some(503), error: "answered 503".to_owned(), at: at(20) };
        let failed = AttemptEnd::Failed { status: None, error: "no answer".to_owned() };
        end("silent", again, 3).await;
        assert_eq!(store.webhook("silent").await.expect("reads").expect("is there").state, WebhookState::Active);
        end("silent", failed.clone(), 4).await;
        end("gone", AttemptEnd::Gone { status: 410 }, 3).await;
        end("mixed", AttemptEnd::Delivered { status: 200 }, 3).await;
        end("mixed", failed, 4).await;
        let states: Vec<(String, WebhookState, bool)> = store.webhooks().await.expect("reads").into_iter()
            .map(|webhook| (webhook.id, webhook.state, webhook.reason.is_some())).collect();
        let expected = [("gone", WebhookState::Disabled, true), ("mixed", WebhookState::Active, false), ("silent", WebhookState::Disabled, true)];
        assert_eq!(states, expected.map(|(id, state, reason)| (id.to_owned(), state, reason)));
        // What waits is not sent to one that is disabled, and what happens meanwhile is not told it later.
        assert_eq!(store.claim_delivery("silent", "a", at(30), at(31)).await.expect("looks"), None);
        record(store, "meanwhile").await;
        queue(store).await;
        assert_eq!(all(store, "silent").await.len(), 2);
        store.change_webhook("silent", &set(WebhookState::Active), "dana@example.com", at(31)).await.expect("changes");
        record(store, "after").await;
        queue(store).await;
        assert_eq!(all(store, "silent").await.len(), 3);
        assert!(store.claim_delivery("silent", "a", at(32), at(33)).await.expect("claims").is_some());
        let entries = store.ledger_entries(0, 100).await.expect("reads");
        let disabled = entries.iter().map(|(_, bytes)| Entry::from_bytes(bytes).expect("an entry"))
            .filter(|entry| entry.kind == "webhook.changed" && entry.body["change"] == "disabled").count();
        assert_eq!(disabled, 2);
    }

    async fn there_are_not_too_many_and_what_was_deleted_is_gone(fresh: &Fresh) {
        let store = &fresh.store;
        for number in 0..WEBHOOKS_MAX {
            webhook(store, &format!("w{number:02}"), &[], 1).await;
        }
        let new = NewWebhook { id: "more".to_owned(), url: String::new(), description: String::new(), events: vec![], secret: String::new() };
        assert_eq!(store.create_webhook(&new, "dana@example.com", at(2)).await.expect("looks"), None);
        record(store, "one").await;
        queue(store).await;
        assert!(store.delete_webhook("w00", "dana@example.com", at(3)).await.expect("deletes"));
        assert!(!store.delete_webhook("w00", "dana@example.com", at(3)).await.expect("looks"));
        assert_eq!(store.delivery_counts().await.expect("reads")[&DeliveryState::Waiting], WEBHOOKS_MAX - 1);
        let last = store.claim_delivery("w01", "a", at(3), at(4)).await.expect("claims").expect("is due");
        store.end_attempt(&last, &AttemptEnd::Delivered { status: 200 }, at(3)).await.expect("notes");
        assert_eq!(store.forget_deliveries(at(4)).await.expect("forgets"), 1);
    }

    async fn a_secret_that_was_replaced_counts_until_its_instant(fresh: &Fresh) {
        let store = &fresh.store;
        webhook(store, "w", &[], 1).await;
        let rotate = |id: &'static str| store.rotate_webhook_secret(id, "sealed-2", at(60), "dana@example.com", at(2));
        assert!(rotate("w").await.expect("rotates"));
        assert!(!rotate("none").await.expect("looks"));
        let known = store.webhook("w").await.expect("reads").expect("is there");
        assert_eq!((&*known.secret, known.previous_secret), ("sealed-2", Some(("sealed".to_owned(), at(60)))));
    }
}
