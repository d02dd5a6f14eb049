//! Roots and proofs: the published test vectors, and every size against the naive tree.

use leasehold_ledger::hash::{empty_root, leaf_hash};
use leasehold_ledger::proof::{ProofError, verify_consistency, verify_inclusion};
use leasehold_ledger::writer::Log;
use proptest::prelude::*;

use crate::naive;
use crate::support::{ORIGIN, directory, entries};

/// The eight leaves of the test vectors that Certificate Transparency implementations share.
fn vector_leaves() -> Vec<Vec<u8>> {
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
        .map(|leaf| hex::decode(leaf).expect("hexadecimal"))
        .to_vec()
}

#[test]
fn the_eight_leaf_vectors_hold() {
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    assert_eq!(hex::encode(empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    let dir = directory();
    let mut log = Log::open(dir.path(), ORIGIN).expect("opens");
    assert_eq!(log.root(0).expect("a root"), empty_root());
    for (leaf, root) in vector_leaves().into_iter().zip(roots) {
        log.append_batch(&[leaf]).expect("appends");
        assert_eq!(hex::encode(log.root(log.len()).expect("a root")), root, "root of {} leaves", log.len());
    }
}

#[test]
fn every_size_up_to_600_has_the_roots_and_proofs_of_the_naive_tree() {
    let dir = directory();
    let all = entries(0..600);
    let mut log = Log::open(dir.path(), ORIGIN).expect("opens");
    log.append_batch(&all).expect("appends");
    for size in 0..=600 {
        let root = log.root(size).expect("a root");
        assert_eq!(root, naive::root(&all[..size as usize]), "root of {size}");
        // Every index at the boundaries, and a spread between them.
        let step = (size / 3).max(1);
        for index in (0..size).step_by(step as usize).chain(size.checked_sub(1)) {
            let proof = log.inclusion_proof(index, size).expect("a proof");
            assert_eq!(
                proof,
                naive::path(index as usize, &all[..size as usize]),
                "path of {index} in {size}"
            );
            verify_inclusion(&leaf_hash(&all[index as usize]), index, size, &proof, &root).expect("verifies");
        }
        for old in (0..=size).step_by(step as usize).chain([size]) {
            let proof = log.consistency_proof(old, size).expect("a proof");
            if old > 0 {
                assert_eq!(proof, naive::consistency(old as usize, &all[..size as usize]), "{old} in {size}");
            }
            let old_root = log.root(old).expect("a root");
            verify_consistency(old, &old_root, size, &root, &proof).expect("verifies");
        }
    }
    assert!(
        log.root(601).is_err()
            && log.inclusion_proof(600, 600).is_err()
            && log.consistency_proof(3, 601).is_err()
    );
    assert!(
        log.inclusion_proof(0, 0).is_err() && log.consistency_proof(4, 3).is_err() && log.entry(600).is_err()
    );
}

#[test]
fn proofs_across_tile_levels_hold() {
    // 70,000 entries reach the third tile level; entries of two bytes keep it quick.
    let all: Vec<[u8; 4]> = (0..70_000u32).map(u32::to_be_bytes).collect();
    let dir = directory();
    let mut log = Log::open(dir.path(), ORIGIN).expect("opens");
    for batch in all.chunks(9_973) {
        log.append_batch(batch).expect("appends");
    }
    let size = log.len();
    let root = log.root(size).expect("a root");
    for index in [0, 255, 256, 65_535, 65_536, 69_999] {
        let proof = log.inclusion_proof(index, size).expect("a proof");
        verify_inclusion(&leaf_hash(&all[index as usize]), index, size, &proof, &root).expect("verifies");
    }
    for old in [1, 256, 65_535, 65_536, 65_537, 69_888, 69_999] {
        let old_entries: Vec<Vec<u8>> = all[..old as usize].iter().map(|e| e.to_vec()).collect();
        let old_root = naive::root(&old_entries);
        assert_eq!(log.root(old).expect("a root"), old_root);
        let proof = log.consistency_proof(old, size).expect("a proof");
        verify_consistency(old, &old_root, size, &root, &proof).expect("verifies");
    }
    // The file names and widths of the specification's own example of a tree of 70,000 entries.
    log.publish(&crate::support::key()).expect("publishes");
    let width = |name: &str| std::fs::metadata(dir.path().join(name)).map(|m| m.len() / 32).ok();
    assert_eq!(width("tile/0/272"), Some(256));
    assert_eq!(width("tile/0/273.p/112"), Some(112));
    assert_eq!(width("tile/1/000"), Some(256));
    assert_eq!(width("tile/1/001.p/17"), Some(17));
    assert_eq!(width("tile/2/000.p/1"), Some(1));
    assert_eq!(width("tile/3/000.p/0"), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_proof_with_anything_changed_is_refused(size in 2u64..600, index in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0usize..256) {
        let all = entries(0..size);
        let index = index.index(size as usize);
        let root = naive::root(&all);
        let leaf = naive::leaf(&all[index]);
        let proof = naive::path(index, &all);
        let position = index as u64;
        prop_assert_eq!(verify_inclusion(&leaf, position, size, &proof, &root), Ok(()));
        let mut changed = proof.clone();
        changed[at.index(proof.len())][bit / 8] ^= 1 << (bit % 8);
        let refused = matches!(verify_inclusion(&leaf, position, size, &changed, &root), Err(ProofError::Root { .. }));
        prop_assert!(refused);
        let mut long = proof.clone();
        long.push(root);
        prop_assert!(verify_inclusion(&leaf, position, size, &long, &root).is_err());
        prop_assert!(verify_inclusion(&leaf, position, size, &proof[1..], &root).is_err());
        prop_assert!(verify_inclusion(&leaf, (position + 1) % size, size, &proof, &root).is_err());
        prop_assert!(verify_inclusion(&leaf, size, size, &proof, &root).is_err());

        let old = index as u64 + 1;
        let old_root = naive::root(&all[..=index]);
        let proof = naive::consistency(index + 1, &all);
        prop_assert_eq!(verify_consistency(old, &old_root, size, &root, &proof), Ok(()));
        if !proof.is_empty() {
            let mut changed = proof.clone();
            changed[at.index(proof.len())][bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verify_consistency(old, &old_root, size, &root, &changed).is_err());
            prop_assert!(verify_consistency(old, &old_root, size, &root, &proof[1..]).is_err());
        }
        let mut other = old_root;
        other[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify_consistency(old, &other, size, &root, &proof).is_err());
    }
}
