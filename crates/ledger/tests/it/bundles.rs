//! Offline proof bundles and `.tlog-proof` texts: what a third party can check, and what it refuses.

use std::collections::BTreeMap;

use leasehold_ledger::bundle::{Bundle, Finding};
use leasehold_ledger::checkpoint::SigningKey;
use leasehold_ledger::commitment::{Opening, Salt, commit};
use leasehold_ledger::entry::Entry;
use leasehold_ledger::tlog_proof::TlogProof;
use leasehold_ledger::view::View;
use leasehold_ledger::writer::Log;
use serde_json::json;

use crate::support::{ORIGIN, directory, entries, entry, key, text};

/// A published log of 400 entries whose entry 300 has a commitment, and what opens it.
fn log_with_commitment(dir: &std::path::Path, key: &SigningKey) -> Opening {
    let opening = Opening { salt: Salt::generate().expect("a salt"), value: "ada@example.com".into() };
    let committed = Entry {
        kind: "claim.made".into(),
        at: "2026-01-31T09:30:00Z".into(),
        subject: "identity/7".into(),
        body: json!({}),
        commitments: BTreeMap::from([("mail".into(), commit(&opening.salt, &opening.value))]),
    };
    let mut log = Log::open(dir, ORIGIN).expect("opens");
    log.append_batch(&entries(0..300)).expect("appends");
    log.publish(key).expect("publishes");
    log.append_batch(&[committed.to_bytes().expect("bytes")]).expect("appends");
    log.append_batch(&entries(301..400)).expect("appends");
    log.publish(key).expect("publishes");
    // More entries that are not published must change nothing for a reader.
    log.append_batch(&entries(400..900)).expect("appends");
    opening
}

#[test]
fn a_bundle_proves_entries_openings_and_continuity_without_the_log() {
    let dir = directory();
    let key = key();
    let vkey = key.verifying_key();
    let opening = log_with_commitment(dir.path(), &key);
    let view = View::open(dir.path()).expect("opens").expect("published");
    assert_eq!(view.len(), 400);
    let wanted =
        [(3, BTreeMap::new()), (300, BTreeMap::from([("mail".to_owned(), opening)])), (399, BTreeMap::new())];
    let old = text(dir.path(), "checkpoints/300");
    let json = Bundle::build(&view, &vkey, wanted, Some(&old)).expect("builds").to_json().expect("JSON");
    drop(dir);

    let bundle = Bundle::from_json(&json).expect("reads");
    let report = bundle.verify(&vkey).expect("verifies");
    assert_eq!(report.checkpoint.size, 400);
    assert_eq!(report.previous.map(|old| old.size), Some(300));
    let found: Vec<(u64, usize)> =
        report.entries.iter().map(|entry| (entry.index, entry.opened.len())).collect();
    assert_eq!(found, [(3, 0), (300, 1), (399, 0)]);
    assert_eq!(report.entries[0].bytes, entry(3));
    assert_eq!(report.entries[1].entry.as_ref().map(|entry| entry.subject.as_str()), Some("identity/7"));

    for (index, proof) in bundle.to_tlog_proofs().expect("texts") {
        let parsed = TlogProof::from_text(&proof).expect("reads back");
        assert_eq!((parsed.index, parsed.to_text()), (index, proof.clone()));
        let bytes = &report.entries.iter().find(|entry| entry.index == index).expect("the entry").bytes;
        assert_eq!(parsed.verify(bytes, &vkey).expect("verifies").checkpoint.size, 400);
        assert!(parsed.verify(b"another entry", &vkey).is_err());
        let extra = proof.replacen("\nindex", "\nextra AAAA\nindex", 1);
        assert_eq!(TlogProof::from_text(&extra).expect("reads past extra data"), parsed);
        for bad in [
            proof.replacen("@v1", "@v2", 1),
            proof.replacen("index ", "index 0", 1),
            proof.replace("\n\n", "\n"),
        ] {
            assert!(TlogProof::from_text(&bad).is_err(), "{bad}");
        }
    }
}

#[test]
fn a_bundle_with_anything_changed_is_refused_by_name() {
    let dir = directory();
    let key = key();
    let vkey = key.verifying_key();
    let opening = log_with_commitment(dir.path(), &key);
    let view = View::open(dir.path()).expect("opens").expect("published");
    let wanted = [(3, BTreeMap::new()), (300, BTreeMap::from([("mail".to_owned(), opening)]))];
    let good =
        Bundle::build(&view, &vkey, wanted, Some(&text(dir.path(), "checkpoints/300"))).expect("builds");
    let refused = |change: &dyn Fn(&mut Bundle)| {
        let mut bundle = good.clone();
        change(&mut bundle);
        bundle.verify(&vkey).expect_err("refused")
    };
    use Finding::*;
    assert!(matches!(refused(&|b| b.entries[0].index = 4)[..], [NotIncluded { index: 4, .. }]));
    assert!(matches!(refused(&|b| b.entries[0].entry = "AAAA".into())[..], [NotIncluded { index: 3, .. }]));
    assert!(matches!(refused(&|b| b.entries[0].entry = "%".into())[..], [Encoding { .. }]));
    assert!(matches!(refused(&|b| b.entries[0].proof[2].clear())[..], [Encoding { .. }]));
    assert!(matches!(refused(&|b| drop(b.entries[0].proof.pop()))[..], [NotIncluded { .. }]));
    let another = |b: &mut Bundle| {
        b.entries[1].openings.values_mut().for_each(|opening| opening.value = "eve@example.com".into());
    };
    assert!(matches!(refused(&another)[..], [Opening { index: 300, .. }]));
    assert!(matches!(
        refused(&|b| b.checkpoint = b.checkpoint.replacen("\n400\n", "\n401\n", 1))[..],
        [Checkpoint { .. }]
    ));
    assert!(matches!(refused(&|b| b.format = "other".into())[..], [Format { .. }]));
    let swap = |b: &mut Bundle| b.previous.as_mut().expect("previous").proof.swap(0, 1);
    assert!(matches!(refused(&swap)[..], [HistoryRewritten { old: 300, new: 400, .. }]));

    // A bundle of somebody who signs with a key of their own and says it is the log's.
    let forger = self::key();
    let forged_dir = directory();
    log_with_commitment(forged_dir.path(), &forger);
    let view = View::open(forged_dir.path()).expect("opens").expect("published");
    let forged = Bundle::build(&view, &forger.verifying_key(), [(3, BTreeMap::new())], None).expect("builds");
    assert!(forged.verify(&forger.verifying_key()).is_ok());
    assert!(matches!(forged.verify(&vkey).expect_err("refused")[..], [KeyDiffers { .. }, Checkpoint { .. }]));
}

#[test]
fn a_reader_sees_the_published_log_at_every_size_while_it_grows() {
    let dir = directory();
    let key = key();
    let mut log = Log::open(dir.path(), ORIGIN).expect("opens");
    assert!(View::open(dir.path()).expect("opens").is_none(), "nothing is published yet");
    for size in 0..600u64 {
        if size > 0 {
            log.append_batch(&[entry(size - 1)]).expect("appends");
        }
        log.publish(&key).expect("publishes");
        let view = View::open(dir.path()).expect("opens").expect("published");
        assert_eq!((view.len(), view.root(size).expect("a root")), (size, log.root(size).expect("a root")));
        if let Some(last) = size.checked_sub(1) {
            assert_eq!(view.entry(last).expect("an entry"), entry(last));
            assert_eq!(
                view.inclusion_proof(last, size).expect("a proof"),
                log.inclusion_proof(last, size).expect("a proof")
            );
        }
        assert!(view.entry(size).is_err());
    }
}
