//! The independent checker: derives the whole log again from its raw entries and says what is wrong, and where.
//!
//! It shares the leaf and node hash and the public key with the writer, and nothing else: paths, tree and notes are read by code of its
//! own. It reads each file once, in order, and keeps a few hundred bundles in memory at a time.

mod align;
mod finding;
mod layout;
mod note;
mod scan;
mod spine;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

pub use finding::{Against, Finding};

use crate::checkpoint::VerifyingKey;
use crate::hash::{Hash, leaf_hashes};
use align::Aligner;
use layout::WIDTH;
use note::{Claim, Standing};
use scan::{Kinds, Look, Scanned, Scanner, Tile};
use spine::{Spine, Uppers};

/// Bundles that one thread reads before the results are put together.
const BUNDLES_PER_THREAD: u64 = 32;

/// How many kept checkpoints are compared, evenly spread, when there are more.
const HISTORY_MAX: usize = 1024;

/// What a check may use beside the log itself.
pub struct Options<'a> {
    /// An older signed checkpoint that the auditor kept. Without one, a log that was rewritten and signed anew by the key's owner cannot
    /// be told from an honest one.
    pub trusted: Option<String>,
    /// The entries as the database has them, by index, in order. More of them than the log has counts as a truncated log, so leave out
    /// what is not published yet.
    pub expected_entries: Option<&'a mut dyn Iterator<Item = (u64, Vec<u8>)>>,
    /// Entries are arbitrary bytes: none is malformed, and none is counted by kind.
    pub opaque_entries: bool,
    /// Parse every entry as a whole. Without it, an entry is recognised by its first and last members.
    pub deep_entries: bool,
    /// Threads that read and hash; `None` for as many as there are processors.
    pub threads: Option<usize>,
    /// The most findings to report; the rest is counted.
    pub findings_max: usize,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            trusted: None,
            expected_entries: None,
            opaque_entries: false,
            deep_entries: false,
            threads: None,
            findings_max: 1000,
        }
    }
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The log's identity, as its checkpoint says.
    pub origin: String,
    /// How many entries the checkpoint covers.
    pub size: u64,
    /// The root that follows from the entries, in hexadecimal; `None` when entries are missing.
    pub root: Option<String>,
    /// How many older checkpoints were compared with the entries, the trusted one included.
    pub checkpoints_compared: usize,
    /// How many entries there are of each kind.
    pub entries_by_kind: BTreeMap<String, u64>,
    /// Everything that is wrong. Empty for a good log.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Checks the log in `dir` against the auditor's key. Never stops early: whatever can be said of a damaged log is said.
pub fn check(dir: impl AsRef<Path>, key: &VerifyingKey, options: Options<'_>) -> Report {
    let dir = dir.as_ref();
    let findings_max = options.findings_max;
    let mut report = run(dir, key, options);
    let left_out = report.findings.len().saturating_sub(findings_max) as u64;
    if left_out > 0 {
        report.findings.truncate(findings_max);
        report.findings.push(Finding::Omitted { count: left_out });
    }
    report
}

fn run(dir: &Path, key: &VerifyingKey, options: Options<'_>) -> Report {
    let mut findings = Vec::new();
    // The history is listed before the checkpoint is read: a log that is written meanwhile then never looks as if it had shrunk.
    let history = layout::history_sizes(dir);
    let claim = read_claim(dir, key, &mut findings);
    let trusted =
        options.trusted.as_ref().and_then(|text| read_trusted(text, key, claim.as_ref(), &mut findings));
    let Some(claim) = claim else {
        let origin = String::new();
        let (root, entries_by_kind) = (None, BTreeMap::new());
        return Report { origin, size: 0, root, checkpoints_compared: 0, entries_by_kind, findings };
    };
    let marks = marks(dir, &claim, trusted, &history, key, &mut findings);
    let checkpoints_compared = marks.len();
    let threads =
        options.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let look = Look { opaque: options.opaque_entries, deep: options.deep_entries };
    let mut pass = Pass::new(dir, &claim, marks, options.expected_entries);
    pass.findings = findings;
    pass.run(look, threads.max(1) as u64);
    let root = pass.complete.then(|| hex::encode(pass.spine_root()));
    let kinds = std::mem::take(&mut pass.kinds);
    let entries_by_kind =
        kinds.into_iter().map(|(k, n)| (String::from_utf8_lossy(&k).into_owned(), n)).collect();
    let findings = pass.finish();
    Report { origin: claim.origin, size: claim.size, root, checkpoints_compared, entries_by_kind, findings }
}

fn read_claim(dir: &Path, key: &VerifyingKey, findings: &mut Vec<Finding>) -> Option<Claim> {
    let path = dir.join("checkpoint");
    let mut text = Vec::new();
    let place = path.display().to_string();
    let read = layout::read_into(&path, &mut text).and_then(|present| {
        if present {
            note::read(&text, &place, key)
        } else {
            Err(Finding::CheckpointMissing { path: place.clone() })
        }
    });
    match read {
        Ok((claim, standing)) => {
            findings.extend(doubt(standing, place, key));
            Some(claim)
        }
        Err(finding) => {
            findings.push(finding);
            None
        }
    }
}

fn doubt(standing: Standing, path: String, key: &VerifyingKey) -> Option<Finding> {
    let name = format!("{}+{}", key.name(), hex::encode(key.id()));
    match standing {
        Standing::Signed => None,
        Standing::OtherKey(found) => Some(Finding::OtherKey { path, expected: name, found }),
        Standing::Bad => Some(Finding::BadSignature { path, key: name }),
    }
}

/// The trusted checkpoint. The auditor vouches for it, so a signature of an older key will do, but not a wrong one of this key.
fn read_trusted(
    text: &str,
    key: &VerifyingKey,
    log: Option<&Claim>,
    findings: &mut Vec<Finding>,
) -> Option<Claim> {
    let place = "the trusted checkpoint".to_owned();
    match note::read(text.as_bytes(), &place, key) {
        Ok((claim, standing)) => {
            if let Standing::Bad = standing {
                findings.extend(doubt(standing, place, key));
                return None;
            }
            if let Some(log) = log.filter(|log| log.origin != claim.origin) {
                let (expected, found) = (claim.origin.clone(), log.origin.clone());
                findings.push(Finding::OriginDiffers { expected, found });
            }
            Some(claim)
        }
        Err(finding) => {
            findings.push(finding);
            None
        }
    }
}

/// A size at which the root is known from elsewhere.
struct Mark {
    size: u64,
    root: Hash,
    against: Against,
}

fn marks(
    dir: &Path,
    claim: &Claim,
    trusted: Option<Claim>,
    history: &[u64],
    key: &VerifyingKey,
    findings: &mut Vec<Finding>,
) -> VecDeque<Mark> {
    let mut marks = Vec::new();
    let beyond = |size: u64, against| {
        (size > claim.size).then_some(Finding::Truncated { size: claim.size, expected: size, against })
    };
    if let Some(trusted) = trusted {
        match beyond(trusted.size, Against::TrustedCheckpoint) {
            Some(finding) => findings.push(finding),
            None => marks.push(Mark {
                size: trusted.size,
                root: trusted.root,
                against: Against::TrustedCheckpoint,
            }),
        }
    }
    findings.extend(history.last().and_then(|size| beyond(*size, Against::PublishedCheckpoint)));
    let within: Vec<u64> = history.iter().copied().filter(|size| *size <= claim.size).collect();
    let stride = within.len().div_ceil(HISTORY_MAX).max(1);
    let mut text = Vec::new();
    for size in within.into_iter().rev().step_by(stride) {
        let path = dir.join("checkpoints").join(size.to_string());
        let place = path.display().to_string();
        match layout::read_into(&path, &mut text).and_then(|_| note::read(&text, &place, key)) {
            Ok((kept, _)) if kept.size == size => {
                marks.push(Mark { size, root: kept.root, against: Against::PublishedCheckpoint });
            }
            Ok((kept, _)) => {
                let why = format!("it is kept for {size} entries, but says {}", kept.size);
                findings.push(Finding::CheckpointMalformed { path: place, why });
            }
            Err(finding) => findings.push(finding),
        }
    }
    marks.sort_by_key(|mark| mark.size);
    marks.into()
}

/// One pass over the bundles, in order.
struct Pass<'a> {
    dir: PathBuf,
    claim: Claim,
    marks: VecDeque<Mark>,
    rows: Option<Rows<'a>>,
    findings: Vec<Finding>,
    kinds: Kinds,
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
    complete: bool,
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
    fn new(
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

    fn spine_root(&self) -> Hash {
        self.spine.root_with(&self.last)
    }

    fn run(&mut self, look: Look, threads: u64) {
        let bundles = self.claim.size.div_ceil(WIDTH);
        let mut next = 0;
        self.compare_marks(0, &[]);
        'chunks: while next < bundles {
            let end = bundles.min(next.saturating_add(threads * BUNDLES_PER_THREAD));
            let (scanned, mut kinds) = self.scan_chunk(next, end, threads, look);
            if let Some(gap) = scanned.iter().find(|bundle| !bundle.present) {
                // What stands behind the gap is scanned again after it; counting it now would count it twice.
                kinds = self.scan_chunk(next, gap.index, threads, look).1;
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

    /// Scans bundles up to the first that is missing, in several threads.
    fn scan_chunk(&self, first: u64, end: u64, threads: u64, look: Look) -> (Vec<Scanned>, Kinds) {
        // The rows of the database stay with this thread, so the others get only what they need.
        let (dir, size) = (self.dir.as_path(), self.claim.size);
        let part = |from: u64, to: u64| {
            let mut scanner = Scanner::default();
            let scanned: Vec<Scanned> =
                (from..to).map(|index| scanner.scan(dir, index, width(size, index), look)).collect();
            (scanned, scanner.kinds)
        };
        let share = (end - first).div_ceil(threads).max(1);
        let starts: Vec<u64> = (first..end).step_by(share as usize).collect();
        if starts.len() < 2 {
            return part(first, end);
        }
        std::thread::scope(|scope| {
            let part = &part;
            let handles: Vec<_> =
                starts.iter().map(|&from| scope.spawn(move || part(from, end.min(from + share)))).collect();
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

    fn finish(mut self) -> Vec<Finding> {
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
            if self.complete && !(tiles_as_signed && !named.is_empty()) {
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
