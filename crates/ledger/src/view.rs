//! The published log, open for reading: answers from the public files alone, also while another process writes.

use std::path::{Path, PathBuf};

use crate::checkpoint::SignedCheckpoint;
use crate::error::Error;
use crate::growth::{self, entry_of};
use crate::hash::Hash;
use crate::tile;
use crate::tree::{TILE_WIDTH, TileSource};
use crate::writer::read_published;

/// The log as the checkpoint at the time of opening shows it. It needs no lock and sees nothing that is not published.
#[derive(Debug)]
pub struct View {
    dir: PathBuf,
    published: SignedCheckpoint,
}

impl View {
    /// Opens the published log in `dir`. `None` when nothing was published yet.
    ///
    /// The signature is not checked here; [`crate::check`] and [`crate::bundle`] do that with the auditor's key.
    ///
    /// # Errors
    /// [`Error`] when the checkpoint cannot be read.
    pub fn open(dir: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        let dir = dir.as_ref();
        Ok(read_published(dir, "")?.map(|published| View { dir: dir.to_owned(), published }))
    }

    /// How many entries are published.
    pub fn len(&self) -> u64 {
        self.published.checkpoint.size
    }

    /// Whether no entry is published.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The checkpoint that this view shows.
    pub fn published(&self) -> &SignedCheckpoint {
        &self.published
    }

    /// The bytes of one entry.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], or [`Error`] when its bundle cannot be read.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, Error> {
        if index >= self.len() {
            return Err(Error::OutOfRange { position: index, len: self.len() });
        }
        let bundle = index / TILE_WIDTH as u64;
        let width = (self.len() - bundle * TILE_WIDTH as u64).min(TILE_WIDTH as u64) as usize;
        entry_of(&tile::read_bundle(&self.dir, bundle, width)?, (index % TILE_WIDTH as u64) as usize)
    }

    /// The root over the first `size` entries.
    ///
    /// # Errors
    /// As [`crate::writer::Log::root`].
    pub fn root(&self, size: u64) -> Result<Hash, Error> {
        growth::root_at(self, self.len(), size)
    }

    /// Proof that the entry at `index` stands in the tree of `size` entries.
    ///
    /// # Errors
    /// As [`crate::writer::Log::inclusion_proof`].
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Hash>, Error> {
        growth::inclusion_at(self, self.len(), index, size)
    }

    /// Proof that the tree of `new` entries begins with the tree of `old` entries.
    ///
    /// # Errors
    /// As [`crate::writer::Log::consistency_proof`].
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Hash>, Error> {
        growth::consistency_at(self, self.len(), old, new)
    }
}

impl TileSource for View {
    fn tile(&self, level: u32, index: u64, width: usize) -> Result<Vec<Hash>, Error> {
        tile::read_hashes(&self.dir, level, index, width)
    }
}
