//! Opening after a crash at any instant, and refusing what no crash explains.

use std::fs;
use std::path::{Path, PathBuf};

use leasehold_ledger::check::{Options, check};
use leasehold_ledger::checkpoint::SigningKey;
use leasehold_ledger::error::Error;
use leasehold_ledger::writer::Log;

use crate::naive;
use crate::support::{ORIGIN, copy, directory, entries, entry, files, key, published, text};

/// Opens a log after a crash, and shows that it has the given entries, goes on, and passes the check.
fn assert_recovers(dir: &Path, key: &SigningKey, sizes: &[u64], context: &str) {
    let mut log = Log::open(dir, ORIGIN).unwrap_or_else(|error| panic!("{context}: {error}"));
    let len = log.len();
    assert!(sizes.contains(&len), "{context}: recovered {len} entries, not one of {sizes:?}");
    let mut all = entries(0..len);
    assert_eq!(log.root(len).expect("a root"), naive::root(&all), "{context}");
    for index in [0, len / 2, len.saturating_sub(1)].into_iter().filter(|index| *index < len) {
        assert_eq!(log.entry(index).expect("an entry"), entry(index), "{context}: entry {index}");
    }
    // What was published before the crash is whole again, before anything else is written.
    if let Some(before) = log.published().cloned() {
        let report =
            check(dir, &key.verifying_key(), Options { trusted: Some(before.text), ..Options::default() });
        assert!(report.is_good(), "{context}: right after recovery: {:?}", report.findings);
    }
    all.extend(entries(len..len + 300));
    log.append_batch(&all[len as usize..]).expect("goes on");
    log.publish(key).expect("publishes");
    drop(log);
    let report = check(dir, &key.verifying_key(), Options::default());
    assert!(report.is_good(), "{context}: after going on: {:?}", report.findings);
    assert_eq!(report.root, Some(hex::encode(naive::root(&all))), "{context}");
}

fn journal(dir: &Path) -> PathBuf {
    files(&dir.join("journal")).pop().expect("a segment")
}

fn truncate(path: &Path, bytes: u64) {
    fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(bytes)).expect("truncates");
}

#[test]
fn a_torn_journal_write_is_cut_off_at_every_byte() {
    let key = key();
    let base = directory();
    published(base.path(), &key, &entries(0..250), &[250]);
    let before = fs::metadata(journal(base.path())).expect("metadata").len();
    {
        let mut log = Log::open(base.path(), ORIGIN).expect("opens");
        log.append_batch(&entries(250..262)).expect("appends");
    }
    let after = fs::metadata(journal(base.path())).expect("metadata").len();
    let step = 17;
    for bytes in (before..after).step_by(step).chain([before + 1, after - 1, after]) {
        let dir = copy(base.path());
        truncate(&journal(dir.path()), bytes);
        let size = if bytes == after { 262 } else { 250 };
        assert_recovers(dir.path(), &key, &[size], &format!("journal of {bytes} bytes"));
        // A file system may also extend a file before its bytes arrive.
        if bytes < after {
            let dir = copy(base.path());
            truncate(&journal(dir.path()), bytes);
            truncate(&journal(dir.path()), after);
            assert_recovers(dir.path(), &key, &[250], &format!("journal of {bytes} bytes, then zeros"));
        }
    }
}

#[test]
fn any_tile_that_was_not_synced_comes_back() {
    let key = key();
    let base = directory();
    published(base.path(), &key, &entries(0..600), &[100, 256, 300, 512, 530, 600]);
    let tiles: Vec<PathBuf> = files(&base.path().join("tile"));
    assert!(tiles.len() > 8, "full and partial tiles of two levels: {tiles:?}");
    for tile in &tiles {
        let name = tile.strip_prefix(base.path()).expect("below");
        let length = fs::metadata(tile).expect("metadata").len();
        for cut in [None, Some(0), Some(length / 2), Some(length - 1)] {
            let dir = copy(base.path());
            match cut {
                None => fs::remove_file(dir.path().join(name)).expect("removes"),
                Some(bytes) => truncate(&dir.path().join(name), bytes),
            }
            assert_recovers(dir.path(), &key, &[600], &format!("{} cut to {cut:?}", name.display()));
        }
    }
    // All of them at once, as after a power cut.
    let dir = copy(base.path());
    fs::remove_dir_all(dir.path().join("tile")).expect("removes");
    assert_recovers(dir.path(), &key, &[600], "no tiles at all");
    // Tiles that ran ahead of a batch that was lost are written again.
    let dir = copy(base.path());
    let mut log = Log::open(dir.path(), ORIGIN).expect("opens");
    let kept = fs::read(journal(dir.path())).expect("reads");
    let others: Vec<Vec<u8>> = (0..300).map(|i| entry(5_000 + i)).collect();
    log.append_batch(&others).expect("appends");
    drop(log);
    fs::write(journal(dir.path()), kept).expect("writes");
    assert_recovers(dir.path(), &key, &[600], "tiles of a lost batch");
}

#[test]
fn a_crash_between_the_steps_of_publishing_is_repaired() {
    let key = key();
    let base = directory();
    published(base.path(), &key, &entries(0..300), &[300]);
    let old = text(base.path(), "checkpoint");
    {
        let mut log = Log::open(base.path(), ORIGIN).expect("opens");
        log.append_batch(&entries(300..340)).expect("appends");
        log.publish(&key).expect("publishes");
    }
    // Signed and partial tiles written, but neither file renamed.
    let dir = copy(base.path());
    fs::write(dir.path().join("checkpoint"), &old).expect("writes");
    fs::write(dir.path().join("checkpoint.new"), "torn").expect("writes");
    fs::remove_file(dir.path().join("checkpoints/340")).expect("removes");
    assert_recovers(dir.path(), &key, &[340], "before the checkpoint");
    // The checkpoint renamed, its copy not.
    let dir = copy(base.path());
    fs::remove_file(dir.path().join("checkpoints/340")).expect("removes");
    fs::write(dir.path().join("checkpoints/340.new"), "torn").expect("writes");
    assert_recovers(dir.path(), &key, &[340], "between the checkpoint and its copy");
    assert_eq!(text(dir.path(), "checkpoints/340"), text(base.path(), "checkpoint"));
}

#[test]
fn a_crash_at_any_step_of_retiring_a_segment_is_repaired() {
    let key = key();
    let base = directory();
    // Large entries fill a segment of 16 MiB soon; 330 of them leave a tail of 74 in the new segment.
    let big = |number: u64| {
        let mut bytes = entry(number);
        bytes.resize(55_000, b' ');
        bytes
    };
    let all: Vec<Vec<u8>> = (0..330).map(big).collect();
    let mut log = Log::open(base.path(), ORIGIN).expect("opens");
    log.append_batch(&all[..250]).expect("appends");
    let first = journal(base.path());
    log.append_batch(&all[250..300]).expect("appends");
    log.append_batch(&all[300..]).expect("appends");
    log.publish(&key).expect("publishes");
    let root = log.root(330).expect("a root");
    drop(log);
    let segments = files(&base.path().join("journal"));
    assert_eq!(segments.len(), 2, "the old segment waits to be retired: {segments:?}");
    let second = segments[1].clone();
    assert_eq!(segments[0], first);
    let header = 8 + 2 + ORIGIN.len() as u64 + 8 + 32;

    // The old segment as it was: everything up to where the new one begins, written by another log of the same entries.
    let other = directory();
    let mut log = Log::open(other.path(), ORIGIN).expect("opens");
    let retired_at = (251..=330)
        .find(|n| all[..*n].iter().map(|e| e.len() as u64 + 2).sum::<u64>() > 16 << 20)
        .expect("full");
    log.append_batch(&all[..250]).expect("appends");
    drop(log);
    let old_segment = journal(other.path());

    let opens = |dir: &Path, len: u64, context: &str| {
        let mut log = Log::open(dir, ORIGIN).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(log.len(), len, "{context}");
        log.append_from(0, &all).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(log.root(330).expect("a root"), root, "{context}");
        log.publish(&key).expect("publishes");
        drop(log);
        let options = Options { opaque_entries: true, ..Options::default() };
        assert!(check(dir, &key.verifying_key(), options).is_good(), "{context}");
        // And once more, from what this opening left.
        assert_eq!(Log::open(dir, ORIGIN).expect("opens again").len(), 330, "{context}");
    };
    assert!(retired_at > 250);
    // The new segment is created but nothing of it is durable, or a part; the tiles may be gone, the old segment is there.
    for bytes in [0, 5, header - 1, header, header + 30, header + 5_000] {
        let dir = copy(base.path());
        fs::remove_file(dir.path().join("checkpoint")).expect("removes");
        fs::remove_dir_all(dir.path().join("checkpoints")).expect("removes");
        fs::remove_dir_all(dir.path().join("tile")).expect("removes");
        let name = second.strip_prefix(base.path()).expect("below");
        truncate(&dir.path().join(name), bytes);
        fs::copy(&old_segment, dir.path().join(first.strip_prefix(base.path()).expect("below")))
            .expect("copies");
        opens(dir.path(), 250, &format!("new segment of {bytes} bytes"));
    }
    // Both segments are there, and the tiles are or are not; then the old one is gone, as after its tiles were synced.
    opens(copy(base.path()).path(), 330, "not retired");
    let dir = copy(base.path());
    fs::remove_dir_all(dir.path().join("tile")).expect("removes");
    opens(dir.path(), 330, "not retired, and no tiles");
    let dir = copy(base.path());
    fs::remove_file(dir.path().join(first.strip_prefix(base.path()).expect("below"))).expect("removes");
    opens(dir.path(), 330, "retired");
}

#[test]
fn full_segments_are_retired_together_once_some_have_gathered() {
    let key = key();
    let dir = directory();
    let mut log = Log::open(dir.path(), ORIGIN).expect("opens");
    let entries: Vec<Vec<u8>> = (0..1100).map(|i| vec![(i % 251) as u8; 65_000]).collect();
    for batch in entries.chunks(100) {
        log.append_batch(batch).expect("appends");
    }
    log.publish(&key).expect("publishes");
    drop(log);
    let segments = files(&dir.path().join("journal"));
    assert_eq!(segments.len(), 1, "four full segments are gone: {segments:?}");
    assert_ne!(segments[0].file_name().expect("a name"), "00000000000000000000.journal");
    let options = Options { opaque_entries: true, ..Options::default() };
    assert!(check(dir.path(), &key.verifying_key(), options).is_good());
    let log = Log::open(dir.path(), ORIGIN).expect("opens");
    assert_eq!(log.len(), 1100);
    assert_eq!(log.entry(300).expect("an entry"), entries[300]);
}

#[test]
fn a_copy_of_the_public_files_opens_as_a_log() {
    let key = key();
    for size in [0, 1, 255, 256, 257, 700] {
        let base = directory();
        published(base.path(), &key, &entries(0..size), &[size]);
        let dir = copy(base.path());
        fs::remove_dir_all(dir.path().join("journal")).expect("removes");
        assert_recovers(dir.path(), &key, &[size], &format!("{size} entries without a journal"));
    }
}

#[test]
fn what_no_crash_explains_is_refused_and_named() {
    let key = key();
    let base = directory();
    published(base.path(), &key, &entries(0..300), &[100, 300]);

    // A batch in the middle is damaged.
    let dir = copy(base.path());
    let path = journal(dir.path());
    let mut bytes = fs::read(&path).expect("reads");
    bytes[2_000] ^= 1;
    fs::write(&path, bytes).expect("writes");
    assert!(matches!(Log::open(dir.path(), ORIGIN), Err(Error::JournalDamaged { .. })));

    // The journal ends before what was signed.
    let dir = copy(base.path());
    let path = journal(dir.path());
    truncate(&path, fs::metadata(&path).expect("metadata").len() - 1);
    assert!(matches!(Log::open(dir.path(), ORIGIN), Err(Error::EntriesLost { signed: 300, found: 100, .. })));

    // Everything but the checkpoint was put back to an older state with other entries.
    let dir = copy(base.path());
    fs::remove_dir_all(dir.path().join("journal")).expect("removes");
    fs::remove_dir_all(dir.path().join("tile")).expect("removes");
    let other = directory();
    published(other.path(), &key, &entries(1_000..1_300), &[300]);
    fs::copy(journal(other.path()), dir.path().join("journal.tmp")).expect("copies");
    fs::create_dir(dir.path().join("journal")).expect("creates");
    fs::rename(dir.path().join("journal.tmp"), dir.path().join("journal/00000000000000000000.journal"))
        .expect("renames");
    assert!(matches!(Log::open(dir.path(), ORIGIN), Err(Error::RootDiffers { size: 300, .. })));

    // Another log, another process, a bad name.
    assert!(matches!(Log::open(base.path(), "other.example.com"), Err(Error::Origin { .. })));
    let dir = copy(base.path());
    fs::remove_file(dir.path().join("checkpoint")).expect("removes");
    assert!(
        matches!(Log::open(dir.path(), "other.example.com"), Err(Error::Origin { .. })),
        "the journal knows too"
    );
    let open = Log::open(base.path(), ORIGIN).expect("opens");
    assert!(matches!(Log::open(base.path(), ORIGIN), Err(Error::Locked { .. })));
    drop(open);
    assert!(Log::open(base.path(), ORIGIN).is_ok());
    assert!(matches!(Log::open(directory().path(), "two words"), Err(Error::BadOrigin(_))));
}

#[test]
fn appending_from_an_index_compares_skips_and_names_gaps() {
    let dir = directory();
    let mut log = Log::open(dir.path(), ORIGIN).expect("opens");
    let all = entries(0..600);
    assert_eq!(log.append_from(0, &all[..270]).expect("appends"), 0..270);
    assert_eq!(log.append_from(0, &all[..270]).expect("all known"), 270..270);
    assert_eq!(log.append_from(200, &all[200..300]).expect("30 are new"), 270..300);
    assert_eq!(log.append_from(10, &all[10..20]).expect("all known"), 300..300);
    let error = log.append_from(302, &all[302..310]).expect_err("a gap");
    assert!(matches!(error, Error::Gap { start: 302, len: 300 }), "{error}");
    assert!(error.to_string().contains("300 to 301"), "{error}");
    let mut other = all[250..350].to_vec();
    other[17] = b"other".to_vec();
    assert!(matches!(log.append_from(250, &other), Err(Error::Overlap { index: 267 })));
    assert_eq!(log.len(), 300, "nothing was appended");
    let too_large = [vec![0; 65_535], vec![0; 65_536]];
    assert!(matches!(log.append_batch(&too_large), Err(Error::EntryTooLarge { index: 301, bytes: 65_536 })));
    assert_eq!(log.append_batch(&too_large[..1]).expect("fits"), 300..301);
    assert_eq!(log.append_batch::<Vec<u8>>(&[]).expect("nothing"), 301..301);
}

#[test]
fn publishing_again_changes_nothing_and_a_new_key_signs_anew() {
    let dir = directory();
    let mut log = Log::open(dir.path(), ORIGIN).expect("opens");
    log.append_batch(&entries(0..10)).expect("appends");
    let (first_key, second_key) = (key(), key());
    let first = log.publish(&first_key).expect("publishes");
    assert_eq!(log.publish(&first_key).expect("again"), first);
    let second = log.publish(&second_key).expect("publishes");
    assert_ne!(second.text, first.text);
    assert_eq!(second.checkpoint, first.checkpoint);
    assert!(check(dir.path(), &second_key.verifying_key(), Options::default()).is_good());
}
