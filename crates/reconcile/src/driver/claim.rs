//! Claiming a task, holding the claim while it is carried out, and ending it.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use jiff::Timestamp;
use leasehold_store::{TaskClaim, TaskRow};
use serde_json::Value;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::Driver;
use crate::notice::NoticeKind;
use crate::schedule::after;
use crate::tasks::{self, TASKS, TaskError};
use crate::trace::{self, SPANS};

/// After so many errors a task waits for a person: it has failed.
const FAILURES_MAX: u64 = 8;

/// So many tasks of a kind one process carries out at once, such as leavers who all leave at five o'clock.
const SAME_KIND_MAX: usize = 4;

/// The wait where facts moved before anything was begun.
const MOVED_WAIT_MS: u64 = 1_000;

/// The wait after the first error; doubles each time.
const BACK_OFF_MS: u64 = 5_000;

/// The longest wait.
const BACK_OFF_MS_MAX: u64 = 5 * 60 * 1_000;

impl Driver {
    /// Claims the most urgent task; readings only while this process carries out fewer than `syncs_max`.
    pub(super) async fn claim(&self, syncs_max: usize) -> Result<Option<TaskRow>, TaskError> {
        let work = &self.shared.work;
        let (own, running) = self.claimed(|claimed| {
            let own: Vec<String> = claimed.keys().map(|claim| claim.id.clone()).collect();
            (own, claimed.values().cloned().collect::<Vec<String>>())
        });
        let may_begin = |kind: &str| {
            let same = running.iter().filter(|running| *running == kind).count();
            same < if kind == "sync" { syncs_max } else { SAME_KIND_MAX }
        };
        let kinds: Vec<&str> = TASKS.iter().map(|task| task.kind()).filter(|kind| may_begin(kind)).collect();
        let now = work.pace.now();
        let task = work.store.claim_task(&kinds, &own, &self.shared.process, now, self.until(now)).await?;
        if let Some(task) = &task {
            self.claimed(|claimed| claimed.insert(task.claim(), task.kind.clone()));
            work.live.notify(NoticeKind::TaskChanged, task.id.as_str());
        }
        Ok(task)
    }

    /// Carries a claimed task out, and lets go of it at once where its claim has passed to another process.
    pub(super) async fn carry_out(&self, task: TaskRow) {
        let span = tracing::info_span!(
            target: SPANS,
            parent: None,
            "task",
            "otel.name" = format!("task {}", task.kind),
            "otel.status_code" = Empty,
            "leasehold.task" = %task.id,
            "leasehold.attempt" = i64::try_from(task.attempts).unwrap_or(i64::MAX),
            "leasehold.outcome" = Empty,
        );
        self.carry_out_within(task).instrument(span).await;
    }

    async fn carry_out_within(&self, task: TaskRow) {
        let claim = task.claim();
        let ended = tokio::select! {
            ended = self.run_task(&task) => Some(ended),
            () = self.hold(&claim) => None,
        };
        let (outcome, is_error) = match &ended {
            Some(Ok(_)) => ("done", false),
            Some(Err(_)) => ("failed", true),
            None => ("overtaken", true),
        };
        trace::ended(&Span::current(), outcome, is_error);
        let noted = match ended {
            Some(ended) => self.end(&task, ended).await,
            None => Ok(false),
        };
        self.claimed(|claimed| claimed.remove(&claim));
        match noted {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(task = %task.id, kind = %task.kind, "another process has taken it over")
            }
            // The claim passes, and whoever takes the task over finds its work done.
            Err(error) => {
                tracing::error!(task = %task.id, kind = %task.kind, %error, "its end could not be noted")
            }
        }
        self.live().notify(NoticeKind::TaskChanged, task.id.as_str());
        self.shared.wake.notify_waiters();
    }

    async fn run_task(&self, task: &TaskRow) -> Result<Value, TaskError> {
        let Some(known) = tasks::find(&task.kind) else {
            return Err(TaskError::Final(format!("this release knows no task `{}`", task.kind)));
        };
        tracing::info!(task = %task.id, kind = %task.kind, subject = %task.subject, attempt = task.attempts, "begins");
        let running = AssertUnwindSafe(known.run(&self.shared.work, task)).catch_unwind();
        running.await.unwrap_or_else(|_| Err(TaskError::Again("it stopped unexpectedly".to_owned())))
    }

    /// Renews the claim for as long as it is ours; returns when it is not.
    async fn hold(&self, claim: &TaskClaim) {
        let work = &self.shared.work;
        let takeover_after_ms = self.shared.settings.takeover_after_ms;
        let mut held_until = self.until(work.pace.now());
        loop {
            tokio::time::sleep(Duration::from_millis(takeover_after_ms / 4)).await;
            let until = self.until(work.pace.now());
            match work.store.renew_claim(claim, until).await {
                Ok(true) => held_until = until,
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(task = %claim.id, %error, "the claim could not be renewed");
                    if work.pace.now() >= held_until {
                        return;
                    }
                }
            }
        }
    }

    async fn end(
        &self,
        task: &TaskRow,
        ended: Result<Value, TaskError>,
    ) -> Result<bool, leasehold_store::StoreError> {
        let work = &self.shared.work;
        let (claim, now) = (task.claim(), work.pace.now());
        match ended {
            Ok(result) => {
                tracing::info!(task = %task.id, kind = %task.kind, subject = %task.subject, "done");
                work.store.end_task(&claim, Ok(&result), now).await
            }
            Err(TaskError::Again(why)) if task.failures + 1 < FAILURES_MAX => {
                let wait_ms = BACK_OFF_MS.saturating_mul(1 << task.failures).min(BACK_OFF_MS_MAX);
                tracing::warn!(task = %task.id, kind = %task.kind, subject = %task.subject, %why, wait_ms, "is tried again");
                work.store.put_off_task(&claim, Some(&why), after(now, wait_ms), now).await
            }
            Err(TaskError::Moved(why)) => {
                tracing::info!(task = %task.id, kind = %task.kind, subject = %task.subject, %why, "begins anew");
                work.store.put_off_task(&claim, None, after(now, MOVED_WAIT_MS), now).await
            }
            Err(TaskError::Again(why) | TaskError::Final(why)) => {
                tracing::error!(task = %task.id, kind = %task.kind, subject = %task.subject, %why, "failed");
                work.store.end_task(&claim, Err(&why), now).await
            }
        }
    }

    /// Gives back what this process has not brought to its end, so that another one may begin with it at once.
    pub(super) async fn give_back(&self) {
        let work = &self.shared.work;
        for claim in self.claimed(std::mem::take).into_keys() {
            let now = work.pace.now();
            if let Err(error) = work.store.put_off_task(&claim, None, now, now).await {
                tracing::warn!(task = %claim.id, %error, "the task could not be given back; others wait for its claim to pass");
            }
        }
    }

    /// When a claim that is made or renewed now passes.
    fn until(&self, now: Timestamp) -> Timestamp {
        after(now, self.shared.settings.takeover_after_ms)
    }
}
