//! What the hub knows, in its own words. A field that a scope is missing for is left out of an answer, so that one without
//! a default is demanded.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::account::{Account, LastUse, PostureFinding, Session};
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::id::{AccountKey, EntitlementName};
use leasehold_model::identity::IdentityKind;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The role that the API gives and takes, as `admin`.
pub(super) const ADMIN: &str = "admin";
/// The role that every user has.
pub(super) const USER: &str = "user";
/// What the keys of services begin with. No name of a user has a slash.
const SERVICE: &str = "service/";
/// The client that tokens are of that no other application got.
const OWN_CLIENT: &str = "JupyterHub";

/// Whom the connector logs in as.
#[derive(Deserialize)]
pub(super) struct Own {
    pub kind: String,
    pub name: String,
    scopes: Vec<String>,
}

impl Own {
    /// Its account.
    pub fn key(&self) -> String {
        if self.kind == "service" { format!("{SERVICE}{}", self.name) } else { self.name.clone() }
    }

    /// Those of these scopes that it has not on everything. The hub names them with all that they include.
    pub fn missing(&self, scopes: &[&str]) -> Vec<String> {
        let lacks = |scope: &&&str| !self.scopes.iter().any(|own| own == **scope);
        scopes.iter().filter(lacks).map(|scope| (*scope).to_owned()).collect()
    }
}

/// Who an account's key says that it is.
pub(super) enum Who<'key> {
    User(&'key str),
    Service(&'key str),
}

impl<'key> Who<'key> {
    /// Reads a key.
    pub fn parse(key: &'key AccountKey) -> Self {
        match key.as_str().strip_prefix(SERVICE) {
            Some(name) => Self::Service(name),
            None => Self::User(key.as_str()),
        }
    }
}

/// What an entitlement's name says.
pub(super) enum Held<'name> {
    Group(&'name str),
    Role(&'name str),
    Share {
        owner: &'name str,
        /// Empty for the owner's one server that has no name.
        server: &'name str,
    },
}

impl<'name> Held<'name> {
    /// Reads a name, or says why it means nothing here.
    pub fn parse(name: &'name EntitlementName) -> Result<Self, String> {
        match (name.kind.as_str(), name.name.split_once('/')) {
            ("group", _) => Ok(Self::Group(&name.name)),
            ("role", _) => Ok(Self::Role(&name.name)),
            ("share", Some((owner, server))) => Ok(Self::Share { owner, server }),
            ("share", None) => Err(format!("`{name}` names no server; write share/OWNER/SERVER")),
            (kind, _) => {
                Err(format!("`{kind}` is not a kind of entitlement here; known are group, role, share"))
            }
        }
    }
}

/// A user.
#[derive(Clone, PartialEq, Deserialize)]
pub(super) struct User {
    pub name: String,
    pub admin: bool,
    roles: Vec<String>,
    pub groups: Vec<String>,
    /// Those that run, or are about to.
    pub servers: BTreeMap<String, Server>,
    #[serde(default)]
    last_activity: Option<Timestamp>,
    /// What the authenticator tells of the person.
    #[serde(default)]
    user_info: Option<BTreeMap<String, Value>>,
}

impl User {
    /// The roles of its own.
    pub fn roles(&self) -> Vec<String> {
        with_admin(&self.roles, self.admin)
    }

    /// What holds still while it is not changed.
    pub fn access(&self) -> (String, Vec<String>, Vec<String>) {
        let mut groups = self.groups.clone();
        groups.sort();
        (self.name.clone(), self.roles(), groups)
    }

    /// Its account.
    pub fn account(&self) -> Account {
        let mut account = Account::new(self.name.as_str(), &self.name);
        account.last_use = self.last_activity.map_or(LastUse::Never, LastUse::At);
        if self.admin {
            account.posture.push(PostureFinding::Superuser);
        }
        for (key, value) in self.user_info.iter().flatten() {
            if let Some(value) = value.as_str() {
                account.attributes.insert(format!("user_info.{key}"), value.to_owned());
            }
        }
        account
    }

    /// Its running servers.
    pub fn sessions(&self) -> Vec<Session> {
        let session = |(name, server): (&String, &Server)| Session {
            id: format!("{}/{name}", self.name),
            started_at: server.started,
            detail: match server.pending.as_deref() {
                Some(pending) => format!("server at {}, pending {pending}", server.url),
                None => format!("server at {}", server.url),
            },
        };
        self.servers.iter().map(session).collect()
    }
}

/// A server that a user has started.
#[derive(Clone, PartialEq, Deserialize)]
pub(super) struct Server {
    started: Option<Timestamp>,
    pending: Option<String>,
    #[serde(default)]
    url: String,
}

/// A service: a program that the hub's configuration gives a token and roles.
#[derive(Clone, PartialEq, Deserialize)]
pub(super) struct Service {
    pub name: String,
    admin: bool,
    roles: Vec<String>,
}

impl Service {
    /// The roles of its own.
    pub fn roles(&self) -> Vec<String> {
        with_admin(&self.roles, self.admin)
    }

    /// Its account.
    pub fn account(&self) -> Account {
        let key = format!("{SERVICE}{}", self.name);
        let mut account = Account::new(key.as_str(), &key);
        account.kind = Some(IdentityKind::Service);
        if self.admin {
            account.posture.push(PostureFinding::Superuser);
        }
        account
    }
}

/// A group.
#[derive(Clone, PartialEq, Deserialize)]
pub(super) struct Group {
    pub name: String,
    pub roles: Vec<String>,
}

/// Every token of a user.
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub api_tokens: Vec<Token>,
}

/// A token, whoever got it.
#[derive(Deserialize)]
pub(super) struct Token {
    pub id: String,
    created: Timestamp,
    #[serde(default)]
    last_activity: Option<Timestamp>,
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "or_default")]
    note: String,
    /// Of the browser session in which an application got it.
    #[serde(default)]
    session_id: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    oauth_client: String,
    #[serde(default)]
    scopes: Vec<String>,
}

impl Token {
    /// Its number is used again, its time is not.
    pub fn key(&self) -> String {
        format!("{}@{}", self.id, self.created)
    }

    /// Whether another application got it.
    pub fn kind(&self) -> CredentialKind {
        let is_of_application = self.session_id.is_some() || self.oauth_client != OWN_CLIENT;
        if is_of_application { CredentialKind::OauthGrant } else { CredentialKind::Token }
    }

    /// It as a credential of a user.
    pub fn credential(&self, user: &str) -> Credential {
        let kind = self.kind();
        let name = if kind == CredentialKind::OauthGrant { &self.oauth_client } else { &self.note };
        let label = if name.is_empty() { self.id.clone() } else { format!("{name} ({})", self.id) };
        let mut credential = Credential::new(self.key(), user, kind, label);
        credential.created_at = Some(self.created);
        credential.expires_at = self.expires_at;
        credential.last_use = self.last_activity.map_or(LastUse::Never, LastUse::At);
        credential.scope = self.scopes.clone();
        credential.scope.sort();
        credential
    }
}

/// That somebody may enter a server.
#[derive(Deserialize)]
pub(super) struct Share {
    server: SharedServer,
    kind: String,
    #[serde(default)]
    pub scopes: Vec<String>,
}

#[derive(Deserialize)]
struct SharedServer {
    user: Owner,
    name: String,
}

#[derive(Deserialize)]
struct Owner {
    name: String,
}

impl Share {
    /// What is held by it.
    pub fn name(&self) -> EntitlementName {
        EntitlementName::new("share", format!("{}/{}", self.server.user.name, self.server.name))
    }

    /// Shared with the user, and not with a group of theirs.
    pub fn is_direct(&self) -> bool {
        self.kind == "user"
    }
}

/// The hub keeps the two in step where it makes a change itself, and not where its configuration does.
fn with_admin(roles: &[String], is_admin: bool) -> Vec<String> {
    let mut roles = roles.to_vec();
    if is_admin {
        roles.push(ADMIN.to_owned());
    }
    roles.sort();
    roles.dedup();
    roles
}

/// The API writes `null` for what was never said.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(reader: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(reader)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_whose_number_is_used_again_is_another() {
        let token = |created: &str| Token {
            id: "a7".to_owned(),
            created: created.parse().unwrap(),
            last_activity: None,
            expires_at: None,
            note: String::new(),
            session_id: None,
            oauth_client: OWN_CLIENT.to_owned(),
            scopes: Vec::new(),
        };
        let (first, second) = (token("2026-02-01T10:00:00.000001Z"), token("2026-02-01T10:00:00.000002Z"));
        assert_ne!(first.key(), second.key());
        assert_eq!(first.kind(), CredentialKind::Token);
        // An application may call itself as the hub does.
        let granted = Token { session_id: Some("of a browser".to_owned()), ..first };
        assert_eq!(granted.kind(), CredentialKind::OauthGrant);
        let named = Token { oauth_client: "another".to_owned(), ..second };
        assert_eq!(named.kind(), CredentialKind::OauthGrant);
    }

    #[test]
    fn an_answer_that_a_scope_is_missing_for_is_no_answer() {
        let whole =
            serde_json::json!({"name": "a", "admin": false, "roles": [], "groups": [], "servers": {}});
        assert!(serde_json::from_value::<User>(whole.clone()).is_ok());
        for missing in ["admin", "roles", "groups", "servers"] {
            let mut part = whole.clone();
            part.as_object_mut().unwrap().remove(missing);
            assert!(serde_json::from_value::<User>(part).is_err(), "{missing}");
        }
        assert!(serde_json::from_value::<Tokens>(serde_json::json!({})).is_err());
    }
}
