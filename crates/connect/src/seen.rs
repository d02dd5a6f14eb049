//! Which ids came in a reading, so that one that comes twice is noticed.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashSet;

/// The ids that came, a few bytes for each: a million users are nothing to remember. Two ids that share a mark look like one
/// that came twice; then a reading is partial, and the next one has other marks.
#[derive(Debug, Default)]
pub struct Seen {
    marks: HashSet<u64>,
    random: RandomState,
}

impl Seen {
    /// How many came.
    pub fn count(&self) -> usize {
        self.marks.len()
    }

    /// Notes an id; `false` where it came before.
    pub fn insert(&mut self, id: &str) -> bool {
        self.marks.insert(self.random.hash_one(id))
    }

    /// Whether it came.
    pub fn contains(&self, id: &str) -> bool {
        self.marks.contains(&self.random.hash_one(id))
    }
}
