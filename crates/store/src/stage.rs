//! What an enumeration has told so far: in memory up to a bound, beyond that in staging tables that nobody else reads.

use crate::db::{Tx, execute, execute_rows, fetch_all};
use crate::dictionary::Digest;
use crate::error::{Result, StoreError};
use crate::pair::{self, Pair, StagedPair};

/// Pairs in one page of a run, which is what a merge holds of each run: 100 kB, and a hundred million grants are 300 runs.
const PAGE_PAIRS: usize = 1 << 12;

/// What holds what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    /// An account holds an entitlement.
    Grant,
    /// An entitlement carries another.
    Containment,
}

impl Relation {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Containment => "containment",
        }
    }
}

/// The pairs of one relation.
#[derive(Debug)]
pub(crate) struct PairStage {
    relation: Relation,
    pairs: Vec<StagedPair>,
    qualifier_bytes: usize,
    pages_of_runs: Vec<i64>,
}

impl PairStage {
    pub(crate) fn new(relation: Relation) -> Self {
        Self { relation, pairs: Vec::new(), qualifier_bytes: 0, pages_of_runs: Vec::new() }
    }

    pub(crate) fn push(&mut self, pair: Pair, qualifier: Option<String>) {
        self.qualifier_bytes += qualifier.as_ref().map_or(0, String::len);
        self.pairs.push(StagedPair { pair, qualifier: qualifier.map(String::into_boxed_str) });
    }

    /// Whether memory for `bytes_max` bytes is used up.
    pub(crate) fn is_full(&self, bytes_max: usize) -> bool {
        let bytes = self.pairs.len() * size_of::<StagedPair>() + self.qualifier_bytes;
        !self.pairs.is_empty() && bytes >= bytes_max
    }

    /// Whether nothing was told.
    pub(crate) fn is_empty(&self) -> bool {
        self.pairs.is_empty() && self.pages_of_runs.is_empty()
    }

    /// Writes what is held in memory out as one more sorted run.
    pub(crate) async fn spill(&mut self, tx: &mut Tx, system: i64) -> Result<()> {
        pair::sort(&mut self.pairs);
        let run = self.pages_of_runs.len() as i64;
        let mut pages = 0i64;
        for page in self.pairs.chunks(PAGE_PAIRS) {
            execute!(
                tx,
                "INSERT INTO stage_run (system, relation, run, page, bytes) VALUES ($1, $2, $3, $4, $5)",
                system,
                self.relation.as_str(),
                run,
                pages,
                pair::encode(page)
            )?;
            pages += 1;
        }
        self.pages_of_runs.push(pages);
        self.pairs.clear();
        self.qualifier_bytes = 0;
        Ok(())
    }

    /// Begins to read everything back, in the order of pairs.
    pub(crate) fn merge(mut self, system: i64) -> PairMerge {
        pair::sort(&mut self.pairs);
        let mut runs: Vec<Run> = self
            .pages_of_runs
            .iter()
            .map(|&pages| Run { pages, page_next: 0, pairs: Vec::new().into_iter().peekable() })
            .collect();
        runs.push(Run { pages: 0, page_next: 0, pairs: self.pairs.into_iter().peekable() });
        PairMerge { system, relation: self.relation, runs }
    }
}

/// One sorted run that is being read back, page by page.
#[derive(Debug)]
struct Run {
    pages: i64,
    page_next: i64,
    pairs: std::iter::Peekable<std::vec::IntoIter<StagedPair>>,
}

/// All runs of one relation that are being read back.
#[derive(Debug)]
pub(crate) struct PairMerge {
    system: i64,
    relation: Relation,
    runs: Vec<Run>,
}

impl PairMerge {
    /// The pairs whose holder is below `end` and that were not given yet, sorted; equal pairs in order of arrival.
    pub(crate) async fn below(&mut self, tx: &mut Tx, end: u32) -> Result<Vec<StagedPair>> {
        let mut below = Vec::new();
        for (number, run) in self.runs.iter_mut().enumerate() {
            loop {
                while let Some(staged) = run.pairs.next_if(|staged| staged.pair.holder < end) {
                    below.push(staged);
                }
                if run.pairs.peek().is_some() || run.page_next == run.pages {
                    break;
                }
                let page = fetch_all!(
                    tx,
                    (Vec<u8>,),
                    "SELECT bytes FROM stage_run WHERE system = $1 AND relation = $2 AND run = $3 AND page = $4",
                    self.system,
                    self.relation.as_str(),
                    number as i64,
                    run.page_next
                )?;
                // A page that is gone must not pass for grants that ended.
                let [(bytes,)] = &page[..] else {
                    return Err(StoreError::corrupt("an enumeration's staged pairs", "a page is missing"));
                };
                run.pairs = pair::decode(bytes)?.into_iter().peekable();
                run.page_next += 1;
            }
        }
        pair::sort(&mut below);
        Ok(below)
    }
}

/// States and owners that differ from what the store holds.
#[derive(Debug, Default)]
pub(crate) struct StateStage {
    rows: Vec<(u32, &'static str, String, String)>,
    bytes: usize,
    /// How many were written to the staging table.
    staged: u64,
}

impl StateStage {
    pub(crate) fn push(&mut self, object: u32, aspect: &'static str, body: String, digest: Digest) {
        self.bytes += body.len() + 64;
        self.rows.push((object, aspect, body, digest.to_text()));
    }

    /// Whether memory for `bytes_max` bytes is used up.
    pub(crate) fn is_full(&self, bytes_max: usize) -> bool {
        !self.rows.is_empty() && self.bytes >= bytes_max
    }

    pub(crate) async fn spill(&mut self, tx: &mut Tx, system: i64) -> Result<()> {
        if !self.rows.is_empty() {
            self.staged += execute_rows!(
                tx,
                &self.rows,
                "INSERT INTO stage_state (system, object, aspect, body, digest)
                 SELECT $2, CAST(value->>0 AS BIGINT), value->>1, value->>2, value->>3 FROM ",
                "",
                system
            )?;
        }
        self.rows.clear();
        self.bytes = 0;
        Ok(())
    }

    /// How many states the staging table must hold.
    pub(crate) fn staged(&self) -> u64 {
        self.staged
    }
}

/// Writes names that the store does not have yet.
pub(crate) async fn write_names(
    tx: &mut Tx,
    system: i64,
    names: &mut Vec<(u32, &'static str, Box<str>)>,
) -> Result<()> {
    for rows in names.chunks(20_000) {
        execute_rows!(
            tx,
            rows,
            "INSERT INTO object (system, id, class, key)
             SELECT $2, CAST(value->>0 AS BIGINT), value->>1, value->>2 FROM ",
            "",
            system
        )?;
    }
    names.clear();
    Ok(())
}

/// Removes what an enumeration of this system left in the staging tables.
pub(crate) async fn clear(tx: &mut Tx, system: i64) -> Result<()> {
    execute!(tx, "DELETE FROM stage_state WHERE system = $1", system)?;
    execute!(tx, "DELETE FROM stage_run WHERE system = $1", system)?;
    Ok(())
}
