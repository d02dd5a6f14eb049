//! A connection to a file of SQLite that works on the thread of whoever asks it.
//!
//! The pools' connections hand each statement to a thread of their own and wait for it, which for a short statement costs as much
//! as the statement does.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{CachedStatement, Connection, OpenFlags, Row, ToSql};

use crate::error::Result;

/// So many statements are kept ready.
const STATEMENTS_MAX: usize = 64;
/// The names of parameters, in the order of their values.
const PARAMETERS: [&str; 16] =
    ["$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14", "$15", "$16"];

/// The connection of one store, opened when it is first asked for. Who writes with it has the turn
/// ([`crate::db::Db::write_here`]).
#[derive(Debug, Clone)]
pub(crate) struct Direct {
    path: PathBuf,
    busy_timeout: Duration,
    pragmas: Vec<(&'static str, String)>,
    /// None while it is away in a transaction.
    connection: Arc<Mutex<Option<Connection>>>,
}

impl Direct {
    /// To the database in this file, set up so.
    pub fn new(path: PathBuf, busy_timeout: Duration, pragmas: Vec<(&'static str, String)>) -> Self {
        Self { path, busy_timeout, pragmas, connection: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        // It is whole whenever it is unlocked: every step is one assignment.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a transaction that writes, which waits here for another process's.
    ///
    /// # Errors
    /// [`crate::StoreError::Direct`] and [`crate::StoreError::Busy`].
    pub fn begin(&self) -> Result<DirectTx> {
        let known = self.lock().take();
        let connection = match known {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let transaction = DirectTx { connection: Some(connection), home: self.connection.clone() };
        transaction.prepared("BEGIN IMMEDIATE")?.execute([])?;
        Ok(transaction)
    }

    fn connect(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.busy_timeout)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        for (name, value) in &self.pragmas {
            connection.pragma_update(None, name, value)?;
        }
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(connection)
    }

    /// Closes it.
    pub fn close(&self) {
        *self.lock() = None;
    }
}

/// A transaction of that connection. Dropped without [`Self::commit`], it changed nothing.
#[derive(Debug)]
pub(crate) struct DirectTx {
    /// There until the end.
    connection: Option<Connection>,
    home: Arc<Mutex<Option<Connection>>>,
}

impl DirectTx {
    /// A statement that is kept ready. Its parameters are bound by their names, which are the places of the values.
    ///
    /// # Errors
    /// [`crate::StoreError::Direct`] where it is not SQL.
    pub fn prepared(&self, sql: &str) -> Result<CachedStatement<'_>> {
        let connection = self.connection.as_ref().ok_or(rusqlite::Error::InvalidQuery)?;
        Ok(connection.prepare_cached(sql)?)
    }

    /// The same with these values.
    fn bound(&self, sql: &str, values: &[&dyn ToSql]) -> Result<CachedStatement<'_>> {
        let mut statement = self.prepared(sql)?;
        let wanted = statement.parameter_count();
        if wanted != values.len() || wanted > PARAMETERS.len() {
            return Err(rusqlite::Error::InvalidParameterCount(values.len(), wanted).into());
        }
        for (name, value) in PARAMETERS.into_iter().zip(values) {
            let at = statement.parameter_index(name)?;
            let at = at.ok_or_else(|| rusqlite::Error::InvalidParameterName(name.to_owned()))?;
            statement.raw_bind_parameter(at, value)?;
        }
        Ok(statement)
    }

    /// Runs a statement and gives the number of rows that it touched.
    ///
    /// # Errors
    /// [`crate::StoreError::Direct`]; what was done before stays done.
    pub fn execute(&self, sql: &str, values: &[&dyn ToSql]) -> Result<u64> {
        Ok(self.bound(sql, values)?.raw_execute()? as u64)
    }

    /// Reads every row.
    ///
    /// # Errors
    /// [`crate::StoreError::Direct`].
    pub fn fetch_all<Read>(&self, sql: &str, values: &[&dyn ToSql]) -> Result<Vec<Read>>
    where
        Read: for<'a> TryFrom<&'a Row<'a>, Error = rusqlite::Error>,
    {
        let mut statement = self.bound(sql, values)?;
        let (mut rows, mut read) = (statement.raw_query(), Vec::new());
        while let Some(row) = rows.next()? {
            read.push(row.try_into()?);
        }
        Ok(read)
    }

    /// Reads the first row, where there is one.
    ///
    /// # Errors
    /// [`crate::StoreError::Direct`].
    pub fn fetch_optional<Read>(&self, sql: &str, values: &[&dyn ToSql]) -> Result<Option<Read>>
    where
        Read: for<'a> TryFrom<&'a Row<'a>, Error = rusqlite::Error>,
    {
        // To its end: a statement that changes something may not have done all of it before.
        Ok(self.fetch_all(sql, values)?.into_iter().next())
    }

    /// Reads the one row that must be there.
    ///
    /// # Errors
    /// [`crate::StoreError::Direct`].
    pub fn fetch_one<Read>(&self, sql: &str, values: &[&dyn ToSql]) -> Result<Read>
    where
        Read: for<'a> TryFrom<&'a Row<'a>, Error = rusqlite::Error>,
    {
        Ok(self.fetch_optional(sql, values)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?)
    }

    /// Makes everything since its beginning last.
    ///
    /// # Errors
    /// [`crate::StoreError::Direct`]; it may have been done all the same.
    pub fn commit(self) -> Result<()> {
        self.prepared("COMMIT")?.execute([])?;
        Ok(())
    }
}

impl Drop for DirectTx {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        // After some errors SQLite has rolled back by itself. One that cannot is closed, and the next transaction opens another.
        if connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok() {
            *self.home.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        }
    }
}
