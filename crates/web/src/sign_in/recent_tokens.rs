//! Programs whose token was in force a moment ago: who asks thousands of times a second is not looked up each time.
//!
//! What this process commits counts at once, since every commit ends what is remembered. What another process does, such as
//! `leasehold token revoke` beside a running server, counts within [`REMEMBERED`]. Only what is read is answered so; a change
//! is looked up each time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use leasehold_reconcile::view::View;
use leasehold_store::{Revision, commits};

use crate::person::Person;
use crate::state::App;

/// For so long what another process does may not count.
const REMEMBERED: Duration = Duration::from_secs(1);
/// More than these are not remembered at once.
const TOKENS_MAX: usize = 1_000;

/// What a person is follows from what the store said and from the present state.
#[derive(PartialEq, Eq, Clone, Copy)]
pub(crate) struct AsOf {
    commits: u64,
    view: Option<(Revision, Timestamp)>,
}

impl AsOf {
    /// This instant; to be asked for before anything is looked up.
    pub(crate) fn now(app: &App) -> Self {
        let name = |view: Arc<View>| (view.revision(), view.as_of());
        Self { commits: commits(), view: app.live.view().map(name) }
    }
}

struct Remembered {
    person: Arc<Person>,
    expires_at: Timestamp,
    as_of: AsOf,
    since: Instant,
}

/// Who was looked up lately, by the digest of the secret.
#[derive(Default)]
pub(crate) struct RecentTokens(Mutex<HashMap<[u8; 32], Remembered>>);

impl RecentTokens {
    /// Whose token this is, where it was in force a moment ago and nothing has changed since.
    pub(crate) fn get(&self, digest: &[u8; 32], as_of: AsOf, now: Timestamp) -> Option<Arc<Person>> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = remembered.get(digest)?;
        let holds = known.as_of == as_of && known.since.elapsed() < REMEMBERED && known.expires_at > now;
        holds.then(|| known.person.clone())
    }

    /// Remembers who was looked up.
    pub(crate) fn put(&self, digest: [u8; 32], as_of: AsOf, expires_at: Timestamp, person: Arc<Person>) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= TOKENS_MAX {
            remembered.clear();
        }
        remembered.insert(digest, Remembered { person, expires_at, as_of, since: Instant::now() });
    }
}
