//! What counts as evidence that an account is not in a group. A list of members that may not be read looks like an
//! empty one, and an entry that may not be seen looks like one that is gone; neither proves anything (law 2).

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use ldap3::{Scope, ldap_escape};

use crate::error::ConnectError;
use crate::ldap::client::{Client, Compared, Search, Session};
use crate::ldap::dialect::{Dialect, IN_CHAIN};
use crate::ldap::dn::NormalDn;
use crate::ldap::entry::Entry;
use crate::ldap::normalise::{primary_attribute, primary_number};

/// How long the list of groups whose members may not be searched is believed. It says what this log-in may read, and
/// nothing about who is a member.
const BLIND_FOR: Duration = Duration::from_secs(60);

/// The bit of `groupType` that makes a group count for access (MS-ADTS, 2.2.12).
const SECURITY_ENABLED: i64 = 0x8000_0000;

/// What the directory says of an account being in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holding {
    Held,
    /// It said so of a list that may be read.
    NotHeld,
    /// It cannot be known, and why.
    Unseen(String),
}

/// The attributes by which a group of its classes can hold members; all that the dialect knows where its classes say
/// nothing, or may not be read.
pub(super) fn expected_attributes(dialect: Dialect, group: &Entry) -> Vec<&'static str> {
    if dialect == Dialect::ActiveDirectory {
        return vec!["member"];
    }
    let by_class = [
        ("groupOfNames", "member"),
        ("groupOfMembers", "member"),
        ("groupOfUniqueNames", "uniqueMember"),
        ("posixGroup", "memberUid"),
    ];
    let mut expected: Vec<&'static str> =
        by_class.iter().filter(|(class, _)| group.is_a(class)).map(|(_, attribute)| *attribute).collect();
    expected.dedup();
    if expected.is_empty() { dialect.member_attributes().to_vec() } else { expected }
}

/// Whether an OpenLDAP group has one of these values; by `Compare`, whose "no" means that it was allowed to look
/// (RFC 4511, 4.10), while a search finds nothing also where it may not.
pub(super) async fn compare_any(
    client: &Client,
    session: &mut Session,
    group: &Entry,
    attribute: &str,
    values: &[String],
) -> Result<Holding, ConnectError> {
    let mut unseen = None;
    for value in values {
        match client.compare(session, &group.dn, attribute, value).await? {
            Compared::Same => return Ok(Holding::Held),
            Compared::Other => {}
            Compared::Unseen(why) => unseen = Some(why),
        }
    }
    Ok(match unseen {
        None => Holding::NotHeld,
        Some(why) => Holding::Unseen(format!(
            "this log-in may not compare {attribute} of {}: {why}; let it read that attribute",
            group.dn
        )),
    })
}

/// Why the primary group of an account cannot be known, where it cannot.
pub(super) fn primary_unseen(dialect: Dialect, account: &Entry, group: &Entry) -> Option<String> {
    let attribute = primary_attribute(dialect);
    let of_account = account.number(attribute).is_some();
    let unread = |what: &str, dn: &str| Some(format!("this log-in may not read {what} of {dn}"));
    match dialect {
        Dialect::OpenLdap if !group.is_a("posixGroup") => None,
        Dialect::OpenLdap if primary_number(dialect, group).is_none() => unread(attribute, &group.dn),
        Dialect::OpenLdap if account.is_a("posixAccount") && !of_account => unread(attribute, &account.dn),
        Dialect::ActiveDirectory if group.bytes("objectSid").is_none() => unread("objectSid", &group.dn),
        Dialect::ActiveDirectory if account.is_a("user") && !of_account => unread(attribute, &account.dn),
        _ => None,
    }
}

/// Whether the account's own entry names the group. Only "yes" means something: `memberOf` may be incomplete,
/// unreadable, or not kept at all.
pub(super) async fn named_by_account(
    client: &Client,
    session: &mut Session,
    account: &Entry,
    group: &Entry,
) -> Result<bool, ConnectError> {
    let filter = format!("(memberOf={})", ldap_escape(group.dn.as_str()));
    Ok(client.entry(session, &account.dn, &filter, &["1.1"]).await?.is_some())
}

/// Whether an account is in an Active Directory group on any path. `direct` says that it is in the group itself.
///
/// A search there finds nothing in a list that may not be read, and `Compare` answers alike. So a "no" needs a witness:
/// the server's own `tokenGroups`, or a value of the group's `member` or of the account's `memberOf` that came.
pub(super) async fn in_active_directory(
    client: &Client,
    session: &mut Session,
    account: &Entry,
    group: &Entry,
    direct: bool,
) -> Result<Holding, ConnectError> {
    let attributes = ["tokenGroups", "memberOf"];
    let own = client.entry(session, &account.dn, "(objectClass=*)", &attributes).await?;
    let tokens = own.as_ref().map_or_else(Vec::new, |own| own.all_bytes("tokenGroups"));
    let sid = group.bytes("objectSid");
    if direct || sid.is_some_and(|sid| tokens.contains(&sid)) {
        return Ok(Holding::Held);
    }
    // The chain does not know primary groups, so each is asked for as a member of its own.
    let mut members = vec![account.dn.clone()];
    members.extend(primary_group(client, session, account).await?);
    for member in members {
        let filter = format!("(member:{IN_CHAIN}:={})", ldap_escape(member));
        if client.entry(session, &group.dn, &filter, &["1.1"]).await?.is_some() {
            return Ok(Holding::Held);
        }
    }
    // The server counts groups that are for access into the token, on every path, whatever this log-in may read.
    let counts = group.number("groupType").is_some_and(|kind| kind & SECURITY_ENABLED != 0);
    if counts && sid.is_some() && !tokens.is_empty() {
        return Ok(Holding::NotHeld);
    }
    let list = client.entry(session, &group.dn, "(objectClass=*)", &["member"]).await?;
    let list_came =
        list.is_some_and(|list| !list.texts("member").is_empty() || list.range("member").is_some());
    let memberships_came = own.is_some_and(|own| !own.texts("memberOf").is_empty());
    Ok(if list_came || memberships_came {
        Holding::NotHeld
    } else {
        Holding::Unseen(format!(
            "{} shows no member, {} no memberOf and no tokenGroups: empty and unreadable look alike; let this log-in \
             read tokenGroups of accounts",
            group.dn, account.dn
        ))
    })
}

/// The DN of an account's primary group.
async fn primary_group(
    client: &Client,
    session: &mut Session,
    account: &Entry,
) -> Result<Option<String>, ConnectError> {
    let Some(number) = account.number("primaryGroupID") else { return Ok(None) };
    // `primaryGroupToken` is computed from the identifier and cannot be searched for in every version.
    let search = Search {
        base: &client.settings.base_dn.clone(),
        scope: Scope::Subtree,
        filter: "(objectClass=group)",
        attributes: &["objectSid"],
    };
    let (groups, _) = client.search_here(session, search).await?;
    let is_it = |entry: &Entry| primary_number(Dialect::ActiveDirectory, entry) == Some(number);
    Ok(groups.into_iter().find(is_it).map(|entry| entry.dn))
}

/// Whether an account is in an OpenLDAP group through other groups.
pub(super) async fn in_open_ldap(
    client: &Client,
    session: &mut Session,
    account: &Entry,
    group: &Entry,
) -> Result<Holding, ConnectError> {
    let mut own: String =
        account.texts("uid").iter().map(|uid| format!("(memberUid={})", ldap_escape(uid.as_str()))).collect();
    if let Some(number) = account.number("gidNumber") {
        own.push_str(&format!("(&(objectClass=posixGroup)(gidNumber={number}))"));
    }
    if walk(client, session, vec![(account.dn.clone(), own)], group).await? {
        return Ok(Holding::Held);
    }
    // The account may be in a group whose members cannot be searched; that matters where such a group leads here.
    let blind = blind_groups(client, session).await?;
    let from: Vec<(String, String)> = blind.iter().map(|dn| (dn.clone(), String::new())).collect();
    if !from.is_empty() && walk(client, session, from, group).await? {
        return Ok(Holding::Unseen(format!(
            "groups that lead to {} have members that this log-in may not search, among {}; let it read them",
            group.dn,
            some_of(&blind)
        )));
    }
    Ok(Holding::NotHeld)
}

/// The first few of a list, for a message.
pub(super) fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(3).map(String::as_str).collect::<Vec<_>>().join("; ");
    match names.len().saturating_sub(3) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Walks up from entries through the groups that they are members of. Groups may be members of each other in a
/// circle, so each is visited once. Each start comes with further filters that find its groups.
async fn walk(
    client: &Client,
    session: &mut Session,
    mut waiting: Vec<(String, String)>,
    group: &Entry,
) -> Result<bool, ConnectError> {
    let Some(wanted) = NormalDn::parse(&group.dn) else { return Ok(false) };
    let groups = groups_filter(client, session);
    let base = client.settings.base_dn.clone();
    let mut visited: HashSet<NormalDn> = HashSet::new();
    while let Some((member, more)) = waiting.pop() {
        let member = ldap_escape(member).into_owned();
        let filter = format!("(&{groups}(|(member={member})(uniqueMember={member}){more}))");
        let search = Search { base: &base, scope: Scope::Subtree, filter: &filter, attributes: &["cn"] };
        for entry in client.search_here(session, search).await?.0 {
            let Some(dn) = NormalDn::parse(&entry.dn) else { continue };
            if dn == wanted {
                return Ok(true);
            }
            if visited.insert(dn) {
                waiting.push((entry.dn, String::new()));
            }
        }
    }
    Ok(false)
}

fn groups_filter(client: &Client, session: &Session) -> String {
    client.settings.groups_filter.as_deref().unwrap_or(session.dialect.groups_filter()).to_owned()
}

/// The groups whose members this log-in may not search: neither "has members" nor "has none" is true of them to it
/// (RFC 4511, 4.5.1.7: what may not be searched is Undefined).
async fn blind_groups(client: &Client, session: &mut Session) -> Result<Vec<String>, ConnectError> {
    if let Some((at, blind)) = &session.blind
        && at.elapsed() < BLIND_FOR
    {
        return Ok(blind.clone());
    }
    let (base, groups) = (client.settings.base_dn.clone(), groups_filter(client, session));
    let search = Search { base: &base, scope: Scope::Subtree, filter: &groups, attributes: &["objectClass"] };
    let mut by_attribute: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for entry in client.search_here(session, search).await?.0 {
        for attribute in expected_attributes(session.dialect, &entry) {
            by_attribute.entry(attribute).or_default().push(entry.dn.clone());
        }
    }
    let mut blind: Vec<String> = Vec::new();
    for (attribute, expected) in by_attribute {
        let filter = format!("(|({attribute}=*)(!({attribute}=*)))");
        let seen = found_with(client, session, &filter).await?;
        blind.extend(
            expected.into_iter().filter(|dn| !NormalDn::parse(dn).is_some_and(|dn| seen.contains(&dn))),
        );
    }
    blind.sort();
    blind.dedup();
    session.blind = Some((Instant::now(), blind.clone()));
    Ok(blind)
}

/// Of groups that came without a value of an attribute, those that truly have none: the others hide them.
pub(super) async fn truly_without(
    client: &Client,
    session: &mut Session,
    attribute: &str,
) -> Result<HashSet<NormalDn>, ConnectError> {
    found_with(client, session, &format!("(!({attribute}=*))")).await
}

/// The groups that also match a filter.
async fn found_with(
    client: &Client,
    session: &mut Session,
    filter: &str,
) -> Result<HashSet<NormalDn>, ConnectError> {
    let (base, groups) = (client.settings.base_dn.clone(), groups_filter(client, session));
    let filter = format!("(&{groups}{filter})");
    let search = Search { base: &base, scope: Scope::Subtree, filter: &filter, attributes: &["1.1"] };
    let (entries, _) = client.search_here(session, search).await?;
    Ok(entries.iter().filter_map(|entry| NormalDn::parse(&entry.dn)).collect())
}
