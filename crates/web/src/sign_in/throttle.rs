//! Slows guessing down without locking anybody out.
//!
//! Tries are counted for a user from one network, for a network, and for a user from everywhere. Each wait ends by
//! itself, and the first try of a user from a network that has not tried before is always taken: whatever strangers do
//! elsewhere, whoever knows the password gets in. A browser that the user signed in with before is counted by itself, so
//! that not even strangers behind the same address slow it down.

use jiff::Timestamp;
use leasehold_store::Failures;

use crate::error::WebError;
use crate::security::secret_hash;
use crate::source::Source;
use crate::state::App;

/// Tries without a wait, for a user from one network or browser.
const USER_FREE: i64 = 5;
/// Tries without a wait, for a network whoever it tries to be: many people can share one.
const NETWORK_FREE: i64 = 30;
/// From so many tries in vain on, wherever they came from, guessing is spread over many networks.
const SPREAD_FROM: i64 = 100;
/// The wait between tries from one network while guessing is spread.
const SPREAD_WAIT_SECONDS: u64 = 600;
/// The longest wait.
const WAIT_SECONDS_MAX: u64 = 900;

/// A try that was counted.
pub(crate) struct Try {
    own: Vec<String>,
    shared: Vec<String>,
}

impl Try {
    /// Counts a try, or says how long to wait. `known` is the hash of a browser that this user signed in with before.
    ///
    /// # Errors
    /// [`WebError::TooMany`].
    pub(crate) async fn begin(
        app: &App,
        step: &str,
        who: &str,
        source: &Source,
        known: Option<&str>,
    ) -> Result<Self, WebError> {
        // A hash: what strangers type as a mail address may be anything, of any length.
        let who = secret_hash(&who.trim().to_lowercase());
        let network = source.network();
        let now = app.now();
        let tried = if let Some(browser) = known {
            Self { own: vec![format!("{step}:browser:{who}:{browser}")], shared: Vec::new() }
        } else {
            let own = vec![format!("{step}:user:{who}:{network}"), format!("{step}:everywhere:{who}")];
            Self { own, shared: vec![format!("{step}:network:{network}")] }
        };
        let keys: Vec<String> = tried.own.iter().chain(&tried.shared).cloned().collect();
        let is_known = known.is_some();
        let wait = app.store.begin_sign_in(&keys, now, |before| wait(is_known, before, now)).await?;
        match wait {
            Some(retry_after_seconds) => Err(WebError::TooMany { retry_after_seconds }),
            None => Ok(tried),
        }
    }

    /// The try was good: what is counted for this user begins anew.
    ///
    /// # Errors
    /// Where the store fails.
    pub(crate) async fn succeeded(&self, app: &App) -> Result<(), WebError> {
        Ok(app.store.forget_failures(&self.own, &self.shared).await?)
    }
}

/// How long to wait, given what was counted before.
fn wait(is_known: bool, before: &[Option<Failures>], now: Timestamp) -> Option<u64> {
    let waits = if is_known {
        vec![after(before[0], USER_FREE, now)]
    } else {
        let [of_user, everywhere, of_network] = before else { return None };
        let is_spread = everywhere.is_some_and(|failures| failures.count >= SPREAD_FROM);
        let spread =
            of_user.filter(|_| is_spread).and_then(|failures| left(failures, SPREAD_WAIT_SECONDS, now));
        vec![after(*of_user, USER_FREE, now), after(*of_network, NETWORK_FREE, now), spread]
    };
    waits.into_iter().flatten().max()
}

/// The wait after some tries: none at first, then doubling.
fn after(failures: Option<Failures>, free: i64, now: Timestamp) -> Option<u64> {
    let failures = failures?;
    let over = u32::try_from(failures.count - free).ok()?;
    left(failures, 1_u64.checked_shl(over).unwrap_or(u64::MAX).clamp(1, WAIT_SECONDS_MAX), now)
}

fn left(failures: Failures, wait_seconds: u64, now: Timestamp) -> Option<u64> {
    let gone = u64::try_from(now.duration_since(failures.last_at).as_secs()).unwrap_or(0);
    (gone < wait_seconds).then(|| wait_seconds - gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn failed(count: i64) -> Option<Failures> {
        Some(Failures { count, last_at: at(0) })
    }

    #[test]
    fn waits_double_and_end_by_themselves() {
        for (counts, seconds_later, expected) in [
            ([None, None, None], 0, None),
            ([failed(4), failed(4), failed(4)], 0, None),
            ([failed(5), failed(5), failed(5)], 0, Some(1)),
            ([failed(8), failed(8), failed(8)], 0, Some(8)),
            ([failed(8), failed(8), failed(8)], 7, Some(1)),
            ([failed(8), failed(8), failed(8)], 8, None),
            ([failed(90), failed(90), failed(90)], 0, Some(900)),
            ([failed(90), failed(90), failed(90)], 900, None),
            ([None, failed(29), failed(29)], 0, None),
            ([None, failed(31), failed(31)], 0, Some(2)),
            // Guessing from everywhere: this network tried before, or did not.
            ([failed(1), failed(100), failed(1)], 0, Some(600)),
            ([None, failed(1_000_000), failed(1)], 0, None),
        ] {
            assert_eq!(wait(false, &counts, at(seconds_later)), expected, "{counts:?} {seconds_later}");
        }
        assert_eq!(wait(true, &[failed(5)], at(0)), Some(1));
        assert_eq!(wait(true, &[None], at(0)), None);
    }
}
