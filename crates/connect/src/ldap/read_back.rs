//! Asking the directory, now, about one grant, account or session list; and what this log-in may do at all.

use ldap3::Scope;
use leasehold_model::account::Session as LiveSession;
use leasehold_model::request::{AccountTarget, EntitlementTarget, ReadBack, ReadTarget};

use crate::connector::TestReport;
use crate::error::ConnectError;
use crate::ldap::client::{Client, Search, Session};
use crate::ldap::dialect::{Dialect, generalized_time};
use crate::ldap::dn::NormalDn;
use crate::ldap::entry::Entry;
use crate::ldap::find::{Found, find_account, find_group, membership, not_seen, ourselves};
use crate::ldap::normalise::state;
use crate::ldap::policy::Policies;
use crate::ldap::witness::{Holding, in_active_directory, in_open_ldap, named_by_account};

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
            read_grant(client, &mut session, account, entitlement).await?
        }
        ReadTarget::Account { account } => read_account(client, &mut session, account).await?,
        ReadTarget::Sessions { account } => read_sessions(client, &mut session, account).await?,
    };
    client.keep(session).await;
    Ok(read)
}

async fn read_grant(
    client: &Client,
    session: &mut Session,
    account: &AccountTarget,
    entitlement: &EntitlementTarget,
) -> Result<ReadBack, ConnectError> {
    let name = &entitlement.name;
    let group = match find_group(client, session, entitlement).await? {
        Found::Group(group) => group,
        Found::Wrong(why) => return Ok(ReadBack::Unsupported { why }),
        Found::Several(names) => {
            let why = format!("several groups have this name: {}; name one by its DN", names.join("; "));
            return Ok(ReadBack::Unsupported { why });
        }
        Found::Nothing => {
            let why = not_seen("group", &name.name, &client.settings.base_dn);
            return Err(client.unseen(&name.to_string(), why));
        }
    };
    let account = seen_account(client, session, account).await?;
    let membership = membership(client, session, &account, &group).await?;
    let direct = membership.is_direct();
    let mut holding = match session.dialect {
        Dialect::ActiveDirectory => in_active_directory(client, session, &account, &group, direct).await?,
        Dialect::OpenLdap if direct => Holding::Held,
        Dialect::OpenLdap => in_open_ldap(client, session, &account, &group).await?,
    };
    if let (Holding::NotHeld, Some(why)) = (&holding, &membership.unseen) {
        holding = Holding::Unseen(why.clone());
    }
    match holding {
        Holding::Held => Ok(ReadBack::Grant { direct, effective: Some(true) }),
        Holding::NotHeld => Ok(ReadBack::Grant { direct, effective: Some(false) }),
        Holding::Unseen(_) if named_by_account(client, session, &account, &group).await? => {
            Ok(ReadBack::Grant { direct, effective: Some(true) })
        }
        Holding::Unseen(why) => Err(client.unseen(&name.to_string(), why)),
    }
}

/// The account's entry. One that cannot be seen is an error: it may be there and able to log in.
async fn seen_account(
    client: &Client,
    session: &mut Session,
    account: &AccountTarget,
) -> Result<Entry, ConnectError> {
    find_account(client, session, account).await?.ok_or_else(|| {
        let what = format!("the account {}", account.login);
        client.unseen(&what, not_seen("account with the key", &account.key, &client.settings.base_dn))
    })
}

async fn read_account(
    client: &Client,
    session: &mut Session,
    account: &AccountTarget,
) -> Result<ReadBack, ConnectError> {
    let entry = seen_account(client, session, account).await?;
    let policies = Policies::read(client, session).await?;
    let state = state(session.dialect, &policies, &entry);
    Ok(ReadBack::Account { exists: true, enabled: state.lets_in(jiff::Timestamp::now()) })
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
