//! The dense access-graph engine: grants, justification, drift, SoD and access questions over interned 32-bit ids.
//!
//! A caller interns its own ids into the four index types, fills a [`graph::GraphBuilder`] with what was observed and a
//! [`justification::JustificationBuilder`] with what is claimed, and asks [`drift::full`], [`incremental::DriftState`],
//! [`sod::SodIndex`] or [`access`]. Times are whole seconds since the Unix epoch. An end is exclusive: a reason with end
//! `t` is live while `now < t`.

pub mod access;
mod affected;
mod bits;
mod change;
pub mod containment;
pub mod drift;
pub mod graph;
mod graph_builder;
mod holders;
pub mod incremental;
pub mod justification;
mod pairs;
mod role_edits;
mod rows;
mod small_sort;
pub mod sod;
mod timeline;
mod zset;

/// Seconds since the Unix epoch.
pub type Seconds = u32;

/// The end of something that has no end.
pub const NEVER: Seconds = u32::MAX;

/// Indices stay below this so that a drift row packs into one 64-bit word.
pub(crate) const INDEX_LIMIT: u32 = 1 << 31;

macro_rules! index_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The index as an array position.
            #[inline]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index_type!(
    /// Dense number of an identity, `0..graph.identity_count()`.
    IdentityIndex
);
index_type!(
    /// Dense number of an account, in the order that [`graph::GraphBuilder::finish`] gives: one identity's accounts are adjacent.
    AccountIndex
);
index_type!(
    /// Dense number of an entitlement, in the order of addition.
    EntitlementIndex
);
index_type!(
    /// Dense number of a system, `0..systems`.
    SystemIndex
);
index_type!(
    /// Dense number of a role, in the order of addition.
    RoleIndex
);

/// What the engine refuses. Ids come from the caller's interning, so each of these is a fault in the caller's data, not
/// in a target's.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum EngineError {
    /// An index was not handed out by the builder.
    #[error("{what} {index} does not exist: there are {count}; add it before it is referred to")]
    Unknown {
        /// Which kind of thing.
        what: &'static str,
        /// The index that was given.
        index: u32,
        /// How many there are.
        count: u32,
    },
    /// A direct grant joins an account and an entitlement of two systems.
    #[error(
        "account {account} is in system {account_system} and entitlement {entitlement} in system {entitlement_system}: \
         a direct grant stays inside one system; use containment to reach across"
    )]
    SystemMismatch {
        /// The account.
        account: u32,
        /// Its system.
        account_system: u32,
        /// The entitlement.
        entitlement: u32,
        /// Its system.
        entitlement_system: u32,
    },
    /// More of something than the dense form can number.
    #[error("{count} {what} are more than the {limit} that one engine can hold; partition by identity")]
    TooMany {
        /// Which kind of thing.
        what: &'static str,
        /// How many were given.
        count: u64,
        /// How many fit.
        limit: u64,
    },
}

/// Fails unless `index < count`.
pub(crate) fn known(what: &'static str, index: u32, count: usize) -> Result<(), EngineError> {
    if (index as usize) < count {
        Ok(())
    } else {
        Err(EngineError::Unknown { what, index, count: count as u32 })
    }
}

/// Packs two indices so that sorting by the word sorts by the pair.
#[inline]
pub(crate) fn pair(high: u32, low: u32) -> u64 {
    (u64::from(high) << 32) | u64::from(low)
}
