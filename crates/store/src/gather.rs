//! Gathering requests that share a transaction: those that wait, and those that come while whoever is about to ask has their turn.
//! What wakes many tasks at once wakes them one after the other; without this the first of them has a transaction of its own,
//! and all the others wait for it.

use tokio::sync::mpsc;

/// Where requests wait.
pub(crate) trait Waiting<T> {
    /// Waits for one at least and takes up to `max`; 0 where nobody can ask any more.
    async fn take_waiting(&mut self, taken: &mut Vec<T>, max: usize) -> usize;

    /// Takes one that waits.
    fn take_one(&mut self) -> Option<T>;
}

impl<T> Waiting<T> for mpsc::Receiver<T> {
    async fn take_waiting(&mut self, taken: &mut Vec<T>, max: usize) -> usize {
        self.recv_many(taken, max).await
    }

    fn take_one(&mut self) -> Option<T> {
        self.try_recv().ok()
    }
}

impl<T> Waiting<T> for mpsc::UnboundedReceiver<T> {
    async fn take_waiting(&mut self, taken: &mut Vec<T>, max: usize) -> usize {
        self.recv_many(taken, max).await
    }

    fn take_one(&mut self) -> Option<T> {
        self.try_recv().ok()
    }
}

/// Takes up to `max` requests, once there is one; `false` where nobody can ask any more.
pub(crate) async fn gather<T>(waiting: &mut impl Waiting<T>, taken: &mut Vec<T>, max: usize) -> bool {
    if waiting.take_waiting(taken, max).await == 0 {
        return false;
    }
    loop {
        let before = taken.len();
        tokio::task::yield_now().await;
        while taken.len() < max {
            match waiting.take_one() {
                Some(request) => taken.push(request),
                None => break,
            }
        }
        if taken.len() == before || taken.len() >= max {
            return true;
        }
    }
}
