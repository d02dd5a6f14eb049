//! Durable tasks and schedules: claimed by one, taken over from the dead, coalesced while nobody has begun.

use std::collections::BTreeSet;

use jiff::Timestamp;
use leasehold_store::{
    NewTask, ReadingEnd, ReadingOutcome, Requested, Store, TaskClaim, TaskFilter, TaskRow, TaskState,
};
use serde_json::json;

use crate::common::*;

/// Work of a lane of its own for each subject.
fn reading(subject: &str) -> NewTask {
    NewTask {
        kind: "sync".to_owned(),
        subject: subject.to_owned(),
        lane: format!("sync {subject}"),
        arguments: json!({"system": subject}),
        requested_by: "schedule".to_owned(),
        not_before: at(0),
    }
}

/// Work that shares one lane.
fn applying(subject: &str) -> NewTask {
    NewTask { kind: "apply".to_owned(), lane: "apply".to_owned(), ..reading(subject) }
}

async fn request(store: &Store, task: &NewTask, minute: i64) -> String {
    store.request_task(task, at(minute)).await.expect("asks").id().to_owned()
}

async fn claim(store: &Store, by: &str, now: Timestamp, until: Timestamp) -> Option<TaskRow> {
    store.claim_task(&["apply", "sync"], &[], by, now, until).await.expect("claims")
}

async fn state(store: &Store, id: &str) -> TaskState {
    store.task(id).await.expect("reads").expect("a task").state
}

async fn end(store: &Store, claim: &TaskClaim, minute: i64) -> bool {
    store.end_task(claim, Ok(&json!({"facts": 3})), at(minute)).await.expect("ends")
}

on_both! {
    async fn of_many_at_once_one_has_a_task(fresh: &Fresh) {
        for number in 0..20 {
            request(&fresh.store, &reading(&format!("system-{number}")), 0).await;
            request(&fresh.store, &applying(&format!("plan-{number}")), 0).await;
        }
        let claimers = (0..8).map(|number| {
            let store = fresh.store.clone();
            tokio::spawn(async move {
                let mut claimed = Vec::new();
                while let Some(task) = claim(&store, &format!("process {number}"), at(1), at(2)).await {
                    claimed.push(task);
                }
                claimed
            })
        });
        let mut claimed = Vec::new();
        for claimer in claimers.collect::<Vec<_>>() {
            claimed.extend(claimer.await.expect("claims"));
        }
        let ids: BTreeSet<&str> = claimed.iter().map(|task| task.id.as_str()).collect();
        assert_eq!(ids.len(), claimed.len(), "a task was claimed twice");
        // Every reading, and of the lane that twenty share one.
        assert_eq!(claimed.iter().filter(|task| task.kind == "sync").count(), 20);
        assert_eq!(claimed.iter().filter(|task| task.kind == "apply").count(), 1);
        assert!(claimed.iter().all(|task| task.attempts == 1 && task.state == TaskState::Running));
    }

    async fn the_urgent_kind_comes_first_and_then_who_waits_longest(fresh: &Fresh) {
        let later = request(&fresh.store, &reading("later"), 2).await;
        let sooner = request(&fresh.store, &reading("sooner"), 1).await;
        let urgent = request(&fresh.store, &applying("plan"), 3).await;
        let not_yet = NewTask { not_before: at(9), ..reading("not yet") };
        request(&fresh.store, &not_yet, 0).await;
        let mut order = Vec::new();
        while let Some(task) = claim(&fresh.store, "a", at(4), at(5)).await {
            order.push(task.id);
        }
        assert_eq!(order, [urgent, sooner, later]);
        // Who cannot carry out a kind does not get it.
        assert_eq!(fresh.store.claim_task(&["publish"], &[], "a", at(10), at(11)).await.expect("claims"), None);
        // By now the claims have passed, and what was not due yet is.
        let mut order = Vec::new();
        while let Some(task) = claim(&fresh.store, "b", at(9), at(10)).await {
            order.push(task.subject);
        }
        assert_eq!(order, ["plan", "not yet", "sooner", "later"]);
    }

    async fn the_task_of_a_dead_process_is_taken_over(fresh: &Fresh) {
        let id = request(&fresh.store, &applying("plan"), 0).await;
        request(&fresh.store, &applying("another plan"), 0).await;
        let first = claim(&fresh.store, "first", at(1), at(2)).await.expect("a task");
        assert_eq!((first.id.as_str(), first.fence), (id.as_str(), 1));
        assert_eq!(claim(&fresh.store, "second", at(1), at(2)).await, None, "the lane is taken");
        assert!(fresh.store.renew_claim(&first.claim(), at(3)).await.expect("renews"));
        assert_eq!(claim(&fresh.store, "second", at(2), at(3)).await, None, "it was renewed");

        // Who is still at it, and was only too busy to renew its claim, does not overtake itself.
        let own = [id.clone()];
        let kinds = ["apply", "sync"];
        assert_eq!(fresh.store.claim_task(&kinds, &own, "first", at(3), at(5)).await.expect("asks"), None);
        let second = claim(&fresh.store, "second", at(3), at(5)).await.expect("taken over");
        assert_eq!((second.id.as_str(), second.fence, second.attempts), (id.as_str(), 2, 2));
        assert_eq!(second.claimed_by.as_deref(), Some("second"));
        let overtaken = first.claim();
        assert!(!fresh.store.renew_claim(&overtaken, at(9)).await.expect("asks"));
        assert!(!end(&fresh.store, &overtaken, 4).await);
        assert!(!fresh.store.put_off_task(&overtaken, Some("late"), at(9), at(4)).await.expect("asks"));
        let row = fresh.store.task(&id).await.expect("reads").expect("a task");
        assert_eq!((row.state, row.claim_until, row.error), (TaskState::Running, Some(at(5)), None));

        assert!(end(&fresh.store, &second.claim(), 4).await);
        assert!(!end(&fresh.store, &second.claim(), 4).await, "it has ended");
        let row = fresh.store.task(&id).await.expect("reads").expect("a task");
        assert_eq!((row.state, row.ended_at, row.result), (TaskState::Done, Some(at(4)), Some(json!({"facts": 3}))));
        assert_eq!(claim(&fresh.store, "second", at(4), at(5)).await.expect("the lane is free").subject, "another plan");
    }

    async fn the_same_work_is_queued_once(fresh: &Fresh) {
        let id = match fresh.store.request_task(&reading("hr"), at(0)).await.expect("asks") {
            Requested::Queued(id) => id,
            other => panic!("{other:?}"),
        };
        let again = fresh.store.request_task(&reading("hr"), at(1)).await.expect("asks");
        assert_eq!(again, Requested::Coalesced(id.clone()));
        let other = NewTask { arguments: json!({"system": "hr", "accept_loss": true}), ..reading("hr") };
        assert!(matches!(fresh.store.request_task(&other, at(1)).await.expect("asks"), Requested::Queued(_)));
        assert!(fresh.store.has_open_task("sync", "hr").await.expect("asks"));
        assert!(!fresh.store.has_open_task("sync", "directory").await.expect("asks"));

        // What was begun may have read already what has changed since: it is asked for anew.
        let begun = claim(&fresh.store, "a", at(2), at(3)).await.expect("a task");
        assert_eq!((begun.id.clone(), begun.requested_by.as_str()), (id, "schedule"));
        let anew = request(&fresh.store, &reading("hr"), 2).await;
        assert_ne!(anew, begun.id);
        // And if the one that was begun is put off, the newer one is what goes on.
        assert!(fresh.store.put_off_task(&begun.claim(), Some("refused"), at(8), at(3)).await.expect("puts off"));
        let row = fresh.store.task(&begun.id).await.expect("reads").expect("a task");
        assert_eq!((row.state, row.error.as_deref()), (TaskState::Cancelled, Some("refused")));
        assert_eq!(state(&fresh.store, &anew).await, TaskState::Queued);
    }

    async fn what_is_put_off_comes_back_with_its_error(fresh: &Fresh) {
        let id = request(&fresh.store, &reading("hr"), 0).await;
        let first = claim(&fresh.store, "a", at(1), at(2)).await.expect("a task");
        assert!(fresh.store.put_off_task(&first.claim(), Some("refused\0"), at(5), at(1)).await.expect("puts off"));
        assert_eq!(claim(&fresh.store, "a", at(4), at(5)).await, None);
        let row = fresh.store.task(&id).await.expect("reads").expect("a task");
        assert_eq!((row.state, row.failures, row.claimed_by), (TaskState::Queued, 1, None));
        assert_eq!(row.error.as_deref(), Some("refused\u{fffd}"));
        // Somebody who asks for it does not wait for its turn.
        assert_eq!(request(&fresh.store, &NewTask { not_before: at(4), ..reading("hr") }, 4).await, id);
        let second = claim(&fresh.store, "a", at(4), at(5)).await.expect("a task");
        assert_eq!((second.id.clone(), second.attempts), (id.clone(), 2));
        // A process that stops gives it back, and that is no failure.
        assert!(fresh.store.put_off_task(&second.claim(), None, at(4), at(4)).await.expect("puts off"));
        let third = claim(&fresh.store, "b", at(4), at(5)).await.expect("a task");
        assert_eq!((third.failures, third.attempts, third.fence), (1, 3, 3));
        assert!(!fresh.store.cancel_task(&id, at(4)).await.expect("asks"), "it was begun");
        assert!(fresh.store.end_task(&third.claim(), Err("no such system"), at(5)).await.expect("ends"));
        let row = fresh.store.task(&id).await.expect("reads").expect("a task");
        assert_eq!((row.state, row.error.as_deref()), (TaskState::Failed, Some("no such system")));
    }

    async fn tasks_are_listed_cancelled_and_forgotten(fresh: &Fresh) {
        let mut ids = Vec::new();
        for name in ["hr", "directory", "ledger-db"] {
            ids.push(request(&fresh.store, &reading(name), 0).await);
        }
        ids.push(request(&fresh.store, &applying("plan"), 0).await);
        let list = async |filter: TaskFilter, limit| {
            let tasks = fresh.store.tasks(&filter, limit).await.expect("lists");
            tasks.into_iter().map(|task| task.id).collect::<Vec<_>>()
        };
        let newest_first: Vec<String> = ids.iter().rev().cloned().collect();
        assert_eq!(list(TaskFilter::default(), 10).await, newest_first);
        assert_eq!(list(TaskFilter::default(), 2).await, newest_first[..2]);
        let rest = TaskFilter { before: Some(newest_first[1].clone()), ..TaskFilter::default() };
        assert_eq!(list(rest, 10).await, newest_first[2..]);
        let readings = TaskFilter { kind: Some("sync".to_owned()), ..TaskFilter::default() };
        assert_eq!(list(readings, 10).await, newest_first[1..]);

        assert!(fresh.store.cancel_task(&ids[0], at(1)).await.expect("cancels"));
        assert!(!fresh.store.cancel_task(&ids[0], at(2)).await.expect("asks"));
        assert!(!fresh.store.cancel_task("nothing", at(2)).await.expect("asks"));
        let cancelled = TaskFilter { state: Some(TaskState::Cancelled), ..TaskFilter::default() };
        assert_eq!(list(cancelled, 10).await, ids[..1]);
        let about = TaskFilter { subject: Some("directory".to_owned()), ..TaskFilter::default() };
        assert_eq!(list(about, 10).await, ids[1..2]);
        assert_eq!(fresh.store.forget_tasks(at(1)).await.expect("forgets"), 0);
        assert_eq!(fresh.store.forget_tasks(at(2)).await.expect("forgets"), 1);
        assert_eq!(fresh.store.task(&ids[0]).await.expect("reads"), None);
        assert_eq!(fresh.store.task(&ids[1]).await.expect("reads").map(|task| task.state), Some(TaskState::Queued));
    }

    async fn of_many_at_once_one_asks_for_what_is_due(fresh: &Fresh) {
        let hr = system("hr");
        assert_eq!(fresh.store.request_due(&hr, &reading("hr"), at(20), at(5)).await.expect("asks"), None);
        fresh.store.schedule_by(&hr, at(9)).await.expect("schedules");
        fresh.store.schedule_by(&hr, at(5)).await.expect("is brought forward");
        fresh.store.schedule_by(&hr, at(7)).await.expect("is not put off");
        assert_eq!(fresh.store.request_due(&hr, &reading("hr"), at(20), at(4)).await.expect("asks"), None);
        let asking = (0..8).map(|_| {
            let store = fresh.store.clone();
            tokio::spawn(async move {
                store.request_due(&system("hr"), &reading("hr"), at(20), at(5)).await.expect("asks")
            })
        });
        let mut asked = 0;
        for one in asking.collect::<Vec<_>>() {
            asked += usize::from(one.await.expect("asks").is_some());
        }
        assert_eq!(asked, 1);
        assert_eq!(fresh.store.tasks(&TaskFilter::default(), 10).await.expect("lists").len(), 1);

        fresh.store.reading_started(&hr, at(6)).await.expect("notes");
        let failed = ReadingEnd {
            outcome: ReadingOutcome::Failed, detail: "connection refused".to_owned(), failures: 2, due_at: at(12),
        };
        fresh.store.reading_ended(&hr, &failed, at(8)).await.expect("notes");
        let schedules = fresh.store.schedules().await.expect("lists");
        assert_eq!(schedules.len(), 1);
        let row = &schedules[0];
        assert_eq!((row.due_at, row.started_at, row.ended_at), (at(12), Some(at(6)), Some(at(8))));
        assert_eq!((row.outcome, row.failures), (Some(ReadingOutcome::Failed), 2));
        assert_eq!(row.detail.as_deref(), Some("connection refused"));
    }
}
