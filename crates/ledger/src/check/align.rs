//! Tells changed, dropped, inserted and reordered entries apart: aligns the log's leaf hashes with those that should be there.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::path::Path;

use super::finding::{Against, Finding};
use super::layout::bundle_of;
use crate::hash::Hash;

/// How far ahead a displaced entry is looked for. A move that is farther shows as dropped and inserted until the end, where both meet.
const WINDOW: usize = 1024;

/// How many differences are kept; beyond it, they are only counted. Bounds the memory.
const DIFFERENCES_MAX: usize = 1 << 16;

/// An index with the leaf hash there.
type Place = (u64, Hash);

/// Aligns two sequences of leaf hashes as they arrive.
#[derive(Debug)]
pub struct Aligner {
    against: Against,
    reference: VecDeque<Place>,
    actual: VecDeque<Place>,
    /// Pairs that stand at the same place and differ.
    replaced: Vec<(Place, Place)>,
    missing: Vec<Place>,
    extra: Vec<Place>,
    /// First and last index that only the reference has, after the end of the log.
    beyond: Option<(u64, u64)>,
    uncounted: u64,
    /// Set when the log has ended: the hashes that stand in it where they should not.
    strays: Option<HashSet<Hash>>,
}

impl Aligner {
    /// An aligner that names `against` in its findings.
    pub fn new(against: Against) -> Self {
        Aligner {
            against,
            reference: VecDeque::new(),
            actual: VecDeque::new(),
            replaced: Vec::new(),
            missing: Vec::new(),
            extra: Vec::new(),
            beyond: None,
            uncounted: 0,
            strays: None,
        }
    }

    /// Adds stretches of both sequences. `reference` is what should be there.
    pub fn push(
        &mut self,
        reference: impl ExactSizeIterator<Item = Place>,
        actual: impl ExactSizeIterator<Item = Place>,
    ) {
        self.reference.extend(reference);
        self.actual.extend(actual);
        self.advance();
    }

    /// Whether nothing is waiting to be aligned, so that equal stretches may be left out.
    pub fn is_even(&self) -> bool {
        self.reference.is_empty() && self.actual.is_empty()
    }

    /// Says that the log has no more entries; what the reference still has is beyond its end.
    pub fn end_actual(&mut self) {
        if self.strays.is_none() {
            self.strays = Some(HashSet::new());
            self.advance();
        }
    }

    fn advance(&mut self) {
        while let (Some(&should), Some(&is)) = (self.reference.front(), self.actual.front()) {
            if should.1 == is.1 {
                self.reference.pop_front();
                self.actual.pop_front();
                continue;
            }
            if self.strays.is_none() && self.reference.len().min(self.actual.len()) < WINDOW {
                return;
            }
            let ahead =
                |places: &VecDeque<Place>, hash: &Hash| places.iter().take(WINDOW).position(|p| p.1 == *hash);
            match (ahead(&self.reference, &is.1), ahead(&self.actual, &should.1)) {
                (Some(dropped), inserted) if inserted.is_none_or(|i| dropped < i) => self.drop_front(dropped),
                (dropped, Some(inserted)) if dropped.is_none_or(|d| inserted < d) => {
                    self.insert_front(inserted)
                }
                // Neither stands ahead, or the two stand equally far ahead as after a swap.
                _ => {
                    self.reference.pop_front();
                    self.actual.pop_front();
                    if self.has_room() {
                        self.replaced.push((should, is));
                    }
                }
            }
        }
        if self.strays.is_none() {
            return;
        }
        self.insert_front(self.actual.len());
        let known = self.extra.iter().chain(self.replaced.iter().map(|(_, is)| is)).map(|place| place.1);
        let strays =
            self.strays.take().filter(|strays| !strays.is_empty()).unwrap_or_else(|| known.collect());
        while let Some(place) = self.reference.pop_front() {
            if strays.contains(&place.1) && self.has_room() {
                self.missing.push(place);
            } else {
                let first = self.beyond.map_or(place.0, |(first, _)| first);
                self.beyond = Some((first, place.0));
            }
        }
        self.strays = Some(strays);
    }

    fn has_room(&mut self) -> bool {
        let room = self.replaced.len() + self.missing.len() + self.extra.len() < DIFFERENCES_MAX;
        self.uncounted += u64::from(!room);
        room
    }

    fn drop_front(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(place) = self.reference.pop_front()
                && self.has_room()
            {
                self.missing.push(place);
            }
        }
    }

    fn insert_front(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(place) = self.actual.pop_front()
                && self.has_room()
            {
                self.extra.push(place);
            }
        }
    }

    /// The findings, once both sequences have ended. `size` is the length of the log.
    pub fn finish(mut self, dir: &Path, size: u64) -> Vec<Finding> {
        self.end_actual();
        let against = self.against;
        let mut findings = Vec::new();
        // A hash that is missing in one place and extra in another is an entry that was moved.
        let mut strays: HashMap<Hash, Vec<u64>> = HashMap::new();
        for (index, hash) in self.extra.iter().chain(self.replaced.iter().map(|(_, is)| is)).rev() {
            strays.entry(*hash).or_default().push(*index);
        }
        let mut moved_to = BTreeSet::new();
        let mut moved = |place: &Place, findings: &mut Vec<Finding>| -> bool {
            let Some(found_at) = strays.get_mut(&place.1).and_then(Vec::pop) else { return false };
            moved_to.insert(found_at);
            let path = bundle_of(dir, found_at);
            findings.push(Finding::EntryReordered { index: place.0, found_at, path, against });
            true
        };
        let mut dropped = Vec::new();
        let mut inserted = Vec::new();
        let missing = std::mem::take(&mut self.missing);
        dropped.extend(missing.iter().filter(|place| !moved(place, &mut findings)).map(|place| place.0));
        let stayed: Vec<bool> =
            self.replaced.iter().map(|(should, _)| !moved(should, &mut findings)).collect();
        for ((should, is), stayed) in self.replaced.iter().zip(stayed) {
            match (stayed, moved_to.contains(&is.0)) {
                (true, false) => {
                    let path = bundle_of(dir, is.0);
                    findings.push(Finding::EntryChanged { index: should.0, path, against });
                }
                (true, true) => dropped.push(should.0),
                (false, false) => inserted.push(is.0),
                (false, true) => {}
            }
        }
        inserted.extend(self.extra.iter().map(|place| place.0).filter(|index| !moved_to.contains(index)));
        for (first, last) in ranges(dropped) {
            findings.push(Finding::EntryDropped { first, last, against });
        }
        for (first, last) in ranges(inserted) {
            findings.push(Finding::EntryInserted { first, last, path: bundle_of(dir, first), against });
        }
        if let Some((_, last)) = self.beyond {
            findings.push(Finding::Truncated { size, expected: last + 1, against });
        }
        if self.uncounted > 0 {
            findings.push(Finding::Omitted { count: self.uncounted });
        }
        findings
    }
}

/// Neighbouring indexes as ranges.
fn ranges(mut indexes: Vec<u64>) -> Vec<(u64, u64)> {
    indexes.sort_unstable();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for index in indexes {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => ranges.push((index, index)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(values: &[u8]) -> std::vec::IntoIter<Place> {
        let places: Vec<Place> = values.iter().enumerate().map(|(i, v)| (i as u64, [*v; 32])).collect();
        places.into_iter()
    }

    fn align(should: &[u8], is: &[u8]) -> Vec<String> {
        let mut aligner = Aligner::new(Against::DatabaseRows);
        aligner.push(places(should), places(is));
        let findings = aligner.finish(Path::new("log"), is.len() as u64);
        findings.iter().map(|finding| finding.to_string().replace(" (log/tile/entries/000)", "")).collect()
    }

    #[test]
    fn differences_have_their_names() {
        let cases: [(&[u8], &[u8], &[&str]); 8] = [
            (&[1, 2, 3], &[1, 2, 3], &[]),
            (&[1, 2, 3], &[1, 9, 3], &["entry changed: index 1"]),
            (
                &[1, 2, 3, 4],
                &[1, 4],
                &["entries dropped: index 1 to 2, by the database rows, are not in the log"],
            ),
            (&[1, 2, 3], &[1, 8, 9, 2, 3], &["entries inserted: index 1 to 2"]),
            (
                &[1, 2, 3, 4],
                &[1, 3, 2, 4],
                &[
                    "entry reordered: index 1, by the database rows, stands at index 2",
                    "entry reordered: index 2, by the database rows, stands at index 1",
                ],
            ),
            (
                &[1, 2, 3, 4],
                &[4, 1, 2, 3],
                &["entry reordered: index 3, by the database rows, stands at index 0"],
            ),
            (&[1, 2, 3, 4], &[1, 2], &["truncated: the log has 2 entries, the database rows shows 4"]),
            (&[1, 2], &[1, 2, 7], &["entries inserted: index 2 to 2"]),
        ];
        for (should, is, expected) in cases {
            let found = align(should, is);
            let same =
                found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f.starts_with(e));
            assert!(same, "{should:?} against {is:?}: {found:#?}");
        }
    }
}
