//! A login in one system, its credentials and live sessions, as a connector observes them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::AccountKey;

/// When something was last used, where the system can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum LastUse {
    /// The system does not tell; never to be read as "unused".
    #[default]
    Unknown,
    /// The system keeps track and has seen no use.
    Never,
    /// The system has seen this use last.
    At(Timestamp),
}

/// A weakness of an account that its system itself reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostureFinding {
    /// The account may have an empty password.
    PasswordNotRequired,
    /// The password is exempt from expiry.
    PasswordNeverExpires,
    /// The password is stored so that it can be turned back into clear text.
    ReversibleEncryption,
    /// Kerberos pre-authentication is off.
    NoPreAuthentication,
    /// The account may do anything in its system and bypass every check.
    Superuser,
    /// The account signs in by password with no second factor.
    NoSecondFactor,
}

impl PostureFinding {
    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PasswordNotRequired => "password_not_required",
            Self::PasswordNeverExpires => "password_never_expires",
            Self::ReversibleEncryption => "reversible_encryption",
            Self::NoPreAuthentication => "no_pre_authentication",
            Self::Superuser => "superuser",
            Self::NoSecondFactor => "no_second_factor",
        }
    }
}

/// One account as observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Stable native key, unique in the system.
    pub key: AccountKey,
    /// What its holder types to log in; shown to people.
    pub login: String,
    /// Whether a new log-in can succeed as far as the account's own switches say.
    pub enabled: bool,
    /// Made and never let anybody in: disabled, until the first credential that is issued opens it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits_credential: bool,
    /// Locked out for now, by failed attempts or an administrator.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
    /// The system itself refuses log-ins from this instant on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Last use, where known.
    #[serde(default)]
    pub last_use: LastUse,
    /// When the account's main credential was last changed, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_changed_at: Option<Timestamp>,
    /// Weaknesses that the system reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub posture: Vec<PostureFinding>,
    /// `service`, `workload` or `agent` where the system says so; `None` where it does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<crate::identity::IdentityKind>,
    /// What correlation and people need: `mail`, `employeeNumber`, `dn`, `display_name`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

impl Account {
    /// An enabled account with nothing known beyond its key and login.
    pub fn new(key: impl Into<AccountKey>, login: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            login: login.into(),
            enabled: true,
            awaits_credential: false,
            locked: false,
            expires_at: None,
            last_use: LastUse::Unknown,
            credential_changed_at: None,
            posture: Vec::new(),
            kind: None,
            attributes: BTreeMap::new(),
        }
    }

    /// Whether a credential may be issued for it: nobody is let in by another door to an account that was closed.
    pub fn takes_credentials(&self) -> bool {
        self.enabled || self.awaits_credential
    }
}

/// A live authenticated connection of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The system's own name for it (a process id, a connection number).
    pub id: String,
    /// When it began, where known.
    pub started_at: Option<Timestamp>,
    /// Where it comes from or what it does, for people.
    pub detail: String,
}
