//! Where "now" comes from: read once at the edge and handed down, so that tests can hold time in their hand.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// A source of the present instant.
pub trait Clock: Send + Sync {
    /// The present instant. Never earlier than an instant it gave before.
    fn now(&self) -> Timestamp;
}

/// The machine's clock, held back from stepping backwards: a wall clock that is set back must not revive a grant.
#[derive(Debug, Default)]
pub struct SystemClock {
    latest_ms: AtomicI64,
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let present_ms = Timestamp::now().as_millisecond();
        let latest_ms = self.latest_ms.fetch_max(present_ms, Ordering::AcqRel).max(present_ms);
        // `latest_ms` came from a valid timestamp, so it is one.
        Timestamp::from_millisecond(latest_ms).unwrap_or(Timestamp::MAX)
    }
}

/// A clock that a test or the story harness moves.
#[derive(Debug)]
pub struct ManualClock {
    present_ms: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { present_ms: AtomicI64::new(now.as_millisecond()) }
    }

    /// Moves forward.
    pub fn advance_ms(&self, by_ms: u64) {
        self.present_ms.fetch_add(i64::try_from(by_ms).unwrap_or(i64::MAX), Ordering::AcqRel);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.present_ms.load(Ordering::Acquire)).unwrap_or(Timestamp::MAX)
    }
}
