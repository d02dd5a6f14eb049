//! The access graph: accounts, entitlements, direct grants and containment in sparse rows, by account and by entitlement.

use std::sync::OnceLock;

use roaring::RoaringBitmap;

use super::bits::{BitSet, PairMap};
use super::containment::Containment;
pub use super::graph_builder::{AccountHandle, Built, GraphBuilder};
use super::holders::Holders;
use super::rows::Rows;
use super::{
    AccountIndex, EngineError, EntitlementIndex, IdentityIndex, NEVER, Seconds, SystemIndex, known, pair,
};

/// An account that is correlated to no identity.
pub(crate) const NO_IDENTITY: u32 = u32::MAX;

/// When a direct grant counts as held: `from <= now < until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First second in which the grant is held.
    pub from: Seconds,
    /// First second in which it is no longer held.
    pub until: Seconds,
}

impl Validity {
    /// Held at all times.
    pub const ALWAYS: Validity = Validity { from: 0, until: NEVER };

    /// Whether the grant is held at `now`.
    #[inline]
    pub fn contains(self, now: Seconds) -> bool {
        self.from <= now && now < self.until
    }
}

/// What was observed, in dense form. Built by [`GraphBuilder`]; changed grant by grant through
/// [`super::incremental::DriftState`] or [`Graph::insert_grant`] and [`Graph::remove_grant`].
#[derive(Clone, Debug)]
pub struct Graph {
    pub(crate) system_count: u32,
    pub(crate) entitlement_system: Vec<u32>,
    pub(crate) account_system: Vec<u32>,
    /// `NO_IDENTITY` for an orphan or an ambiguous account.
    pub(crate) account_identity: Vec<u32>,
    /// The accounts of identity `i` are `identity_accounts[i]..identity_accounts[i + 1]`.
    pub(crate) identity_accounts: Vec<u32>,
    pub(crate) grants: Rows<u32>,
    /// Built when first asked for: one full drift needs no such index.
    pub(crate) holders: OnceLock<Holders>,
    pub(crate) containment: Containment,
    /// Only the grants that are not [`Validity::ALWAYS`], by `pair(account, entitlement)`.
    pub(crate) validity: PairMap<u64, Validity>,
    /// Accounts with an entry in `validity`.
    pub(crate) limited: BitSet,
    /// Identities with two accounts in one system or with a limited account: the general path of drift.
    pub(crate) irregular: BitSet,
}

impl Graph {
    /// Number of identities.
    pub fn identity_count(&self) -> usize {
        self.identity_accounts.len() - 1
    }

    /// Number of accounts, uncorrelated ones included.
    pub fn account_count(&self) -> usize {
        self.account_system.len()
    }

    /// Number of entitlements.
    pub fn entitlement_count(&self) -> usize {
        self.entitlement_system.len()
    }

    /// Number of systems.
    pub fn system_count(&self) -> usize {
        self.system_count as usize
    }

    /// Number of direct grants, those outside their validity included.
    pub fn grant_count(&self) -> usize {
        self.grants.value_count()
    }

    /// Containment and its closures.
    pub fn containment(&self) -> &Containment {
        &self.containment
    }

    /// The accounts of an identity.
    #[inline]
    pub fn accounts_of(&self, identity: IdentityIndex) -> impl Iterator<Item = AccountIndex> + use<> {
        self.account_range(identity.0).map(AccountIndex)
    }

    #[inline]
    pub(crate) fn account_range(&self, identity: u32) -> std::ops::Range<u32> {
        self.identity_accounts[identity as usize]..self.identity_accounts[identity as usize + 1]
    }

    /// Accounts of nobody: orphans and ambiguous ones. Drift has no rows for them, the caller lists them.
    pub fn uncorrelated_accounts(&self) -> impl Iterator<Item = AccountIndex> + '_ {
        let first = self.identity_accounts[self.identity_count()];
        (first..self.account_count() as u32).map(AccountIndex)
    }

    /// The identity that an account is correlated to.
    #[inline]
    pub fn identity_of(&self, account: AccountIndex) -> Option<IdentityIndex> {
        let identity = self.account_identity[account.index()];
        (identity != NO_IDENTITY).then_some(IdentityIndex(identity))
    }

    /// The system of an account.
    #[inline]
    pub fn system_of_account(&self, account: AccountIndex) -> SystemIndex {
        SystemIndex(self.account_system[account.index()])
    }

    /// The system of an entitlement.
    #[inline]
    pub fn system_of_entitlement(&self, entitlement: EntitlementIndex) -> SystemIndex {
        SystemIndex(self.entitlement_system[entitlement.index()])
    }

    /// The direct grants of an account, ascending, those outside their validity included.
    pub fn grants_of(&self, account: AccountIndex) -> impl Iterator<Item = EntitlementIndex> + '_ {
        self.grants.row(account.0).iter().copied().map(EntitlementIndex)
    }

    /// The validity of a direct grant, if the grant exists.
    pub fn validity_of(&self, account: AccountIndex, entitlement: EntitlementIndex) -> Option<Validity> {
        self.grants.row(account.0).binary_search(&entitlement.0).ok()?;
        Some(self.validity.get(&pair(account.0, entitlement.0)).copied().unwrap_or(Validity::ALWAYS))
    }

    /// Whether a grant that exists counts as held at `now`.
    #[inline]
    pub(crate) fn is_valid(&self, account: u32, entitlement: u32, now: Seconds) -> bool {
        !self.limited.get(account as usize) || self.is_valid_limited(account, entitlement, now)
    }

    #[cold]
    fn is_valid_limited(&self, account: u32, entitlement: u32, now: Seconds) -> bool {
        self.validity.get(&pair(account, entitlement)).is_none_or(|validity| validity.contains(now))
    }

    /// Whether the account directly holds the entitlement at `now`.
    #[inline]
    pub(crate) fn holds_directly(&self, account: u32, entitlement: u32, now: Seconds) -> bool {
        self.grants.row(account).binary_search(&entitlement).is_ok()
            && self.is_valid(account, entitlement, now)
    }

    /// Whether any account of the identity holds the entitlement at `now`, directly or through containment.
    #[inline]
    pub fn holds_effectively(
        &self,
        identity: IdentityIndex,
        entitlement: EntitlementIndex,
        now: Seconds,
    ) -> bool {
        self.account_range(identity.0)
            .any(|account| self.account_holds_effectively(account, entitlement.0, now))
    }

    #[inline]
    pub(crate) fn account_holds_effectively(&self, account: u32, entitlement: u32, now: Seconds) -> bool {
        if !self.containment.has_parents(entitlement) {
            return self.holds_directly(account, entitlement, now);
        }
        let sources = self.containment.reached_from(entitlement);
        let row = self.grants.row(account);
        // Walk the shorter list and search the longer one: a group can sit below thousands of others.
        if row.len() < sources.len() {
            row.iter().any(|held| sources.binary_search(held).is_ok() && self.is_valid(account, *held, now))
        } else {
            sources.iter().any(|source| self.holds_directly(account, *source, now))
        }
    }

    /// Identities that effectively hold the entitlement at `now` through any account.
    pub fn identities_holding(&self, entitlement: EntitlementIndex, now: Seconds) -> RoaringBitmap {
        let mut identities = RoaringBitmap::new();
        let own = [entitlement.0];
        let sources = if self.containment.has_parents(entitlement.0) {
            self.containment.reached_from(entitlement.0)
        } else {
            &own
        };
        for &source in sources {
            // Accounts are numbered in identity order, so appending keeps the bitmap's containers sequential.
            let mut found: Vec<u32> = Vec::new();
            self.holders().for_each(&self.grants, source, |account| {
                let identity = self.account_identity[account as usize];
                if identity != NO_IDENTITY && self.is_valid(account, source, now) {
                    found.push(identity);
                }
            });
            if !found.is_sorted() {
                found.sort_unstable();
            }
            found.dedup();
            let set = RoaringBitmap::from_sorted_iter(found.iter().copied())
                .unwrap_or_else(|_| found.iter().collect());
            if identities.is_empty() {
                identities = set;
            } else {
                identities |= set;
            }
        }
        identities
    }

    /// Records a direct grant as observed; `false` when it was there with the same validity.
    pub fn insert_grant(
        &mut self,
        account: AccountIndex,
        entitlement: EntitlementIndex,
        validity: Validity,
    ) -> Result<bool, EngineError> {
        self.check_grant(account, entitlement)?;
        let key = pair(account.0, entitlement.0);
        let inserted = self.grants.insert(account.0, entitlement.0);
        if let (true, Some(holders)) = (inserted, self.holders.get_mut()) {
            holders.added(account.0, entitlement.0);
        }
        let before = self.validity.get(&key).copied().unwrap_or(Validity::ALWAYS);
        if before != validity {
            self.set_validity(account.0, entitlement.0, validity);
            return Ok(true);
        }
        Ok(inserted)
    }

    /// Records that a direct grant is gone; `false` when there was none.
    pub fn remove_grant(
        &mut self,
        account: AccountIndex,
        entitlement: EntitlementIndex,
    ) -> Result<bool, EngineError> {
        self.check_grant(account, entitlement)?;
        if !self.grants.remove(account.0, entitlement.0) {
            return Ok(false);
        }
        if self.limited.get(account.index()) {
            self.validity.remove(&pair(account.0, entitlement.0));
        }
        Ok(true)
    }

    /// Applies edits of one account that has no grant of limited validity, as [`Rows::edit`] does.
    #[inline]
    pub(crate) fn edit_grants(
        &mut self,
        account: u32,
        edits: &[(u32, bool)],
        mut changed: impl FnMut(u32, bool),
    ) {
        let mut holders = self.holders.get_mut();
        self.grants.edit(account, edits, |entitlement, added| {
            if let (true, Some(holders)) = (added, &mut holders) {
                holders.added(account, entitlement);
            }
            changed(entitlement, added);
        });
    }

    /// The account stays on the general path when its last limit goes: only speed depends on it, until the next build.
    fn set_validity(&mut self, account: u32, entitlement: u32, validity: Validity) {
        if validity == Validity::ALWAYS {
            self.validity.remove(&pair(account, entitlement));
            return;
        }
        self.validity.insert(pair(account, entitlement), validity);
        self.limited.set(account as usize);
        let identity = self.account_identity[account as usize];
        if identity != NO_IDENTITY {
            self.irregular.set(identity as usize);
        }
    }

    pub(crate) fn check_grant(
        &self,
        account: AccountIndex,
        entitlement: EntitlementIndex,
    ) -> Result<(), EngineError> {
        known("account", account.0, self.account_count())?;
        known("entitlement", entitlement.0, self.entitlement_count())?;
        let account_system = self.account_system[account.index()];
        let entitlement_system = self.entitlement_system[entitlement.index()];
        if account_system == entitlement_system {
            return Ok(());
        }
        Err(EngineError::SystemMismatch {
            account: account.0,
            account_system,
            entitlement: entitlement.0,
            entitlement_system,
        })
    }

    /// Sorts the log of additions once it has grown, so that "who holds" stays fast after a large batch.
    pub(crate) fn settle(&mut self) {
        if let Some(holders) = self.holders.get_mut() {
            holders.settle();
        }
    }

    /// Folds all patches into new sparse rows. Indices stay as they are.
    pub fn compact(&mut self) {
        self.grants.compact();
        if self.holders.take().is_some() {
            self.holders();
        }
    }

    /// The index by entitlement; builds it on the first call. A server calls this once at its start, so that no later
    /// question waits for it.
    pub(crate) fn holders(&self) -> &Holders {
        self.holders.get_or_init(|| Holders::transpose(self.entitlement_count(), &self.grants))
    }

    /// Builds the index by entitlement unless it is there, so that no later question waits for it.
    pub fn index_holders(&self) {
        self.holders();
    }

    /// For each of `named`, ascending, the identities that effectively hold it at `now`: one pass over all grants, which
    /// for many entitlements costs less than building the index by entitlement first.
    pub(crate) fn identities_holding_each(&self, named: &[u32], now: Seconds) -> Vec<RoaringBitmap> {
        if self.holders.get().is_some() {
            return named
                .iter()
                .map(|entitlement| self.identities_holding(EntitlementIndex(*entitlement), now))
                .collect();
        }
        let mut gives: PairMap<u32, Vec<u32>> = PairMap::default();
        let mut is_source = BitSet::new(self.entitlement_count());
        for (position, entitlement) in named.iter().enumerate() {
            let own = [*entitlement];
            let above = self.containment.reached_from(*entitlement);
            for source in if above.is_empty() { &own } else { above } {
                gives.entry(*source).or_default().push(position as u32);
                is_source.set(*source as usize);
            }
        }
        let mut identities: Vec<Vec<u32>> = vec![Vec::new(); named.len()];
        for identity in 0..self.identity_count() as u32 {
            for account in self.account_range(identity) {
                for &source in self.grants.row(account) {
                    if is_source.get(source as usize) && self.is_valid(account, source, now) {
                        for position in &gives[&source] {
                            let found = &mut identities[*position as usize];
                            if found.last() != Some(&identity) {
                                found.push(identity);
                            }
                        }
                    }
                }
            }
        }
        identities
            .into_iter()
            .map(|found| {
                RoaringBitmap::from_sorted_iter(found.iter().copied())
                    .unwrap_or_else(|_| found.iter().collect())
            })
            .collect()
    }

    /// Heap bytes of the whole graph with the indexes that are built.
    pub fn memory_bytes(&self) -> usize {
        4 * (self.entitlement_system.capacity()
            + self.account_system.capacity()
            + self.account_identity.capacity()
            + self.identity_accounts.capacity())
            + self.grants.memory_bytes()
            + self.holders.get().map_or(0, Holders::memory_bytes)
            + self.containment.memory_bytes()
            + self.validity.capacity() * (8 + size_of::<Validity>() + 1)
            + self.limited.memory_bytes()
            + self.irregular.memory_bytes()
    }
}
