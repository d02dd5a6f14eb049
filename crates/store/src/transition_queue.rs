//! Where steps of actions wait for a transaction that they share: while many targets are worked on at once, one commit makes
//! the steps of all of them last.

use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};

use crate::db::Db;
use crate::error::{Result, StoreError};
use crate::ledger;
use crate::transition::{Transition, TransitionOutcome, make};

/// So many steps share a transaction.
const BATCH_MAX: usize = 256;

/// One step that waits, and who waits for it.
#[derive(Debug)]
struct Waiting {
    transition: Transition,
    answer: oneshot::Sender<Result<TransitionOutcome>>,
}

/// The queue of one store. Its task begins with the first step and ends with the last clone of the store.
#[derive(Debug, Clone, Default)]
pub(crate) struct TransitionQueue {
    queue: Arc<OnceLock<mpsc::UnboundedSender<Waiting>>>,
}

impl TransitionQueue {
    /// Makes a step, together with those that wait meanwhile, and returns when it lasts.
    pub(crate) async fn make(&self, db: &Db, transition: &Transition) -> Result<TransitionOutcome> {
        let queue = self.queue.get_or_init(|| {
            let (queue, waiting) = mpsc::unbounded_channel();
            tokio::spawn(work_on(db.clone(), waiting));
            queue
        });
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { transition: transition.clone(), answer };
        if queue.send(waiting).is_ok()
            && let Ok(outcome) = answered.await
        {
            return outcome;
        }
        // The runtime on which the queue was begun has ended. A step that it made all the same shows as moved.
        alone(db, transition).await
    }
}

async fn work_on(db: Db, mut waiting: mpsc::UnboundedReceiver<Waiting>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
        // Where the shared transaction failed, nothing of it lasts, and each step has a failure of its own or none.
        let mut outcomes = match together(&db, &batch).await {
            Ok(outcomes) => outcomes.into_iter(),
            Err(_) => Vec::new().into_iter(),
        };
        for Waiting { transition, answer } in batch.drain(..) {
            let outcome = match outcomes.next() {
                Some(outcome) => outcome,
                None => alone(&db, &transition).await,
            };
            // Nobody waits any longer where the caller was dropped.
            let _ = answer.send(outcome);
        }
    }
}

/// Makes all of them in one transaction, or none where the store fails.
async fn together(db: &Db, batch: &[Waiting]) -> Result<Vec<Result<TransitionOutcome>>> {
    let mut tx = db.write().await?;
    ledger::lock(&mut tx).await?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for waiting in batch {
        match make(&mut tx, &waiting.transition).await {
            // Refused before anything was written for it; the others are not concerned.
            Err(
                error @ (StoreError::UnknownAction { .. }
                | StoreError::Transition { .. }
                | StoreError::ReadBackTooOld { .. }),
            ) => outcomes.push(Err(error)),
            outcome => outcomes.push(Ok(outcome?)),
        }
    }
    tx.commit().await?;
    Ok(outcomes)
}

async fn alone(db: &Db, transition: &Transition) -> Result<TransitionOutcome> {
    let mut tx = db.write().await?;
    ledger::lock(&mut tx).await?;
    let outcome = make(&mut tx, transition).await?;
    tx.commit().await?;
    Ok(outcome)
}
