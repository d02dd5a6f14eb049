//! The pass over the bundles: reads them in order, derives the tree, and compares it with everything that is known.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::align::Aligner;
use super::finding::{Against, Finding};
use super::layout::{self, WIDTH};
use super::note::Claim;
use super::scan::{Kinds, Look, Scanned, Scanner, Tile};
use super::spine::{Spine, Uppers};
use crate::hash::{Hash, leaf_hashes};

/// Bundles that one thread reads before the results are put together.
const BUNDLES_PER_THREAD: u64 = 32;

/// A size at which the root is known from elsewhere.
pub struct Mark {
    /// The size.
    pub size: u64,
    /// The root there.
    pub root: Hash,
    /// Where it is known from.
    pub against: Against,
}

/// One pass over the bundles, in order.
pub struct Pass<'a> {
    dir: PathBuf,
    claim: Claim,
    marks: VecDeque<Mark>,
    rows: Option<Rows<'a>>,
    /// What was found so far.
    pub findings: Vec<Finding>,
    /// The entries by kind.
    pub kinds: Kinds,
    /// The tree of the entries.
    spine: Spine,
    /// Leaf hashes of the last, not full bundle.
    last: Vec<Hash>,
    /// The tree of the hash tiles of level 0, with the leaves of the last one.
    tiles: Spine,
    tiles_last: Vec<Hash>,
    tiles_complete: bool,
    uppers: Uppers,
    by_tiles: Aligner,
    /// Bundles whose hash tile differs.
    differing: Vec<u64>,
    /// Whether every entry so far was there, so that roots follow.
    pub complete: bool,
    /// The largest size whose root is known to agree with a checkpoint.
    agreed: u64,
    rewritten: Vec<Finding>,
}

/// The database rows and their alignment.
struct Rows<'a> {
    rows: std::iter::Peekable<&'a mut dyn Iterator<Item = (u64, Vec<u8>)>>,
    aligner: Aligner,
}

impl Rows<'_> {
    /// Takes the rows below `end`, at most `WIDTH`, and hashes them.
    fn take_below(&mut self, end: u64) -> Vec<(u64, Hash)> {
        let mut rows = Vec::new();
        while rows.len() < WIDTH as usize {
            let Some(row) = self.rows.next_if(|(index, _)| *index < end) else { break };
            rows.push(row);
        }
        let mut hashes = Vec::with_capacity(rows.len());
        leaf_hashes(rows.iter().map(|(_, bytes)| bytes.as_slice()), &mut hashes);
        rows.iter().map(|(index, _)| *index).zip(hashes).collect()
    }
}

impl<'a> Pass<'a> {
    /// A pass that compares with these checkpoints and rows.
    pub fn new(
        dir: &Path,
        claim: &Claim,
        marks: VecDeque<Mark>,
        rows: Option<&'a mut dyn Iterator<Item = (u64, Vec<u8>)>>,
    ) -> Self {
        let rows =
            rows.map(|rows| Rows { rows: rows.peekable(), aligner: Aligner::new(Against::DatabaseRows) });
        Pass {
            dir: dir.to_owned(),
            claim: claim.clone(),
            marks,
            rows,
            findings: Vec::new(),
            kinds: Kinds::new(),
            spine: Spine::default(),
            last: Vec::new(),
            tiles: Spine::default(),
            tiles_last: Vec::new(),
            tiles_complete: true,
            uppers: Uppers::default(),
            by_tiles: Aligner::new(Against::HashTiles),
            differing: Vec::new(),
            complete: true,
            agreed: 0,
            rewritten: Vec::new(),
        }
    }

    /// The root of the entries that were there.
    pub fn spine_root(&self) -> Hash {
        self.spine.root_with(&self.last)
    }

    /// Reads everything.
    pub fn run(&mut self, look: Look, threads: u64) {
        let bundles = self.claim.size.div_ceil(WIDTH);
        let mut scanners: Vec<Scanner> = (0..threads).map(|_| Scanner::default()).collect();
        let mut next = 0;
        self.compare_marks(0, &[]);
        'chunks: while next < bundles {
            let end = bundles.min(next.saturating_add(threads * BUNDLES_PER_THREAD));
            let (scanned, mut kinds) = self.scan_chunk(next, end, &mut scanners, look);
            if let Some(gap) = scanned.iter().find(|bundle| !bundle.present) {
                // What stands behind the gap is scanned again after it; counting it now would count it twice.
                kinds = self.scan_chunk(next, gap.index, &mut scanners, look).1;
            }
            for (kind, count) in kinds {
                *self.kinds.entry(kind).or_insert(0) += count;
            }
            for bundle in scanned {
                if !bundle.present {
                    match self.gap(bundle.index) {
                        Some(index) if index < bundles => next = index,
                        _ => break 'chunks,
                    }
                    continue 'chunks;
                }
                self.take(bundle);
            }
            next = end;
        }
    }

    /// Scans bundles, each scanner a share of them in a thread of its own.
    fn scan_chunk(
        &self,
        first: u64,
        end: u64,
        scanners: &mut [Scanner],
        look: Look,
    ) -> (Vec<Scanned>, Kinds) {
        // The rows of the database stay with this thread, so the others get only what they need.
        let (dir, size) = (self.dir.as_path(), self.claim.size);
        let part = |scanner: &mut Scanner, from: u64, to: u64| -> (Vec<Scanned>, Kinds) {
            let scanned =
                (from..to).map(|index| scanner.scan(dir, index, width(size, index), look)).collect();
            (scanned, std::mem::take(&mut scanner.kinds))
        };
        let share = (end - first).div_ceil(scanners.len() as u64).max(1);
        if let [scanner, ..] = scanners
            && share == end - first
        {
            return part(scanner, first, end);
        }
        std::thread::scope(|scope| {
            let part = &part;
            let starts = (first..end).step_by(share as usize);
            let handles: Vec<_> = starts
                .zip(scanners)
                .map(|(from, scanner)| scope.spawn(move || part(scanner, from, end.min(from + share))))
                .collect();
            let mut all = (Vec::new(), Kinds::new());
            for handle in handles {
                let (scanned, kinds) = handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                all.0.extend(scanned);
                for (kind, count) in kinds {
                    *all.1.entry(kind).or_insert(0) += count;
                }
            }
            all
        })
    }

    /// Names a gap in the bundles. Returns the next bundle that is there.
    fn gap(&mut self, index: u64) -> Option<u64> {
        self.complete = false;
        self.tiles_complete = false;
        let first = index * WIDTH;
        let next =
            layout::next_bundle(&self.dir, index).filter(|next| *next < self.claim.size.div_ceil(WIDTH));
        let Some(next) = next else {
            let against = Against::PublishedCheckpoint;
            self.findings.push(Finding::Truncated { size: first, expected: self.claim.size, against });
            return None;
        };
        let path = layout::path(&self.dir, "entries", index).display().to_string();
        self.findings.push(Finding::TileMissing { path, first, last: next * WIDTH - 1 });
        if let Some(rows) = &mut self.rows {
            while !rows.take_below(next * WIDTH).is_empty() {}
        }
        Some(next)
    }

    fn take(&mut self, mut bundle: Scanned) {
        let (first, width) = (bundle.index * WIDTH, width(self.claim.size, bundle.index));
        self.findings.append(&mut bundle.findings);
        self.align_tiles(&bundle, first, width);
        if let Some(rows) = &mut self.rows {
            let expected = rows.take_below(first + width);
            let equal = expected.len() == bundle.leaves.len()
                && rows.aligner.is_even()
                && expected.iter().zip(first..).all(|((index, _), at)| *index == at)
                && expected.iter().map(|(_, hash)| hash).eq(&bundle.leaves);
            if !equal {
                rows.aligner.push(expected.into_iter(), placed(first, &bundle.leaves).into_iter());
            }
        }
        if bundle.leaves.len() as u64 != width {
            self.complete = false;
        }
        if !self.complete {
            return;
        }
        self.compare_marks(first, &bundle.leaves);
        match bundle.root {
            Some(root) if width == WIDTH => {
                self.spine.push(8, root);
                self.uppers.push(&self.dir, root, &mut self.findings);
            }
            _ => self.last = bundle.leaves,
        }
    }

    fn align_tiles(&mut self, bundle: &Scanned, first: u64, width: u64) {
        let hashes = match &bundle.tile {
            Tile::Equal => &bundle.leaves,
            Tile::Differs(hashes) => {
                self.differing.push(bundle.index);
                hashes
            }
            Tile::Unknown => {
                // What the entries should be is not known here. Taking them as they are keeps what follows aligned.
                self.tiles_complete = false;
                &bundle.leaves
            }
        };
        if !(matches!(bundle.tile, Tile::Equal | Tile::Unknown) && self.by_tiles.is_even()) {
            self.by_tiles.push(placed(first, hashes).into_iter(), placed(first, &bundle.leaves).into_iter());
        }
        if !self.tiles_complete {
            return;
        }
        match (width == WIDTH, &bundle.tile, bundle.root) {
            (true, Tile::Equal, Some(root)) => self.tiles.push(8, root),
            (true, ..) => {
                let root = crate::hash::complete_root(&mut hashes.clone());
                self.tiles_complete = root.is_some();
                self.tiles.push(8, root.unwrap_or_default());
            }
            (false, ..) => self.tiles_last.clone_from(hashes),
        }
    }

    /// Compares the checkpoints whose size falls into a bundle that begins at `first` and has these leaves.
    fn compare_marks(&mut self, first: u64, leaves: &[Hash]) {
        let end = first + leaves.len() as u64;
        while let Some(mark) = self.marks.front().filter(|mark| mark.size <= end) {
            let root = self.spine.root_with(&leaves[..(mark.size - first) as usize]);
            if root == mark.root {
                self.agreed = mark.size;
            } else {
                let (size, after, against) = (mark.size, self.agreed, mark.against);
                self.rewritten.push(Finding::HistoryRewritten { size, after, against });
            }
            self.marks.pop_front();
        }
    }

    /// What is wrong, once everything was read.
    pub fn finish(mut self) -> Vec<Finding> {
        let root = self.spine_root();
        let as_signed = self.complete && root == self.claim.root;
        if self.complete {
            self.uppers.finish(&self.dir, &mut self.findings);
        }
        if as_signed {
            // The entries are what was signed, so it is the tiles that were changed.
            for index in &self.differing {
                let path = layout::path(&self.dir, "0", *index).display().to_string();
                let (first, width) = (index * WIDTH, width(self.claim.size, *index));
                self.findings.push(Finding::TileDiffers { path, first, last: first + width - 1 });
            }
        } else {
            let tiles_root = self.tiles.root_with(&self.tiles_last);
            let tiles_as_signed = self.tiles_complete && tiles_root == self.claim.root;
            let mut named = self.by_tiles.finish(&self.dir, self.claim.size);
            // When the tiles are not what was signed either, they say where both differ, but not the whole difference.
            let explained = tiles_as_signed && !named.is_empty();
            if self.complete && !explained {
                let (signed, derived) = (hex::encode(self.claim.root), hex::encode(root));
                named.push(Finding::RootDiffers { size: self.claim.size, signed, derived });
            }
            self.findings.append(&mut named);
        }
        // Where the log contradicts its own checkpoint, its older ones only repeat it; what the auditor trusts is always compared.
        let by_trusted =
            |f: &Finding| matches!(f, Finding::HistoryRewritten { against: Against::TrustedCheckpoint, .. });
        let mut first_of_log = as_signed;
        for finding in self.rewritten {
            if by_trusted(&finding) || std::mem::take(&mut first_of_log) {
                self.findings.push(finding);
            }
        }
        if let Some(mut rows) = self.rows {
            rows.aligner.end_actual();
            loop {
                let more = rows.take_below(u64::MAX);
                if more.is_empty() {
                    break;
                }
                rows.aligner.push(more.into_iter(), Vec::new().into_iter());
            }
            self.findings.append(&mut rows.aligner.finish(&self.dir, self.claim.size));
        }
        self.findings
    }
}

/// How many entries of a bundle a checkpoint of `size` entries covers.
fn width(size: u64, bundle: u64) -> u64 {
    (size - bundle * WIDTH).min(WIDTH)
}

/// Hashes with their indexes.
fn placed(first: u64, hashes: &[Hash]) -> Vec<(u64, Hash)> {
    (first..).zip(hashes.iter().copied()).collect()
}
