//! Whose each account is: by the policy's word, by the rules of its system, or its own where the system calls it non-human.

use std::collections::HashMap;

use leasehold_model::id::IdentityKey;
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState, Unsaid};
use leasehold_model::snapshot::Snapshot;

use super::{Inputs, lifecycle};
use crate::correlate::{Correlation, Correlator};
use crate::policy::AccountAddress;

/// Whose each account of the snapshot is. Accounts that are identities of their own are put behind the others.
pub(super) fn correlate(inputs: &Inputs<'_>, identities: &mut Vec<Identity>) -> Vec<Correlation> {
    let mut correlation = by_rules(inputs, identities);
    give_to_who_left_last(inputs, identities, &mut correlation);
    imply_owned_accounts(inputs.snapshot, identities, &mut correlation);
    correlation
}

/// What the policy says outright comes first, then each system's rules in order.
fn by_rules(inputs: &Inputs<'_>, identities: &[Identity]) -> Vec<Correlation> {
    let by_key: HashMap<String, u32> =
        (0u32..).zip(identities).map(|(position, identity)| (identity.key.folded(), position)).collect();
    let mut said: HashMap<&AccountAddress, &IdentityKey> = inputs.policy.correlations.iter().collect();
    for declared in &inputs.policy.identities {
        said.extend(declared.accounts.iter().map(|account| (account, &declared.key)));
    }
    let correlators: Vec<Option<Correlator<'_>>> = inputs
        .snapshot
        .systems
        .iter()
        .map(|system| {
            inputs.systems.get(&system.name).map(|settings| Correlator::new(&settings.correlate, identities))
        })
        .collect();
    let each = inputs.snapshot.accounts.iter().map(|account| {
        let system = inputs.snapshot.system(account.system);
        if !said.is_empty() {
            for login in [&account.account.login, &account.account.key.0] {
                let address = AccountAddress { system: system.clone(), login: login.clone() };
                if let Some(identity) = said.get(&address).and_then(|key| by_key.get(&key.folded())) {
                    return Correlation::To { identity: *identity, by: "policy".to_owned() };
                }
            }
        }
        correlators[account.system as usize]
            .as_ref()
            .map_or(Correlation::Orphan, |correlator| correlator.correlate(&account.account))
    });
    each.collect()
}

/// An account that could be of several who have all left is a leaver's, whosever it was: it is taken for that of who left last.
fn give_to_who_left_last(inputs: &Inputs<'_>, identities: &[Identity], correlation: &mut [Correlation]) {
    for found in correlation {
        let Correlation::Ambiguous { candidates, by } = found else { continue };
        let left_at = |candidate: &u32| {
            let identity = &identities[*candidate as usize];
            identity.has_left(inputs.now).then(|| {
                let at = lifecycle::left_at(inputs.snapshot, *candidate, identity, inputs.now);
                (at, std::cmp::Reverse(*candidate))
            })
        };
        let when: Option<Vec<_>> = candidates.iter().map(left_at).collect();
        if let Some((_, std::cmp::Reverse(identity))) = when.and_then(|when| when.into_iter().max()) {
            *found = Correlation::To { identity, by: std::mem::take(by) };
        }
    }
}

/// An account that its system calls non-human, and that no rule gives to anybody, is an identity of its own: it has an
/// owner, or its lack of one is what must be shown.
fn imply_owned_accounts(
    snapshot: &Snapshot,
    identities: &mut Vec<Identity>,
    correlation: &mut [Correlation],
) {
    for (position, account) in (0u32..).zip(&snapshot.accounts) {
        let kind = account.account.kind.filter(|kind| *kind != IdentityKind::Person);
        let owner = snapshot.account_owners.get(&position);
        let slot = &mut correlation[position as usize];
        if *slot != Correlation::Orphan || (kind.is_none() && owner.is_none()) {
            continue;
        }
        let identity = u32::try_from(identities.len()).unwrap_or(u32::MAX);
        identities.push(Identity {
            key: IdentityKey(format!("{}:{}", snapshot.system(account.system), account.account.login)),
            kind: kind.unwrap_or(IdentityKind::Service),
            state: LifecycleState::Active,
            start: None,
            end: None,
            manager: None,
            owner: owner.cloned(),
            attributes: account.account.attributes.clone(),
            unsaid: Unsaid::default(),
        });
        *slot = Correlation::To { identity, by: "owned non-human account".to_owned() };
    }
}
