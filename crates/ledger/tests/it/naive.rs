//! A tree written straight from the definitions of RFC 6962, section 2.1, with the ordinary interface of the SHA-256 crate.

use leasehold_ledger::Hash;
use sha2::{Digest as _, Sha256};

/// `MTH(D[n])`.
pub fn root(entries: &[Vec<u8>]) -> Hash {
    match entries {
        [] => Sha256::digest([]).into(),
        [entry] => leaf(entry),
        _ => {
            let (left, right) = entries.split_at(split(entries.len()));
            node(&root(left), &root(right))
        }
    }
}

/// `MTH({d0})`.
pub fn leaf(entry: &[u8]) -> Hash {
    let mut message = vec![0];
    message.extend_from_slice(entry);
    Sha256::digest(message).into()
}

/// `PATH(m, D[n])`.
pub fn path(index: usize, entries: &[Vec<u8>]) -> Vec<Hash> {
    if entries.len() <= 1 {
        return Vec::new();
    }
    let k = split(entries.len());
    let (left, right) = entries.split_at(k);
    let (mut hashes, sibling) =
        if index < k { (path(index, left), root(right)) } else { (path(index - k, right), root(left)) };
    hashes.push(sibling);
    hashes
}

/// `PROOF(m, D[n])`.
pub fn consistency(old: usize, entries: &[Vec<u8>]) -> Vec<Hash> {
    subproof(old, entries, true)
}

fn subproof(old: usize, entries: &[Vec<u8>], whole: bool) -> Vec<Hash> {
    if old == entries.len() {
        return if whole { Vec::new() } else { vec![root(entries)] };
    }
    let k = split(entries.len());
    let (left, right) = entries.split_at(k);
    let (mut hashes, sibling) = if old <= k {
        (subproof(old, left, whole), root(right))
    } else {
        (subproof(old - k, right, false), root(left))
    };
    hashes.push(sibling);
    hashes
}

/// The largest power of two below `n`.
fn split(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut message = vec![1];
    message.extend_from_slice(left);
    message.extend_from_slice(right);
    Sha256::digest(message).into()
}
