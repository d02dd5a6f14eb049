//! Names as dense 32-bit numbers: each distinct text is kept once, in one long buffer.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Distinct texts, numbered from 0 in the order in which they came.
///
/// The hash is seeded per table, since the texts come from outside and could be chosen to collide.
#[derive(Debug, Default)]
pub struct Interner {
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    folded: Vec<u8>,
    fold_case: bool,
    last: u32,
}

impl Interner {
    /// An empty table; with `fold_case`, texts that differ in ASCII case only are one, spelled as it came first.
    pub fn new(fold_case: bool) -> Self {
        Self { fold_case, ..Self::default() }
    }

    /// The number of a text, and whether it is new. `None` where the 2^32 numbers are used up.
    #[inline]
    pub fn intern(&mut self, text: &[u8]) -> Option<(u32, bool)> {
        // Exports are mostly sorted by account, so the last text comes again and again.
        if (self.last as usize) < self.ends.len() && self.text(self.last) == text {
            return Some((self.last, false));
        }
        let (number, new) = self.look_up(text)?;
        self.last = number;
        Some((number, new))
    }

    #[inline]
    fn look_up(&mut self, text: &[u8]) -> Option<(u32, bool)> {
        let hash = self.hash(text);
        let (bytes, ends, fold) = (&self.bytes, &self.ends, self.fold_case);
        let same = |number: &u32| equal(slice(bytes, ends, *number), text, fold);
        if let Some(number) = self.table.find(hash, same) {
            return Some((*number, false));
        }
        let number = u32::try_from(self.ends.len()).ok()?;
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        self.table.insert_unique(hash, number, |number| {
            let text = slice(bytes, ends, *number);
            if fold { hasher.hash_one(text.to_ascii_lowercase().as_slice()) } else { hasher.hash_one(text) }
        });
        Some((number, true))
    }

    /// The number of a text that came before.
    pub fn find(&mut self, text: &[u8]) -> Option<u32> {
        let hash = self.hash(text);
        let (bytes, ends, fold) = (&self.bytes, &self.ends, self.fold_case);
        self.table.find(hash, |number| equal(slice(bytes, ends, *number), text, fold)).copied()
    }

    /// The text of a number that [`Interner::intern`] gave.
    pub fn text(&self, number: u32) -> &[u8] {
        slice(&self.bytes, &self.ends, number)
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    #[inline]
    fn hash(&mut self, text: &[u8]) -> u64 {
        if !self.fold_case {
            return self.hasher.hash_one(text);
        }
        self.folded.clear();
        self.folded.extend(text.iter().map(u8::to_ascii_lowercase));
        self.hasher.hash_one(self.folded.as_slice())
    }
}

#[inline]
fn slice<'a>(bytes: &'a [u8], ends: &[usize], number: u32) -> &'a [u8] {
    let index = number as usize;
    let start = if index == 0 { 0 } else { ends[index - 1] };
    &bytes[start..ends[index]]
}

#[inline]
fn equal(left: &[u8], right: &[u8], fold_case: bool) -> bool {
    left == right || (fold_case && left.eq_ignore_ascii_case(right))
}

#[cfg(test)]
mod tests {
    use super::Interner;

    #[test]
    fn a_text_keeps_its_number_and_its_first_spelling() {
        let mut exact = Interner::new(false);
        for number in 0..5000_u32 {
            assert_eq!(exact.intern(format!("User{number}").as_bytes()), Some((number, true)));
        }
        assert_eq!(exact.intern(b"User4321"), Some((4321, false)));
        assert_eq!(exact.find(b"user4321"), None);
        assert_eq!(exact.text(4321), b"User4321");
        let mut folded = Interner::new(true);
        for number in 0..5000_u32 {
            assert_eq!(folded.intern(format!("User{number}").as_bytes()), Some((number, true)));
        }
        assert_eq!(folded.intern(b"USER77"), Some((77, false)));
        assert_eq!(folded.text(77), b"User77");
    }
}
