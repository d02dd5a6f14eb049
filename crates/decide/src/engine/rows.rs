//! Compressed sparse rows with copy-on-write patches: the storage of grants, assignments, explicit reasons and roles.

use super::EngineError;
use super::bits::BitSet;

/// Where a patched row lives in the arena.
#[derive(Clone, Copy, Debug)]
struct Patch {
    row: u32,
    start: u32,
    len: u32,
    room: u32,
}

/// Rows of `T` by dense index. The base never changes between compactions; a changed row is copied into an arena and
/// found through `patches`, so reading an unchanged row costs one bit test more than plain sparse rows. The bits are a
/// second, small answer to what `patch_of` knows, because a full pass asks them of every row.
#[derive(Clone, Debug)]
pub(crate) struct Rows<T> {
    offsets: Vec<u32>,
    values: Vec<T>,
    patched: BitSet,
    /// Number of the patch of each patched row, and anything for the others.
    patch_of: Vec<u32>,
    patches: Vec<Patch>,
    arena: Vec<T>,
    arena_unused: usize,
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
        let mut offsets = vec![0u32; row_count + 1];
        let mut total = 0u64;
        for (row, _) in pairs() {
            offsets[row as usize] += 1;
            total += 1;
        }
        if total >= u64::from(u32::MAX) {
            return Err(EngineError::TooMany { what, count: total, limit: u64::from(u32::MAX) - 1 });
        }
        // Each slot becomes the end of its row; filling backwards turns it into the start.
        let mut sum = 0u32;
        for slot in &mut offsets {
            sum += *slot;
            *slot = sum;
        }
        let mut values = vec![T::default(); total as usize];
        for (row, value) in pairs() {
            let slot = &mut offsets[row as usize];
            *slot -= 1;
            values[*slot as usize] = value;
        }
        let mut rows = Rows::from_parts(offsets, values);
        rows.sort_and_dedup();
        Ok(rows)
    }

    /// Takes `(row, value)` packed into words that are ordered by row, values within a row in any order.
    pub(crate) fn from_ordered(
        row_count: usize,
        what: &'static str,
        pairs: Vec<u64>,
    ) -> Result<Self, EngineError>
    where
        T: From<u32>,
    {
        if pairs.len() as u64 >= u64::from(u32::MAX) {
            return Err(EngineError::TooMany {
                what,
                count: pairs.len() as u64,
                limit: u64::from(u32::MAX) - 1,
            });
        }
        let mut offsets = vec![0u32; row_count + 1];
        for pair in &pairs {
            offsets[(pair >> 32) as usize + 1] += 1;
        }
        for row in 0..row_count {
            offsets[row + 1] += offsets[row];
        }
        let values = pairs.iter().map(|pair| T::from(*pair as u32)).collect();
        drop(pairs);
        let mut rows = Rows::from_parts(offsets, values);
        rows.sort_and_dedup();
        Ok(rows)
    }

    /// Takes sparse rows that are already sorted and free of duplicates.
    pub(crate) fn from_parts(offsets: Vec<u32>, values: Vec<T>) -> Self {
        Rows {
            offsets,
            values,
            patched: BitSet::default(),
            patch_of: Vec::new(),
            patches: Vec::new(),
            arena: Vec::new(),
            arena_unused: 0,
        }
    }

    fn sort_and_dedup(&mut self) {
        let mut write = 0usize;
        let mut start = 0usize;
        for row in 0..self.len() {
            let end = self.offsets[row + 1] as usize;
            self.values[start..end].sort_unstable();
            let row_start = write;
            for read in start..end {
                let value = self.values[read];
                if write == row_start || self.values[write - 1] != value {
                    self.values[write] = value;
                    write += 1;
                }
            }
            start = end;
            self.offsets[row] = row_start as u32;
        }
        if let Some(last) = self.offsets.last_mut() {
            *last = write as u32;
        }
        self.values.truncate(write);
        self.values.shrink_to_fit();
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of values over all rows.
    pub(crate) fn value_count(&self) -> usize {
        let mut count = self.values.len();
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

    /// The values of one row as of the last compaction.
    #[inline]
    pub(crate) fn base(&self, row: u32) -> &[T] {
        let row = row as usize;
        &self.values[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    /// Whether the row differs from its base.
    #[inline]
    pub(crate) fn is_patched(&self, row: u32) -> bool {
        self.patched.get(row as usize)
    }

    #[cold]
    fn patched_row(&self, row: u32) -> &[T] {
        let patch = self.patch(row);
        &self.arena[patch.start as usize..(patch.start + patch.len) as usize]
    }

    /// Adds a value to a row; `false` when it was there already.
    pub(crate) fn insert(&mut self, row: u32, value: T) -> bool {
        let Err(position) = self.row(row).binary_search(&value) else {
            return false;
        };
        let patch = self.writable(row, 1);
        let start = patch.start as usize;
        self.arena.copy_within(start + position..start + patch.len as usize, start + position + 1);
        self.arena[start + position] = value;
        self.set_patch(Patch { len: patch.len + 1, ..patch });
        true
    }

    /// Takes a value out of a row; `false` when it was not there.
    pub(crate) fn remove(&mut self, row: u32, value: T) -> bool {
        let Ok(position) = self.row(row).binary_search(&value) else {
            return false;
        };
        let patch = self.writable(row, 0);
        let start = patch.start as usize;
        self.arena.copy_within(start + position + 1..start + patch.len as usize, start + position);
        self.set_patch(Patch { len: patch.len - 1, ..patch });
        true
    }

    /// Applies edits of one row in one pass: `(value, present afterwards)`, values ascending and each at most once. Calls
    /// `changed` for every edit that makes a difference, and copies nothing when none does.
    pub(crate) fn edit(&mut self, row: u32, edits: &[(T, bool)], mut changed: impl FnMut(T, bool)) {
        let (in_arena, start, end) = if self.is_patched(row) {
            let patch = self.patch(row);
            (true, patch.start as usize, (patch.start + patch.len) as usize)
        } else {
            (false, self.offsets[row as usize] as usize, self.offsets[row as usize + 1] as usize)
        };
        let new_start = self.arena.len();
        let mut any = false;
        let mut from = start;
        for &(value, present) in edits {
            let old = if in_arena { &self.arena[from..end] } else { &self.values[from..end] };
            let before = old.partition_point(|held| *held < value);
            let was = old.get(before) == Some(&value);
            // The stretch before the value, and the value itself unless it goes.
            let keep = from..from + before + usize::from(was && present);
            if in_arena {
                self.arena.extend_from_within(keep);
            } else {
                self.arena.extend_from_slice(&self.values[keep]);
            }
            if present && !was {
                self.arena.push(value);
            }
            from += before + usize::from(was);
            if was != present {
                any = true;
                changed(value, present);
            }
        }
        if !any {
            self.arena.truncate(new_start);
            return;
        }
        if in_arena {
            self.arena.extend_from_within(from..end);
        } else {
            self.arena.extend_from_slice(&self.values[from..end]);
        }
        let len = (self.arena.len() - new_start) as u32;
        if in_arena {
            self.arena_unused += self.patch(row).room as usize;
        }
        self.set_patch(Patch { row, start: new_start as u32, len, room: len });
        if self.arena_unused > 1024 && self.arena_unused * 2 > self.arena.len() {
            self.pack_arena();
        }
    }

    /// Sets a whole row; `values` need not be sorted.
    pub(crate) fn replace(&mut self, row: u32, mut values: Vec<T>) {
        values.sort_unstable();
        values.dedup();
        let extra = (values.len()).saturating_sub(self.row(row).len());
        let patch = self.writable(row, extra as u32);
        let start = patch.start as usize;
        self.arena[start..start + values.len()].copy_from_slice(&values);
        self.set_patch(Patch { len: values.len() as u32, ..patch });
    }

    /// A patch of the row with room for `extra` more values, holding its present values.
    fn writable(&mut self, row: u32, extra: u32) -> Patch {
        if self.is_patched(row) {
            let patch = self.patch(row);
            if patch.len + extra <= patch.room {
                return patch;
            }
            if self.arena_unused > 1024 && self.arena_unused * 2 > self.arena.len() {
                self.pack_arena();
            }
            let patch = self.patch(row);
            self.arena_unused += patch.room as usize;
            let start = self.arena.len() as u32;
            let room = patch.len + extra + 4;
            self.arena.extend_from_within(patch.start as usize..(patch.start + patch.len) as usize);
            self.arena.resize(start as usize + room as usize, T::default());
            let moved = Patch { row, start, len: patch.len, room };
            self.set_patch(moved);
            return moved;
        }
        let base = self.offsets[row as usize] as usize..self.offsets[row as usize + 1] as usize;
        let (start, len) = (self.arena.len() as u32, base.len() as u32);
        let room = len + extra + 2;
        self.arena.extend_from_slice(&self.values[base]);
        self.arena.resize(start as usize + room as usize, T::default());
        let patch = Patch { row, start, len, room };
        self.set_patch(patch);
        patch
    }

    /// The patch of a row that has one.
    #[inline]
    fn patch(&self, row: u32) -> Patch {
        self.patches[self.patch_of[row as usize] as usize]
    }

    /// Sets the patch of its row.
    #[inline]
    fn set_patch(&mut self, patch: Patch) {
        let row = patch.row as usize;
        if self.patched.get(row) {
            self.patches[self.patch_of[row] as usize] = patch;
            return;
        }
        if self.patched.is_unused() {
            self.patched = BitSet::new(self.len());
            self.patch_of.resize(self.len(), 0);
        }
        self.patched.set(row);
        self.patch_of[row] = self.patches.len() as u32;
        self.patches.push(patch);
    }

    /// Loads the first value of a row and does nothing with it. Asked for a stretch of rows before they are edited, these
    /// loads overlap, where the edits themselves would wait for one cache miss after the other.
    #[inline]
    pub(crate) fn touch(&self, row: u32) -> Option<T> {
        self.row(row).first().copied()
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

    /// Folds the patches into a new base.
    pub(crate) fn compact(&mut self) {
        if self.patches.is_empty() {
            return;
        }
        let mut values = Vec::with_capacity(self.value_count());
        let mut offsets = Vec::with_capacity(self.offsets.len());
        for row in 0..self.len() as u32 {
            offsets.push(values.len() as u32);
            values.extend_from_slice(self.row(row));
        }
        offsets.push(values.len() as u32);
        self.offsets = offsets;
        self.values = values;
        // Some room is kept, because faulting in fresh pages would be a third of the cost of the next batch.
        self.patched.forget();
        self.patches.clear();
        self.arena.clear();
        self.arena.shrink_to(self.values.len() / 16);
        self.patches.shrink_to(self.len() / 8);
        self.arena_unused = 0;
    }

    /// Heap bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.offsets.capacity() * 4
            + (self.values.capacity() + self.arena.capacity()) * size_of::<T>()
            + self.patched.memory_bytes()
            + self.patch_of.capacity() * 4
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
