//! Finds entitlements by their names without keeping the names a second time: a program may ask thousands of times a second.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};
use leasehold_model::id::{EntitlementAddress, EntitlementName};
use leasehold_model::snapshot::Snapshot;

use crate::engine::EntitlementIndex;

/// Indexes of entitlements by system and name. The names stay where they are: in the snapshot, and after those in the list
/// of what only the policy names.
#[derive(Default)]
pub(super) struct EntitlementNames {
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

/// Where the names are.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub snapshot: &'a Snapshot,
    pub unobserved: &'a [EntitlementAddress],
}

impl<'a> Named<'a> {
    fn at(self, index: u32) -> Option<(u32, &'a EntitlementName)> {
        let observed = &self.snapshot.entitlements;
        match observed.get(index as usize) {
            Some(found) => Some((found.system, &found.entitlement.name)),
            None => {
                let address = &self.unobserved[index as usize - observed.len()];
                Some((self.snapshot.system_position(&address.system)?, &address.entitlement))
            }
        }
    }
}

impl EntitlementNames {
    /// The index of a name.
    pub(super) fn get(
        &self,
        named: Named<'_>,
        system: u32,
        name: &EntitlementName,
    ) -> Option<EntitlementIndex> {
        let is_it = |index: &u32| named.at(*index) == Some((system, name));
        self.table.find(self.hasher.hash_one(Some((system, name))), is_it).copied().map(EntitlementIndex)
    }

    /// Takes the name of an index up. Of two that are named alike the first one is found.
    pub(super) fn insert(&mut self, named: Named<'_>, index: EntitlementIndex) {
        let Some((system, name)) = named.at(index.0) else { return };
        if self.get(named, system, name).is_none() {
            let hash = |index: &u32| self.hasher.hash_one(named.at(*index));
            let own = self.hasher.hash_one(Some((system, name)));
            self.table.insert_unique(own, index.0, hash);
        }
    }
}
