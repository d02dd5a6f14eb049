//! Carries out a saved plan that a person approved, with the guards that they overrode by name.

use std::collections::BTreeSet;

use async_trait::async_trait;
use leasehold_model::id::{IdentityKey, PlanHash};
use leasehold_model::plan::Plan;
use leasehold_store::{NewTask, TaskRow};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CHANGES, Task, TaskError, Work, arguments, lane_of, tally};
use crate::notice::NoticeKind;
use crate::run::Asked;

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
        let applied = runner.apply_as_asked(&plan, &overrides, &task.requested_by, asked).await;
        work.live.notify(NoticeKind::PlanApplied, hash.as_str());
        work.look_again().await;
        work.tell_of(&leavers, &hash, &task.requested_by).await?;
        let rows = work.go_on_after(applied, [&hash]).await?;
        Ok(json!({"plan": hash, "actions": tally(&rows)}))
    }
}
