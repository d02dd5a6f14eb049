//! The Merkle tree over tiles: roots and proofs of RFC 6962 from the stored hashes, and the right edge that grows.

use crate::error::Error;
use crate::hash::{Hash, complete_root, empty_root, node_hash};

/// Entries in a full bundle and hashes in a full tile (C2SP tlog-tiles).
pub const TILE_WIDTH: usize = 256;

/// Tree levels that one tile spans.
const TILE_HEIGHT: u32 = 8;

/// Where stored hashes come from: the files, or the files and the writer's memory.
pub trait TileSource {
    /// The first `width` hashes of tile `index` at `level`.
    ///
    /// # Errors
    /// [`Error`] when the tile is missing or shorter.
    fn tile(&self, level: u32, index: u64, width: usize) -> Result<Vec<Hash>, Error>;
}

/// The largest power of two below `size`, where RFC 6962 splits a tree of more than one entry.
fn split(size: u64) -> u64 {
    debug_assert!(size > 1, "a tree of one entry is not split");
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

/// The hash of a complete subtree of `2^height` entries that starts at entry `number << height`.
fn complete_subtree(source: &impl TileSource, height: u32, number: u64) -> Result<Hash, Error> {
    let level = height / TILE_HEIGHT;
    let nodes = 1usize << (height % TILE_HEIGHT);
    let first = number << (height % TILE_HEIGHT);
    let offset = (first % TILE_WIDTH as u64) as usize;
    let mut hashes = source.tile(level, first / TILE_WIDTH as u64, offset + nodes)?;
    let root = hashes.get_mut(offset..offset + nodes).and_then(complete_root);
    root.ok_or_else(|| {
        Error::Internal(format!("tile {level}/{} came back shorter than asked", first / TILE_WIDTH as u64))
    })
}

/// `MTH(D[start:end])` of RFC 6962, section 2.1, for a range that the tree's splits produce.
fn range_hash(source: &impl TileSource, start: u64, end: u64) -> Result<Hash, Error> {
    let size = end - start;
    if size.is_power_of_two() {
        let height = size.trailing_zeros();
        return complete_subtree(source, height, start >> height);
    }
    let middle = start + split(size);
    Ok(node_hash(&range_hash(source, start, middle)?, &range_hash(source, middle, end)?))
}

/// The root of the first `size` entries.
///
/// # Errors
/// [`Error`] when a tile cannot be read.
pub fn root(source: &impl TileSource, size: u64) -> Result<Hash, Error> {
    if size == 0 { Ok(empty_root()) } else { range_hash(source, 0, size) }
}

/// `PATH(index, D[size])` of RFC 6962, section 2.1.1; `index` is below `size`.
///
/// # Errors
/// [`Error`] when a tile cannot be read.
pub fn inclusion_proof(source: &impl TileSource, index: u64, size: u64) -> Result<Vec<Hash>, Error> {
    let (mut start, mut end) = (0, size);
    let mut proof = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range_hash(source, middle, end)?);
            end = middle;
        } else {
            proof.push(range_hash(source, start, middle)?);
            start = middle;
        }
    }
    // The walk goes down from the root; a proof reads up from the leaf.
    proof.reverse();
    Ok(proof)
}

/// `PROOF(old, D[new])` of RFC 6962, section 2.1.2; `old` is at most `new`.
///
/// # Errors
/// [`Error`] when a tile cannot be read.
pub fn consistency_proof(source: &impl TileSource, old: u64, new: u64) -> Result<Vec<Hash>, Error> {
    let mut proof = Vec::new();
    if old == 0 || old == new {
        return Ok(proof);
    }
    let (mut start, mut end) = (0, new);
    // Whether the part that is left, `start..end`, ends the old tree and also begins at its first entry.
    let mut whole = true;
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range_hash(source, middle, end)?);
            end = middle;
        } else {
            proof.push(range_hash(source, start, middle)?);
            start = middle;
            whole = false;
        }
    }
    if !whole {
        proof.push(range_hash(source, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The right edge of a growing tree: for every tile level, the hashes of its last, not yet full tile.
#[derive(Debug, Default, Clone)]
pub struct Edge {
    levels: Vec<Vec<Hash>>,
}

/// A tile that has just become full.
pub struct FullTile {
    /// Its tile level.
    pub level: u32,
    /// Its 256 hashes.
    pub hashes: Vec<Hash>,
}

impl Edge {
    /// Restores the hashes of the last tile of one level.
    pub fn set_level(&mut self, level: u32, hashes: Vec<Hash>) {
        let level = level as usize;
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Vec::new);
        }
        self.levels[level] = hashes;
    }

    /// The hashes of the last, not yet full tile of a level.
    pub fn level(&self, level: u32) -> &[Hash] {
        self.levels.get(level as usize).map_or(&[], Vec::as_slice)
    }

    /// How many tile levels there are.
    pub fn level_count(&self) -> u32 {
        self.levels.len() as u32
    }

    /// Adds leaves, at most as many as the last tile of level 0 still takes. Returns the tiles that became full, from level 0 upwards.
    pub fn push_leaves(&mut self, leaves: &[Hash]) -> Vec<FullTile> {
        if self.levels.is_empty() {
            self.levels.push(Vec::with_capacity(TILE_WIDTH));
        }
        debug_assert!(self.levels[0].len() + leaves.len() <= TILE_WIDTH, "leaves of two tiles at once");
        self.levels[0].extend_from_slice(leaves);
        let mut full = Vec::new();
        let mut level = 0;
        while self.levels[level].len() == TILE_WIDTH {
            let hashes = std::mem::replace(&mut self.levels[level], Vec::with_capacity(TILE_WIDTH));
            let parent = complete_root(&mut hashes.clone()).unwrap_or_else(empty_root);
            full.push(FullTile { level: level as u32, hashes });
            level += 1;
            if self.levels.len() == level {
                self.levels.push(Vec::with_capacity(TILE_WIDTH));
            }
            self.levels[level].push(parent);
        }
        full
    }

    /// The root of the whole tree.
    pub fn root(&self) -> Hash {
        let mut carry: Option<Hash> = None;
        for level in &self.levels {
            let mut nodes = level.clone();
            // What the levels below left over is the last, incomplete node of this level.
            nodes.extend(carry);
            carry = fold(&nodes);
        }
        carry.unwrap_or_else(empty_root)
    }
}

/// Root over a list of nodes in the shape of RFC 6962: every left part is the largest complete subtree.
fn fold(nodes: &[Hash]) -> Option<Hash> {
    match nodes {
        [] => None,
        [one] => Some(*one),
        _ => {
            let (left, right) = nodes.split_at(split(nodes.len() as u64) as usize);
            Some(node_hash(&fold(left)?, &fold(right)?))
        }
    }
}
