//! What a call does to a simulated system, and what a fault makes of what is shown of it.

use std::collections::BTreeSet;

use leasehold_model::credential::CredentialKind;
use leasehold_model::fact::Fact;
use leasehold_model::id::{AccountKey, CredentialKey, EntitlementName, SystemName};
use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, ActionRequest};

use super::dice::Dice;
use super::state::SystemState;
use super::switch::Switch;
use super::world::{Inner, Mask};
use crate::connector::only_one;

/// The key of the account that is meant, by its login where it has none yet; `None` where no account has that login.
///
/// # Errors
/// Where several have it.
pub(super) fn find(
    state: &SystemState,
    masks: &[&Mask],
    target: &AccountTarget,
) -> Result<Option<AccountKey>, String> {
    if !target.key.as_str().is_empty() {
        return Ok(Some(target.key.clone()));
    }
    let shown = masks.iter().filter_map(|mask| match &mask.switch {
        Switch::Existence(whole) if mask.shown => Some(&whole.account),
        _ => None,
    });
    let accounts = state.accounts.values().chain(shown).filter(|account| account.login == target.login);
    only_one(&target.login, accounts.map(|account| account.key.clone()).collect())
}

/// Makes one change of the account with this key, which is empty where there is none; `Ok(false)` where nothing had to be
/// changed, `Err` with why where the system will not.
pub(super) fn change(
    state: &mut SystemState,
    request: &ActionRequest,
    account: &AccountKey,
) -> Result<bool, String> {
    let verb = request.verb;
    let entitlement = request.entitlement.as_ref().map(|target| &target.name);
    let needed = || entitlement.ok_or_else(|| format!("{verb} needs an entitlement; make a new plan"));
    let nobody = || format!("there is no account {}; create it first", request.account.login);
    match verb {
        Verb::CreateAccount if state.accounts.contains_key(account) => Ok(false),
        Verb::CreateAccount if request.account.login.is_empty() => {
            Err("a new account needs a login; make a new plan".to_owned())
        }
        Verb::CreateAccount => {
            state.make_account(&request.account.login, &request.attributes);
            Ok(true)
        }
        Verb::DeleteAccount => Ok(state.remove_account(account)),
        Verb::Grant => {
            let entitlement = needed()?;
            if !state.accounts.contains_key(account) {
                return Err(nobody());
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
        Verb::EnableAccount => {
            let found = state.accounts.get_mut(account).ok_or_else(nobody)?;
            Ok(!std::mem::replace(&mut found.enabled, true))
        }
        Verb::DisableAccount => Ok(state
            .accounts
            .get_mut(account)
            .is_some_and(|account| std::mem::replace(&mut account.enabled, false))),
        Verb::EndSessions if !state.traits.sessions => {
            Err("this system cannot end sessions; they end by themselves".to_owned())
        }
        Verb::EndSessions => Ok(state.sessions.remove(account).is_some_and(|live| !live.is_empty())),
        Verb::RevokeCredential | Verb::DisableCredential | Verb::EnableCredential
            if state.traits.credentials =>
        {
            let target = request.credential.as_ref();
            let key = &target.ok_or_else(|| format!("{verb} needs a credential; make a new plan"))?.key;
            let Some(found) = state.credentials.get_mut(key).filter(|found| found.account == *account) else {
                return match verb {
                    Verb::EnableCredential => Err(format!("there is no credential {key}; make a new one")),
                    _ => Ok(false),
                };
            };
            Ok(match verb {
                Verb::RevokeCredential => state.credentials.remove(key).is_some(),
                _ => {
                    let active = verb == Verb::EnableCredential;
                    std::mem::replace(&mut found.active, active) != active
                }
            })
        }
        Verb::HandOverCredential if state.traits.credentials => hand_over(state, request, account),
        Verb::RevokeCredential
        | Verb::DisableCredential
        | Verb::EnableCredential
        | Verb::HandOverCredential => Err(format!("this system does not offer {verb}")),
    }
}

/// Has a scheduled job run as another account from now on.
fn hand_over(state: &mut SystemState, request: &ActionRequest, account: &AccountKey) -> Result<bool, String> {
    let (Some(target), Some(to)) = (&request.credential, &request.to) else {
        return Err(format!("{} needs a credential and an account; make a new plan", request.verb));
    };
    if target.kind != CredentialKind::ScheduledJob {
        return Err(format!("{} stays with its account: only scheduled jobs are handed over", target.key));
    }
    let to = match find(state, &[], to)? {
        Some(to) if state.accounts.contains_key(&to) => to,
        _ => return Err(format!("there is no account {}; create it first", to.login)),
    };
    match state.credentials.get_mut(&target.key) {
        Some(job) if job.account == *account => {
            (job.account, job.active) = (to, true);
            Ok(true)
        }
        Some(job) if job.account == to && job.active => Ok(false),
        _ => Err(format!("there is no job {} of {} any more", target.key, request.account.login)),
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
        match &mask.switch {
            Switch::Grant(entitlement) if mask.shown => {
                held.insert(entitlement.clone());
            }
            Switch::Grant(entitlement) => {
                held.remove(entitlement);
            }
            Switch::Existence(whole) if mask.shown => held.extend(whole.grants.keys().cloned()),
            Switch::Existence(_) => held.clear(),
            Switch::Account | Switch::Credential(_) => {}
        }
    }
    held
}

/// An account, as reads show it: whether it exists, and whether it can log in.
pub(super) fn shown_account(state: &SystemState, masks: &[&Mask], account: &AccountKey) -> (bool, bool) {
    let mut shown = state.accounts.get(account).map(|found| found.enabled);
    for mask in masks.iter().filter(|mask| mask.account == *account) {
        match &mask.switch {
            Switch::Existence(whole) => shown = mask.shown.then_some(whole.account.enabled),
            Switch::Account => shown = shown.map(|_| mask.shown),
            Switch::Grant(_) | Switch::Credential(_) => {}
        }
    }
    (shown.is_some(), shown.unwrap_or(false))
}

/// A credential of an account, as reads show it: whether it exists, and whether it can be used.
pub(super) fn shown_credential(
    state: &SystemState,
    masks: &[&Mask],
    account: &AccountKey,
    key: &CredentialKey,
) -> (bool, bool) {
    let found = state.credentials.get(key).filter(|found| found.account == *account);
    let mut shown = found.map(|found| found.active);
    for mask in masks.iter().filter(|mask| mask.account == *account) {
        match &mask.switch {
            Switch::Existence(whole) if mask.shown => {
                let found = whole.credentials.iter().find(|found| found.key == *key);
                shown = found.map(|found| found.active);
            }
            Switch::Existence(_) => shown = None,
            Switch::Credential(credential) if credential.key == *key => shown = Some(mask.shown),
            Switch::Account | Switch::Grant(_) | Switch::Credential(_) => {}
        }
    }
    (shown.is_some(), shown.unwrap_or(false))
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
