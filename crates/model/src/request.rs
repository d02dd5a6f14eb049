//! What is asked of a connector, one object at a time, and what it may answer.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::account::Session;
use crate::credential::CredentialKind;
use crate::id::{AccountKey, ActionId, CredentialKey, EntitlementName};
use crate::plan::Verb;

/// The account that a request is about.
///
/// Of an account that is to be made the key is empty: the system gives it one. Then it is found by its login, which only
/// one account may have: where several have it, nothing is changed or told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountTarget {
    /// Its stable native key.
    pub key: AccountKey,
    /// Its login.
    pub login: String,
}

impl AccountTarget {
    /// An account that is known by its login alone.
    pub fn by_login(login: impl Into<String>) -> Self {
        Self { key: AccountKey(String::new()), login: login.into() }
    }

    /// Whether it is to be found by its login.
    pub fn is_by_login(&self) -> bool {
        self.key.as_str().is_empty()
    }

    /// The same account, with the key that was found for it.
    #[must_use]
    pub fn with_key(&self, key: impl Into<AccountKey>) -> Self {
        Self { key: key.into(), login: self.login.clone() }
    }
}

/// The entitlement that a request is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntitlementTarget {
    /// Its name in the system.
    pub name: EntitlementName,
    /// The system's own key for it, as the last enumeration saw it.
    pub native: Option<String>,
}

/// The credential that a request is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialTarget {
    /// Its stable native key.
    pub key: CredentialKey,
    /// What sort it is.
    pub kind: CredentialKind,
}

/// One change to make in one system. Making it twice must be harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionRequest {
    /// Stable over retries, for targets that offer idempotency keys.
    pub id: ActionId,
    /// What to do.
    pub verb: Verb,
    /// To whom.
    pub account: AccountTarget,
    /// With what; `None` for verbs on the account itself.
    pub entitlement: Option<EntitlementTarget>,
    /// With which credential; only for verbs on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialTarget>,
    /// As which account what is handed over is to run; only for [`Verb::HandOverCredential`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<AccountTarget>,
    /// Of an account that is to be made: `email`, `given_name`, `family_name`, `display_name`, `employee_number`, ….
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// A credential to make for an account. Making it twice makes two, or the second in place of the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueRequest {
    /// Names the request in logs and to people.
    pub id: ActionId,
    /// Whose it is to be.
    pub account: AccountTarget,
}

/// A credential that was made. Its secret is here and nowhere else: no connector keeps or tells it again.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Which one it is, where the connector lists credentials of this kind.
    pub credential: Option<CredentialTarget>,
    /// What sort it is.
    pub kind: CredentialKind,
    /// What its holder logs in with.
    pub secret: SecretString,
    /// What its holder does with it, for people; the secret is not in it.
    pub instructions: String,
}

/// What a connector says of a change that it was asked to make. None of these means "done": only a read-back does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// The target accepted the change.
    Acknowledged {
        /// What the target said, for people.
        detail: String,
    },
    /// Nothing had to be changed.
    AlreadySo,
    /// Not now: rate limited, busy or unreachable.
    Retry {
        /// The target's own wish, in milliseconds, where it named one.
        after_ms: Option<u64>,
        /// What happened.
        why: String,
    },
    /// The target will not do this, however often it is asked.
    Refused {
        /// Why, and what a person can do.
        why: String,
    },
}

/// What to read now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "read")]
pub enum ReadTarget {
    /// Does the account hold the entitlement, directly and on any path?
    Grant {
        /// The holder.
        account: AccountTarget,
        /// What is held.
        entitlement: EntitlementTarget,
    },
    /// Does the account exist, and can it log in?
    Account {
        /// Which.
        account: AccountTarget,
    },
    /// Does the credential exist, and can it be used?
    Credential {
        /// Whose.
        account: AccountTarget,
        /// Which.
        credential: CredentialTarget,
    },
    /// Was the credential handed over: does the account no longer have it, and does it run as the other one?
    HandOver {
        /// By which action: what an earlier one handed over says nothing of this one.
        action: ActionId,
        /// Whose it was.
        account: AccountTarget,
        /// Which.
        credential: CredentialTarget,
        /// Whose it is to be.
        to: AccountTarget,
    },
    /// Which live sessions does the account have?
    Sessions {
        /// Whose.
        account: AccountTarget,
    },
}

impl ReadTarget {
    /// The account that it is about.
    pub fn account(&self) -> &AccountTarget {
        match self {
            Self::Grant { account, .. }
            | Self::Account { account }
            | Self::Credential { account, .. }
            | Self::HandOver { account, .. }
            | Self::Sessions { account } => account,
        }
    }

    /// The same question about this account.
    #[must_use]
    pub fn with_account(mut self, of: AccountTarget) -> Self {
        match &mut self {
            Self::Grant { account, .. }
            | Self::Account { account }
            | Self::Credential { account, .. }
            | Self::HandOver { account, .. }
            | Self::Sessions { account } => *account = of,
        }
        self
    }
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "observed")]
pub enum ReadBack {
    /// Of a grant. An account or entitlement that the target proves not to exist holds nothing: both are absent. Where a
    /// target cannot tell what is gone from what is hidden from the connector, that is an error and no answer.
    Grant {
        /// The account holds it directly.
        direct: bool,
        /// The account holds it on any path, by the target's own reckoning; `None` where the target cannot say.
        effective: Option<bool>,
    },
    /// Of an account.
    Account {
        /// It exists.
        exists: bool,
        /// A new log-in can succeed as far as the account's switches say.
        enabled: bool,
    },
    /// Of a credential. Of an account that the target proves not to exist no credential does.
    Credential {
        /// It exists.
        exists: bool,
        /// It can be used as far as its own switch says.
        active: bool,
    },
    /// Of what was handed over.
    HandOver {
        /// The account that had it has it no more, neither running nor stopped.
        left: bool,
        /// It runs as the account that it was handed over to.
        arrived: bool,
    },
    /// Of sessions.
    Sessions {
        /// Every live session that the target can list.
        live: Vec<Session>,
        /// What other sessions the account may have, which the target does not list, and until when; `None` where it lists all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unlisted: Option<String>,
    },
    /// This connector cannot read that.
    Unsupported {
        /// Why.
        why: String,
    },
}

impl ReadBack {
    /// Sessions of a target that lists every one.
    pub fn sessions(live: Vec<Session>) -> Self {
        Self::Sessions { live, unlisted: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issued_secret_is_not_shown() {
        let issued = Issued {
            credential: None,
            kind: CredentialKind::Password,
            secret: SecretString::from("correct-horse"),
            instructions: String::new(),
        };
        let shown = format!("{issued:?} {issued:#?}");
        assert!(shown.contains("Password") && !shown.contains("horse"), "{shown}");
    }
}
