//! The independent checker: derives the whole log again from its raw entries and says what is wrong, and where.
//!
//! It shares the leaf and node hash and the public key with the writer, and nothing else: paths, tree and notes are read by code of its
//! own. It reads each file once, in order, and keeps a few hundred bundles in memory at a time.

mod align;
mod finding;
mod layout;
mod note;
mod pass;
mod scan;
mod spine;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

pub use finding::{Against, Finding};

use crate::checkpoint::VerifyingKey;
use note::{Claim, Standing};
use pass::{Mark, Pass};
use scan::Look;

/// How many kept checkpoints are compared, evenly spread, when there are more.
const HISTORY_MAX: usize = 1024;

/// What a check may use beside the log itself.
pub struct Options<'a> {
    /// An older signed checkpoint that the auditor kept. Without one, a log that was rewritten and signed anew by the key's owner cannot
    /// be told from an honest one.
    pub trusted: Option<String>,
    /// The entries as the database has them, by index, in order. More of them than the log has counts as a truncated log, so leave out
    /// what is not published yet.
    pub expected_entries: Option<&'a mut dyn Iterator<Item = (u64, Vec<u8>)>>,
    /// Entries are arbitrary bytes: none is malformed, and none is counted by kind.
    pub opaque_entries: bool,
    /// Parse every entry as a whole. Without it, an entry is recognised by its first and last members.
    pub deep_entries: bool,
    /// Threads that read and hash; `None` for as many as there are processors.
    pub threads: Option<usize>,
    /// The most findings to report; the rest is counted.
    pub findings_max: usize,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            trusted: None,
            expected_entries: None,
            opaque_entries: false,
            deep_entries: false,
            threads: None,
            findings_max: 1000,
        }
    }
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The log's identity, as its checkpoint says.
    pub origin: String,
    /// How many entries the checkpoint covers.
    pub size: u64,
    /// The root that follows from the entries, in hexadecimal; `None` when entries are missing.
    pub root: Option<String>,
    /// How many older checkpoints were compared with the entries, the trusted one included.
    pub checkpoints_compared: usize,
    /// How many entries there are of each kind.
    pub entries_by_kind: BTreeMap<String, u64>,
    /// Everything that is wrong. Empty for a good log.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Checks the log in `dir` against the auditor's key. Never stops early: whatever can be said of a damaged log is said.
pub fn check(dir: impl AsRef<Path>, key: &VerifyingKey, options: Options<'_>) -> Report {
    let dir = dir.as_ref();
    let findings_max = options.findings_max;
    let mut report = run(dir, key, options);
    let left_out = report.findings.len().saturating_sub(findings_max) as u64;
    if left_out > 0 {
        report.findings.truncate(findings_max);
        report.findings.push(Finding::Omitted { count: left_out });
    }
    report
}

fn run(dir: &Path, key: &VerifyingKey, options: Options<'_>) -> Report {
    let mut findings = Vec::new();
    // The history is listed before the checkpoint is read: a log that is written meanwhile then never looks as if it had shrunk.
    let history = layout::history_sizes(dir);
    let claim = read_claim(dir, key, &mut findings);
    let trusted =
        options.trusted.as_ref().and_then(|text| read_trusted(text, key, claim.as_ref(), &mut findings));
    let Some(claim) = claim else {
        let origin = String::new();
        let (root, entries_by_kind) = (None, BTreeMap::new());
        return Report { origin, size: 0, root, checkpoints_compared: 0, entries_by_kind, findings };
    };
    let marks = marks(dir, &claim, trusted, &history, key, &mut findings);
    let checkpoints_compared = marks.len();
    let threads =
        options.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let look = Look { opaque: options.opaque_entries, deep: options.deep_entries };
    let mut pass = Pass::new(dir, &claim, marks, options.expected_entries);
    pass.findings = findings;
    pass.run(look, threads.max(1) as u64);
    let root = pass.complete.then(|| hex::encode(pass.spine_root()));
    let kinds = std::mem::take(&mut pass.kinds);
    let entries_by_kind =
        kinds.into_iter().map(|(k, n)| (String::from_utf8_lossy(&k).into_owned(), n)).collect();
    let findings = pass.finish();
    Report { origin: claim.origin, size: claim.size, root, checkpoints_compared, entries_by_kind, findings }
}

fn read_claim(dir: &Path, key: &VerifyingKey, findings: &mut Vec<Finding>) -> Option<Claim> {
    let path = dir.join("checkpoint");
    let mut text = Vec::new();
    let place = path.display().to_string();
    let read = layout::read_into(&path, &mut text).and_then(|present| {
        if present {
            note::read(&text, &place, key)
        } else {
            Err(Finding::CheckpointMissing { path: place.clone() })
        }
    });
    match read {
        Ok((claim, standing)) => {
            findings.extend(doubt(standing, place, key));
            Some(claim)
        }
        Err(finding) => {
            findings.push(finding);
            None
        }
    }
}

fn doubt(standing: Standing, path: String, key: &VerifyingKey) -> Option<Finding> {
    let name = format!("{}+{}", key.name(), hex::encode(key.id()));
    match standing {
        Standing::Signed => None,
        Standing::OtherKey(found) => Some(Finding::OtherKey { path, expected: name, found }),
        Standing::Bad => Some(Finding::BadSignature { path, key: name }),
    }
}

/// The trusted checkpoint. The auditor vouches for it, so a signature of an older key will do, but not a wrong one of this key.
fn read_trusted(
    text: &str,
    key: &VerifyingKey,
    log: Option<&Claim>,
    findings: &mut Vec<Finding>,
) -> Option<Claim> {
    let place = "the trusted checkpoint".to_owned();
    match note::read(text.as_bytes(), &place, key) {
        Ok((claim, standing)) => {
            if let Standing::Bad = standing {
                findings.extend(doubt(standing, place, key));
                return None;
            }
            if let Some(log) = log.filter(|log| log.origin != claim.origin) {
                let (expected, found) = (claim.origin.clone(), log.origin.clone());
                findings.push(Finding::OriginDiffers { expected, found });
            }
            Some(claim)
        }
        Err(finding) => {
            findings.push(finding);
            None
        }
    }
}

/// The checkpoints to compare with, by size; those that the log is too short for are findings.
fn marks(
    dir: &Path,
    claim: &Claim,
    trusted: Option<Claim>,
    history: &[u64],
    key: &VerifyingKey,
    findings: &mut Vec<Finding>,
) -> VecDeque<Mark> {
    let mut marks = Vec::new();
    let beyond = |size: u64, against| {
        (size > claim.size).then_some(Finding::Truncated { size: claim.size, expected: size, against })
    };
    if let Some(trusted) = trusted {
        match beyond(trusted.size, Against::TrustedCheckpoint) {
            Some(finding) => findings.push(finding),
            None => marks.push(Mark {
                size: trusted.size,
                root: trusted.root,
                against: Against::TrustedCheckpoint,
            }),
        }
    }
    findings.extend(history.last().and_then(|size| beyond(*size, Against::PublishedCheckpoint)));
    let within: Vec<u64> = history.iter().copied().filter(|size| *size <= claim.size).collect();
    let stride = within.len().div_ceil(HISTORY_MAX).max(1);
    let mut text = Vec::new();
    for size in within.into_iter().rev().step_by(stride) {
        let path = dir.join("checkpoints").join(size.to_string());
        let place = path.display().to_string();
        match layout::read_into(&path, &mut text).and_then(|_| note::read(&text, &place, key)) {
            Ok((kept, _)) if kept.size == size => {
                marks.push(Mark { size, root: kept.root, against: Against::PublishedCheckpoint });
            }
            Ok((kept, _)) => {
                let why = format!("it is kept for {size} entries, but says {}", kept.size);
                findings.push(Finding::CheckpointMalformed { path: place, why });
            }
            Err(finding) => findings.push(finding),
        }
    }
    marks.sort_by_key(|mark| mark.size);
    marks.into()
}
