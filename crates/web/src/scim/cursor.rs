//! Cursors (RFC 9865): where a list goes on. Sealed, so that a client neither reads nor makes one.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::scim::error::{ScimError, ScimType};
use crate::state::App;

const SEALED_FOR: &str = "scim cursor";
/// How long a cursor can be used.
pub(crate) const LASTS: SignedDuration = SignedDuration::from_hours(1);

/// Where a list goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum From {
    /// After this resource, in the order of ids.
    After(String),
    /// After what has this place in the order that was asked for; so many were shown until then.
    AfterKey(Key, u64),
    /// After so many.
    Skipping(u64),
}

/// Where a resource stands in an order: by what it is sorted, and its id among equals.
pub(crate) type Key = (Option<String>, String);

/// What a cursor says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cursor {
    pub from: From,
    /// How many there were when the list began.
    pub total: u64,
    /// How many a page has.
    pub count: u64,
    /// Of which question in which system.
    pub question: String,
    /// In seconds since 1970.
    pub until: i64,
}

impl Cursor {
    /// As it is sent.
    ///
    /// # Errors
    /// Where the machine gives no randomness.
    pub fn seal(&self, app: &App) -> Result<String, ScimError> {
        Ok(app.settings.seal_key.seal(SEALED_FOR, self)?)
    }

    /// Reads what was sent, for the question that it came from.
    ///
    /// # Errors
    /// `invalidCursor`, `expiredCursor`.
    pub fn open(app: &App, sealed: &str, question: &str, now: Timestamp) -> Result<Self, ScimError> {
        let invalid = || {
            let why = "this cursor is not of this question; begin anew with an empty `cursor`";
            ScimError::new(ScimType::InvalidCursor, why)
        };
        let cursor: Self = app.settings.seal_key.open(SEALED_FOR, sealed).ok_or_else(invalid)?;
        if cursor.question != question {
            return Err(invalid());
        }
        if cursor.until <= now.as_second() {
            let why = "this cursor is too old; begin anew with an empty `cursor`";
            return Err(ScimError::new(ScimType::ExpiredCursor, why));
        }
        Ok(cursor)
    }
}
