//! Reads bundles and compares each with its hash tile; the part of the check that several threads do at once.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::finding::Finding;
use super::layout::{self, WIDTH};
use crate::hash::{HASH_BYTES, Hash, complete_root, leaf_hashes};

/// How the stored hash tile of a bundle compares.
#[derive(Debug)]
pub enum Tile {
    /// It has the hashes of the entries.
    Equal,
    /// It has others.
    Differs(Vec<Hash>),
    /// It is missing or malformed; a finding says so.
    Unknown,
}

/// What a bundle turned out to hold.
#[derive(Debug)]
pub struct Scanned {
    /// Its index.
    pub index: u64,
    /// Whether there is a file at all.
    pub present: bool,
    /// The leaf hash of every entry, in order.
    pub leaves: Vec<Hash>,
    /// The root over them, when the bundle is full.
    pub root: Option<Hash>,
    /// Its hash tile.
    pub tile: Tile,
    /// What was found in it.
    pub findings: Vec<Finding>,
}

/// How entries are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Entries are any bytes; they are not read.
    pub opaque: bool,
    /// Every entry is parsed as a whole instead of being recognised by its ends.
    pub deep: bool,
}

/// Counts entries by their kind.
pub type Kinds = BTreeMap<Vec<u8>, u64>;

/// One thread's working space, kept from bundle to bundle.
#[derive(Debug, Default)]
pub struct Scanner {
    bundle: Vec<u8>,
    tile: Vec<u8>,
    nodes: Vec<Hash>,
    /// The entries counted so far.
    pub kinds: Kinds,
}

impl Scanner {
    /// Reads bundle `index`, of which the checkpoint covers `width` entries.
    pub fn scan(&mut self, dir: &Path, index: u64, width: u64, look: Look) -> Scanned {
        let mut scanned = Scanned {
            index,
            present: false,
            leaves: Vec::new(),
            root: None,
            tile: Tile::Unknown,
            findings: Vec::new(),
        };
        let (path, nominal) = match layout::read(dir, "entries", index, width, &mut self.bundle) {
            Ok(Some(found)) => found,
            Ok(None) => return scanned,
            Err(finding) => {
                scanned.present = true;
                scanned.findings.push(finding);
                return scanned;
            }
        };
        scanned.present = true;
        let (mut entries, whole) = split(&self.bundle);
        if !whole || entries.len() as u64 != nominal {
            let torn = if whole { "" } else { ", and a length prefix points beyond its end" };
            let why = format!("it holds {} entries, not {nominal}{torn}", entries.len());
            scanned.findings.push(Finding::BundleMalformed { path: path.display().to_string(), why });
        }
        if nominal > width {
            // A wider file than the checkpoint covers: the rest is not published yet.
            entries.truncate(width as usize);
        }
        scanned.leaves.reserve_exact(entries.len());
        leaf_hashes(entries.iter().copied(), &mut scanned.leaves);
        if !look.opaque {
            for (position, entry) in entries.iter().enumerate() {
                if let Err(why) = count(entry, look.deep, &mut self.kinds) {
                    let index = index * WIDTH + position as u64;
                    let path = path.display().to_string();
                    scanned.findings.push(Finding::EntryMalformed { index, path, why });
                }
            }
        }
        if entries.len() as u64 == WIDTH {
            self.nodes.clone_from(&scanned.leaves);
            scanned.root = complete_root(&mut self.nodes);
        }
        scanned.tile = self.compare_tile(dir, index, width, &scanned.leaves, &mut scanned.findings);
        scanned
    }

    fn compare_tile(
        &mut self,
        dir: &Path,
        index: u64,
        width: u64,
        leaves: &[Hash],
        findings: &mut Vec<Finding>,
    ) -> Tile {
        match layout::read(dir, "0", index, width, &mut self.tile) {
            Ok(Some((path, nominal))) => {
                let (hashes, rest) = self.tile.as_chunks::<HASH_BYTES>();
                if hashes.len() as u64 != nominal || !rest.is_empty() {
                    let why =
                        format!("it has {} bytes, not {}", self.tile.len(), nominal * HASH_BYTES as u64);
                    findings.push(Finding::BundleMalformed { path: path.display().to_string(), why });
                    return Tile::Unknown;
                }
                let hashes = &hashes[..width as usize];
                if hashes == leaves { Tile::Equal } else { Tile::Differs(hashes.to_vec()) }
            }
            Ok(None) => {
                let path = layout::path(dir, "0", index).display().to_string();
                let first = index * WIDTH;
                findings.push(Finding::TileMissing { path, first, last: first + width - 1 });
                Tile::Unknown
            }
            Err(finding) => {
                findings.push(finding);
                Tile::Unknown
            }
        }
    }
}

/// The entries of a bundle as far as its length prefixes hold, and whether they hold to the end.
fn split(bundle: &[u8]) -> (Vec<&[u8]>, bool) {
    let mut entries = Vec::with_capacity(WIDTH as usize);
    let mut at = 0;
    while at < bundle.len() {
        let entry = bundle.get(at..at + 2).and_then(|prefix| {
            let length = usize::from(prefix[0]) << 8 | usize::from(prefix[1]);
            bundle.get(at + 2..at + 2 + length)
        });
        let Some(entry) = entry else { return (entries, false) };
        entries.push(entry);
        at += 2 + entry.len();
    }
    (entries, true)
}

/// Counts an entry by its kind.
fn count(entry: &[u8], deep: bool, kinds: &mut Kinds) -> Result<(), String> {
    let quick = if deep { None } else { kind_by_ends(entry) };
    let parsed;
    let kind = match quick {
        Some(kind) => kind,
        None => {
            parsed = parse(entry)?;
            parsed.as_bytes()
        }
    };
    match kinds.get_mut(kind) {
        Some(count) => *count += 1,
        None => {
            kinds.insert(kind.to_vec(), 1);
        }
    }
    Ok(())
}

/// The kind of an entry in canonical form, found from its end without parsing the rest: `..,"kind":"K","subject":"S"}`.
///
/// A quote inside a JSON string has a backslash before it, so `","subject":"` never stands inside one, and its last occurrence is the
/// member of the outermost object. `None` when the ends do not look like that; the entry is then parsed.
fn kind_by_ends(entry: &[u8]) -> Option<&[u8]> {
    let inner = entry.strip_prefix(b"{\"at\":\"")?.strip_suffix(b"\"}")?;
    let before_subject = before_last(inner, b"\",\"subject\":\"")?;
    let before_kind = before_last(before_subject, b",\"kind\":\"")?;
    let kind = &before_subject[before_kind.len() + b",\"kind\":\"".len()..];
    (!kind.is_empty() && !kind.contains(&b'\\')).then_some(kind)
}

fn before_last<'a>(text: &'a [u8], member: &[u8]) -> Option<&'a [u8]> {
    let mut end = text.len();
    // Looking for a comma first makes most bytes cost one comparison; the member's own comma is its first or second byte.
    let comma = member.iter().position(|byte| *byte == b',')?;
    while let Some(at) = text[..end].iter().rposition(|byte| *byte == b',') {
        if let Some(start) = at.checked_sub(comma)
            && text[start..].starts_with(member)
        {
            return Some(&text[..start]);
        }
        end = at;
    }
    None
}

/// An entry as the checker reads it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parsed {
    #[serde(rename = "at")]
    _at: String,
    #[serde(rename = "body")]
    _body: serde_json::Value,
    #[serde(rename = "commitments")]
    _commitments: BTreeMap<String, String>,
    kind: String,
    #[serde(rename = "subject")]
    _subject: String,
}

fn parse(entry: &[u8]) -> Result<String, String> {
    let parsed: Parsed = serde_json::from_slice(entry).map_err(|error| error.to_string())?;
    if parsed.kind.is_empty() { Err("its kind is empty".to_owned()) } else { Ok(parsed.kind) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Entry;
    use serde_json::json;

    #[test]
    fn the_kind_is_found_from_the_ends_whatever_the_other_members_hold() {
        let tricky = r#"","kind":"forged","subject":"x"}"#;
        for (kind, subject, body) in [
            ("plan.made", "plan/1", json!({})),
            ("plan.made", tricky, json!({ "kind": "other", "subject": "y" })),
            ("plan.made", "", json!(tricky)),
            ("quoted\"kind", "a,b,\",", json!([{ "kind": "inner", "subject": "z" }])),
        ] {
            let entry = Entry {
                kind: kind.into(),
                at: "2026-01-31T09:30:00Z".into(),
                subject: subject.into(),
                body,
                commitments: BTreeMap::from([("subject".into(), tricky.into())]),
            };
            let bytes = entry.to_bytes().expect("a good entry");
            for deep in [false, true] {
                let mut kinds = Kinds::new();
                count(&bytes, deep, &mut kinds).expect("counted");
                assert_eq!(
                    kinds,
                    Kinds::from([(kind.as_bytes().to_vec(), 1)]),
                    "{}",
                    String::from_utf8_lossy(&bytes)
                );
            }
        }
        for bad in [&b""[..], b"{}", b"\xff", br#"{"at":"x","subject":"y"}"#] {
            assert!(count(bad, false, &mut Kinds::new()).is_err(), "{bad:?}");
        }
    }
}
