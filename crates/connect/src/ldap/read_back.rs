//! Asking the directory, now, about one grant, account or session list; and what this log-in may do at all.

use std::collections::HashSet;

use ldap3::{Scope, ldap_escape};
use leasehold_model::account::Session as LiveSession;
use leasehold_model::request::{AccountTarget, ReadBack, ReadTarget};

use crate::connector::TestReport;
use crate::error::ConnectError;
use crate::ldap::client::{Client, Search, Session};
use crate::ldap::dialect::{Dialect, IN_CHAIN, generalized_time};
use crate::ldap::dn::NormalDn;
use crate::ldap::entry::Entry;
use crate::ldap::find::{Found, find_account, find_group, membership, ourselves};
use crate::ldap::normalise::{primary_number, state};
use crate::ldap::policy::Policies;

const CONNECTIONS: &str = "cn=Connections,cn=Monitor";

/// Reaches the directory and reports what is missing.
pub(super) async fn test(client: &Client) -> Result<TestReport, ConnectError> {
    let mut session = client.session().await?;
    let dialect = session.dialect;
    let mut missing_rights = Vec::new();
    let base = client.settings.base_dn.clone();
    let base_is_there = client.entry(&mut session, &base, "(objectClass=*)", &["1.1"]).await?.is_some();
    if !base_is_there {
        missing_rights.push(format!("reading {base}: there is no such entry that this log-in may see"));
    } else {
        let groups = client.settings.groups_filter.as_deref().unwrap_or(dialect.groups_filter()).to_owned();
        let people = client.settings.people_filter.as_deref().unwrap_or(dialect.people_filter()).to_owned();
        // Active Directory says of every entry what may be written (MS-ADTS, 3.1.1.4.5.20).
        for (what, filter, attribute, purpose) in [
            ("people", people, "userAccountControl", "to disable accounts"),
            ("groups", groups, "member", "to change members"),
        ] {
            let attributes = [dialect.key_attribute(), "allowedAttributesEffective"];
            let search =
                Search { base: &base, scope: Scope::Subtree, filter: &filter, attributes: &attributes };
            let first = client.page(&mut session, search, None).await?.entries.into_iter().next();
            match first {
                None => missing_rights.push(format!("reading {what}: the filter finds none below {base}")),
                Some(entry) if entry.bytes(dialect.key_attribute()).is_none() => {
                    missing_rights.push(format!("reading {} of {what}", dialect.key_attribute()));
                }
                Some(entry) => {
                    let writable = entry.texts("allowedAttributesEffective");
                    let may = writable.iter().any(|name| name.eq_ignore_ascii_case(attribute));
                    if dialect == Dialect::ActiveDirectory && !may {
                        missing_rights.push(format!("writing {attribute} of {}, {purpose}", entry.dn));
                    }
                }
            }
        }
    }
    if dialect == Dialect::OpenLdap {
        if !session.has_password_policy {
            missing_rights.push("the password policy overlay, to disable accounts".to_owned());
        } else if base_is_there && Policies::read(client, &mut session).await?.is_empty() {
            missing_rights.push(format!(
                "a password policy (an entry of pwdPolicy below {base}, or named by `password_policy`), to disable \
                 accounts: without one slapd lets a locked account in"
            ));
        }
        if connections(client, &mut session).await?.is_none() {
            missing_rights.push("reading cn=Monitor, to list live connections".to_owned());
        }
    }
    let acting_as = ourselves(client, &mut session).await?.map(|(login, _)| login);
    let target = session.product.clone();
    client.keep(session).await;
    Ok(TestReport { target, acting_as, missing_rights })
}

/// Reads one object.
pub(super) async fn read_back(client: &Client, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
    let mut session = client.session().await?;
    let read = match target {
        ReadTarget::Grant { account, entitlement } => {
            let group = find_group(client, &mut session, entitlement).await?;
            let account = find_account(client, &mut session, account).await?;
            match (group, account) {
                (Found::Wrong(why), _) => ReadBack::Unsupported { why },
                (Found::Several(names), _) => ReadBack::Unsupported {
                    why: format!("several groups have this name: {}; name one by its DN", names.join("; ")),
                },
                (Found::Nothing, _) | (_, None) => ReadBack::Grant { direct: false, effective: Some(false) },
                (Found::Group(group), Some(account)) => {
                    let direct = membership(client, &mut session, &account, &group).await?.is_direct();
                    let effective = direct || is_effective(client, &mut session, &account, &group).await?;
                    ReadBack::Grant { direct, effective: Some(effective) }
                }
            }
        }
        ReadTarget::Account { account } => read_account(client, &mut session, account).await?,
        ReadTarget::Sessions { account } => read_sessions(client, &mut session, account).await?,
    };
    client.keep(session).await;
    Ok(read)
}

async fn read_account(
    client: &Client,
    session: &mut Session,
    account: &AccountTarget,
) -> Result<ReadBack, ConnectError> {
    Ok(match find_account(client, session, account).await? {
        None => ReadBack::Account { exists: false, enabled: false },
        Some(entry) => {
            let policies = Policies::read(client, session).await?;
            let state = state(session.dialect, &policies, &entry);
            ReadBack::Account { exists: true, enabled: state.lets_in(jiff::Timestamp::now()) }
        }
    })
}

/// Whether an account is in a group on any path.
async fn is_effective(
    client: &Client,
    session: &mut Session,
    account: &Entry,
    group: &Entry,
) -> Result<bool, ConnectError> {
    match session.dialect {
        Dialect::ActiveDirectory => {
            // The chain does not know primary groups, so each is asked for as a member of its own.
            let mut members = vec![account.dn.clone()];
            members.extend(primary_group(client, session, account).await?);
            for member in members {
                let filter = format!("(member:{IN_CHAIN}:={})", ldap_escape(member));
                if client.entry(session, &group.dn, &filter, &["1.1"]).await?.is_some() {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Dialect::OpenLdap => walk(client, session, account, group).await,
    }
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

/// Walks up from an account through the groups that its groups are members of. Groups may be members of each other
/// in a circle, so each is visited once.
async fn walk(
    client: &Client,
    session: &mut Session,
    account: &Entry,
    group: &Entry,
) -> Result<bool, ConnectError> {
    let Some(wanted) = NormalDn::parse(&group.dn) else { return Ok(false) };
    let groups =
        client.settings.groups_filter.as_deref().unwrap_or(session.dialect.groups_filter()).to_owned();
    let base = client.settings.base_dn.clone();
    let mut visited: HashSet<NormalDn> = HashSet::new();
    let mut own: String =
        account.texts("uid").iter().map(|uid| format!("(memberUid={})", ldap_escape(uid.as_str()))).collect();
    if let Some(number) = account.number("gidNumber") {
        own.push_str(&format!("(&(objectClass=posixGroup)(gidNumber={number}))"));
    }
    let mut waiting = vec![(account.dn.clone(), own)];
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

/// Every live connection, with whom it is; `None` where we may not know.
async fn connections(
    client: &Client,
    session: &mut Session,
) -> Result<Option<Vec<(NormalDn, LiveSession)>>, ConnectError> {
    // Who may not read the monitor sees no such entry; that must not look like "no connections".
    if client.entry(session, CONNECTIONS, "(objectClass=*)", &["1.1"]).await?.is_none() {
        return Ok(None);
    }
    let attributes = [
        "monitorConnectionNumber",
        "monitorConnectionAuthzDN",
        "monitorConnectionStartTime",
        "monitorConnectionPeerAddress",
    ];
    let search = Search {
        base: CONNECTIONS,
        scope: Scope::OneLevel,
        filter: "(objectClass=monitorConnection)",
        attributes: &attributes,
    };
    let entries = client.search(session, search).await?;
    let live = entries.iter().filter_map(|entry| {
        let who = NormalDn::parse(&entry.text("monitorConnectionAuthzDN")?)?;
        let session = LiveSession {
            id: entry.text("monitorConnectionNumber").unwrap_or_else(|| entry.dn.clone()),
            started_at: entry.text("monitorConnectionStartTime").and_then(|text| generalized_time(&text)),
            detail: entry.text("monitorConnectionPeerAddress").unwrap_or_default(),
        };
        Some((who, session))
    });
    Ok(Some(live.collect()))
}

async fn read_sessions(
    client: &Client,
    session: &mut Session,
    account: &AccountTarget,
) -> Result<ReadBack, ConnectError> {
    if session.dialect == Dialect::ActiveDirectory {
        let why = "Active Directory does not list its LDAP connections".to_owned();
        return Ok(ReadBack::Unsupported { why });
    }
    let Some(connections) = connections(client, session).await? else {
        let why = "this log-in may not read cn=Monitor, or the monitor is not loaded".to_owned();
        return Ok(ReadBack::Unsupported { why });
    };
    let dn = find_account(client, session, account).await?.and_then(|entry| NormalDn::parse(&entry.dn));
    Ok(match dn {
        Some(dn) => ReadBack::Sessions {
            live: connections.into_iter().filter(|(who, _)| *who == dn).map(|(_, live)| live).collect(),
        },
        // A connection outlives its entry, and then nobody can say any more whose it was by its key.
        None => ReadBack::Unsupported {
            why: "the account is gone, and connections are known by its DN".to_owned(),
        },
    })
}
