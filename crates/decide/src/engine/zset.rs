//! Drift as a Z-set: weight +1 for missing, -1 for held too much, kept in one open-addressing table of 64-bit words.

/// Top bit of a slot: set for weight -1.
const EXTRA: u64 = 1 << 63;
/// Key bit: the owner is an identity without exactly one account in the entitlement's system, not an account.
const BY_IDENTITY: u64 = 1 << 62;
/// No key has all bits set, because what is held too much always names an account.
const EMPTY: u64 = u64::MAX;

/// Whose row it is. A row is owned by the account where one account can be named, so that an observed change, which knows
/// only its account, finds the missing row that it mends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Account(u32),
    Identity(u32),
}

/// Packs an owner and an entitlement; both stay below 2^31.
#[inline]
pub(crate) fn key(owner: Owner, entitlement: u32) -> u64 {
    match owner {
        Owner::Account(account) => (u64::from(account) << 31) | u64::from(entitlement),
        Owner::Identity(identity) => BY_IDENTITY | (u64::from(identity) << 31) | u64::from(entitlement),
    }
}

/// Undoes [`key`].
fn parts(key: u64) -> (Owner, u32) {
    let number = ((key >> 31) & 0x7FFF_FFFF) as u32;
    let owner = if key & BY_IDENTITY == 0 { Owner::Account(number) } else { Owner::Identity(number) };
    (owner, (key & 0x7FFF_FFFF) as u32)
}

/// What adding a weight did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A row with this weight appeared.
    Appeared,
    /// The row with the opposite weight vanished.
    Vanished,
}

/// The table. Linear probing with backward-shift deletion, so there are no tombstones and a batch of changes touches about
/// one cache line each.
#[derive(Clone, Debug)]
pub(crate) struct ZSet {
    slots: Vec<u64>,
    len: usize,
    shift: u32,
}

impl ZSet {
    pub(crate) fn with_capacity(rows: usize) -> Self {
        let size = (rows * 3 / 2).next_power_of_two().max(16);
        ZSet { slots: vec![EMPTY; size], len: 0, shift: 64 - size.trailing_zeros() }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn home(&self, key: u64) -> usize {
        (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }

    /// Loads the slot where a key would lie, so that the misses of many keys overlap before they are added.
    #[inline]
    pub(crate) fn touch(&self, key: u64) -> u64 {
        self.slots[self.home(key)]
    }

    /// Makes room for so many more rows at once.
    pub(crate) fn reserve(&mut self, rows: usize) {
        while (self.len + rows) * 4 > self.slots.len() * 3 {
            self.grow();
        }
    }

    /// Adds +1 (`extra == false`) or -1 to a row whose weight allows it: weights stay within one of zero because facts and
    /// claims are sets.
    #[inline]
    pub(crate) fn add(&mut self, key: u64, extra: bool) -> Effect {
        let word = if extra { key | EXTRA } else { key };
        let mask = self.slots.len() - 1;
        let mut at = self.home(key);
        loop {
            let slot = self.slots[at & mask];
            if slot == EMPTY {
                break;
            }
            if slot & !EXTRA == key {
                debug_assert_ne!(slot, word, "a weight left the range -1..=1");
                self.delete(at & mask);
                return Effect::Vanished;
            }
            at += 1;
        }
        self.slots[at & mask] = word;
        self.len += 1;
        if self.len * 4 > self.slots.len() * 3 {
            self.grow();
        }
        Effect::Appeared
    }

    fn delete(&mut self, mut hole: usize) {
        let mask = self.slots.len() - 1;
        let mut next = (hole + 1) & mask;
        loop {
            let slot = self.slots[next];
            if slot == EMPTY {
                break;
            }
            let home = self.home(slot & !EXTRA);
            // The slot may move into the hole unless its home lies after the hole on the way here.
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(hole) & mask) {
                self.slots[hole] = slot;
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.slots[hole] = EMPTY;
        self.len -= 1;
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = ZSet::with_capacity(self.slots.len());
        let mask = larger.slots.len() - 1;
        for &slot in self.slots.iter().filter(|slot| **slot != EMPTY) {
            let mut at = larger.home(slot & !EXTRA);
            while larger.slots[at & mask] != EMPTY {
                at += 1;
            }
            larger.slots[at & mask] = slot;
        }
        larger.len = self.len;
        *self = larger;
    }

    /// Every row: owner, entitlement, and whether its weight is -1.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (Owner, u32, bool)> + '_ {
        self.slots.iter().filter(|slot| **slot != EMPTY).map(|slot| {
            let (owner, entitlement) = parts(*slot & !EXTRA);
            (owner, entitlement, *slot & EXTRA != 0)
        })
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_table_equals_a_map_of_weights_through_growth_and_deletion() {
        let mut table = ZSet::with_capacity(0);
        let mut model: BTreeMap<u64, i8> = BTreeMap::new();
        let mut state = 11u64;
        for _ in 0..200_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = (state >> 40) as u32 % 300;
            let owner =
                if number.is_multiple_of(7) { Owner::Identity(number) } else { Owner::Account(number) };
            let key = key(owner, (state >> 50) as u32 % 20);
            let extra = match model.get(&key) {
                Some(weight) => *weight > 0,
                None => (state >> 63) == 1,
            };
            let weight = if extra { -1 } else { 1 };
            let sum = model.remove(&key).unwrap_or(0) + weight;
            let effect = table.add(key, extra);
            if sum == 0 {
                assert_eq!(effect, Effect::Vanished);
            } else {
                assert_eq!(effect, Effect::Appeared);
                model.insert(key, sum);
            }
        }
        let mut rows: Vec<(u64, i8)> = table
            .rows()
            .map(|(owner, entitlement, extra)| (key(owner, entitlement), if extra { -1 } else { 1 }))
            .collect();
        rows.sort_unstable();
        assert_eq!(rows, model.into_iter().collect::<Vec<_>>());
        assert_eq!(table.len(), rows.len());
    }
}
