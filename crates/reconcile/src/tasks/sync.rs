//! Reads one system, notes how that ended and when it is due again, and looks at what follows.

use async_trait::async_trait;
use leasehold_model::id::SystemName;
use leasehold_store::{NewTask, ReadingEnd, ReadingOutcome, StoreError, TaskRow};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Task, TaskError, Work, arguments};
use crate::error::ReconcileError;
use crate::notice::NoticeKind;
use crate::schedule;
use crate::stages::observe::{Observe, Observed, observe};
use crate::system::System;

/// What a reading has to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Arguments {
    /// Which system.
    pub system: SystemName,
    /// A person says that what is gone is really gone.
    pub accept_loss: bool,
}

/// A reading to be asked for.
pub fn request(system: &SystemName, accept_loss: bool, by: &str, now: jiff::Timestamp) -> NewTask {
    NewTask {
        kind: Sync.kind().to_owned(),
        subject: system.to_string(),
        lane: format!("sync {system}"),
        arguments: json!(Arguments { system: system.clone(), accept_loss }),
        requested_by: by.to_owned(),
        not_before: now,
    }
}

/// The task.
pub struct Sync;

#[async_trait]
impl Task for Sync {
    fn kind(&self) -> &'static str {
        "sync"
    }

    async fn run(&self, work: &Work, task: &TaskRow) -> Result<Value, TaskError> {
        let Arguments { system: name, accept_loss } = arguments(task)?;
        let systems = work.systems.now();
        let system = systems.get(&name).ok_or_else(|| ReconcileError::UnknownSystem(name.clone()))?;
        work.store.reading_started(&name, work.pace.now()).await?;
        work.live.notify(NoticeKind::SyncStarted, name.as_str());
        let read = read(work, system, Observe { accept_loss }).await;
        work.live.notify(NoticeKind::SyncFinished, name.as_str());
        let result = read?;
        work.look_again().await;
        Ok(result)
    }
}

async fn read(work: &Work, system: &System, options: Observe) -> Result<Value, TaskError> {
    let observed = observe(&work.store, system, work.pace.as_ref(), options, &mut |_, _, _| {}).await;
    let observed = match observed {
        Ok(observed) => observed,
        // Somebody began to read it later: that reading is the newer one, and sets when the next is due.
        Err(ReconcileError::Store(StoreError::Overtaken { .. })) => {
            return Ok(json!({"overtaken": true}));
        }
        Err(error) => {
            note(work, system, ReadingOutcome::Failed, &error.to_string()).await?;
            return Err(error.into());
        }
    };
    let Observed { report, failed } = observed;
    let completeness = &report.summary.completeness;
    let outcome = match (&failed, completeness.is_complete()) {
        (Some(_), _) => ReadingOutcome::Failed,
        (None, true) => ReadingOutcome::Complete,
        (None, false) => ReadingOutcome::Partial,
    };
    note(work, system, outcome, failed.as_deref().unwrap_or(completeness.detail())).await?;
    Ok(json!({
        "epoch": report.summary.id,
        "completeness": completeness.as_str(),
        "detail": completeness.detail(),
        "failed": failed,
        "facts": report.summary.facts,
        "problems": report.summary.problems,
        "changes": report.changes,
    }))
}

/// Notes how the reading ended. A partial answer is no failure: asking again sooner would not make it whole.
async fn note(work: &Work, system: &System, outcome: ReadingOutcome, detail: &str) -> Result<(), TaskError> {
    let now = work.pace.now();
    let before = work.store.schedules().await?.into_iter().find(|schedule| schedule.system == system.name);
    let failures = match outcome {
        ReadingOutcome::Failed => before.map_or(0, |schedule| schedule.failures).saturating_add(1),
        ReadingOutcome::Complete | ReadingOutcome::Partial => 0,
    };
    let due_at = schedule::next_due(&system.name, system.interval_ms, failures, now);
    let end = ReadingEnd { outcome, detail: detail.to_owned(), failures, due_at };
    work.store.reading_ended(&system.name, &end, now).await?;
    Ok(())
}
