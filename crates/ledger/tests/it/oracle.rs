//! The files and proofs as other makers' crates read them: `tlog_tiles` and `signed_note`.

use std::path::PathBuf;

use leasehold_ledger::checkpoint::SigningKey;
use leasehold_ledger::writer::Log;
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::tile::{Tile, TileHashReader, TileReader};
use tlog_tiles::tlog::{self, Hash};

use crate::support::{ORIGIN, directory, entries, key, text};

/// Reads our files for the oracle. Its paths are `tile/8/<level>/<index>`, those of C2SP leave the 8 out.
struct Files(PathBuf);

impl TileReader for Files {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog::Error> {
        let read = |tile: &Tile| {
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            let partial = std::fs::read(self.0.join(&path));
            partial.or_else(|_| std::fs::read(self.0.join(path.split(".p/").next().unwrap_or(&path))))
        };
        let width = |tile: &Tile| tile.width() as usize * 32;
        let bytes: Result<Vec<_>, _> =
            tiles.iter().map(|tile| read(tile).map(|b| b[..width(tile)].to_vec())).collect();
        Ok(bytes.expect("every tile that the oracle asks for is there"))
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

#[test]
fn another_makers_crate_reads_our_tiles_and_proves_and_verifies() {
    let dir = directory();
    let all = entries(0..1_400);
    let key = key();
    let mut log = Log::open(dir.path(), ORIGIN).expect("opens");
    for size in [1u64, 5, 255, 256, 257, 700, 1_024, 1_400] {
        log.append_batch(&all[log.len() as usize..size as usize]).expect("appends");
        log.publish(&key).expect("publishes");
        let root = Hash(log.root(size).expect("a root"));
        let files = Files(dir.path().to_owned());
        let reader = TileHashReader::new(size, root, &files);
        assert_eq!(tlog::tree_hash(size, &reader).expect("the oracle's root"), root);
        for index in [0, size / 3, size - 1] {
            // Their proof from our tiles, our proof from our tiles, and their verification of ours.
            let theirs = tlog::prove_record(size, index, &reader).expect("the oracle's proof");
            let ours: Vec<Hash> =
                log.inclusion_proof(index, size).expect("a proof").into_iter().map(Hash).collect();
            assert_eq!(ours, theirs);
            let leaf = tlog::record_hash(&all[index as usize]);
            tlog::check_record(&ours, size, root, index, leaf).expect("the oracle accepts our proof");
        }
        for old in [1, size / 2 + 1, size] {
            let theirs = tlog::prove_tree(size, old, &reader).expect("the oracle's proof");
            let ours: Vec<Hash> =
                log.consistency_proof(old, size).expect("a proof").into_iter().map(Hash).collect();
            assert_eq!(ours, theirs);
            let old_root = Hash(log.root(old).expect("a root"));
            tlog::check_tree(&ours, size, root, old, old_root).expect("the oracle accepts our proof");
        }
    }
}

#[test]
fn another_makers_crate_verifies_our_checkpoint() {
    let dir = directory();
    let key = key();
    let mut log = Log::open(dir.path(), ORIGIN).expect("opens");
    log.append_batch(&entries(0..300)).expect("appends");
    let published = log.publish(&key).expect("publishes");
    let file = text(dir.path(), "checkpoint");
    assert_eq!(file, published.text);
    assert_eq!(file, text(dir.path(), "checkpoints/300"));
    let verifier = StandardVerifier::new(&key.verifying_key().to_text()).expect("our vkey");
    let note = Note::from_bytes(file.as_bytes()).expect("our note");
    let (verified, _) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).expect("our signature");
    assert_eq!(verified.len(), 1);
    let checkpoint = tlog_tiles::checkpoint::Checkpoint::from_bytes(note.text()).expect("our checkpoint");
    assert_eq!((checkpoint.origin(), checkpoint.size()), (ORIGIN, 300));
    assert_eq!(checkpoint.hash().0, log.root(300).expect("a root"));
}

#[test]
fn keys_go_both_ways_between_our_text_forms_and_another_makers() {
    let ours = key();
    let signer = StandardSigner::new(&ours.to_text()).expect("our private key");
    assert_eq!(signed_note::Signer::name(&signer), ORIGIN);
    assert_eq!(signed_note::Signer::key_id(&signer).to_be_bytes(), ours.verifying_key().id());
    // The example keys of the Go package's documentation, which anybody can look up.
    let private = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    let public = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let known = SigningKey::from_text(private).expect("a known private key");
    assert_eq!(known.verifying_key().to_text(), public);
    assert_eq!(known.to_text().as_str(), private);
}
