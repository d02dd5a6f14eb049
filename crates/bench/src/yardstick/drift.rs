//! The drift kernel: one bit per entitlement in the first-level cache, identity by identity; and its Z-set counterpart.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::data::{Data, GrantChange, Lists, NOW};
use crate::tally::Tally;

/// Marks what is justified, tests and clears while scanning what is observed; what stays marked is missing.
pub fn full(data: &Data, observed: &Lists<u32>) -> Tally {
    let mut bits = vec![0u64; data.entitlements.div_ceil(64) as usize];
    let mut reviews = data.reviews.iter().copied().peekable();
    let mut tally = Tally::default();
    for user in 0..data.users {
        for &(role, end) in data.assignments.row(user) {
            if NOW < end {
                for entitlement in data.roles.row(role) {
                    bits[(entitlement >> 6) as usize] |= 1 << (entitlement & 63);
                }
            }
        }
        for &(entitlement, end) in data.explicit.row(user) {
            if NOW < end {
                bits[(entitlement >> 6) as usize] |= 1 << (entitlement & 63);
            }
        }
        while let Some((_, entitlement)) = reviews.next_if(|review| review.0 == user) {
            bits[(entitlement >> 6) as usize] &= !(1 << (entitlement & 63));
        }
        for entitlement in observed.row(user) {
            let word = &mut bits[(entitlement >> 6) as usize];
            let bit = 1 << (entitlement & 63);
            if *word & bit == 0 {
                tally.extra(user, *entitlement);
            }
            *word &= !bit;
        }
        let mut left = |entitlement: u32| {
            let word = &mut bits[(entitlement >> 6) as usize];
            let bit = 1 << (entitlement & 63);
            if *word & bit != 0 {
                tally.missing(user, entitlement);
                *word &= !bit;
            }
        };
        for &(role, end) in data.assignments.row(user) {
            if NOW < end {
                data.roles.row(role).iter().for_each(|entitlement| left(*entitlement));
            }
        }
        for &(entitlement, end) in data.explicit.row(user) {
            if NOW < end {
                left(entitlement);
            }
        }
    }
    tally
}

/// Groups packed pairs by sorting them: the floor of starting from an unsorted snapshot.
pub fn group(users: u32, mut pairs: Vec<u64>) -> Lists<u32> {
    pairs.sort_unstable();
    pairs.dedup();
    let mut offsets = vec![0u32; users as usize + 1];
    for pair in &pairs {
        offsets[(pair >> 32) as usize + 1] += 1;
    }
    for user in 0..users as usize {
        offsets[user + 1] += offsets[user];
    }
    Lists { offsets, values: pairs.iter().map(|pair| *pair as u32).collect() }
}

/// Folds the product of the key and the golden ratio.
#[derive(Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value) * u128::from(0x9E37_79B9_7F4A_7C15u64);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

/// Drift weights by packed `(user, entitlement)`: +1 missing, -1 extra.
pub type ZMap = HashMap<u64, i8, BuildHasherDefault<KeyHasher>>;

/// The Z-set alone, without a graph to keep current.
pub fn apply(weights: &mut ZMap, changes: &[GrantChange]) {
    for change in changes {
        let key = (u64::from(change.user) << 32) | u64::from(change.entitlement);
        let delta = if change.added { -1 } else { 1 };
        let weight = weights.entry(key).or_insert(0);
        *weight += delta;
        if *weight == 0 {
            weights.remove(&key);
        }
    }
}

/// Counts and sums of a Z-set.
pub fn tally(weights: &ZMap) -> Tally {
    let mut tally = Tally::default();
    for (key, weight) in weights {
        let (user, entitlement) = ((key >> 32) as u32, *key as u32);
        if *weight > 0 {
            tally.missing(user, entitlement);
        } else {
            tally.extra(user, entitlement);
        }
    }
    tally
}
