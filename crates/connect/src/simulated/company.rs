//! The practice company: generated from one seed, with everything in order first and then with what goes wrong in
//! every company, each piece of trouble noted so that a test can ask whether it was found.

use std::collections::BTreeMap;

use leasehold_model::Timestamp;
use leasehold_model::account::{Account, LastUse, Session};
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::decision::DriftKind;
use leasehold_model::id::{AccountKey, EntitlementAddress, EntitlementName, IdentityKey, SystemName};
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState, Unsaid};

use super::dice::Dice;
use super::people::{self, days_from};
use super::state::{SystemState, WorldState};
use super::{roles, systems};

/// The system name of the people feed.
pub const FEED: &str = "hr";

/// The service identity as which Leasehold itself is logged in everywhere.
pub const ACTING_AS: &str = "svc-leasehold";

/// The fewest people of a company: each department has a head and somebody else.
pub const PEOPLE_MIN: usize = 24;

/// 2026-01-15T00:00:00Z, the day of companies that are generated without naming one.
const AS_OF_SECOND: i64 = 1_768_435_200;

/// A piece of trouble that was put in on purpose. There may be more drift than this; there may not be less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planted {
    /// How it shows.
    pub kind: DriftKind,
    /// Where.
    pub system: SystemName,
    /// The account.
    pub account: AccountKey,
    /// The entitlement; `None` for trouble of the account itself.
    pub entitlement: Option<EntitlementName>,
    /// Whose account it is, where it is somebody's.
    pub identity: Option<IdentityKey>,
}

/// An assignment or exception of the policy.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) name: String,
    pub(super) identity: IdentityKey,
    pub(super) grants: Vec<&'static str>,
    pub(super) until: Timestamp,
    pub(super) owner: IdentityKey,
    pub(super) why: &'static str,
}

/// A generated company.
#[derive(Debug, Clone)]
pub struct Company {
    /// What it was generated from.
    pub seed: u64,
    /// How many people were asked for.
    pub people: usize,
    /// The feed and the systems.
    pub state: WorldState,
    /// What is wrong on purpose.
    pub planted: Vec<Planted>,
    pub(super) assignments: Vec<Given>,
    pub(super) exceptions: Vec<Given>,
    pub(super) dice: Dice,
}

impl Company {
    /// The company of this seed on a fixed day, the same on every machine.
    pub fn generate(seed: u64, people: usize) -> Self {
        Self::generate_as_of(
            seed,
            people,
            Timestamp::from_second(AS_OF_SECOND).unwrap_or(Timestamp::UNIX_EPOCH),
        )
    }

    /// The company of this seed as it is at `as_of`; every date in it is relative to that instant.
    /// At least [`PEOPLE_MIN`] people are hired.
    pub fn generate_as_of(seed: u64, people: usize, as_of: Timestamp) -> Self {
        let people = people.max(PEOPLE_MIN);
        let mut dice = Dice::new(seed);
        let hired = people::hire(&mut dice, people, as_of);
        let heads = people::DEPARTMENTS.len() + 1;
        let regulars: Vec<IdentityKey> =
            hired.iter().skip(heads).map(|identity| identity.key.clone()).collect();
        let mut company = Self {
            seed,
            people,
            state: WorldState {
                as_of,
                people: hired.into_iter().map(|identity| (identity.key.clone(), identity)).collect(),
                systems: systems::empty_systems(),
            },
            planted: Vec::new(),
            assignments: Vec::new(),
            exceptions: Vec::new(),
            dice,
        };
        let everybody: Vec<IdentityKey> = company.state.people.keys().cloned().collect();
        for key in &everybody {
            company.equip(key);
        }
        company.add_services();
        company.add_break_glass();
        company.add_trouble(regulars);
        company.add_sessions();
        company.add_credentials();
        company
    }

    pub(super) fn as_of(&self) -> Timestamp {
        self.state.as_of
    }

    /// The head of a department; every department has one, who stays.
    pub(super) fn head_of(&self, department: &str) -> IdentityKey {
        let title = format!("Head of {department}");
        let found =
            self.state.people.values().find(|identity| identity.attribute("title") == Some(title.as_str()));
        found.map_or_else(|| IdentityKey::from("nobody@example.com"), |identity| identity.key.clone())
    }

    /// Accounts and grants as the roles of somebody's department and title give them.
    fn equip(&mut self, key: &IdentityKey) {
        let Some(identity) = self.state.people.get(key) else { return };
        let department = identity.attribute("department").unwrap_or_default();
        let title = identity.attribute("title").unwrap_or_default();
        for address in roles::grants_of(identity, department, title) {
            self.give(key, address);
        }
    }

    /// Gives an identity an entitlement, with an account in that system where it has none yet.
    pub(super) fn give(
        &mut self,
        identity: &IdentityKey,
        address: &str,
    ) -> Option<(SystemName, AccountKey, EntitlementName)> {
        let address: EntitlementAddress = address.parse().ok()?;
        let account = self.account_in(identity, &address.system)?;
        self.state.systems.get_mut(&address.system)?.grant(&account, &address.entitlement);
        Some((address.system, account, address.entitlement))
    }

    /// The account of an identity in a system, made where there is none.
    fn account_in(&mut self, identity: &IdentityKey, system: &SystemName) -> Option<AccountKey> {
        let identity = self.state.people.get(identity)?;
        let key = account_key(identity, system);
        if !self.state.systems.get(system)?.accounts.contains_key(&key) {
            let account = make_account(identity, system, &key, self.state.as_of, &mut self.dice);
            self.add_account(system, account);
        }
        Some(key)
    }

    pub(super) fn add_account(&mut self, system: &SystemName, account: Account) {
        if let Some(state) = self.state.systems.get_mut(system) {
            state.add_account(account);
        }
    }

    /// The accounts of an identity that were made by [`Company::give`].
    pub(super) fn accounts_of(&self, identity: &IdentityKey) -> Vec<(SystemName, AccountKey)> {
        let Some(identity) = self.state.people.get(identity) else { return Vec::new() };
        let keyed = self.state.systems.iter().map(|(name, state)| (name, state, account_key(identity, name)));
        keyed
            .filter(|(_, state, key)| state.accounts.contains_key(key))
            .map(|(name, _, key)| (name.clone(), key))
            .collect()
    }

    pub(super) fn system_mut(&mut self, name: &SystemName) -> Option<&mut SystemState> {
        self.state.systems.get_mut(name)
    }

    pub(super) fn plant(
        &mut self,
        kind: DriftKind,
        place: &(SystemName, AccountKey, EntitlementName),
        identity: Option<&IdentityKey>,
    ) {
        let (system, account, entitlement) = place.clone();
        let identity = identity.cloned();
        self.planted.push(Planted { kind, system, account, entitlement: Some(entitlement), identity });
    }

    pub(super) fn plant_account(
        &mut self,
        kind: DriftKind,
        system: &SystemName,
        account: &AccountKey,
        identity: Option<&IdentityKey>,
    ) {
        let (system, account) = (system.clone(), account.clone());
        self.planted.push(Planted { kind, system, account, entitlement: None, identity: identity.cloned() });
    }

    /// The non-humans that are known and looked after, each justified by an assignment.
    fn add_services(&mut self) {
        let services: [(&str, &str, &[&'static str], &'static str); 4] = [
            (
                ACTING_AS,
                "Security",
                &[
                    "directory:group/domain-admins",
                    "ledger-db:role/admin",
                    "cloud:role/organization-admin",
                    "crm:role/admin",
                    "vpn:profile/standard",
                ],
                "Leasehold's own accounts",
            ),
            ("svc-ledger-export", "Finance", &["ledger-db:role/reporting"], "Nightly export of the ledger"),
            (
                "svc-deploy",
                "Platform",
                &["cloud:role/deployer", "directory:group/build-runners"],
                "Deploys what was built",
            ),
            ("svc-crm-sync", "Sales", &["crm:role/data-export"], "Copies customers to the warehouse"),
        ];
        for (name, department, grants, why) in services {
            let owner = self.head_of(department);
            self.add_service(name, department, owner, grants, why);
        }
    }

    pub(super) fn add_service(
        &mut self,
        name: &str,
        department: &str,
        owner: IdentityKey,
        grants: &[&'static str],
        why: &'static str,
    ) -> IdentityKey {
        let email = format!("{name}@example.com");
        let key = IdentityKey(email.clone());
        let attributes = [("email", email.as_str()), ("department", department), ("title", why)];
        let service = Identity {
            key: key.clone(),
            kind: IdentityKind::Service,
            state: LifecycleState::Active,
            start: Some(days_from(self.as_of(), -400)),
            end: None,
            manager: None,
            owner: Some(owner),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            unsaid: Unsaid::default(),
        };
        self.state.people.insert(key.clone(), service);
        for address in grants {
            self.give(&key, address);
        }
        let given = Given {
            name: name.to_owned(),
            identity: key.clone(),
            grants: grants.to_vec(),
            until: days_from(self.as_of(), 300),
            owner: self.head_of(department),
            why,
        };
        self.assignments.push(given);
        key
    }

    fn add_break_glass(&mut self) {
        for (system, login, entitlement) in BREAK_GLASS {
            let Ok(system) = SystemName::new(system) else { continue };
            let Ok(entitlement) = entitlement.parse::<EntitlementName>() else { continue };
            let mut account = Account::new(login, login);
            if system.as_str() != "ledger-db" {
                account.last_use = LastUse::At(days_from(self.as_of(), -20));
                account.credential_changed_at = Some(days_from(self.as_of(), -20));
            }
            let key = account.key.clone();
            self.add_account(&system, account);
            if let Some(state) = self.system_mut(&system) {
                state.grant(&key, &entitlement);
            }
        }
    }

    /// Access keys of every third cloud account and certificates of every second account of the network, drawn from dice of
    /// their own.
    fn add_credentials(&mut self) {
        let as_of = self.as_of();
        let mut dice = Dice::new(self.seed ^ 0xC4ED);
        for (name, state) in &mut self.state.systems {
            if !state.traits.credentials {
                continue;
            }
            let (kind, word, share) = match name.as_str() {
                "vpn" => (CredentialKind::Certificate, "cert", 500),
                _ => (CredentialKind::AccessKey, "key", 333),
            };
            for account in state.accounts.values() {
                // What stands for a key itself has none.
                if account.attributes.contains_key("credential") || !dice.in_a_thousand(share) {
                    continue;
                }
                let label = format!("{word}-{:08x}", dice.roll() >> 32);
                let mut credential =
                    Credential::new(label.as_str(), account.key.clone(), kind, label.as_str());
                credential.created_at = Some(days_from(as_of, -dice.between(20, 300)));
                if kind == CredentialKind::Certificate {
                    credential.expires_at = Some(days_from(as_of, dice.between(30, 360)));
                }
                if state.traits.last_use {
                    credential.last_use = LastUse::At(days_from(as_of, -dice.between(0, 25)));
                }
                state.credentials.insert(credential.key.clone(), credential);
            }
        }
    }

    /// Live sessions of about every tenth account, where the system knows sessions.
    fn add_sessions(&mut self) {
        let as_of = self.as_of();
        for state in self.state.systems.values_mut().filter(|state| state.traits.sessions) {
            let usable = state.accounts.values().filter(|account| account.enabled);
            let keys: Vec<AccountKey> = usable.map(|account| account.key.clone()).collect();
            for (number, key) in keys.into_iter().enumerate() {
                if self.dice.in_a_thousand(100) && !state.sessions.contains_key(&key) {
                    let minutes = self.dice.between(3, 400);
                    state.sessions.insert(key, vec![session(number, as_of, minutes)]);
                }
            }
        }
    }
}

/// The emergency accounts: system, login, entitlement.
pub(super) const BREAK_GLASS: [(&str, &str, &str); 2] = [
    ("ledger-db", "break-glass", "role/admin"),
    ("cloud", "break-glass@example.com", "role/organization-admin"),
];

pub(super) fn session(number: usize, as_of: Timestamp, minutes: i64) -> Session {
    Session {
        id: format!("session-{number}"),
        started_at: as_of.checked_sub(jiff::SignedDuration::from_mins(minutes)).ok(),
        detail: "interactive".to_owned(),
    }
}

/// Each system has its own idea of what a stable key is.
pub(super) fn account_key(identity: &Identity, system: &SystemName) -> AccountKey {
    let local = identity.key.as_str().split('@').next().unwrap_or_default();
    let number = identity.attribute("employee_number").unwrap_or(local).to_lowercase();
    AccountKey(match system.as_str() {
        "directory" => format!("uid-{number}"),
        "cloud" => format!("user-{number}"),
        "crm" => format!("crm-{number}"),
        _ => local.to_owned(),
    })
}

pub(super) fn make_account(
    identity: &Identity,
    system: &SystemName,
    key: &AccountKey,
    as_of: Timestamp,
    dice: &mut Dice,
) -> Account {
    let email = identity.key.as_str();
    let local = email.split('@').next().unwrap_or_default();
    let login = if matches!(system.as_str(), "cloud" | "crm") { email } else { local };
    let mut account = Account::new(key.clone(), login);
    let mut attributes: BTreeMap<String, String> = BTreeMap::new();
    let mut attribute = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            attributes.insert(name.to_owned(), value.to_owned());
        }
    };
    match system.as_str() {
        "directory" => {
            attribute("mail", Some(email));
            attribute("employeeNumber", identity.attribute("employee_number"));
            attribute("dn", Some(&format!("uid={local},ou=people,dc=example,dc=com")));
            account.credential_changed_at = Some(days_from(as_of, -dice.between(10, 300)));
        }
        "crm" => attribute("mail", Some(email)),
        _ => {}
    }
    if let (Some(given), Some(family)) = (identity.attribute("given_name"), identity.attribute("family_name"))
    {
        attribute("display_name", Some(&format!("{given} {family}")));
    }
    account.attributes = attributes;
    if identity.kind != IdentityKind::Person {
        account.kind = Some(identity.kind);
    }
    if system.as_str() != "ledger-db" {
        account.last_use = LastUse::At(days_from(as_of, -dice.between(0, 60)));
    }
    account
}
