//! What a drawn scene's policy means, worked out slowly and without the engine: whose an account is, and what it may hold.

use std::collections::BTreeSet;

use leasehold_connect::simulated::state::SystemState;
use leasehold_model::Timestamp;
use leasehold_model::account::Account;
use leasehold_model::id::{AccountKey, EntitlementName, IdentityKey, SystemName};
use leasehold_model::identity::{Identity, LifecycleState};

use crate::scene::Claims;
use crate::world::Pair;

/// Whose an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder<'a> {
    Nobody,
    Several,
    Somebody(&'a Identity),
    /// A non-human that only its system knows.
    Itself,
}

/// Judges by the claims of a scene and the identities that were observed.
pub struct Oracle<'a> {
    pub claims: &'a Claims,
    pub identities: Vec<Identity>,
    pub baseline: &'a BTreeSet<Pair>,
    pub now: Timestamp,
}

impl Oracle<'_> {
    pub fn holder(&self, account: &Account) -> Holder<'_> {
        for login in [Some(account.login.as_str()), account.login.strip_prefix("adm-")] {
            let Some(login) = login else { continue };
            let local = |identity: &&Identity| identity.key.as_str().split('@').next() == Some(login);
            let matching: Vec<&Identity> = self.identities.iter().filter(local).collect();
            match matching.as_slice() {
                [] => {}
                [one] => return Holder::Somebody(one),
                // Whoever of them had it, they have left.
                [first, ..] if matching.iter().all(|one| one.has_left(self.now)) => {
                    return Holder::Somebody(first);
                }
                _ => return Holder::Several,
            }
        }
        if account.kind.is_some() { Holder::Itself } else { Holder::Nobody }
    }

    fn has_left(&self, key: &IdentityKey) -> bool {
        self.identities.iter().any(|identity| &identity.key == key && identity.has_left(self.now))
    }

    /// What the claims name for an identity in a system.
    pub fn named(&self, identity: &Identity, system: &SystemName) -> BTreeSet<EntitlementName> {
        let mut named = BTreeSet::new();
        if !identity.may_hold_access(self.now) {
            return named;
        }
        let roles = self
            .claims
            .roles
            .iter()
            .filter(|role| !self.has_left(&role.owner))
            .filter(|role| identity.attribute("department") == Some(role.department))
            .map(|role| &role.grants);
        let given = self
            .claims
            .given
            .iter()
            .filter(|given| {
                given.identity == identity.key && given.until > self.now && !self.has_left(&given.owner)
            })
            .map(|given| &given.grants);
        for (of, entitlement) in roles.chain(given).flatten() {
            if of == system {
                named.insert(entitlement.clone());
            }
        }
        named
    }

    /// Whether the holder is one whose access ends, and is not only stopped.
    pub fn is_suspended(&self, account: &Account) -> bool {
        matches!(self.holder(account), Holder::Somebody(identity) if identity.state == LifecycleState::Suspended)
    }

    /// What an account holds on any path and may go on holding; `None` where nobody can say.
    pub fn may_keep(
        &self,
        name: &SystemName,
        system: &SystemState,
        account: &Account,
    ) -> Option<BTreeSet<EntitlementName>> {
        let held = system.effective(&account.key);
        let (live, named) = match self.holder(account) {
            Holder::Nobody | Holder::Several => return None,
            Holder::Itself => (true, BTreeSet::new()),
            Holder::Somebody(identity) => {
                (identity.may_hold_access(self.now), system.closure(self.named(identity, name)))
            }
        };
        let covered = |entitlement: &EntitlementName| {
            live && system.holds_directly(&account.key, entitlement)
                && self.baseline.contains(&(name.clone(), account.key.clone(), entitlement.clone()))
        };
        let covered: Vec<EntitlementName> = held.iter().filter(|held| covered(held)).cloned().collect();
        let mut kept: BTreeSet<EntitlementName> = held.intersection(&named).cloned().collect();
        kept.extend(system.closure(covered));
        let inherent =
            held.iter().filter(|held| system.entitlements.get(*held).is_some_and(|found| found.inherent));
        kept.extend(inherent.cloned());
        Some(kept)
    }

    /// Direct grants of an account that have no reason and can be taken away.
    pub fn unjustified(
        &self,
        name: &SystemName,
        system: &SystemState,
        account: &AccountKey,
    ) -> BTreeSet<EntitlementName> {
        let account = &system.accounts[account];
        let Some(kept) = self.may_keep(name, system, account) else { return BTreeSet::new() };
        let direct = system.grants.get(&account.key).into_iter().flat_map(|held| held.keys());
        direct
            .filter(|held| !kept.contains(*held))
            .filter(|held| system.entitlements.get(*held).is_none_or(|found| found.irrevocable.is_none()))
            .cloned()
            .collect()
    }
}
