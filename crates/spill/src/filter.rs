//! Which marks a run cannot hold: most questions about new names end here, without a look at the file.

use crate::mark::Mark;

/// Bits for each mark: with four probes about one answer in eighty is "maybe" for a mark that is not there.
const BITS_A_MARK: usize = 10;
const PROBES: u64 = 4;

/// A Bloom filter (Bloom, "Space/Time Trade-offs in Hash Coding", 1970), its probes made from two halves of a mark (Kirsch and
/// Mitzenmacher, "Less Hashing, Same Performance", 2006).
#[derive(Debug)]
pub(crate) struct Filter {
    words: Vec<u64>,
}

impl Filter {
    pub(crate) fn for_marks(count: usize) -> Self {
        Self { words: vec![0; (count * BITS_A_MARK).div_ceil(64).max(1)] }
    }

    fn bits(&self, mark: &Mark) -> impl Iterator<Item = (usize, u64)> + use<> {
        let first = mark.first();
        let (start, step) = (first.rotate_left(17), first | 1);
        let bits = self.words.len() as u64 * 64;
        (0..PROBES).map(move |probe| {
            let bit = start.wrapping_add(step.wrapping_mul(probe)) % bits;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }

    pub(crate) fn add(&mut self, mark: &Mark) {
        for (word, bit) in self.bits(mark) {
            self.words[word] |= bit;
        }
    }

    pub(crate) fn may_hold(&self, mark: &Mark) -> bool {
        self.bits(mark).all(|(word, bit)| self.words[word] & bit != 0)
    }
}
