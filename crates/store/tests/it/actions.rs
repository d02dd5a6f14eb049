//! Applying a plan: begun once, held by guards, stepped with fencing, every step in the ledger.

use std::collections::BTreeMap;

use leasehold_ledger::entry::Entry;
use leasehold_model::action::ActionState::{
    self, Acknowledged, Approved, Contradicted, Planned, Sent, Stuck, Verified,
};
use leasehold_model::id::{ActionId, EpochId};
use leasehold_model::plan::{Guard, GuardKind, Plan, StateFingerprint, Verb};
use leasehold_store::{Store, StoreError, Transition, TransitionOutcome};

use crate::common::*;

fn guard(name: &str, holds: &[&str]) -> Guard {
    Guard {
        name: name.to_owned(),
        kind: GuardKind::BlastRadius,
        system: system("directory"),
        message: "30% of the grants would end".to_owned(),
        way_on: "adopt a baseline".to_owned(),
        holds: holds.iter().map(|id| ActionId::from(*id)).collect(),
    }
}

fn guarded_plan() -> Plan {
    let items = vec![
        item("free", Verb::Revoke, "ada", Some("staff")),
        item("held", Verb::Revoke, "bo", Some("staff")),
        item("twice", Verb::Revoke, "cy", Some("staff")),
    ];
    plan(
        items,
        vec![
            guard("blast_radius:directory", &["held", "twice"]),
            guard("last_administrator:directory", &["twice"]),
        ],
    )
}

async fn states(store: &Store, plan: &Plan) -> Vec<ActionState> {
    store.actions(&plan.hash).await.expect("reads").iter().map(|row| row.state).collect()
}

async fn entries(store: &Store) -> Vec<Entry> {
    let entries = store.ledger_entries(0, usize::MAX >> 1).await.expect("reads");
    entries.iter().map(|(_, bytes)| Entry::from_bytes(bytes).expect("an entry")).collect()
}

on_both! {
    async fn a_plan_is_begun_once_and_its_guards_hold(fresh: &Fresh) {
        let plan = guarded_plan();
        let rows = fresh.store.begin_apply(&plan, &[], "ops@example.com", at(1)).await.expect("begins");
        assert_eq!(rows.iter().map(|row| row.state).collect::<Vec<_>>(), [Approved, Planned, Planned]);
        assert_eq!(rows.iter().map(|row| row.item.clone()).collect::<Vec<_>>(), plan.items);
        let length = fresh.store.ledger_len().await.expect("reads");
        let again = fresh.store.begin_apply(&plan, &[], "ops@example.com", at(2)).await.expect("begins");
        assert_eq!(again, rows);
        assert_eq!(fresh.store.ledger_len().await.expect("reads"), length, "nothing new happened");
        let unfinished = fresh.store.unfinished_actions().await.expect("reads");
        assert_eq!(unfinished.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["free"]);

        match fresh.store.begin_apply(&plan, &["blast_radius:crm".to_owned()], "ops", at(3)).await {
            Err(error @ StoreError::UnknownGuard { .. }) => {
                assert!(error.to_string().contains("blast_radius:directory, last_administrator:directory"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        // One of two guards lets go: what only it held goes on.
        fresh.store.begin_apply(&plan, &["blast_radius:directory".to_owned()], "ops", at(4)).await.expect("begins");
        assert_eq!(states(&fresh.store, &plan).await, [Approved, Approved, Planned]);
        fresh.store.begin_apply(&plan, &["last_administrator:directory".to_owned()], "ops", at(5)).await.expect("begins");
        assert_eq!(states(&fresh.store, &plan).await, [Approved, Approved, Approved]);
        let kinds: Vec<String> = entries(&fresh.store).await.into_iter().map(|entry| entry.kind).collect();
        assert_eq!(kinds, [
            "plan.created", "action.transition", "guard.overridden", "action.transition", "guard.overridden",
            "action.transition",
        ]);
    }

    async fn a_plan_from_another_state_is_refused(fresh: &Fresh) {
        let first = sync(&fresh.store, vec![account("ada")], complete(), 1).await;
        let with = |epoch: EpochId, policy: &str| {
            let systems = BTreeMap::from([(system("directory"), epoch)]);
            let state = StateFingerprint { systems, policy: policy.to_owned(), claims: String::new() };
            Plan::seal(state, vec![item("a", Verb::Revoke, "ada", Some("staff"))], Vec::new(), Vec::new())
        };
        let stale = with(EpochId(first.summary.id.0 - 1), "");
        match fresh.store.begin_apply(&stale, &[], "ops", at(2)).await {
            Err(error @ StoreError::PlanMoved { .. }) => assert!(error.to_string().contains("directory"), "{error}"),
            other => panic!("{other:?}"),
        }
        assert!(fresh.store.actions(&stale.hash).await.expect("reads").is_empty());
        assert!(fresh.store.latest_plan().await.expect("reads").is_none(), "nothing of it was kept");

        let fit = with(first.summary.id, "digest");
        fresh.store.begin_apply(&fit, &[], "ops", at(3)).await.expect("begins");
        fresh.store.apply_policy(BTreeMap::new(), "other", "ops", at(4)).await.expect("applies");
        sync(&fresh.store, vec![account("bo")], complete(), 5).await;
        fresh.store.begin_apply(&fit, &[], "ops", at(6)).await.expect("a run that has begun goes on");
        let after_policy = with(fresh.store.systems().await.expect("reads")[0].generation, "digest");
        assert!(matches!(
            fresh.store.begin_apply(&after_policy, &[], "ops", at(7)).await,
            Err(StoreError::PlanMoved { .. })
        ));

        let mut edited = fit.clone();
        edited.items.clear();
        assert!(matches!(fresh.store.save_plan(&edited, at(8)).await, Err(StoreError::PlanChanged { .. })));
    }

    async fn steps_that_come_together_are_made_in_their_order(fresh: &Fresh) {
        let facts = vec![account("ada"), account("bo"), entitlement("staff"), grant("ada", "staff"), grant("bo", "staff")];
        sync(&fresh.store, facts, complete(), 1).await;
        let items = vec![
            item("a", Verb::Revoke, "ada", Some("staff")),
            item("b", Verb::Revoke, "bo", Some("staff")),
            item("c", Verb::Revoke, "cy", Some("staff")),
        ];
        let plan = plan(items, Vec::new());
        fresh.store.begin_apply(&plan, &[], "ops", at(1)).await.expect("begins");
        let length = fresh.store.ledger_len().await.expect("reads");
        let detail = serde_json::json!({"said": "it's \"done\", \u{1f512}\n"});
        let steps = [
            step(&plan, "a", Approved, Sent, 2),
            Transition { detail: detail.clone(), ..step(&plan, "a", Sent, Acknowledged, 3) },
            step(&plan, "b", Sent, Acknowledged, 3),
            step(&plan, "b", Approved, Sent, 4),
            step(&plan, "c", Approved, Verified, 4),
            step(&plan, "d", Approved, Sent, 4),
            Transition { observed: vec![absent("ada", "staff")], ..step(&plan, "a", Acknowledged, Verified, 5) },
            step(&plan, "b", Sent, Contradicted, 5),
        ];
        // None is waited for before all of them were begun.
        let begun: Vec<_> = steps.iter().map(|step| fresh.store.begin_transition(step)).collect();
        let mut outcomes = Vec::new();
        for begun in begun {
            outcomes.push(begun.lasting().await);
        }
        let made: Vec<u64> = outcomes.iter().filter_map(|outcome| match outcome {
            Ok(TransitionOutcome::Done { ledger_index }) => Some(ledger_index - length),
            _ => None,
        }).collect();
        // What was read back has an entry of its own before the step's.
        assert_eq!(made, [0, 1, 2, 4, 5], "{outcomes:?}");
        assert!(matches!(outcomes[2], Ok(TransitionOutcome::Moved { actual: Approved })), "{outcomes:?}");
        assert!(matches!(outcomes[4], Err(StoreError::Transition { .. })), "{outcomes:?}");
        assert!(matches!(outcomes[5], Err(StoreError::UnknownAction { .. })), "{outcomes:?}");
        assert_eq!(fresh.store.ledger_len().await.expect("reads"), length + 6);
        assert_eq!(states(&fresh.store, &plan).await, [Verified, Contradicted, Approved]);
        let rows = fresh.store.actions(&plan.hash).await.expect("reads");
        let times = |row: &leasehold_store::ActionRow| (row.attempts, row.sent_at, row.read_back_at);
        assert_eq!(times(&rows[0]), (1, Some(at(2)), Some(at(5))));
        assert_eq!(times(&rows[2]), (0, None, None));
        let walked = fresh.store.transitions(&plan.hash, &rows[0].id).await.expect("reads");
        let states: Vec<_> = walked.iter().map(|step| step.to).collect();
        assert_eq!(states, [Approved, Sent, Acknowledged, Verified]);
        assert_eq!(walked[2].detail, detail);
        let entries = entries(&fresh.store).await;
        let times: Vec<&str> = entries[length as usize..].iter().map(|entry| entry.at.as_str()).collect();
        assert_eq!(times, [2, 3, 4, 5, 5, 5].map(|minute| at(minute).to_string()));
    }

    async fn an_action_goes_from_state_to_state(fresh: &Fresh) {
        sync(&fresh.store, vec![account("ada"), entitlement("staff"), grant("ada", "staff")], complete(), 1).await;
        let plan = plan(vec![item("a", Verb::Revoke, "ada", Some("staff"))], Vec::new());
        fresh.store.begin_apply(&plan, &[], "ops", at(1)).await.expect("begins");
        let row = async || fresh.store.actions(&plan.hash).await.expect("reads").remove(0);

        make(&fresh.store, step(&plan, "a", Approved, Sent, 2)).await;
        assert_eq!((row().await.attempts, row().await.sent_at), (1, Some(at(2))));
        make(&fresh.store, step(&plan, "a", Sent, Acknowledged, 3)).await;
        let mut contradicted = step(&plan, "a", Acknowledged, Contradicted, 4);
        contradicted.reason = Some("ada still holds it; ada@example.com may log in".to_owned());
        contradicted.next_attempt_at = Some(at(9));
        contradicted.detail = serde_json::json!({"read": {"direct": true}, "share": 0.5});
        make(&fresh.store, contradicted).await;
        let now = row().await;
        assert_eq!((now.state, now.next_attempt_at, now.read_back_at), (Contradicted, Some(at(9)), Some(at(4))));
        assert_eq!((now.ledger_index, now.reason.as_deref().map(|text| &text[..9])), (None, Some("ada still")));
        make(&fresh.store, step(&plan, "a", Contradicted, Sent, 9)).await;

        // A read-back from before the sending proves nothing.
        let early = step(&plan, "a", Sent, Verified, 8);
        assert!(matches!(fresh.store.transition(&early).await, Err(StoreError::ReadBackTooOld { .. })));
        let verified = Transition { observed: vec![absent("ada", "staff")], ..step(&plan, "a", Sent, Verified, 10) };
        let index = make(&fresh.store, verified).await;
        let now = row().await;
        assert_eq!((now.state, now.attempts, now.ledger_index), (Verified, 2, Some(index)));
        assert_eq!(now.read_back_at, Some(at(10)));
        assert!(grants(&fresh.store.snapshot(None).await.expect("reads")).is_empty());
        assert!(fresh.store.unfinished_actions().await.expect("reads").is_empty());

        let journal = fresh.store.transitions(&plan.hash, &ActionId::from("a")).await.expect("reads");
        let steps: Vec<_> = journal.iter().map(|step| (step.from, step.to)).collect();
        assert_eq!(steps, [
            (Planned, Approved), (Approved, Sent), (Sent, Acknowledged), (Acknowledged, Contradicted),
            (Contradicted, Sent), (Sent, Verified),
        ]);
        assert_eq!(journal[3].detail["read"]["direct"], true);
        assert_eq!(journal[5].ledger_index, index);

        // Every step is an entry, and none says who it is about.
        let entries = entries(&fresh.store).await;
        for step in &journal {
            let entry = &entries[step.ledger_index as usize];
            assert_eq!((entry.kind.as_str(), entry.subject.as_str()), ("action.transition", "a"));
            assert_eq!(entry.body["to"], step.to.as_str());
        }
        let (_, bytes) = fresh.store.ledger_entries(journal[3].ledger_index, 1).await.expect("reads").remove(0);
        let text = String::from_utf8(bytes).expect("text");
        // Not `ada` alone, which the digits of a hash may spell.
        assert!(!text.contains("ada ") && !text.contains("\"ada") && !text.contains("ada@"), "{text}");
        let contradicted = &entries[journal[3].ledger_index as usize];
        assert_eq!(contradicted.body["to"], "contradicted");
        let openings = fresh.store.ledger_openings(journal[3].ledger_index).await.expect("reads");
        assert_eq!(Some(&openings["reason"].value), journal[3].reason.as_ref());
        assert!(fresh.store.erase_openings("ada@example.com").await.expect("erases") > 0);
        let openings = fresh.store.ledger_openings(journal[3].ledger_index).await.expect("reads");
        assert!(!openings.contains_key("reason"), "what named an erased identity is erased, too");
        assert_eq!(entries[index as usize - 1].kind, "action.read_back");
    }

    async fn a_step_from_another_state_changes_nothing(fresh: &Fresh) {
        let plan = plan(vec![item("a", Verb::Revoke, "ada", Some("staff"))], Vec::new());
        fresh.store.begin_apply(&plan, &[], "ops", at(1)).await.expect("begins");
        make(&fresh.store, step(&plan, "a", Approved, Sent, 2)).await;
        let length = fresh.store.ledger_len().await.expect("reads");
        let late = fresh.store.transition(&step(&plan, "a", Approved, Sent, 3)).await.expect("answers");
        assert_eq!(late, TransitionOutcome::Moved { actual: Sent });
        let leap = fresh.store.transition(&step(&plan, "a", Planned, Sent, 3)).await;
        assert!(matches!(leap, Err(StoreError::Transition { .. })));
        let unknown = fresh.store.transition(&step(&plan, "b", Approved, Sent, 3)).await;
        assert!(matches!(unknown, Err(StoreError::UnknownAction { .. })));
        assert_eq!(fresh.store.ledger_len().await.expect("reads"), length);
        assert_eq!(fresh.store.actions(&plan.hash).await.expect("reads")[0].attempts, 1);
    }

    async fn of_many_at_once_one_makes_the_step(fresh: &Fresh) {
        let plan = plan(vec![item("a", Verb::Revoke, "ada", Some("staff"))], Vec::new());
        fresh.store.begin_apply(&plan, &[], "ops", at(1)).await.expect("begins");
        let mut tries = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (store, step) = (fresh.store.clone(), step(&plan, "a", Approved, Sent, 2));
            tries.spawn(async move { store.transition(&step).await.expect("answers") });
        }
        let outcomes = tries.join_all().await;
        let made = outcomes.iter().filter(|outcome| matches!(outcome, TransitionOutcome::Done { .. })).count();
        assert_eq!(made, 1, "{outcomes:?}");
        assert_eq!(fresh.store.actions(&plan.hash).await.expect("reads")[0].attempts, 1);
    }

    async fn a_stuck_action_begins_anew_when_a_person_says_so(fresh: &Fresh) {
        let plan = plan(vec![item("a", Verb::Revoke, "ada", Some("staff"))], Vec::new());
        fresh.store.begin_apply(&plan, &[], "ops", at(1)).await.expect("begins");
        make(&fresh.store, step(&plan, "a", Approved, Sent, 2)).await;
        let index = make(&fresh.store, step(&plan, "a", Sent, Stuck, 3)).await;
        let stuck = fresh.store.stuck_actions().await.expect("reads");
        assert_eq!((stuck.len(), stuck[0].ledger_index), (1, Some(index)));
        make(&fresh.store, step(&plan, "a", Stuck, Approved, 4)).await;
        assert!(fresh.store.stuck_actions().await.expect("reads").is_empty());
        let row = &fresh.store.unfinished_actions().await.expect("reads")[0];
        assert_eq!((row.attempts, row.ledger_index), (0, None));
    }
}
