//! The second index: which accounts directly hold an entitlement.

use super::pair;
use super::rows::Rows;

/// Additions are searched one by one up to this many, then sorted into the log.
const RECENT_MAX: usize = 1024;

/// Accounts by entitlement: the transposed base, plus a log of what was added since. Removals need no entry, because a
/// candidate of a changed account is checked against that account's row.
#[derive(Clone, Debug)]
pub(crate) struct Holders {
    offsets: Vec<u32>,
    accounts: Vec<u32>,
    /// `pair(entitlement, account)`, ascending, without duplicates.
    log: Vec<u64>,
    recent: Vec<u64>,
}

impl Holders {
    /// Transposes rows by account, which must have no patches; each entitlement's accounts come out ascending.
    pub(crate) fn transpose(entitlements: usize, grants: &Rows<u32>) -> Self {
        let mut offsets = vec![0u32; entitlements + 1];
        for account in 0..grants.len() as u32 {
            for entitlement in grants.base(account) {
                offsets[*entitlement as usize] += 1;
            }
        }
        let mut sum = 0u32;
        for slot in &mut offsets {
            let count = *slot;
            *slot = sum;
            sum += count;
        }
        // The start of each row moves to its end while filling, that is to the start of the next: shift back afterwards.
        let mut accounts = vec![0u32; sum as usize];
        for account in 0..grants.len() as u32 {
            for entitlement in grants.base(account) {
                let slot = &mut offsets[*entitlement as usize];
                accounts[*slot as usize] = account;
                *slot += 1;
            }
        }
        offsets.rotate_right(1);
        offsets[0] = 0;
        Holders { offsets, accounts, log: Vec::new(), recent: Vec::new() }
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
        self.log.append(&mut self.recent);
        // Ordering an ascending run and a short unsorted tail is what the stable merge sort is good at.
        self.log.sort();
        self.log.dedup();
    }

    /// Calls `visit` once for every account that directly holds the entitlement now.
    pub(crate) fn for_each(&self, grants: &Rows<u32>, entitlement: u32, mut visit: impl FnMut(u32)) {
        let base = &self.accounts
            [self.offsets[entitlement as usize] as usize..self.offsets[entitlement as usize + 1] as usize];
        for &account in base {
            if !grants.is_patched(account) || grants.row(account).binary_search(&entitlement).is_ok() {
                visit(account);
            }
        }
        if self.log.is_empty() && self.recent.is_empty() {
            return;
        }
        // A grant that was removed and added again is in the base and in the log: the base has already named it.
        let mut added: Vec<u32> = Vec::new();
        let start = self.log.partition_point(|key| *key < pair(entitlement, 0));
        let logged = self.log[start..].iter().take_while(|key| (**key >> 32) as u32 == entitlement);
        let recent = self.recent.iter().filter(|key| (**key >> 32) as u32 == entitlement);
        for key in logged.chain(recent) {
            let account = *key as u32;
            if grants.row(account).binary_search(&entitlement).is_ok()
                && base.binary_search(&account).is_err()
            {
                added.push(account);
            }
        }
        added.sort_unstable();
        added.dedup();
        added.into_iter().for_each(visit);
    }

    /// Heap bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        4 * (self.offsets.capacity() + self.accounts.capacity())
            + 8 * (self.log.capacity() + self.recent.capacity())
    }
}
