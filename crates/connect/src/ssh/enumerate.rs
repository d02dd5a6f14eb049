//! Telling everything that a host says about who can log in and what they hold.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use leasehold_model::account::{Account, LastUse, PostureFinding};
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::entitlement::{Containment, DirectGrant, Entitlement};
use leasehold_model::fact::{Completeness, Fact, Problem};
use leasehold_model::id::{CredentialKey, EntitlementName};

use crate::connector::{Batch, Sink};
use crate::error::ConnectError;
use crate::ssh::at::{self, AtJobs};
use crate::ssh::client::Client;
use crate::ssh::crontab;
use crate::ssh::host::{Group, Host, User};
use crate::ssh::keys::Key;
use crate::ssh::log_ins;
use crate::ssh::sudoers::{Rule, Subject};

/// Groups whose members are as good as root, or read what only root should.
const PRIVILEGED_GROUPS: [&str; 12] = [
    "root",
    "sudo",
    "wheel",
    "admin",
    "adm",
    "shadow",
    "disk",
    "docker",
    "lxd",
    "libvirt",
    "kmem",
    "systemd-journal",
];

/// The key of a credential: the same key lets in to several accounts.
pub(super) fn credential_key(account: &str, fingerprint: &str) -> CredentialKey {
    CredentialKey(format!("{account} {fingerprint}"))
}

/// Streams every fact.
pub(super) async fn enumerate(client: &Client, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
    let session = client.session().await?;
    let mut host = Host::read(client, &session).await?;
    let now = Timestamp::now();
    let log_ins = log_ins::read(&session, now).await;
    session.close().await;
    let mut batch = Batch::new(sink);
    let current: Vec<&Rule> = host.rules.iter().filter(|rule| !rule.is_past(now)).collect();
    for (name, group) in &host.groups {
        batch.push(Fact::Entitlement(entitlement(&host, name, group, &current))).await?;
    }
    let names: BTreeSet<&str> = current.iter().map(|rule| rule.name.as_str()).collect();
    for name in names {
        let mut entitlement = Entitlement::new("sudo", name);
        entitlement.privileged = true;
        entitlement.irrevocable = Some(RULES_ARE_EDITED.to_owned());
        batch.push(Fact::Entitlement(entitlement)).await?;
    }
    let mut carried = BTreeSet::new();
    for rule in &current {
        for (name, group) in &host.groups {
            if is_of_group(rule, name, group) && carried.insert((name.as_str(), rule.name.as_str())) {
                let parent = EntitlementName::new("group", name);
                let child = EntitlementName::new("sudo", &rule.name);
                batch.push(Fact::Containment(Containment { parent, child })).await?;
            }
        }
    }
    let (mut grants, mut credentials) = (0, 0);
    let mut problems = Vec::new();
    for (name, user) in &host.users {
        let mut account = account(name, user, now);
        // That nothing was kept of a log-in does not say that there was none.
        account.last_use = log_ins.get(name).map_or(LastUse::Unknown, |at| LastUse::At(*at));
        batch.push(Fact::Account(account)).await?;
        for grant in held(&host, name, &current) {
            grants += 1;
            batch.push(Fact::Grant(grant)).await?;
        }
        let mut keys: BTreeMap<CredentialKey, Credential> = BTreeMap::new();
        for (place, key) in host.keys_of(name) {
            match key {
                Ok(key) => {
                    let told = credential(name, &key, now);
                    // The same key in two lines lets in where one of them does.
                    let known = keys.entry(told.key.clone()).or_insert_with(|| told.clone());
                    if told.active && !known.active {
                        *known = told;
                    }
                }
                Err(why) => problems.push(Problem::new(place, format!("{why}; sshd leaves such a line out"))),
            }
        }
        let told = crontab_jobs(name, crontab::jobs(host.crontabs_of(name)));
        keys.extend(told.map(|told| (told.key.clone(), told)));
        let told = at_jobs(name, host.at_jobs_of(name));
        keys.extend(told.map(|told| (told.key.clone(), told)));
        credentials += keys.len();
        for credential in keys.into_values() {
            batch.push(Fact::Credential(credential)).await?;
        }
    }
    problems.extend(host.strangers.iter().map(|name| {
        let place = format!("crontab of {name}");
        Problem::new(place, "there is no such account; it runs for whoever gets this name, so remove it")
    }));
    let known: BTreeSet<u32> = host.users.values().map(|user| user.uid).collect();
    problems.extend(host.at_jobs.keys().filter(|uid| !known.contains(uid)).map(|uid| {
        let place = format!("jobs of `at` of the number {uid}");
        Problem::new(place, "there is no such account; they run for whoever gets this number, so remove them")
    }));
    problems.append(&mut host.problems);
    problems.into_iter().for_each(|problem| batch.problem(problem));
    batch.flush().await?;
    batch.progress(host.users.len() as u64, Some(host.users.len() as u64));
    if !host.is_still() {
        host.missing.push("accounts changed while they were read".to_owned());
    }
    Ok(if host.missing.is_empty() {
        Completeness::Complete {
            evidence: format!(
                "{} accounts, {} groups, {grants} direct grants, {credentials} keys, crontabs and jobs of `at`, {} sudo rules; the account files have the sum {} before and after",
                host.users.len(),
                host.groups.len(),
                host.rules.len(),
                host.sums[0].split_whitespace().next().unwrap_or_default()
            ),
        }
    } else {
        host.missing.dedup();
        Completeness::Partial { why: host.missing.join("; ") }
    })
}

/// How a sudo rule is taken away.
pub(super) const RULES_ARE_EDITED: &str = "sudo rules are edited in their file, by visudo";

/// Whether a rule is for the members of a group.
fn is_of_group(rule: &Rule, name: &str, group: &Group) -> bool {
    match &rule.subject {
        Subject::Group(wanted) => wanted == name,
        Subject::Gid(gid) => *gid == u64::from(group.gid),
        _ => false,
    }
}

/// A group. One that is held only as the primary group of accounts can be taken from nobody, and the one that `useradd` makes for an
/// account alone gives nothing to anybody else.
fn entitlement(host: &Host, name: &str, group: &Group, rules: &[&Rule]) -> Entitlement {
    let mut entitlement = Entitlement::new("group", name);
    entitlement.privileged = group.gid == 0 || PRIVILEGED_GROUPS.contains(&name);
    let mut holders =
        host.users.iter().filter(|(_, user)| user.primary_gid == group.gid).map(|(login, _)| login);
    if let (Some(holder), true) = (holders.next(), group.members.is_empty()) {
        let is_own = holder == name && holders.next().is_none();
        entitlement.inherent =
            is_own && !entitlement.privileged && !rules.iter().any(|rule| is_of_group(rule, name, group));
        entitlement.irrevocable = Some(PRIMARY_STAYS.to_owned());
    }
    entitlement
}

/// How an account gets another primary group.
const PRIMARY_STAYS: &str = "it is a primary group, and `usermod --gid` gives its account another";

fn account(name: &str, user: &User, now: Timestamp) -> Account {
    let mut account = Account::new(name, name);
    account.enabled = user.is_enabled(now);
    account.expires_at = user.expires_at;
    account.credential_changed_at = user.password_changed;
    if user.uid == 0 {
        account.posture.push(PostureFinding::Superuser);
    }
    if user.password_empty {
        account.posture.push(PostureFinding::PasswordNotRequired);
    }
    for (key, value) in [
        ("uid", user.uid.to_string()),
        ("shell", user.shell.clone()),
        ("full_name", user.full_name.clone()),
        ("password_locked", user.password_locked.to_string()),
    ] {
        if !value.is_empty() {
            account.attributes.insert(key.to_owned(), value);
        }
    }
    account
}

/// What an account holds directly.
fn held(host: &Host, account: &str, rules: &[&Rule]) -> Vec<DirectGrant> {
    let grant = |entitlement: EntitlementName| DirectGrant {
        account: account.into(),
        entitlement,
        valid_from: None,
        valid_until: None,
        options: None,
    };
    let mut all: Vec<DirectGrant> = host
        .groups_of(account)
        .map(|(name, is_primary)| {
            let options = is_primary.then(|| "primary group".to_owned());
            DirectGrant { options, ..grant(EntitlementName::new("group", name)) }
        })
        .collect();
    let mut by_rule: BTreeMap<&str, DirectGrant> = BTreeMap::new();
    for rule in rules {
        let is_own = !matches!(rule.subject, Subject::Group(_) | Subject::Gid(_));
        if is_own && rule.is_for(host, account) {
            let options = rule.without_password.then(|| "without password".to_owned());
            let told = DirectGrant {
                valid_from: rule.valid_from,
                valid_until: rule.valid_until,
                options,
                ..grant(EntitlementName::new("sudo", &rule.name))
            };
            // Of several rules the one that grants longest counts.
            let known = by_rule.entry(&rule.name).or_insert_with(|| told.clone());
            if known.valid_until.is_some_and(|until| told.valid_until.is_none_or(|later| later > until)) {
                *known = told;
            }
        }
    }
    all.extend(by_rule.into_values());
    all
}

fn credential(account: &str, key: &Key, now: Timestamp) -> Credential {
    let label = if key.comment.is_empty() { key.fingerprint.clone() } else { key.comment.clone() };
    let mut credential =
        Credential::new(credential_key(account, &key.fingerprint), account, CredentialKind::SshKey, label);
    credential.active = key.enabled && key.expires_at.is_none_or(|at| at > now);
    credential.expires_at = key.expires_at;
    credential.scope.clone_from(&key.options);
    credential
}

/// The jobs of an account's crontabs as one credential; `None` where it has none. What they run is not told: command lines hold
/// secrets.
fn crontab_jobs(account: &str, (running, stopped): (usize, usize)) -> Option<Credential> {
    let jobs = running + stopped;
    let label = format!("crontab with {jobs} job{}", if jobs == 1 { "" } else { "s" });
    let key = credential_key(account, crontab::KEY);
    let mut credential = Credential::new(key, account, CredentialKind::ScheduledJob, label);
    credential.active = running > 0;
    (jobs > 0).then_some(credential)
}

/// The jobs of `at` of an account as one credential; `None` where it has none. What they run is not told here either.
fn at_jobs(account: &str, jobs: AtJobs) -> Option<Credential> {
    let count = jobs.waiting + jobs.stopped;
    let label = format!("{count} job{} of at", if count == 1 { "" } else { "s" });
    let key = credential_key(account, at::KEY);
    let mut credential = Credential::new(key, account, CredentialKind::ScheduledJob, label);
    credential.active = jobs.waiting > 0;
    credential.not_handed_over = Some("the files of `at` belong to the account by its number".to_owned());
    jobs.is_there().then_some(credential)
}
