//! What a story begins with: a small company drawn from a seed, its policy, and the same claims once more as plain data,
//! so that the invariants can judge without the engine that they check.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use leasehold_connect::simulated::Company;
use leasehold_connect::simulated::dice::Dice;
use leasehold_connect::simulated::state::{SystemState, SystemTraits, WorldState};
use leasehold_model::account::{Account, Session};
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::entitlement::Entitlement;
use leasehold_model::fact::{Owned, OwnerFact};
use leasehold_model::id::{AccountKey, EntitlementName, IdentityKey, SystemName};
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState, Unsaid};

/// Whom the connectors of drawn scenes are logged in as.
pub const OWN_LOGIN: &str = "leasehold";

/// `system`, `entitlement`.
pub type Address = (SystemName, EntitlementName);

/// A role of a drawn scene: everybody of one department holds it.
#[derive(Debug, Clone)]
pub struct Role {
    pub department: &'static str,
    pub owner: IdentityKey,
    pub grants: Vec<Address>,
}

/// An assignment or exception of a drawn scene.
#[derive(Debug, Clone)]
pub struct Given {
    pub identity: IdentityKey,
    pub owner: IdentityKey,
    pub until: Timestamp,
    pub grants: Vec<Address>,
}

/// The policy of a drawn scene as data.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    pub roles: Vec<Role>,
    pub given: Vec<Given>,
}

/// Where a story begins.
#[derive(Debug, Clone)]
pub struct Scene {
    pub state: WorldState,
    pub policy: BTreeMap<String, String>,
    pub correlate: BTreeMap<SystemName, Vec<&'static str>>,
    /// Accounts that nothing may touch.
    pub untouchable: BTreeSet<(SystemName, AccountKey)>,
    pub own_login: Option<&'static str>,
    /// `None` where only the engine can say what the policy means.
    pub claims: Option<Claims>,
}

/// An instant some days after another.
pub fn days_from(at: Timestamp, days: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_hours(24 * days)).expect("a date of a story")
}

fn system_name(name: &str) -> SystemName {
    SystemName::new(name).expect("a system of a story")
}

const DEPARTMENTS: [&str; 3] = ["Red", "Green", "Blue"];
const SYSTEMS: [&str; 2] = ["alpha", "beta"];

impl Scene {
    /// A generated practice company.
    pub fn company(seed: u64, people: usize) -> (Self, Company) {
        let company = Company::generate(seed, people);
        let rules: [(&str, &[&'static str]); 5] = [
            ("directory", &["mail = email", "employeeNumber = employee_number"]),
            ("ledger-db", &["login = email.local"]),
            ("cloud", &["login = email", "created_by = email"]),
            ("crm", &["login = email"]),
            ("vpn", &["login = email.local"]),
        ];
        let mut untouchable = BTreeSet::new();
        for (name, system) in &company.state.systems {
            for account in system.accounts.values() {
                if account.login.starts_with("break-glass") || account.login.starts_with("svc-leasehold") {
                    untouchable.insert((name.clone(), account.key.clone()));
                }
            }
        }
        let scene = Self {
            state: company.state.clone(),
            policy: company.policy_files().into_iter().collect(),
            correlate: rules.map(|(name, rules)| (system_name(name), rules.to_vec())).into(),
            untouchable,
            own_login: None,
            claims: None,
        };
        (scene, company)
    }

    /// A few people, two systems of odd shapes, a policy: everything that the rules treat differently, in small.
    pub fn drawn(seed: u64) -> Self {
        Self::of_size(seed, 3, 4)
    }

    /// The same with hardly anybody in it, for stories that are told again and again.
    pub fn tiny(seed: u64) -> Self {
        Self::of_size(seed, 2, 2)
    }

    fn of_size(seed: u64, people: usize, entitlements: usize) -> Self {
        let dice = Dice::new(seed.wrapping_mul(0x9E37_79B9) ^ 0x0005_CE4E);
        let as_of = Timestamp::from_second(1_768_435_200).expect("a date of a story");
        let size = (people, entitlements);
        Drawing {
            dice,
            as_of,
            size,
            people: BTreeMap::new(),
            systems: BTreeMap::new(),
            claims: Claims::default(),
        }
        .finish()
    }
}

struct Drawing {
    dice: Dice,
    as_of: Timestamp,
    /// The fewest people, and entitlements of a system.
    size: (usize, usize),
    people: BTreeMap<IdentityKey, Identity>,
    systems: BTreeMap<SystemName, SystemState>,
    claims: Claims,
}

impl Drawing {
    fn finish(mut self) -> Scene {
        self.hire();
        for name in SYSTEMS {
            self.build(name);
        }
        self.draw_claims();
        self.follow_claims();
        let policy = self.policy();
        let protected =
            [("alpha", "break-glass"), ("beta", "kept"), ("alpha", OWN_LOGIN), ("beta", OWN_LOGIN)];
        Scene {
            untouchable: protected.map(|(system, key)| (system_name(system), AccountKey::from(key))).into(),
            policy: [("policy/all.toml".to_owned(), policy)].into(),
            correlate: SYSTEMS
                .map(|name| {
                    (system_name(name), vec!["login = email.local", "login ~ \"adm-{}\" = email.local"])
                })
                .into(),
            state: WorldState { as_of: self.as_of, people: self.people, systems: self.systems },
            own_login: Some(OWN_LOGIN),
            claims: Some(self.claims),
        }
    }

    fn hire(&mut self) {
        let count = self.size.0 + self.dice.below(3);
        for number in 0..count {
            let key = format!("p{number}@example.com");
            let mut person = identity(&key, DEPARTMENTS[self.dice.below(3)]);
            // The first one stays, so that somebody owns the roles.
            match if number < 1 { 99 } else { self.dice.below(14) } {
                0 | 1 => {
                    person.state = LifecycleState::Left;
                    person.end = Some(days_from(self.as_of, -3));
                }
                2 => person.state = LifecycleState::Suspended,
                3 => {
                    person.state = LifecycleState::Leaving;
                    person.end = Some(days_from(self.as_of, 9));
                }
                4 => person.end = Some(days_from(self.as_of, -2)),
                5 => {
                    person.state = LifecycleState::PreHire;
                    person.start = Some(days_from(self.as_of, 9));
                }
                6 => person.state = LifecycleState::OnLeave,
                _ => {}
            }
            self.people.insert(person.key.clone(), person);
        }
        if self.dice.in_a_thousand(200) {
            // Two people whose accounts cannot be told apart.
            let twin = identity("p1@other.example", DEPARTMENTS[self.dice.below(3)]);
            self.people.insert(twin.key.clone(), twin);
        }
        let mut service = identity("svc@example.com", "Red");
        service.kind = IdentityKind::Service;
        service.owner = Some(IdentityKey::from("p1@example.com"));
        self.people.insert(service.key.clone(), service);
    }

    fn build(&mut self, name: &str) {
        let mut system = SystemState {
            traits: SystemTraits {
                read_back: true,
                sessions: name == "alpha",
                last_use: false,
                credentials: true,
            },
            ..SystemState::default()
        };
        let count = self.size.1 + self.dice.below(3);
        for number in 0..count {
            let mut entitlement = Entitlement::new("role", format!("e{number}"));
            entitlement.privileged = number == 0;
            if number == 1 && self.dice.in_a_thousand(150) {
                entitlement.irrevocable = Some("it is the owner's right".to_owned());
            }
            system.entitlements.insert(entitlement.name.clone(), entitlement);
        }
        let mut everyone = Entitlement::new("role", "everyone");
        everyone.inherent = true;
        system.entitlements.insert(everyone.name.clone(), everyone);
        // Containment of any shape: chains, diamonds, cycles.
        for _ in 0..self.dice.below(count + 3) {
            let (parent, child) = (self.dice.below(count), self.dice.below(count));
            if parent != child {
                system.carries.entry(role(parent)).or_default().insert(role(child));
            }
        }
        let people: Vec<String> = self
            .people
            .keys()
            .map(|key| key.as_str().split('@').next().unwrap_or_default().to_owned())
            .collect();
        let mut accounts =
            vec![(OWN_LOGIN.to_owned(), OWN_LOGIN.to_owned()), ("ghost".into(), "ghost".into())];
        for person in people {
            if self.dice.in_a_thousand(850) {
                let key = if name == "alpha" { format!("uid-{person}") } else { person.clone() };
                accounts.push((key, person.clone()));
            }
            if self.dice.in_a_thousand(120) {
                accounts.push((format!("adm-{person}"), format!("adm-{person}")));
            }
        }
        let special = if name == "alpha" { "break-glass" } else { "kept" };
        accounts.extend([(special.to_owned(), special.to_owned()), ("bot".into(), "bot".into())]);
        for (key, login) in accounts {
            let mut account = Account::new(key.as_str(), login);
            account.enabled = self.dice.in_a_thousand(900);
            if key == "bot" {
                account.kind = Some(IdentityKind::Service);
                let owner = IdentityKey::from(if self.dice.in_a_thousand(500) {
                    "p0@example.com"
                } else {
                    "p1@example.com"
                });
                system.owners.push(OwnerFact { of: Owned::Account(account.key.clone()), owner });
            }
            for _ in 0..self.dice.below(3) {
                let entitlement = role(self.dice.below(count));
                system.grant(&account.key, &entitlement);
            }
            system.grant(&account.key, &EntitlementName::new("role", "everyone"));
            if system.traits.sessions && self.dice.in_a_thousand(300) {
                let session = Session {
                    id: "session-1".to_owned(),
                    started_at: Some(self.as_of),
                    detail: "interactive".to_owned(),
                };
                system.sessions.insert(account.key.clone(), vec![session]);
            }
            system.accounts.insert(account.key.clone(), account);
        }
        self.add_credentials(&mut system);
        self.systems.insert(system_name(name), system);
    }

    /// Keys of some accounts: usable, stopped, past their end, made by somebody else.
    fn add_credentials(&mut self, system: &mut SystemState) {
        let logins: Vec<String> = system.accounts.values().map(|account| account.login.clone()).collect();
        let accounts: Vec<AccountKey> = system.accounts.keys().cloned().collect();
        for account in accounts {
            for number in 0..self.dice.below(3) {
                let name = format!("{account}-key-{number}");
                let kind = CredentialKind::ALL[self.dice.below(CredentialKind::ALL.len())];
                let mut credential = Credential::new(name.as_str(), account.clone(), kind, name.as_str());
                credential.active = self.dice.in_a_thousand(850);
                if self.dice.in_a_thousand(200) {
                    let days = self.dice.between(-30, 30);
                    credential.expires_at =
                        self.as_of.checked_add(SignedDuration::from_hours(24 * days)).ok();
                }
                if self.dice.in_a_thousand(200) {
                    credential.created_by = Some(logins[self.dice.below(logins.len())].clone());
                }
                system.credentials.insert(credential.key.clone(), credential);
            }
        }
    }

    fn addresses(&mut self, most: usize) -> Vec<Address> {
        let mut drawn = BTreeSet::new();
        for _ in 0..1 + self.dice.below(most) {
            let system = system_name(SYSTEMS[self.dice.below(2)]);
            let count = self.systems[&system].entitlements.len() - 1;
            drawn.insert((system, role(self.dice.below(count))));
        }
        drawn.into_iter().collect()
    }

    fn draw_claims(&mut self) {
        for _ in 0..1 + self.dice.below(4) {
            let department = DEPARTMENTS[self.dice.below(3)];
            let grants = self.addresses(3);
            let owner = IdentityKey::from("p0@example.com");
            self.claims.roles.push(Role { department, owner, grants });
        }
        let keys: Vec<IdentityKey> = self.people.keys().cloned().collect();
        for _ in 0..self.dice.below(4) {
            let given = Given {
                identity: keys[self.dice.below(keys.len())].clone(),
                owner: keys[self.dice.below(keys.len())].clone(),
                until: days_from(self.as_of, if self.dice.in_a_thousand(650) { 40 } else { -4 }),
                grants: self.addresses(2),
            };
            self.claims.given.push(given);
        }
    }

    /// Most of what the roles give is there; the rest is missing.
    fn follow_claims(&mut self) {
        for claim in self.claims.roles.clone() {
            let members: Vec<String> = self
                .people
                .values()
                .filter(|person| person.attribute("department") == Some(claim.department))
                .map(|person| person.key.as_str().split('@').next().unwrap_or_default().to_owned())
                .collect();
            for (system, entitlement) in &claim.grants {
                let Some(state) = self.systems.get_mut(system) else { continue };
                for member in &members {
                    let key = state.accounts.values().find(|account| &account.login == member);
                    if let Some(key) = key.map(|account| account.key.clone())
                        && self.dice.in_a_thousand(850)
                    {
                        state.grant(&key, entitlement);
                    }
                }
            }
        }
    }

    fn policy(&mut self) -> String {
        let mut text = String::new();
        let list = |grants: &[Address]| {
            let names: Vec<String> =
                grants.iter().map(|(system, entitlement)| format!("\"{system}:{entitlement}\"")).collect();
            format!("[{}]", names.join(", "))
        };
        for (number, role) in self.claims.roles.iter().enumerate() {
            let _ = writeln!(
                text,
                "[role.r{number}]\ntitle = \"R\"\ntask = \"T\"\nowner = \"{}\"\nmembers = 'principal.department == \"{}\"'\ngrants = {}\n",
                role.owner,
                role.department,
                list(&role.grants)
            );
        }
        for (number, given) in self.claims.given.iter().enumerate() {
            let table = if number % 2 == 0 { "assignment" } else { "exception" };
            let _ = writeln!(
                text,
                "[{table}.g{number}]\nidentity = \"{}\"\ngrants = {}\nuntil = \"{}\"\nowner = \"{}\"\nwhy = \"W\"\n",
                given.identity,
                list(&given.grants),
                given.until,
                given.owner
            );
        }
        text.push_str("[protect.kept]\naccounts = [\"beta:kept\"]\nwhy = \"it is kept\"\n\n");
        text.push_str(
            "[break_glass.alpha]\naccounts = [\"alpha:break-glass\"]\nowner = \"p0@example.com\"\nuntil = \"2026-12-01\"\n\n",
        );
        text.push_str(
            "[sod.both]\nseverity = \"high\"\nconflict = [[\"alpha:role/e1\"], [\"beta:role/e2\"]]\n\n",
        );
        if self.dice.in_a_thousand(250) {
            // Small enough to hold back many of these plans.
            text.push_str("[guard.alpha]\nshare_max = 0.15\ncount_min = 3\n\n");
        }
        text
    }
}

fn role(number: usize) -> EntitlementName {
    EntitlementName::new("role", format!("e{number}"))
}

/// An active person.
pub fn identity(key: &str, department: &str) -> Identity {
    Identity {
        key: IdentityKey::from(key),
        kind: IdentityKind::Person,
        state: LifecycleState::Active,
        start: None,
        end: None,
        manager: None,
        owner: None,
        attributes: [("email", key), ("department", department)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        unsaid: Unsaid::default(),
    }
}
