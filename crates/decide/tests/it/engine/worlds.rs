//! Seeded random worlds and changes, and their translation into the engine.

use std::collections::BTreeSet;

use leasehold_decide::engine::graph::{AccountHandle, Built, GraphBuilder, Validity};
use leasehold_decide::engine::incremental::Change;
use leasehold_decide::engine::justification::{Justification, JustificationBuilder};
use leasehold_decide::engine::sod::SodSet;
use leasehold_decide::engine::{EntitlementIndex, IdentityIndex, NEVER, RoleIndex, SystemIndex};

use super::oracle::{Baseline, World};

/// Last second of the little calendar that the worlds live in.
pub const HORIZON: u32 = 40;

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((word ^ (word >> 31)) % u64::from(bound.max(1))) as u32
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    fn end(&mut self) -> u32 {
        if self.chance(50) { NEVER } else { self.below(HORIZON) }
    }

    fn validity(&mut self) -> (u32, u32) {
        if self.chance(80) { (0, NEVER) } else { (self.below(HORIZON), self.below(HORIZON)) }
    }
}

/// Which features a world uses; everything off is the plain case that the Z-set handles without looking anything up.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    pub containment: bool,
    pub many_accounts: bool,
    pub validity: bool,
    pub baselines: bool,
}

pub fn world(random: &mut Random, features: Features) -> World {
    let mut world =
        World { systems: 1 + random.below(3), identities: 1 + random.below(6), ..World::default() };
    for _ in 0..3 + random.below(10) {
        world.entitlements.push(random.below(world.systems));
    }
    for identity in 0..world.identities {
        for system in 0..world.systems {
            if random.chance(75) {
                world.accounts.push((system, Some(identity)));
            }
            if features.many_accounts && random.chance(25) {
                world.accounts.push((system, Some(identity)));
            }
            if random.chance(10) {
                world.accounts.push((system, None));
            }
        }
    }
    // Accounts out of identity order, so that the engine has to renumber them.
    for position in (1..world.accounts.len()).rev() {
        world.accounts.swap(position, random.below(position as u32 + 1) as usize);
    }
    let entitlements = world.entitlements.len() as u32;
    if features.containment {
        for _ in 0..random.below(2 * entitlements) {
            world.contains.insert((random.below(entitlements), random.below(entitlements)));
        }
    }
    for account in 0..world.accounts.len() as u32 {
        for entitlement in 0..entitlements {
            let same_system = world.accounts[account as usize].0 == world.entitlements[entitlement as usize];
            if same_system && random.chance(40) {
                let validity = if features.validity { random.validity() } else { (0, NEVER) };
                world.grants.insert((account, entitlement), validity);
            }
        }
    }
    for _ in 0..random.below(4) {
        let named = (0..random.below(4)).map(|_| random.below(entitlements)).collect();
        world.roles.push(named);
    }
    for identity in 0..world.identities {
        for role in 0..world.roles.len() as u32 {
            if random.chance(40) {
                world.assignments.insert((identity, role, random.end()));
            }
        }
        for source in 0..random.below(4) {
            world.explicit.insert((identity, random.below(entitlements), random.end(), source));
        }
        if random.chance(20) {
            world.withheld.insert((identity, random.below(entitlements)));
        }
        if random.chance(80) {
            world.live.insert(identity);
        }
    }
    if features.baselines {
        for _ in 0..random.below(3) {
            let system = random.below(world.systems);
            let of_system =
                world.grants.keys().filter(|(account, _)| world.accounts[*account as usize].0 == system);
            let covered = of_system.copied().filter(|_| random.chance(60)).collect();
            let whole_system = random.chance(50);
            let end = random.end();
            world.baselines.push(Baseline { system, end, whole_system, covered });
        }
    }
    for _ in 0..random.below(4) {
        let side = |random: &mut Random| -> Vec<u32> {
            (0..1 + random.below(2)).map(|_| random.below(entitlements)).collect()
        };
        let sides = (0..2 + random.below(2)).map(|_| side(random)).collect();
        world.sod.push(sides);
    }
    world
}

pub fn build(world: &World) -> (Built, Justification) {
    let mut builder = GraphBuilder::new(world.systems, world.identities);
    for system in &world.entitlements {
        builder.add_entitlement(SystemIndex(*system)).unwrap();
    }
    for (system, identity) in &world.accounts {
        builder.add_account(SystemIndex(*system), identity.map(IdentityIndex)).unwrap();
    }
    for ((account, entitlement), (from, until)) in &world.grants {
        let validity = Validity { from: *from, until: *until };
        builder.add_grant_within(AccountHandle(*account), EntitlementIndex(*entitlement), validity).unwrap();
    }
    for (parent, child) in &world.contains {
        builder.add_containment(EntitlementIndex(*parent), EntitlementIndex(*child)).unwrap();
    }
    let built = builder.finish().unwrap();

    let mut claims = JustificationBuilder::new();
    for named in &world.roles {
        claims.add_role(named.iter().copied().map(EntitlementIndex));
    }
    for (identity, role, end) in &world.assignments {
        claims.assign(IdentityIndex(*identity), RoleIndex(*role), *end);
    }
    for (identity, entitlement, end, source) in &world.explicit {
        claims.add_explicit(IdentityIndex(*identity), EntitlementIndex(*entitlement), *end, *source);
    }
    for (identity, entitlement) in &world.withheld {
        claims.withhold(IdentityIndex(*identity), EntitlementIndex(*entitlement));
    }
    for identity in &world.live {
        claims.live(IdentityIndex(*identity));
    }
    for (source, baseline) in world.baselines.iter().enumerate() {
        let system = SystemIndex(baseline.system);
        let place = |grant: &(u32, u32)| (built.account(AccountHandle(grant.0)), EntitlementIndex(grant.1));
        if baseline.whole_system {
            let handle = claims.add_baseline_of_system(system, baseline.end, source as u32);
            let all: BTreeSet<(u32, u32)> = world.grants.keys().copied().collect();
            for grant in all.difference(&baseline.covered) {
                let (account, entitlement) = place(grant);
                claims.except(handle, account, entitlement);
            }
        } else {
            let handle = claims.add_baseline_of_grants(system, baseline.end, source as u32);
            for grant in &baseline.covered {
                let (account, entitlement) = place(grant);
                claims.cover(handle, account, entitlement);
            }
        }
    }
    let justification = claims.finish(&built.graph).unwrap();
    (built, justification)
}

pub fn sod_sets(world: &World) -> Vec<SodSet> {
    let side = |side: &Vec<u32>| side.iter().copied().map(EntitlementIndex).collect();
    world.sod.iter().map(|sides| SodSet { sides: sides.iter().map(side).collect() }).collect()
}

/// Draws one change, applies it to the world and returns it for the engine.
pub fn change(random: &mut Random, features: Features, world: &mut World, built: &Built) -> Option<Change> {
    let identity = random.below(world.identities);
    let entitlement = random.below(world.entitlements.len() as u32);
    match random.below(10) {
        0..=4 => {
            let account = random.below(world.accounts.len() as u32);
            if world.accounts.get(account as usize)?.0 != world.entitlements[entitlement as usize] {
                return None;
            }
            let index = built.account(AccountHandle(account));
            let grant = (account, entitlement);
            if random.chance(50) {
                if world.grants.remove(&grant).is_some() {
                    world.baselines.iter_mut().for_each(|baseline| {
                        baseline.covered.remove(&grant);
                    });
                }
                return Some(Change::GrantRemoved {
                    account: index,
                    entitlement: EntitlementIndex(entitlement),
                });
            }
            let (from, until) = if features.validity { random.validity() } else { (0, NEVER) };
            world.grants.insert(grant, (from, until));
            let validity = Validity { from, until };
            Some(Change::GrantAdded { account: index, entitlement: EntitlementIndex(entitlement), validity })
        }
        5 => {
            let (end, source) = (random.end(), random.below(3));
            world.explicit.insert((identity, entitlement, end, source));
            let (identity, entitlement) = (IdentityIndex(identity), EntitlementIndex(entitlement));
            Some(Change::ExplicitAdded { identity, entitlement, end, source })
        }
        6 => {
            let (_, entitlement, _, source) =
                *world.explicit.iter().find(|(whose, _, _, _)| *whose == identity)?;
            world.explicit.retain(|row| (row.0, row.1, row.3) != (identity, entitlement, source));
            let (identity, entitlement) = (IdentityIndex(identity), EntitlementIndex(entitlement));
            Some(Change::ExplicitRemoved { identity, entitlement, source })
        }
        7 => {
            if world.roles.is_empty() {
                return None;
            }
            let role = random.below(world.roles.len() as u32);
            if random.chance(40) {
                let named: BTreeSet<u32> =
                    (0..random.below(4)).map(|_| random.below(world.entitlements.len() as u32)).collect();
                let entitlements = named.iter().copied().map(EntitlementIndex).collect();
                world.roles[role as usize] = named;
                return Some(Change::RoleEdited { role: RoleIndex(role), entitlements });
            }
            if random.chance(50) {
                let end = random.end();
                world.assignments.insert((identity, role, end));
                return Some(Change::AssignmentAdded {
                    identity: IdentityIndex(identity),
                    role: RoleIndex(role),
                    end,
                });
            }
            let (_, role, end) = *world.assignments.iter().find(|(whose, _, _)| *whose == identity)?;
            world.assignments.remove(&(identity, role, end));
            Some(Change::AssignmentRemoved { identity: IdentityIndex(identity), role: RoleIndex(role), end })
        }
        8 => {
            let live = random.chance(60);
            if live {
                world.live.insert(identity);
            } else {
                world.live.remove(&identity);
            }
            Some(Change::LiveChanged { identity: IdentityIndex(identity), live })
        }
        _ => {
            let withheld = random.chance(50);
            if withheld {
                world.withheld.insert((identity, entitlement));
            } else {
                world.withheld.remove(&(identity, entitlement));
            }
            let (identity, entitlement) = (IdentityIndex(identity), EntitlementIndex(entitlement));
            Some(Change::WithheldChanged { identity, entitlement, withheld })
        }
    }
}
