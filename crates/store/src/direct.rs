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

/// So long a statement waits for another process before it says so; who can do something else meanwhile waits on.
const BUSY_TIMEOUT: Duration = Duration::from_millis(10);

/// The connection of one store, opened when it is first asked for. Who writes with it has the turn
/// ([`crate::db::Db::write_here`]).
#[derive(Debug, Clone)]
pub(crate) struct Direct {
    path: PathBuf,
    pragmas: Vec<(&'static str, String)>,
    home: Home,
}

/// Where the connection is between two transactions.
#[derive(Debug, Clone, Default)]
struct Home(Arc<Mutex<Place>>);

#[derive(Debug, Default)]
enum Place {
    /// It was not opened yet, or is away.
    #[default]
    Empty,
    Here(Connection),
    /// Nothing is written any more.
    Closed,
}

impl Home {
    fn lock(&self) -> MutexGuard<'_, Place> {
        // It is whole whenever it is unlocked: every step is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Direct {
    /// To the database in this file, set up so.
    pub fn new(path: PathBuf, pragmas: Vec<(&'static str, String)>) -> Self {
        Self { path, pragmas, home: Home::default() }
    }

    /// Begins a transaction that writes.
    ///
    /// # Errors
    /// [`crate::StoreError::Busy`], soon, where another process writes; [`crate::StoreError::Direct`].
    pub fn begin(&self) -> Result<DirectTx> {
        let connection = {
            let mut place = self.home.lock();
            match std::mem::take(&mut *place) {
                Place::Here(connection) => Some(connection),
                Place::Empty => None,
                Place::Closed => {
                    *place = Place::Closed;
                    return Err(sqlx::Error::PoolClosed.into());
                }
            }
        };
        let connection = match connection {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let transaction = DirectTx { connection: Some(connection), home: self.home.clone() };
        transaction.prepared("BEGIN IMMEDIATE")?.execute([])?;
        Ok(transaction)
    }

    fn connect(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        for (name, value) in &self.pragmas {
            connection.pragma_update(None, name, value)?;
        }
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(connection)
    }

    /// Closes it: at once, or when the transaction ends for which it is away.
    pub fn close(&self) {
        *self.home.lock() = Place::Closed;
    }
}

/// A transaction of that connection. Dropped without [`Self::commit`], it changed nothing.
#[derive(Debug)]
pub(crate) struct DirectTx {
    /// There until the end.
    connection: Option<Connection>,
    home: Home,
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
            let mut place = self.home.lock();
            if matches!(*place, Place::Empty) {
                *place = Place::Here(connection);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::db::{Tx, apart, execute, fetch_one};
    use crate::error::{Result, StoreError};
    use crate::{Store, StoreOptions};

    /// A store in a file.
    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        let options = StoreOptions { busy_timeout_ms: 300, ..StoreOptions::default() };
        (folder, Store::open(&url, options).await.expect("opens"))
    }

    async fn changed(tx: &mut Tx) -> u64 {
        execute!(tx, "UPDATE scim_head SET change = change + $1", 1).expect("writes")
    }

    async fn changes(store: &Store) -> i64 {
        let mut tx = store.db.read().await.expect("reads");
        let (change,) = fetch_one!(&mut tx, (i64,), "SELECT change FROM scim_head").expect("reads");
        change
    }

    #[tokio::test]
    async fn it_is_as_durable_as_the_others() {
        let (_folder, store) = store().await;
        let mut tx = store.db.write_here().await.expect("begins");
        {
            assert!(matches!(tx, Tx::Direct(..)));
            for (pragma, value) in [("synchronous", 2_i64), ("cache_size", -8192), ("temp_store", 2)] {
                let sql = format!("PRAGMA {pragma}");
                let Tx::Direct(transaction, _) = &mut tx else { panic!("it is one") };
                let (found,): (i64,) = transaction.fetch_one(&sql, &[]).expect("is asked");
                assert_eq!(found, value, "{pragma}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_dropped_in_the_middle_changes_nothing_and_the_next_one_begins() {
        let (_folder, store) = store().await;
        let mut tx = store.db.write_here().await.expect("begins");
        assert_eq!(changed(&mut tx).await, 1);
        drop(tx);
        let mut tx = store.db.write_here().await.expect("begins");
        let wrong = execute!(&mut tx, "UPDATE scim_head SET change = $1", "a", "b");
        assert!(matches!(wrong, Err(StoreError::Direct(_))), "{wrong:?}");
        changed(&mut tx).await;
        tx.commit().await.expect("commits");
        assert_eq!(changes(&store).await, 1);
    }

    #[tokio::test]
    async fn a_full_disk_is_no_end() {
        let (_folder, store) = store().await;
        let mut tx = store.db.write_here().await.expect("begins");
        {
            let Tx::Direct(transaction, _) = &mut tx else { panic!("it is one") };
            let (_,): (i64,) = transaction.fetch_one("PRAGMA max_page_count = 1", &[]).expect("is set");
        }
        let long = "x".repeat(10 << 20);
        let full = execute!(
            &mut tx,
            "INSERT INTO scim_deleted (system, kind, id, name, document, deleted_at) VALUES ('hr', 'User', 'u', 'u', $1, 0)",
            long.as_str()
        );
        assert!(full.is_err(), "{full:?}");
        drop(tx);
        let mut tx = store.db.write_here().await.expect("begins again");
        changed(&mut tx).await;
        tx.commit().await.expect("commits");
        assert_eq!(changes(&store).await, 1);
    }

    #[tokio::test]
    async fn another_process_is_waited_for_but_not_for_ever() {
        let (folder, store) = store().await;
        let other = rusqlite::Connection::open(folder.path().join("store.db")).expect("opens");
        other.execute_batch("BEGIN IMMEDIATE").expect("begins");
        assert!(matches!(store.db.write_here().await, Err(StoreError::Busy)));
        let begins = async {
            let mut tx = store.db.write_here().await.expect("begins");
            changed(&mut tx).await;
            tx.commit().await.expect("commits");
        };
        let ends = async {
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
            other.execute_batch("COMMIT").expect("commits");
        };
        futures::join!(begins, ends);
        assert_eq!(changes(&store).await, 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on_while_a_thread_waits() {
        let (_folder, store) = store().await;
        let (told, hears) = std::sync::mpsc::channel();
        let tx = store.db.write_here().await.expect("begins");
        let other = tokio::spawn(async move { told.send(()) });
        let written = apart(tx, async |mut tx| {
            // Only if another thread has taken over the runtime's tasks.
            hears.recv_timeout(std::time::Duration::from_secs(60)).expect("is told");
            changed(&mut tx).await;
            tx.commit().await
        });
        written.await.expect("commits");
        other.await.expect("ends").expect("is heard");
        assert_eq!(changes(&store).await, 1);
    }

    #[tokio::test]
    async fn whoever_ends_after_the_store_was_closed_leaves_no_connection() {
        let (folder, store) = store().await;
        let mut tx = store.db.write_here().await.expect("begins");
        changed(&mut tx).await;
        store.close().await;
        tx.commit().await.expect("commits");
        let log = folder.path().join("store.db-wal");
        assert!(!log.exists(), "the last connection is closed");
        let begun: Result<Tx> = store.db.write_here().await;
        assert!(begun.is_err());
    }
}
