//! The checker's own reading of the C2SP tlog-tiles layout.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::finding::Finding;

/// Entries in a full bundle and hashes in a full tile.
pub const WIDTH: u64 = 256;

/// The path of a tile: `level` is a number or `entries`.
pub fn path(dir: &Path, level: &str, index: u64) -> PathBuf {
    let digits = format!("{index:021}");
    let first = digits.len() - digits.trim_start_matches('0').len();
    // Whole groups of three digits, at least the last one.
    let start = (first / 3 * 3).min(digits.len() - 3);
    let mut path = dir.join("tile").join(level);
    for at in (start..digits.len()).step_by(3) {
        let group = &digits[at..at + 3];
        path.push(if at + 3 < digits.len() { format!("x{group}") } else { group.to_owned() });
    }
    path
}

/// The bundle file over an entry, for messages.
pub fn bundle_of(dir: &Path, index: u64) -> String {
    path(dir, "entries", index / WIDTH).display().to_string()
}

/// Reads a tile of at least `width` into `buffer`: the full file, or else the narrowest partial file that is wide enough.
///
/// Returns the file and its nominal width, or `None` when there is none.
///
/// # Errors
/// [`Finding::Unread`].
pub fn read(
    dir: &Path,
    level: &str,
    index: u64,
    width: u64,
    buffer: &mut Vec<u8>,
) -> Result<Option<(PathBuf, u64)>, Finding> {
    let full = path(dir, level, index);
    // Twice, because the writer replaces partial files by the full one at any time.
    for _ in 0..2 {
        if read_into(&full, buffer)? {
            return Ok(Some((full, WIDTH)));
        }
        for wide in width..WIDTH {
            let mut partial = full.clone().into_os_string();
            partial.push(format!(".p/{wide}"));
            let partial = PathBuf::from(partial);
            if read_into(&partial, buffer)? {
                return Ok(Some((partial, wide)));
            }
        }
    }
    Ok(None)
}

/// Reads a file into `buffer`; `false` when it is not there.
pub fn read_into(path: &Path, buffer: &mut Vec<u8>) -> Result<bool, Finding> {
    buffer.clear();
    let unread = |e: std::io::Error| Finding::Unread { path: path.display().to_string(), why: e.to_string() };
    match File::open(path) {
        Ok(mut file) => file.read_to_end(buffer).map(|_| true).map_err(unread),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(unread(error)),
    }
}

/// The smallest bundle index above `after` that has a file, full or partial. Walks the whole directory; only a gap makes it necessary.
pub fn next_bundle(dir: &Path, after: u64) -> Option<u64> {
    let mut next = None;
    walk(&dir.join("tile").join("entries"), 0, 0, &mut |index| {
        if index > after && next.is_none_or(|found| index < found) {
            next = Some(index);
        }
    });
    next
}

fn walk(dir: &Path, prefix: u64, depth: u32, found: &mut impl FnMut(u64)) {
    let Ok(items) = std::fs::read_dir(dir) else { return };
    for item in items.flatten() {
        let name = item.file_name();
        let Some(name) = name.to_str() else { continue };
        let (group, is_directory) = match name.strip_prefix('x') {
            Some(group) => (group, true),
            None => (name.strip_suffix(".p").unwrap_or(name), false),
        };
        let Some(number) = group.parse::<u64>().ok().filter(|_| group.len() == 3) else { continue };
        let Some(index) = prefix.checked_mul(1000).and_then(|p| p.checked_add(number)) else { continue };
        if !is_directory {
            found(index);
        } else if depth < 6 {
            walk(&item.path(), index, depth + 1, found);
        }
    }
}

/// The sizes of the checkpoints that the log kept, in order.
pub fn history_sizes(dir: &Path) -> Vec<u64> {
    let Ok(items) = std::fs::read_dir(dir.join("checkpoints")) else { return Vec::new() };
    let mut sizes: Vec<u64> = items
        .flatten()
        .filter_map(|item| item.file_name().to_str().and_then(|name| name.parse().ok()))
        .collect();
    sizes.sort_unstable();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        for (index, expected) in [
            (0, "d/tile/entries/000"),
            (999, "d/tile/entries/999"),
            (1000, "d/tile/entries/x001/000"),
            (1_234_067, "d/tile/entries/x001/x234/067"),
        ] {
            assert_eq!(path(Path::new("d"), "entries", index), Path::new(expected));
        }
    }
}
