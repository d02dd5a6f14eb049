//! Leaf and node hashes of RFC 6962 section 2.1 over SHA-256: the one thing that the writer and the checker share.
//!
//! A leaf is `SHA-256(0x00 || entry)`, a node is `SHA-256(0x01 || left || right)`.
//!
//! The bulk functions hash several independent messages at once. A SHA-256 block waits on the block before it in the same message, so a
//! processor with SHA instructions idles for a good part of the time on one message. Where the processor has AVX-512, sixteen messages go
//! through it in the lanes of its registers ([`wide`]); elsewhere the blocks of three messages take turns. Measured on one core of the
//! development machine, in nanoseconds a block: 31 to 38 alone, 28 in turn, 12 in lanes.

mod message;
mod wide;

use message::Message;
use sha2::Digest as _;
use sha2::Sha256;
use sha2::block_api::compress256;

/// Length of a hash in bytes.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 hash of a leaf, of a node or of the whole tree.
pub type Hash = [u8; HASH_BYTES];

/// How many messages are hashed in turn. More lanes than three gained nothing on the machines measured.
const TURNS: usize = 3;

/// The root of a tree without entries: the hash of nothing (RFC 6962, section 2.1).
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// Hash of one entry as a leaf.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let [hash] = in_turn([Message::leaf(entry)]);
    hash
}

/// Hash of an inner node from its two children.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let [hash] = in_turn([Message::node(left, right)]);
    hash
}

/// Appends the leaf hash of every entry to `out`, in order.
pub fn leaf_hashes<'a>(entries: impl IntoIterator<Item = &'a [u8]>, out: &mut Vec<Hash>) {
    match wide::compressor() {
        Some(compress) => wide::leaf_hashes(compress, entries.into_iter(), out),
        None => leaf_hashes_in_turn(entries.into_iter(), out),
    }
}

/// Root of a complete subtree: `hashes` holds its nodes of one level, from left to right, and is used up as working space.
///
/// Returns `None` when the number of nodes is not a power of two, because such a subtree is not complete.
pub fn complete_root(hashes: &mut [Hash]) -> Option<Hash> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    let compress = wide::compressor();
    let mut width = hashes.len();
    while width > 1 {
        match compress {
            Some(compress) if width / 2 >= wide::LANES_MIN => wide::parents(compress, &mut hashes[..width]),
            _ => parents_in_turn(&mut hashes[..width]),
        }
        width /= 2;
    }
    hashes.first().copied()
}

fn leaf_hashes_in_turn<'a>(mut entries: impl Iterator<Item = &'a [u8]>, out: &mut Vec<Hash>) {
    while let Some(first) = entries.next() {
        match (entries.next(), entries.next()) {
            (Some(second), Some(third)) => {
                out.extend(in_turn([Message::leaf(first), Message::leaf(second), Message::leaf(third)]));
            }
            (Some(second), None) => out.extend(in_turn([Message::leaf(first), Message::leaf(second)])),
            (None, _) => out.push(leaf_hash(first)),
        }
    }
}

/// Replaces the nodes of one level by their parents, which take the first half of the room.
fn parents_in_turn(hashes: &mut [Hash]) {
    let pairs = hashes.len() / 2;
    let mut pair = 0;
    while pair < pairs {
        let at = |p: usize| Message::node(&hashes[2 * p], &hashes[2 * p + 1]);
        // A parent is written to the left of every child that is still to be read.
        if pairs - pair >= TURNS {
            let parents = in_turn([at(pair), at(pair + 1), at(pair + 2)]);
            hashes[pair..pair + TURNS].copy_from_slice(&parents);
            pair += TURNS;
        } else {
            [hashes[pair]] = in_turn([at(pair)]);
            pair += 1;
        }
    }
}

/// Hashes independent messages block by block in turn.
fn in_turn<const N: usize>(messages: [Message<'_>; N]) -> [Hash; N] {
    let mut states = [message::INITIAL; N];
    let most = messages.iter().map(Message::blocks).max().unwrap_or(0);
    for block in 0..most {
        for (message, state) in messages.iter().zip(&mut states) {
            if block < message.blocks() {
                compress256(state, std::slice::from_ref(message.block(block)));
            }
        }
    }
    states.map(message::hash_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same hashes through the ordinary interface of the SHA-256 crate.
    fn plain(prefix: u8, parts: &[&[u8]]) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update([prefix]);
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize().into()
    }

    #[test]
    fn leaf_hashes_agree_with_plain_sha256_at_every_length() {
        let bytes: Vec<u8> = (0..700u32).map(|i| (i * 31 % 251) as u8).collect();
        let entries: Vec<&[u8]> = (0..=bytes.len()).map(|length| &bytes[..length]).collect();
        let expected: Vec<Hash> = entries.iter().map(|entry| plain(0, &[entry])).collect();
        let (mut bulk, mut in_turn) = (vec![[7; HASH_BYTES]], Vec::new());
        leaf_hashes(entries.iter().copied(), &mut bulk);
        leaf_hashes_in_turn(entries.iter().copied(), &mut in_turn);
        assert_eq!(bulk.remove(0), [7; HASH_BYTES], "what stood there before stays");
        assert_eq!((bulk.len(), in_turn.len()), (entries.len(), entries.len()));
        for (at, entry) in entries.iter().enumerate() {
            let length = entry.len();
            assert_eq!(bulk[at], expected[at], "bulk hash of {length} bytes");
            assert_eq!(in_turn[at], expected[at], "hash in turn of {length} bytes");
            assert_eq!(leaf_hash(entry), expected[at], "single hash of {length} bytes");
        }
        for count in 0..40 {
            // Long and short entries side by side, and every number of entries around the number of lanes.
            let some = || (0..count).map(|i| if i % 3 == 0 { 700 - i } else { i });
            let mut bulk = Vec::new();
            leaf_hashes(some().map(|at| entries[at]), &mut bulk);
            assert_eq!(bulk, some().map(|at| expected[at]).collect::<Vec<_>>(), "{count} entries");
        }
    }

    #[test]
    fn node_hashes_agree_with_plain_sha256() {
        let left = leaf_hash(b"left");
        let right = leaf_hash(b"right");
        assert_eq!(node_hash(&left, &right), plain(1, &[&left, &right]));
    }

    #[test]
    fn complete_root_folds_pairs_and_refuses_other_widths() {
        let leaves: Vec<Hash> = (0..256u32).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        for width in (0..=8).map(|height| 1 << height) {
            let mut level = leaves[..width].to_vec();
            let mut in_turn = level.clone();
            while level.len() > 1 {
                parents_in_turn(&mut in_turn[..level.len()]);
                level = level.chunks(2).map(|pair| plain(1, &[&pair[0], &pair[1]])).collect();
            }
            assert_eq!(complete_root(&mut leaves[..width].to_vec()), Some(level[0]), "{width} leaves");
            assert_eq!(in_turn[0], level[0], "{width} leaves in turn");
        }
        assert_eq!(complete_root(&mut leaves[..3].to_vec()), None);
        assert_eq!(complete_root(&mut []), None);
    }
}
