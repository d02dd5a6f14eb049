//! Verification of inclusion and consistency proofs: pure functions after RFC 9162.

use crate::hash::{Hash, node_hash};

/// Why a proof does not hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum ProofError {
    /// The index is not in the tree, or the old tree is larger than the new one.
    #[error("{position} is out of range for a tree of {size} entries")]
    OutOfRange {
        /// The index or the old size.
        position: u64,
        /// The tree's size.
        size: u64,
    },
    /// The proof has more or fewer hashes than this position in this tree needs.
    #[error(
        "the proof has {found} hashes, which is not the number that {position} in a tree of {size} entries needs"
    )]
    Length {
        /// The index or the old size.
        position: u64,
        /// The tree's size.
        size: u64,
        /// How many hashes the proof has.
        found: usize,
    },
    /// The proof leads to another root.
    #[error("the proof leads to the root {derived}, not to {expected}")]
    Root {
        /// The root that the proof leads to, in hexadecimal.
        derived: String,
        /// The root that was given, in hexadecimal.
        expected: String,
    },
}

fn compare(derived: &Hash, expected: &Hash) -> Result<(), ProofError> {
    if derived == expected {
        return Ok(());
    }
    Err(ProofError::Root { derived: hex::encode(derived), expected: hex::encode(expected) })
}

/// Checks that the entry with hash `leaf` stands at `index` in the tree of `size` entries with that root (RFC 9162, section 2.1.3.2).
///
/// # Errors
/// [`ProofError`].
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange { position: index, size });
    }
    let length = || ProofError::Length { position: index, size, found: proof.len() };
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(length());
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // A right edge node without a sibling moves up until it has one.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(length());
    }
    compare(&hash, root)
}

/// Checks that the tree of `new_size` entries begins with the tree of `old_size` entries (RFC 9162, section 2.1.4.2).
///
/// The empty tree is a beginning of every tree, and needs no hashes to prove it.
///
/// # Errors
/// [`ProofError`].
pub fn verify_consistency(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old_size > new_size {
        return Err(ProofError::OutOfRange { position: old_size, size: new_size });
    }
    let length = || ProofError::Length { position: old_size, size: new_size, found: proof.len() };
    if old_size == 0 || old_size == new_size {
        if !proof.is_empty() {
            return Err(length());
        }
        let expected = if old_size == 0 { &crate::hash::empty_root() } else { new_root };
        return compare(old_root, expected);
    }
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let mut hashes = proof.iter();
    // An old tree of a power of two is itself a node of the new tree, so the proof leaves its root out.
    let first = if old_size.is_power_of_two() { old_root } else { hashes.next().ok_or_else(length)? };
    let (mut old, mut new) = (*first, *first);
    for sibling in hashes {
        if last == 0 {
            return Err(length());
        }
        if node & 1 == 1 || node == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(length());
    }
    compare(&old, old_root)?;
    compare(&new, new_root)
}
