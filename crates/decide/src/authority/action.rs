//! What somebody may do inside Leasehold: one small list that every route, page and command names from.

macro_rules! actions {
    ($($(#[$meta:meta])* $variant:ident = $text:literal on $kind:ident),+ $(,)?) => {
        /// Something that authority is asked about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action { $($(#[$meta])* $variant,)+ }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name in policies.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The sort of thing that it is done to.
            pub fn kind(self) -> ResourceKind {
                match self { $(Self::$variant => ResourceKind::$kind,)+ }
            }
        }
    };
}

/// The sort of thing that an action is done to. Everything can also be asked of the whole installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// The installation as a whole.
    Installation,
    /// An identity.
    Identity,
    /// A connected system.
    System,
    /// An entitlement of a system.
    Entitlement,
    /// A plan.
    Plan,
}

actions! {
    /// See the figures of the whole installation.
    SeeOverview = "see_overview" on Installation,
    /// See what oneself holds, and why.
    SeeOwnAccess = "see_own_access" on Installation,
    /// See an identity, its accounts, grants and reasons.
    SeeIdentity = "see_identity" on Identity,
    /// See a system, its accounts and its problems.
    SeeSystem = "see_system" on System,
    /// See an entitlement and who holds it.
    SeeEntitlement = "see_entitlement" on Entitlement,
    /// See drift.
    SeeDrift = "see_drift" on System,
    /// See plans.
    SeePlan = "see_plan" on Plan,
    /// See actions and their receipts.
    SeeAction = "see_action" on System,
    /// See work that waits, runs or ended.
    SeeTask = "see_task" on System,
    /// See the policy and its revisions.
    SeePolicy = "see_policy" on Installation,
    /// See the ledger, and take proofs from it.
    SeeLedger = "see_ledger" on Installation,
    /// See how this installation is set up, and who its users are.
    SeeSettings = "see_settings" on Installation,
    /// See the server's metrics.
    SeeMetrics = "see_metrics" on Installation,
    /// Connect another system.
    ConnectSystem = "connect_system" on Installation,
    /// Push identities into a system, by SCIM.
    PushIdentities = "push_identities" on System,
    /// Have a system read now.
    RunSync = "run_sync" on System,
    /// Make a plan.
    ProposePlan = "propose_plan" on System,
    /// Have a plan done.
    ApprovePlan = "approve_plan" on Plan,
    /// Let what a guard holds go on.
    OverrideGuard = "override_guard" on Plan,
    /// Have a stuck action tried anew.
    RetryAction = "retry_action" on System,
    /// Make links that give their holders new credentials.
    IssueCredential = "issue_credential" on System,
    /// Hand the first log-in of an account that was made for somebody to them.
    HandOverLogIn = "hand_over_log_in" on Identity,
    /// Give access that is there a reason that ends, or end that reason.
    AdoptBaseline = "adopt_baseline" on System,
    /// Make another policy the live one.
    ChangePolicy = "change_policy" on Installation,
    /// Make, change and lock users, and end their sessions and tokens.
    AdministerUsers = "administer_users" on Installation,
    /// Make, change and delete webhooks, and have messages sent to them.
    AdministerWebhooks = "administer_webhooks" on Installation,
    /// Change one's own password, factors, sessions and tokens.
    ManageOwnSignIn = "manage_own_sign_in" on Installation,
}

impl Action {
    /// Whether it changes something: what a token without more than `read` may never do.
    pub fn changes(self) -> bool {
        !self.name().starts_with("see_")
    }

    /// Whether somebody must have shown a short time ago that it is really them.
    pub fn needs_step_up(self) -> bool {
        matches!(
            self,
            Self::ApprovePlan
                | Self::OverrideGuard
                | Self::ConnectSystem
                | Self::IssueCredential
                | Self::HandOverLogIn
                | Self::ChangePolicy
                | Self::AdministerUsers
                | Self::AdministerWebhooks
        )
    }
}
