//! What keeps a plan from touching something: protection, what was never read completely, what nobody can decide.

use std::collections::HashMap;

use leasehold_model::id::SystemName;

use crate::engine::{AccountIndex, EntitlementIndex};
use crate::evaluate::{Evaluation, Inputs};

/// Accounts that no plan touches, with why: protected ones, those for emergencies, and the connectors' own. Names match
/// in any case: protecting one account too many is harmless.
pub(super) fn untouchable(evaluation: &Evaluation<'_>) -> HashMap<AccountIndex, String> {
    let Inputs { snapshot, policy, systems, .. } = evaluation.inputs;
    let mut protected: HashMap<(&SystemName, String), String> = HashMap::new();
    for named in &policy.protected {
        let words = match &named.break_glass {
            Some((owner, until)) => {
                format!("break-glass account ({}), owned by {owner}, until {until}", named.name)
            }
            None => format!("protected by the policy ({}): {}", named.name, named.why),
        };
        protected.insert((&named.account.value.system, named.account.value.login.to_lowercase()), words);
    }
    let mut untouchable = HashMap::new();
    for (position, account) in (0u32..).zip(&snapshot.accounts) {
        let system = snapshot.system(account.system);
        let names = [account.account.login.as_str(), account.account.key.as_str()];
        let words = names.iter().find_map(|name| protected.get(&(system, name.to_lowercase())));
        let own = systems.get(system).and_then(|settings| settings.connector_login.as_deref());
        let is_own =
            |own: &str| names.iter().any(|name| name.eq_ignore_ascii_case(own)) || is_dn(account, own);
        if own.is_some_and(is_own) {
            let words = "the account that Leasehold's own connector uses".to_owned();
            untouchable.insert(evaluation.index_of(position), words);
        } else if let Some(words) = words {
            untouchable.insert(evaluation.index_of(position), words.clone());
        }
    }
    untouchable
}

/// Absence needs proof (law 3), and the lack of a reason is an absence, too: a nesting, or the other person whose account
/// this could be, may be in what was not read. So nothing is taken away in a system, or on the word of a people feed, that
/// was never read completely; but from whom a person says that they leave.
pub(super) fn unproved(evaluation: &Evaluation<'_>) -> HashMap<SystemName, String> {
    let Inputs { snapshot, systems, .. } = evaluation.inputs;
    let never = |name: &SystemName| -> Option<String> {
        let state = snapshot.systems.iter().find(|system| &system.name == name);
        let why = match state.map(|system| (&system.latest_complete, &system.latest)) {
            Some((Some(_), _)) => return None,
            Some((None, Some(latest))) => latest.completeness.detail(),
            Some((None, None)) | None => "no enumeration has ended",
        };
        Some(format!(
            "system {name} was never read completely ({why}), and a reason may be in what was not read; run `leasehold sync {name}`"
        ))
    };
    let of_a_feed =
        systems.iter().filter(|(_, settings)| settings.authoritative).find_map(|(name, _)| never(name));
    let of_a_system = |name: &SystemName| never(name).or_else(|| of_a_feed.clone());
    let names = snapshot.systems.iter().map(|system| &system.name);
    names.filter_map(|name| Some((name.clone(), of_a_system(name)?))).collect()
}

/// What roles would give whose predicate relies on an attribute that no identity has. Unknown is not "nobody" (law 6).
pub(super) fn undecided_by(evaluation: &Evaluation<'_>) -> HashMap<EntitlementIndex, String> {
    let mut undecided = HashMap::new();
    for role in &evaluation.inputs.policy.roles {
        let Some(why) = evaluation.undecidable(role) else { continue };
        for named in role.grants.iter().filter_map(|grant| evaluation.entitlement(&grant.value)) {
            let carried = evaluation.graph.containment().reaches(named.0).iter().copied();
            for entitlement in carried.map(EntitlementIndex).chain([named]) {
                undecided.entry(entitlement).or_insert_with(|| {
                    format!("{why}, so nobody can say who may keep this; is a column missing from the people feed?")
                });
            }
        }
    }
    undecided
}

/// A connector that binds by DN: its account is the one whose `dn` that is.
fn is_dn(account: &leasehold_model::snapshot::SnapshotAccount, own: &str) -> bool {
    account.account.attributes.get("dn").is_some_and(|dn| dn.eq_ignore_ascii_case(own))
}
