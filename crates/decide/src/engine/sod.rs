//! Separation of duties: who effectively holds something of two sides that one identity may not hold together.

use roaring::RoaringBitmap;

use super::bits::BitSet;
use super::graph::Graph;
use super::{EngineError, EntitlementIndex, IdentityIndex, Seconds, known};

/// One set of sides. An identity that effectively holds something of any two sides is toxic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SodSet {
    /// The sides, each a list of entitlements.
    pub sides: Vec<Vec<EntitlementIndex>>,
}

/// An identity that a set forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Toxic {
    /// Position of the set in the list given to [`SodIndex::build`].
    pub set: u32,
    /// Who.
    pub identity: IdentityIndex,
}

/// Who effectively holds each entitlement that a set names. Grants outside their validity do not count.
#[derive(Clone, Debug)]
pub struct SodIndex {
    /// Sides as positions in `named`.
    sets: Vec<Vec<Vec<u32>>>,
    /// The entitlements that any set names, ascending.
    named: Vec<u32>,
    /// The same as bits, because nearly every changed grant is of none of them.
    is_named: BitSet,
    holders: Vec<RoaringBitmap>,
}

impl SodIndex {
    /// Reads the holders of every named entitlement from the graph.
    pub fn build(graph: &Graph, sets: &[SodSet], now: Seconds) -> Result<Self, EngineError> {
        let mut named: Vec<u32> = Vec::new();
        for entitlement in sets.iter().flat_map(|set| set.sides.iter().flatten()) {
            known("entitlement", entitlement.0, graph.entitlement_count())?;
            named.push(entitlement.0);
        }
        named.sort_unstable();
        named.dedup();
        let holders = graph.identities_holding_each(&named, now);
        let position =
            |entitlement: &EntitlementIndex| named.partition_point(|other| *other < entitlement.0) as u32;
        let sets = sets
            .iter()
            .map(|set| set.sides.iter().map(|side| side.iter().map(position).collect()).collect())
            .collect();
        let mut is_named = BitSet::new(graph.entitlement_count());
        named.iter().for_each(|entitlement| is_named.set(*entitlement as usize));
        Ok(SodIndex { sets, named, is_named, holders })
    }

    /// All toxic identities, by set, then by identity.
    pub fn toxic(&self) -> Vec<Toxic> {
        let mut rows = Vec::new();
        for set in 0..self.sets.len() as u32 {
            let identities = self.toxic_of_set(set);
            rows.extend(identities.iter().map(|identity| Toxic { set, identity: IdentityIndex(identity) }));
        }
        rows
    }

    /// The toxic identities of one set.
    pub fn toxic_of_set(&self, set: u32) -> RoaringBitmap {
        let sides = &self.sets[set as usize];
        if let [left, right] = sides.as_slice()
            && let ([left], [right]) = (left.as_slice(), right.as_slice())
        {
            return &self.holders[*left as usize] & &self.holders[*right as usize];
        }
        // Held on two sides means: already seen on an earlier side.
        let mut seen = RoaringBitmap::new();
        let mut toxic = RoaringBitmap::new();
        for side in sides {
            let mut holding = RoaringBitmap::new();
            for named in side {
                holding |= &self.holders[*named as usize];
            }
            toxic |= &seen & &holding;
            seen |= holding;
        }
        toxic
    }

    /// The sets that one identity violates.
    pub fn toxic_of_identity(&self, identity: IdentityIndex) -> Vec<u32> {
        let violated = |sides: &Vec<Vec<u32>>| {
            let held = sides
                .iter()
                .filter(|side| side.iter().any(|named| self.holders[*named as usize].contains(identity.0)));
            held.take(2).count() == 2
        };
        let sets = self.sets.iter().enumerate().filter(|(_, sides)| violated(sides));
        sets.map(|(set, _)| set as u32).collect()
    }

    /// Takes in a direct grant of `entitlement` that appeared or vanished in `graph`.
    #[inline]
    pub fn grant_changed(
        &mut self,
        graph: &Graph,
        identity: IdentityIndex,
        entitlement: EntitlementIndex,
        now: Seconds,
    ) {
        let reached = graph.containment().reaches(entitlement.0);
        if reached.is_empty() {
            if self.is_named.get(entitlement.index())
                && let Ok(position) = self.named.binary_search(&entitlement.0)
            {
                self.refresh(graph, identity, position, now);
            }
            return;
        }
        for entitlement in reached {
            if let Ok(position) = self.named.binary_search(entitlement) {
                self.refresh(graph, identity, position, now);
            }
        }
    }

    /// Reads every named entitlement of one identity again, as when the validity of its grants began or ended.
    pub fn refresh_identity(&mut self, graph: &Graph, identity: IdentityIndex, now: Seconds) {
        for position in 0..self.named.len() {
            self.refresh(graph, identity, position, now);
        }
    }

    fn refresh(&mut self, graph: &Graph, identity: IdentityIndex, position: usize, now: Seconds) {
        if graph.holds_effectively(identity, EntitlementIndex(self.named[position]), now) {
            self.holders[position].insert(identity.0);
        } else {
            self.holders[position].remove(identity.0);
        }
    }

    /// Heap bytes, taking the serialised size for that of a bitmap.
    pub fn memory_bytes(&self) -> usize {
        self.named.capacity() * 4
            + self.is_named.memory_bytes()
            + self.holders.iter().map(RoaringBitmap::serialized_size).sum::<usize>()
    }
}
