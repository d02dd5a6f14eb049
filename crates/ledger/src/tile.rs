//! Tile and bundle files: their paths, reading and writing (C2SP tlog-tiles).

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::hash::{HASH_BYTES, Hash};
use crate::tree::TILE_WIDTH;

/// What a tile file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Hashes of one tile level.
    Hashes(u32),
    /// Entries.
    Entries,
}

/// Path of a full tile below the log's directory: `tile/<level or entries>/<index>`.
pub fn full_path(dir: &Path, kind: Kind, index: u64) -> PathBuf {
    let mut path = dir.join("tile");
    match kind {
        Kind::Hashes(level) => path.push(level.to_string()),
        Kind::Entries => path.push("entries"),
    }
    path.push(index_path(index));
    path
}

/// Path of a partial tile: the full tile's path with `.p/<width>`.
pub fn partial_path(dir: &Path, kind: Kind, index: u64, width: usize) -> PathBuf {
    partial_dir(dir, kind, index).join(width.to_string())
}

/// Directory of the partial tiles of one tile.
pub fn partial_dir(dir: &Path, kind: Kind, index: u64) -> PathBuf {
    let mut path = full_path(dir, kind, index).into_os_string();
    path.push(".p");
    path.into()
}

/// The index in groups of three digits, all but the last with an `x` before them: 1234067 is `x001/x234/067`.
fn index_path(index: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

/// Reads a file, or `None` when it is not there.
pub fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Error::io(path, "read", error)),
    }
}

/// Reads a tile of at least `width`: the full one, or else a partial one that is as wide or wider.
///
/// Returns the file with its bytes. The partial of exactly that width is tried first of the partials, because it is what a published
/// checkpoint keeps.
fn read_any(dir: &Path, kind: Kind, index: u64, width: usize) -> Result<(PathBuf, Vec<u8>), Error> {
    let full = full_path(dir, kind, index);
    // The writer removes partial tiles when the full one is there, perhaps between two looks of a reader, who then looks once more.
    for _ in 0..2 {
        if let Some(bytes) = read_if_present(&full)? {
            return Ok((full, bytes));
        }
        for candidate in width..TILE_WIDTH {
            let path = partial_path(dir, kind, index, candidate);
            if let Some(bytes) = read_if_present(&path)? {
                return Ok((path, bytes));
            }
        }
    }
    let span = match kind {
        Kind::Entries => TILE_WIDTH as u64,
        Kind::Hashes(level) => 1u64.checked_shl(8 * (level + 1)).unwrap_or(u64::MAX),
    };
    let first = index.saturating_mul(span);
    Err(Error::MissingTile { path: full.display().to_string(), first, last: first.saturating_add(span - 1) })
}

/// Reads the first `width` hashes of a tile.
///
/// # Errors
/// [`Error::MissingTile`], [`Error::MalformedTile`] or [`Error::Io`].
pub fn read_hashes(dir: &Path, level: u32, index: u64, width: usize) -> Result<Vec<Hash>, Error> {
    let (path, bytes) = read_any(dir, Kind::Hashes(level), index, width)?;
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    if hashes.len() < width || hashes.len() > TILE_WIDTH || !rest.is_empty() {
        let why = format!(
            "it has {} bytes, at least {} in whole hashes are needed",
            bytes.len(),
            width * HASH_BYTES
        );
        return Err(Error::MalformedTile { path: path.display().to_string(), why });
    }
    Ok(hashes[..width].to_vec())
}

/// Reads a bundle of at least `width` entries; the bytes may hold more.
///
/// # Errors
/// [`Error::MissingTile`], [`Error::MalformedTile`] or [`Error::Io`].
pub fn read_bundle(dir: &Path, index: u64, width: usize) -> Result<Vec<u8>, Error> {
    let (path, bytes) = read_any(dir, Kind::Entries, index, width)?;
    match split_bundle(&bytes) {
        Some(entries) if entries.len() >= width => Ok(bytes),
        Some(entries) => {
            let why = format!("it has {} entries, {width} are needed", entries.len());
            Err(Error::MalformedTile { path: path.display().to_string(), why })
        }
        None => {
            let why = "a length prefix points beyond its end".to_owned();
            Err(Error::MalformedTile { path: path.display().to_string(), why })
        }
    }
}

/// Appends one entry in the form of a bundle: its length as a 16 bit big-endian number, then its bytes.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Option<()> {
    let length = u16::try_from(entry.len()).ok()?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Some(())
}

/// The entries of a bundle, or `None` when a length prefix points beyond its end.
pub fn split_bundle(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::with_capacity(TILE_WIDTH);
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        bytes = rest;
    }
    bytes.is_empty().then_some(entries)
}

/// Writes a tile, without syncing it: until it is synced, the journal holds its entries.
///
/// A file that is there with the same bytes stays as it is.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let create = || fs::OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = match create() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = path.parent().unwrap_or(path);
            fs::create_dir_all(parent).map_err(|e| Error::io(parent, "created", e))?;
            create()
        }
        other => other,
    };
    if let Err(error) = &file
        && error.kind() == ErrorKind::AlreadyExists
    {
        // Only recovery comes here. Equal bytes are kept, so that tiles stay the same files; anything else is a torn write.
        if read_if_present(path)?.is_some_and(|found| found == bytes) {
            return Ok(());
        }
        file = fs::OpenOptions::new().write(true).truncate(true).open(path);
    }
    file.and_then(|mut file| file.write_all(bytes)).map_err(|e| Error::io(path, "written", e))
}

/// Removes the partial tiles of a tile that is now full, and any directory that a crash left half removed.
pub fn remove_partials(dir: &Path, kind: Kind, index: u64) -> Result<(), Error> {
    let path = partial_dir(dir, kind, index);
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(&path, "removed", error)),
        _ => Ok(()),
    }
}

/// Replaces a small file so that it has either the old or the new bytes at any instant, durably.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(path);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = parent.join(name);
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|e| Error::io(path, "written", e))?;
    sync_dir(parent)
}

/// Makes the names in a directory durable.
pub fn sync_dir(path: &Path) -> Result<(), Error> {
    fs::File::open(path).and_then(|dir| dir.sync_all()).map_err(|e| Error::io(path, "synced", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_the_tiles_specification() {
        let dir = Path::new("log");
        let cases = [
            (full_path(dir, Kind::Entries, 0), "log/tile/entries/000"),
            (full_path(dir, Kind::Hashes(0), 999), "log/tile/0/999"),
            (full_path(dir, Kind::Hashes(1), 1000), "log/tile/1/x001/000"),
            (full_path(dir, Kind::Hashes(2), 1_234_067), "log/tile/2/x001/x234/067"),
            (partial_path(dir, Kind::Entries, 273, 112), "log/tile/entries/273.p/112"),
        ];
        for (path, expected) in cases {
            assert_eq!(path, Path::new(expected));
        }
    }

    #[test]
    fn bundles_split_as_written_and_torn_ones_are_refused() {
        let mut bundle = Vec::new();
        for entry in [&b"one"[..], b"", b"three"] {
            push_entry(&mut bundle, entry).expect("fits");
        }
        assert_eq!(split_bundle(&bundle), Some(vec![&b"one"[..], b"", b"three"]));
        for cut in [1, 3, 6, bundle.len() - 1] {
            assert_eq!(split_bundle(&bundle[..cut]), None, "cut at {cut}");
        }
        assert_eq!(push_entry(&mut bundle, &vec![0; 65_536]), None);
    }
}
