//! The loop that runs by itself: reads what is due, carries out what was asked for, closes what policy allows, publishes
//! the ledger, and keeps the present state fresh. Any number of processes may run it on one store.

mod claim;
mod handle;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use leasehold_store::{SettledIdentity, Store, TaskClaim};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

pub use handle::{ConnectorFace, DriverHandle, SystemFace};

use crate::live::{Live, View};
use crate::notice::NoticeKind;
use crate::pace::{Patience, SharedPace};
use crate::publisher::{Publication, Publisher};
use crate::schedule::{after, next_due};
use crate::system::{self, SharedSystems, Systems};
use crate::tasks::{TaskError, Work, enforce, receipts, resume, sync};
use crate::workflow::receipt;

/// Who asks for readings that are due, and for what was interrupted.
pub const SCHEDULER: &str = "leasehold (schedule)";

/// Who asks for readings of what was pushed.
pub const PUSHED: &str = "leasehold (pushed)";

/// When nothing was pushed for so long, what was pushed is read.
const PUSHES_QUIET_MS: u64 = 2_000;

/// What was pushed is read after so long, however much follows.
const PUSHES_WAIT_MS_MAX: u64 = 30_000;

/// How the loop is set.
#[derive(Debug, Clone, Copy)]
pub struct DriverSettings {
    /// How long a process may be silent before others take its tasks over, in milliseconds.
    pub takeover_after_ms: u64,
    /// How many systems one process reads at once.
    pub syncs_at_once: usize,
    /// How long running tasks may go on when the process is to stop, in milliseconds.
    pub stop_within_ms: u64,
    /// How often the store is looked at for work of others, in milliseconds.
    pub poll_ms: u64,
    /// How long tasks that have ended are listed, in hours.
    pub keep_tasks_hours: i64,
}

impl Default for DriverSettings {
    fn default() -> Self {
        Self {
            takeover_after_ms: 60_000,
            syncs_at_once: 4,
            stop_within_ms: 30_000,
            poll_ms: 500,
            keep_tasks_hours: 30 * 24,
        }
    }
}

/// The loop of one process. Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct Driver {
    shared: Arc<Shared>,
}

struct Shared {
    work: Work,
    publisher: Option<Publisher>,
    settings: DriverSettings,
    /// The name of this process among those that share the store.
    process: String,
    /// Rung when there may be something to do at once.
    wake: Notify,
    troubles: Mutex<BTreeMap<&'static str, String>>,
    progress: Mutex<Progress>,
    /// What this process is carrying out, with its kind.
    claimed: Mutex<HashMap<TaskClaim, String>>,
}

/// What the loop remembers between its turns. Losing it costs nothing but work.
#[derive(Default)]
struct Progress {
    /// Authoritative systems had their turn since this process started, so that accounts find their identities.
    feeds_first_done: bool,
    /// The state for which it was last asked whether policy wants something closed.
    looked_at: Option<Arc<View>>,
    /// When ended tasks were last forgotten.
    forgot_at: Option<Timestamp>,
}

/// Schedules for every system: one that is new is read at once, and one whose interval was shortened does not sit out the
/// old one.
async fn schedule_all(work: &Work) -> Result<(), TaskError> {
    let now = work.pace.now();
    let known = work.store.schedules().await?;
    for system in work.systems.now().values() {
        let before = known.iter().find(|schedule| schedule.system == system.name);
        let due_at = match before {
            None => now,
            Some(schedule) => next_due(&system.name, system.interval_ms, schedule.failures, now),
        };
        work.store.schedule_by(&system.name, due_at).await?;
    }
    Ok(())
}

impl Driver {
    /// A loop that does nothing yet. Without a publisher the ledger stays unpublished.
    pub fn new(
        store: Store,
        systems: Systems,
        pace: SharedPace,
        patience: Patience,
        publisher: Option<Publisher>,
        settings: DriverSettings,
    ) -> Self {
        let live = Live::new(store.clone(), system::settings(&systems), pace.clone());
        let shared = Shared {
            work: Work { store, systems: SharedSystems::new(systems), pace, patience, live },
            publisher,
            settings,
            process: Uuid::now_v7().to_string(),
            wake: Notify::new(),
            troubles: Mutex::new(BTreeMap::new()),
            progress: Mutex::new(Progress::default()),
            claimed: Mutex::new(HashMap::new()),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The present state, kept fresh by this loop.
    pub fn live(&self) -> &Live {
        &self.shared.work.live
    }

    /// What pages and calls ask of the loop.
    pub fn handle(&self) -> DriverHandle {
        DriverHandle::new(self.shared.clone())
    }

    /// What is done once, when a process starts: schedules for every system, and whatever was interrupted is asked for.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn start(&self) -> Result<(), TaskError> {
        let Work { store, pace, .. } = &self.shared.work;
        let now = pace.now();
        schedule_all(&self.shared.work).await?;
        if !store.unfinished_actions().await?.is_empty() {
            store.request_task(&resume::request(SCHEDULER, now), now).await?;
        }
        Ok(())
    }

    /// One turn: everything that is due or was asked for, to its end, and what follows from it. Gives how many tasks
    /// were carried out.
    ///
    /// # Errors
    /// Where the store fails; what goes wrong in a task is in the task.
    pub async fn turn(&self) -> Result<usize, TaskError> {
        let mut carried_out = 0;
        loop {
            self.request_due().await?;
            self.request_pushed().await?;
            self.look().await?;
            let mut running = JoinSet::new();
            while let Some(task) = self.claim(self.shared.settings.syncs_at_once).await? {
                let driver = self.clone();
                running.spawn(async move { driver.carry_out(task).await });
            }
            if running.is_empty() {
                break;
            }
            carried_out += running.join_all().await.len();
        }
        self.publish().await;
        self.forget().await?;
        Ok(carried_out)
    }

    /// Runs until it is told to stop, and a little longer: what is running may end, and what does not is given back.
    pub async fn run(&self, stop: watch::Receiver<bool>) {
        let parts = async {
            tokio::join!(
                self.work_on(stop.clone()),
                self.look_on(stop.clone()),
                self.publish_on(stop.clone())
            )
        };
        parts.await;
        // What the last tasks recorded.
        self.publish().await;
    }

    /// Claims and carries out tasks.
    async fn work_on(&self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let started = self.start().await;
            let is_started = started.is_ok();
            self.trouble("start", started.err().map(|error| error.to_string()));
            if is_started {
                break;
            }
            self.pause(&mut stop).await;
        }
        let mut running = JoinSet::new();
        while !*stop.borrow() {
            let turn = self.begin_what_may_begin(&mut running).await;
            self.trouble("tasks", turn.err().map(|error| error.to_string()));
            tokio::select! {
                () = self.pause(&mut stop) => {}
                Some(_) = running.join_next() => {}
            }
        }
        let deadline = tokio::time::sleep(Duration::from_millis(self.shared.settings.stop_within_ms));
        tokio::select! {
            () = async { while running.join_next().await.is_some() {} } => {}
            () = deadline => {
                tracing::warn!(tasks = running.len(), "tasks are given back, to be taken up after the restart");
                running.shutdown().await;
            }
        }
        self.give_back().await;
    }

    async fn begin_what_may_begin(&self, running: &mut JoinSet<()>) -> Result<(), TaskError> {
        self.request_due().await?;
        self.request_pushed().await?;
        self.forget().await?;
        // One more than readings, so that slow systems never keep a revocation waiting.
        while let Some(task) = self.claim(self.shared.settings.syncs_at_once).await? {
            let driver = self.clone();
            running.spawn(async move { driver.carry_out(task).await });
        }
        Ok(())
    }

    /// Keeps the present state fresh, and asks for what policy allows.
    async fn look_on(&self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let looked = self.look().await;
            self.trouble("view", looked.err().map(|error| error.to_string()));
            self.pause(&mut stop).await;
        }
    }

    async fn publish_on(&self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            self.publish().await;
            self.pause(&mut stop).await;
        }
    }

    /// Waits until there may be something to do.
    async fn pause(&self, stop: &mut watch::Receiver<bool>) {
        let poll = Duration::from_millis(self.shared.settings.poll_ms);
        tokio::select! {
            () = self.shared.wake.notified() => {}
            () = tokio::time::sleep(poll) => {}
            // A sender that is gone will not tell any more; the loop goes on until the process ends.
            Ok(_) = stop.changed() => {}
        }
    }

    /// Asks for the readings that are due. When a process starts, authoritative systems come first.
    async fn request_due(&self) -> Result<(), TaskError> {
        let Work { store, systems, pace, .. } = &self.shared.work;
        let (systems, now) = (systems.now(), pace.now());
        let due: Vec<_> = store.schedules().await?.into_iter().filter(|row| row.due_at <= now).collect();
        let due = |system: &&system::System| due.iter().any(|row| row.system == system.name);
        let feeds_first = !self.progress(|progress| progress.feeds_first_done);
        let mut feeds_open = false;
        for feed in systems.values().filter(|system| system.authoritative) {
            if due(&feed) {
                self.request_reading(feed, now).await?;
            }
            feeds_open =
                feeds_open || (feeds_first && store.has_open_task("sync", feed.name.as_str()).await?);
        }
        if feeds_open {
            return Ok(());
        }
        self.progress(|progress| progress.feeds_first_done = true);
        for system in systems.values().filter(|system| !system.authoritative).filter(due) {
            self.request_reading(system, now).await?;
        }
        Ok(())
    }

    /// Asks for readings of systems into which something was pushed: at once where somebody's access ends by it, else when
    /// no more has come for a moment, so that thousands of pushes are one reading.
    async fn request_pushed(&self) -> Result<(), TaskError> {
        let Work { store, systems, pace, .. } = &self.shared.work;
        let (systems, now) = (systems.now(), pace.now());
        let unread = store.unread_pushes().await?;
        let schedules = if unread.is_empty() { Vec::new() } else { store.schedules().await? };
        for unread in unread {
            let Some(system) = systems.get(&unread.system) else { continue };
            // What could not be read is read again by its schedule, which waits longer each time.
            let has_failed = schedules.iter().any(|row| {
                row.system == system.name && row.failures > 0 && row.started_at >= Some(unread.changed_at)
            });
            if has_failed {
                continue;
            }
            let is_quiet = after(unread.changed_at, PUSHES_QUIET_MS) <= now;
            let is_old = after(unread.since, PUSHES_WAIT_MS_MAX) <= now;
            let is_due = unread.ends_access || is_quiet || is_old;
            // One that runs may have begun before the push; it stays unread, and is asked for when that one has ended.
            if !is_due || store.has_open_task("sync", system.name.as_str()).await? {
                continue;
            }
            let reading = sync::request(&system.name, false, PUSHED, now);
            let asked = store.request_task(&reading, now).await?;
            self.live().notify(NoticeKind::TaskChanged, asked.id());
        }
        Ok(())
    }

    /// Asks for the receipts of those who have left and of whom nothing is under way any more.
    async fn request_receipts(&self, settled: Vec<SettledIdentity>, view: &View) -> Result<(), TaskError> {
        let Work { store, pace, .. } = &self.shared.work;
        let is_of_leaver =
            |settled: &SettledIdentity| !receipt::leavers_of(view, &settled.identity).is_empty();
        let (of_leavers, others): (Vec<_>, Vec<_>) = settled.into_iter().partition(is_of_leaver);
        store.need_no_receipt(&others).await?;
        let asked = receipts::request(pace.now());
        if of_leavers.is_empty() || store.has_open_task(&asked.kind, &asked.subject).await? {
            return Ok(());
        }
        let asked = store.request_task(&asked, pace.now()).await?;
        self.live().notify(NoticeKind::TaskChanged, asked.id());
        self.shared.wake.notify_waiters();
        Ok(())
    }

    async fn request_reading(&self, system: &system::System, now: Timestamp) -> Result<(), TaskError> {
        // One that is still running or waiting is reading enough; the system stays due until it has ended.
        if self.shared.work.store.has_open_task("sync", system.name.as_str()).await? {
            return Ok(());
        }
        let reading = sync::request(&system.name, false, SCHEDULER, now);
        // Its end sets when it is really due; this is for a reading of which nobody hears any more.
        let next = next_due(&system.name, system.interval_ms, 0, now);
        if let Some(asked) = self.shared.work.store.request_due(&system.name, &reading, next, now).await? {
            self.live().notify(NoticeKind::TaskChanged, asked.id());
        }
        Ok(())
    }

    /// Brings the present state up to date; where it is another one, policy may want something closed. Receipts may be due.
    async fn look(&self) -> Result<(), TaskError> {
        let work = &self.shared.work;
        // Asked first, so that what is known is newer than what was done.
        let settled = work.store.settled_identities(work.pace.now()).await?;
        let view = work.live.refresh().await?;
        let before = self.progress(|progress| progress.looked_at.clone());
        if before.is_some_and(|before| before.is_same_state(&view)) {
            return self.request_receipts(settled, &view).await;
        }
        if enforce::is_needed(work, &view).await? {
            let now = work.pace.now();
            let asked = work.store.request_task(&enforce::request(now), now).await?;
            work.live.notify(NoticeKind::TaskChanged, asked.id());
            self.shared.wake.notify_waiters();
        }
        receipt::note_leavings(&work.store, &view).await?;
        self.progress(|progress| progress.looked_at = Some(view.clone()));
        self.request_receipts(settled, &view).await
    }

    async fn publish(&self) {
        let Some(publisher) = &self.shared.publisher else { return };
        match publisher.publish().await {
            Ok(Publication::Nothing) => self.trouble("ledger", None),
            // Another command publishes what is due, or the next turn does.
            Ok(Publication::Busy) => {}
            Ok(Publication::Published(entries)) => {
                self.trouble("ledger", None);
                self.live().notify(NoticeKind::LedgerPublished, entries.to_string());
            }
            Err(error) => self.trouble("ledger", Some(error.to_string())),
        }
    }

    /// Forgets, once an hour, tasks that ended long ago.
    async fn forget(&self) -> Result<(), TaskError> {
        const EVERY_MS: u64 = 60 * 60 * 1_000;
        let now = self.shared.work.pace.now();
        if self
            .progress(|progress| progress.forgot_at)
            .is_some_and(|forgot_at| now < after(forgot_at, EVERY_MS))
        {
            return Ok(());
        }
        let kept = SignedDuration::from_hours(self.shared.settings.keep_tasks_hours);
        self.shared.work.store.forget_tasks(now.checked_sub(kept).unwrap_or(Timestamp::MIN)).await?;
        self.progress(|progress| progress.forgot_at = Some(now));
        Ok(())
    }

    fn progress<T>(&self, with: impl FnOnce(&mut Progress) -> T) -> T {
        with(&mut self.shared.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn claimed<T>(&self, with: impl FnOnce(&mut HashMap<TaskClaim, String>) -> T) -> T {
        with(&mut self.shared.claimed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Remembers what is wrong with a part of the loop, and logs it when it changes.
    fn trouble(&self, part: &'static str, trouble: Option<String>) {
        let mut troubles = self.shared.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if troubles.get(part) == trouble.as_ref() {
            return;
        }
        match trouble {
            Some(trouble) => {
                tracing::error!(part, %trouble, "the loop is in trouble, and tries again");
                troubles.insert(part, trouble);
            }
            None => {
                tracing::info!(part, "the loop is well again");
                troubles.remove(part);
            }
        }
    }
}
