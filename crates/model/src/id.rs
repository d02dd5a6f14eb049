//! Names and numbers by which things are known: one newtype each, checked where they enter.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A system's name may hold lower-case letters, digits, `-`, `_` and `.`, and starts with a letter or digit.
    #[error(
        "`{0}` is not a system name: use lower-case letters, digits, `-`, `_` or `.`, at most 63 of them"
    )]
    System(String),
    /// An entitlement address has the form `system:kind/name`.
    #[error(
        "`{0}` is not an entitlement address: write `system:kind/name`, for example `directory:group/staff`"
    )]
    Entitlement(String),
}

macro_rules! text_newtype {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The text as it is shown and stored.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    };
}

text_newtype!(
    /// The primary key of an identity in its authoritative source, usually a mail address or employee number.
    IdentityKey
);
text_newtype!(
    /// An account's stable native key in its system (`entryUUID`, role name, …); unique within one system.
    AccountKey
);
text_newtype!(
    /// A credential's stable native key in its system (access key id, token accessor, key fingerprint, …), never its secret;
    /// unique within one system.
    CredentialKey
);
text_newtype!(
    /// A plan's hash: lower-case hex SHA-256 over its canonical content.
    PlanHash
);
text_newtype!(
    /// An action's id, derived from its plan and place so that planning twice names it alike.
    ActionId
);

/// The name of a connected system, as in `[system.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SystemName(String);

impl SystemName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// [`NameError::System`] where the text is not a system name.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let all_allowed = text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'));
        if starts_well && all_allowed && text.len() <= 63 {
            Ok(Self(text))
        } else {
            Err(NameError::System(text))
        }
    }

    /// The text as it is shown and stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SystemName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<SystemName> for String {
    fn from(name: SystemName) -> Self {
        name.0
    }
}

impl fmt::Display for SystemName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// An entitlement within one system: `kind/name`, such as `group/staff` or `role/payments_rw`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntitlementName {
    /// What sort of thing it is in its system: `group`, `role`, `privilege`, `attribute`, …
    pub kind: String,
    /// Its name there, as the system spells it. May contain `/`.
    pub name: String,
}

impl EntitlementName {
    /// Puts a kind and a name together.
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), name: name.into() }
    }

    /// Whether it exists only while somebody holds it, as a database's privilege on a table does: that nobody was seen
    /// to hold it is no sign that it cannot be held.
    pub fn is_there_while_held(&self) -> bool {
        self.kind == "privilege"
    }
}

impl fmt::Display for EntitlementName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.kind, self.name)
    }
}

impl FromStr for EntitlementName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('/') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok(Self::new(kind, name)),
            _ => Err(NameError::Entitlement(text.to_owned())),
        }
    }
}

impl IdentityKey {
    /// The form in which keys are compared: sources and people spell mail addresses in any case.
    pub fn folded(&self) -> String {
        self.0.trim().to_lowercase()
    }
}

/// An entitlement's address across all systems: `system:kind/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntitlementAddress {
    /// The system that holds it.
    pub system: SystemName,
    /// What it is called there.
    pub entitlement: EntitlementName,
}

impl fmt::Display for EntitlementAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.system, self.entitlement)
    }
}

impl FromStr for EntitlementAddress {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused = || NameError::Entitlement(text.to_owned());
        let (system, rest) = text.split_once(':').ok_or_else(refused)?;
        Ok(Self {
            system: SystemName::new(system).map_err(|_| refused())?,
            entitlement: rest.parse().map_err(|_| refused())?,
        })
    }
}

impl TryFrom<String> for EntitlementAddress {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<EntitlementAddress> for String {
    fn from(address: EntitlementAddress) -> Self {
        address.to_string()
    }
}

impl Serialize for EntitlementName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EntitlementName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One enumeration of a system, numbered in the order in which enumerations began, over all systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpochId(pub i64);

impl fmt::Display for EpochId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "epoch {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_slashes_and_colons_of_the_name() {
        for text in ["db:privilege/SELECT on public.orders", "dir:group/a/b", "dir:group/a:b"] {
            let address: EntitlementAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn malformed_addresses_and_names_are_refused() {
        for text in ["", "db", "db:", "db:role", "db:role/", "db:/x", "DB:role/x", ":role/x"] {
            assert!(text.parse::<EntitlementAddress>().is_err(), "{text}");
        }
        for text in ["", "-a", "Ledger", "a b", "ä"] {
            assert!(SystemName::new(text).is_err(), "{text}");
        }
    }
}
