//! What can change between two full recomputes, and what a batch of changes did to drift.

use super::graph::Validity;
use super::{AccountIndex, EntitlementIndex, IdentityIndex, RoleIndex, Seconds};

/// One change of a fact or a claim. A change that is already so does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A direct grant was observed, or its validity changed. It is new: no baseline covers it.
    GrantAdded {
        /// The account.
        account: AccountIndex,
        /// The entitlement.
        entitlement: EntitlementIndex,
        /// When it counts as held.
        validity: Validity,
    },
    /// A direct grant is proved gone.
    GrantRemoved {
        /// The account.
        account: AccountIndex,
        /// The entitlement.
        entitlement: EntitlementIndex,
    },
    /// An explicit reason began.
    ExplicitAdded {
        /// Whose.
        identity: IdentityIndex,
        /// For what.
        entitlement: EntitlementIndex,
        /// Until when.
        end: Seconds,
        /// The caller's number for the claim.
        source: u32,
    },
    /// Every explicit reason with this source for this entitlement is withdrawn, as if it had never been.
    ExplicitRemoved {
        /// Whose.
        identity: IdentityIndex,
        /// For what.
        entitlement: EntitlementIndex,
        /// The caller's number for the claim.
        source: u32,
    },
    /// A role was given.
    AssignmentAdded {
        /// To whom.
        identity: IdentityIndex,
        /// Which.
        role: RoleIndex,
        /// Until when.
        end: Seconds,
    },
    /// A role membership with exactly this end is withdrawn, as if it had never been.
    AssignmentRemoved {
        /// From whom.
        identity: IdentityIndex,
        /// Which.
        role: RoleIndex,
        /// The end that it was given with.
        end: Seconds,
    },
    /// A role names other entitlements from now on.
    RoleEdited {
        /// Which.
        role: RoleIndex,
        /// All that it names now.
        entitlements: Vec<EntitlementIndex>,
    },
    /// The identity's lifecycle began or ceased to allow access.
    LiveChanged {
        /// Whose.
        identity: IdentityIndex,
        /// Whether it allows access.
        live: bool,
    },
    /// An entitlement is withheld from an identity, or no longer.
    WithheldChanged {
        /// From whom.
        identity: IdentityIndex,
        /// What.
        entitlement: EntitlementIndex,
        /// Whether it is withheld.
        withheld: bool,
    },
}

/// A row of the Z-set that appeared or vanished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delta {
    /// Whose.
    pub identity: IdentityIndex,
    /// The account that holds too much; `None` for a missing row.
    pub account: Option<AccountIndex>,
    /// What.
    pub entitlement: EntitlementIndex,
    /// `true`: the drift row is there now; `false`: it is settled.
    pub appeared: bool,
}

/// What a batch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Drift rows that appeared.
    pub appeared: u64,
    /// Drift rows that vanished.
    pub vanished: u64,
    /// Identities that were compared before and after.
    pub recomputed: u64,
}
