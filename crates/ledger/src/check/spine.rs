//! The checker's own tree: a stack of complete subtrees from left to right, from which the root of every size follows.

use std::path::Path;

use super::finding::Finding;
use super::layout::{self, WIDTH};
use crate::hash::{HASH_BYTES, Hash, complete_root, empty_root, node_hash};

/// Complete subtrees, the tallest first; no two are of one height.
#[derive(Debug, Default, Clone)]
pub struct Spine {
    subtrees: Vec<(u32, Hash)>,
}

impl Spine {
    /// Adds a complete subtree of `2^height` leaves on the right, and joins it with equals.
    pub fn push(&mut self, mut height: u32, mut hash: Hash) {
        while let Some(&(top, left)) = self.subtrees.last() {
            if top != height {
                break;
            }
            self.subtrees.pop();
            hash = node_hash(&left, &hash);
            height += 1;
        }
        self.subtrees.push((height, hash));
    }

    /// The root over what was added and these further leaves.
    pub fn root_with(&self, leaves: &[Hash]) -> Hash {
        let mut spine = self.clone();
        for leaf in leaves {
            spine.push(0, *leaf);
        }
        let right_to_left = spine.subtrees.into_iter().rev().map(|(_, hash)| hash);
        right_to_left.reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }
}

/// Compares the hash tiles above level 0 with the roots of the bundles.
#[derive(Debug, Default)]
pub struct Uppers {
    /// For every level from 1 on: the hashes of its current tile, and that tile's index.
    levels: Vec<(Vec<Hash>, u64)>,
}

impl Uppers {
    /// Adds the root of the next bundle; compares every tile that becomes full.
    pub fn push(&mut self, dir: &Path, root: Hash, findings: &mut Vec<Finding>) {
        let mut carry = Some(root);
        let mut level = 0;
        while let Some(hash) = carry.take() {
            if self.levels.len() == level {
                self.levels.push((Vec::new(), 0));
            }
            let (hashes, index) = &mut self.levels[level];
            hashes.push(hash);
            if hashes.len() as u64 == WIDTH {
                compare(dir, level + 1, *index, hashes, findings);
                carry = complete_root(hashes);
                hashes.clear();
                *index += 1;
            }
            level += 1;
        }
    }

    /// Compares the partial tiles at the end.
    pub fn finish(&self, dir: &Path, findings: &mut Vec<Finding>) {
        for (level, (hashes, index)) in
            self.levels.iter().enumerate().filter(|(_, (hashes, _))| !hashes.is_empty())
        {
            compare(dir, level + 1, *index, hashes, findings);
        }
    }
}

fn compare(dir: &Path, level: usize, index: u64, hashes: &[Hash], findings: &mut Vec<Finding>) {
    let mut stored = Vec::new();
    let span = WIDTH.checked_pow(level as u32).unwrap_or(u64::MAX);
    let first = index.saturating_mul(span).saturating_mul(WIDTH);
    let last = first.saturating_add(span.saturating_mul(hashes.len() as u64)) - 1;
    match layout::read(dir, &level.to_string(), index, hashes.len() as u64, &mut stored) {
        Ok(Some((path, width))) => {
            let whole = stored.len() as u64 == width * HASH_BYTES as u64;
            if !whole || !stored.starts_with(hashes.as_flattened()) {
                findings.push(Finding::TileDiffers { path: path.display().to_string(), first, last });
            }
        }
        Ok(None) => {
            let path = layout::path(dir, &level.to_string(), index).display().to_string();
            findings.push(Finding::TileMissing { path, first, last });
        }
        Err(finding) => findings.push(finding),
    }
}
