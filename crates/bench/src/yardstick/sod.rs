//! SoD kernels: a scan over all grants, and the intersection of bitmaps that somebody else keeps current.

use roaring::RoaringBitmap;

use crate::data::Data;
use crate::tally::ToxicTally;

/// Scans every user's grants for members of the pairs.
pub fn scan(data: &Data) -> ToxicTally {
    let mut pairs_of: Vec<Vec<(u32, u32)>> = vec![Vec::new(); data.entitlements as usize];
    for (pair, (left, right)) in data.toxic.iter().enumerate() {
        pairs_of[*left as usize].push((pair as u32, *right));
    }
    let mut named = vec![0u64; data.entitlements.div_ceil(64) as usize];
    for (left, _) in &data.toxic {
        named[(left >> 6) as usize] |= 1 << (left & 63);
    }
    let mut tally = ToxicTally::default();
    for user in 0..data.users {
        let row = data.observed.row(user);
        for entitlement in row {
            if named[(entitlement >> 6) as usize] >> (entitlement & 63) & 1 == 0 {
                continue;
            }
            for (pair, right) in &pairs_of[*entitlement as usize] {
                if row.binary_search(right).is_ok() {
                    tally.toxic(*pair, user);
                }
            }
        }
    }
    tally
}

/// Bitmaps of the users of each side of each pair.
pub fn bitmaps(data: &Data) -> Vec<(RoaringBitmap, RoaringBitmap)> {
    let mut users: Vec<Vec<u32>> = vec![Vec::new(); data.entitlements as usize];
    let mut named = vec![false; data.entitlements as usize];
    for (left, right) in &data.toxic {
        named[*left as usize] = true;
        named[*right as usize] = true;
    }
    for (user, entitlement) in data.observed.pairs().filter(|(_, entitlement)| named[*entitlement as usize]) {
        users[entitlement as usize].push(user);
    }
    let bitmap = |entitlement: u32| users[entitlement as usize].iter().copied().collect();
    data.toxic.iter().map(|(left, right)| (bitmap(*left), bitmap(*right))).collect()
}

/// Intersects them.
pub fn and(bitmaps: &[(RoaringBitmap, RoaringBitmap)]) -> ToxicTally {
    let mut tally = ToxicTally::default();
    for (pair, (left, right)) in bitmaps.iter().enumerate() {
        for user in &(left & right) {
            tally.toxic(pair as u32, user);
        }
    }
    tally
}
