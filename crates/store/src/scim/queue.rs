//! Where requests wait for a transaction that they share: one commit makes many pushes last, and one statement answers
//! many questions.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::answers;
use super::read::{self, ReadJob};
use super::remembered::Remembered;
use super::write::{self, Wanted, WriteJob};
use super::write_queue::WriteQueue;
use super::{ScimAuthority, ScimPlace, ScimRefusal, ScimResource, ScimSought, ScimWrite, ScimWritten};
use crate::gather::gather;
use crate::store::Store;

/// So many questions share a statement.
const BATCH_MAX: usize = 256;
/// So many wait at most; whoever comes then is told to come again.
const WAITING_MAX: usize = 4_096;
/// So many groups of questions are answered at once.
const READERS: usize = 2;
/// When so many wait for the first reader, it has something long to do, and others take over.
const READER_WAITING_MAX: usize = 64;

/// The queues of one process. What works on them begins with the first request and ends with this value.
#[derive(Debug)]
pub struct ScimQueue {
    store: Store,
    remembered: Arc<Remembered>,
    writes: OnceLock<Arc<WriteQueue>>,
    reads: OnceLock<Vec<mpsc::Sender<ReadJob>>>,
}

impl ScimQueue {
    /// Queues in front of a store.
    pub fn new(store: Store) -> Self {
        Self { store, remembered: Arc::default(), writes: OnceLock::new(), reads: OnceLock::new() }
    }

    /// Writes, and returns when that lasts.
    ///
    /// # Errors
    /// [`ScimRefusal`]; nothing was written then.
    pub async fn write(
        &self,
        by: ScimAuthority,
        place: ScimPlace,
        write: ScimWrite,
        now: Timestamp,
    ) -> Result<ScimWritten, ScimRefusal> {
        let (answer, answered) = answers::waiting();
        let queue = self.writes.get_or_init(|| self.begin_to_write());
        let job = WriteJob { wanted: Wanted { by, place, write, now }, answer };
        if !queue.put(job) {
            return Err(ScimRefusal::Busy);
        }
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// On a thread of its own: between two statements it waits for nothing but the store, and in a runtime each of these waits would
    /// wake other threads, too.
    fn begin_to_write(&self) -> Arc<WriteQueue> {
        let queue: Arc<WriteQueue> = Arc::default();
        let (store, remembered, runtime) = (self.store.clone(), self.remembered.clone(), Handle::current());
        let waiting = queue.clone();
        let writing = move || write_on(&runtime, &store, &remembered, &waiting);
        if let Err(error) = thread::Builder::new().name("scim-writer".to_owned()).spawn(writing) {
            tracing::error!(%error, "what is pushed cannot be written: there is no thread for it");
            queue.close();
        }
        queue
    }

    /// The resources that are sought, as they stand in the store now.
    ///
    /// # Errors
    /// [`ScimRefusal`].
    pub async fn read(
        &self,
        by: ScimAuthority,
        place: ScimPlace,
        sought: ScimSought,
        now: Timestamp,
    ) -> Result<Vec<Arc<ScimResource>>, ScimRefusal> {
        if let Some(known) = self.proven(&by, &place, &sought, now) {
            return Ok(vec![known]);
        }
        let (answer, answered) = oneshot::channel();
        let queues = self.reads.get_or_init(|| {
            let begin = |_| {
                let (queue, waiting) = mpsc::channel(WAITING_MAX);
                tokio::spawn(read_on(self.store.clone(), self.remembered.clone(), waiting));
                queue
            };
            (0..READERS).map(begin).collect()
        });
        let job = ReadJob { by, place, sought, now, answer };
        // The more share a statement, the less each of them costs.
        let has_room =
            |queue: &&mpsc::Sender<ReadJob>| queue.max_capacity() - queue.capacity() < READER_WAITING_MAX;
        let queue = queues.iter().find(has_room).or(queues.last()).ok_or_else(stopped)?;
        queue.try_send(job).map_err(|_| ScimRefusal::Busy)?;
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// What is sought, where it is remembered and nothing was committed since the store said so, and that it may be told.
    fn proven(
        &self,
        by: &ScimAuthority,
        place: &ScimPlace,
        sought: &ScimSought,
        now: Timestamp,
    ) -> Option<Arc<ScimResource>> {
        let ScimSought::Id(id) = sought else { return None };
        if place.has_members {
            return None;
        }
        self.remembered.proven(self.store.db.commit_mark()?, by, place, id, now)
    }
}

impl Drop for ScimQueue {
    fn drop(&mut self) {
        if let Some(queue) = self.writes.get() {
            queue.close();
        }
    }
}

fn stopped() -> ScimRefusal {
    ScimRefusal::Failed("the queue in front of the store has stopped".to_owned())
}

fn write_on(runtime: &Handle, store: &Store, remembered: &Remembered, queue: &WriteQueue) {
    let (mut lately, mut took) = (0, Duration::ZERO);
    loop {
        let mut jobs = queue.take(lately, took);
        let count = jobs.len();
        if count == 0 {
            return;
        }
        let begun = Instant::now();
        let writing = AssertUnwindSafe(write::together(store, remembered, &mut jobs)).catch_unwind();
        let done = runtime.block_on(writing);
        ended(&done, &mut jobs);
        (lately, took) = (count + queue.len(), begun.elapsed());
    }
}

async fn read_on(store: Store, remembered: Arc<Remembered>, mut waiting: mpsc::Receiver<ReadJob>) {
    let mut jobs = Vec::with_capacity(BATCH_MAX);
    while gather(&mut waiting, &mut jobs, BATCH_MAX).await {
        let done = AssertUnwindSafe(read::together(&store, &remembered, &mut jobs)).catch_unwind().await;
        ended(&done, &mut jobs);
    }
}

/// What panicked has failed for those who shared it; nothing that can panic follows the commit. The next ones are served.
fn ended<T>(done: &std::thread::Result<()>, jobs: &mut Vec<T>) {
    if done.is_err() {
        tracing::error!(requests = jobs.len(), "a group of requests to the store panicked");
        jobs.clear();
    }
}
