//! What is true in the simulated systems: plain data, saved as JSON, with effective access reckoned from it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;

use leasehold_model::Timestamp;
use leasehold_model::account::{Account, Session};
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::entitlement::{Containment, DirectGrant, Entitlement};
use leasehold_model::fact::{Fact, Owned, OwnerFact};
use leasehold_model::id::{AccountKey, CredentialKey, EntitlementName, IdentityKey, SystemName};
use leasehold_model::identity::Identity;
use serde::{Deserialize, Serialize};

/// What a simulated system can do besides holding grants; real ones differ in this, so these do too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemTraits {
    /// One grant or account can be read.
    pub read_back: bool,
    /// Live sessions can be listed and ended.
    pub sessions: bool,
    /// Last use is known.
    pub last_use: bool,
    /// Credentials can be listed, stopped and revoked.
    #[serde(default)]
    pub credentials: bool,
}

impl Default for SystemTraits {
    fn default() -> Self {
        Self { read_back: true, sessions: true, last_use: true, credentials: true }
    }
}

/// One system: what it holds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SystemState {
    /// What it can do.
    pub traits: SystemTraits,
    /// Its accounts.
    pub accounts: BTreeMap<AccountKey, Account>,
    /// What can be held.
    pub entitlements: BTreeMap<EntitlementName, Entitlement>,
    /// Direct grants by account.
    pub grants: BTreeMap<AccountKey, BTreeMap<EntitlementName, DirectGrant>>,
    /// Each entitlement with those that it carries.
    pub carries: BTreeMap<EntitlementName, BTreeSet<EntitlementName>>,
    /// Who answers for what, as the system says.
    pub owners: Vec<OwnerFact>,
    /// What authenticates its accounts.
    #[serde(default)]
    pub credentials: BTreeMap<CredentialKey, Credential>,
    /// Live sessions by account.
    pub sessions: BTreeMap<AccountKey, Vec<Session>>,
    /// How many accounts were made on request, so that no key is ever given twice.
    #[serde(default)]
    pub accounts_made: u64,
    /// How many credentials were issued on request, for the same reason.
    #[serde(default)]
    pub credentials_issued: u64,
}

/// An account with what hangs on it, as it was when it was taken out.
#[derive(Debug, Clone, PartialEq)]
pub struct WholeAccount {
    /// The account.
    pub account: Account,
    /// What it holds directly.
    pub grants: BTreeMap<EntitlementName, DirectGrant>,
    /// What authenticates it.
    pub credentials: Vec<Credential>,
}

impl SystemState {
    /// Makes an account for this login, under a key that no other ever had.
    pub fn make_account(&mut self, login: &str, attributes: &BTreeMap<String, String>) -> AccountKey {
        let key = loop {
            self.accounts_made += 1;
            let key = AccountKey(format!("made-{}", self.accounts_made));
            if !self.accounts.contains_key(&key) {
                break key;
            }
        };
        let mut account = Account::new(key.clone(), login);
        for (name, value) in attributes {
            // Directories have names of their own for these two, and correlation goes by them.
            let name = match name.as_str() {
                "email" => "mail",
                "employee_number" => "employeeNumber",
                name => name,
            };
            account.attributes.insert(name.to_owned(), value.clone());
        }
        self.add_account(account);
        key
    }

    /// Adds a credential to an account, under a key that no other ever had.
    pub fn issue_credential(&mut self, account: &AccountKey, now: Timestamp) -> CredentialKey {
        self.credentials_issued += 1;
        let key = CredentialKey(format!("issued-{}", self.credentials_issued));
        let mut credential =
            Credential::new(key.clone(), account.clone(), CredentialKind::ApiKey, key.as_str());
        credential.created_at = Some(now);
        self.credentials.insert(key.clone(), credential);
        if let Some(account) = self.accounts.get_mut(account).filter(|account| account.awaits_credential) {
            (account.enabled, account.awaits_credential) = (true, false);
        }
        key
    }

    /// An account with what hangs on it.
    pub fn whole_account(&self, key: &AccountKey) -> Option<WholeAccount> {
        let credentials = self.credentials.values().filter(|credential| credential.account == *key);
        Some(WholeAccount {
            account: self.accounts.get(key)?.clone(),
            grants: self.grants.get(key).cloned().unwrap_or_default(),
            credentials: credentials.cloned().collect(),
        })
    }

    /// Takes an account out, with everything that hangs on it; false where there was none.
    pub fn remove_account(&mut self, key: &AccountKey) -> bool {
        self.grants.remove(key);
        self.sessions.remove(key);
        self.credentials.retain(|_, credential| credential.account != *key);
        self.owners.retain(|owner| !matches!(&owner.of, Owned::Account(account) if account == key));
        self.accounts.remove(key).is_some()
    }

    /// Puts an account back with what hung on it.
    pub fn put_account_back(&mut self, whole: WholeAccount) {
        let key = whole.account.key.clone();
        let credentials = whole.credentials.into_iter();
        self.credentials.extend(credentials.map(|credential| (credential.key.clone(), credential)));
        if !whole.grants.is_empty() {
            self.grants.insert(key.clone(), whole.grants);
        }
        self.accounts.insert(key, whole.account);
    }

    /// Adds an account with what everybody holds there by the system's nature.
    pub fn add_account(&mut self, account: Account) {
        let inherent: Vec<EntitlementName> = self
            .entitlements
            .values()
            .filter(|entitlement| entitlement.inherent)
            .map(|entitlement| entitlement.name.clone())
            .collect();
        for entitlement in inherent {
            self.grant(&account.key, &entitlement);
        }
        self.accounts.insert(account.key.clone(), account);
    }

    /// Gives an entitlement directly; false where it was held already.
    pub fn grant(&mut self, account: &AccountKey, entitlement: &EntitlementName) -> bool {
        let grant = DirectGrant {
            account: account.clone(),
            entitlement: entitlement.clone(),
            valid_from: None,
            valid_until: None,
            options: None,
        };
        self.grants.entry(account.clone()).or_default().insert(entitlement.clone(), grant).is_none()
    }

    /// Takes a direct grant away; false where it was not held.
    pub fn revoke(&mut self, account: &AccountKey, entitlement: &EntitlementName) -> bool {
        let Some(held) = self.grants.get_mut(account) else { return false };
        let was_held = held.remove(entitlement).is_some();
        if held.is_empty() {
            self.grants.remove(account);
        }
        was_held
    }

    /// Whether the account holds the entitlement directly.
    pub fn holds_directly(&self, account: &AccountKey, entitlement: &EntitlementName) -> bool {
        self.grants.get(account).is_some_and(|held| held.contains_key(entitlement))
    }

    /// Everything that is held when `direct` is held, cycles tolerated.
    pub fn closure(&self, direct: impl IntoIterator<Item = EntitlementName>) -> BTreeSet<EntitlementName> {
        let mut reached = BTreeSet::new();
        let mut waiting: Vec<EntitlementName> = direct.into_iter().collect();
        while let Some(entitlement) = waiting.pop() {
            if let Some(carried) = self.carries.get(&entitlement) {
                waiting.extend(carried.iter().filter(|next| !reached.contains(*next)).cloned());
            }
            reached.insert(entitlement);
        }
        reached
    }

    /// Everything that the account holds on any path.
    pub fn effective(&self, account: &AccountKey) -> BTreeSet<EntitlementName> {
        self.closure(self.grants.get(account).into_iter().flat_map(|held| held.keys().cloned()))
    }

    /// What the account holds directly and not by the system's nature.
    pub fn revocable(&self, account: &AccountKey) -> Vec<EntitlementName> {
        let held = self.grants.get(account).into_iter().flat_map(BTreeMap::keys);
        held.filter(|name| !self.entitlements.get(*name).is_some_and(|found| found.inherent))
            .cloned()
            .collect()
    }

    /// The whole system as facts.
    pub fn facts(&self) -> Vec<Fact> {
        let mut facts: Vec<Fact> = self.accounts.values().cloned().map(Fact::Account).collect();
        facts.extend(self.credentials.values().cloned().map(Fact::Credential));
        facts.extend(self.entitlements.values().cloned().map(Fact::Entitlement));
        facts.extend(self.carries.iter().flat_map(|(parent, children)| {
            children
                .iter()
                .map(|child| Fact::Containment(Containment { parent: parent.clone(), child: child.clone() }))
        }));
        facts.extend(self.owners.iter().cloned().map(Fact::Owner));
        facts.extend(self.grants.values().flat_map(BTreeMap::values).cloned().map(Fact::Grant));
        facts
    }
}

/// Everything: the people of the authoritative feed, and the systems.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorldState {
    /// The day that the company was generated for.
    pub as_of: Timestamp,
    /// The feed.
    pub people: BTreeMap<IdentityKey, Identity>,
    /// The systems.
    pub systems: BTreeMap<SystemName, SystemState>,
}

impl WorldState {
    /// Reads a saved state; `None` where there is no such file.
    ///
    /// # Errors
    /// Where the file cannot be read or is not a saved state.
    pub fn load(path: &Path) -> std::io::Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Saves the state so that a reader, or a crash at any point, finds either the old or the new one whole.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{}.tmp", std::process::id()));
        let mut file = std::fs::File::create(&draft)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_access_follows_every_path_and_survives_a_cycle() {
        let mut system = SystemState::default();
        let name = |text: &str| EntitlementName::new("group", text);
        for (parent, child) in [("a", "b"), ("b", "c"), ("c", "a"), ("x", "c")] {
            system.carries.entry(name(parent)).or_default().insert(name(child));
        }
        let account = AccountKey::from("ada");
        assert!(system.grant(&account, &name("b")));
        assert!(!system.grant(&account, &name("b")), "a second grant changes nothing");
        assert_eq!(system.effective(&account), [name("a"), name("b"), name("c")].into());
        assert!(system.revoke(&account, &name("b")));
        assert!(!system.revoke(&account, &name("b")));
        assert!(system.effective(&account).is_empty());
    }

    #[test]
    fn a_removed_account_leaves_nothing_and_its_key_is_not_given_again() {
        let mut system = SystemState::default();
        let before = system.clone();
        let attributes = [("email", "ada@example.com"), ("title", "Engineer")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let key = system.make_account("ada", &attributes);
        assert_eq!(system.accounts[&key].attributes["mail"], "ada@example.com");
        system.grant(&key, &EntitlementName::new("group", "a"));
        let credential = Credential::new("key-1", key.clone(), CredentialKind::ApiKey, "first");
        system.credentials.insert(credential.key.clone(), credential);
        let (made, whole) = (system.clone(), system.whole_account(&key).unwrap());
        assert!(system.remove_account(&key) && !system.remove_account(&key));
        assert_eq!(system, SystemState { accounts_made: 1, ..before });
        assert_ne!(system.clone().make_account("ada", &BTreeMap::new()), key);
        system.put_account_back(whole);
        assert_eq!(system, made);
    }
}
