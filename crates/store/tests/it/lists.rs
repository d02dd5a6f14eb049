//! What pages list: plans in short, actions by where they stand, and the course of drift.

use std::collections::BTreeMap;

use leasehold_model::action::ActionState::{self, Approved, Planned, Sent, Stuck, Verified};
use leasehold_model::decision::DriftKind;
use leasehold_model::id::ActionId;
use leasehold_model::plan::{Guard, GuardKind, Plan, Verb};
use leasehold_store::{ActionFilter, ActionOrder, Store, state_digest};

use crate::common::*;

fn held_plan() -> Plan {
    let items = vec![
        item("a", Verb::Revoke, "ada", Some("staff")),
        item("b", Verb::Revoke, "bo", Some("staff")),
        item("c", Verb::Grant, "cy", Some("staff")),
        item("d", Verb::DisableAccount, "di", None),
    ];
    let guard = Guard {
        name: "blast_radius:directory".to_owned(),
        kind: GuardKind::BlastRadius,
        system: system("directory"),
        message: "30% of the grants would end".to_owned(),
        way_on: "adopt a baseline".to_owned(),
        holds: vec![ActionId::from("d")],
    };
    plan(items, vec![guard])
}

async fn ids(store: &Store, filter: &ActionFilter, order: ActionOrder) -> Vec<String> {
    let rows = store.action_rows(filter, order, 0, 100).await.expect("reads");
    assert_eq!(store.action_count(filter).await.expect("reads"), rows.len() as u64);
    let counts = store.action_counts(filter).await.expect("reads");
    assert_eq!(counts.values().sum::<u64>(), rows.len() as u64);
    rows.into_iter().map(|row| row.id.0).collect()
}

on_both! {
    async fn plans_and_actions_are_listed(fresh: &Fresh) {
        let store = &fresh.store;
        let first = plan(vec![item("z", Verb::Revoke, "ada", Some("staff"))], Vec::new());
        store.save_plan(&first, at(1)).await.expect("saves");
        let second = held_plan();
        store.save_plan(&second, at(2)).await.expect("saves");
        let waiting = |rows: Vec<leasehold_store::PlanRow>| rows.into_iter().map(|row| row.hash).collect::<Vec<_>>();
        let digest = state_digest(&first.state);
        assert_eq!(waiting(store.waiting_plans(&digest, 9).await.expect("reads")), [second.hash.clone(), first.hash.clone()]);
        assert!(store.waiting_plans("another state", 9).await.expect("reads").is_empty());

        store.begin_apply(&second, &[], "ops@example.com", at(3)).await.expect("begins");
        for (action, steps) in [("a", vec![Sent, Verified]), ("b", vec![Sent, Stuck]), ("c", vec![Sent, Verified])] {
            let mut from = Approved;
            for to in steps {
                make(store, step(&second, action, from, to, 10)).await;
                from = to;
            }
        }
        let mut paged = Vec::new();
        let mut after = None;
        loop {
            let rows = store.actions_after(&ActionFilter::default(), after.as_ref(), 3).await.expect("reads");
            let Some(last) = rows.last() else { break };
            after = Some((last.plan.clone(), last.id.clone()));
            paged.extend(rows.into_iter().map(|row| row.id.0));
        }
        assert_eq!(paged, ["a", "b", "c", "d"], "a page of three, the rest, and no more");
        let stuck = ActionFilter { states: vec![Stuck], ..ActionFilter::default() };
        let rows = store.actions_after(&stuck, None, 3).await.expect("reads");
        assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["b"]);

        let times = store.revocation_times().await.expect("reads");
        let within: Vec<u64> = times.within_seconds.iter().map(|(_, number)| *number).collect();
        assert_eq!(times.number, 1, "a grant and what is stuck do not count");
        assert!(within.is_sorted() && within.last() == Some(&1) && times.sum_us > 0, "{times:?}");
        assert!(store.task_counts().await.expect("reads").is_empty());

        let rows = store.plan_rows(0, 10).await.expect("reads");
        assert_eq!(rows.iter().map(|row| row.hash.clone()).collect::<Vec<_>>(), [second.hash.clone(), first.hash.clone()]);
        let row = &rows[0];
        assert_eq!((row.items, row.left_alone, row.guards), (4, 0, 1));
        assert_eq!((row.held, row.on_the_way, row.stuck, row.verified), (1, 0, 1, 2));
        assert_eq!((row.begun_by.as_deref(), row.begun_at), (Some("ops@example.com"), Some(at(3))));
        assert_eq!((row.created_at, &row.state_digest), (at(2), &digest));
        assert_eq!(store.plan_row(&second.hash).await.expect("reads").as_ref(), Some(row));
        assert_eq!((rows[1].begun_at, rows[1].verified), (None, 0));
        assert_eq!(store.plan_rows(1, 1).await.expect("reads")[0].hash, first.hash);
        assert_eq!(store.plan_count().await.expect("reads"), 2);
        // Held by a guard: it waits, whatever the state is now.
        assert_eq!(waiting(store.waiting_plans("another state", 9).await.expect("reads")), std::slice::from_ref(&second.hash));

        let all = ActionFilter::default();
        assert_eq!(ids(store, &all, ActionOrder::Plan).await, ["a", "b", "c", "d"]);
        let of = |states: &[ActionState]| ActionFilter { states: states.to_vec(), ..ActionFilter::default() };
        assert_eq!(ids(store, &of(&[Stuck, Planned]), ActionOrder::Plan).await, ["b", "d"]);
        assert_eq!(ids(store, &of(&[Sent]), ActionOrder::Plan).await, Vec::<String>::new());
        assert_eq!(ids(store, &of(&[Stuck, Planned]), ActionOrder::NewestChange).await, ["b", "d"]);
        let elsewhere = ActionFilter { system: Some(system("crm")), ..ActionFilter::default() };
        assert!(ids(store, &elsewhere, ActionOrder::NewestChange).await.is_empty());
        let here = ActionFilter { system: Some(system("directory")), plan: Some(second.hash.clone()), states: vec![Verified] };
        assert_eq!(ids(store, &here, ActionOrder::NewestChange).await, ["a", "c"]);
        let counts = store.action_counts(&ActionFilter { plan: Some(second.hash.clone()), ..all.clone() }).await.expect("reads");
        assert_eq!(counts, BTreeMap::from([(Planned, 1), (Verified, 2), (Stuck, 1)]));
        assert_eq!(store.action_rows(&all, ActionOrder::Plan, 3, 1).await.expect("reads")[0].id.as_str(), "d");

        let action = store.action(&second.hash, &ActionId::from("b")).await.expect("reads").expect("is there");
        assert_eq!(action.state, Stuck);
        assert!(store.action(&first.hash, &ActionId::from("b")).await.expect("reads").is_none());

        // Only what takes access away, from its approval to its read-back.
        assert_eq!(store.revocation_times_ms(10).await.expect("reads"), [7 * 60_000]);
        let name = ["blast_radius:directory".to_owned()];
        store.begin_apply(&second, &name, "dana@example.com", at(20)).await.expect("begins");
        let overrides = store.guard_overrides(&second.hash).await.expect("reads");
        assert_eq!((overrides.len(), overrides[0].at, overrides[0].by.as_str()), (1, at(20), "dana@example.com"));
        make(store, step(&second, "d", Approved, Sent, 21)).await;
        make(store, step(&second, "d", Sent, Verified, 22)).await;
        assert_eq!(store.revocation_times_ms(10).await.expect("reads"), [2 * 60_000, 7 * 60_000]);
        assert_eq!(store.revocation_times_ms(1).await.expect("reads").len(), 1);
    }

    async fn of_each_hour_the_last_drift_is_kept(fresh: &Fresh) {
        let store = &fresh.store;
        let counts = |leaver: usize| BTreeMap::from([(DriftKind::Leaver, leaver), (DriftKind::Orphan, 1)]);
        store.keep_drift_sample(&counts(5), at(1)).await.expect("keeps");
        store.keep_drift_sample(&counts(3), at(59)).await.expect("keeps");
        store.keep_drift_sample(&BTreeMap::new(), at(60)).await.expect("keeps");
        let samples = store.drift_samples(at(0)).await.expect("reads");
        assert_eq!(samples.iter().map(|sample| (sample.hour, sample.total)).collect::<Vec<_>>(), [(at(0), 4), (at(60), 0)]);
        assert_eq!(samples[0].by_kind, BTreeMap::from([(DriftKind::Leaver, 3), (DriftKind::Orphan, 1)]));
        assert!(samples[1].by_kind.is_empty());
        assert_eq!(store.drift_samples(at(30)).await.expect("reads").len(), 1);
    }
}
