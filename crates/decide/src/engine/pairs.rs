//! Pairs on their way into rows: collected in pieces, and brought together by groups of neighbouring rows.

use std::ops::Range;

/// Pairs of one piece: while it is filled and grouped, it stays in the second-level cache.
const PIECE: usize = 1 << 16;

/// A group is `2^GROUP_BITS` rows, which stay in the second-level cache while they are filled; their lower bits fit `u16`.
const GROUP_BITS: u32 = 12;

/// A list of `(row, value)`, grouped piece by piece while it grows, and never there as a whole in any other form.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    /// Row in the upper half.
    latest: Vec<u64>,
    pieces: Vec<Piece>,
}

/// Pairs in the order of their groups.
#[derive(Debug)]
struct Piece {
    /// Rows within their groups.
    rows: Vec<u16>,
    values: Vec<u32>,
    /// Where each group begins, up to the last one that has pairs here, and where that one ends.
    starts: Vec<u32>,
}

impl Pairs {
    /// Makes room for `count` pairs, as far as they come in one piece.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.latest.reserve_exact(count.min(PIECE).saturating_sub(self.latest.len()));
    }

    /// Adds a pair, row in the upper half.
    #[inline]
    pub(crate) fn push(&mut self, pair: u64) {
        if self.latest.len() >= PIECE {
            self.end_piece();
        }
        self.latest.push(pair);
    }

    #[cold]
    fn end_piece(&mut self) {
        let group = |pair: u64| (pair >> (32 + GROUP_BITS)) as usize;
        let last = self.latest.iter().map(|pair| group(*pair)).max().unwrap_or(0);
        let mut places = vec![0u32; last + 2];
        for pair in &self.latest {
            places[group(*pair) + 1] += 1;
        }
        for at in 0..=last {
            places[at + 1] += places[at];
        }
        let starts = places.clone();
        let mut rows = vec![0u16; self.latest.len()];
        let mut values = vec![0u32; self.latest.len()];
        for pair in self.latest.drain(..) {
            let place = &mut places[group(pair)];
            rows[*place as usize] = (pair >> 32) as u16 & ((1 << GROUP_BITS) - 1);
            values[*place as usize] = pair as u32;
            *place += 1;
        }
        self.pieces.push(Piece { rows, values, starts });
    }

    /// The pairs by groups of neighbouring rows. Every row is less than `row_count`.
    pub(crate) fn group(mut self, row_count: usize) -> Groups {
        self.end_piece();
        Groups { pieces: self.pieces, row_count }
    }
}

/// Pairs by groups of neighbouring rows.
pub(crate) struct Groups {
    pieces: Vec<Piece>,
    row_count: usize,
}

impl Groups {
    /// Number of groups.
    pub(crate) fn len(&self) -> usize {
        self.row_count.div_ceil(1 << GROUP_BITS)
    }

    /// The rows of one group.
    pub(crate) fn rows(&self, group: usize) -> Range<usize> {
        let end = (group + 1) << GROUP_BITS;
        group << GROUP_BITS..end.min(self.row_count)
    }

    /// Calls `visit` with the row of every pair of one group.
    #[inline]
    pub(crate) fn for_each_row(&self, group: usize, mut visit: impl FnMut(usize)) {
        for piece in &self.pieces {
            piece.rows[piece.range(group)].iter().for_each(|row| visit(first_row(group) | usize::from(*row)));
        }
    }

    /// Calls `visit` with row and value of every pair of one group.
    #[inline]
    pub(crate) fn for_each(&self, group: usize, mut visit: impl FnMut(usize, u32)) {
        for piece in &self.pieces {
            let range = piece.range(group);
            for (row, value) in piece.rows[range.clone()].iter().zip(&piece.values[range]) {
                visit(first_row(group) | usize::from(*row), *value);
            }
        }
    }
}

impl Piece {
    /// Where a group lies.
    #[inline]
    fn range(&self, group: usize) -> Range<usize> {
        match self.starts.get(group..group + 2) {
            Some([start, end]) => *start as usize..*end as usize,
            _ => 0..0,
        }
    }
}

fn first_row(group: usize) -> usize {
    group << GROUP_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_what_was_pushed_in_the_order_of_their_rows() {
        for (count, row_count, ordered) in
            [(0u64, 0usize, false), (10, 3, false), (200_000, 50_000, false), (200_000, 50_000, true)]
        {
            let mut pairs = Pairs::default();
            pairs.reserve(count as usize / 2);
            let mut random = 5u64;
            let mut expected = Vec::new();
            for number in 0..count {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let row = if ordered { number / 8 } else { (random >> 33) % row_count as u64 };
                expected.push(row << 32 | number);
                pairs.push(row << 32 | number);
            }
            let groups = pairs.group(row_count);
            let mut found = Vec::new();
            let mut rows_found = Vec::new();
            for group in 0..groups.len() {
                let rows = groups.rows(group);
                groups.for_each_row(group, |row| rows_found.push(row));
                groups.for_each(group, |row, value| {
                    assert!(rows.contains(&row));
                    found.push((row as u64) << 32 | u64::from(value));
                });
            }
            assert!(found.iter().map(|pair| (pair >> 32) as usize).eq(rows_found));
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected);
        }
    }
}
