//! Whether anybody has committed anything to a store in SQLite, told without a statement.
//!
//! The index of the write-ahead log begins with a header that every commit replaces, whichever process makes it, and only once
//! the commit lasts: it counts commits, and holds where the log ends and its checksum (SQLite, "WAL-mode File Format", section
//! 2.1). SQLite itself compares it to know whether its pages are still true. What a statement said that began after the header
//! had been read is true for as long as the header is the same.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// What the index's header was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitMark([u8; header::BYTES]);

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
        let mut path = database.as_os_str().to_owned();
        path.push("-shm");
        Self(Arc::new(header::Index::new(path.into())))
    }

    /// How it stands now; `None` where that cannot be told without a statement.
    pub(crate) fn mark(&self) -> Option<CommitMark> {
        self.0.read().map(CommitMark)
    }
}

/// Where what is written into mapped memory is what a file's reader sees.
#[cfg(target_os = "linux")]
mod header {
    use std::fs::File;
    use std::mem::ManuallyDrop;
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};
    use std::path::PathBuf;
    use std::sync::OnceLock;

    /// The header's length; it is there twice.
    pub(super) const BYTES: usize = 48;
    /// Where the header says that it was made.
    const IS_MADE: usize = 12;

    pub(super) struct Index {
        path: PathBuf,
        /// Never closed: when a process closes a file, all its POSIX locks on it end, and SQLite's are on this one.
        file: OnceLock<Option<ManuallyDrop<File>>>,
    }

    impl Index {
        pub(super) fn new(path: PathBuf) -> Self {
            Self { path, file: OnceLock::new() }
        }

        pub(super) fn read(&self) -> Option<[u8; BYTES]> {
            let open = || File::open(&self.path).ok().map(ManuallyDrop::new);
            let file = self.file.get_or_init(open).as_ref()?;
            // The last connection takes the file away; whoever comes then makes another.
            if file.metadata().ok()?.nlink() == 0 {
                return None;
            }
            let mut twice = [0; 2 * BYTES];
            file.read_exact_at(&mut twice, 0).ok()?;
            let (first, second) = twice.split_at(BYTES);
            // Who commits writes the second and then the first.
            let is_whole = first == second && first[IS_MADE] == 1;
            first.try_into().ok().filter(|_| is_whole)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod header {
    use std::path::PathBuf;

    pub(super) const BYTES: usize = 48;

    pub(super) struct Index;

    impl Index {
        pub(super) fn new(_: PathBuf) -> Self {
            Self
        }

        pub(super) fn read(&self) -> Option<[u8; BYTES]> {
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
            let marks = [&store, &other].map(|store| store.db.commit_mark().expect("a mark"));
            assert_eq!(marks[0], marks[1]);
            marks[0]
        };
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
            assert!(!seen.contains(&mark()), "commit {number}");
            seen.push(mark());
            if number % 7 == 6 {
                // The log begins anew.
                let crate::db::Db::Sqlite { write, .. } = &store.db else { panic!("it is SQLite") };
                sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(write).await.expect("checkpoints");
                if !seen.contains(&mark()) {
                    seen.push(mark());
                }
            }
        }
        let memory = Store::open("sqlite::memory:", StoreOptions::default()).await.expect("opens");
        assert_eq!(memory.db.commit_mark(), None, "there is no log");
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
}
