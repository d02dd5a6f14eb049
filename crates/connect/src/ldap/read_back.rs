//! Asking the directory, now, about one grant, account or session list.

use ldap3::Scope;
use leasehold_model::account::Session as LiveSession;
use leasehold_model::request::{AccountTarget, EntitlementTarget, ReadBack, ReadTarget};

use crate::connector::{no_credentials, nothing_handed_over};
use crate::error::ConnectError;
use crate::ldap::account::is_proved_gone;
use crate::ldap::client::{Client, Search, Session};
use crate::ldap::dialect::{Dialect, generalized_time};
use crate::ldap::dn::NormalDn;
use crate::ldap::entry::Entry;
use crate::ldap::find::{Found, account_not_seen, find_account, find_group, keyed, membership, not_seen};
use crate::ldap::normalise::state;
use crate::ldap::policy::Policies;
use crate::ldap::witness::{Holding, in_active_directory, in_open_ldap, named_by_account};

const CONNECTIONS: &str = "cn=Connections,cn=Monitor";

/// Reads one object.
pub(super) async fn read_back(client: &Client, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
    let mut session = client.session().await?;
    let account = keyed(client, &mut session, target.account()).await?;
    let account =
        account.map_err(|why| client.unseen(&format!("the account {}", target.account().login), why))?;
    let read = match &target.clone().with_account(account) {
        ReadTarget::Grant { account, entitlement } => {
            read_grant(client, &mut session, account, entitlement).await?
        }
        ReadTarget::Account { account } => read_account(client, &mut session, account).await?,
        ReadTarget::Credential { .. } => no_credentials(),
        ReadTarget::HandOver { .. } => nothing_handed_over(),
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
    find_account(client, session, account).await?.ok_or_else(|| unseen_account(client, account))
}

fn unseen_account(client: &Client, account: &AccountTarget) -> ConnectError {
    let what = format!("the account {}", account.login);
    client.unseen(&what, account_not_seen(account, &client.settings.base_dn))
}

async fn read_account(
    client: &Client,
    session: &mut Session,
    account: &AccountTarget,
) -> Result<ReadBack, ConnectError> {
    let Some(entry) = find_account(client, session, account).await? else {
        if is_proved_gone(client, session, account).await? {
            return Ok(ReadBack::Account { exists: false, enabled: false });
        }
        return Err(unseen_account(client, account));
    };
    let policies = Policies::read(client, session).await?;
    let enabled = state(session.dialect, &policies, &entry).lets_in(jiff::Timestamp::now());
    if !enabled && let Some(why) = policies.unseen(client, session, &entry).await? {
        return Err(client.unseen(&format!("the account {}", account.login), why));
    }
    Ok(ReadBack::Account { exists: true, enabled })
}

/// Every live connection, with whom it is; `None` where we may not know.
pub(super) async fn connections(
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
        Some(dn) => {
            let own = connections.into_iter().filter(|(who, _)| *who == dn).map(|(_, live)| live);
            ReadBack::sessions(own.collect())
        }
        // A connection outlives its entry, and then nobody can say any more whose it was by its key.
        None => ReadBack::Unsupported {
            why: "the account is gone, and connections are known by its DN".to_owned(),
        },
    })
}
