//! Guards: what a plan may not do without a person who overrides it by name (law 7).

mod mass_departure;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use leasehold_model::id::{AccountKey, ActionId, EntitlementAddress, IdentityKey, SystemName};
use leasehold_model::plan::{Guard, GuardKind, PlanItem, Verb};

use crate::engine::{EntitlementIndex, access};
use crate::evaluate::Evaluation;

/// A plan that would end more than this share of a system's grants waits …
pub const SHARE_MAX: f64 = 0.2;
/// … where that is at least this many.
pub const COUNT_MIN: u64 = 20;

/// The guards that hold items of a plan back. Whoever names the identities that the plan is about has seen who it is.
pub fn guards(evaluation: &Evaluation<'_>, items: &[PlanItem], names_identities: bool) -> Vec<Guard> {
    let mut by_system: BTreeMap<&SystemName, Vec<&PlanItem>> = BTreeMap::new();
    for item in items.iter().filter(|item| item.verb.takes_away()) {
        by_system.entry(&item.system).or_default().push(item);
    }
    let mut guards = Vec::new();
    for (system, items) in by_system {
        guards.extend(blast_radius(evaluation, system, &items));
        guards.extend(last_administrator(evaluation, system, &items));
        guards.extend(owner_gone(evaluation, system, &items));
    }
    if !names_identities {
        guards.extend(mass_departure::guards(evaluation, items));
    }
    guards
}

fn blast_radius(evaluation: &Evaluation<'_>, system: &SystemName, items: &[&PlanItem]) -> Option<Guard> {
    let snapshot = evaluation.inputs.snapshot;
    let settings = evaluation.inputs.policy.guards.get(system);
    let share_max = settings.and_then(|settings| settings.share_max).unwrap_or(SHARE_MAX);
    let count_min = settings.and_then(|settings| settings.count_min).unwrap_or(COUNT_MIN);
    let position = snapshot.system_position(system)?;
    let of_system = |account: u32| snapshot.accounts[account as usize].system == position;
    let grants = snapshot.grants.iter().filter(|grant| of_system(grant.account)).count();
    let accounts = snapshot.accounts.iter().filter(|account| account.system == position).count();
    let count = |verb: Verb| items.iter().filter(|item| item.verb == verb).count();
    let exceeds =
        |ended: usize, all: usize| ended as u64 >= count_min && ended as f64 > share_max * all as f64;
    // An account whose keys are stopped is as closed to what uses them as one whose log-ins are.
    let closing = [Verb::DisableAccount, Verb::DisableCredential, Verb::RevokeCredential];
    let closed = items.iter().filter(|item| closing.contains(&item.verb)).map(|item| &item.account_key);
    let (revoked, disabled) = (count(Verb::Revoke), closed.collect::<HashSet<_>>().len());
    let what = match (exceeds(revoked, grants), exceeds(disabled, accounts)) {
        (false, false) => return None,
        (true, false) => format!("{revoked} of {grants} grants would end"),
        (false, true) => format!("{disabled} of {accounts} accounts would be disabled"),
        (true, true) => {
            format!(
                "{revoked} of {grants} grants would end and {disabled} of {accounts} accounts would be disabled"
            )
        }
    };
    let name = format!("{}:{system}", GuardKind::BlastRadius.as_str());
    let who: HashSet<Option<&IdentityKey>> = items.iter().map(|item| item.identity.as_ref()).collect();
    let one = who.iter().next().copied().flatten().filter(|_| who.len() == 1);
    let leaver = one.filter(|key| {
        let index = evaluation.identity(key);
        index.is_some_and(|index| evaluation.identities[index.index()].has_left(evaluation.inputs.now))
    });
    let way_on = match leaver {
        // A baseline is no reason for who has left, and the rest of the drift is not meant by it.
        Some(leaver) => format!("if all of this is meant: `leasehold offboard {leaver} --override {name}`"),
        None => format!(
            "give what is there a reason that ends: `leasehold baseline adopt {system} --until DATE --owner IDENTITY`; or, if all of \
             this is meant: `leasehold apply --override {name}`"
        ),
    };
    Some(Guard {
        name,
        kind: GuardKind::BlastRadius,
        system: system.clone(),
        message: format!("{what} in {system}; more than {:.0} % waits for a person", share_max * 100.0),
        way_on,
        holds: items.iter().map(|item| item.id.clone()).collect(),
    })
}

/// A role ends with its owner (law 4), and whoever held it works on without having changed anything: a person first
/// names somebody who answers for the role, or means its end.
fn owner_gone(evaluation: &Evaluation<'_>, system: &SystemName, items: &[&PlanItem]) -> Vec<Guard> {
    let mut by_role: BTreeMap<(&str, &IdentityKey), Vec<ActionId>> = BTreeMap::new();
    for item in items.iter().filter(|item| item.verb == Verb::Revoke) {
        let identity = item.identity.as_ref().and_then(|key| evaluation.identity(key));
        let entitlement = item.entitlement.clone().and_then(|entitlement| {
            evaluation.entitlement(&EntitlementAddress { system: system.clone(), entitlement })
        });
        let (Some(identity), Some(entitlement)) = (identity, entitlement) else { continue };
        // Whoever may hold nothing any more loses it with or without the role.
        if !evaluation.identities[identity.index()].may_hold_access(evaluation.inputs.now) {
            continue;
        }
        for role in evaluation.ended_roles_of(identity, entitlement) {
            by_role.entry((&role.name, &role.owner.value)).or_default().push(item.id.clone());
        }
    }
    let guard = |((role, owner), holds): ((&str, &IdentityKey), Vec<ActionId>)| {
        let ends = Ends { what: format!("role {role}"), owner: owner.to_string(), name: role };
        let mend = format!("name a new `owner` in `[role.{role}]` and run `leasehold policy apply`");
        ended_with_owner(system, &ends, &mend, items, holds)
    };
    let mut guards: Vec<Guard> = by_role.into_iter().map(guard).collect();
    guards.extend(baseline_owner_gone(evaluation, system, items));
    guards
}

/// A baseline ends with its owner, too, and with it most of what a system holds that was connected lately.
fn baseline_owner_gone(
    evaluation: &Evaluation<'_>,
    system: &SystemName,
    items: &[&PlanItem],
) -> Option<Guard> {
    let baseline = evaluation.baseline_of_gone_owner(system)?;
    let position = evaluation.inputs.snapshot.system_position(system)?;
    let accounts = (0u32..).zip(&evaluation.inputs.snapshot.accounts);
    let by_key: HashMap<&AccountKey, u32> = accounts
        .filter(|(_, account)| account.system == position)
        .map(|(index, account)| (&account.account.key, index))
        .collect();
    let is_covered = |item: &&&PlanItem| {
        let live = item.identity.as_ref().and_then(|key| evaluation.identity(key)).is_some_and(|identity| {
            evaluation.identities[identity.index()].may_hold_access(evaluation.inputs.now)
        });
        let address = item
            .entitlement
            .clone()
            .map(|entitlement| EntitlementAddress { system: system.clone(), entitlement });
        let entitlement = address.and_then(|address| evaluation.entitlement(&address));
        let account = by_key.get(&item.account_key).map(|position| evaluation.index_of(*position));
        live && account
            .zip(entitlement)
            .is_some_and(|(account, entitlement)| evaluation.covers(baseline, account, entitlement))
    };
    let holds: Vec<ActionId> = items
        .iter()
        .filter(|item| item.verb == Verb::Revoke)
        .filter(is_covered)
        .map(|item| item.id.clone())
        .collect();
    if holds.is_empty() {
        return None;
    }
    let ends =
        Ends { what: format!("the baseline of {system}"), owner: baseline.owner.clone(), name: "baseline" };
    let mend = format!(
        "let somebody else answer for it: `leasehold baseline adopt {system} --until DATE --owner IDENTITY`"
    );
    Some(ended_with_owner(system, &ends, &mend, items, holds))
}

/// A reason that ended with its owner.
struct Ends<'name> {
    what: String,
    owner: String,
    name: &'name str,
}

fn ended_with_owner(
    system: &SystemName,
    ends: &Ends<'_>,
    mend: &str,
    items: &[&PlanItem],
    mut holds: Vec<ActionId>,
) -> Guard {
    let Ends { what, owner, name } = ends;
    let name = format!("{}:{system}:{name}", GuardKind::OwnerGone.as_str());
    let count = holds.len();
    let grants = if count == 1 { "grant" } else { "grants" };
    // Sessions end for what was taken away, so they wait with it.
    let waits = |account: &AccountKey| {
        items.iter().any(|item| item.account_key == *account && holds.contains(&item.id))
    };
    let sessions = items.iter().filter(|item| item.verb == Verb::EndSessions && waits(&item.account_key));
    let sessions: Vec<ActionId> = sessions.map(|item| item.id.clone()).collect();
    holds.extend(sessions);
    Guard {
        kind: GuardKind::OwnerGone,
        system: system.clone(),
        message: format!(
            "{what} ended with its owner {owner}, and {count} {grants} in {system} would end with it"
        ),
        way_on: format!("{mend}; or, if it is to end: `leasehold apply --override '{name}'`"),
        name,
        holds,
    }
}

/// Somebody must be left who can administer the system: an enabled account that effectively holds what the policy, or
/// the system itself, calls administrative.
fn last_administrator(evaluation: &Evaluation<'_>, system: &SystemName, items: &[&PlanItem]) -> Vec<Guard> {
    let Some(position) = evaluation.inputs.snapshot.system_position(system) else { return Vec::new() };
    let mut administrative: BTreeSet<EntitlementIndex> = BTreeSet::new();
    if let Some(settings) = evaluation.inputs.policy.guards.get(system) {
        administrative.extend(
            settings.administrators.iter().filter_map(|address| evaluation.entitlement(&address.value)),
        );
    }
    for (index, entitlement) in (0u32..).zip(&evaluation.inputs.snapshot.entitlements) {
        if entitlement.system == position && entitlement.entitlement.privileged {
            administrative.insert(EntitlementIndex(index));
        }
    }
    let disabled: HashSet<&AccountKey> =
        items.iter().filter(|item| item.verb == Verb::DisableAccount).map(|item| &item.account_key).collect();
    let mut guards = Vec::new();
    for entitlement in administrative {
        let name = evaluation.entitlement_name(entitlement);
        let losing: HashSet<&AccountKey> = items
            .iter()
            .filter(|item| item.verb == Verb::Revoke && item.must_end.contains(name))
            .map(|item| &item.account_key)
            .collect();
        let mut holders: HashSet<&AccountKey> = HashSet::new();
        for holder in access::who(&evaluation.graph, entitlement, evaluation.now()) {
            let account = &evaluation.account(holder.account).account;
            if account.enabled {
                holders.insert(&account.key);
            }
        }
        let left = holders.iter().filter(|key| !disabled.contains(*key) && !losing.contains(*key)).count();
        if holders.is_empty() || left > 0 {
            continue;
        }
        let held: Vec<_> = items
            .iter()
            .filter(|item| holders.contains(&item.account_key))
            .map(|item| item.id.clone())
            .collect();
        guards.push(Guard {
            name: format!("{}:{system}:{name}", GuardKind::LastAdministrator.as_str()),
            kind: GuardKind::LastAdministrator,
            system: system.clone(),
            message: format!("nobody with an enabled account would be left to hold {name} in {system}"),
            way_on: format!(
                "give somebody a reason to hold {name} first, protect an account in the policy, or override: \
                 `leasehold apply --override '{}:{system}:{name}'`",
                GuardKind::LastAdministrator.as_str()
            ),
            holds: held,
        });
    }
    guards
}
