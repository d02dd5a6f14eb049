//! Puts the generated data into the engine, as a caller of the product would.

use anyhow::Context;
use leasehold_decide::engine::graph::{AccountHandle, Graph, GraphBuilder};
use leasehold_decide::engine::justification::{Justification, JustificationBuilder};
use leasehold_decide::engine::sod::SodSet;
use leasehold_decide::engine::{EntitlementIndex, IdentityIndex, RoleIndex, SystemIndex};

use crate::data::Data;

/// A graph of grants given as packed `(user, entitlement)` in any order. Entitlement `e` is in system `e % systems`.
pub fn graph(
    data: &Data,
    systems: u32,
    grant_count: usize,
    grants: impl Iterator<Item = u64>,
) -> anyhow::Result<Graph> {
    let mut builder = GraphBuilder::new(systems, data.users);
    for entitlement in 0..data.entitlements {
        builder.add_entitlement(SystemIndex(entitlement % systems))?;
    }
    for user in 0..data.users {
        for system in 0..systems {
            builder.add_account(SystemIndex(system), Some(IdentityIndex(user)))?;
        }
    }
    builder.reserve_grants(grant_count);
    for pair in grants {
        let (user, entitlement) = ((pair >> 32) as u32, pair as u32);
        builder.add_grant(
            AccountHandle(user * systems + entitlement % systems),
            EntitlementIndex(entitlement),
        )?;
    }
    Ok(builder.finish().context("building the graph")?.graph)
}

/// A graph of the data in user order.
pub fn resident_graph(data: &Data, systems: u32) -> anyhow::Result<Graph> {
    let pairs =
        data.observed.pairs().map(|(user, entitlement)| (u64::from(user) << 32) | u64::from(entitlement));
    graph(data, systems, data.grants(), pairs)
}

/// The claims of the data.
pub fn justification(data: &Data, graph: &Graph) -> anyhow::Result<Justification> {
    let mut claims = JustificationBuilder::new();
    for role in 0..data.roles.len() {
        claims.add_role(data.roles.row(role).iter().copied().map(EntitlementIndex));
    }
    for (user, (role, end)) in data.assignments.pairs() {
        claims.assign(IdentityIndex(user), RoleIndex(role), end);
    }
    for (number, (user, (entitlement, end))) in data.explicit.pairs().enumerate() {
        claims.add_explicit(IdentityIndex(user), EntitlementIndex(entitlement), end, number as u32);
    }
    for (user, entitlement) in &data.reviews {
        claims.withhold(IdentityIndex(*user), EntitlementIndex(*entitlement));
    }
    claims.all_live();
    claims.finish(graph).context("building the claims")
}

/// The toxic pairs as SoD sets.
pub fn sod_sets(data: &Data) -> Vec<SodSet> {
    let side = |entitlement: u32| vec![EntitlementIndex(entitlement)];
    data.toxic.iter().map(|(left, right)| SodSet { sides: vec![side(*left), side(*right)] }).collect()
}
