//! What is wrong in the practice company on purpose: each kind of trouble that Leasehold should find, and its note.

use std::collections::BTreeSet;

use leasehold_model::account::{Account, LastUse, PostureFinding};
use leasehold_model::decision::DriftKind;
use leasehold_model::fact::{Owned, OwnerFact};
use leasehold_model::id::{AccountKey, EntitlementAddress, IdentityKey, SystemName};
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState, Unsaid};

use super::company::{Company, Given, session};
use super::people::days_from;
use super::roles;

/// Access that somebody gave directly in a system, in a hurry.
pub(super) const OUT_OF_BAND: &[&str] = &[
    "directory:group/sre",
    "crm:role/data-export",
    "cloud:role/prod-admin",
    "ledger-db:role/reporting",
    "vpn:profile/production",
];

/// Accounts that belong to nobody whom the feed knows.
const ORPHANS: &[(&str, &str, &str)] = &[
    ("ledger-db", "contractor_reporting", "role/reporting"),
    ("directory", "temp.reception", "group/staff"),
    ("crm", "trial.user@example.com", "role/sales-user"),
    ("vpn", "old.vendor", "profile/vendor"),
    ("cloud", "migration-helper@example.com", "role/developer"),
];

impl Company {
    /// Puts the trouble in. `pool` holds those who may be picked; nobody is picked twice, so that no two pieces of
    /// trouble blur each other.
    pub(super) fn add_trouble(&mut self, mut pool: Vec<IdentityKey>) {
        self.dice.shuffle(&mut pool);
        // One of each kind in the smallest company, more in a larger one.
        let share = |people: usize, of: usize| (people / of).max(1);
        let people = self.people;
        self.add_toxic(&mut pool);
        let leavers: Vec<IdentityKey> = self.pick(&mut pool, share(people, 50) + 1);
        for (number, leaver) in leavers.iter().enumerate() {
            self.add_leaver(leaver, number);
        }
        for key in self.pick(&mut pool, share(people, 40)) {
            self.add_mover(&key);
        }
        for (number, key) in self.pick(&mut pool, share(people, 50)).into_iter().enumerate() {
            self.add_out_of_band(&key, number);
        }
        self.add_exceptions(&mut pool);
        for key in self.pick(&mut pool, share(people, 60)) {
            self.add_missing(&key);
        }
        for key in self.pick(&mut pool, share(people, 40)) {
            self.add_dormant(&key);
        }
        self.add_keys(&mut pool);
        self.add_orphans((people / 40 + 1).clamp(2, ORPHANS.len()));
        self.add_ownerless(leavers.first());
        for key in self.pick(&mut pool, people / 40) {
            self.add_clean_leaver(&key);
        }
        self.add_quiet_cases(&mut pool);
        self.add_project(&mut pool);
    }

    fn pick(&mut self, pool: &mut Vec<IdentityKey>, count: usize) -> Vec<IdentityKey> {
        (0..count).filter_map(|_| pool.pop()).collect()
    }

    fn pick_titled(&mut self, pool: &mut Vec<IdentityKey>, title: &str) -> Option<IdentityKey> {
        let fits = |key: &IdentityKey| {
            self.state
                .people
                .get(key)
                .and_then(|identity| identity.attribute("title"))
                .is_some_and(|found| found.contains(title))
        };
        let index = pool.iter().position(fits)?;
        Some(pool.remove(index))
    }

    /// One toxic pair that nobody allowed, and one that an exception made.
    fn add_toxic(&mut self, pool: &mut Vec<IdentityKey>) {
        if let Some(engineer) = self.pick_titled(pool, "Payments Engineer")
            && let Some(place) = self.give(&engineer, "ledger-db:role/payments_approver")
        {
            self.plant(DriftKind::Unjustified, &place, Some(&engineer));
            self.plant(DriftKind::Toxic, &place, Some(&engineer));
        }
        if let Some(clerk) = self.pick_titled(pool, "Accounts Payable Clerk")
            && let Some(place) = self.give(&clerk, "ledger-db:role/vendor_approve")
        {
            self.plant(DriftKind::Toxic, &place, Some(&clerk));
            let owner = self.head_of("Finance");
            self.add_exception(
                "vendor-approval-cover",
                &clerk,
                &["ledger-db:role/vendor_approve"],
                45,
                owner,
                "Covers for a colleague",
            );
        }
    }

    /// Gone, with access left behind: all of it, or what the directory does not see.
    fn add_leaver(&mut self, key: &IdentityKey, number: usize) {
        let ended_days = self.dice.between(5, 80);
        let end = days_from(self.as_of(), -ended_days);
        if number == 0 {
            self.give(key, "directory:group/project-aurora-core");
        }
        self.end_identity(key, end);
        let as_of = self.as_of();
        for (system, account) in self.accounts_of(key) {
            let only_directory_was_closed = number % 2 == 1 && system.as_str() == "directory";
            let Some(state) = self.system_mut(&system) else { continue };
            if let Some(found) = state.accounts.get_mut(&account) {
                found.enabled = !only_directory_was_closed;
                if found.last_use != LastUse::Unknown {
                    // The first leaver went on using the network after the last day.
                    let after = if number == 0 && system.as_str() == "vpn" { 2 } else { -1 };
                    found.last_use = LastUse::At(days_from(end, after));
                }
            }
            if only_directory_was_closed {
                for entitlement in state.revocable(&account) {
                    state.revoke(&account, &entitlement);
                }
                continue;
            }
            if number == 0 && state.traits.sessions {
                state.sessions.insert(account.clone(), vec![session(1, as_of, 90)]);
            }
            self.plant_grants(DriftKind::Leaver, &system, &account, Some(key));
        }
        if number % 2 == 1
            && let Some((cloud, account)) = self.add_key(key, "role/viewer", 120)
        {
            self.plant_grants(DriftKind::Leaver, &cloud, &account, Some(key));
        }
    }

    fn plant_grants(
        &mut self,
        kind: DriftKind,
        system: &SystemName,
        account: &AccountKey,
        identity: Option<&IdentityKey>,
    ) {
        let Some(state) = self.state.systems.get(system) else { return };
        for entitlement in state.revocable(account) {
            self.plant(kind, &(system.clone(), account.clone(), entitlement), identity);
        }
    }

    fn end_identity(&mut self, key: &IdentityKey, end: leasehold_model::Timestamp) {
        if let Some(identity) = self.state.people.get_mut(key) {
            identity.state = LifecycleState::Left;
            identity.end = Some(end);
        }
    }

    /// Gone, and properly so: the directory account is disabled, nothing else is left.
    fn add_clean_leaver(&mut self, key: &IdentityKey) {
        let end = days_from(self.as_of(), -self.dice.between(10, 200));
        self.end_identity(key, end);
        for (system, account) in self.accounts_of(key) {
            let Some(state) = self.system_mut(&system) else { continue };
            if system.as_str() == "directory" {
                if let Some(found) = state.accounts.get_mut(&account) {
                    found.enabled = false;
                    found.last_use = LastUse::At(days_from(end, -1));
                }
                for entitlement in state.revocable(&account) {
                    state.revoke(&account, &entitlement);
                }
            } else {
                state.accounts.remove(&account);
                state.grants.remove(&account);
            }
        }
    }

    /// These addresses and all that they carry: holding the small one beside the large one is no trouble.
    fn carried_by(&self, addresses: &[&str]) -> BTreeSet<String> {
        let mut carried = BTreeSet::new();
        for address in addresses.iter().filter_map(|address| address.parse::<EntitlementAddress>().ok()) {
            let Some(state) = self.state.systems.get(&address.system) else { continue };
            let reached = state.closure([address.entitlement]);
            carried.extend(reached.into_iter().map(|name| format!("{}:{name}", address.system)));
        }
        carried
    }

    /// Changed job and kept the access of the old one.
    fn add_mover(&mut self, key: &IdentityKey) {
        let Some(identity) = self.state.people.get(key).cloned() else { return };
        let department = identity.attribute("department").unwrap_or_default();
        let title = identity.attribute("title").unwrap_or_default();
        let (old_department, old_title) = match department {
            "Sales" => ("Support", "Support Agent"),
            "Platform" => ("Payments", "Payments Engineer"),
            "Payments" => ("Platform", "Platform Engineer"),
            _ => ("Sales", "Account Executive"),
        };
        let justified = self.carried_by(&roles::grants_of(&identity, department, title));
        for address in roles::grants_of(&identity, old_department, old_title) {
            if !justified.contains(address)
                && let Some(place) = self.give(key, address)
            {
                self.plant(DriftKind::Unjustified, &place, Some(key));
            }
        }
    }

    /// Was given access in a hurry, directly in the system.
    fn add_out_of_band(&mut self, key: &IdentityKey, number: usize) {
        let Some(identity) = self.state.people.get(key).cloned() else { return };
        let department = identity.attribute("department").unwrap_or_default();
        let title = identity.attribute("title").unwrap_or_default();
        let justified = self.carried_by(&roles::grants_of(&identity, department, title));
        let mut unjustified =
            (0..OUT_OF_BAND.len()).map(|offset| OUT_OF_BAND[(number + offset) % OUT_OF_BAND.len()]);
        if let Some(address) = unjustified.find(|address| !justified.contains(*address))
            && let Some(place) = self.give(key, address)
        {
            self.plant(DriftKind::Unjustified, &place, Some(key));
        }
    }

    fn add_exception(
        &mut self,
        name: &str,
        identity: &IdentityKey,
        grants: &[&'static str],
        days: i64,
        owner: IdentityKey,
        why: &'static str,
    ) {
        let until = days_from(self.as_of(), days);
        let (name, identity, grants) = (name.to_owned(), identity.clone(), grants.to_vec());
        self.exceptions.push(Given { name, identity, grants, until, owner, why });
    }

    /// One exception that still runs, and one that has ended while its access went on.
    fn add_exceptions(&mut self, pool: &mut Vec<IdentityKey>) {
        if let Some(lead) = self.pick_titled(pool, "Support")
            && self.give(&lead, "crm:role/data-export").is_some()
        {
            let owner = self.head_of("Support");
            self.add_exception(
                "support-export",
                &lead,
                &["crm:role/data-export"],
                60,
                owner,
                "Clean-up of old cases",
            );
        }
        let picked = self.pick_titled(pool, "Engineer").or_else(|| pool.pop());
        if let Some(key) = picked
            && let Some(place) = self.give(&key, "cloud:role/incident-responder")
        {
            self.plant(DriftKind::Expired, &place, Some(&key));
            let owner = self.head_of("Platform");
            self.add_exception(
                "december-incident",
                &key,
                &["cloud:role/incident-responder"],
                -20,
                owner,
                "Helped in an incident",
            );
        }
    }

    /// Lacks something that the role gives.
    fn add_missing(&mut self, key: &IdentityKey) {
        for (system, account) in self.accounts_of(key) {
            let Some(state) = self.system_mut(&system) else { continue };
            for entitlement in state.revocable(&account) {
                state.revoke(&account, &entitlement);
                // What another group still carries is not missing.
                if state.effective(&account).contains(&entitlement) {
                    state.grant(&account, &entitlement);
                    continue;
                }
                self.plant(DriftKind::Missing, &(system, account, entitlement), Some(key));
                return;
            }
        }
    }

    /// Has not used one of the systems for a long time.
    fn add_dormant(&mut self, key: &IdentityKey) {
        let at = LastUse::At(days_from(self.as_of(), -self.dice.between(120, 400)));
        let known = |state: &super::state::SystemState| state.traits.last_use;
        let place = self
            .accounts_of(key)
            .into_iter()
            .rfind(|(system, _)| self.state.systems.get(system).is_some_and(known));
        if let Some((system, account)) = place
            && let Some(found) = self.system_mut(&system).and_then(|state| state.accounts.get_mut(&account))
        {
            found.last_use = at;
            self.plant_account(DriftKind::Dormant, &system, &account, Some(key));
        }
    }

    /// An access key of somebody, as an account of its own.
    fn add_key(
        &mut self,
        holder: &IdentityKey,
        entitlement: &str,
        age_days: i64,
    ) -> Option<(SystemName, AccountKey)> {
        let cloud = SystemName::new("cloud").ok()?;
        let entitlement = entitlement.parse().ok()?;
        let name = format!("key-{:08x}", self.dice.roll() >> 32);
        let mut account = Account::new(name.as_str(), name.as_str());
        account.attributes.insert("created_by".to_owned(), holder.to_string());
        account.attributes.insert("credential".to_owned(), "access key".to_owned());
        account.credential_changed_at = Some(days_from(self.as_of(), -age_days));
        account.last_use = LastUse::At(days_from(self.as_of(), -self.dice.between(0, 30)));
        let key = account.key.clone();
        self.add_account(&cloud, account);
        self.system_mut(&cloud)?.grant(&key, &entitlement);
        Some((cloud, key))
    }

    /// Access keys of engineers; one of them was never rotated.
    fn add_keys(&mut self, pool: &mut Vec<IdentityKey>) {
        let wanted = (self.people / 20).max(2);
        for number in 0..wanted {
            let (title, entitlement) = if number % 2 == 0 {
                ("Payments Engineer", "role/developer")
            } else {
                ("Platform Engineer", "role/deployer")
            };
            let Some(holder) = self.pick_titled(pool, title) else { continue };
            let stale = number == 0 || number % 4 == 3;
            let age_days = if stale { self.dice.between(400, 900) } else { self.dice.between(20, 300) };
            let key = self.add_key(&holder, entitlement, age_days);
            if let Some((cloud, account)) = key.filter(|_| stale) {
                self.plant_account(DriftKind::StaleCredential, &cloud, &account, Some(&holder));
            }
        }
    }

    fn add_orphans(&mut self, count: usize) {
        for (system, login, entitlement) in ORPHANS.iter().take(count) {
            let Ok(system) = SystemName::new(*system) else { continue };
            let mut account = Account::new(*login, *login);
            if self.state.systems.get(&system).is_some_and(|state| state.traits.last_use) {
                account.last_use = LastUse::At(days_from(self.as_of(), -self.dice.between(20, 80)));
            }
            let key = account.key.clone();
            self.add_account(&system, account);
            if let (Some(state), Ok(entitlement)) = (self.system_mut(&system), entitlement.parse()) {
                state.grant(&key, &entitlement);
            }
            self.plant_account(DriftKind::Orphan, &system, &key, None);
        }
    }

    /// Non-humans without a live owner: one that the feed knows, one whose owner left, one that nobody ever owned.
    fn add_ownerless(&mut self, leaver: Option<&IdentityKey>) {
        if let Some(leaver) = leaver {
            let mailer = self.add_service(
                "svc-campaign-mailer",
                "Sales",
                leaver.clone(),
                &["crm:role/sales-user"],
                "Sends campaigns",
            );
            for (system, account) in self.accounts_of(&mailer) {
                self.plant_account(DriftKind::Ownerless, &system, &account, Some(&mailer));
            }
            self.add_local_service("directory", "svc-old-import", "group/wiki-editors", Some(leaver));
        }
        self.add_local_service("ledger-db", "svc-legacy-report", "role/reporting", None);
    }

    /// A service account that only its system knows.
    fn add_local_service(
        &mut self,
        system: &str,
        login: &str,
        entitlement: &str,
        owner: Option<&IdentityKey>,
    ) {
        let (Ok(system), Ok(entitlement)) = (SystemName::new(system), entitlement.parse()) else { return };
        let mut account = Account::new(login, login);
        account.kind = Some(IdentityKind::Service);
        if system.as_str() == "directory" {
            account.posture.push(PostureFinding::PasswordNeverExpires);
            account.last_use = LastUse::At(days_from(self.as_of(), -3));
            account.credential_changed_at = Some(days_from(self.as_of(), -700));
        }
        let key = account.key.clone();
        self.add_account(&system, account);
        if let Some(state) = self.system_mut(&system) {
            state.grant(&key, &entitlement);
            let fact =
                |owner: &IdentityKey| OwnerFact { of: Owned::Account(key.clone()), owner: owner.clone() };
            state.owners.extend(owner.map(fact));
        }
        self.plant_account(DriftKind::Ownerless, &system, &key, None);
    }

    /// What looks like trouble and is none: somebody whose last day is known, somebody on leave, somebody to come.
    fn add_quiet_cases(&mut self, pool: &mut Vec<IdentityKey>) {
        let as_of = self.as_of();
        if let Some(identity) = pool.pop().and_then(|key| self.state.people.get_mut(&key)) {
            identity.state = LifecycleState::Leaving;
            identity.end = Some(days_from(as_of, 14));
        }
        if let Some(identity) = pool.pop().and_then(|key| self.state.people.get_mut(&key)) {
            identity.state = LifecycleState::OnLeave;
        }
        let attributes = [
            ("email", "yara.newcombe@example.com"),
            ("employee_number", "E09999"),
            ("given_name", "Yara"),
            ("family_name", "Newcombe"),
            ("title", "Support Agent"),
            ("department", "Support"),
            ("location", "Millford"),
        ];
        let to_come = Identity {
            key: IdentityKey::from("yara.newcombe@example.com"),
            kind: IdentityKind::Person,
            state: LifecycleState::PreHire,
            start: Some(days_from(as_of, 10)),
            end: None,
            manager: Some(self.head_of("Support")),
            owner: None,
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            unsaid: Unsaid::default(),
        };
        self.state.people.insert(to_come.key.clone(), to_come);
    }

    /// A project team across departments, held by assignments that end.
    fn add_project(&mut self, pool: &mut Vec<IdentityKey>) {
        let owner = self.head_of("Platform");
        let until = days_from(self.as_of(), 90);
        for (number, identity) in self.pick(pool, (self.people / 60).max(1)).into_iter().enumerate() {
            let grants = vec!["directory:group/project-aurora-core"];
            if self.give(&identity, grants[0]).is_some() {
                let name = format!("project-aurora-{}", number + 1);
                let owner = owner.clone();
                self.assignments.push(Given {
                    name,
                    identity,
                    grants,
                    until,
                    owner,
                    why: "Core team of Project Aurora",
                });
            }
        }
    }
}
