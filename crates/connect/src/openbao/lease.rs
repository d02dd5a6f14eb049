//! Leases below the prefixes of the settings. A lease does not say whose it is: a token's is known by its token, and that of a
//! log-in by its path, where the auth method has the name in it.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use leasehold_model::credential::{Credential, CredentialKind};
use serde::Deserialize;
use serde_json::json;

use crate::error::ConnectError;
use crate::openbao::client::Client;
use crate::openbao::object::{Entity, Mount, Token};

/// A lease, looked up.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Lease {
    pub id: String,
    pub issue_time: Option<Timestamp>,
    pub expire_time: Option<Timestamp>,
}

impl Lease {
    /// Where it was made.
    pub fn path(&self) -> &str {
        self.id.rsplit_once('/').map_or("", |(path, _)| path)
    }

    /// Whether it is the lease of a token that is listed, which is told as the token that it is.
    pub fn is_of(&self, tokens: &TokenLeases) -> bool {
        self.issue_time.is_some_and(|at| tokens.0.contains(&(self.path().to_owned(), at)))
    }

    /// It as a credential of whoever logged in there.
    pub fn credential(&self, account: &str) -> Credential {
        let label = format!("lease of {}", self.path());
        let mut credential = Credential::new(self.id.as_str(), account, CredentialKind::Token, label);
        credential.created_at = self.issue_time;
        credential.expires_at = self.expire_time;
        credential
    }
}

/// By what the leases of tokens are known: their path, and the instant of their issue.
#[derive(Default)]
pub(super) struct TokenLeases(BTreeSet<(String, Timestamp)>);

impl TokenLeases {
    /// Notes a token.
    pub fn add(&mut self, token: &Token) {
        self.0.extend(token.issue_time.map(|at| (token.path.clone(), at)));
    }

    /// Of these tokens.
    pub fn of(tokens: &[Token]) -> Self {
        let mut known = Self::default();
        tokens.iter().for_each(|token| known.add(token));
        known
    }
}

/// The names of the leases below a prefix.
pub(super) async fn ids(client: &Client, prefix: &str) -> Result<Vec<String>, ConnectError> {
    let mut found = Vec::new();
    let mut folders = vec![prefix.to_owned()];
    while let Some(folder) = folders.pop() {
        for key in client.list(&listing(&folder)).await? {
            match key.strip_suffix('/') {
                Some(inner) => folders.push(format!("{folder}/{inner}")),
                None => found.push(format!("{folder}/{key}")),
            }
        }
    }
    Ok(found)
}

/// Where what is below a path is listed.
pub(super) fn listing(folder: &str) -> Vec<&str> {
    ["sys", "leases", "lookup"].into_iter().chain(folder.split('/')).collect()
}

/// Looks a lease up; `None` where it has ended.
pub(super) async fn find(client: &Client, id: &str) -> Result<Option<Lease>, ConnectError> {
    client.look_up(&["sys", "leases", "lookup"], json!({"lease_id": id})).await
}

/// The auth mount and the name in the path of a log-in, `auth/userpass/login/alice`.
pub(super) fn log_in_of(path: &str) -> Option<(&str, &str)> {
    let (place, name) = path.rsplit_once('/')?;
    let mount = place.strip_suffix("/login").filter(|mount| mount.starts_with("auth/"))?;
    (!name.is_empty()).then_some((mount, name))
}

/// Under which names an entity logs in.
pub(super) struct LogInNames {
    /// Each mount and name, and whether the case of the name's letters does not matter there: `userpass` lets somebody in
    /// however they write their name, and keeps the lease where they wrote it.
    names: Vec<(String, String, bool)>,
}

impl LogInNames {
    /// Those of an entity.
    pub async fn of(client: &Client, entity: &Entity) -> Result<Self, ConnectError> {
        let mounts: HashMap<String, Mount> = client.read(&["sys", "auth"]).await?;
        let names = entity.aliases.iter().map(|alias| {
            let mount = mounts.get(alias.mount_path.trim_start_matches("auth/"));
            let is_folded = mount.is_some_and(|mount| mount.kind == "userpass");
            (alias.mount_path.trim_end_matches('/').to_owned(), alias.name.clone(), is_folded)
        });
        Ok(Self { names: names.collect() })
    }

    /// Whether the entity logs in at this path.
    pub fn has(&self, path: &str) -> bool {
        let Some((at, written)) = log_in_of(path) else { return false };
        self.names.iter().any(|(mount, name, is_folded)| {
            at == mount && (written == name || (*is_folded && written.to_lowercase() == name.to_lowercase()))
        })
    }
}

/// The paths of an entity's log-ins below which there are leases, as far as the prefixes of the settings reach.
pub(super) async fn places(client: &Client, entity: &Entity) -> Result<Vec<String>, ConnectError> {
    let prefixes = &client.settings.lease_prefixes;
    if prefixes.is_empty() {
        return Ok(Vec::new());
    }
    let names = LogInNames::of(client, entity).await?;
    let folders: BTreeSet<String> = names.names.iter().map(|(mount, ..)| format!("{mount}/login")).collect();
    let mut places = BTreeSet::new();
    for folder in folders {
        if prefixes.iter().any(|prefix| is_within(&folder, prefix)) {
            let keys = client.list(&listing(&folder)).await?;
            let inner = keys.iter().filter_map(|key| key.strip_suffix('/'));
            places.extend(inner.map(|name| format!("{folder}/{name}")).filter(|place| names.has(place)));
        }
    }
    // One that names a log-in itself.
    for prefix in prefixes.iter().filter(|prefix| names.has(prefix)) {
        if !client.list(&listing(prefix)).await?.is_empty() {
            places.insert(prefix.clone());
        }
    }
    Ok(places.into_iter().collect())
}

/// The leases of an entity's log-ins that none of these tokens is of.
pub(super) async fn without_token(
    client: &Client,
    entity: &Entity,
    tokens: &[Token],
) -> Result<Vec<Lease>, ConnectError> {
    let known = TokenLeases::of(tokens);
    let mut found = Vec::new();
    for place in places(client, entity).await? {
        for id in ids(client, &place).await? {
            found.extend(find(client, &id).await?.filter(|lease| !lease.is_of(&known)));
        }
    }
    Ok(found)
}

/// Whether a path is a prefix, or below it.
fn is_within(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_ins_are_known_by_their_path() {
        for (path, expected) in [
            ("auth/userpass/login/alice", Some(("auth/userpass", "alice"))),
            ("auth/team/ldap/login/a b", Some(("auth/team/ldap", "a b"))),
            ("auth/approle/login", None),
            ("auth/token/create", None),
            ("secret/login/alice", None),
            ("auth/userpass/login/", None),
        ] {
            assert_eq!(log_in_of(path), expected, "{path}");
        }
        for (path, prefix, expected) in [
            ("auth/userpass/login", "auth", true),
            ("auth/userpass/login", "auth/userpass/login", true),
            ("auth/userpass/login", "auth/user", false),
            ("auth/userpass/login", "auth/userpass/login/al", false),
        ] {
            assert_eq!(is_within(path, prefix), expected, "{path} {prefix}");
        }
    }
}
