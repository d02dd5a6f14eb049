//! When a system is read next: its interval, spread a little, and longer waits while it cannot be read.

use jiff::{SignedDuration, Timestamp};
use leasehold_model::id::SystemName;
use sha2::{Digest as _, Sha256};

/// The wait after the first reading that failed, unless the interval is shorter.
const BACK_OFF_MS: u64 = 30_000;

/// The longest wait after readings that failed, unless the interval is longer.
const BACK_OFF_MS_MAX: u64 = 60 * 60 * 1_000;

/// The part of a wait by which it may be longer, so that systems of one start do not stay in step for ever.
const SPREAD: u64 = 10;

/// When a system is due after a reading that ended now; `failures` counts readings that failed in a row.
pub fn next_due(system: &SystemName, interval_ms: u64, failures: u32, now: Timestamp) -> Timestamp {
    let wait_ms = match failures {
        0 => interval_ms,
        failed => {
            let first_ms = BACK_OFF_MS.min(interval_ms);
            let doubled_ms = first_ms.saturating_mul(1 << (failed - 1).min(20));
            doubled_ms.min(BACK_OFF_MS_MAX.max(interval_ms))
        }
    };
    // From what is known already: the same reading is always put at the same instant.
    let digest = Sha256::digest(format!("{system} {}", now.as_millisecond()));
    let chance = digest.iter().take(8).fold(0u64, |chance, byte| chance << 8 | u64::from(*byte));
    let longer_ms = chance % (wait_ms / SPREAD + 1);
    after(now, wait_ms.saturating_add(longer_ms))
}

/// An instant some milliseconds later.
pub(crate) fn after(now: Timestamp, wait_ms: u64) -> Timestamp {
    let wait = SignedDuration::from_millis(i64::try_from(wait_ms).unwrap_or(i64::MAX));
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_s(interval_s: u64, failures: u32) -> i64 {
        let now = Timestamp::UNIX_EPOCH;
        let system = SystemName::new("directory").expect("a name");
        next_due(&system, interval_s * 1_000, failures, now).as_second()
    }

    #[test]
    fn failures_are_tried_sooner_and_then_ever_later() {
        let quarter = 15 * 60;
        for (interval_s, failures, from_s) in [
            (quarter, 0, quarter as i64),
            (quarter, 1, 30),
            (quarter, 2, 60),
            (quarter, 5, 480),
            (quarter, 9, 3_600),
            (quarter, u32::MAX, 3_600),
            (10, 1, 10),
            (10, 2, 20),
            (86_400, 30, 86_400),
        ] {
            let found = wait_s(interval_s, failures);
            assert!((from_s..=from_s + from_s / 10).contains(&found), "{interval_s} {failures}: {found}");
        }
    }

    #[test]
    fn systems_do_not_stay_in_step() {
        let waits: std::collections::BTreeSet<Timestamp> = (0..20)
            .map(|number| SystemName::new(format!("system-{number}")).expect("a name"))
            .map(|system| next_due(&system, 900_000, 0, Timestamp::UNIX_EPOCH))
            .collect();
        assert!(waits.len() > 15, "{waits:?}");
        // And a very short interval has nothing to be spread over.
        assert_eq!(wait_s(0, 0), 0);
    }
}
