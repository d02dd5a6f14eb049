//! What can go wrong with the log on disk.

use std::path::Path;

use crate::checkpoint::CheckpointError;

/// Why the log cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation failed.
    #[error("{path} cannot be {verb}: {source}")]
    Io {
        /// The file or directory.
        path: String,
        /// What was tried, as a participle: `read`, `written`, `synced`.
        verb: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Another process has the log open for writing.
    #[error(
        "{path} is locked: another process writes this log. Stop it first; two writers would fork the log"
    )]
    Locked {
        /// The lock file.
        path: String,
    },
    /// The directory holds the log of another origin.
    #[error(
        "{path} belongs to the log {found:?}, not to {expected:?}; name the right directory or the right origin"
    )]
    Origin {
        /// The file that says so.
        path: String,
        /// The origin in the file.
        found: String,
        /// The origin that was given.
        expected: String,
    },
    /// The origin cannot stand in a checkpoint.
    #[error(
        "the origin {0:?} is empty, too long or has a space, '+' or control character; use a URL without scheme"
    )]
    BadOrigin(String),
    /// The published checkpoint cannot be read.
    #[error("{path}: {source}")]
    Checkpoint {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: CheckpointError,
    },
    /// A signed checkpoint covers entries that are gone.
    #[error(
        "{path} is signed for {signed} entries but only {found} are on disk; \
         restore the missing files from a copy, because a log must not contradict what it signed"
    )]
    EntriesLost {
        /// The checkpoint file.
        path: String,
        /// The signed size.
        signed: u64,
        /// The entries found.
        found: u64,
    },
    /// The entries on disk do not have the root that was signed.
    #[error(
        "{path} is signed for another root at {size} entries than the files have; run the check to see which entry \
         differs, and restore it from a copy"
    )]
    RootDiffers {
        /// The checkpoint file.
        path: String,
        /// The signed size.
        size: u64,
    },
    /// A journal is damaged in its middle, which a crash does not do.
    #[error(
        "{path} is damaged at byte {offset}: {why}. Entries after it were durable; restore the file from a copy"
    )]
    JournalDamaged {
        /// The journal segment.
        path: String,
        /// Where.
        offset: u64,
        /// What is wrong there.
        why: String,
    },
    /// A tile or bundle is missing.
    #[error(
        "{path} is missing; entries {first} to {last} cannot be shown or proved. Restore the file from a copy"
    )]
    MissingTile {
        /// The file, with the full tile's name.
        path: String,
        /// First entry under the tile.
        first: u64,
        /// Last entry under the tile.
        last: u64,
    },
    /// A tile or bundle does not have its form.
    #[error("{path} is malformed: {why}. Restore the file from a copy")]
    MalformedTile {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// An entry does not fit.
    #[error(
        "the entry for index {index} has {bytes} bytes, at most 65535 fit; log a digest of the large part instead"
    )]
    EntryTooLarge {
        /// The index that it would have got.
        index: u64,
        /// Its size in bytes.
        bytes: usize,
    },
    /// The caller's entries begin after the end of the log.
    #[error("entries from {start} cannot be appended: the log ends at {len}, entries {len} to {} are missing", start - 1)]
    Gap {
        /// First index that was given.
        start: u64,
        /// The length of the log.
        len: u64,
    },
    /// The caller's entries differ from what is logged.
    #[error("the entry at index {index} is logged with other bytes; a logged entry cannot be replaced")]
    Overlap {
        /// The first index that differs.
        index: u64,
    },
    /// The index or size is beyond the log.
    #[error("{position} is beyond the log, which has {len} entries")]
    OutOfRange {
        /// The index or size that was asked for.
        position: u64,
        /// The length of the log.
        len: u64,
    },
    /// An earlier write failed, so memory and disk may differ.
    #[error("the log stopped after a failed write ({0}); open it again to recover what is durable")]
    Stopped(String),
    /// A state that the code rules out.
    #[error("internal error of the ledger: {0}")]
    Internal(String),
}

impl Error {
    pub(crate) fn io(path: &Path, verb: &'static str, source: std::io::Error) -> Self {
        Error::Io { path: path.display().to_string(), verb, source }
    }
}
