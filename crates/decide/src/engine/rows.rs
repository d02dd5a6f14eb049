//! Compressed sparse rows with copy-on-write patches: the storage of grants, assignments, explicit reasons and roles.

use super::bits::{BitSet, PairMap};
use super::pairs::Groups;
use super::{EngineError, small_sort};

/// Where a patched row lives in the arena.
#[derive(Clone, Copy, Debug)]
struct Patch {
    row: u32,
    start: u32,
    len: u32,
    room: u32,
}

/// Where a row lies in the base.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
}

/// Rows of `T` by dense index. A row is edited in place while its room lasts and is moved into an arena when it does not,
/// where `patches` finds it; reading a row that was not moved costs one bit test more than plain sparse rows. The bits are
/// a second, small answer to what `patch_of` knows, because a full pass asks them of every row.
#[derive(Clone, Debug)]
pub(crate) struct Rows<T> {
    /// Start and end of each row's values, side by side because a random question would otherwise miss the cache twice.
    /// The row's room ends where the next row starts; one entry more stands for the end of the last.
    spans: Vec<Span>,
    values: Vec<T>,
    /// Rows that changed since the last compaction, in place or by a patch.
    changed: BitSet,
    patched: BitSet,
    /// Number of the patch of each patched row.
    patch_of: PairMap<u32, u32>,
    patches: Vec<Patch>,
    arena: Vec<T>,
    arena_unused: usize,
}

/// Room that a row of grants gets beside its values: one change in a hundred grants then finds room where it is.
fn spare(len: u32) -> u32 {
    1 + len / 32
}

impl Rows<u32> {
    /// Rows of the values in `groups`, each sorted and without duplicates. `place` says where a row of the groups lies in
    /// the result. Each row gets some room to grow in.
    pub(crate) fn from_groups(
        what: &'static str,
        row_count: usize,
        groups: &Groups,
        place: impl Fn(u32) -> u32,
    ) -> Result<Self, EngineError> {
        let place = |row: usize| place(row as u32) as usize;
        let mut counts = vec![0u32; row_count];
        for group in 0..groups.len() {
            groups.for_each_row(group, |row| counts[place(row)] += 1);
        }
        let mut rows = Rows::with_room(counts, what, spare)?;
        for group in 0..groups.len() {
            groups.for_each(group, |row, value| {
                let end = &mut rows.spans[place(row)].end;
                rows.values[*end as usize] = value;
                *end += 1;
            });
            // While the group is still in the cache.
            for row in groups.rows(group) {
                let Span { start, end } = &mut rows.spans[place(row)];
                let len = small_sort::sort_and_dedup(&mut rows.values[*start as usize..*end as usize]);
                *end = *start + len as u32;
            }
        }
        Ok(rows)
    }
}

impl<T: Copy + Ord + Default> Rows<T> {
    /// Groups `(row, value)` pairs by counting sort, each row sorted and without duplicates.
    ///
    /// The pairs are walked twice, so no second copy of them is needed beside the result.
    pub(crate) fn group<I>(
        row_count: usize,
        what: &'static str,
        pairs: impl Fn() -> I,
    ) -> Result<Self, EngineError>
    where
        I: Iterator<Item = (u32, T)>,
    {
        let mut counts = vec![0u32; row_count];
        for (row, _) in pairs() {
            counts[row as usize] += 1;
        }
        let mut rows = Rows::with_room(counts, what, |_| 0)?;
        for (row, value) in pairs() {
            let end = &mut rows.spans[row as usize].end;
            rows.values[*end as usize] = value;
            *end += 1;
        }
        rows.sort_and_dedup();
        Ok(rows)
    }

    /// Empty rows with room for these counts and as much more as `spare` says.
    fn with_room(
        counts: Vec<u32>,
        what: &'static str,
        spare: impl Fn(u32) -> u32,
    ) -> Result<Self, EngineError> {
        let mut spans = Vec::with_capacity(counts.len() + 1);
        let mut sum = 0u64;
        for count in counts {
            spans.push(Span { start: sum as u32, end: sum as u32 });
            sum += u64::from(count) + u64::from(spare(count));
        }
        let limit = u64::from(u32::MAX) - 1;
        if sum > limit {
            return Err(EngineError::TooMany { what, count: sum, limit });
        }
        spans.push(Span { start: sum as u32, end: sum as u32 });
        Ok(Rows {
            spans,
            values: vec![T::default(); sum as usize],
            changed: BitSet::default(),
            patched: BitSet::default(),
            patch_of: PairMap::default(),
            patches: Vec::new(),
            arena: Vec::new(),
            arena_unused: 0,
        })
    }

    fn sort_and_dedup(&mut self) {
        for row in 0..self.len() {
            let values = &mut self.values[self.spans[row].start as usize..self.spans[row].end as usize];
            values.sort_unstable();
            let mut len = usize::from(!values.is_empty());
            for read in 1..values.len() {
                if values[read] != values[len - 1] {
                    values[len] = values[read];
                    len += 1;
                }
            }
            self.spans[row].end = self.spans[row].start + len as u32;
        }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.spans.len() - 1
    }

    /// Number of values over all rows.
    pub(crate) fn value_count(&self) -> usize {
        let mut count: usize = (0..self.len() as u32).map(|row| self.base(row).len()).sum();
        for patch in &self.patches {
            count += patch.len as usize;
            count -= self.base(patch.row).len();
        }
        count
    }

    /// The values of one row, ascending.
    #[inline]
    pub(crate) fn row(&self, row: u32) -> &[T] {
        if !self.patched.is_unused() && self.patched.get(row as usize) {
            return self.patched_row(row);
        }
        self.base(row)
    }

    /// The values of a row that was not moved.
    #[inline]
    fn base(&self, row: u32) -> &[T] {
        let span = self.spans[row as usize];
        &self.values[span.start as usize..span.end as usize]
    }

    /// Whether the row changed since the last compaction.
    #[inline]
    pub(crate) fn is_changed(&self, row: u32) -> bool {
        self.changed.get(row as usize)
    }

    #[cold]
    fn patched_row(&self, row: u32) -> &[T] {
        let patch = self.patch(row);
        &self.arena[patch.start as usize..(patch.start + patch.len) as usize]
    }

    /// Adds a value to a row; `false` when it was there already.
    pub(crate) fn insert(&mut self, row: u32, value: T) -> bool {
        let mut inserted = false;
        self.edit(row, &[(value, true)], |_, _| inserted = true);
        inserted
    }

    /// Takes a value out of a row; `false` when it was not there.
    pub(crate) fn remove(&mut self, row: u32, value: T) -> bool {
        let mut removed = false;
        self.edit(row, &[(value, false)], |_, _| removed = true);
        removed
    }

    /// Applies edits of one row: `(value, present afterwards)`. Calls `changed` for every edit that makes a difference.
    #[inline]
    pub(crate) fn edit(&mut self, row: u32, edits: &[(T, bool)], mut changed: impl FnMut(T, bool)) {
        for &(value, present) in edits {
            match (self.row(row).binary_search(&value), present) {
                (Err(position), true) => {
                    let (storage, start, len) = self.writable(row, 1);
                    storage.copy_within(start + position..start + len, start + position + 1);
                    storage[start + position] = value;
                    self.set_len(row, len + 1);
                }
                (Ok(position), false) => {
                    let (storage, start, len) = self.writable(row, 0);
                    storage.copy_within(start + position + 1..start + len, start + position);
                    self.set_len(row, len - 1);
                }
                _ => continue,
            }
            changed(value, present);
        }
    }

    /// Sets a whole row; `values` need not be sorted.
    pub(crate) fn replace(&mut self, row: u32, mut values: Vec<T>) {
        values.sort_unstable();
        values.dedup();
        let extra = values.len().saturating_sub(self.row(row).len());
        let (storage, start, _) = self.writable(row, extra);
        storage[start..start + values.len()].copy_from_slice(&values);
        self.set_len(row, values.len());
    }

    /// Where the row lies, with room for `extra` more values: the storage, the row's start in it, and its length.
    #[inline]
    fn writable(&mut self, row: u32, extra: usize) -> (&mut Vec<T>, usize, usize) {
        if self.changed.is_unused() {
            self.changed = BitSet::new(self.len());
        }
        self.changed.set(row as usize);
        let at = row as usize;
        if !self.patched.get(at) {
            let (start, len) =
                (self.spans[at].start as usize, (self.spans[at].end - self.spans[at].start) as usize);
            if start + len + extra <= self.spans[at + 1].start as usize {
                return (&mut self.values, start, len);
            }
        }
        let patch = self.patch_with_room(row, extra as u32);
        (&mut self.arena, patch.start as usize, patch.len as usize)
    }

    #[inline]
    fn set_len(&mut self, row: u32, len: usize) {
        let at = row as usize;
        if self.patched.get(at) {
            let patch = self.patch(row);
            self.set_patch(Patch { len: len as u32, ..patch });
        } else {
            self.spans[at].end = self.spans[at].start + len as u32;
        }
    }

    /// A patch of the row with room for `extra` more values, holding its present values.
    #[cold]
    fn patch_with_room(&mut self, row: u32, extra: u32) -> Patch {
        let is_patched = self.patched.get(row as usize);
        if is_patched {
            let patch = self.patch(row);
            if patch.len + extra <= patch.room {
                return patch;
            }
            if self.arena_unused > 1024 && self.arena_unused * 2 > self.arena.len() {
                self.pack_arena();
            }
        }
        let start = self.arena.len();
        let len = if is_patched {
            let patch = self.patch(row);
            self.arena_unused += patch.room as usize;
            self.arena.extend_from_within(patch.start as usize..(patch.start + patch.len) as usize);
            patch.len
        } else {
            let span = self.spans[row as usize];
            self.arena.extend_from_slice(&self.values[span.start as usize..span.end as usize]);
            span.end - span.start
        };
        let room = len + extra + 2 + spare(len);
        self.arena.resize(start + room as usize, T::default());
        let patch = Patch { row, start: start as u32, len, room };
        self.set_patch(patch);
        patch
    }

    /// The patch of a row that has one.
    #[inline]
    fn patch(&self, row: u32) -> Patch {
        self.patches[self.patch_of[&row] as usize]
    }

    /// Sets the patch of its row.
    #[inline]
    fn set_patch(&mut self, patch: Patch) {
        let row = patch.row;
        if self.patched.get(row as usize) {
            self.patches[self.patch_of[&row] as usize] = patch;
            return;
        }
        if self.patched.is_unused() {
            self.patched = BitSet::new(self.len());
        }
        self.patched.set(row as usize);
        self.patch_of.insert(row, self.patches.len() as u32);
        self.patches.push(patch);
    }

    /// Loads a row's first, middle and last value, which lie in all the cache lines of a short row. Asked for a stretch of
    /// rows before they are edited or searched, these loads overlap, where the work itself would wait for one cache miss
    /// after the other. Give the result to a [`std::hint::black_box`], so that the loads are not left out.
    #[inline]
    pub(crate) fn touch(&self, row: u32) -> [Option<T>; 3] {
        let values = self.row(row);
        [values.first().copied(), values.get(values.len() / 2).copied(), values.last().copied()]
    }

    /// Moves live patches together.
    fn pack_arena(&mut self) {
        let mut packed = Vec::with_capacity(self.arena.len() - self.arena_unused + 64);
        for patch in &mut self.patches {
            let start = packed.len() as u32;
            packed.extend_from_slice(&self.arena[patch.start as usize..(patch.start + patch.room) as usize]);
            patch.start = start;
        }
        self.arena = packed;
        self.arena_unused = 0;
    }

    /// Gives every row its room in the base again.
    pub(crate) fn compact(&mut self) {
        self.changed.forget();
        if self.patches.is_empty() {
            return;
        }
        let rooms: usize = (0..self.len() as u32)
            .map(|row| self.row(row).len() + spare(self.row(row).len() as u32) as usize)
            .sum();
        let mut values = Vec::with_capacity(rooms);
        let mut spans = Vec::with_capacity(self.spans.len());
        for row in 0..self.len() as u32 {
            let start = values.len() as u32;
            values.extend_from_slice(self.row(row));
            let end = values.len() as u32;
            spans.push(Span { start, end });
            values.resize(values.len() + spare(end - start) as usize, T::default());
        }
        let end = values.len() as u32;
        spans.push(Span { start: end, end });
        (self.spans, self.values) = (spans, values);
        self.patched.forget();
        self.patch_of = PairMap::default();
        self.patches = Vec::new();
        self.arena = Vec::new();
        self.arena_unused = 0;
    }

    /// Heap bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>()
            + self.changed.memory_bytes()
            + (self.values.capacity() + self.arena.capacity()) * size_of::<T>()
            + self.patched.memory_bytes()
            + self.patch_of.capacity() * 9
            + self.patches.capacity() * size_of::<Patch>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn grouping_sorts_and_drops_duplicates() {
        let pairs = [(1u32, 5u32), (0, 2), (1, 3), (1, 5), (3, 9)];
        let rows = Rows::group(4, "grants", || pairs.iter().copied()).unwrap();
        assert_eq!(rows.row(0), [2]);
        assert_eq!(rows.row(1), [3, 5]);
        assert!(rows.row(2).is_empty());
        assert_eq!(rows.row(3), [9]);
        assert_eq!(rows.value_count(), 4);
    }

    #[test]
    fn patches_equal_a_set_of_sets_before_and_after_compaction() {
        let mut model: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); 16];
        let mut rows = Rows::<u32>::group(16, "grants", std::iter::empty).unwrap();
        let mut state = 7u64;
        for step in 0..20_000u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (row, value) = ((state >> 33) as u32 % 16, (state >> 40) as u32 % 64);
            if step % 3 == 0 {
                let edits: Vec<(u32, bool)> =
                    (0..4).map(|further| (value + 7 * further, (state >> (20 + further)) & 1 == 0)).collect();
                let expected: Vec<(u32, bool)> = edits
                    .iter()
                    .copied()
                    .filter(|(value, present)| {
                        let set = &mut model[row as usize];
                        if *present { set.insert(*value) } else { set.remove(value) }
                    })
                    .collect();
                let mut changed = Vec::new();
                rows.edit(row, &edits, |value, present| changed.push((value, present)));
                assert_eq!(changed, expected);
            } else if (state >> 60) & 1 == 0 {
                assert_eq!(rows.insert(row, value), model[row as usize].insert(value));
            } else {
                assert_eq!(rows.remove(row, value), model[row as usize].remove(&value));
            }
            if step % 4_999 == 0 {
                rows.compact();
            }
        }
        for row in 0..16u32 {
            assert!(rows.row(row).iter().copied().eq(model[row as usize].iter().copied()));
        }
        assert_eq!(rows.value_count(), model.iter().map(BTreeSet::len).sum::<usize>());
    }
}
