//! One thing that a call flips, and that a fault can hide or flip back: a grant, an account's switch, a credential.

use leasehold_model::credential::Credential;
use leasehold_model::id::{AccountKey, CredentialKey, EntitlementName};

use super::state::SystemState;

/// What is flipped, of one account.
#[derive(Debug, Clone)]
pub(super) enum Switch {
    /// Whether it can log in.
    Account,
    /// Whether it holds this.
    Grant(EntitlementName),
    /// Whether this can be used; as it was before it was flipped.
    Credential(Box<Credential>),
}

impl Switch {
    /// Puts it into one of its positions.
    pub(super) fn set(&self, state: &mut SystemState, account: &AccountKey, on: bool) {
        match self {
            Self::Account => {
                if let Some(account) = state.accounts.get_mut(account) {
                    account.enabled = on;
                }
            }
            Self::Grant(entitlement) if on => {
                state.grant(account, entitlement);
            }
            Self::Grant(entitlement) => {
                state.revoke(account, entitlement);
            }
            Self::Credential(before) => {
                let credential = Credential { active: on, ..(**before).clone() };
                state.credentials.insert(before.key.clone(), credential);
            }
        }
    }

    /// Whether it is this credential's.
    pub(super) fn is_of(&self, key: &CredentialKey) -> bool {
        matches!(self, Self::Credential(credential) if credential.key == *key)
    }
}
