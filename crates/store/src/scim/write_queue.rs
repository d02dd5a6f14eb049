//! Where writes wait for the transaction that they share.
//!
//! A commit costs the same for one as for many. Whoever was answered by the last one mostly comes again at once, so the next one
//! waits for them, about as long as the last one took: without that, half of them would wait for the commit of the other half.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::write::WriteJob;

/// So many share a transaction.
const TOGETHER_MAX: usize = 256;
/// So many wait at most; whoever comes then is told to come again.
const WAITING_MAX: usize = 4_096;
/// Fewer are not waited for: that saves less than it delays.
const AWAITED_MIN: usize = 4;
/// They are waited for as long as the last transaction took, but so long at least, …
const PATIENCE_MIN: Duration = Duration::from_millis(1);
/// … and no longer than this.
const PATIENCE_MAX: Duration = Duration::from_millis(5);

/// Writes that wait.
#[derive(Debug, Default)]
pub(super) struct WriteQueue {
    state: Mutex<State>,
    /// There are enough of them, or there will be no more.
    enough: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: Vec<WriteJob>,
    /// When so many are there, whoever takes them is told.
    awaited: usize,
    is_closed: bool,
}

impl WriteQueue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // What a panic left behind is whole: every step is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts one more there, but where too many wait; whether it did.
    pub fn put(&self, job: WriteJob) -> bool {
        let mut state = self.lock();
        if state.is_closed || state.jobs.len() >= WAITING_MAX {
            return false;
        }
        state.jobs.push(job);
        if state.jobs.len() == state.awaited {
            self.enough.notify_one();
        }
        true
    }

    /// Nobody puts anything there any more.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.enough.notify_one();
    }

    /// Takes those that wait, once there are some; those that came `lately` are waited for, about as long as the last transaction
    /// `took`. None where the queue is closed. The thread waits here.
    pub fn take(&self, lately: usize, took: Duration) -> Vec<WriteJob> {
        self.take_within(took.clamp(PATIENCE_MIN, PATIENCE_MAX), lately)
    }

    fn take_within(&self, patience: Duration, lately: usize) -> Vec<WriteJob> {
        let mut state = self.lock();
        while state.jobs.is_empty() && !state.is_closed {
            state.awaited = 1;
            state = self.enough.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let lately = lately.min(TOGETHER_MAX);
        if lately >= AWAITED_MIN && state.jobs.len() < lately {
            state.awaited = lately;
            // Who does not come again is not waited for the next time.
            let too_few = |state: &mut State| state.jobs.len() < lately && !state.is_closed;
            let waited = self.enough.wait_timeout_while(state, patience, too_few);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let count = state.jobs.len().min(TOGETHER_MAX);
        state.jobs.drain(..count).collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.lock().jobs.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Instant;

    use super::super::answers::waiting;
    use super::super::write::Wanted;
    use super::super::{ScimAuthority, ScimDecision, ScimPlace, ScimWrite};
    use super::*;
    use jiff::Timestamp;

    fn job() -> WriteJob {
        WriteJob {
            wanted: Wanted {
                by: ScimAuthority { token: "okta".to_owned(), owner_version: 1 },
                place: ScimPlace {
                    system: "hr".to_owned(),
                    kind: "User",
                    has_members: false,
                    member_of: Some("Group"),
                },
                write: ScimWrite::Change { id: "ada".to_owned(), decide: Box::new(|_| ScimDecision::Keep) },
                now: Timestamp::UNIX_EPOCH,
            },
            answer: waiting().0,
        }
    }

    fn put(queue: &WriteQueue, count: usize) {
        for _ in 0..count {
            assert!(queue.put(job()), "there is room");
        }
    }

    #[test]
    fn one_alone_is_taken_at_once_and_many_no_more_than_fit() {
        let queue = WriteQueue::default();
        put(&queue, 1);
        assert_eq!(queue.take(0, Duration::ZERO).len(), 1);
        put(&queue, TOGETHER_MAX + 3);
        assert_eq!(queue.take(1, Duration::ZERO).len(), TOGETHER_MAX);
        assert_eq!((queue.len(), queue.take(1, Duration::ZERO).len()), (3, 3));
    }

    #[test]
    fn those_that_came_lately_are_waited_for_but_not_for_long() {
        let queue = Arc::new(WriteQueue::default());
        put(&queue, 5);
        let taken = thread::spawn({
            let queue = queue.clone();
            move || queue.take_within(Duration::from_secs(60), 8).len()
        });
        put(&queue, 3);
        assert_eq!(taken.join().expect("is taken"), 8, "they came while they were waited for");
        put(&queue, 5);
        let begun = Instant::now();
        assert_eq!(queue.take(8, Duration::ZERO).len(), 5, "nobody else came");
        assert!(begun.elapsed() >= PATIENCE_MIN);
    }

    #[test]
    fn too_many_are_refused_and_a_closed_queue_ends() {
        let queue = Arc::new(WriteQueue::default());
        put(&queue, WAITING_MAX);
        assert!(!queue.put(job()));
        while queue.len() > 0 {
            assert!(!queue.take(0, Duration::ZERO).is_empty());
        }
        let taken = thread::spawn({
            let queue = queue.clone();
            move || queue.take(8, Duration::ZERO).len()
        });
        queue.close();
        assert_eq!(taken.join().expect("is told"), 0);
        assert!(!queue.put(job()));
    }
}
