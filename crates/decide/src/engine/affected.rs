//! Which identities a batch of changes touches in a way that needs them compared as a whole.

use super::bits::BitSet;
use super::graph::{Graph, NO_IDENTITY, Validity};
use super::incremental::{Change, DriftState, unpack_grant};
use super::{AccountIndex, EngineError, EntitlementIndex, IdentityIndex, RoleIndex, known, pair};

/// Identities to compare before and after, as a set and once each.
#[derive(Default)]
pub(super) struct Affected {
    pub(super) set: BitSet,
    pub(super) list: Vec<u32>,
    /// Some grant change is of an account of nobody.
    pub(super) others: bool,
    /// Roles that are edited, ascending.
    pub(super) edited: Vec<u32>,
    /// Members of edited roles who need no comparing as a whole; some may be in `set` for another change.
    pub(super) members: Vec<u32>,
}

impl Affected {
    fn add(&mut self, identity: u32) {
        if !self.set.get(identity as usize) {
            self.set.set(identity as usize);
            self.list.push(identity);
        }
    }

    fn add_owner(&mut self, graph: &Graph, account: AccountIndex) {
        if let Some(identity) = graph.identity_of(account) {
            self.add(identity.0);
        }
    }
}

impl DriftState {
    /// Checks every index that needs no look-up and packs the grant changes: account, entitlement, and whether it is there
    /// afterwards.
    pub(super) fn collect(&self, changes: &[Change]) -> Result<Vec<u64>, EngineError> {
        let identity = |identity: &IdentityIndex| known("identity", identity.0, self.graph.identity_count());
        let entitlement = |entitlement: &EntitlementIndex| {
            known("entitlement", entitlement.0, self.graph.entitlement_count())
        };
        let account = |account: &AccountIndex| known("account", account.0, self.graph.account_count());
        let role = |role: &RoleIndex| known("role", role.0, self.justification.role_count());
        let mut grants = Vec::with_capacity(changes.len());
        for change in changes {
            match change {
                Change::GrantAdded { account: holder, entitlement: held, .. } => {
                    account(holder)?;
                    entitlement(held)?;
                    grants.push(pair(holder.0, held.0 << 1 | 1));
                }
                Change::GrantRemoved { account: holder, entitlement: held } => {
                    account(holder)?;
                    entitlement(held)?;
                    grants.push(pair(holder.0, held.0 << 1));
                }
                Change::ExplicitAdded { identity: whose, entitlement: what, .. }
                | Change::ExplicitRemoved { identity: whose, entitlement: what, .. }
                | Change::WithheldChanged { identity: whose, entitlement: what, .. } => {
                    identity(whose)?;
                    entitlement(what)?;
                }
                Change::AssignmentAdded { identity: whose, role: which, .. }
                | Change::AssignmentRemoved { identity: whose, role: which, .. } => {
                    identity(whose)?;
                    role(which)?;
                }
                Change::RoleEdited { role: which, entitlements } => {
                    role(which)?;
                    entitlements.iter().try_for_each(entitlement)?;
                }
                Change::LiveChanged { identity: whose, .. } => identity(whose)?,
            }
        }
        Ok(grants)
    }

    /// The identities that need comparing before and after. `grants` are the grant changes in the order of accounts, in
    /// which looking up their systems and identities reads memory forwards.
    pub(super) fn affected(&self, changes: &[Change], grants: &[u64]) -> Result<Affected, EngineError> {
        // Accounts of nobody are the last ones.
        let others = grants.last().is_some_and(|packed| {
            self.graph.account_identity[unpack_grant(*packed).0.index()] == NO_IDENTITY
        });
        let mut affected = Affected { others, ..Affected::default() };
        // A grant across systems is never there, so its removal does nothing.
        if self.graph.system_count() > 1 {
            for packed in grants.iter().filter(|packed| **packed & 1 == 1) {
                let (account, entitlement) = unpack_grant(*packed);
                self.graph.check_grant(account, entitlement)?;
            }
        }
        // Most graphs have only grants that are plain, which need no looking at one by one.
        if self.baselined.any() || !self.graph.containment.is_empty() || self.graph.irregular.any() {
            for packed in grants {
                let (account, entitlement) = unpack_grant(*packed);
                if !self.is_plain(account, entitlement) {
                    affected.add_owner(&self.graph, account);
                }
            }
        }
        let mut plain_edits = self.graph.containment.is_empty();
        for change in changes {
            match change {
                Change::GrantAdded { validity: Validity::ALWAYS, .. } | Change::GrantRemoved { .. } => {}
                Change::GrantAdded { account, .. } => affected.add_owner(&self.graph, *account),
                Change::ExplicitAdded { identity, .. }
                | Change::ExplicitRemoved { identity, .. }
                | Change::AssignmentAdded { identity, .. }
                | Change::AssignmentRemoved { identity, .. }
                | Change::LiveChanged { identity, .. }
                | Change::WithheldChanged { identity, .. } => affected.add(identity.0),
                Change::RoleEdited { role, entitlements } => {
                    affected.edited.push(role.0);
                    plain_edits &= !self.is_baselined(self.justification.roles.row(role.0).iter().copied())
                        && !self.is_baselined(entitlements.iter().map(|entitlement| entitlement.0));
                }
            }
        }
        if !affected.edited.is_empty() {
            affected.edited.sort_unstable();
            affected.edited.dedup();
            let mut edited = BitSet::new(self.justification.role_count());
            affected.edited.iter().for_each(|role| edited.set(*role as usize));
            // One sequential scan serves any number of edited roles, which costs less than keeping members by role.
            // A membership given in this very batch is affected by its own change already.
            for identity in 0..self.graph.identity_count() as u32 {
                let assignments = self.justification.assignments.row(identity);
                if !assignments.iter().any(|assignment| edited.get(assignment.role as usize)) {
                    continue;
                }
                if plain_edits && !self.graph.irregular.get(identity as usize) {
                    affected.members.push(identity);
                } else {
                    affected.add(identity);
                }
            }
        }
        Ok(affected)
    }

    /// Whether any of the entitlements is in a system with a baseline.
    pub(super) fn is_baselined(&self, mut entitlements: impl Iterator<Item = u32>) -> bool {
        !self.baselined.is_unused()
            && entitlements.any(|entitlement| {
                self.baselined.get(self.graph.entitlement_system[entitlement as usize] as usize)
            })
    }

    /// Whether a grant of this account and entitlement maps one to one onto a drift row.
    #[inline]
    pub(super) fn is_plain(&self, account: AccountIndex, entitlement: EntitlementIndex) -> bool {
        let identity = self.graph.account_identity[account.index()];
        self.graph.containment.is_flat(entitlement.0)
            && !self.baselined.get(self.graph.account_system[account.index()] as usize)
            && (identity == NO_IDENTITY || !self.graph.irregular.get(identity as usize))
    }
}
