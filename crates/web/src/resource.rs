//! What authority is asked about, made from what it is about.

use std::collections::BTreeSet;

use leasehold_decide::authority::Resource;
use leasehold_model::id::{EntitlementAddress, IdentityKey, SystemName};
use leasehold_model::identity::Identity;
use leasehold_model::plan::Plan;

use crate::state::App;

impl App {
    /// An identity.
    pub(crate) fn resource_of_identity(&self, identity: &Identity) -> Resource {
        Resource::Identity {
            key: identity.key.clone(),
            manager: identity.manager.clone(),
            owner: identity.owner.clone(),
        }
    }

    /// A system.
    pub(crate) fn resource_of_system(&self, system: &SystemName) -> Resource {
        Resource::System { name: system.to_string(), owners: self.owners_of(system) }
    }

    /// An entitlement. Who owns its system owns it too.
    pub(crate) fn resource_of_entitlement(
        &self,
        address: &EntitlementAddress,
        owner: Option<&IdentityKey>,
    ) -> Resource {
        let mut owners = self.owners_of(&address.system);
        owners.extend(owner.cloned());
        Resource::Entitlement { address: address.to_string(), owners }
    }

    /// A plan.
    pub(crate) fn resource_of_plan(&self, plan: &Plan) -> Resource {
        let affected: BTreeSet<IdentityKey> =
            plan.items.iter().filter_map(|item| item.identity.clone()).collect();
        let systems: BTreeSet<&SystemName> = plan.items.iter().map(|item| &item.system).collect();
        let folded = |owners: Vec<IdentityKey>| -> BTreeSet<String> {
            owners.iter().map(IdentityKey::folded).collect()
        };
        let of_each = systems.into_iter().map(|system| folded(self.owners_of(system)));
        let of_all = of_each.reduce(|all, one| all.intersection(&one).cloned().collect()).unwrap_or_default();
        Resource::Plan {
            hash: plan.hash.to_string(),
            affected: affected.into_iter().collect(),
            owners: of_all.into_iter().map(IdentityKey::from).collect(),
        }
    }

    fn owners_of(&self, system: &SystemName) -> Vec<IdentityKey> {
        self.settings.system_owners.now().get(system).cloned().unwrap_or_default()
    }
}
