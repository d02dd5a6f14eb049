//! What a read-back saw of one thing.

use leasehold_model::id::{AccountKey, CredentialKey, EntitlementName, SystemName};

/// One thing that a read-back saw. What the store never heard of before changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // The fields are the same throughout: where, who, what.
pub enum ObservedEffect {
    /// The account does not hold the entitlement directly.
    GrantAbsent { system: SystemName, account: AccountKey, entitlement: EntitlementName },
    /// The account holds the entitlement directly.
    GrantPresent { system: SystemName, account: AccountKey, entitlement: EntitlementName },
    /// The account's log-ins are stopped.
    AccountDisabled { system: SystemName, account: AccountKey },
    /// The account can log in.
    AccountEnabled { system: SystemName, account: AccountKey },
    /// The account is not there, so it holds nothing.
    AccountAbsent { system: SystemName, account: AccountKey },
    /// The credential is there, and whether it can be used.
    CredentialPresent { system: SystemName, account: AccountKey, credential: CredentialKey, active: bool },
    /// The credential is not there.
    CredentialAbsent { system: SystemName, account: AccountKey, credential: CredentialKey },
}

/// What an effect is about, beside the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About<'a> {
    Account,
    Credential(&'a CredentialKey),
    Entitlement(&'a EntitlementName),
}

impl ObservedEffect {
    /// Where, who, what, and its name in the log.
    pub(super) fn parts(&self) -> (&SystemName, &AccountKey, About<'_>, &'static str) {
        match self {
            Self::GrantAbsent { system, account, entitlement } => {
                (system, account, About::Entitlement(entitlement), "grant_absent")
            }
            Self::GrantPresent { system, account, entitlement } => {
                (system, account, About::Entitlement(entitlement), "grant_present")
            }
            Self::AccountDisabled { system, account } => {
                (system, account, About::Account, "account_disabled")
            }
            Self::AccountEnabled { system, account } => (system, account, About::Account, "account_enabled"),
            Self::AccountAbsent { system, account } => (system, account, About::Account, "account_absent"),
            Self::CredentialPresent { system, account, credential, active: true } => {
                (system, account, About::Credential(credential), "credential_active")
            }
            Self::CredentialPresent { system, account, credential, active: false } => {
                (system, account, About::Credential(credential), "credential_stopped")
            }
            Self::CredentialAbsent { system, account, credential } => {
                (system, account, About::Credential(credential), "credential_absent")
            }
        }
    }
}
