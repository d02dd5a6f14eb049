//! Where steps of actions wait for a transaction that they share: while many targets are worked on at once, one commit makes
//! the steps of all of them last.

use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};

use crate::db::{Db, Tx, apart};
use crate::error::{Result, StoreError};
use crate::gather::gather;
use crate::ledger;
use crate::transition::{Transition, TransitionOutcome, made, make_all};

/// So many steps share a transaction.
const BATCH_MAX: usize = 256;

/// One step that waits, and who waits for it.
#[derive(Debug)]
struct Waiting {
    transition: Transition,
    answer: oneshot::Sender<Result<TransitionOutcome>>,
}

/// What the queue is asked for.
#[derive(Debug)]
enum Asked {
    Step(Box<Waiting>),
    /// To say when everything is made that was begun before.
    Drained(oneshot::Sender<()>),
}

/// The queue of one store. Its task begins with the first step and ends with the last clone of the store.
#[derive(Debug, Clone, Default)]
pub(crate) struct TransitionQueue {
    queue: Arc<OnceLock<mpsc::UnboundedSender<Asked>>>,
}

impl TransitionQueue {
    /// Puts a step with those that wait; it is made whether or not somebody waits for it.
    pub(crate) fn begin(&self, db: &Db, transition: &Transition) -> BegunTransition {
        let queue = self.queue.get_or_init(|| {
            let (queue, waiting) = mpsc::unbounded_channel();
            tokio::spawn(work_on(db.clone(), waiting));
            queue
        });
        let (answer, answered) = oneshot::channel();
        // Where the queue has ended the answer is dropped with it, which is seen when it is waited for.
        let _ = queue.send(Asked::Step(Box::new(Waiting { transition: transition.clone(), answer })));
        BegunTransition { db: db.clone(), transition: transition.clone(), answered }
    }

    /// Returns when every step is made that was begun before.
    pub(crate) async fn drained(&self) {
        let Some(queue) = self.queue.get() else { return };
        let (answer, answered) = oneshot::channel();
        // Where the queue has ended there is nothing to wait for.
        if queue.send(Asked::Drained(answer)).is_ok() {
            let _ = answered.await;
        }
    }
}

/// A step that was begun. It lasts when [`BegunTransition::lasting`] says so, and not before.
#[derive(Debug)]
pub struct BegunTransition {
    db: Db,
    transition: Transition,
    answered: oneshot::Receiver<Result<TransitionOutcome>>,
}

impl BegunTransition {
    /// Waits until the step lasts, together with those that were begun meanwhile.
    ///
    /// # Errors
    /// As [`crate::Store::transition`].
    pub async fn lasting(self) -> Result<TransitionOutcome> {
        match self.answered.await {
            Ok(outcome) => outcome,
            // The runtime on which the queue was begun has ended.
            Err(_) => again(&self.db, &self.transition).await,
        }
    }
}

async fn work_on(db: Db, mut asked: mpsc::UnboundedReceiver<Asked>) {
    let mut all = Vec::with_capacity(BATCH_MAX);
    while gather(&mut asked, &mut all, BATCH_MAX).await {
        let (mut batch, mut drained) = (Vec::with_capacity(all.len()), Vec::new());
        for asked in all.drain(..) {
            match asked {
                Asked::Step(waiting) => batch.push(*waiting),
                Asked::Drained(answer) => drained.push(answer),
            }
        }
        // Where the shared transaction failed, nothing of it lasts, and each step has a failure of its own or none.
        let mut outcomes = match together(&db, &batch).await {
            Ok(outcomes) => outcomes.into_iter(),
            Err(_) => Vec::new().into_iter(),
        };
        for Waiting { transition, answer } in batch.drain(..) {
            let outcome = match outcomes.next() {
                Some(outcome) => outcome,
                None => again(&db, &transition).await,
            };
            // Nobody waits any longer where the caller was dropped.
            let _ = answer.send(outcome);
        }
        for answer in drained {
            let _ = answer.send(());
        }
    }
}

/// Makes all of them in one transaction, or none where the store fails.
async fn together(db: &Db, batch: &[Waiting]) -> Result<Vec<Result<TransitionOutcome>>> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let transitions: Vec<&Transition> = batch.iter().map(|waiting| &waiting.transition).collect();
    let work = async |mut tx: Tx| {
        ledger::lock(&mut tx).await?;
        let outcomes = make_all(&mut tx, &transitions).await?;
        tx.commit().await?;
        Ok(outcomes)
    };
    apart(db.write_here().await?, work).await
}

/// Makes a step of which it is not known whether it was made: a commit that failed may have been done all the same.
async fn again(db: &Db, transition: &Transition) -> Result<TransitionOutcome> {
    let outcome = alone(db, transition).await?;
    match outcome {
        TransitionOutcome::Moved { .. } => {
            let made = made(&mut db.read().await?, transition).await?;
            Ok(made.map_or(outcome, |ledger_index| TransitionOutcome::Done { ledger_index }))
        }
        _ => Ok(outcome),
    }
}

async fn alone(db: &Db, transition: &Transition) -> Result<TransitionOutcome> {
    let mut tx = db.write().await?;
    ledger::lock(&mut tx).await?;
    let outcome = make_all(&mut tx, &[transition]).await?.pop();
    tx.commit().await?;
    outcome.unwrap_or_else(|| Err(StoreError::UnknownAction { action: transition.action.clone() }))
}
