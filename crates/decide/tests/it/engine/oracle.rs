//! The slow oracle: sets of tuples and breadth-first search, written from the definitions alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Facts and claims as plain sets. Accounts are numbered by insertion.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub systems: u32,
    pub identities: u32,
    pub entitlements: Vec<u32>,
    pub accounts: Vec<(u32, Option<u32>)>,
    /// `(account, entitlement)` to `(from, until)`.
    pub grants: BTreeMap<(u32, u32), (u32, u32)>,
    pub contains: BTreeSet<(u32, u32)>,
    pub roles: Vec<BTreeSet<u32>>,
    /// `(identity, role, end)`.
    pub assignments: BTreeSet<(u32, u32, u32)>,
    /// `(identity, entitlement, end, source)`.
    pub explicit: BTreeSet<(u32, u32, u32, u32)>,
    pub withheld: BTreeSet<(u32, u32)>,
    pub live: BTreeSet<u32>,
    pub baselines: Vec<Baseline>,
    pub sod: Vec<Vec<Vec<u32>>>,
}

/// A baseline with every grant it covers.
#[derive(Clone, Debug)]
pub struct Baseline {
    pub system: u32,
    pub end: u32,
    pub whole_system: bool,
    pub covered: BTreeSet<(u32, u32)>,
}

/// `(identity, account, entitlement, kind)` with the kind as a word.
pub type Row = (u32, Option<u32>, u32, &'static str);

impl World {
    /// Everything reachable from these entitlements, themselves included.
    pub fn closure(&self, from: impl IntoIterator<Item = u32>) -> BTreeSet<u32> {
        let mut queue: VecDeque<u32> = from.into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(entitlement) = queue.pop_front() {
            if seen.insert(entitlement) {
                queue.extend(self.contains.iter().filter(|edge| edge.0 == entitlement).map(|edge| edge.1));
            }
        }
        seen
    }

    /// Direct grants of an account that are held now.
    pub fn direct(&self, account: u32, now: u32) -> BTreeSet<u32> {
        let of_account = self.grants.iter().filter(|((holder, _), _)| *holder == account);
        of_account
            .filter(|(_, (from, until))| *from <= now && now < *until)
            .map(|((_, held), _)| *held)
            .collect()
    }

    /// The accounts of an identity.
    pub fn accounts_of(&self, identity: u32) -> Vec<u32> {
        (0..self.accounts.len() as u32)
            .filter(|account| self.accounts[*account as usize].1 == Some(identity))
            .collect()
    }

    fn owed(&self, identity: u32, now: u32) -> BTreeSet<u32> {
        let roles = self.assignments.iter().filter(|(whose, _, end)| *whose == identity && now < *end);
        let mut owed: BTreeSet<u32> =
            roles.flat_map(|(_, role, _)| self.roles[*role as usize].clone()).collect();
        let explicit = self.explicit.iter().filter(|(whose, _, end, _)| *whose == identity && now < *end);
        owed.extend(explicit.map(|(_, entitlement, _, _)| *entitlement));
        owed
    }

    fn lapsed(&self, identity: u32, now: u32) -> BTreeSet<u32> {
        let roles = self.assignments.iter().filter(|(whose, _, end)| *whose == identity && now >= *end);
        let mut lapsed: BTreeSet<u32> =
            roles.flat_map(|(_, role, _)| self.roles[*role as usize].clone()).collect();
        let explicit = self.explicit.iter().filter(|(whose, _, end, _)| *whose == identity && now >= *end);
        lapsed.extend(explicit.map(|(_, entitlement, _, _)| *entitlement));
        self.closure(lapsed)
    }

    /// What roles and explicit reasons allow.
    pub fn allowed(&self, identity: u32, now: u32) -> BTreeSet<u32> {
        if !self.live.contains(&identity) {
            return BTreeSet::new();
        }
        let closed = self.closure(self.owed(identity, now)).into_iter();
        closed.filter(|entitlement| !self.withheld.contains(&(identity, *entitlement))).collect()
    }

    /// Whether a live baseline covers the grant.
    pub fn baselined(&self, account: u32, entitlement: u32, now: u32) -> bool {
        self.baselines
            .iter()
            .any(|baseline| baseline.covered.contains(&(account, entitlement)) && now < baseline.end)
    }

    /// All drift rows.
    pub fn drift(&self, now: u32) -> BTreeSet<Row> {
        let mut rows = BTreeSet::new();
        for identity in 0..self.identities {
            let allowed = self.allowed(identity, now);
            let lapsed = self.lapsed(identity, now);
            let mut held = BTreeSet::new();
            for account in self.accounts_of(identity) {
                let direct = self.direct(account, now);
                for &entitlement in &direct {
                    if !self.live.contains(&identity) {
                        rows.insert((identity, Some(account), entitlement, "not live"));
                    } else if !allowed.contains(&entitlement) && !self.baselined(account, entitlement, now) {
                        let was_covered = self
                            .baselines
                            .iter()
                            .any(|baseline| baseline.covered.contains(&(account, entitlement)));
                        let withheld = self.withheld.contains(&(identity, entitlement));
                        let expired = !withheld && (was_covered || lapsed.contains(&entitlement));
                        rows.insert((
                            identity,
                            Some(account),
                            entitlement,
                            if expired { "expired" } else { "unjustified" },
                        ));
                    }
                }
                held.extend(direct);
            }
            if self.live.contains(&identity) {
                let effective = self.closure(held);
                for entitlement in self.owed(identity, now) {
                    if allowed.contains(&entitlement) && !effective.contains(&entitlement) {
                        rows.insert((identity, None, entitlement, "missing"));
                    }
                }
            }
        }
        rows
    }

    /// What all accounts of an identity effectively hold.
    pub fn effective(&self, identity: u32, now: u32) -> BTreeSet<u32> {
        let direct: BTreeSet<u32> =
            self.accounts_of(identity).into_iter().flat_map(|account| self.direct(account, now)).collect();
        self.closure(direct)
    }

    /// `(set, identity)` for everybody with two sides of a set.
    pub fn toxic(&self, now: u32) -> BTreeSet<(u32, u32)> {
        let mut rows = BTreeSet::new();
        for identity in 0..self.identities {
            let held = self.effective(identity, now);
            for (set, sides) in self.sod.iter().enumerate() {
                if sides
                    .iter()
                    .filter(|side| side.iter().any(|entitlement| held.contains(entitlement)))
                    .count()
                    > 1
                {
                    rows.insert((set as u32, identity));
                }
            }
        }
        rows
    }

    /// `(account, via)` for every account that effectively holds the entitlement.
    pub fn who(&self, entitlement: u32, now: u32) -> BTreeSet<(u32, u32)> {
        let mut rows = BTreeSet::new();
        for account in 0..self.accounts.len() as u32 {
            for via in self.direct(account, now) {
                if self.closure([via]).contains(&entitlement) {
                    rows.insert((account, via));
                }
            }
        }
        rows
    }
}
