//! The growing end of the log: takes entries in order, writes tiles as they become full, and partial tiles when they are published.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::hash::Hash;
use crate::tile::{self, Kind};
use crate::tree::{self, Edge, TILE_WIDTH, TileSource};

/// A full tile that waits to be written.
#[derive(Debug)]
pub struct PendingTile {
    kind: Kind,
    index: u64,
    bytes: Vec<u8>,
}

/// Writes full tiles, and removes the partial ones that they replace.
///
/// # Errors
/// [`Error::Io`].
pub fn write_tiles(dir: &Path, tiles: &[PendingTile]) -> Result<(), Error> {
    for tile in tiles {
        tile::write(&tile::full_path(dir, tile.kind, tile.index), &tile.bytes)?;
        // A partial tile may go once the full tile is there (C2SP tlog-tiles); both come back from the journal after a crash.
        tile::remove_partials(dir, tile.kind, tile.index)?;
    }
    Ok(())
}

/// The end of the log in memory, and which files are written but not synced.
#[derive(Debug)]
pub struct Growth {
    dir: PathBuf,
    edge: Edge,
    /// The entries of the last, not yet full bundle, in the form of a bundle.
    tail: Vec<u8>,
    len: u64,
    /// Full tiles that nobody writes yet, and their size in bytes.
    pending: Vec<PendingTile>,
    pending_bytes: usize,
    /// Full tiles that another thread writes just now.
    in_flight: Arc<Vec<PendingTile>>,
    unsynced: Vec<PathBuf>,
    /// The same for partial tiles; they leave the list when they are removed.
    unsynced_partials: Vec<(Kind, u64, PathBuf)>,
}

/// Index of the tile that holds node `number` of its level, where `size` entries have `size >> (8 * level)` nodes at a level.
fn tile_index(size: u64, level: u32) -> u64 {
    size.checked_shr(8 * (level + 1)).unwrap_or(0)
}

/// How many hashes the last tile of a level has for a tree of `size` entries.
fn tile_width(size: u64, level: u32) -> usize {
    (size.checked_shr(8 * level).unwrap_or(0) % TILE_WIDTH as u64) as usize
}

impl Growth {
    /// An empty log.
    pub fn new(dir: &Path) -> Self {
        Growth {
            dir: dir.to_owned(),
            edge: Edge::default(),
            tail: Vec::new(),
            len: 0,
            pending: Vec::new(),
            pending_bytes: 0,
            in_flight: Arc::default(),
            unsynced: Vec::new(),
            unsynced_partials: Vec::new(),
        }
    }

    /// A log of `len` entries, all in full tiles that are on disk; `len` is a multiple of 256.
    ///
    /// # Errors
    /// [`Error`] when a tile of the right edge cannot be read.
    pub fn from_full_tiles(dir: &Path, len: u64) -> Result<Self, Error> {
        let mut growth = Growth::new(dir);
        growth.len = len;
        for level in 1..8 {
            let count = len >> (8 * level);
            if count == 0 {
                break;
            }
            let first = count - tile_width(len, level) as u64;
            let mut hashes = Vec::with_capacity(TILE_WIDTH);
            for index in first..count {
                let mut below = tile::read_hashes(dir, level - 1, index, TILE_WIDTH)?;
                let root = crate::hash::complete_root(&mut below);
                hashes.push(root.ok_or_else(|| Error::Internal("a full tile is not complete".into()))?);
            }
            growth.edge.set_level(level, hashes);
        }
        Ok(growth)
    }

    /// How many entries there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The root over all entries.
    pub fn root(&self) -> Hash {
        self.edge.root()
    }

    /// The last, not yet full bundle and its leaf hashes.
    pub fn tail(&self) -> (&[u8], &[Hash]) {
        (&self.tail, self.edge.level(0))
    }

    /// Adds entries with their leaf hashes. Tiles that become full wait to be written.
    ///
    /// # Errors
    /// [`Error::Io`]; the log must then be opened again.
    pub fn apply(&mut self, entries: &[&[u8]], leaves: &[Hash]) -> Result<(), Error> {
        debug_assert_eq!(entries.len(), leaves.len(), "one leaf hash for each entry");
        let (mut entries, mut leaves) = (entries, leaves);
        while !entries.is_empty() {
            let room = TILE_WIDTH - self.edge.level(0).len();
            let (now, later) = entries.split_at(room.min(entries.len()));
            let (leaves_now, leaves_later) = leaves.split_at(now.len());
            for entry in now {
                tile::push_entry(&mut self.tail, entry)
                    .ok_or(Error::EntryTooLarge { index: self.len, bytes: entry.len() })?;
                self.len += 1;
            }
            for full in self.edge.push_leaves(leaves_now) {
                let index = tile_index(self.len, full.level) - 1;
                if full.level == 0 {
                    let capacity = self.tail.len();
                    let bundle = std::mem::replace(&mut self.tail, Vec::with_capacity(capacity));
                    self.add_pending(Kind::Entries, index, bundle);
                }
                self.add_pending(Kind::Hashes(full.level), index, full.hashes.into_flattened());
            }
            (entries, leaves) = (later, leaves_later);
        }
        Ok(())
    }

    fn add_pending(&mut self, kind: Kind, index: u64, bytes: Vec<u8>) {
        self.unsynced.push(tile::full_path(&self.dir, kind, index));
        self.unsynced_partials
            .retain(|(other_kind, other_index, _)| (*other_kind, *other_index) != (kind, index));
        self.pending_bytes += bytes.len();
        self.pending.push(PendingTile { kind, index, bytes });
    }

    /// How many bytes of full tiles nobody writes yet.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Hands the pending tiles to a thread that writes them. Until the next call they are still read from memory, so the thread of the
    /// call before must have ended.
    pub fn take_pending(&mut self) -> Arc<Vec<PendingTile>> {
        self.pending_bytes = 0;
        self.in_flight = Arc::new(std::mem::take(&mut self.pending));
        Arc::clone(&self.in_flight)
    }

    /// Writes the pending tiles now.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_pending(&mut self) -> Result<(), Error> {
        write_tiles(&self.dir, &self.pending)?;
        self.pending.clear();
        self.pending_bytes = 0;
        Ok(())
    }

    /// A full tile that may not be on disk yet.
    fn in_memory(&self, kind: Kind, index: u64) -> Option<&[u8]> {
        let mut tiles = self.pending.iter().chain(self.in_flight.iter());
        tiles.find(|tile| (tile.kind, tile.index) == (kind, index)).map(|tile| tile.bytes.as_slice())
    }

    /// Writes the partial tiles that a checkpoint of `size` entries needs, as far as the full ones are not there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_partials(&mut self, size: u64) -> Result<(), Error> {
        for level in 0..self.edge.level_count() {
            let (index, width) = (tile_index(size, level), tile_width(size, level));
            if width == 0 || index != tile_index(self.len, level) {
                continue;
            }
            if level == 0 {
                let bytes = prefix_bytes(&self.tail, width)?;
                let path = tile::partial_path(&self.dir, Kind::Entries, index, width);
                tile::write(&path, &self.tail[..bytes])?;
                self.unsynced_partials.push((Kind::Entries, index, path));
            }
            let hashes = self.edge.level(level).get(..width);
            let hashes = hashes
                .ok_or_else(|| Error::Internal(format!("level {level} has less than {width} hashes")))?;
            let path = tile::partial_path(&self.dir, Kind::Hashes(level), index, width);
            tile::write(&path, hashes.as_flattened())?;
            self.unsynced_partials.push((Kind::Hashes(level), index, path));
        }
        Ok(())
    }

    /// Hands over the files that are written but not synced.
    pub fn take_unsynced(&mut self) -> Vec<PathBuf> {
        let mut paths = std::mem::take(&mut self.unsynced);
        paths.extend(self.unsynced_partials.drain(..).map(|(_, _, path)| path));
        paths
    }

    /// The bytes of one entry.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], or [`Error`] when its bundle cannot be read.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, Error> {
        if index >= self.len {
            return Err(Error::OutOfRange { position: index, len: self.len });
        }
        let (bundle, position) = (index / TILE_WIDTH as u64, (index % TILE_WIDTH as u64) as usize);
        if bundle == tile_index(self.len, 0) {
            return entry_of(&self.tail, position);
        }
        if let Some(bytes) = self.in_memory(Kind::Entries, bundle) {
            return entry_of(bytes, position);
        }
        entry_of(&tile::read_bundle(&self.dir, bundle, TILE_WIDTH)?, position)
    }
}

/// One entry of a bundle that was read or written whole.
pub fn entry_of(bundle: &[u8], position: usize) -> Result<Vec<u8>, Error> {
    let entry =
        tile::split_bundle(bundle).and_then(|entries| entries.get(position).map(|entry| entry.to_vec()));
    entry.ok_or_else(|| Error::Internal(format!("the bundle has no entry at position {position}")))
}

/// How many bytes the first `width` entries of a bundle take.
fn prefix_bytes(bundle: &[u8], width: usize) -> Result<usize, Error> {
    let entries = tile::split_bundle(bundle).filter(|entries| entries.len() >= width);
    let entries =
        entries.ok_or_else(|| Error::Internal(format!("the last bundle has less than {width} entries")))?;
    Ok(entries[..width].iter().map(|entry| entry.len() + 2).sum())
}

impl TileSource for Growth {
    fn tile(&self, level: u32, index: u64, width: usize) -> Result<Vec<Hash>, Error> {
        if index == tile_index(self.len, level) {
            let hashes = self.edge.level(level).get(..width).map(<[Hash]>::to_vec);
            return hashes.ok_or_else(|| {
                Error::Internal(format!("tile {level}/{index} has less than {width} hashes"))
            });
        }
        if let Some(bytes) = self.in_memory(Kind::Hashes(level), index) {
            let hashes =
                bytes.as_chunks::<{ crate::hash::HASH_BYTES }>().0.get(..width).map(<[Hash]>::to_vec);
            return hashes.ok_or_else(|| {
                Error::Internal(format!("tile {level}/{index} has less than {width} hashes"))
            });
        }
        tile::read_hashes(&self.dir, level, index, width)
    }
}

/// The root, checked for range.
pub fn root_at(source: &impl TileSource, len: u64, size: u64) -> Result<Hash, Error> {
    if size > len {
        return Err(Error::OutOfRange { position: size, len });
    }
    tree::root(source, size)
}

/// An inclusion proof, checked for range.
pub fn inclusion_at(source: &impl TileSource, len: u64, index: u64, size: u64) -> Result<Vec<Hash>, Error> {
    if size > len || index >= size {
        return Err(Error::OutOfRange { position: index.max(size), len });
    }
    tree::inclusion_proof(source, index, size)
}

/// A consistency proof, checked for range.
pub fn consistency_at(source: &impl TileSource, len: u64, old: u64, new: u64) -> Result<Vec<Hash>, Error> {
    if new > len || old > new {
        return Err(Error::OutOfRange { position: old.max(new), len });
    }
    tree::consistency_proof(source, old, new)
}
