//! The journal: makes a batch of entries durable with one write and one sync, before their tiles are.
//!
//! A tile is a file of 256 entries, so syncing tiles costs many syncs for one batch. The journal is one file that a batch is appended to;
//! tiles are written without a sync and are synced when a segment of the journal is retired. Until then a crash loses no entry, because
//! [`crate::recover`] writes the tiles again from the journal.
//!
//! A segment is `journal/<first index>.journal`: a header (magic, origin, first index, SHA-256 of these), then batches (magic, first
//! index, count, payload length, digest over these and the leaf hashes, payload in the form of an entry bundle). The first index of a
//! segment is a multiple of 256, so that everything before it is in full tiles.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::hash::{Hash, leaf_hashes};
use crate::tile::{push_entry, read_if_present, split_bundle, sync_dir};

/// The first bytes of a segment. 0xff stands in no UTF-8 text, so no entry can look like it.
const SEGMENT_MAGIC: &[u8; 8] = b"\xffLHJRNL1";

/// The first bytes of a batch.
const BATCH_MAGIC: &[u8; 4] = b"\xffLHB";

/// Separates batch digests from every other use of SHA-256.
const BATCH_DOMAIN: &[u8] = b"leasehold-ledger/journal/v1\0";

/// Magic, first index, count, payload length and digest.
const BATCH_HEADER_BYTES: usize = 4 + 8 + 4 + 4 + 32;

/// Directory of the segments.
pub fn journal_dir(dir: &Path) -> PathBuf {
    dir.join("journal")
}

/// The segment that is being written.
#[derive(Debug)]
pub struct Segment {
    path: PathBuf,
    file: File,
    start: u64,
    bytes: u64,
}

impl Segment {
    /// Creates a segment that begins at `start` and holds the `tail`, durably. An abandoned file of the same name is replaced.
    pub fn create(
        dir: &Path,
        origin: &str,
        start: u64,
        tail: &[u8],
        tail_leaves: &[Hash],
    ) -> Result<Self, Error> {
        let directory = journal_dir(dir);
        let path = directory.join(format!("{start:020}.journal"));
        let mut bytes = SEGMENT_MAGIC.to_vec();
        bytes.extend_from_slice(&(origin.len() as u16).to_be_bytes());
        bytes.extend_from_slice(origin.as_bytes());
        bytes.extend_from_slice(&start.to_be_bytes());
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest);
        if !tail_leaves.is_empty() {
            let mut batch = Batch::default();
            batch.clear();
            batch.bytes.extend_from_slice(tail);
            bytes.extend_from_slice(batch.finish(start, tail_leaves));
        }
        let create = || -> std::io::Result<File> {
            let mut file = File::create(&path)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            Ok(file)
        };
        let file = create().map_err(|e| Error::io(&path, "written", e))?;
        sync_dir(&directory)?;
        Ok(Segment { path, file, start, bytes: bytes.len() as u64 })
    }

    /// Goes on with a segment that was read, after cutting off what a crash left torn.
    pub fn resume(found: &FoundSegment) -> Result<Self, Error> {
        let open = || -> std::io::Result<File> {
            let file = OpenOptions::new().append(true).open(&found.path)?;
            if file.metadata()?.len() != found.bytes {
                file.set_len(found.bytes)?;
                file.sync_all()?;
            }
            Ok(file)
        };
        let file = open().map_err(|e| Error::io(&found.path, "opened for writing", e))?;
        Ok(Segment { path: found.path.clone(), file, start: found.start, bytes: found.bytes })
    }

    /// Appends a batch without syncing it.
    pub fn write_batch(&mut self, batch: &mut Batch, start: u64, leaves: &[Hash]) -> Result<(), Error> {
        let bytes = batch.finish(start, leaves);
        self.file.write_all(bytes).map_err(|e| Error::io(&self.path, "written", e))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes every batch written so far durable.
    pub fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|e| Error::io(&self.path, "synced", e))
    }

    /// The segment's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first index of the segment.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// How large the segment has grown.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn batch_digest(fields: &[u8], leaves: &[Hash]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(BATCH_DOMAIN);
    hasher.update(fields);
    // The leaf hashes stand for the payload, so that it is not hashed a second time.
    hasher.update(leaves.as_flattened());
    hasher.finalize().into()
}

/// A batch as it is put together: room for its header, then its payload. One of them serves many batches, because fresh memory for
/// megabytes costs as much as hashing them.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
}

impl Batch {
    /// Begins a batch without entries.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(BATCH_HEADER_BYTES, 0);
    }

    /// Adds an entry. `None` when it is larger than a bundle can hold.
    pub fn push(&mut self, entry: &[u8]) -> Option<()> {
        push_entry(&mut self.bytes, entry)
    }

    /// How many bytes its entries take.
    pub fn payload_bytes(&self) -> usize {
        self.bytes.len().saturating_sub(BATCH_HEADER_BYTES)
    }

    /// Writes the header, and returns the whole.
    fn finish(&mut self, start: u64, leaves: &[Hash]) -> &[u8] {
        let length = self.payload_bytes() as u32;
        let mut fields = [0; 16];
        fields[..8].copy_from_slice(&start.to_be_bytes());
        fields[8..12].copy_from_slice(&(leaves.len() as u32).to_be_bytes());
        fields[12..].copy_from_slice(&length.to_be_bytes());
        let header = [&BATCH_MAGIC[..], &fields, &batch_digest(&fields, leaves)].concat();
        self.bytes[..BATCH_HEADER_BYTES].copy_from_slice(&header);
        &self.bytes
    }
}

/// A batch as it was read: its first index, its payload and the leaf hashes of its entries.
pub struct FoundBatch {
    /// Index of its first entry.
    pub start: u64,
    /// Its entries in the form of a bundle.
    pub payload: Vec<u8>,
    /// The leaf hash of each entry.
    pub leaves: Vec<Hash>,
}

/// A segment as it was read.
pub struct FoundSegment {
    /// The file.
    pub path: PathBuf,
    /// The log that it belongs to.
    pub origin: String,
    /// The first index of the segment.
    pub start: u64,
    /// The batches that are whole.
    pub batches: Vec<FoundBatch>,
    /// How many bytes are whole; what follows is a torn batch.
    pub bytes: u64,
    /// Whether bytes follow that are no whole batch.
    pub torn: bool,
}

/// The segment files, in the order of their first index.
pub fn list(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let directory = journal_dir(dir);
    let mut paths = Vec::new();
    for item in std::fs::read_dir(&directory).map_err(|e| Error::io(&directory, "read", e))? {
        let path = item.map_err(|e| Error::io(&directory, "read", e))?.path();
        if path.extension().is_some_and(|extension| extension == "journal") {
            paths.push(path);
        }
    }
    // The names are numbers of fixed width, so their order is the order of the indexes.
    paths.sort();
    Ok(paths)
}

/// Reads a segment. `None` when not even its header was written whole, so that it never held an entry that was confirmed.
///
/// # Errors
/// [`Error::JournalDamaged`] when whole batches follow a damaged one: a crash tears only the end.
pub fn read(path: &Path) -> Result<Option<FoundSegment>, Error> {
    let damaged = |offset: usize, why: &str| Error::JournalDamaged {
        path: path.display().to_string(),
        offset: offset as u64,
        why: why.to_owned(),
    };
    let Some(bytes) = read_if_present(path)? else { return Ok(None) };
    let Some((origin, start, mut offset)) = read_header(&bytes) else {
        if next_batch(&bytes, 0).is_some() {
            return Err(damaged(0, "the header is not what was written"));
        }
        return Ok(None);
    };
    let mut batches = Vec::new();
    while let Some((batch, end)) = read_batch(&bytes, offset) {
        batches.push(batch);
        offset = end;
    }
    if offset < bytes.len() && next_batch(&bytes, offset + 1).is_some() {
        return Err(damaged(offset, "the batch here is not what was written, and whole batches follow"));
    }
    let torn = offset < bytes.len();
    Ok(Some(FoundSegment { path: path.to_owned(), origin, start, batches, bytes: offset as u64, torn }))
}

fn read_header(bytes: &[u8]) -> Option<(String, u64, usize)> {
    let rest = bytes.strip_prefix(SEGMENT_MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (origin, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (start, rest) = rest.split_first_chunk::<8>()?;
    let (digest, rest) = rest.split_first_chunk::<32>()?;
    let end = bytes.len() - rest.len();
    if Sha256::digest(&bytes[..end - 32]).as_slice() != digest {
        return None;
    }
    Some((String::from_utf8(origin.to_vec()).ok()?, u64::from_be_bytes(*start), end))
}

/// The batch at `offset` and where it ends, or `None` when it is not whole.
fn read_batch(bytes: &[u8], offset: usize) -> Option<(FoundBatch, usize)> {
    let rest = bytes.get(offset..)?.strip_prefix(BATCH_MAGIC)?;
    let (fields, rest) = rest.split_first_chunk::<16>()?;
    let (digest, rest) = rest.split_first_chunk::<32>()?;
    let start = u64::from_be_bytes(*fields.first_chunk()?);
    let count = u32::from_be_bytes(*fields[8..].first_chunk()?) as usize;
    let length = u32::from_be_bytes(*fields[12..].first_chunk()?) as usize;
    let payload = rest.get(..length)?;
    let entries = split_bundle(payload).filter(|entries| entries.len() == count)?;
    let mut leaves = Vec::with_capacity(count);
    leaf_hashes(entries, &mut leaves);
    if batch_digest(fields, &leaves) != *digest {
        return None;
    }
    let end = offset + BATCH_HEADER_BYTES + length;
    Some((FoundBatch { start, payload: payload.to_vec(), leaves }, end))
}

/// The first whole batch at or after `offset`.
fn next_batch(bytes: &[u8], offset: usize) -> Option<FoundBatch> {
    let rest = bytes.get(offset..)?;
    let starts = rest.windows(BATCH_MAGIC.len()).enumerate().filter(|(_, window)| *window == BATCH_MAGIC);
    starts.map(|(i, _)| offset + i).find_map(|at| read_batch(bytes, at)).map(|(batch, _)| batch)
}
