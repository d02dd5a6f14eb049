//! What an API token may be used for. A token never has more authority than its owner; scopes only take away.

use leasehold_decide::authority::Action;

/// A scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// See what its owner may see.
    Read,
    /// Have systems read, and make plans.
    Plan,
    /// Have plans done, and stuck actions tried anew.
    Approve,
    /// Everything that its owner may.
    Admin,
    /// See the server's metrics.
    Metrics,
    /// Push identities into one system.
    Scim,
}

impl Scope {
    /// Every scope.
    pub const ALL: &'static [Self] =
        &[Self::Read, Self::Plan, Self::Approve, Self::Admin, Self::Metrics, Self::Scim];

    /// Its name on the command line, in the store and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Plan => "plan",
            Self::Approve => "approve",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
            Self::Scim => "scim",
        }
    }

    /// What it is for, for people.
    pub fn about(self) -> &'static str {
        match self {
            Self::Read => "see what you may see",
            Self::Plan => "have systems read, and make plans",
            Self::Approve => "have plans done, and stuck actions tried anew",
            Self::Admin => "everything that you may",
            Self::Metrics => "see the server's metrics",
            Self::Scim => "push identities into one system, by SCIM",
        }
    }

    /// The scope of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scope| scope.name() == name)
    }

    /// Whether a token with this scope may be used for this.
    pub fn allows(self, action: Action) -> bool {
        match self {
            Self::Read => !action.changes() && action != Action::SeeMetrics,
            Self::Plan => {
                matches!(action, Action::RunSync | Action::ProposePlan | Action::SeePlan | Action::SeeTask)
            }
            Self::Approve => matches!(
                action,
                Action::ApprovePlan
                    | Action::RetryAction
                    | Action::SeePlan
                    | Action::SeeAction
                    | Action::SeeTask
            ),
            Self::Admin => true,
            Self::Metrics => action == Action::SeeMetrics,
            Self::Scim => action == Action::PushIdentities,
        }
    }
}
