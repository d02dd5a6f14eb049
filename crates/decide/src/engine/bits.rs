//! A dense bit set over small indices, and the hasher used for packed integer keys.

use std::hash::{BuildHasherDefault, Hasher};

/// Dense bits. Reading past the end gives `false`, so an empty set costs nothing where a feature is unused.
#[derive(Clone, Debug, Default)]
pub(crate) struct BitSet {
    words: Vec<u64>,
}

impl BitSet {
    /// Room for `len` bits, all clear.
    pub(crate) fn new(len: usize) -> Self {
        BitSet { words: vec![0; len.div_ceil(64)] }
    }

    /// All of `len` bits set.
    pub(crate) fn full(len: usize) -> Self {
        let mut words = vec![u64::MAX; len.div_ceil(64)];
        if !len.is_multiple_of(64)
            && let Some(last) = words.last_mut()
        {
            *last = (1 << (len % 64)) - 1;
        }
        BitSet { words }
    }

    /// Whether no bit was ever made room for.
    #[inline]
    pub(crate) fn is_unused(&self) -> bool {
        self.words.is_empty()
    }

    /// Whether bit `index` is set.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> bool {
        self.words.get(index >> 6).is_some_and(|word| (word >> (index & 63)) & 1 == 1)
    }

    /// Sets bit `index`, growing if needed.
    pub(crate) fn set(&mut self, index: usize) {
        if index >> 6 >= self.words.len() {
            self.words.resize((index >> 6) + 1, 0);
        }
        self.words[index >> 6] |= 1 << (index & 63);
    }

    /// Clears bit `index`.
    pub(crate) fn clear(&mut self, index: usize) {
        if let Some(word) = self.words.get_mut(index >> 6) {
            *word &= !(1 << (index & 63));
        }
    }

    /// Whether some bit is set; looks at all of them.
    pub(crate) fn any(&self) -> bool {
        self.words.iter().any(|word| *word != 0)
    }

    /// Forgets every bit and the room for it.
    pub(crate) fn forget(&mut self) {
        self.words = Vec::new();
    }

    /// Heap bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.words.capacity() * 8
    }
}

/// The mark bits of one identity under examination: small enough to stay in the first-level cache for 200,000 entitlements.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    words: Vec<u64>,
}

impl Marks {
    /// Marks for `len` entitlements, all clear.
    pub(crate) fn new(len: usize) -> Self {
        Marks { words: vec![0; len.div_ceil(64)] }
    }

    /// Sets the mark; 1 when it was clear before.
    #[inline]
    pub(crate) fn mark(&mut self, index: u32) -> u32 {
        let word = &mut self.words[(index >> 6) as usize];
        let bit = index & 63;
        let was = (*word >> bit) as u32 & 1;
        *word |= 1 << bit;
        was ^ 1
    }

    /// Clears the mark; 1 when it was set before.
    #[inline]
    pub(crate) fn take(&mut self, index: u32) -> u32 {
        let word = &mut self.words[(index >> 6) as usize];
        let bit = index & 63;
        let was = (*word >> bit) as u32 & 1;
        *word &= !(1 << bit);
        was
    }

    /// Whether the mark is set.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> bool {
        (self.words[(index >> 6) as usize] >> (index & 63)) & 1 == 1
    }
}

/// Multiplies by the golden-ratio constant (Knuth, multiplicative hashing) and folds the high half down: enough for packed indices that nobody outside chooses freely.
#[derive(Default)]
pub(crate) struct PairHasher(u64);

impl Hasher for PairHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value) * u128::from(0x9E37_79B9_7F4A_7C15u64);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

/// Sorts words by their upper half, keeping the order of equals: a radix sort by eleven bits at a time for large batches.
///
/// `bound` is greater than every upper half; it says how many rounds are needed.
pub(crate) fn sort_by_upper_half(words: &mut Vec<u64>, bound: u32) {
    const DIGIT_BITS: u32 = 11;
    const SMALL: usize = 2_048;
    if words.len() <= SMALL {
        words.sort_by_key(|word| word >> 32);
        return;
    }
    let mut other = vec![0u64; words.len()];
    let mut shift = 32;
    while shift < 32 + (u32::BITS - bound.leading_zeros()) {
        let digit = |word: u64| (word >> shift) as usize & ((1 << DIGIT_BITS) - 1);
        let mut starts = [0usize; 1 << DIGIT_BITS];
        for word in words.iter() {
            starts[digit(*word)] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += std::mem::replace(start, sum);
        }
        for word in words.iter() {
            let start = &mut starts[digit(*word)];
            other[*start] = *word;
            *start += 1;
        }
        std::mem::swap(words, &mut other);
        shift += DIGIT_BITS;
    }
}

/// A hash map over packed indices.
pub(crate) type PairMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<PairHasher>>;

/// A hash set over packed indices.
pub(crate) type PairSet<K> = std::collections::HashSet<K, BuildHasherDefault<PairHasher>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_radix_sort_is_a_stable_sort() {
        for (len, bound) in [(10u64, 4u32), (5_000, 3_000_000), (5_000, 7), (9_000, u32::MAX)] {
            let mut random = 5u64;
            let words: Vec<u64> = (0..len)
                .map(|number| {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    ((random >> 32) % u64::from(bound)) << 32 | number
                })
                .collect();
            let (mut ours, mut theirs) = (words.clone(), words);
            sort_by_upper_half(&mut ours, bound);
            theirs.sort_by_key(|word| word >> 32);
            assert_eq!(ours, theirs);
        }
    }
}
