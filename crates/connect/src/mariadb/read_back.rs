//! Asking the server, now, about one grant, account or session list; and what this log-in may do at all.

use leasehold_model::account::Session as LiveSession;
use leasehold_model::credential::CredentialKind;
use leasehold_model::request::{AccountTarget, ReadBack, ReadTarget};

use crate::connector::{TestReport, no_credentials, only_one};
use crate::error::ConnectError;
use crate::mariadb::catalogue::{Catalogue, Holder};
use crate::mariadb::client::{Client, Session};
use crate::mariadb::event::{self, Event};
use crate::mariadb::name::{AccountName, Held, Object};
use crate::mariadb::{pattern, sql};

/// Reaches the server and reports what is missing.
pub(super) async fn test(client: &Client) -> Result<TestReport, ConnectError> {
    let mut session = client.session().await?;
    let catalogue = Catalogue::read(client, &mut session).await?;
    let ourselves = &session.ourselves;
    let may =
        |privilege| catalogue.holds(ourselves, &Held::Privilege { privilege, object: Object::Server }).1;
    let mut missing_rights = Vec::new();
    for (privilege, what_for) in [
        ("CREATE USER", "to make, lock, unlock and remove accounts"),
        ("GRANT OPTION", "to grant and revoke what it holds itself"),
        ("PROCESS", "to see the sessions of others"),
        ("CONNECTION ADMIN", "to end the sessions of others"),
        ("EVENT", "to stop and drop events"),
        ("SET USER", "to stop an event that stays its definer's, and to hand one over"),
    ] {
        if !may(privilege) && !may("SUPER") {
            missing_rights.push(format!("{privilege} on *.*, {what_for}"));
        }
    }
    let report = TestReport {
        target: format!("MariaDB {}", session.version),
        acting_as: Some(ourselves.key().0),
        missing_rights,
    };
    client.keep(session).await;
    Ok(report)
}

/// The account with its key, where one user of this name is an account; without one where none is.
///
/// # Errors
/// The inner one where several are, seen from different hosts.
pub(super) async fn keyed(
    client: &Client,
    session: &mut Session,
    account: &AccountTarget,
) -> Result<Result<AccountTarget, String>, ConnectError> {
    if !account.is_by_login() {
        return Ok(Ok(account.clone()));
    }
    let catalogue = still(client, session).await?;
    let found = catalogue.accounts.keys().filter(|name| name.user == account.login);
    let found = only_one(&account.login, found.map(AccountName::key).collect());
    Ok(found.map(|key| key.map_or_else(|| account.clone(), |key| account.with_key(key))))
}

/// Reads one object.
pub(super) async fn read_back(client: &Client, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
    // A server that cannot be reached says nothing about anybody, and be the key one that no account has.
    let mut session = client.session().await?;
    let account = keyed(client, &mut session, target.account())
        .await?
        .map_err(|why| client.wrong("finding the account", why))?;
    let name = match AccountName::parse(&account.key) {
        Ok(name) => name,
        Err(why) => {
            client.keep(session).await;
            return Ok(match target {
                ReadTarget::Account { .. } => ReadBack::Account { exists: false, enabled: false },
                ReadTarget::Grant { .. } => ReadBack::Grant { direct: false, effective: Some(false) },
                _ => ReadBack::Unsupported { why },
            });
        }
    };
    let read = match target {
        ReadTarget::Grant { entitlement, .. } => match Held::parse(&entitlement.name) {
            Err(why) => ReadBack::Unsupported { why },
            Ok(held) => {
                let catalogue = still(client, &mut session).await?;
                let (direct, effective) = match catalogue.accounts.contains_key(&name) {
                    true => catalogue.holds(&name, &held),
                    false => (false, false),
                };
                let inherent = held == Held::Role(super::catalogue::PUBLIC.to_owned()) && effective;
                ReadBack::Grant { direct: direct || inherent, effective: Some(effective) }
            }
        },
        ReadTarget::Account { .. } => {
            let catalogue = still(client, &mut session).await?;
            let found = catalogue.accounts.get(&name);
            ReadBack::Account { exists: found.is_some(), enabled: found.is_some_and(|found| !found.locked) }
        }
        ReadTarget::Credential { credential, .. } if credential.kind == CredentialKind::ScheduledJob => {
            let found = event::find(client, &mut session, &name, credential.key.as_str()).await?;
            let active = found.as_ref().is_some_and(Event::is_enabled);
            ReadBack::Credential { exists: found.is_some(), active }
        }
        ReadTarget::HandOver { credential, to, .. } if credential.kind == CredentialKind::ScheduledJob => {
            match AccountName::parse(&to.key) {
                Ok(to) => {
                    event::is_handed_over(client, &mut session, &name, credential.key.as_str(), &to).await?
                }
                Err(why) => ReadBack::Unsupported { why },
            }
        }
        ReadTarget::Credential { .. } | ReadTarget::HandOver { .. } => no_credentials(),
        ReadTarget::Sessions { .. } => ReadBack::sessions(sessions(client, &mut session, &name).await?),
    };
    client.keep(session).await;
    Ok(read)
}

/// The grant tables, where they held still while they were read.
pub(super) async fn still(client: &Client, session: &mut Session) -> Result<Catalogue, ConnectError> {
    let catalogue = Catalogue::read(client, session).await?;
    if catalogue.is_still {
        return Ok(catalogue);
    }
    Err(client.wrong("reading grants", "the grant tables changed each time while they were read".to_owned()))
}

/// The live sessions of an account, without the one that asks. The server tells the user and where a session comes from; of
/// several accounts of one user it belongs to the one whose host fits most narrowly.
pub(super) async fn sessions(
    client: &Client,
    session: &mut Session,
    account: &AccountName,
) -> Result<Vec<LiveSession>, ConnectError> {
    let catalogue = still(client, session).await?;
    let sees_all = Held::Privilege { privilege: "PROCESS", object: Object::Server };
    if !catalogue.holds(&session.ourselves, &sees_all).1 {
        let message = format!(
            "{} lacks PROCESS on *.*, without which the server hides the sessions of others",
            session.ourselves.key()
        );
        return Err(client.wrong("listing sessions", message));
    }
    let mut hosts: Vec<&str> = catalogue
        .held
        .keys()
        .filter_map(|holder| match holder {
            Holder::Account(name) => Some(name),
            Holder::Role(_) => None,
        })
        .chain(catalogue.accounts.keys())
        .filter(|name| name.user == account.user)
        .map(|name| name.host.as_str())
        .chain([account.host.as_str()])
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    let listing = sqlx::query(sql::SESSIONS).bind(&account.user).fetch_all(&mut session.connection);
    let mut live = Vec::new();
    for row in client.wait("listing sessions", listing).await? {
        let id: i64 = client.get(&row, 0)?;
        let (from, command, database) = (client.text(&row, 1)?, client.text(&row, 2)?, client.text(&row, 3)?);
        let client_host = from.rsplit_once(':').map_or(from.as_str(), |(host, _)| host);
        let owner = hosts.iter().filter(|host| fits(host, client_host)).max_by_key(|host| narrowness(host));
        // Where none fits the account was changed meanwhile; the session is somebody's of this name all the same.
        if owner.is_none_or(|owner| *owner == account.host) {
            live.push(LiveSession {
                id: id.to_string(),
                // The server tells since when the present command runs, and not when the session began.
                started_at: None,
                detail: format!(
                    "{command} from {from}{}{database}",
                    if database.is_empty() { "" } else { " in " }
                ),
            });
        }
    }
    Ok(live)
}

/// Whether a session from this host is one of an account of that host pattern (`%` and `_` as in LIKE).
fn fits(pattern: &str, host: &str) -> bool {
    if let Some((network, mask)) = pattern.split_once('/') {
        let parse = |text: &str| text.parse::<std::net::Ipv4Addr>().ok().map(u32::from);
        return match (parse(network), parse(mask), parse(host)) {
            (Some(network), Some(mask), Some(host)) => host & mask == network,
            _ => false,
        };
    }
    pattern::fits(&pattern.to_lowercase(), &host.to_lowercase())
}

/// How narrowly a host pattern is meant: the server tries the narrowest first.
fn narrowness(pattern: &str) -> (bool, usize) {
    let first = pattern.find(['%', '_']).unwrap_or(pattern.len());
    (first == pattern.len(), first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_fit_as_the_server_says() {
        for (pattern, host, expected) in [
            ("%", "10.0.0.7", true),
            ("10.0.%", "10.0.0.7", true),
            ("10.0.%", "10.1.0.7", false),
            ("localhost", "LOCALHOST", true),
            ("db_.example.com", "db1.example.com", true),
            ("db_.example.com", "db12.example.com", false),
            ("198.51.100.0/255.255.255.0", "198.51.100.9", true),
            ("198.51.100.0/255.255.255.0", "198.51.101.9", false),
            ("", "x", false),
        ] {
            assert_eq!(fits(pattern, host), expected, "{pattern} {host}");
        }
        assert!(narrowness("10.0.0.7") > narrowness("10.0.%") && narrowness("10.0.%") > narrowness("%"));
    }
}
