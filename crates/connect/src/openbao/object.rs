//! What the server keeps, as its API tells it: entities, groups, tokens, and the log-ins of its own auth methods.

use std::collections::HashMap;

use jiff::Timestamp;
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::id::AccountKey;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::error::ConnectError;
use crate::openbao::client::Client;

/// The account of tokens that belong to no entity.
pub(super) const NO_ENTITY: &str = "no-entity";
/// What people call it.
pub(super) const NO_ENTITY_LOGIN: &str = "<tokens of no entity>";

/// An entity of the identity store.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Entity {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub disabled: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub aliases: Vec<Alias>,
    #[serde(default, deserialize_with = "or_default")]
    pub policies: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub direct_group_ids: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub group_ids: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: HashMap<String, String>,
}

/// Under which name an auth method knows an entity.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Alias {
    pub name: String,
    pub mount_path: String,
}

/// A group of the identity store.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Group {
    pub id: String,
    pub name: String,
    /// `internal` or `external`.
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(default, deserialize_with = "or_default")]
    pub policies: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub member_entity_ids: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub member_group_ids: Vec<String>,
}

/// A token, looked up by its accessor.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Token {
    pub accessor: String,
    #[serde(default)]
    pub display_name: String,
    #[serde(default)]
    pub entity_id: String,
    #[serde(default, deserialize_with = "or_default")]
    pub policies: Vec<String>,
    pub issue_time: Option<Timestamp>,
    pub expire_time: Option<Timestamp>,
    #[serde(default)]
    pub path: String,
}

impl Token {
    /// It may do everything.
    pub fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == "root")
    }

    /// The key of the account that it is of.
    pub fn account(&self) -> AccountKey {
        if self.entity_id.is_empty() { NO_ENTITY.into() } else { self.entity_id.as_str().into() }
    }

    /// The fact that it makes.
    pub fn credential(&self) -> Credential {
        let label = if self.display_name.is_empty() { &self.accessor } else { &self.display_name };
        let mut credential =
            Credential::new(self.accessor.as_str(), self.account(), CredentialKind::Token, label.as_str());
        credential.created_at = self.issue_time;
        credential.expires_at = self.expire_time;
        credential.scope = self.policies.clone();
        credential
    }
}

/// A log-in that an auth method of the server itself keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogIn {
    /// `auth/userpass` without the slash at its end.
    pub mount: String,
    pub kind: LogInKind,
    pub name: String,
}

/// Which auth method keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogInKind {
    /// A user with a password.
    UserPass,
    /// A role that programs log in to with secret-ids.
    AppRole,
}

#[derive(Deserialize)]
struct Policies {
    #[serde(default, deserialize_with = "or_default")]
    token_policies: Vec<String>,
    /// `service`, `batch`, or which of the two is the default.
    #[serde(default)]
    token_type: String,
}

#[derive(Deserialize)]
struct RoleId {
    role_id: String,
}

#[derive(Deserialize)]
struct SecretId {
    secret_id_accessor: String,
    creation_time: Option<Timestamp>,
    expiration_time: Option<Timestamp>,
}

/// Where an auth method is.
#[derive(Deserialize)]
pub(super) struct Mount {
    #[serde(rename = "type")]
    pub kind: String,
    accessor: String,
    #[serde(default, deserialize_with = "or_default")]
    config: MountConfig,
}

#[derive(Deserialize, Default)]
struct MountConfig {
    #[serde(default)]
    token_type: String,
}

impl LogInKind {
    fn folder(self) -> &'static str {
        match self {
            Self::UserPass => "users",
            Self::AppRole => "role",
        }
    }
}

impl LogIn {
    /// Its place in the API, which is the key of what logs in with it alone.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.mount, self.kind.folder(), self.name)
    }

    /// Reads a key.
    pub fn parse(key: &str) -> Option<Self> {
        let (place, name) = key.rsplit_once('/')?;
        let (mount, folder) = place.rsplit_once('/')?;
        let kind = match folder {
            "users" => LogInKind::UserPass,
            "role" => LogInKind::AppRole,
            _ => return None,
        };
        let is_named = mount.strip_prefix("auth/").is_some_and(|mount| !mount.is_empty()) && !name.is_empty();
        is_named.then(|| Self { mount: mount.to_owned(), kind, name: name.to_owned() })
    }

    /// Its path, and what comes below it.
    pub fn path<'path>(&'path self, below: &[&'path str]) -> Vec<&'path str> {
        let mut path: Vec<&str> = self.mount.split('/').collect();
        path.extend([self.kind.folder(), &self.name]);
        path.extend(below);
        path
    }

    /// The policies that a token gets by it; `None` where it does not exist.
    pub async fn policies(&self, client: &Client) -> Result<Option<Vec<String>>, ConnectError> {
        let found: Option<Policies> = client.find(&self.path(&[])).await?;
        Ok(found.map(|found| found.token_policies))
    }

    /// Under which name its auth method knows it in an alias.
    pub async fn alias_name(&self, client: &Client) -> Result<Option<String>, ConnectError> {
        match self.kind {
            LogInKind::UserPass => Ok(Some(self.name.clone())),
            LogInKind::AppRole => {
                let found: Option<RoleId> = client.find(&self.path(&["role-id"])).await?;
                Ok(found.map(|found| found.role_id))
            }
        }
    }

    /// What logs in by it: a password, or secret-ids.
    pub async fn credentials(&self, client: &Client, account: &str) -> Result<Vec<Credential>, ConnectError> {
        if self.kind == LogInKind::UserPass {
            let label = format!("password of {}", self.key());
            return Ok(vec![Credential::new(self.key(), account, CredentialKind::Password, label)]);
        }
        let mut credentials = Vec::new();
        for accessor in client.list(&self.path(&["secret-id"])).await? {
            let Some(found) = self.secret_id(client, &accessor).await? else { continue };
            let key = format!("{}/secret-id/{}", self.key(), found.secret_id_accessor);
            let label = format!("secret-id of {}", self.key());
            let mut credential = Credential::new(key, account, CredentialKind::ApiKey, label);
            credential.created_at = found.creation_time;
            // One that never expires tells the year 1.
            credential.expires_at = found
                .expiration_time
                .filter(|at| Some(*at) > found.creation_time && *at > Timestamp::UNIX_EPOCH);
            credentials.push(credential);
        }
        Ok(credentials)
    }

    /// Whether a secret-id exists.
    pub async fn has_secret_id(&self, client: &Client, accessor: &str) -> Result<bool, ConnectError> {
        Ok(self.secret_id(client, accessor).await?.is_some())
    }

    async fn secret_id(&self, client: &Client, accessor: &str) -> Result<Option<SecretId>, ConnectError> {
        let body = json!({"secret_id_accessor": accessor});
        client.look_up(&self.path(&["secret-id-accessor", "lookup"]), body).await
    }
}

/// The entity that a log-in comes to; `None` where nobody has logged in with it yet.
async fn entity_of(
    client: &Client,
    log_in: &LogIn,
    mounts: &HashMap<String, Mount>,
) -> Result<Option<Entity>, ConnectError> {
    let path = format!("{}/", log_in.mount.trim_start_matches("auth/"));
    let (Some(mount), Some(name)) = (mounts.get(&path), log_in.alias_name(client).await?) else {
        return Ok(None);
    };
    let body = json!({"alias_name": name, "alias_mount_accessor": mount.accessor});
    let found: Option<Option<Entity>> = client.look_up(&["identity", "lookup", "entity"], body).await?;
    Ok(found.flatten())
}

/// The log-ins of this name that no entity stands behind, each by its key.
pub(super) async fn lone_log_ins(client: &Client, name: &str) -> Result<Vec<String>, ConnectError> {
    let mounts: HashMap<String, Mount> = client.read(&["sys", "auth"]).await?;
    let mut lone = Vec::new();
    for log_in in log_ins(client).await?.into_iter().filter(|log_in| log_in.name == name) {
        if entity_of(client, &log_in, &mounts).await?.is_none() {
            lone.push(log_in.key());
        }
    }
    Ok(lone)
}

/// Every log-in of the auth methods that keep their own.
pub(super) async fn log_ins(client: &Client) -> Result<Vec<LogIn>, ConnectError> {
    let mounts: HashMap<String, Mount> = client.read(&["sys", "auth"]).await?;
    let mut log_ins = Vec::new();
    for (path, mount) in mounts {
        let kind = match mount.kind.as_str() {
            "userpass" => LogInKind::UserPass,
            "approle" => LogInKind::AppRole,
            _ => continue,
        };
        let mount = format!("auth/{}", path.trim_end_matches('/'));
        let mut folder: Vec<&str> = mount.split('/').collect();
        folder.push(kind.folder());
        let names = client.list(&folder).await?;
        log_ins.extend(names.into_iter().map(|name| LogIn { mount: mount.clone(), kind, name }));
    }
    log_ins.sort_by_key(LogIn::key);
    Ok(log_ins)
}

/// The log-ins that come to an entity.
pub(super) async fn log_ins_of(client: &Client, entity: &Entity) -> Result<Vec<LogIn>, ConnectError> {
    let mut found = Vec::new();
    for log_in in log_ins(client).await? {
        let mount = format!("{}/", log_in.mount);
        let is_here = |alias: &Alias, name: &str| alias.mount_path == mount && alias.name == name;
        // Only a role's name has to be asked for, and only where an alias could have it.
        if !entity.aliases.iter().any(|alias| alias.mount_path == mount) {
            continue;
        }
        let Some(name) = log_in.alias_name(client).await? else { continue };
        if entity.aliases.iter().any(|alias| is_here(alias, &name)) {
            found.push(log_in);
        }
    }
    Ok(found)
}

/// Whether a log-in as an entity may have given a batch token, which no list has. Of other auth methods nobody can say.
pub(super) async fn may_have_batch_tokens(client: &Client, entity: &Entity) -> Result<bool, ConnectError> {
    let mounts: HashMap<String, Mount> = client.read(&["sys", "auth"]).await?;
    for alias in &entity.aliases {
        let gives_service_only =
            mounts.get(alias.mount_path.trim_start_matches("auth/")).is_some_and(|mount| {
                matches!(mount.kind.as_str(), "userpass" | "approle")
                    && !mount.config.token_type.contains("batch")
            });
        if !gives_service_only {
            return Ok(true);
        }
    }
    let log_ins = log_ins_of(client, entity).await?;
    // One that is gone gave what it gave.
    if log_ins.len() < entity.aliases.len() {
        return Ok(true);
    }
    for log_in in log_ins {
        let found: Option<Policies> = client.find(&log_in.path(&[])).await?;
        if found.is_some_and(|found| found.token_type.contains("batch")) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Looks a token up; `None` where it has ended.
pub(super) async fn token(client: &Client, accessor: &str) -> Result<Option<Token>, ConnectError> {
    client.look_up(&["auth", "token", "lookup-accessor"], json!({"accessor": accessor})).await
}

/// Every token of an account.
pub(super) async fn tokens_of(client: &Client, account: &str) -> Result<Vec<Token>, ConnectError> {
    let mut tokens = Vec::new();
    for accessor in client.list(&["auth", "token", "accessors"]).await? {
        // What is no longer there has ended since it was listed.
        tokens.extend(token(client, &accessor).await?.filter(|token| token.account().as_str() == account));
    }
    Ok(tokens)
}

/// The API writes `null` for an empty list or table.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(reader: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(reader)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_log_ins_are_read_back() {
        for key in ["auth/userpass/users/alice", "auth/team/apps/role/deploy", "auth/userpass/users/a b"] {
            assert_eq!(LogIn::parse(key).map(|log_in| log_in.key()), Some(key.to_owned()));
        }
        for key in ["nobody", "auth/users/alice", "auth/userpass/users/", "secret/userpass/users/alice"] {
            assert_eq!(LogIn::parse(key), None, "{key}");
        }
    }
}
