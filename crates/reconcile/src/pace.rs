//! How waiting is done: really, or by moving a clock that a test holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use leasehold_model::clock::{Clock, ManualClock, SystemClock};

/// A clock that can also be waited on.
#[async_trait]
pub trait Pace: Clock {
    /// Waits.
    async fn sleep_ms(&self, duration_ms: u64);
}

#[async_trait]
impl Pace for SystemClock {
    async fn sleep_ms(&self, duration_ms: u64) {
        tokio::time::sleep(Duration::from_millis(duration_ms)).await;
    }
}

#[async_trait]
impl Pace for ManualClock {
    async fn sleep_ms(&self, duration_ms: u64) {
        self.advance_ms(duration_ms);
        tokio::task::yield_now().await;
    }
}

/// A shared clock.
pub type SharedPace = Arc<dyn Pace>;

/// How often and how patiently an action is tried before a person is asked.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How often an action is sent.
    pub sends_max: u32,
    /// How long to wait after the first failed try; doubles each time.
    pub back_off_ms: u64,
    /// The longest wait.
    pub back_off_ms_max: u64,
    /// How often one sending is read back before it counts as contradicted.
    pub reads_max: u32,
    /// How long to wait before the second read-back; doubles each time.
    pub read_again_ms: u64,
    /// How many systems are worked on at once.
    pub systems_at_once: usize,
    /// No system is waited for any longer than that.
    pub deadline: Option<Deadline>,
}

/// When a run ends, whatever a system does.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// The instant, by the clock of the machine: systems are waited for really.
    pub until: Instant,
    /// What becomes of what is open then.
    pub then: WhenLate,
    /// So long after it the call that is under way may last, where a later run goes on.
    pub last_call: Duration,
    /// There is time for nothing but what the plan is about.
    pub is_urgent: bool,
}

/// What becomes of actions that are open when the time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenLate {
    /// They wait for a person, and no call is waited for any longer.
    WaitForPerson,
    /// They stay open, and a later run goes on with them: others have their turn. The call that is under way has its own time,
    /// [`Deadline::last_call`], so that one that takes long gets to its end.
    GoOnLater,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            sends_max: 5,
            back_off_ms: 500,
            back_off_ms_max: 15_000,
            reads_max: 4,
            read_again_ms: 250,
            systems_at_once: 64,
            deadline: None,
        }
    }
}

impl Patience {
    /// The wait after try number `tried`, counted from one.
    pub fn back_off_ms(&self, tried: u32) -> u64 {
        self.back_off_ms.saturating_mul(1 << tried.saturating_sub(1).min(20)).min(self.back_off_ms_max)
    }

    /// The wait before read-back number `read + 1`.
    pub fn read_again_ms(&self, read: u32) -> u64 {
        self.read_again_ms.saturating_mul(1 << read.min(20)).min(self.back_off_ms_max)
    }
}
