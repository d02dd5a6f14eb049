//! What stands for a name.

use std::hash::{BuildHasher as _, Hash, RandomState};

/// What stands for a name: 96 bits of two keyed hashes. The keys are drawn anew for each [`Marker`], so that nobody can choose two
/// names with one mark; among a million names two share one with a chance of 1 in 10^17 (the birthday bound).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark([u32; 3]);

impl Mark {
    pub(crate) const BYTES: usize = 12;

    /// The first 64 bits; every one of them is as good as random.
    pub(crate) fn first(&self) -> u64 {
        u64::from(self.0[0]) << 32 | u64::from(self.0[1])
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        for (part, to) in self.0.iter().zip(bytes.chunks_exact_mut(4)) {
            to.copy_from_slice(&part.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let part = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Self([part(0), part(4), part(8)])
    }
}

/// Makes marks with keys of its own: marks of two makers have nothing to do with each other.
#[derive(Debug, Clone, Default)]
pub struct Marker {
    keys: [RandomState; 2],
}

impl Marker {
    /// The mark of a name.
    pub fn mark(&self, name: impl Hash) -> Mark {
        let [one, other] = &self.keys;
        let (one, other) = (one.hash_one(&name), other.hash_one(&name));
        // Cut to 32 bits each.
        Mark([(one >> 32) as u32, one as u32, other as u32])
    }
}
