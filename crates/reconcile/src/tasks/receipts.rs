//! Writes the receipt of each offboarding of which nothing is under way any more, whoever or whatever began it: a person, a feed,
//! the policy.

use std::collections::BTreeSet;

use async_trait::async_trait;
use leasehold_model::id::IdentityKey;
use leasehold_store::{NewTask, TaskRow};
use serde_json::{Value, json};

use super::{Task, TaskError, Work};
use crate::driver::SCHEDULER;
use crate::workflow::receipt::{self, Refusal};

/// The lane of receipts: they change no system, and wait for nothing that does.
const RECEIPTS: &str = "receipts";

/// The writing, to be asked for.
pub fn request(now: jiff::Timestamp) -> NewTask {
    NewTask {
        kind: WriteReceipts.kind().to_owned(),
        subject: String::new(),
        lane: RECEIPTS.to_owned(),
        arguments: json!({}),
        requested_by: SCHEDULER.to_owned(),
        not_before: now,
    }
}

/// The task.
pub struct WriteReceipts;

#[async_trait]
impl Task for WriteReceipts {
    fn kind(&self) -> &'static str {
        "receipts"
    }

    async fn run(&self, work: &Work, _task: &TaskRow) -> Result<Value, TaskError> {
        let settled = work.store.settled_identities().await?;
        let view = work.live.refresh().await?;
        let leavers: BTreeSet<IdentityKey> =
            settled.iter().flat_map(|settled| receipt::leavers_of(&view, &settled.identity)).collect();
        let (mut written, mut first_error) = (0, None);
        for leaver in &leavers {
            let now = work.pace.now();
            // What is under way in one system is told when it has ended there, too: whose that is, is due then.
            let ended = match receipt::draft(&work.store, &view, leaver, now).await {
                Ok(draft) if draft.is_open() => continue,
                Ok(_) => receipt::write(&work.store, &view, leaver, now).await.map(|_| written += 1),
                Err(refusal) => Err(refusal),
            };
            match ended {
                // It is due again then.
                Ok(()) | Err(Refusal::Unknown(_) | Refusal::IsHere(_)) => {}
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        if let Some(error) = first_error {
            return Err(TaskError::Again(error.to_string()));
        }
        work.store.need_no_receipt(&settled).await?;
        Ok(json!({"written": written}))
    }
}
