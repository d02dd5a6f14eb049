//! What the checker can find, each with its own name and a message that says what and where.

use serde::Serialize;

/// What the log was compared with when a finding was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// The stored hash tiles of the log itself.
    HashTiles,
    /// The entries as the database has them.
    DatabaseRows,
    /// The older checkpoint that the auditor kept.
    TrustedCheckpoint,
    /// A checkpoint that the log itself published.
    PublishedCheckpoint,
}

impl std::fmt::Display for Against {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Against::HashTiles => "the hash tiles",
            Against::DatabaseRows => "the database rows",
            Against::TrustedCheckpoint => "the trusted checkpoint",
            Against::PublishedCheckpoint => "a published checkpoint",
        })
    }
}

/// One thing that is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// There is no checkpoint.
    #[error("checkpoint missing: {path} is not there; nothing is signed, so nothing can be checked")]
    CheckpointMissing {
        /// The file.
        path: String,
    },
    /// A checkpoint does not have its form.
    #[error("checkpoint malformed: {path}: {why}")]
    CheckpointMalformed {
        /// The file, or what else it came from.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The checkpoint carries no signature of the auditor's key.
    #[error("signed by another key: {path} is not signed by {expected}, but by {}", .found.join(", "))]
    OtherKey {
        /// The file.
        path: String,
        /// Name and id of the auditor's key.
        expected: String,
        /// Names and ids of the keys that signed.
        found: Vec<String>,
    },
    /// The signature does not belong to the text.
    #[error(
        "bad signature: the signature of {key} in {path} does not belong to its text; it was changed after signing"
    )]
    BadSignature {
        /// The file.
        path: String,
        /// Name and id of the key.
        key: String,
    },
    /// The trusted checkpoint is of another log.
    #[error("other log: the trusted checkpoint is of {expected:?}, this log says it is {found:?}")]
    OriginDiffers {
        /// The origin of the trusted checkpoint.
        expected: String,
        /// The origin of this log.
        found: String,
    },
    /// The entries do not have the root that was signed.
    #[error("root differs: {size} entries are signed with the root {signed}, but have the root {derived}")]
    RootDiffers {
        /// The signed size.
        size: u64,
        /// The signed root, in hexadecimal.
        signed: String,
        /// The root of the entries, in hexadecimal.
        derived: String,
    },
    /// The log no longer begins with what was signed before.
    #[error(
        "history rewritten: {against} over {size} entries is not a beginning of this log; \
         the first changed entry is at index {after} or later, and below {size}"
    )]
    HistoryRewritten {
        /// The size of the checkpoint that contradicts the log.
        size: u64,
        /// The largest size known to agree.
        after: u64,
        /// Which checkpoint it is.
        against: Against,
    },
    /// Entries at the end are gone.
    #[error("truncated: the log has {size} entries, {against} shows {expected}")]
    Truncated {
        /// How many entries there are.
        size: u64,
        /// How many there should be.
        expected: u64,
        /// What shows it.
        against: Against,
    },
    /// An entry has other bytes.
    #[error("entry changed: index {index} ({path}) differs from {against}")]
    EntryChanged {
        /// Its index.
        index: u64,
        /// The bundle file.
        path: String,
        /// What shows it.
        against: Against,
    },
    /// Entries are gone.
    #[error("entries dropped: index {first} to {last}, by {against}, are not in the log")]
    EntryDropped {
        /// First index, by what shows it.
        first: u64,
        /// Last index.
        last: u64,
        /// What shows it.
        against: Against,
    },
    /// Entries were put in.
    #[error("entries inserted: index {first} to {last} ({path}) of the log are unknown to {against}")]
    EntryInserted {
        /// First index in the log.
        first: u64,
        /// Last index.
        last: u64,
        /// The bundle file of the first.
        path: String,
        /// What shows it.
        against: Against,
    },
    /// An entry stands elsewhere.
    #[error("entry reordered: index {index}, by {against}, stands at index {found_at} ({path})")]
    EntryReordered {
        /// Its index, by what shows it.
        index: u64,
        /// Its index in the log.
        found_at: u64,
        /// The bundle file where it stands.
        path: String,
        /// What shows it.
        against: Against,
    },
    /// An entry is not of the form of entries.
    #[error("entry malformed: index {index} ({path}): {why}")]
    EntryMalformed {
        /// Its index.
        index: u64,
        /// The bundle file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A bundle does not have its form or its number of entries.
    #[error("bundle malformed: {path}: {why}")]
    BundleMalformed {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A bundle or hash tile is not there.
    #[error("tile missing: {path}, over entries {first} to {last}")]
    TileMissing {
        /// The file.
        path: String,
        /// First entry under it.
        first: u64,
        /// Last entry under it.
        last: u64,
    },
    /// A hash tile has other hashes than the entries, which are as signed.
    #[error(
        "tile differs: {path} does not have the hashes of the entries {first} to {last}; the entries are as signed"
    )]
    TileDiffers {
        /// The file.
        path: String,
        /// First entry under it.
        first: u64,
        /// Last entry under it.
        last: u64,
    },
    /// A file cannot be read.
    #[error("unread: {path}: {why}")]
    Unread {
        /// The file.
        path: String,
        /// What the operating system said.
        why: String,
    },
    /// There are more findings than were asked for.
    #[error("{count} more findings are left out")]
    Omitted {
        /// How many.
        count: u64,
    },
}
