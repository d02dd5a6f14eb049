//! Carries out a saved plan that a person approved, with the guards that they overrode by name.

use std::collections::BTreeSet;

use async_trait::async_trait;
use leasehold_model::id::{IdentityKey, PlanHash, SystemName};
use leasehold_model::plan::Plan;
use leasehold_store::{NewTask, TaskRow};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CHANGES, MOVES_MAX, Task, TaskError, Work, arguments, lane_of, tally};
use crate::notice::NoticeKind;
use crate::run::{Asked, Runner};
use crate::stages::decide::Loaded;
use crate::workflow::offboard;

/// What carrying out a plan has to know; who asked for the task approved it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Arguments {
    /// The whole hash of a saved plan.
    pub plan: PlanHash,
    /// Guards by name.
    pub overrides: Vec<String>,
}

/// A plan to be carried out.
pub fn request(plan: &Plan, overrides: &[String], by: &str, now: jiff::Timestamp) -> NewTask {
    NewTask {
        kind: Apply.kind().to_owned(),
        subject: plan.hash.to_string(),
        lane: lane(plan),
        arguments: json!(Arguments { plan: plan.hash.clone(), overrides: overrides.to_vec() }),
        requested_by: by.to_owned(),
        not_before: now,
    }
}

/// Who is offboarded, and what is about one identity only, waits for no other plan.
fn lane(plan: &Plan) -> String {
    let mut identities: BTreeSet<Option<&IdentityKey>> =
        plan.items.iter().map(|item| item.identity.as_ref()).collect();
    match (plan.as_left.first(), identities.pop_first(), identities.is_empty()) {
        (Some(leaver), ..) | (None, Some(Some(leaver)), true) => lane_of(leaver),
        _ => CHANGES.to_owned(),
    }
}

/// The task.
pub struct Apply;

#[async_trait]
impl Task for Apply {
    fn kind(&self) -> &'static str {
        "apply"
    }

    async fn run(&self, work: &Work, task: &TaskRow) -> Result<Value, TaskError> {
        let Arguments { plan: hash, overrides } = arguments(task)?;
        let plan = work.store.plan(hash.as_str()).await?;
        let plan = plan.filter(|plan| plan.hash == hash);
        let plan = plan.ok_or_else(|| TaskError::Final(format!("there is no plan {hash} in the store")))?;
        let asked = Asked::At(task.requested_at);
        let leavers = work.leavers_of(&plan);
        let runner = if leavers.is_empty() { work.runner() } else { work.leaving_runner() };
        let (mut plan, mut moves) = (plan, 0);
        let applied = loop {
            let still_there = |name: &&String| plan.guards.iter().any(|guard| guard.name == **name);
            let overrides: Vec<String> = overrides.iter().filter(still_there).cloned().collect();
            let applied = runner.apply_as_asked(&plan, &overrides, &task.requested_by, asked).await;
            match &applied {
                // It was decided that they leave: what somebody else holds, read in the meantime, keeps them no longer.
                Err(error) if error.is_moved() && plan.as_left.len() == 1 => {
                    moves += 1;
                    if moves > MOVES_MAX {
                        return Err(TaskError::Moved(error.to_string()));
                    }
                    plan = anew(work, &runner, &plan).await?;
                    work.store.save_plan(&plan, work.pace.now()).await?;
                    work.carries_out(task, &plan).await?;
                }
                _ => break applied,
            }
        };
        work.live.notify(NoticeKind::PlanApplied, plan.hash.as_str());
        work.look_again().await;
        work.tell_of(&leavers, &plan.hash, &task.requested_by).await?;
        let rows = work.go_on_after(applied, [&plan.hash]).await?;
        Ok(json!({"plan": plan.hash, "actions": tally(&rows)}))
    }
}

/// The plan by which somebody leaves, from what is known now, in the systems that it was about.
async fn anew(work: &Work, runner: &Runner, plan: &Plan) -> Result<Plan, TaskError> {
    let loaded = Loaded::load(&work.store, &runner.systems, work.pace.now(), None).await?;
    let items = plan.items.iter().map(|item| &item.system);
    let systems: BTreeSet<&SystemName> =
        items.chain(plan.left_alone.iter().map(|left| &left.system)).collect();
    let mut named = plan.successors.values();
    let first = named.next();
    let successor = first.filter(|first| named.all(|other| other == *first));
    offboard::plan(loaded, &plan.as_left[0], systems.into_iter().cloned().collect(), successor)
        .map_err(|refusal| TaskError::Final(refusal.to_string()))
}
