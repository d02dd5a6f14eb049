//! What authenticates an account, as a connector observes it. The secret itself is never read.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::account::LastUse;
use crate::id::{AccountKey, CredentialKey};

/// What sort of credential this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// Something that a person types.
    Password,
    /// A long-lived secret of a program, sent as it is.
    ApiKey,
    /// A pair of a public id and a secret that requests are signed with.
    AccessKey,
    /// A public key that log-ins over SSH are accepted with.
    SshKey,
    /// An X.509 certificate.
    Certificate,
    /// What a user has let another application do in their name.
    OauthGrant,
    /// A bearer token that the system has issued.
    Token,
    /// A second factor.
    MfaDevice,
    /// Work that the system does by itself with the account's rights, as a crontab or an event of a database: it needs no log-in,
    /// so that it goes on when nobody can log in any more.
    ScheduledJob,
}

impl CredentialKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Password,
        Self::ApiKey,
        Self::AccessKey,
        Self::SshKey,
        Self::Certificate,
        Self::OauthGrant,
        Self::Token,
        Self::MfaDevice,
        Self::ScheduledJob,
    ];

    /// The name used in files, policies and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::ApiKey => "api_key",
            Self::AccessKey => "access_key",
            Self::SshKey => "ssh_key",
            Self::Certificate => "certificate",
            Self::OauthGrant => "oauth_grant",
            Self::Token => "token",
            Self::MfaDevice => "mfa_device",
            Self::ScheduledJob => "scheduled_job",
        }
    }

    /// Whether something can be done in the account's name with it alone. A second factor lets nobody in by itself.
    pub fn lets_in(self) -> bool {
        self != Self::MfaDevice
    }

    /// Reads that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One credential as observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Stable native key, unique in the system.
    pub key: CredentialKey,
    /// Whose it is: it logs in as this account.
    pub account: AccountKey,
    /// What sort it is.
    pub kind: CredentialKind,
    /// What people call it: its name, its fingerprint, the last characters of its id.
    pub label: String,
    /// Whether it can be used as far as its own switch says.
    pub active: bool,
    /// When it was made, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// The login of whoever made it, where the system tells and it is not the account itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// The system itself refuses it from this instant on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Last use, where known.
    #[serde(default)]
    pub last_use: LastUse,
    /// What it is limited to, in the system's words; empty where it can do what its account can.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
    /// Why this scheduled job cannot be handed over, where the connector hands over others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_handed_over: Option<String>,
}

impl Credential {
    /// Whether somebody can log in with it at `now`, as far as its own switch and its end say.
    pub fn lets_in(&self, now: Timestamp) -> bool {
        self.kind.lets_in() && self.active && self.expires_at.is_none_or(|end| now < end)
    }

    /// An active credential of which nothing else is known.
    pub fn new(
        key: impl Into<CredentialKey>,
        account: impl Into<AccountKey>,
        kind: CredentialKind,
        label: impl Into<String>,
    ) -> Self {
        Self {
            key: key.into(),
            account: account.into(),
            kind,
            label: label.into(),
            active: true,
            created_at: None,
            created_by: None,
            expires_at: None,
            last_use: LastUse::Unknown,
            scope: Vec::new(),
            not_handed_over: None,
        }
    }
}

/// A credential as plans and drift name it: enough for a connector to find it and for a person to know it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CredentialName {
    /// Its stable native key.
    pub key: CredentialKey,
    /// What sort it is.
    pub kind: CredentialKind,
    /// What people call it.
    pub label: String,
}

impl From<&Credential> for CredentialName {
    fn from(credential: &Credential) -> Self {
        let Credential { key, kind, label, .. } = credential;
        Self { key: key.clone(), kind: *kind, label: label.clone() }
    }
}

impl fmt::Display for CredentialName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind.as_str().replace('_', " "), self.label)
    }
}

#[cfg(test)]
mod tests {
    use super::CredentialKind;

    #[test]
    fn names_are_read_back() {
        for kind in CredentialKind::ALL {
            assert_eq!(CredentialKind::parse(kind.as_str()), Some(kind));
        }
    }
}
