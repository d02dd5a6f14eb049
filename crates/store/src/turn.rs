//! The turn of who writes to SQLite: it has one writer at a time, and whoever comes meanwhile would poll for its lock.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Result, StoreError};

/// Where those who write to one opened store wait for each other, in the order of their coming, whichever connection they write with.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    free: Arc<Semaphore>,
    patience: Duration,
}

/// The turn of one of them, to its end.
#[derive(Debug)]
pub(crate) struct Turn(#[expect(dead_code, reason = "it is held, not looked at")] OwnedSemaphorePermit);

impl Turns {
    /// Nobody waits for longer.
    pub fn new(patience: Duration) -> Self {
        Self { free: Arc::new(Semaphore::new(1)), patience }
    }

    /// How long anybody waits.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Waits for the next.
    ///
    /// # Errors
    /// [`StoreError::Busy`] where another took too long, [`StoreError::Database`] where there are no more.
    pub async fn next(&self) -> Result<Turn> {
        if let Ok(free) = self.free.clone().try_acquire_owned() {
            return Ok(Turn(free));
        }
        match tokio::time::timeout(self.patience, self.free.clone().acquire_owned()).await {
            Ok(Ok(free)) => Ok(Turn(free)),
            Ok(Err(_)) => Err(StoreError::Database(sqlx::Error::PoolClosed)),
            Err(_) => Err(StoreError::Busy),
        }
    }

    /// Waits until whoever has the turn is done; nobody gets it from then on.
    pub async fn end(&self) {
        let _last = self.next().await;
        self.free.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_are_in_the_order_of_coming_and_none_waits_for_ever() {
        let turns = Turns::new(Duration::from_secs(60));
        let first = turns.next().await.expect("is free");
        let mut waiting = Vec::new();
        let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..3 {
            let (turns, told) = (turns.clone(), told.clone());
            waiting.push(tokio::spawn(async move {
                let _turn = turns.next().await.expect("comes");
                let _ = told.send(number);
            }));
            tokio::task::yield_now().await;
        }
        assert!(order.try_recv().is_err(), "the first has it still");
        drop(first);
        for number in 0..3 {
            assert_eq!(order.recv().await, Some(number));
        }
        let short = Turns { patience: Duration::from_millis(1), ..turns };
        let held = short.next().await.expect("is free");
        assert!(matches!(short.next().await, Err(StoreError::Busy)));
        drop(held);
        short.end().await;
        assert!(matches!(short.next().await, Err(StoreError::Database(_))));
    }
}
