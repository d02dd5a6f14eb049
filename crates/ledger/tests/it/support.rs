//! What the tests share: a log in a directory of its own, entries, and copies of directories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use leasehold_ledger::checkpoint::SigningKey;
use leasehold_ledger::entry::Entry;
use leasehold_ledger::writer::Log;
use serde_json::json;
use tempfile::TempDir;

/// The origin of every log in the tests.
pub const ORIGIN: &str = "log.example.com/leasehold";

/// The bytes of a well-formed entry, different for every number.
pub fn entry(number: u64) -> Vec<u8> {
    let kind = ["claim.made", "decision.made", "plan.made", "action.verified"][(number % 4) as usize];
    let entry = Entry {
        kind: kind.into(),
        at: "2026-01-31T09:30:00Z".into(),
        subject: format!("grant/{number}"),
        body: json!({ "number": number, "padding": "x".repeat((number % 37) as usize) }),
        commitments: BTreeMap::new(),
    };
    entry.to_bytes().expect("a well-formed entry")
}

/// Entries by number.
pub fn entries(range: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    range.map(entry).collect()
}

/// A signing key for the tests' origin.
pub fn key() -> SigningKey {
    SigningKey::generate(ORIGIN).expect("a key")
}

/// An empty directory.
pub fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// A log with these entries, published at each of these sizes, and closed again.
pub fn published(dir: &Path, key: &SigningKey, entries: &[Vec<u8>], sizes: &[u64]) {
    let mut log = Log::open(dir, ORIGIN).expect("opens");
    for size in sizes {
        let (from, to) = (log.len() as usize, *size as usize);
        log.append_batch(&entries[from..to]).expect("appends");
        log.publish(key).expect("publishes");
    }
}

/// Every file below a directory.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(dir).expect("a directory") {
        let path = item.expect("an item").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Copies a directory.
pub fn copy(from: &Path) -> TempDir {
    let to = directory();
    for file in files(from) {
        let target = to.path().join(file.strip_prefix(from).expect("below"));
        std::fs::create_dir_all(target.parent().expect("a parent")).expect("a directory");
        std::fs::copy(&file, &target).expect("copies");
    }
    to
}

/// The text of a file below a directory.
pub fn text(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).expect("a text file")
}
