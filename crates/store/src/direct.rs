//! A connection to a file of SQLite that works on the thread of whoever asks it.
//!
//! The pools' connections hand each statement to a thread of their own and wait for it, which for a short statement costs as much
//! as the statement does.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::Result;

/// The connection of one store, opened when it is first asked for. Who writes with it has the turn
/// ([`crate::db::Db::directly`]).
#[derive(Debug, Clone)]
pub(crate) struct Direct {
    path: PathBuf,
    busy_timeout: Duration,
    pragmas: Vec<(&'static str, String)>,
    connection: Arc<Mutex<Option<Connection>>>,
}

impl Direct {
    /// To the database in this file, set up so.
    pub fn new(path: PathBuf, busy_timeout: Duration, pragmas: Vec<(&'static str, String)>) -> Self {
        Self { path, busy_timeout, pragmas, connection: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        // A transaction that a panic ended is rolled back on its way.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has this done by the connection.
    ///
    /// # Errors
    /// [`crate::StoreError::Direct`] and [`crate::StoreError::Busy`], where it cannot be opened; what `work` returns.
    pub fn with<Done>(&self, work: impl FnOnce(&mut Connection) -> Result<Done>) -> Result<Done> {
        let mut known = self.lock();
        let mut connection = match known.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let done = work(&mut connection);
        *known = Some(connection);
        done
    }

    fn connect(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.busy_timeout)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        for (name, value) in &self.pragmas {
            connection.pragma_update(None, name, value)?;
        }
        Ok(connection)
    }

    /// Closes it.
    pub fn close(&self) {
        *self.lock() = None;
    }
}
