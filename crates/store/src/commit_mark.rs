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
pub(crate) struct CommitMark([u8; header::BYTES]);

#[cfg(test)]
impl CommitMark {
    /// One that is like no other number's.
    pub(crate) fn numbered(number: u8) -> Self {
        Self([number; header::BYTES])
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
}

/// Where what is written into mapped memory is what a file's reader sees.
#[cfg(target_os = "linux")]
mod header {
    use std::fs::File;
    use std::mem::ManuallyDrop;
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Mutex, OnceLock, PoisonError};

    /// The header's length; it is there twice.
    pub(super) const BYTES: usize = 48;
    /// Where the header says that it was made.
    const IS_MADE: usize = 12;
    /// Where it holds the log's salt, which an empty log has none of: then there is nothing that tells one such header from
    /// another.
    const SALT: std::ops::Range<usize> = 32..40;

    pub(super) struct Index {
        database: PathBuf,
        /// Never closed: when a process closes a file, all its POSIX locks on it end, and SQLite's are on this one.
        file: OnceLock<ManuallyDrop<File>>,
        opening: Mutex<()>,
        is_distrusted: AtomicBool,
    }

    impl Index {
        pub(super) fn new(database: PathBuf) -> Self {
            Self {
                database,
                file: OnceLock::new(),
                opening: Mutex::new(()),
                is_distrusted: AtomicBool::new(false),
            }
        }

        pub(super) fn distrust(&self) {
            self.is_distrusted.store(true, Ordering::Release);
        }

        fn file(&self) -> Option<&File> {
            if self.file.get().is_none() {
                // Whoever opened it in vain would have to close it again.
                let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
                if self.file.get().is_none() {
                    // SQLite puts it beside the file itself, not beside a link to it.
                    let mut path = std::fs::canonicalize(&self.database).ok()?.into_os_string();
                    path.push("-shm");
                    let _ = self.file.set(ManuallyDrop::new(File::open(path).ok()?));
                }
            }
            self.file.get().map(|file| &**file)
        }

        pub(super) fn read(&self) -> Option<[u8; BYTES]> {
            if self.is_distrusted.load(Ordering::Acquire) {
                return None;
            }
            let file = self.file()?;
            // The last connection takes the file away; whoever comes then makes another.
            if file.metadata().ok()?.nlink() == 0 {
                return None;
            }
            let mut twice = [0; 2 * BYTES];
            file.read_exact_at(&mut twice, 0).ok()?;
            let (first, second) = twice.split_at(BYTES);
            // Who commits writes the second and then the first.
            let is_whole = first == second && first[IS_MADE] == 1 && first[SALT] != [0; 8];
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

        pub(super) fn distrust(&self) {}

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
}
