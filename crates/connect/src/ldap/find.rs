//! Finding one account or group in the directory, now.

use ldap3::{Scope, ldap_escape};
use leasehold_model::request::{AccountTarget, EntitlementTarget};

use crate::connector::only_one;
use crate::error::ConnectError;
use crate::ldap::client::{Client, Search, Session};
use crate::ldap::dialect::Dialect;
use crate::ldap::dn::NormalDn;
use crate::ldap::entry::Entry;
use crate::ldap::normalise::{ACCOUNT_ATTRIBUTES, group_name, key, login, primary_attribute, primary_number};
use crate::ldap::witness::{Holding, compare_any, expected_attributes, primary_unseen};

/// What looking for a group gave.
pub(super) enum Found {
    Group(Box<Entry>),
    /// There is no such group.
    Nothing,
    /// Several have the name.
    Several(Vec<String>),
    /// The name cannot be one of a group.
    Wrong(String),
}

const GROUP_ATTRIBUTES: [&str; 8] =
    ["objectClass", "cn", "entryUUID", "objectGUID", "objectSid", "groupType", "gidNumber", "memberUid"];

/// Says that an account or group is not to be seen, and what to do: it may be gone, or hidden from this log-in.
pub(super) fn not_seen(what: &str, name: &dyn std::fmt::Display, base: &str) -> String {
    format!(
        "this log-in sees no {what} `{name}` below {base}: it was deleted, or it may not be read, and that looks the \
         same; let the connector's account read it, or, where it was deleted, `leasehold sync` and plan anew"
    )
}

/// Says so of an account.
pub(super) fn account_not_seen(account: &AccountTarget, base: &str) -> String {
    match account.is_by_login() {
        true => not_seen("account with the login", &account.login, base),
        false => not_seen("account with the key", &account.key, base),
    }
}

/// The account with its key, where one account has its login; without one where none is seen.
///
/// # Errors
/// The inner one where several have it.
pub(super) async fn keyed(
    client: &Client,
    session: &mut Session,
    account: &AccountTarget,
) -> Result<Result<AccountTarget, String>, ConnectError> {
    if !account.is_by_login() || account.login.is_empty() {
        return Ok(Ok(account.clone()));
    }
    let dialect = session.dialect;
    let people = client.settings.people_filter.as_deref().unwrap_or(dialect.people_filter());
    let value = ldap_escape(account.login.as_str());
    let by_name: String =
        dialect.login_attributes().iter().map(|attribute| format!("({attribute}={value})")).collect();
    let filter = format!("(&{people}(|{by_name}))");
    let base = client.settings.base_dn.as_str();
    let search = Search { base, scope: Scope::Subtree, filter: &filter, attributes: &ACCOUNT_ATTRIBUTES };
    let mut keys = Vec::new();
    for entry in client.search(session, search).await? {
        // An entry may carry further names; it is called by one.
        if login(dialect, &entry).is_none_or(|found| found.to_lowercase() != account.login.to_lowercase()) {
            continue;
        }
        let unreadable = || {
            let why = format!("its {} may not be read", dialect.key_attribute());
            client.unseen(&entry.dn, why)
        };
        keys.push(key(dialect, &entry).ok_or_else(unreadable)?);
    }
    let found = only_one(&account.login, keys);
    Ok(found.map(|key| key.map_or_else(|| account.clone(), |key| account.with_key(key))))
}

/// The account with this key; `None` where there is none.
pub(super) async fn find_account(
    client: &Client,
    session: &mut Session,
    account: &AccountTarget,
) -> Result<Option<Entry>, ConnectError> {
    let Some(filter) = session.dialect.key_filter(account.key.as_str()) else { return Ok(None) };
    let base = client.settings.base_dn.as_str();
    let search = Search { base, scope: Scope::Subtree, filter: &filter, attributes: &ACCOUNT_ATTRIBUTES };
    Ok(client.search(session, search).await?.into_iter().next())
}

/// The group that an entitlement names: by its key where that is known, else by its name or DN.
pub(super) async fn find_group(
    client: &Client,
    session: &mut Session,
    entitlement: &EntitlementTarget,
) -> Result<Found, ConnectError> {
    if entitlement.name.kind != "group" {
        let kind = &entitlement.name.kind;
        return Ok(Found::Wrong(format!(
            "`{kind}` is not a kind of entitlement here; a directory has `group/NAME`"
        )));
    }
    let dialect = session.dialect;
    let groups = client.settings.groups_filter.as_deref().unwrap_or(dialect.groups_filter()).to_owned();
    let base = client.settings.base_dn.clone();
    let name = entitlement.name.name.as_str();
    let filter = match entitlement.native.as_deref().and_then(|native| dialect.key_filter(native)) {
        Some(by_key) => by_key,
        None => {
            // Groups that share a name are called by their DN.
            let within = NormalDn::parse(name).filter(|dn| dn.is_within(&client.settings.base));
            if within.is_some()
                && let Some(entry) = client.entry(session, name, &groups, &GROUP_ATTRIBUTES).await?
            {
                return Ok(Found::Group(Box::new(entry)));
            }
            format!("(&{groups}(cn={}))", ldap_escape(name))
        }
    };
    let search =
        Search { base: &base, scope: Scope::Subtree, filter: &filter, attributes: &GROUP_ATTRIBUTES };
    let mut found = client.search(session, search).await?;
    if entitlement.native.is_none() {
        // A group may carry further names; it is called by one.
        found.retain(|entry| {
            group_name(entry).is_some_and(|found| found.to_lowercase() == name.to_lowercase())
        });
    }
    Ok(match found.len() {
        0 => Found::Nothing,
        1 => Found::Group(Box::new(found.remove(0))),
        _ => Found::Several(found.into_iter().map(|entry| entry.dn).collect()),
    })
}

/// How one account is written into one group.
pub(super) struct Membership {
    /// The attribute and the values by which the group has the account as a member.
    pub values: Vec<(&'static str, Vec<String>)>,
    /// It is the account's primary group.
    pub primary: bool,
    /// Why "not a member" could not be known, where none of the above says "member".
    pub unseen: Option<String>,
}

impl Membership {
    pub fn is_direct(&self) -> bool {
        self.primary || !self.values.is_empty()
    }
}

/// Reads, by the directory's own comparison, whether an account is in a group directly.
pub(super) async fn membership(
    client: &Client,
    session: &mut Session,
    account: &Entry,
    group: &Entry,
) -> Result<Membership, ConnectError> {
    let dialect = session.dialect;
    let expected = expected_attributes(dialect, group);
    let mut values = Vec::new();
    let mut unseen = primary_unseen(dialect, account, group);
    let uids = account.texts("uid");
    for attribute in dialect.member_attributes() {
        let wanted = if *attribute == "memberUid" { uids.clone() } else { vec![account.dn.clone()] };
        let holding = match dialect {
            Dialect::OpenLdap => compare_any(client, session, group, attribute, &wanted).await?,
            Dialect::ActiveDirectory => {
                let filter = format!("({attribute}={})", ldap_escape(account.dn.as_str()));
                match client.entry(session, &group.dn, &filter, &["1.1"]).await? {
                    Some(_) => Holding::Held,
                    None => Holding::NotHeld,
                }
            }
        };
        match holding {
            Holding::Held if *attribute == "memberUid" => {}
            Holding::Held => values.push((*attribute, wanted)),
            Holding::Unseen(why) if expected.contains(attribute) => unseen = unseen.or(Some(why)),
            Holding::NotHeld | Holding::Unseen(_) => {}
        }
    }
    let folded: Vec<String> = uids.iter().map(|uid| uid.to_lowercase()).collect();
    let member_uids: Vec<String> =
        group.texts("memberUid").into_iter().filter(|uid| folded.contains(&uid.to_lowercase())).collect();
    if !member_uids.is_empty() {
        values.push(("memberUid", member_uids));
    }
    let number = primary_number(dialect, group);
    let primary = number.is_some() && account.number(primary_attribute(dialect)) == number;
    Ok(Membership { values, primary, unseen })
}

/// The login of the account that we are bound as, for people; and its key.
pub(super) async fn ourselves(
    client: &Client,
    session: &mut Session,
) -> Result<Option<(String, Option<String>)>, ConnectError> {
    let Some(bind) = &client.settings.bind else { return Ok(None) };
    let dialect = session.dialect;
    let found = if NormalDn::parse(&bind.dn).is_some() {
        client.entry(session, &bind.dn, "(objectClass=*)", &ACCOUNT_ATTRIBUTES).await?
    } else {
        // Active Directory also takes `name@domain` and `DOMAIN\name`.
        let local = bind.dn.rsplit('\\').next().unwrap_or_default().split('@').next().unwrap_or_default();
        let filter = format!(
            "(|(userPrincipalName={})(sAMAccountName={}))",
            ldap_escape(bind.dn.as_str()),
            ldap_escape(local)
        );
        let base = client.settings.base_dn.as_str();
        let search = Search { base, scope: Scope::Subtree, filter: &filter, attributes: &ACCOUNT_ATTRIBUTES };
        client.search(session, search).await?.into_iter().next()
    };
    Ok(Some(match found {
        Some(entry) => (login(dialect, &entry).unwrap_or_else(|| bind.dn.clone()), key(dialect, &entry)),
        None => (bind.dn.clone(), None),
    }))
}
