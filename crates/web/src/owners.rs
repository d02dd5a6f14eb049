//! Who owns which system, as the configuration of this instant says.

use std::collections::BTreeMap;

use leasehold_model::id::{IdentityKey, SystemName};

use crate::current::Current;

/// Owners by system.
pub type OwnersBySystem = BTreeMap<SystemName, Vec<IdentityKey>>;

/// The owners of systems while the configuration changes.
pub type SystemOwners = Current<OwnersBySystem>;
