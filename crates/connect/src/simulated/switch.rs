//! One thing that a call flips, and that a fault can hide or flip back: a grant, an account or its switch, a credential.

use leasehold_model::credential::Credential;
use leasehold_model::id::{AccountKey, EntitlementName};

use super::state::{SystemState, WholeAccount};

/// What is flipped, of one account.
#[derive(Debug, Clone)]
pub(super) enum Switch {
    /// Whether it is there; as it was before it was taken out, or after it was made.
    Existence(Box<WholeAccount>),
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
            Self::Existence(whole) if on => state.put_account_back((**whole).clone()),
            Self::Existence(_) => {
                state.remove_account(account);
            }
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
}
