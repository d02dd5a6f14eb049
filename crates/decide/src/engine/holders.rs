//! The second index: which accounts directly hold an entitlement, as compressed gaps.

use super::bits::sort_by_upper_half;
use super::pair;
use super::rows::Rows;

/// Additions are searched one by one up to this many, then sorted into the log.
const RECENT_MAX: usize = 1024;

/// Accounts by entitlement: the transposed base, plus a log of what was added since. Removals need no entry, because a
/// candidate of a changed account is checked against that account's row.
///
/// The base stores the gaps between ascending accounts in LEB128 (seven bits a byte, the eighth says that more follow):
/// about two bytes a grant where plain numbers take four, and reading it forward is all that anybody does.
#[derive(Clone, Debug)]
pub(crate) struct Holders {
    /// Bytes, which can pass 32 bits before grants do.
    offsets: Vec<u64>,
    gaps: Vec<u8>,
    /// `pair(entitlement, account)`, ascending, without duplicates.
    log: Vec<u64>,
    recent: Vec<u64>,
}

/// Bytes that a gap takes.
#[inline]
fn gap_bytes(gap: u32) -> u64 {
    u64::from((38 - (gap | 1).leading_zeros()) / 7)
}

impl Holders {
    /// Transposes rows by account.
    pub(crate) fn transpose(entitlements: usize, grants: &Rows<u32>) -> Self {
        let mut last = vec![0u32; entitlements];
        let mut sizes = vec![0u64; entitlements];
        for account in 0..grants.len() as u32 {
            for &entitlement in grants.row(account) {
                let at = entitlement as usize;
                sizes[at] += gap_bytes(account - last[at]);
                last[at] = account;
            }
        }
        let mut offsets = Vec::with_capacity(entitlements + 1);
        let mut sum = 0u64;
        for size in &sizes {
            offsets.push(sum);
            sum += size;
        }
        offsets.push(sum);
        let mut gaps = vec![0u8; sum as usize];
        let mut cursor = offsets.clone();
        last.fill(0);
        for account in 0..grants.len() as u32 {
            for &entitlement in grants.row(account) {
                let at = entitlement as usize;
                let mut gap = account - last[at];
                last[at] = account;
                let mut byte = cursor[at] as usize;
                while gap >= 0x80 {
                    gaps[byte] = gap as u8 | 0x80;
                    gap >>= 7;
                    byte += 1;
                }
                gaps[byte] = gap as u8;
                cursor[at] = byte as u64 + 1;
            }
        }
        Holders { offsets, gaps, log: Vec::new(), recent: Vec::new() }
    }

    /// Notes a new direct grant.
    #[inline]
    pub(crate) fn added(&mut self, account: u32, entitlement: u32) {
        self.recent.push(pair(entitlement, account));
    }

    /// Sorts recent additions into the log when there are many.
    pub(crate) fn settle(&mut self) {
        if self.recent.len() <= RECENT_MAX {
            return;
        }
        // A batch is applied in the order of accounts, so that ordering by entitlement is all there is left to do.
        if self.recent.is_sorted_by_key(|key| *key as u32) {
            sort_by_upper_half(&mut self.recent, self.offsets.len() as u32);
        } else {
            self.recent.sort_unstable();
        }
        self.log.append(&mut self.recent);
        // Merging two ascending runs is what the stable sort is good at.
        self.log.sort();
        self.log.dedup();
    }

    /// Calls `visit` once for every account that directly holds the entitlement now.
    pub(crate) fn for_each(&self, grants: &Rows<u32>, entitlement: u32, mut visit: impl FnMut(u32)) {
        let added = self.added_to(grants, entitlement);
        let mut added = added.into_iter().peekable();
        let mut account = 0u32;
        let mut gap = 0u32;
        let mut shift = 0;
        let bytes =
            self.offsets[entitlement as usize] as usize..self.offsets[entitlement as usize + 1] as usize;
        for byte in &self.gaps[bytes] {
            gap |= u32::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 != 0 {
                continue;
            }
            account += gap;
            (gap, shift) = (0, 0);
            while let Some(earlier) = added.next_if(|added| *added < account) {
                visit(earlier);
            }
            // A grant that was removed and added again is in the base and in the log: it is named once.
            added.next_if_eq(&account);
            if !grants.is_changed(account) || grants.row(account).binary_search(&entitlement).is_ok() {
                visit(account);
            }
        }
        added.for_each(visit);
    }

    /// The logged accounts that still hold the entitlement, ascending, without duplicates.
    fn added_to(&self, grants: &Rows<u32>, entitlement: u32) -> Vec<u32> {
        if self.log.is_empty() && self.recent.is_empty() {
            return Vec::new();
        }
        let start = self.log.partition_point(|key| *key < pair(entitlement, 0));
        let logged = self.log[start..].iter().take_while(|key| (**key >> 32) as u32 == entitlement);
        let recent = self.recent.iter().filter(|key| (**key >> 32) as u32 == entitlement);
        let still = logged.chain(recent).map(|key| *key as u32);
        let mut added: Vec<u32> =
            still.filter(|account| grants.row(*account).binary_search(&entitlement).is_ok()).collect();
        added.sort_unstable();
        added.dedup();
        added
    }

    /// Heap bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        4 * self.offsets.capacity()
            + self.gaps.capacity()
            + 8 * (self.log.capacity() + self.recent.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_take_the_bytes_that_are_reserved_for_them() {
        for (gap, bytes) in
            [(0, 1), (1, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (1 << 28, 5), (u32::MAX, 5)]
        {
            assert_eq!(gap_bytes(gap), bytes, "gap {gap}");
        }
    }

    #[test]
    fn accounts_far_apart_come_back_as_they_were() {
        let held = [0u32, 1, 128, 129, 17_000, 17_001, 99_999];
        let pairs = || held.iter().map(|account| (*account, 0u32));
        let mut grants = Rows::group(100_000, "grants", pairs).unwrap();
        let mut holders = Holders::transpose(1, &grants);
        let found = |holders: &Holders, grants: &Rows<u32>| {
            let mut found = Vec::new();
            holders.for_each(grants, 0, |account| found.push(account));
            found
        };
        assert_eq!(found(&holders, &grants), held);
        for account in [128u32, 0] {
            grants.remove(account, 0);
        }
        for account in [500u32, 0, 100] {
            grants.insert(account, 0);
            holders.added(account, 0);
        }
        assert_eq!(found(&holders, &grants), [0, 1, 100, 129, 500, 17_000, 17_001, 99_999]);
    }
}
