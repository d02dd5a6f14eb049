//! Names as dense 32-bit numbers: each distinct text is kept once, in one long buffer.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

/// Texts up to this length lie in the table itself, so that a look-up misses the cache once.
const SHORT_MAX: usize = 11;
/// Where the length stands in a short text's key, above its bytes.
const LENGTH_SHIFT: u32 = 8 * SHORT_MAX as u32;
/// Stands for the length of a longer text; its key is its hash, and the text is compared besides.
const LONG: u128 = 0xFF << LENGTH_SHIFT;
/// The number in a slot that holds nothing.
const EMPTY: u32 = u32::MAX;

/// A text as the table compares it, in 96 bits: a short one is all there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key(u128);

impl Key {
    fn is_long(self) -> bool {
        self.0 >= LONG
    }
}

/// Key and number in 16 bytes.
#[derive(Debug, Clone, Copy)]
struct Slot {
    low: u64,
    high: u32,
    number: u32,
}

impl Slot {
    const EMPTY: Self = Self { low: 0, high: 0, number: EMPTY };

    fn new(key: Key, number: u32) -> Self {
        Self { low: key.0 as u64, high: (key.0 >> 64) as u32, number }
    }

    #[inline]
    fn key(self) -> Key {
        Key(u128::from(self.high) << 64 | u128::from(self.low))
    }
}

/// Slots of one cache line: a search looks at all of them before it goes to the next line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Line([Slot; LINE]);

const LINE: usize = 4;

/// What is to be found: a key and where its search begins. See [`Interner::seek`].
#[derive(Debug, Clone, Copy)]
pub struct Sought {
    key: Key,
    hash: u64,
}

/// Distinct texts, numbered from 0 in the order in which they came.
///
/// The hash is seeded per table, since the texts come from outside and could be chosen to collide.
#[derive(Debug, Default)]
pub struct Interner {
    /// Open addressing; a power of two of slots, at most three quarters of them taken.
    lines: Vec<Line>,
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

    /// The number of a text, and whether it is new. `None` where the 2^32 - 1 numbers are used up.
    #[inline]
    pub fn intern(&mut self, text: &[u8]) -> Option<(u32, bool)> {
        // Exports are mostly sorted by account, so the last text comes again and again.
        if (self.last as usize) < self.ends.len() && self.text(self.last) == text {
            return Some((self.last, false));
        }
        let sought = self.seek(text, 0, text.len());
        let (number, new) = self.intern_sought(sought, text)?;
        self.last = number;
        Some((number, new))
    }

    /// What to find for the text `buffer[start..end]`. Sought for many texts, then touched, then interned, the cache misses
    /// of all of them overlap, where one after the other would wait for each.
    #[inline(always)]
    pub fn seek(&mut self, buffer: &[u8], start: usize, end: usize) -> Sought {
        let key = if self.fold_case {
            self.folded_key(&buffer[start..end])
        } else {
            key(&self.hasher, buffer, start, end)
        };
        Sought { key, hash: self.hasher.hash_one(key.0) }
    }

    fn folded_key(&mut self, text: &[u8]) -> Key {
        self.folded.clear();
        self.folded.extend(text.iter().map(u8::to_ascii_lowercase));
        key(&self.hasher, &self.folded, 0, self.folded.len())
    }

    /// Loads what [`Interner::intern_sought`] will read first of each. Little else may stand in the loop: a core looks only
    /// so many instructions ahead for further loads.
    #[inline(always)]
    pub fn touch(&self, sought: &[Sought]) {
        let Some(last) = self.lines.len().checked_sub(1) else { return };
        let touched = sought
            .iter()
            .fold(0, |sum, sought| sum ^ self.lines[(sought.hash as usize / LINE) & last].0[0].number);
        std::hint::black_box(touched);
    }

    /// As [`Interner::intern`], of the text that was sought.
    #[inline(always)]
    pub fn intern_sought(&mut self, sought: Sought, text: &[u8]) -> Option<(u32, bool)> {
        // Most texts are short, known, and in the first or second place of their search. Which of the two cannot be
        // foreseen, so it is computed instead of branched on.
        if !self.lines.is_empty() {
            let displaced = usize::from(self.slot(sought.hash, 0).key() != sought.key);
            let slot = self.slot(sought.hash, displaced);
            if slot.key() == sought.key && slot.number != EMPTY && !sought.key.is_long() {
                return Some((slot.number, false));
            }
        }
        self.search(sought, text)
    }

    fn search(&mut self, sought: Sought, text: &[u8]) -> Option<(u32, bool)> {
        match self.look_up(sought, text) {
            Some(number) => Some((number, false)),
            None => self.add(sought, text).map(|number| (number, true)),
        }
    }

    #[cold]
    fn add(&mut self, sought: Sought, text: &[u8]) -> Option<u32> {
        let number = u32::try_from(self.ends.len()).ok().filter(|number| *number != EMPTY)?;
        if (self.ends.len() + 1) * 4 > self.lines.len() * LINE * 3 {
            self.grow();
        }
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        self.put(sought.hash, Slot::new(sought.key, number));
        Some(number)
    }

    /// The number of a text that came before.
    pub fn find(&mut self, text: &[u8]) -> Option<u32> {
        let sought = self.seek(text, 0, text.len());
        self.look_up(sought, text)
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

    /// The number of a text that was sought.
    #[inline]
    fn look_up(&self, sought: Sought, text: &[u8]) -> Option<u32> {
        if self.lines.is_empty() {
            return None;
        }
        let mut step = 0;
        loop {
            let slot = self.slot(sought.hash, step);
            if slot.number == EMPTY {
                return None;
            }
            if slot.key() == sought.key
                && (!sought.key.is_long() || equal(self.text(slot.number), text, self.fold_case))
            {
                return Some(slot.number);
            }
            step += 1;
        }
    }

    /// The slot that a search looks at after `step` others; only where there are lines.
    #[inline(always)]
    fn slot(&self, hash: u64, step: usize) -> Slot {
        let (line, place) = place(hash, step, self.lines.len());
        self.lines[line].0[place]
    }

    /// Puts a slot into the first free place of its search.
    fn put(&mut self, hash: u64, slot: Slot) {
        let mut step = 0;
        while self.slot(hash, step).number != EMPTY {
            step += 1;
        }
        let (line, place) = place(hash, step, self.lines.len());
        self.lines[line].0[place] = slot;
    }

    fn grow(&mut self) {
        let size = (self.lines.len() * 2).max(4);
        let before = std::mem::replace(&mut self.lines, vec![Line([Slot::EMPTY; LINE]); size]);
        for slot in before.into_iter().flat_map(|line| line.0).filter(|slot| slot.number != EMPTY) {
            self.put(self.hasher.hash_one(slot.key().0), slot);
        }
    }
}

/// Line and place in it to look at after `step` others: round the line where the search begins, then round the next.
#[inline(always)]
fn place(hash: u64, step: usize, lines: usize) -> (usize, usize) {
    let hash = hash as usize;
    ((hash / LINE + step / LINE) & (lines - 1), hash.wrapping_add(step) % LINE)
}

/// The key of `buffer[start..end]`.
#[inline(always)]
fn key(hasher: &DefaultHashBuilder, buffer: &[u8], start: usize, end: usize) -> Key {
    let length = end - start;
    if length > SHORT_MAX {
        return Key(LONG | u128::from(hasher.hash_one(&buffer[start..end])));
    }
    // Reading a whole word and cutting it off is faster than copying just the text, where the buffer goes on for as long.
    let word = match buffer[start..].first_chunk::<16>() {
        Some(word) => u128::from_le_bytes(*word),
        None => {
            let mut word = [0; 16];
            word[..length].copy_from_slice(&buffer[start..end]);
            u128::from_le_bytes(word)
        }
    };
    Key(word & ((1 << (8 * length)) - 1) | (length as u128) << LENGTH_SHIFT)
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

    #[test]
    fn texts_of_every_length_are_told_apart_and_found_again() {
        for fold_case in [false, true] {
            let mut interner = Interner::new(fold_case);
            // Zero bytes are what short texts are filled up with, so they must not be taken for the same.
            let texts: Vec<Vec<u8>> = (0..40)
                .flat_map(|length| [b'\0', b'a', 0xFF].map(|byte| vec![byte; length]))
                .filter(|text| !text.is_empty())
                .chain([Vec::new()])
                .collect();
            assert_eq!(interner.find(b"a"), None);
            for (number, text) in (0..).zip(&texts) {
                assert_eq!(interner.intern(text), Some((number, true)), "{text:?}");
            }
            let joined = texts.concat();
            let mut start = 0;
            for (number, text) in (0..).zip(&texts) {
                let end = start + text.len();
                let sought = interner.seek(&joined, start, end);
                assert_eq!(interner.intern_sought(sought, text), Some((number, false)), "{text:?}");
                assert_eq!(interner.text(number), text);
                let upper = interner.find(&text.to_ascii_uppercase());
                assert_eq!(upper.is_some(), fold_case || !text.contains(&b'a'), "{text:?}");
                start = end;
            }
            assert_eq!(interner.len(), texts.len());
        }
    }
}
