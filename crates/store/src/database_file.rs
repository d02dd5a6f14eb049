//! The file of a store in SQLite, and connections to it that belong to one thread.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::commit_mark::LogIndex;
use crate::error::Result;

/// The log of one large first read is not kept around for ever.
pub(crate) const LOG_BYTES_KEPT_MAX: u32 = 64 << 20;

/// The file of a store in SQLite, and how it is opened.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseFile {
    pub path: PathBuf,
    pub log_index: LogIndex,
    /// Whether a commit survives a loss of power.
    pub is_durable: bool,
    pub busy_timeout: Duration,
}

impl DatabaseFile {
    /// A connection that works on the thread of whoever asks it. Those of the pools hand each statement to a thread of their own
    /// and wait for it, which for a short statement costs as much as the statement. Who writes with it takes the turn before
    /// ([`crate::db::Db::turn`]).
    ///
    /// # Errors
    /// [`crate::StoreError::Direct`].
    pub fn connect(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.busy_timeout)?;
        let synchronous = if self.is_durable { "FULL" } else { "OFF" };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // In KiB: enough for the edges of a few indexes. Each commit looks through a table of all pages that it ever kept at once.
        connection.pragma_update(None, "cache_size", -8_192)?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT_MAX)?;
        Ok(connection)
    }
}
