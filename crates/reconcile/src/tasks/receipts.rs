//! Writes the receipt of each offboarding of which nothing is under way any more, whoever or whatever began it: a person, a feed,
//! the policy.

use std::collections::BTreeMap;

use async_trait::async_trait;
use leasehold_model::id::IdentityKey;
use leasehold_store::{NewTask, SettledIdentity, TaskRow};
use serde_json::{Value, json};

use super::{Task, TaskError, Work};
use crate::driver::SCHEDULER;
use crate::schedule::after;
use crate::workflow::receipt::{self, Asked, Refusal, Written};

/// The lane of receipts: they change no system, and wait for nothing that does.
const RECEIPTS: &str = "receipts";

/// When one that could not be written is tried again.
const AGAIN_AFTER_MS: u64 = 15 * 60 * 1_000;

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
        let settled = work.store.settled_identities(work.pace.now()).await?;
        let view = work.live.refresh().await?;
        let mut leavers: BTreeMap<IdentityKey, Vec<SettledIdentity>> = BTreeMap::new();
        for settled in settled {
            for leaver in receipt::leavers_of(&view, &settled.identity) {
                leavers.entry(leaver).or_default().push(settled.clone());
            }
        }
        drop(view);
        let (mut written, mut failed, mut present) = (0, 0, work.live.clone());
        for (identity, settled) in leavers {
            let asked = Asked {
                identity: identity.clone(),
                by: SCHEDULER.to_owned(),
                at: work.pace.now(),
                since: None,
            };
            match receipt::write_settled(&work.store, &asked, &mut present).await {
                Ok(Written::Now(_)) => written += 1,
                // What is under way is told when it has ended, and is due by itself then.
                Ok(Written::Open | Written::Already(_)) | Err(Refusal::Unknown(_) | Refusal::IsHere(_)) => {
                    work.store.need_no_receipt(&settled).await?;
                }
                Err(error) => {
                    tracing::warn!(%identity, %error, "a receipt could not be written, and is tried again later");
                    failed += 1;
                    for settled in &settled {
                        let again = after(work.pace.now(), AGAIN_AFTER_MS);
                        work.store.receipt_later(settled, again).await?;
                    }
                }
            }
        }
        Ok(json!({"written": written, "failed": failed}))
    }
}
