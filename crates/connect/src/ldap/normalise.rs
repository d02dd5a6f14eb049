//! From an entry to an account or a group, in our words.

use jiff::Timestamp;
use leasehold_model::account::{Account, LastUse};
use leasehold_model::entitlement::Entitlement;
use leasehold_model::identity::IdentityKind;

use crate::ldap::dialect::{
    DOMAIN_USERS, Dialect, LOCKED_FOR_GOOD, NO_CREDENTIAL_YET, PRIVILEGED_BUILTIN_GROUPS,
    PRIVILEGED_DOMAIN_GROUPS, file_time, generalized_time, guid_text, is_builtin, posture, relative_id, uac,
};
use crate::ldap::dn::first_value;
use crate::ldap::entry::Entry;
use crate::ldap::policy::Policies;

/// Attributes that go on as they are, for correlation and for people.
const CARRIED: [&str; 13] = [
    "uid",
    "cn",
    "sAMAccountName",
    "userPrincipalName",
    "mail",
    "employeeNumber",
    "employeeID",
    "givenName",
    "sn",
    "title",
    "department",
    "manager",
    "description",
];

/// What an account is made of.
pub(super) const ACCOUNT_ATTRIBUTES: [&str; 27] = [
    "objectClass",
    "pwdPolicySubentry",
    "entryUUID",
    "objectGUID",
    "displayName",
    "gidNumber",
    "primaryGroupID",
    "pwdAccountLockedTime",
    "pwdEndTime",
    "pwdLastSuccess",
    "authTimestamp",
    "pwdChangedTime",
    "nsAccountLock",
    "userAccountControl",
    "msDS-User-Account-Control-Computed",
    "lockoutTime",
    "accountExpires",
    "lastLogonTimestamp",
    "pwdLastSet",
    "uid",
    "cn",
    "sAMAccountName",
    "mail",
    "employeeNumber",
    "description",
    "givenName",
    "sn",
];

/// The rest of [`CARRIED`] that [`ACCOUNT_ATTRIBUTES`] does not name yet.
pub(super) const MORE_ATTRIBUTES: [&str; 5] =
    ["userPrincipalName", "employeeID", "title", "department", "manager"];

/// What a group is made of, without its members.
pub(super) const GROUP_ATTRIBUTES: [&str; 8] =
    ["objectClass", "cn", "description", "entryUUID", "objectGUID", "objectSid", "gidNumber", "adminCount"];

/// The key of an entry: it stays when the entry is renamed or moved.
pub(super) fn key(dialect: Dialect, entry: &Entry) -> Option<String> {
    match dialect {
        Dialect::OpenLdap => entry.text(dialect.key_attribute()),
        Dialect::ActiveDirectory => guid_text(entry.bytes(dialect.key_attribute())?),
    }
}

/// What the holder types.
pub(super) fn login(dialect: Dialect, entry: &Entry) -> Option<String> {
    dialect
        .login_attributes()
        .iter()
        .find_map(|attribute| entry.text(attribute))
        .or_else(|| first_value(&entry.dn))
}

/// An account; the error says what is missing.
pub(super) fn account(dialect: Dialect, policies: &Policies, entry: &Entry) -> Result<Account, String> {
    let key = key(dialect, entry).ok_or_else(|| {
        format!(
            "has no readable {}, by which it would be known; let the connector read it",
            dialect.key_attribute()
        )
    })?;
    let login = login(dialect, entry).ok_or("has no name to log in with")?;
    let mut account = Account::new(key, login);
    account.attributes.insert("dn".to_owned(), entry.dn.clone());
    for name in CARRIED {
        account.attributes.extend(entry.text(name).map(|value| (name.to_owned(), value)));
    }
    account.attributes.extend(entry.text("displayName").map(|value| ("display_name".to_owned(), value)));
    if is_service(entry) {
        account.kind = Some(IdentityKind::Service);
    }
    let state = state(dialect, policies, entry);
    account.enabled = state.lets_in(Timestamp::now());
    account.locked = state.locked;
    account.expires_at = state.expires_at;
    match dialect {
        Dialect::OpenLdap => {
            let time = |name| entry.text(name).and_then(|text| generalized_time(&text));
            let seen = time("pwdLastSuccess").max(time("authTimestamp"));
            account.last_use = seen.map_or(LastUse::Unknown, LastUse::At);
            account.credential_changed_at = time("pwdChangedTime");
        }
        Dialect::ActiveDirectory => {
            let time = |name| entry.text(name).and_then(|text| file_time(&text));
            account.last_use = time("lastLogonTimestamp").map_or(LastUse::Unknown, LastUse::At);
            account.credential_changed_at = time("pwdLastSet");
            account.awaits_credential = !state.enabled && awaits_credential(entry);
            account.posture = posture(entry.number("userAccountControl").unwrap_or(0));
        }
    }
    Ok(account)
}

/// Whether an account of Active Directory bears the mark that it was made and has had no credential yet.
pub(super) fn awaits_credential(entry: &Entry) -> bool {
    entry.text("accountExpires").as_deref() == Some(NO_CREDENTIAL_YET)
}

fn is_service(entry: &Entry) -> bool {
    let managed = ["msDS-GroupManagedServiceAccount", "msDS-ManagedServiceAccount", "applicationProcess"];
    managed.iter().any(|class| entry.is_a(class))
        || (entry.is_a("simpleSecurityObject") && !entry.is_a("person") && !entry.is_a("posixAccount"))
}

/// Whether an account can log in, as far as its own switches say.
pub(super) struct AccountState {
    /// Not switched off, whether it has ended or not.
    pub enabled: bool,
    pub locked: bool,
    pub expires_at: Option<Timestamp>,
}

impl AccountState {
    /// Whether a new log-in can succeed: a directory refuses every sort of it after the end.
    pub fn lets_in(&self, now: Timestamp) -> bool {
        self.enabled && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Reads the switches.
pub(super) fn state(dialect: Dialect, policies: &Policies, entry: &Entry) -> AccountState {
    match dialect {
        Dialect::OpenLdap => {
            let heeds = policies.heeds(entry);
            let locked = entry.text("pwdAccountLockedTime");
            let locked_for_good = locked.as_deref() == Some(LOCKED_FOR_GOOD);
            let switched_off =
                entry.text("nsAccountLock").is_some_and(|value| value.eq_ignore_ascii_case("true"));
            // An end that no policy heeds is no end.
            let expires_at =
                entry.text("pwdEndTime").filter(|_| heeds.end).and_then(|text| generalized_time(&text));
            // Where the lock alone is not heeded, disabling sets both.
            let kept_out = heeds.lock || expires_at.is_some_and(|at| at <= Timestamp::now());
            AccountState {
                enabled: !(switched_off || locked_for_good && kept_out),
                locked: locked.is_some() && !locked_for_good && heeds.lock,
                expires_at,
            }
        }
        Dialect::ActiveDirectory => {
            let flags = entry.number("userAccountControl").unwrap_or(0);
            // The computed flags know when a lock has run out; `lockoutTime` alone does not.
            let locked = match entry.number("msDS-User-Account-Control-Computed") {
                Some(computed) => computed & uac::LOCKOUT != 0,
                None => entry.number("lockoutTime").is_some_and(|since| since > 0),
            };
            AccountState {
                enabled: flags & uac::DISABLED == 0,
                locked,
                expires_at: entry.text("accountExpires").and_then(|text| file_time(&text)),
            }
        }
    }
}

/// A group's own name: of several values of `cn` the one that its DN has.
pub(super) fn group_name(entry: &Entry) -> Option<String> {
    let names = entry.texts("cn");
    let of_dn = first_value(&entry.dn).map(|value| value.to_lowercase());
    names
        .iter()
        .find(|name| Some(name.to_lowercase()) == of_dn)
        .or_else(|| names.first())
        .cloned()
        .or_else(|| first_value(&entry.dn))
}

/// A group as an entitlement called `name`.
pub(super) fn group(dialect: Dialect, entry: &Entry, name: &str) -> Entitlement {
    let mut entitlement = Entitlement::new("group", name);
    entitlement.native = key(dialect, entry);
    entitlement.title = entry.text("description");
    if let Some(sid) = entry.bytes("objectSid") {
        let number = relative_id(sid).unwrap_or_default();
        let (privileged, users) = match is_builtin(sid) {
            true => (PRIVILEGED_BUILTIN_GROUPS.contains(&number), false),
            false => (PRIVILEGED_DOMAIN_GROUPS.contains(&number), number == DOMAIN_USERS),
        };
        entitlement.privileged = privileged || entry.number("adminCount") == Some(1);
        entitlement.inherent = users;
    }
    entitlement
}

/// The number by which accounts name this group as their primary one. Groups that are built in have none.
pub(super) fn primary_number(dialect: Dialect, group: &Entry) -> Option<i64> {
    match dialect {
        Dialect::OpenLdap => group.number("gidNumber"),
        Dialect::ActiveDirectory => {
            group.bytes("objectSid").filter(|sid| !is_builtin(sid)).and_then(relative_id).map(i64::from)
        }
    }
}

/// Where an account's primary group is written.
pub(super) fn primary_attribute(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenLdap => "gidNumber",
        Dialect::ActiveDirectory => "primaryGroupID",
    }
}
