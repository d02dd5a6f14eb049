//! The log, open for writing: appends entries durably, publishes signed checkpoints, and answers with entries and proofs.

use std::fs::{self, File, TryLockError};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crate::checkpoint::{Checkpoint, SignedCheckpoint, SigningKey};
use crate::entry::ENTRY_BYTES_MAX;
use crate::error::Error;
use crate::growth::{self, Growth, write_tiles};
use crate::hash::{Hash, leaf_hashes};
use crate::journal::{Batch, Segment, journal_dir};
use crate::recover::{self, sync_files};
use crate::tile;

/// The most bytes of entries that go into one journal batch; larger appends are cut, so that recovery reads bounded pieces.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// A segment of the journal that has grown to this size is followed by the next.
const SEGMENT_BYTES: u64 = 16 << 20;

/// When so many full segments have gathered, their tiles are synced and they are removed. Syncing two files for every 256 entries costs
/// more than everything else, and much less once the system has written them back by itself, so it is not done at once.
const SEGMENTS_KEPT: usize = 4;

/// When so many have gathered, an append waits for the thread that syncs. It bounds what recovery reads.
const SEGMENTS_MAX: usize = 8;

/// So many bytes of full tiles are handed to the thread that writes them at a time. Creating two files for every 256 entries costs more
/// than making the entries durable, so it happens beside the appends.
const PENDING_BYTES: usize = 4 << 20;

/// When so many have gathered, an append waits for that thread. It bounds memory when the disk is slower than the caller.
const PENDING_BYTES_MAX: usize = 16 << 20;

/// A thread that works beside the appends.
type Beside = JoinHandle<Result<(), Error>>;

/// The log, open for writing. One process at a time.
///
/// Entries are durable when an append returns. They are public only after [`Log::publish`].
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    origin: String,
    growth: Growth,
    segment: Segment,
    /// Full segments that wait to be retired; recovery may have found some.
    older: Vec<PathBuf>,
    /// Working space of appends.
    batch: Batch,
    leaves: Vec<Hash>,
    /// The thread that writes tiles beside the appends; one at a time.
    writing: Option<Beside>,
    /// The thread that retires segments, whose tiles are written; one at a time.
    retiring: Option<Beside>,
    published: Option<SignedCheckpoint>,
    /// Why no more is written. What is in memory may be ahead of the disk then.
    stopped: Option<String>,
    /// Held for its lock.
    _lock: File,
}

impl Log {
    /// Opens the log in `dir`, or creates it, and recovers from whatever a crash left.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process has it open; [`Error::Origin`] when it is the log of another origin;
    /// [`Error::EntriesLost`] and [`Error::RootDiffers`] when the files no longer bear out the published checkpoint;
    /// [`Error::JournalDamaged`], [`Error::MissingTile`], [`Error::MalformedTile`] for damage that no crash explains.
    pub fn open(dir: impl AsRef<Path>, origin: &str) -> Result<Self, Error> {
        let dir = dir.as_ref();
        let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if origin.is_empty() || origin.len() > 1024 || origin.contains(bad) {
            return Err(Error::BadOrigin(origin.to_owned()));
        }
        for directory in [journal_dir(dir), dir.join("checkpoints"), dir.join("tile")] {
            fs::create_dir_all(&directory).map_err(|e| Error::io(&directory, "created", e))?;
        }
        let lock = lock(&dir.join("lock"))?;
        tile::sync_dir(dir)?;
        let published = read_published(dir, origin)?;
        let recovered = recover::recover(dir, origin)?;
        let mut log = Log {
            dir: dir.to_owned(),
            origin: origin.to_owned(),
            growth: recovered.growth,
            segment: recovered.segment,
            older: recovered.older,
            batch: Batch::default(),
            leaves: Vec::new(),
            writing: None,
            retiring: None,
            published,
            stopped: None,
            _lock: lock,
        };
        log.check_published()?;
        log.restore_partials(recovered.unsynced_from)?;
        Ok(log)
    }

    /// The published checkpoint must be a beginning of what was recovered.
    fn check_published(&self) -> Result<(), Error> {
        let Some(published) = &self.published else { return Ok(()) };
        let path = || self.dir.join("checkpoint").display().to_string();
        let size = published.checkpoint.size;
        if size > self.len() {
            return Err(Error::EntriesLost { path: path(), signed: size, found: self.len() });
        }
        if self.root(size)? != published.checkpoint.root {
            return Err(Error::RootDiffers { path: path(), size });
        }
        Ok(())
    }

    /// Writes the partial tiles of checkpoints whose files may not have been synced before a crash.
    fn restore_partials(&mut self, unsynced_from: u64) -> Result<(), Error> {
        let Some(published) = &self.published else { return Ok(()) };
        let published = published.clone();
        let mut sizes = published_sizes(&self.dir)?;
        if !sizes.contains(&published.checkpoint.size) {
            // The crash came between the checkpoint and its copy in the history.
            tile::replace(&history_path(&self.dir, published.checkpoint.size), published.text.as_bytes())?;
            sizes.push(published.checkpoint.size);
        }
        let len = self.len();
        for size in sizes.into_iter().filter(|size| (unsynced_from..=len).contains(size)) {
            self.growth.write_partials(size)?;
        }
        self.growth.write_partials(published.checkpoint.size)
    }

    /// How many entries are durable.
    pub fn len(&self) -> u64 {
        self.growth.len()
    }

    /// Whether the log has no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The log's identity.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The checkpoint that was published last.
    pub fn published(&self) -> Option<&SignedCheckpoint> {
        self.published.as_ref()
    }

    /// Appends entries in order and returns their indexes. They are durable when this returns: one write and one sync for the whole
    /// batch, so gather what is waiting and append it together.
    ///
    /// # Errors
    /// [`Error::EntryTooLarge`] before anything is written. After any other error the log is stopped: open it again.
    pub fn append_batch<E: AsRef<[u8]>>(&mut self, entries: &[E]) -> Result<Range<u64>, Error> {
        if let Some(why) = &self.stopped {
            return Err(Error::Stopped(why.clone()));
        }
        let start = self.len();
        let entries: Vec<&[u8]> = entries.iter().map(AsRef::as_ref).collect();
        if let Some(position) = entries.iter().position(|entry| entry.len() > ENTRY_BYTES_MAX) {
            return Err(Error::EntryTooLarge {
                index: start + position as u64,
                bytes: entries[position].len(),
            });
        }
        if entries.is_empty() {
            return Ok(start..start);
        }
        if let Err(error) = self.append_checked(&entries) {
            self.stopped = Some(error.to_string());
            return Err(error);
        }
        Ok(start..self.len())
    }

    fn append_checked(&mut self, entries: &[&[u8]]) -> Result<(), Error> {
        let mut rest = entries;
        while !rest.is_empty() {
            self.batch.clear();
            self.leaves.clear();
            let mut count = 0;
            while count < rest.len()
                && (count == 0 || self.batch.payload_bytes() + rest[count].len() + 2 <= BATCH_BYTES_MAX)
            {
                let index = self.growth.len() + count as u64;
                self.batch
                    .push(rest[count])
                    .ok_or(Error::EntryTooLarge { index, bytes: rest[count].len() })?;
                count += 1;
            }
            let (now, later) = rest.split_at(count);
            leaf_hashes(now.iter().copied(), &mut self.leaves);
            self.segment.write_batch(&mut self.batch, self.growth.len(), &self.leaves)?;
            if later.is_empty() {
                self.segment.sync()?;
            }
            self.growth.apply(now, &self.leaves)?;
            self.hand_over()?;
            rest = later;
        }
        Ok(())
    }

    /// Gives the threads beside the appends what has gathered for them, and waits for them only when they are far behind.
    fn hand_over(&mut self) -> Result<(), Error> {
        if self.segment.bytes() >= SEGMENT_BYTES {
            self.start_segment()?;
        }
        let free = |beside: &Option<Beside>| beside.as_ref().is_none_or(Beside::is_finished);
        let (segments, bytes) = (self.older.len(), self.growth.pending_bytes());
        if segments >= SEGMENTS_MAX || segments >= SEGMENTS_KEPT && free(&self.retiring) {
            self.retire_segments()?;
        } else if bytes > PENDING_BYTES_MAX || bytes > PENDING_BYTES && free(&self.writing) {
            // The tiles of the thread before are read from memory until here.
            join(&mut self.writing)?;
            let (dir, tiles) = (self.dir.clone(), self.growth.take_pending());
            self.writing = Some(self.spawn("ledger-tiles", move || write_tiles(&dir, &tiles))?);
        }
        Ok(())
    }

    /// Goes on in a new segment; the old one waits to be retired.
    fn start_segment(&mut self) -> Result<(), Error> {
        let (tail, leaves) = self.growth.tail();
        let start = self.growth.len() - leaves.len() as u64;
        if start <= self.segment.start() {
            return Ok(());
        }
        self.segment.sync()?;
        let segment = Segment::create(&self.dir, &self.origin, start, tail, leaves)?;
        self.older.push(std::mem::replace(&mut self.segment, segment).path().to_owned());
        Ok(())
    }

    /// Lets a thread sync the tiles of the full segments and remove the segments.
    fn retire_segments(&mut self) -> Result<(), Error> {
        join(&mut self.retiring)?;
        join(&mut self.writing)?;
        self.growth.write_pending()?;
        let (dir, unsynced) = (self.dir.clone(), self.growth.take_unsynced());
        let segments = std::mem::take(&mut self.older);
        self.retiring = Some(self.spawn("ledger-retire", move || retire(&dir, &unsynced, &segments))?);
        Ok(())
    }

    fn spawn(
        &self,
        name: &str,
        run: impl FnOnce() -> Result<(), Error> + Send + 'static,
    ) -> Result<Beside, Error> {
        let spawned = std::thread::Builder::new().name(name.into()).spawn(run);
        spawned.map_err(|e| Error::io(&self.dir, "written", e))
    }

    /// Waits for the threads beside the appends.
    fn join_beside(&mut self) -> Result<(), Error> {
        let written = join(&mut self.writing);
        join(&mut self.retiring).and(written)
    }

    /// Appends the entries that begin at index `start`, as a caller does that keeps the entries elsewhere too and does not know how
    /// many of them arrived before a crash. Entries that are there already are compared; the rest is appended. Returns the indexes of
    /// what was appended.
    ///
    /// # Errors
    /// [`Error::Gap`] when `start` is beyond the end; [`Error::Overlap`] with the first index whose bytes differ; else as
    /// [`Log::append_batch`].
    pub fn append_from<E: AsRef<[u8]>>(&mut self, start: u64, entries: &[E]) -> Result<Range<u64>, Error> {
        let len = self.len();
        let Some(known) = len.checked_sub(start) else { return Err(Error::Gap { start, len }) };
        let known = usize::try_from(known).unwrap_or(usize::MAX).min(entries.len());
        let (logged, new) = entries.split_at(known);
        for (index, entry) in (start..).zip(logged) {
            if self.entry(index)? != entry.as_ref() {
                return Err(Error::Overlap { index });
            }
        }
        if new.is_empty() { Ok(len..len) } else { self.append_batch(new) }
    }

    /// Signs a checkpoint over all entries and publishes it: as `checkpoint`, replaced at once, and as `checkpoints/<size>`.
    ///
    /// Everything it covers is durable before it is signed. Publishing the same size with the same key again changes nothing.
    ///
    /// # Errors
    /// [`Error`]; the older checkpoint stays in force.
    pub fn publish(&mut self, key: &SigningKey) -> Result<SignedCheckpoint, Error> {
        if let Some(why) = &self.stopped {
            return Err(Error::Stopped(why.clone()));
        }
        let size = self.len();
        if let Some(published) = &self.published
            && published.checkpoint.size == size
            && Checkpoint::parse_and_verify(&published.text, &key.verifying_key()).is_ok()
        {
            return Ok(published.clone());
        }
        if let Err(error) = self.write_tiles_for(size) {
            self.stopped = Some(error.to_string());
            return Err(error);
        }
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size,
            root: self.growth.root(),
            extensions: Vec::new(),
        };
        let path = self.dir.join("checkpoint");
        let signed = checkpoint
            .sign(key)
            .map_err(|source| Error::Checkpoint { path: path.display().to_string(), source })?;
        // The current checkpoint goes first: a reader that lists the history before it reads `checkpoint` never sees a larger one there.
        tile::replace(&path, signed.text.as_bytes())?;
        self.published = Some(signed.clone());
        tile::replace(&history_path(&self.dir, size), signed.text.as_bytes())?;
        Ok(signed)
    }

    /// Writes every tile that a reader of this size needs.
    fn write_tiles_for(&mut self, size: u64) -> Result<(), Error> {
        self.join_beside()?;
        self.growth.write_pending()?;
        self.growth.write_partials(size)
    }

    /// The bytes of one entry.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], or [`Error`] when its bundle cannot be read.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, Error> {
        self.growth.entry(index)
    }

    /// The root over the first `size` entries.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], or [`Error`] when a tile cannot be read.
    pub fn root(&self, size: u64) -> Result<Hash, Error> {
        if size == self.len() {
            Ok(self.growth.root())
        } else {
            growth::root_at(&self.growth, self.len(), size)
        }
    }

    /// Proof that the entry at `index` stands in the tree of `size` entries, from the leaf's sibling upwards.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], or [`Error`] when a tile cannot be read.
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Hash>, Error> {
        growth::inclusion_at(&self.growth, self.len(), index, size)
    }

    /// Proof that the tree of `new` entries begins with the tree of `old` entries.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], or [`Error`] when a tile cannot be read.
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Hash>, Error> {
        growth::consistency_at(&self.growth, self.len(), old, new)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // A failure needs no word here: the segments are still there, and the next opening writes the tiles again. The threads have to end
        // before the lock goes, or it would work in a log that another process has opened.
        let _ = self.join_beside();
    }
}

/// Waits for a thread, if there is one.
fn join(beside: &mut Option<Beside>) -> Result<(), Error> {
    match beside.take().map(JoinHandle::join) {
        None => Ok(()),
        Some(Ok(result)) => result,
        Some(Err(_)) => Err(Error::Internal("a thread that writes or syncs tiles ended early".into())),
    }
}

/// Syncs the tiles, then removes the segments that held their entries.
fn retire(dir: &Path, unsynced: &[PathBuf], segments: &[PathBuf]) -> Result<(), Error> {
    sync_files(dir, unsynced)?;
    for path in segments {
        fs::remove_file(path).map_err(|e| Error::io(path, "removed", e))?;
    }
    tile::sync_dir(&journal_dir(dir))
}

fn lock(path: &Path) -> Result<File, Error> {
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|e| Error::io(path, "opened", e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: path.display().to_string() }),
        Err(TryLockError::Error(source)) => Err(Error::io(path, "locked", source)),
    }
}

/// Path of the copy of a published checkpoint.
pub(crate) fn history_path(dir: &Path, size: u64) -> PathBuf {
    dir.join("checkpoints").join(size.to_string())
}

/// The published checkpoint, without a look at its signature: the writer trusts its own directory, the checker does not.
pub(crate) fn read_published(dir: &Path, origin: &str) -> Result<Option<SignedCheckpoint>, Error> {
    let path = dir.join("checkpoint");
    let Some(bytes) = tile::read_if_present(&path)? else { return Ok(None) };
    let malformed = |source| Error::Checkpoint { path: path.display().to_string(), source };
    let text = String::from_utf8(bytes)
        .map_err(|_| malformed(crate::checkpoint::CheckpointError::Malformed("it is not UTF-8")))?;
    let signed = Checkpoint::parse_unverified(&text).map_err(malformed)?;
    if !origin.is_empty() && signed.checkpoint.origin != origin {
        let (found, expected) = (signed.checkpoint.origin, origin.to_owned());
        return Err(Error::Origin { path: path.display().to_string(), found, expected });
    }
    Ok(Some(signed))
}

/// The sizes in the history of published checkpoints.
fn published_sizes(dir: &Path) -> Result<Vec<u64>, Error> {
    let directory = dir.join("checkpoints");
    let items = fs::read_dir(&directory).map_err(|e| Error::io(&directory, "read", e))?;
    let mut sizes = Vec::new();
    for item in items {
        let name = item.map_err(|e| Error::io(&directory, "read", e))?.file_name();
        sizes.extend(name.to_str().and_then(crate::checkpoint::parse_size));
    }
    Ok(sizes)
}
