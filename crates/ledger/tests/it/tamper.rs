//! The tamper matrix: every change to a log is found and named, by whatever the auditor has.

use std::fs;
use std::path::Path;

use leasehold_ledger::check::{Against, Finding, Options, Report, check};
use leasehold_ledger::checkpoint::{SigningKey, VerifyingKey};

use crate::support::{copy, directory, entries, entry, key, published, text};

/// How many entries the honest log has, and where the attacker strikes.
const SIZE: u64 = 1_100;
const AT: usize = 333;

/// What an attacker does to the entries.
#[derive(Debug, Clone, Copy)]
enum Change {
    Replace,
    Drop,
    Insert,
    Swap,
    Move,
    Truncate,
}

const CHANGES: [Change; 6] =
    [Change::Replace, Change::Drop, Change::Insert, Change::Swap, Change::Move, Change::Truncate];

impl Change {
    fn apply(self, all: &mut Vec<Vec<u8>>) {
        match self {
            Change::Replace => all[AT] = entry(90_000),
            Change::Drop => drop(all.remove(AT)),
            Change::Insert => all.insert(AT, entry(90_000)),
            Change::Swap => all.swap(AT, AT + 400),
            Change::Move => {
                let moved = all.remove(AT);
                all.insert(AT + 50, moved);
            }
            Change::Truncate => all.truncate(AT),
        }
    }

    /// Whether a finding names this change, against the right thing and at the right place.
    fn is_named(self, finding: &Finding, by: Against) -> bool {
        let at = AT as u64;
        match (self, finding) {
            (Change::Replace, Finding::EntryChanged { index, against, .. }) => *index == at && *against == by,
            (Change::Drop, Finding::EntryDropped { first, last, against }) => {
                (*first, *last, *against) == (at, at, by)
            }
            (Change::Insert, Finding::EntryInserted { first, last, against, .. }) => {
                (*first, *last, *against) == (at, at, by)
            }
            (Change::Swap, Finding::EntryReordered { index, found_at, against, .. }) => {
                (*index, *found_at, *against) == (at, at + 400, by)
            }
            (Change::Move, Finding::EntryReordered { index, found_at, against, .. }) => {
                (*index, *found_at, *against) == (at, at + 50, by)
            }
            (Change::Truncate, Finding::Truncated { expected, against, .. }) => {
                *expected == SIZE && *against == by
            }
            _ => false,
        }
    }
}

fn honest(dir: &Path, key: &SigningKey) {
    published(dir, key, &entries(0..SIZE), &[100, 300, 600, 700, SIZE]);
}

fn run(dir: &Path, key: &VerifyingKey) -> Report {
    check(dir, key, Options::default())
}

fn run_trusted(dir: &Path, key: &VerifyingKey, trusted: String) -> Report {
    check(dir, key, Options { trusted: Some(trusted), ..Options::default() })
}

fn run_rows(dir: &Path, key: &VerifyingKey, rows: u64) -> Report {
    let mut rows = (0..rows).map(|index| (index, entry(index)));
    check(dir, key, Options { expected_entries: Some(&mut rows), ..Options::default() })
}

/// Writes the entry bundles anew, under the names that the tree of `SIZE` entries has, and nothing else.
fn rewrite_bundles(dir: &Path, all: &[Vec<u8>]) {
    let bundle = |entries: &[Vec<u8>]| {
        let mut bytes = Vec::new();
        for entry in entries {
            bytes.extend((entry.len() as u16).to_be_bytes());
            bytes.extend(entry);
        }
        bytes
    };
    let full = (SIZE / 256) as usize;
    for index in 0..=full {
        let name = if index == full { format!("{index:03}.p/{}", SIZE % 256) } else { format!("{index:03}") };
        let from = (index * 256).min(all.len());
        let to = if index == full { all.len() } else { (from + 256).min(all.len()) };
        let path = dir.join("tile/entries").join(name);
        if from == to {
            fs::remove_file(path).expect("removes")
        } else {
            fs::write(path, bundle(&all[from..to])).expect("writes")
        }
    }
}

/// A whole log anew with the changed entries, signed with `key`, and without the old history.
fn forge(change: Change, key: &SigningKey) -> tempfile::TempDir {
    let mut all = entries(0..SIZE);
    change.apply(&mut all);
    let dir = directory();
    published(dir.path(), key, &all, &[all.len() as u64]);
    dir
}

#[test]
fn an_honest_log_has_no_findings_whatever_it_is_compared_with() {
    let key = key();
    let vkey = key.verifying_key();
    let dir = directory();
    honest(dir.path(), &key);
    let report = run(dir.path(), &vkey);
    assert_eq!(report.findings, []);
    assert_eq!((report.size, report.checkpoints_compared), (SIZE, 5));
    let kinds: Vec<(&str, u64)> =
        report.entries_by_kind.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(
        kinds,
        [("action.verified", 275), ("claim.made", 275), ("decision.made", 275), ("plan.made", 275)]
    );
    for size in [100, 600, SIZE] {
        let trusted = text(dir.path(), &format!("checkpoints/{size}"));
        assert!(run_trusted(dir.path(), &vkey, trusted).is_good());
    }
    assert!(run_rows(dir.path(), &vkey, SIZE).is_good());
    for threads in [1, 2, 5] {
        let options = Options { threads: Some(threads), deep_entries: true, ..Options::default() };
        assert_eq!(check(dir.path(), &vkey, options), report, "{threads} threads");
    }
}

#[test]
fn changed_entry_files_are_found_by_the_hash_tiles_and_by_the_rows() {
    let key = key();
    let vkey = key.verifying_key();
    let base = directory();
    honest(base.path(), &key);
    for change in CHANGES {
        let dir = copy(base.path());
        let mut all = entries(0..SIZE);
        change.apply(&mut all);
        rewrite_bundles(dir.path(), &all);
        let by_tiles = run(dir.path(), &vkey);
        let named = |report: &Report, by| report.findings.iter().any(|finding| change.is_named(finding, by));
        // Without their bundles, entries at the end are missing by the checkpoint, not by the tiles.
        let by = if matches!(change, Change::Truncate) {
            Against::PublishedCheckpoint
        } else {
            Against::HashTiles
        };
        assert!(named(&by_tiles, by), "{change:?}: {:#?}", by_tiles.findings);
        assert!(by_tiles.findings.len() < 8, "{change:?} is told in few words: {:#?}", by_tiles.findings);
        let by_rows = run_rows(dir.path(), &vkey, SIZE);
        assert!(named(&by_rows, Against::DatabaseRows), "{change:?}: {:#?}", by_rows.findings);
    }
}

#[test]
fn a_log_written_and_signed_anew_is_found_by_the_rows_and_by_a_trusted_checkpoint() {
    let key = key();
    let vkey = key.verifying_key();
    let base = directory();
    honest(base.path(), &key);
    for change in CHANGES {
        let dir = forge(change, &key);
        assert!(
            run(dir.path(), &vkey).is_good(),
            "{change:?}: the forgery agrees with itself, as an attacker with the key can"
        );
        let by_rows = run_rows(dir.path(), &vkey, SIZE);
        let named = by_rows.findings.iter().any(|finding| change.is_named(finding, Against::DatabaseRows));
        assert!(named, "{change:?}: {:#?}", by_rows.findings);
        let trusted = text(base.path(), &format!("checkpoints/{SIZE}"));
        let by_trusted = run_trusted(dir.path(), &vkey, trusted);
        let named = by_trusted.findings.iter().any(|finding| match finding {
            Finding::HistoryRewritten { size: SIZE, against: Against::TrustedCheckpoint, .. } => true,
            Finding::Truncated { expected: SIZE, against: Against::TrustedCheckpoint, .. } => {
                matches!(change, Change::Drop | Change::Truncate)
            }
            _ => false,
        });
        assert!(named, "{change:?}: {:#?}", by_trusted.findings);
        // A checkpoint from before the change is honest about what it covers.
        assert!(run_trusted(dir.path(), &vkey, text(base.path(), "checkpoints/300")).is_good(), "{change:?}");
    }
}

#[test]
fn the_logs_own_history_shows_where_it_was_rewritten() {
    let key = key();
    let vkey = key.verifying_key();
    let base = directory();
    honest(base.path(), &key);
    let dir = forge(Change::Replace, &key);
    for size in [100, 300, 600, 700] {
        let name = format!("checkpoints/{size}");
        fs::copy(base.path().join(&name), dir.path().join(&name)).expect("copies");
    }
    let report = run(dir.path(), &vkey);
    // Entry 333 lies between the checkpoints of 300 and 600.
    let expected = Finding::HistoryRewritten { size: 600, after: 300, against: Against::PublishedCheckpoint };
    assert_eq!(report.findings, [expected]);
    let dir = forge(Change::Truncate, &key);
    fs::copy(base.path().join("checkpoints/700"), dir.path().join("checkpoints/700")).expect("copies");
    let expected =
        Finding::Truncated { size: AT as u64, expected: 700, against: Against::PublishedCheckpoint };
    assert_eq!(run(dir.path(), &vkey).findings, [expected]);
}

#[test]
fn another_key_and_a_changed_checkpoint_are_named() {
    let key = key();
    let vkey = key.verifying_key();
    let forger = self::key();
    let dir = forge(Change::Replace, &forger);
    let report = run(dir.path(), &vkey);
    assert!(
        matches!(&report.findings[..], [Finding::OtherKey { found, .. }] if found.len() == 1),
        "{:?}",
        report.findings
    );

    let dir = directory();
    honest(dir.path(), &key);
    let path = dir.path().join("checkpoint");
    let good = text(dir.path(), "checkpoint");
    let smaller = good.replacen("\n1100\n", "\n1099\n", 1);
    fs::write(&path, smaller).expect("writes");
    let findings = run(dir.path(), &vkey).findings;
    assert!(findings.iter().any(|f| matches!(f, Finding::BadSignature { .. })), "{findings:?}");
    assert!(
        findings.iter().any(|f| matches!(f, Finding::Truncated { size: 1_099, expected: SIZE, .. })),
        "{findings:?}"
    );

    for (bad, malformed) in
        [(good.replace('\u{2014}', "-"), true), (good.replacen("\n1100\n", "\n01100\n", 1), true)]
    {
        fs::write(&path, bad).expect("writes");
        let findings = run(dir.path(), &vkey).findings;
        assert_eq!(matches!(findings[..], [Finding::CheckpointMalformed { .. }]), malformed, "{findings:?}");
    }
    fs::remove_file(&path).expect("removes");
    assert!(matches!(run(dir.path(), &vkey).findings[..], [Finding::CheckpointMissing { .. }]));

    // A size that no disk holds, rightly signed, is told at once.
    let huge = leasehold_ledger::checkpoint::Checkpoint {
        origin: crate::support::ORIGIN.into(),
        size: u64::MAX,
        root: [0; 32],
        extensions: Vec::new(),
    };
    fs::write(&path, huge.sign(&key).expect("signed").text).expect("writes");
    let findings = run(dir.path(), &vkey).findings;
    assert!(
        findings.iter().any(|f| matches!(f, Finding::Truncated { expected: u64::MAX, .. })),
        "{findings:?}"
    );
}

#[test]
fn changed_hash_tiles_are_told_from_changed_entries() {
    let key = key();
    let vkey = key.verifying_key();
    let base = directory();
    honest(base.path(), &key);
    for name in ["tile/0/001", "tile/0/004.p/76", "tile/1/000.p/4"] {
        let dir = copy(base.path());
        let path = dir.path().join(name);
        let mut bytes = fs::read(&path).expect("reads");
        bytes[40] ^= 1;
        fs::write(&path, &bytes).expect("writes");
        let findings = run(dir.path(), &vkey).findings;
        assert!(
            matches!(&findings[..], [Finding::TileDiffers { path, .. }] if path.contains(name.split(".p").next().unwrap_or(name))),
            "{name}: {findings:?}"
        );
        fs::remove_file(&path).expect("removes");
        let findings = run(dir.path(), &vkey).findings;
        assert!(matches!(findings[..], [Finding::TileMissing { .. }]), "{name}: {findings:?}");
    }
}

#[test]
fn missing_and_malformed_bundles_are_named_and_the_rest_is_still_checked() {
    let key = key();
    let vkey = key.verifying_key();
    let base = directory();
    honest(base.path(), &key);

    let dir = copy(base.path());
    fs::remove_file(dir.path().join("tile/entries/001")).expect("removes");
    fs::remove_file(dir.path().join("tile/entries/002")).expect("removes");
    let report = run_rows(dir.path(), &vkey, SIZE);
    assert!(
        matches!(report.findings[..], [Finding::TileMissing { first: 256, last: 767, .. }]),
        "{:?}",
        report.findings
    );
    assert_eq!(report.root, None);
    assert_eq!(report.entries_by_kind.values().sum::<u64>(), SIZE - 512, "what is there is counted once");

    let dir = copy(base.path());
    let path = dir.path().join("tile/entries/002");
    let mut bytes = fs::read(&path).expect("reads");
    bytes.truncate(bytes.len() - 3);
    fs::write(&path, bytes).expect("writes");
    let findings = run(dir.path(), &vkey).findings;
    assert!(
        findings.iter().any(|f| matches!(f, Finding::BundleMalformed { path, .. } if path.ends_with("002"))),
        "{findings:?}"
    );
    assert!(
        findings.iter().any(|f| matches!(f, Finding::EntryDropped { first: 767, last: 767, .. })),
        "{findings:?}"
    );

    // Signed, whole, and yet no entry.
    let mut all = entries(0..SIZE);
    all[AT] = b"not an entry".to_vec();
    let dir = directory();
    published(dir.path(), &key, &all, &[SIZE]);
    let findings = run(dir.path(), &vkey).findings;
    assert!(matches!(findings[..], [Finding::EntryMalformed { index: 333, .. }]), "{findings:?}");
    let options = Options { opaque_entries: true, ..Options::default() };
    assert!(check(dir.path(), &vkey, options).is_good());
}

#[test]
fn a_trusted_checkpoint_must_be_whole_and_of_this_log() {
    let key = key();
    let vkey = key.verifying_key();
    let dir = directory();
    honest(dir.path(), &key);
    let good = text(dir.path(), "checkpoints/600");
    let findings = run_trusted(dir.path(), &vkey, good.replacen("\n600\n", "\n599\n", 1)).findings;
    assert!(matches!(findings[..], [Finding::BadSignature { .. }]), "{findings:?}");
    let findings = run_trusted(dir.path(), &vkey, "nonsense".into()).findings;
    assert!(matches!(findings[..], [Finding::CheckpointMalformed { .. }]), "{findings:?}");
    let other = leasehold_ledger::checkpoint::Checkpoint {
        origin: "other.example.com".into(),
        size: 0,
        root: leasehold_ledger::hash::empty_root(),
        extensions: Vec::new(),
    };
    let findings = run_trusted(dir.path(), &vkey, other.sign(&key).expect("signed").text).findings;
    assert!(matches!(findings[..], [Finding::OriginDiffers { .. }]), "{findings:?}");
}

#[test]
fn findings_are_limited_and_the_rest_is_counted() {
    let key = key();
    let dir = directory();
    honest(dir.path(), &key);
    rewrite_bundles(dir.path(), &entries(50_000..50_000 + SIZE));
    let options = Options { findings_max: 10, ..Options::default() };
    let findings = check(dir.path(), &key.verifying_key(), options).findings;
    assert_eq!(findings.len(), 11);
    assert!(matches!(findings[10], Finding::Omitted { count } if count >= SIZE - 10), "{:?}", findings[10]);
}
