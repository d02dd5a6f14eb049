//! What a call does to a simulated system, and what a fault makes of what is shown of it.

use std::collections::BTreeSet;

use leasehold_model::fact::Fact;
use leasehold_model::id::{AccountKey, EntitlementName, SystemName};
use leasehold_model::plan::Verb;

use super::dice::Dice;
use super::state::SystemState;
use super::world::{Inner, Mask};

/// Makes one change; `Ok(false)` where nothing had to be changed, `Err` with why where the system will not.
pub(super) fn change(
    state: &mut SystemState,
    verb: Verb,
    account: &AccountKey,
    entitlement: Option<&EntitlementName>,
) -> Result<bool, String> {
    let needed = || entitlement.ok_or_else(|| format!("{verb} needs an entitlement; make a new plan"));
    match verb {
        Verb::Grant => {
            let entitlement = needed()?;
            if !state.accounts.contains_key(account) {
                return Err(format!("there is no account {account}; create it first"));
            }
            if !state.entitlements.contains_key(entitlement) {
                return Err(format!("there is no entitlement {entitlement}; sync and plan again"));
            }
            Ok(!state.holds_directly(account, entitlement) && state.grant(account, entitlement))
        }
        Verb::Revoke => {
            let entitlement = needed()?;
            match state.entitlements.get(entitlement) {
                Some(found) if found.inherent => {
                    Err(format!("every account holds {entitlement} by the system's nature"))
                }
                _ => Ok(state.revoke(account, entitlement)),
            }
        }
        Verb::DisableAccount => Ok(state
            .accounts
            .get_mut(account)
            .is_some_and(|account| std::mem::replace(&mut account.enabled, false))),
        Verb::EndSessions if !state.traits.sessions => {
            Err("this system cannot end sessions; they end by themselves".to_owned())
        }
        Verb::EndSessions => Ok(state.sessions.remove(account).is_some_and(|live| !live.is_empty())),
        verb => Err(format!("this system does not offer {verb}")),
    }
}

/// The masks of a system that still hide something.
pub(super) fn live_masks<'a>(inner: &'a Inner, system: &SystemName) -> Vec<&'a Mask> {
    let now = inner.clock.now();
    inner
        .masks
        .iter()
        .filter(|mask| mask.system == *system && mask.reads_left > 0 && now < mask.until)
        .collect()
}

/// Counts one read of an account, or of all, against the masks that hide something of it.
pub(super) fn count_read(inner: &mut Inner, system: &SystemName, account: Option<&AccountKey>) {
    for mask in &mut inner.masks {
        if mask.system == *system && account.is_none_or(|account| mask.account == *account) {
            mask.reads_left = mask.reads_left.saturating_sub(1);
        }
    }
    let now = inner.clock.now();
    inner.masks.retain(|mask| mask.reads_left > 0 && now < mask.until);
}

/// What an account holds directly, as reads show it.
pub(super) fn shown_grants(
    state: &SystemState,
    masks: &[&Mask],
    account: &AccountKey,
) -> BTreeSet<EntitlementName> {
    let mut held: BTreeSet<EntitlementName> =
        state.grants.get(account).into_iter().flat_map(|held| held.keys().cloned()).collect();
    for mask in masks.iter().filter(|mask| mask.account == *account) {
        match &mask.entitlement {
            Some(entitlement) if mask.shown => {
                held.insert(entitlement.clone());
            }
            Some(entitlement) => {
                held.remove(entitlement);
            }
            None => {}
        }
    }
    held
}

/// Puts the old value back into a copy that is shown.
pub(super) fn show_old(shown: &mut SystemState, mask: &Mask) {
    match &mask.entitlement {
        Some(entitlement) if mask.shown => {
            shown.grant(&mask.account, entitlement);
        }
        Some(entitlement) => {
            shown.revoke(&mask.account, entitlement);
        }
        None => {
            if let Some(account) = shown.accounts.get_mut(&mask.account) {
                account.enabled = mask.shown;
            }
        }
    }
}

/// Repeats some facts word for word, and one account under another login.
pub(super) fn duplicate_some(facts: &mut Vec<Fact>, dice: &mut Dice) {
    let mut repeated: Vec<Fact> = facts.iter().filter(|_| dice.in_a_thousand(100)).cloned().collect();
    let first = facts.iter().find(|fact| matches!(fact, Fact::Account(_) | Fact::Identity(_))).cloned();
    match first {
        Some(Fact::Account(mut account)) => {
            account.login.push_str(".two");
            repeated.push(Fact::Account(account));
        }
        Some(Fact::Identity(mut identity)) => {
            identity.attributes.insert("department".to_owned(), "Duplicates".to_owned());
            repeated.push(Fact::Identity(identity));
        }
        _ => {}
    }
    facts.append(&mut repeated);
}

/// Spells the account of some grants in capitals, as a directory does whose member values keep the case in which
/// somebody typed them.
pub(super) fn fold_some(facts: &mut [Fact], dice: &mut Dice) {
    let mut folded = 0;
    for fact in facts.iter_mut() {
        if let Fact::Grant(grant) = fact
            && (folded == 0 || dice.in_a_thousand(250))
        {
            grant.account = AccountKey(grant.account.as_str().to_uppercase());
            folded += 1;
        }
    }
}
