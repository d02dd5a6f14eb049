//! What webhooks are told: the names of events, and which entry of the ledger is which event.
//!
//! A message carries ids, states and numbers. Who somebody is and what a target said is not sent: whoever may know it asks
//! the API with the ids.

use leasehold_ledger::entry::Entry;
use leasehold_model::event::EventKind;
use leasehold_store::Message;
use serde_json::{Map, Value, json};

macro_rules! events {
    ($($(#[doc = $about:literal])+ $text:literal),+ $(,)?) => {
        /// The name of every event that a webhook can ask for, with what it means.
        pub(crate) const EVENTS: &[(&str, &str)] = &[$(($text, concat!($($about),+)),)+];
    };
}

events! {
    /// An action may be carried out: no guard holds it.
    "action.approved",
    /// An action is about to be sent to its system.
    "action.sent",
    /// The system accepted it, which ends nothing yet.
    "action.acknowledged",
    /// A read-back showed that it holds.
    "action.verified",
    /// A read-back showed the opposite; it is tried again.
    "action.contradicted",
    /// It waits for a person.
    "action.stuck",
    /// It was accepted, and the system cannot be asked whether it holds.
    "action.unverifiable",
    /// Facts moved first, and nothing was sent.
    "action.void",
    /// Access that was there was given a reason that ends.
    "baseline.adopted",
    /// A baseline was ended before its time.
    "baseline.ended",
    /// A person decided that somebody leaves.
    "departure.recorded",
    /// That was taken back.
    "departure.rescinded",
    /// Somebody overrode a guard by name.
    "guard.overridden",
    /// A plan was made; what a guard holds of it, or policy does not close by itself, waits for a person.
    "plan.created",
    /// A policy revision became the live one.
    "policy.applied",
    /// A system was read, and absence counted.
    "reading.complete",
    /// A system could not be read, or not to its end: nothing is ended by what was not told.
    "reading.partial",
    /// A webhook was disabled, because its receiver took nothing for days or is gone.
    "webhook.disabled",
}

/// The event that is sent when somebody asks for a test.
pub(crate) const TEST: &str = "webhook.test";

/// Fields of an entry that are told. What is not here stays: free text of targets, counts of no use.
const TOLD: &[(EventKind, &[&str])] = &[
    (EventKind::ActionTransition, &["action", "plan", "verb", "system", "from", "to"]),
    (EventKind::BaselineAdopted, &["system", "epoch", "until"]),
    (EventKind::BaselineEnded, &["system", "epoch", "until"]),
    (EventKind::DepartureRecorded, &["plan"]),
    (EventKind::DepartureRescinded, &["plan"]),
    (EventKind::GuardOverridden, &["plan", "guard", "items"]),
    (EventKind::PlanCreated, &["plan", "items", "left_alone", "guards"]),
    (EventKind::PolicyApplied, &["revision", "digest"]),
    (EventKind::EpochEnded, &["system", "epoch", "facts", "problems"]),
    (EventKind::WebhookChanged, &["webhook"]),
];

/// What an entry of the ledger is told as; `None` where webhooks are not told of it.
pub(crate) fn message(index: u64, bytes: &[u8]) -> Option<Message> {
    let entry = Entry::from_bytes(bytes).ok()?;
    let (kind, fields) = TOLD.iter().find(|(kind, _)| kind.as_str() == entry.kind)?;
    let name = match kind {
        EventKind::ActionTransition => format!("action.{}", entry.body["to"].as_str()?),
        EventKind::EpochEnded => format!("reading.{}", entry.body["completeness"].as_str()?),
        EventKind::WebhookChanged => format!("webhook.{}", entry.body["change"].as_str()?),
        kind => kind.as_str().to_owned(),
    };
    let (event, _) = EVENTS.iter().find(|(known, _)| *known == name)?;
    let mut data = Map::from_iter([("entry".to_owned(), json!(index))]);
    for field in *fields {
        if let Some(value) = entry.body.get(*field) {
            data.insert((*field).to_owned(), value.clone());
        }
    }
    Some(Message { event, body: body(event, &entry.at, Value::Object(data)) })
}

/// What is sent when somebody asks for a test.
pub(crate) fn test_message(webhook: &str, now: jiff::Timestamp) -> Message {
    Message { event: TEST, body: body(TEST, &now.to_string(), json!({ "webhook": webhook })) }
}

/// The members that the specification names, in its order.
fn body(event: &str, at: &str, data: Value) -> String {
    json!({ "type": event, "timestamp": at, "data": data }).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use leasehold_model::action::ActionState;

    use super::*;

    fn entry(kind: EventKind, body: Value) -> Vec<u8> {
        let entry = Entry {
            kind: kind.as_str().to_owned(),
            at: "2026-01-31T09:30:00Z".to_owned(),
            subject: "s".to_owned(),
            body,
            commitments: BTreeMap::new(),
        };
        entry.to_bytes().unwrap()
    }

    #[test]
    fn every_state_of_an_action_that_it_can_come_to_is_an_event() {
        for state in ActionState::ALL.iter().filter(|state| **state != ActionState::Planned) {
            let bytes = entry(EventKind::ActionTransition, json!({ "action": "a", "to": state.as_str() }));
            let message = message(7, &bytes).unwrap_or_else(|| panic!("no event for {state}"));
            assert_eq!(message.event, format!("action.{state}"));
        }
    }

    #[test]
    fn ids_and_numbers_are_told_and_texts_of_targets_are_not() {
        let body = json!({ "system": "hr", "epoch": 4, "completeness": "partial", "detail": "dana's file", "facts": 9 });
        let told = message(12, &entry(EventKind::EpochEnded, body)).unwrap();
        assert_eq!(told.event, "reading.partial");
        assert_eq!(
            told.body,
            r#"{"type":"reading.partial","timestamp":"2026-01-31T09:30:00Z","data":{"entry":12,"system":"hr","epoch":4,"facts":9}}"#
        );
        for (kind, body) in [
            (EventKind::SignedIn, json!({})),
            (EventKind::WebhookChanged, json!({ "webhook": "w", "change": "created" })),
            (EventKind::WebhookChanged, json!({ "webhook": "w", "change": "test" })),
        ] {
            assert_eq!(message(1, &entry(kind, body)), None);
        }
        assert_eq!(message(1, b"nonsense"), None);
    }

    #[test]
    fn every_name_is_there_once_and_says_what_it_means() {
        let names: std::collections::BTreeSet<&str> = EVENTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), EVENTS.len());
        assert!(EVENTS.iter().all(|(_, about)| about.trim().ends_with('.')), "{EVENTS:?}");
    }
}
