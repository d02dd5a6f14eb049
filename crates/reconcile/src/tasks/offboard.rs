//! Offboards somebody at the time that a person set: plans from what is known then, and carries the plan out. Who asked for the
//! task approved it; what a guard holds waits for them all the same.

use async_trait::async_trait;
use leasehold_model::id::IdentityKey;
use leasehold_store::{NewTask, TaskRow};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CHANGES, Task, TaskError, Work, arguments, tally};
use crate::notice::NoticeKind;
use crate::run::Asked;
use crate::stages::decide::Loaded;
use crate::workflow::offboard;

/// What offboarding has to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Arguments {
    /// Whom.
    pub identity: IdentityKey,
    /// When. Another instant is another task: who is to leave later does not leave when they once were to.
    #[serde(default)]
    pub at: Option<jiff::Timestamp>,
}

/// Somebody to be offboarded at an instant.
pub fn request(identity: &IdentityKey, at: jiff::Timestamp, by: &str) -> NewTask {
    NewTask {
        kind: Offboard.kind().to_owned(),
        subject: identity.folded(),
        lane: CHANGES.to_owned(),
        arguments: json!(Arguments { identity: identity.clone(), at: Some(at) }),
        requested_by: by.to_owned(),
        not_before: at,
    }
}

/// The task.
pub struct Offboard;

#[async_trait]
impl Task for Offboard {
    fn kind(&self) -> &'static str {
        "offboard"
    }

    async fn run(&self, work: &Work, task: &TaskRow) -> Result<Value, TaskError> {
        let Arguments { identity, .. } = arguments(task)?;
        let runner = work.runner();
        let loaded = Loaded::load(&work.store, &runner.systems, work.pace.now(), None).await?;
        let folded = identity.folded();
        let departure = loaded.departures.iter().find(|departure| departure.identity.as_str() == folded);
        match departure {
            None => {
                let why = format!("that {identity} leaves was taken back; nothing was done");
                return Err(TaskError::Final(why));
            }
            // It was decided anew since, and that has a task of its own.
            Some(departure) if departure.end > loaded.now => {
                return Ok(json!({"leaves_at": departure.end}));
            }
            Some(_) => {}
        }
        let plan = offboard::plan(loaded, &identity, Vec::new(), None);
        let plan = plan.map_err(|refusal| TaskError::Final(refusal.to_string()))?;
        work.store.save_plan(&plan, work.pace.now()).await?;
        let asked = Asked::At(task.requested_at);
        let applied = runner.apply_as_asked(&plan, &[], &task.requested_by, asked).await;
        work.live.notify(NoticeKind::PlanApplied, plan.hash.as_str());
        work.look_again().await;
        let rows = applied?;
        work.go_on_later(&rows).await?;
        let held: Vec<&str> = plan.guards.iter().map(|guard| guard.name.as_str()).collect();
        Ok(json!({"plan": plan.hash, "actions": tally(&rows), "held_by": held}))
    }
}
