//! Offboards somebody at the time that a person set: plans from what is known then, and carries the plan out. Who asked for the
//! task approved it; what a guard holds waits for them all the same.

use async_trait::async_trait;
use jiff::Timestamp;
use leasehold_model::id::IdentityKey;
use leasehold_model::plan::Plan;
use leasehold_store::{ActionRow, NewTask, TaskRow};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{MOVES_MAX, Task, TaskError, Work, arguments, lane_of, resume, tally};
use crate::notice::NoticeKind;
use crate::run::{Asked, Runner};
use crate::schedule::after;
use crate::stages::decide::Loaded;
use crate::workflow::offboard;

/// When it is looked again for what was on its way to somebody who leaves.
const AGAIN_AFTER_MS: u64 = 5_000;

/// What offboarding has to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Arguments {
    /// Whom.
    pub identity: IdentityKey,
    /// When. Another instant is another task: who is to leave later does not leave when they once were to.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

/// Somebody to be offboarded at an instant.
pub fn request(identity: &IdentityKey, at: Timestamp, by: &str) -> NewTask {
    NewTask {
        kind: Offboard.kind().to_owned(),
        subject: identity.folded(),
        lane: lane_of(identity),
        arguments: json!(Arguments { identity: identity.clone(), at: Some(at) }),
        requested_by: by.to_owned(),
        not_before: at,
    }
}

/// What is to be done.
enum Planned {
    /// What ends everything of theirs as things stand.
    Now(Box<Plan>),
    /// Nothing yet: they leave later.
    Later(Timestamp),
}

async fn plan_now(work: &Work, runner: &Runner, identity: &IdentityKey) -> Result<Planned, TaskError> {
    let loaded = Loaded::load(&work.store, &runner.systems, work.pace.now(), None).await?;
    let folded = identity.folded();
    let departure = loaded.departures.iter().find(|departure| departure.identity.as_str() == folded);
    match departure {
        None => {
            let why = format!("that {identity} leaves was taken back; nothing was done");
            Err(TaskError::Final(why))
        }
        Some(departure) if departure.end > loaded.now => Ok(Planned::Later(departure.end)),
        Some(_) => {
            let plan = offboard::plan(loaded, identity, Vec::new(), None);
            plan.map(|plan| Planned::Now(Box::new(plan)))
                .map_err(|refusal| TaskError::Final(refusal.to_string()))
        }
    }
}

/// Whether another plan is about to have given them something.
async fn is_being_given(work: &Work, identity: &IdentityKey) -> Result<bool, TaskError> {
    let folded = identity.folded();
    let is_theirs = |row: &ActionRow| row.item.identity.as_ref().is_some_and(|key| key.folded() == folded);
    let open = work.store.unfinished_actions().await?;
    Ok(open.iter().any(|row| row.item.verb.gives() && is_theirs(row)))
}

/// The task.
pub struct Offboard;

#[async_trait]
impl Task for Offboard {
    fn kind(&self) -> &'static str {
        "offboard"
    }

    async fn run(&self, work: &Work, task: &TaskRow) -> Result<Value, TaskError> {
        let Arguments { identity, at } = arguments(task)?;
        if task.attempts > 1 {
            // The process that began with it may have died between two steps of an action.
            let interrupted = resume::request(&task.requested_by, work.pace.now());
            work.store.request_task(&interrupted, work.pace.now()).await?;
        }
        let (runner, asked) = (work.leaving_runner(), Asked::At(task.requested_at));
        let mut moves = 0;
        let (plan, applied) = loop {
            let plan = match plan_now(work, &runner, &identity).await? {
                Planned::Now(plan) => plan,
                // It was decided anew since, and that has a task of its own.
                Planned::Later(at) => return Ok(json!({"leaves_at": at})),
            };
            work.store.save_plan(&plan, work.pace.now()).await?;
            work.carries_out(task, &plan).await?;
            let applied = runner.apply_as_asked(&plan, &[], &task.requested_by, asked).await;
            moves += 1;
            // Something is read, or done about somebody else, all the time; that keeps nobody here.
            match &applied {
                Err(error) if error.is_moved() && moves < MOVES_MAX => {}
                Err(error) if error.is_moved() => return Err(TaskError::Moved(error.to_string())),
                _ => break (plan, applied),
            }
        };
        work.live.notify(NoticeKind::PlanApplied, plan.hash.as_str());
        work.look_again().await;
        work.tell_of(&work.leavers_of(&plan), &plan.hash, &task.requested_by).await?;
        let rows = work.go_on_after(applied, [&plan.hash]).await?;
        if is_being_given(work, &identity).await? {
            // It was on its way before this began, and is seen when it is at its end.
            let again = request(&identity, at.unwrap_or(task.not_before), &task.requested_by);
            let again = NewTask { not_before: after(work.pace.now(), AGAIN_AFTER_MS), ..again };
            work.store.request_task(&again, work.pace.now()).await?;
        }
        let held: Vec<&str> = plan.guards.iter().map(|guard| guard.name.as_str()).collect();
        Ok(json!({"plan": plan.hash, "actions": tally(&rows), "held_by": held}))
    }
}
