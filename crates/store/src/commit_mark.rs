//! Whether anybody has committed anything to a store in SQLite, told without a statement.
//!
//! The index of the write-ahead log begins with a header that every commit of a change replaces, whichever process makes it: it
//! counts commits, and holds where the log ends and its checksum (SQLite, "WAL-mode File Format", section 2.1). SQLite itself
//! compares it to know whether its pages are still true, and where commits are durable it is replaced when they last. What a
//! statement said that began after the header had been read is true for as long as the header is the same.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// What the index's header was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitMark([u64; header::WORDS]);

#[cfg(test)]
impl CommitMark {
    /// One that is like no other number's.
    pub(crate) fn numbered(number: u64) -> Self {
        Self([number; header::WORDS])
    }
}

/// The index of one store's write-ahead log.
#[derive(Clone)]
pub(crate) struct LogIndex(Arc<header::Index>);

impl fmt::Debug for LogIndex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LogIndex")
    }
}

impl LogIndex {
    /// That of the database in this file.
    pub(crate) fn of(database: &Path) -> Self {
        Self(Arc::new(header::Index::new(database.to_owned())))
    }

    /// How it stands now; `None` where that cannot be told without a statement.
    pub(crate) fn mark(&self) -> Option<CommitMark> {
        self.0.read().map(CommitMark)
    }

    /// Takes no mark any more: something was committed that left none, so this is not the index that SQLite uses.
    pub(crate) fn distrust(&self) {
        self.0.distrust();
    }

    /// Takes no mark any more: the store is closed.
    pub(crate) fn close(&self) {
        self.0.close();
    }
}

/// Where what is written into mapped memory is what everybody sees who has mapped it.
#[cfg(target_os = "linux")]
mod header {
    use std::fs::File;
    use std::mem::ManuallyDrop;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicBool, Ordering, fence};
    use std::sync::{Mutex, OnceLock, PoisonError};
    use std::time::Duration;

    use memmap2::{MmapOptions, MmapRaw};
    use rusqlite::{Connection, OpenFlags};

    /// The header's length in words of 8 bytes; it is there twice.
    pub(super) const WORDS: usize = 6;
    /// The byte that says that it was made.
    const IS_MADE: usize = 12;
    /// The word that holds the log's salt, which an empty log has none of: then there is nothing that tells one such header from
    /// another.
    const SALT: usize = 4;
    /// What is mapped: the page that begins with the header.
    const MAPPED_BYTES: usize = 4_096;

    pub(super) struct Index {
        database: PathBuf,
        mapped: OnceLock<MmapRaw>,
        opening: Mutex<Anchor>,
        is_out_of_use: AtomicBool,
    }

    /// What keeps the index where it is.
    #[derive(Default)]
    struct Anchor {
        /// A connection that asks nothing. The last one that is closed takes the index away, and whoever comes then makes another one
        /// while this is still mapped: so there is one for as long.
        connection: Option<Connection>,
        is_closed: bool,
    }

    impl Index {
        pub(super) fn new(database: PathBuf) -> Self {
            Self {
                database,
                mapped: OnceLock::new(),
                opening: Mutex::default(),
                is_out_of_use: AtomicBool::new(false),
            }
        }

        pub(super) fn distrust(&self) {
            self.is_out_of_use.store(true, Ordering::Release);
        }

        pub(super) fn close(&self) {
            self.distrust();
            let mut anchor = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
            *anchor = Anchor { connection: None, is_closed: true };
        }

        fn mapped(&self) -> Option<&MmapRaw> {
            if let Some(mapped) = self.mapped.get() {
                return Some(mapped);
            }
            let mut anchor = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
            if anchor.is_closed {
                return None;
            }
            if self.mapped.get().is_none() {
                if anchor.connection.is_none() {
                    anchor.connection = Some(anchored(&self.database)?);
                }
                let Some(mapped) = map(&self.database) else {
                    // Each further attempt would leave another file open.
                    self.distrust();
                    return None;
                };
                let _ = self.mapped.set(mapped);
            }
            self.mapped.get()
        }

        pub(super) fn read(&self) -> Option<[u64; WORDS]> {
            if self.is_out_of_use.load(Ordering::Acquire) {
                return None;
            }
            let mapped = self.mapped()?;
            // Who commits writes the second and then the first.
            let first = copy(mapped, 0);
            fence(Ordering::Acquire);
            let second = copy(mapped, 1);
            let is_whole =
                first == second && first[IS_MADE / 8].to_ne_bytes()[IS_MADE % 8] == 1 && first[SALT] != 0;
            is_whole.then_some(first)
        }
    }

    /// A connection that holds the index of a database that has one.
    fn anchored(database: &Path) -> Option<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(database, flags).ok()?;
        // Who asks does without a mark sooner than wait for one.
        connection.busy_timeout(Duration::ZERO).ok()?;
        // With its first statement it has the index, and keeps it without another one.
        connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(())).ok()?;
        Some(connection)
    }

    fn map(database: &Path) -> Option<MmapRaw> {
        // SQLite puts it beside the file itself, not beside a link to it.
        let mut path = std::fs::canonicalize(database).ok()?.into_os_string();
        path.push("-shm");
        // Never closed: when a process closes a file, all its POSIX locks on it end, and SQLite's are on this one.
        let file = ManuallyDrop::new(File::open(path).ok()?);
        MmapOptions::new().len(MAPPED_BYTES).map_raw_read_only(&*file).ok()
    }

    /// One of the two copies of the header.
    fn copy(mapped: &MmapRaw, number: usize) -> [u64; WORDS] {
        std::array::from_fn(|word| {
            let at = mapped.as_ptr().cast::<u64>().wrapping_add(number * WORDS + word);
            // SAFETY: both copies are within the mapped page, which begins at an address that fits any word. Others write there, which
            // a volatile read allows for, and what it saw of a copy that was half written is not equal to the other copy. The file is
            // never shorter than the page's first bytes: SQLite empties an index by cutting it to three bytes, of which the rest of
            // the page reads as zeros, and a file cut to nothing would end SQLite's own reading in the same way.
            #[allow(unsafe_code)]
            unsafe {
                at.read_volatile()
            }
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod header {
    use std::path::PathBuf;

    pub(super) const WORDS: usize = 6;

    pub(super) struct Index;

    impl Index {
        pub(super) fn new(_: PathBuf) -> Self {
            Self
        }

        pub(super) fn distrust(&self) {}

        pub(super) fn close(&self) {}

        pub(super) fn read(&self) -> Option<[u64; WORDS]> {
            None
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use crate::db::execute;
    use crate::{Store, StoreOptions};

    #[tokio::test]
    async fn every_commit_leaves_another_mark_and_nothing_else_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        let store = Store::open(&url, StoreOptions::default()).await.expect("opens");
        let other = Store::open(&url, StoreOptions::default()).await.expect("opens");
        let mark = || {
            let marks = [&store, &other].map(|store| store.db.commit_mark());
            assert_eq!(marks[0], marks[1]);
            marks[0]
        };
        assert!(mark().is_some(), "the migrations are in the log");
        let mut seen = vec![mark()];
        for number in 0..40 {
            let writer = if number % 2 == 0 { &store } else { &other };
            let mut tx = writer.db.write().await.expect("begins");
            execute!(&mut tx, "UPDATE scim_head SET change = change + 1").expect("writes");
            assert_eq!(mark(), seen[seen.len() - 1], "nothing is committed yet");
            if number % 5 == 4 {
                drop(tx);
                // What was written is taken back when the connection is used again.
                drop(writer.db.write().await.expect("begins"));
                assert_eq!(mark(), seen[seen.len() - 1], "nothing was committed");
                continue;
            }
            tx.commit().await.expect("commits");
            assert!(mark().is_some() && !seen.contains(&mark()), "commit {number}");
            seen.push(mark());
            if number % 7 == 6 {
                // The log begins anew.
                let crate::db::Db::Sqlite { write, .. } = &store.db else { panic!("it is SQLite") };
                sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(write).await.expect("checkpoints");
                seen.push(mark());
            }
        }
        let memory = Store::open("sqlite::memory:", StoreOptions::default()).await.expect("opens");
        assert_eq!(memory.db.commit_mark(), None, "there is no log");
    }

    #[tokio::test]
    async fn beside_a_link_lies_another_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let (there, link) = (folder.path().join("there.db"), folder.path().join("link.db"));
        let store = Store::open(&format!("sqlite:{}", there.display()), StoreOptions::default()).await;
        let store = store.expect("opens");
        // What a process left behind that was killed before the file was moved.
        std::fs::copy(folder.path().join("there.db-shm"), folder.path().join("link.db-shm")).expect("copies");
        store.close().await;
        std::os::unix::fs::symlink(&there, &link).expect("links");
        let store = Store::open(&format!("sqlite:{}", link.display()), StoreOptions::default()).await;
        let store = store.expect("opens");
        let mut seen = vec![None];
        for number in 0..3 {
            let mut tx = store.db.write().await.expect("begins");
            execute!(&mut tx, "UPDATE scim_head SET change = change + 1").expect("writes");
            tx.commit().await.expect("commits");
            assert!(!seen.contains(&store.db.commit_mark()), "commit {number}");
            seen.push(store.db.commit_mark());
        }
        store.db.distrust_commit_mark();
        assert_eq!(store.db.commit_mark(), None);
    }

    #[tokio::test]
    async fn a_log_that_was_taken_away_tells_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        let store = Store::open(&url, StoreOptions::default()).await.expect("opens");
        assert!(store.db.commit_mark().is_some());
        store.close().await;
        assert_eq!(store.db.commit_mark(), None);
        let never = super::LogIndex::of(&folder.path().join("never.db"));
        assert_eq!(never.mark(), None);
    }

    #[test]
    fn the_log_stays_while_it_is_looked_at_whoever_closes_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let open = || {
            let connection = rusqlite::Connection::open(&path).expect("opens");
            connection.pragma_update(None, "journal_mode", "wal").expect("has a log");
            connection
        };
        let writes = |connection: &rusqlite::Connection| {
            connection
                .execute_batch("CREATE TABLE IF NOT EXISTS t (x); INSERT INTO t VALUES (1)")
                .expect("writes");
        };
        let first = open();
        writes(&first);
        let index = super::LogIndex::of(&path);
        let mut seen = vec![index.mark()];
        assert!(seen[0].is_some());
        drop(first);
        for _ in 0..3 {
            assert_eq!(index.mark(), seen[seen.len() - 1], "nothing was committed");
            let another = open();
            writes(&another);
            drop(another);
            assert!(index.mark().is_some() && !seen.contains(&index.mark()));
            seen.push(index.mark());
        }
        let last = open();
        index.close();
        assert_eq!(index.mark(), None);
        drop(last);
        assert!(!folder.path().join("store.db-shm").exists(), "nobody holds it any more");
    }
}
