//! The facts of the protocol: how a program writes them, field by field, and what makes one unusable.
//!
//! Each form names the fields of the model's own type, so that a field which is added there is decided on here. A field
//! that is not known is refused: a misspelt one would otherwise count as left out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::account::{Account, LastUse, PostureFinding};
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::entitlement::{Containment, DirectGrant, Entitlement};
use leasehold_model::fact::{Fact, Owned, OwnerFact};
use leasehold_model::id::{AccountKey, CredentialKey, EntitlementName, IdentityKey};
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState, Unsaid};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(remote = "Identity", deny_unknown_fields)]
struct IdentityForm {
    key: IdentityKey,
    #[serde(default)]
    kind: IdentityKind,
    #[serde(default)]
    state: LifecycleState,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    manager: Option<IdentityKey>,
    owner: Option<IdentityKey>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    /// A program that gives no state says that it is the usual one.
    #[serde(skip)]
    unsaid: Unsaid,
}

#[derive(Deserialize)]
#[serde(remote = "Account", deny_unknown_fields)]
struct AccountForm {
    key: AccountKey,
    login: String,
    enabled: bool,
    #[serde(default)]
    awaits_credential: bool,
    #[serde(default)]
    locked: bool,
    expires_at: Option<Timestamp>,
    #[serde(default)]
    last_use: LastUse,
    credential_changed_at: Option<Timestamp>,
    #[serde(default)]
    posture: Vec<PostureFinding>,
    kind: Option<IdentityKind>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(remote = "Credential", deny_unknown_fields)]
struct CredentialForm {
    key: CredentialKey,
    account: AccountKey,
    kind: CredentialKind,
    label: String,
    active: bool,
    created_at: Option<Timestamp>,
    created_by: Option<String>,
    expires_at: Option<Timestamp>,
    #[serde(default)]
    last_use: LastUse,
    #[serde(default)]
    scope: Vec<String>,
    not_handed_over: Option<String>,
}

#[derive(Deserialize)]
#[serde(remote = "Entitlement", deny_unknown_fields)]
struct EntitlementForm {
    name: EntitlementName,
    native: Option<String>,
    title: Option<String>,
    #[serde(default)]
    privileged: bool,
    #[serde(default)]
    inherent: bool,
    irrevocable: Option<String>,
}

#[derive(Deserialize)]
#[serde(remote = "DirectGrant", deny_unknown_fields)]
struct GrantForm {
    account: AccountKey,
    entitlement: EntitlementName,
    valid_from: Option<Timestamp>,
    valid_until: Option<Timestamp>,
    options: Option<String>,
}

#[derive(Deserialize)]
#[serde(remote = "Containment", deny_unknown_fields)]
struct ContainmentForm {
    parent: EntitlementName,
    child: EntitlementName,
}

#[derive(Deserialize)]
#[serde(remote = "OwnerFact", deny_unknown_fields)]
struct OwnerForm {
    of: Owned,
    owner: IdentityKey,
}

/// The types of messages that are facts.
pub(super) const TYPES: [&str; 7] =
    ["identity", "account", "credential", "entitlement", "grant", "containment", "owner"];

/// Reads a fact of a type out of the rest of its message.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(of_type: &str, rest: Value) -> Result<Fact, String> {
    let fact = match of_type {
        "identity" => IdentityForm::deserialize(rest).map(Fact::Identity),
        "account" => AccountForm::deserialize(rest).map(Fact::Account),
        "credential" => CredentialForm::deserialize(rest).map(Fact::Credential),
        "entitlement" => EntitlementForm::deserialize(rest).map(Fact::Entitlement),
        "grant" => GrantForm::deserialize(rest).map(Fact::Grant),
        "containment" => ContainmentForm::deserialize(rest).map(Fact::Containment),
        _ => OwnerForm::deserialize(rest).map(Fact::Owner),
    };
    let fact = fact.map_err(|error| error.to_string())?;
    // An empty key would be one object to us and another to the system.
    let empty = match &fact {
        Fact::Identity(identity) | Fact::IdentityInPart(identity, _) => {
            [("key", identity.key.as_str())].into_iter().find(is_empty)
        }
        Fact::Account(account) => {
            [("key", account.key.as_str()), ("login", &account.login)].into_iter().find(is_empty)
        }
        Fact::Credential(credential) => {
            [("key", credential.key.as_str()), ("account", credential.account.as_str())]
                .into_iter()
                .find(is_empty)
        }
        Fact::Grant(grant) => [("account", grant.account.as_str())].into_iter().find(is_empty),
        Fact::Owner(owner) => [("owner", owner.owner.as_str())].into_iter().find(is_empty),
        Fact::Entitlement(_) | Fact::Containment(_) => None,
    };
    match empty {
        Some((field, _)) => Err(format!("`{field}` is empty; give what the system itself knows it by")),
        None => Ok(fact),
    }
}

fn is_empty(field: &(&str, &str)) -> bool {
    field.1.trim().is_empty()
}
