//! Takes up what was interrupted: actions that were approved or sent and have not come to their end.

use async_trait::async_trait;
use leasehold_store::{NewTask, TaskRow};
use serde_json::{Value, json};

use super::{CHANGES, Task, TaskError, Work, tally};

/// The taking up, to be asked for.
pub fn request(by: &str, now: jiff::Timestamp) -> NewTask {
    NewTask {
        kind: Resume.kind().to_owned(),
        subject: String::new(),
        lane: CHANGES.to_owned(),
        arguments: json!({}),
        requested_by: by.to_owned(),
        not_before: now,
    }
}

/// The task.
pub struct Resume;

#[async_trait]
impl Task for Resume {
    fn kind(&self) -> &'static str {
        "resume"
    }

    async fn run(&self, work: &Work, task: &TaskRow) -> Result<Value, TaskError> {
        let resumed = work.resume(task).await;
        work.look_again().await;
        Ok(json!({"actions": tally(&resumed?)}))
    }
}
