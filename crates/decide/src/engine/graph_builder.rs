//! Builds a [`Graph`] from observations in any order.

use std::sync::OnceLock;

use super::bits::{BitSet, PairMap};
use super::containment::Containment;
use super::graph::{Graph, NO_IDENTITY, Validity};
use super::pairs::Pairs;
use super::rows::Rows;
use super::{
    AccountIndex, EngineError, EntitlementIndex, INDEX_LIMIT, IdentityIndex, SystemIndex, known, pair,
};

/// An account while the graph is being built; [`Built::account`] turns it into its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccountHandle(pub u32);

/// A finished graph and where each account went.
#[derive(Clone, Debug)]
pub struct Built {
    /// The graph.
    pub graph: Graph,
    /// Index of each account by its handle.
    pub accounts: Vec<AccountIndex>,
}

impl Built {
    /// The index of an account.
    pub fn account(&self, handle: AccountHandle) -> AccountIndex {
        self.accounts[handle.0 as usize]
    }
}

/// Collects systems, identities, accounts, entitlements, grants and containment, in any order of calls as long as things
/// are added before they are referred to.
#[derive(Debug)]
pub struct GraphBuilder {
    systems: u32,
    identities: u32,
    entitlement_system: Vec<u32>,
    account_system: Vec<u32>,
    account_identity: Vec<u32>,
    grants: Pairs,
    validity: Vec<(u64, Validity)>,
    edges: Vec<(u32, u32)>,
}

impl GraphBuilder {
    /// A graph over `systems` systems and `identities` identities, numbered from zero by the caller.
    pub fn new(systems: u32, identities: u32) -> Self {
        GraphBuilder {
            systems,
            identities,
            entitlement_system: Vec::new(),
            account_system: Vec::new(),
            account_identity: Vec::new(),
            grants: Pairs::default(),
            validity: Vec::new(),
            edges: Vec::new(),
        }
    }

    /// Makes room for `grants` grants.
    pub fn reserve_grants(&mut self, grants: usize) {
        self.grants.reserve(grants);
    }

    /// Adds an account; no identity for an orphan or an ambiguous one.
    pub fn add_account(
        &mut self,
        system: SystemIndex,
        identity: Option<IdentityIndex>,
    ) -> Result<AccountHandle, EngineError> {
        known("system", system.0, self.systems as usize)?;
        if let Some(identity) = identity {
            known("identity", identity.0, self.identities as usize)?;
        }
        let handle = AccountHandle(self.account_system.len() as u32);
        fits("accounts", self.account_system.len())?;
        self.account_system.push(system.0);
        self.account_identity.push(identity.map_or(NO_IDENTITY, |identity| identity.0));
        Ok(handle)
    }

    /// Says whose an account is, where that is known only after everything was read.
    pub fn correlate(
        &mut self,
        account: AccountHandle,
        identity: Option<IdentityIndex>,
    ) -> Result<(), EngineError> {
        known("account", account.0, self.account_system.len())?;
        if let Some(identity) = identity {
            known("identity", identity.0, self.identities as usize)?;
        }
        self.account_identity[account.0 as usize] = identity.map_or(NO_IDENTITY, |identity| identity.0);
        Ok(())
    }

    /// Number of accounts so far.
    pub fn account_count(&self) -> usize {
        self.account_system.len()
    }

    /// Number of entitlements so far.
    pub fn entitlement_count(&self) -> usize {
        self.entitlement_system.len()
    }

    /// Adds an entitlement.
    pub fn add_entitlement(&mut self, system: SystemIndex) -> Result<EntitlementIndex, EngineError> {
        known("system", system.0, self.systems as usize)?;
        fits("entitlements", self.entitlement_system.len())?;
        let index = EntitlementIndex(self.entitlement_system.len() as u32);
        self.entitlement_system.push(system.0);
        Ok(index)
    }

    /// Adds a direct grant that is always held. The same grant twice is one grant.
    #[inline]
    pub fn add_grant(
        &mut self,
        account: AccountHandle,
        entitlement: EntitlementIndex,
    ) -> Result<(), EngineError> {
        known("account", account.0, self.account_system.len())?;
        known("entitlement", entitlement.0, self.entitlement_system.len())?;
        // With one system there is nothing to compare, and looking would miss the cache.
        if self.systems > 1 {
            let account_system = self.account_system[account.0 as usize];
            let entitlement_system = self.entitlement_system[entitlement.index()];
            if account_system != entitlement_system {
                return Err(EngineError::SystemMismatch {
                    account: account.0,
                    account_system,
                    entitlement: entitlement.0,
                    entitlement_system,
                });
            }
        }
        self.grants.push(pair(account.0, entitlement.0));
        Ok(())
    }

    /// Adds a direct grant that is held only within `validity`. The last validity given for a grant counts.
    pub fn add_grant_within(
        &mut self,
        account: AccountHandle,
        entitlement: EntitlementIndex,
        validity: Validity,
    ) -> Result<(), EngineError> {
        self.add_grant(account, entitlement)?;
        self.validity.push((pair(account.0, entitlement.0), validity));
        Ok(())
    }

    /// Says that holding `parent` means holding `child`.
    pub fn add_containment(
        &mut self,
        parent: EntitlementIndex,
        child: EntitlementIndex,
    ) -> Result<(), EngineError> {
        known("entitlement", parent.0, self.entitlement_system.len())?;
        known("entitlement", child.0, self.entitlement_system.len())?;
        self.edges.push((parent.0, child.0));
        Ok(())
    }

    /// The accounts in identity order, orphans last; within an identity by system, so that two accounts in one system are
    /// neighbours. `identity_accounts` says where each identity's accounts begin.
    fn order(&self, identity_accounts: &[u32]) -> Vec<u32> {
        let mut places = identity_accounts.to_vec();
        let mut order = vec![0; self.account_system.len()];
        for (handle, identity) in self.account_identity.iter().enumerate() {
            // Orphans come after the last identity.
            let place = &mut places[(*identity).min(self.identities) as usize];
            order[*place as usize] = handle as u32;
            *place += 1;
        }
        let identity = |handle: &u32| self.account_identity[*handle as usize];
        let system = |handle: &u32| self.account_system[*handle as usize];
        if self.systems > 1 {
            for of_identity in order.chunk_by_mut(|left, right| identity(left) == identity(right)) {
                of_identity.sort_by_key(system);
            }
        }
        order
    }

    /// Builds the rows by account and the closures of containment.
    pub fn finish(self) -> Result<Built, EngineError> {
        fits("identities", self.identities as usize)?;
        let account_count = self.account_system.len();
        let mut identity_accounts = vec![0u32; self.identities as usize + 1];
        for identity in self.account_identity.iter().filter(|identity| **identity != NO_IDENTITY) {
            identity_accounts[*identity as usize + 1] += 1;
        }
        for identity in 0..self.identities as usize {
            identity_accounts[identity + 1] += identity_accounts[identity];
        }
        let order = self.order(&identity_accounts);
        let mut accounts = vec![AccountIndex(0); account_count];
        for (index, handle) in order.iter().enumerate() {
            accounts[*handle as usize] = AccountIndex(index as u32);
        }
        let account_system: Vec<u32> =
            order.iter().map(|handle| self.account_system[*handle as usize]).collect();
        let account_identity: Vec<u32> =
            order.iter().map(|handle| self.account_identity[*handle as usize]).collect();
        drop(order);

        // Rows change their places as wholes: looking up each grant's account would miss the cache for most of them.
        let groups = self.grants.group(account_count);
        let grants =
            Rows::from_groups("grants", account_count, &groups, |handle| accounts[handle as usize].0)?;
        drop(groups);
        let entitlement_count = self.entitlement_system.len();

        let mut validity = PairMap::default();
        let mut limited = BitSet::default();
        let mut irregular = BitSet::new(self.identities as usize);
        for (key, within) in self.validity {
            let account = accounts[(key >> 32) as usize].0;
            if within == Validity::ALWAYS {
                validity.remove(&pair(account, key as u32));
                continue;
            }
            validity.insert(pair(account, key as u32), within);
            limited.set(account as usize);
            let identity = account_identity[account as usize];
            if identity != NO_IDENTITY {
                irregular.set(identity as usize);
            }
        }
        for account in 1..account_count {
            let identity = account_identity[account];
            if identity != NO_IDENTITY
                && identity == account_identity[account - 1]
                && account_system[account] == account_system[account - 1]
            {
                irregular.set(identity as usize);
            }
        }
        let graph = Graph {
            system_count: self.systems,
            containment: Containment::new(entitlement_count, &self.edges),
            entitlement_system: self.entitlement_system,
            account_system,
            account_identity,
            identity_accounts,
            grants,
            holders: OnceLock::new(),
            validity,
            limited,
            irregular,
        };
        Ok(Built { graph, accounts })
    }
}

/// Fails when one more of `what` would not fit into an index.
fn fits(what: &'static str, count: usize) -> Result<(), EngineError> {
    let limit = u64::from(INDEX_LIMIT) - 1;
    if (count as u64) < limit {
        Ok(())
    } else {
        Err(EngineError::TooMany { what, count: count as u64 + 1, limit })
    }
}
