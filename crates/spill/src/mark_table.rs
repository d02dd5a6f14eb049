//! Which number a mark has: a table that is only added to.

use std::io;

use hashbrown::HashTable;

use crate::mark::Mark;
use crate::run::{Marked, Run};

/// Marks that stay in memory before they are written out as a run: 2 MB.
const YOUNG_MARKS_MAX: usize = 1 << 16;

/// A table of marks and their numbers. The youngest are in memory; the others lie in sorted runs, each at least twice as long as
/// the one after it, of which memory holds about 1.3 bytes a mark. (A log-structured merge tree without deletions: O'Neil et
/// al., 1996.)
#[derive(Debug)]
pub struct MarkTable {
    young: HashTable<Marked>,
    young_max: usize,
    /// The oldest and longest first.
    runs: Vec<Run>,
    count: usize,
}

impl Default for MarkTable {
    fn default() -> Self {
        Self::with_marks_in_memory(YOUNG_MARKS_MAX)
    }
}

impl MarkTable {
    /// A table that keeps at most so many marks in memory.
    pub fn with_marks_in_memory(young_max: usize) -> Self {
        Self { young: HashTable::new(), young_max: young_max.max(1), runs: Vec::new(), count: 0 }
    }

    /// How many marks it holds.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The number of a mark, where the table holds it.
    ///
    /// # Errors
    /// A temporary file cannot be read.
    pub fn find(&self, mark: &Mark) -> io::Result<Option<u32>> {
        if let Some(known) = self.young.find(mark.first(), |known| known.mark == *mark) {
            return Ok(Some(known.number));
        }
        for run in self.runs.iter().rev() {
            if let Some(number) = run.find(mark)? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Adds a mark that the table does not hold.
    ///
    /// # Errors
    /// A temporary file cannot be written: what was added before may be lost, and the table is of no more use.
    pub fn add(&mut self, mark: Mark, number: u32) -> io::Result<()> {
        if self.young.len() >= self.young_max {
            self.write_out()?;
        }
        self.young.insert_unique(mark.first(), Marked { mark, number }, |known| known.mark.first());
        self.count += 1;
        Ok(())
    }

    fn write_out(&mut self) -> io::Result<()> {
        let mut marks: Vec<Marked> = self.young.drain().collect();
        marks.sort_unstable_by_key(|marked| marked.mark);
        let mut newest = Run::write(marks.len(), marks.into_iter().map(Ok))?;
        while let Some(last) = self.runs.pop_if(|last| last.count < 2 * newest.count) {
            newest = Run::merge(last, newest)?;
        }
        self.runs.push(newest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::mark::Marker;

    proptest! {
        #[test]
        fn a_table_on_disk_knows_what_a_map_in_memory_knows(
            names in proptest::collection::vec(0u32..3_000, 0..3_000),
            young_max in 1usize..400,
        ) {
            let marker = Marker::default();
            let mut table = MarkTable::with_marks_in_memory(young_max);
            let mut map = HashMap::new();
            for name in names {
                let mark = marker.mark(name);
                let number = map.len() as u32;
                prop_assert_eq!(table.find(&mark)?, map.get(&name).copied());
                if let std::collections::hash_map::Entry::Vacant(vacant) = map.entry(name) {
                    vacant.insert(number);
                    table.add(mark, number)?;
                }
            }
            prop_assert_eq!(table.count(), map.len());
            for (name, number) in &map {
                prop_assert_eq!(table.find(&marker.mark(name))?, Some(*number));
            }
            for name in 3_000..4_000u32 {
                prop_assert_eq!(table.find(&marker.mark(name))?, None);
            }
        }
    }

    #[test]
    fn few_runs_hold_many_marks() {
        let marker = Marker::default();
        let mut table = MarkTable::with_marks_in_memory(16);
        for name in 0..10_000u32 {
            table.add(marker.mark(name), name).expect("a temporary file");
        }
        assert!(table.runs.len() <= 10, "{} runs", table.runs.len());
        assert!(table.runs.windows(2).all(|pair| pair[0].count >= 2 * pair[1].count));
        assert_eq!(table.find(&marker.mark(7_777u32)).expect("a temporary file"), Some(7_777));
    }
}
