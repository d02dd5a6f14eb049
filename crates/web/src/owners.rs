//! Who owns which system, as the configuration of this instant says.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use leasehold_model::id::{IdentityKey, SystemName};

/// Owners by system.
pub type OwnersBySystem = BTreeMap<SystemName, Vec<IdentityKey>>;

/// The owners of systems while the configuration changes. Cheap to clone; every clone is the same.
#[derive(Debug, Clone, Default)]
pub struct SystemOwners(Arc<RwLock<Arc<OwnersBySystem>>>);

impl From<OwnersBySystem> for SystemOwners {
    fn from(owners: OwnersBySystem) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(owners))))
    }
}

impl SystemOwners {
    /// Those of this instant.
    pub fn now(&self) -> Arc<OwnersBySystem> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Others from now on.
    pub fn replace(&self, owners: OwnersBySystem) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(owners);
    }
}
