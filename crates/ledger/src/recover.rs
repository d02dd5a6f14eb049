//! Opening: rebuilds the end of the log from what is durable, after any crash.
//!
//! What may be found, and what is done:
//! - a torn batch at the end of the journal: it was never confirmed, and is cut off;
//! - tiles missing, torn or written for a batch that was lost: written again from the journal;
//! - a new journal segment that was not finished: replaced, its entries are still in the segment before it;
//! - no journal at all, as in a copy of the public files: the bundles are read again from the first one on;
//! - a published checkpoint that the entries do not bear out: refused, because signing on would contradict it.

use std::path::Path;

use crate::error::Error;
use crate::growth::Growth;
use crate::hash::leaf_hashes;
use crate::journal::{self, FoundSegment, Segment};
use crate::tile::{self, Kind};
use crate::tree::TILE_WIDTH;

/// How many files are synced at the same time.
const SYNC_THREADS: usize = 16;

/// The log's end with the segment to go on with, and segments whose tiles are not synced yet.
pub struct Recovered {
    /// The end of the log.
    pub growth: Growth,
    /// The segment to append to.
    pub segment: Segment,
    /// The first index from which tiles may not be synced.
    pub unsynced_from: u64,
    /// Older segments; they go when the tiles are synced.
    pub older: Vec<std::path::PathBuf>,
}

/// Recovers the log in `dir`.
///
/// # Errors
/// [`Error`]; nothing that a checkpoint covers is ever dropped silently.
pub fn recover(dir: &Path, origin: &str) -> Result<Recovered, Error> {
    let paths = journal::list(dir)?;
    let mut found = Vec::new();
    for path in &paths {
        if let Some(segment) = journal::read(path)? {
            check_origin(&segment, origin)?;
            found.push(segment);
        } else if Some(path) != paths.last() {
            let path = path.display().to_string();
            let why = "its header is not whole, and newer segments follow".to_owned();
            return Err(Error::JournalDamaged { path, offset: 0, why });
        }
    }
    // The newest file may be an unfinished segment: it is replaced under the same name or left behind by number, so remove it first.
    if found.len() < paths.len()
        && let Some(path) = paths.last()
    {
        std::fs::remove_file(path).map_err(|e| Error::io(path, "removed", e))?;
    }
    let Some(last) = found.last() else { return from_tiles(dir, origin) };
    for segment in &found {
        if segment.torn && segment.path != last.path {
            let path = segment.path.display().to_string();
            let why = "it ends in a torn batch, and newer segments follow".to_owned();
            return Err(Error::JournalDamaged { path, offset: segment.bytes, why });
        }
    }
    let unsynced_from = found.first().map_or(0, |segment| segment.start);
    let mut growth = Growth::from_full_tiles(dir, unsynced_from)?;
    for segment in &found {
        replay(segment, &mut growth)?;
        growth.write_pending()?;
    }
    let covered = last.batches.last().map_or(last.start, |batch| batch.start + batch.leaves.len() as u64);
    let segment = if covered == growth.len() {
        Segment::resume(last)?
    } else {
        // The crash came while this segment was created: its tail is still only in the segment before it.
        let (tail, leaves) = growth.tail();
        Segment::create(dir, origin, growth.len() - leaves.len() as u64, tail, leaves)?
    };
    let older = found.iter().map(|s| s.path.clone()).filter(|path| path != segment.path()).collect();
    Ok(Recovered { growth, segment, unsynced_from, older })
}

fn check_origin(segment: &FoundSegment, origin: &str) -> Result<(), Error> {
    if segment.origin == origin {
        return Ok(());
    }
    let (found, expected) = (segment.origin.clone(), origin.to_owned());
    Err(Error::Origin { path: segment.path.display().to_string(), found, expected })
}

/// Applies the batches of one segment; entries that an older segment also has are skipped.
fn replay(segment: &FoundSegment, growth: &mut Growth) -> Result<(), Error> {
    let damaged =
        |why: String| Error::JournalDamaged { path: segment.path.display().to_string(), offset: 0, why };
    for batch in &segment.batches {
        let Some(known) = growth.len().checked_sub(batch.start) else {
            return Err(damaged(format!(
                "entries {} to {} are missing before a batch",
                growth.len(),
                batch.start - 1
            )));
        };
        let Ok(known) = usize::try_from(known) else { continue };
        let entries = tile::split_bundle(&batch.payload)
            .ok_or_else(|| Error::Internal("a batch that was read whole does not split".into()))?;
        if let (Some(entries), Some(leaves)) = (entries.get(known..), batch.leaves.get(known..)) {
            growth.apply(entries, leaves)?;
        }
    }
    Ok(())
}

/// Rebuilds from the bundles, when there is no journal.
fn from_tiles(dir: &Path, origin: &str) -> Result<Recovered, Error> {
    let mut growth = Growth::new(dir);
    let mut index = 0;
    while let Some(bytes) = tile::read_if_present(&tile::full_path(dir, Kind::Entries, index))? {
        apply_bundle(dir, &mut growth, index, &bytes, TILE_WIDTH)?;
        index += 1;
    }
    for width in (1..TILE_WIDTH).rev() {
        if let Some(bytes) = tile::read_if_present(&tile::partial_path(dir, Kind::Entries, index, width))? {
            apply_bundle(dir, &mut growth, index, &bytes, width)?;
            break;
        }
    }
    // The new segment says that everything before it is synced, so it has to be.
    sync_files(dir, &growth.take_unsynced())?;
    let (tail, leaves) = growth.tail();
    let start = growth.len() - leaves.len() as u64;
    let segment = Segment::create(dir, origin, start, tail, leaves)?;
    Ok(Recovered { segment, unsynced_from: start, growth, older: Vec::new() })
}

fn apply_bundle(
    dir: &Path,
    growth: &mut Growth,
    index: u64,
    bytes: &[u8],
    width: usize,
) -> Result<(), Error> {
    let Some(entries) = tile::split_bundle(bytes).filter(|entries| entries.len() == width) else {
        let path = tile::full_path(dir, Kind::Entries, index).display().to_string();
        let why = format!(
            "it does not hold exactly {width} entries, and there is no journal to write it again from"
        );
        return Err(Error::MalformedTile { path, why });
    };
    let mut leaves = Vec::with_capacity(width);
    leaf_hashes(entries.iter().copied(), &mut leaves);
    growth.apply(&entries, &leaves)?;
    growth.write_pending()
}

/// Makes files and the directories that name them durable. A partial tile that is gone meanwhile is passed over.
///
/// # Errors
/// [`Error::Io`]. The file that could not be synced is removed, because its pages may look clean in memory and yet be lost on disk;
/// recovery then writes it again.
pub fn sync_files(dir: &Path, paths: &[std::path::PathBuf]) -> Result<(), Error> {
    // Syncs that wait at the same time share one commit of the file system, which is what each of them costs.
    let share = paths.len().div_ceil(SYNC_THREADS).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = paths
            .chunks(share)
            .map(|part| scope.spawn(|| part.iter().try_for_each(|p| sync_file(p))))
            .collect();
        let ended = |_| Err(Error::Internal("a thread that syncs tiles ended early".into()));
        parts.into_iter().try_for_each(|part| part.join().unwrap_or_else(ended))
    })?;
    let mut directories = std::collections::BTreeSet::new();
    for path in paths {
        let mut parent = path.parent();
        while let Some(directory) = parent.filter(|p| p.starts_with(dir) && !directories.contains(*p)) {
            directories.insert(directory.to_owned());
            parent = directory.parent();
        }
    }
    for directory in &directories {
        match tile::sync_dir(directory) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

fn sync_file(path: &Path) -> Result<(), Error> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(path, "opened for syncing", error)),
    };
    file.sync_all().map_err(|error| {
        let _ = std::fs::remove_file(path);
        Error::io(path, "synced", error)
    })
}
