//! What of a state a person may see: everything, or what they have to do with.
//!
//! Whoever sees only some things sees them by a relation to them: their own, their reports', what they own. So only
//! those are asked about, and a list costs the same whoever looks. A policy that lets somebody see something else
//! without a relation shows it on its own page and not in lists: what is not asked about is not shown.

use std::collections::BTreeSet;
use std::sync::Arc;

use leasehold_decide::authority::{Action, Resource};
use leasehold_decide::engine::{EntitlementIndex, IdentityIndex};
use leasehold_model::id::{EntitlementAddress, EntitlementName, IdentityKey, SystemName};
use leasehold_reconcile::view::View;

use crate::catalogue::Catalogue;
use crate::parts::Link;
use crate::person::Person;
use crate::seen::SeenSystems;
use crate::state::App;

/// One person's view of one state.
pub(crate) struct Sight<'a> {
    app: &'a App,
    person: &'a Person,
    view: &'a View,
    catalogue: Arc<Catalogue>,
    systems: SeenSystems,
    sees_all_identities: bool,
}

impl<'a> Sight<'a> {
    /// What `person` may see of `view`.
    pub(crate) fn new(app: &'a App, person: &'a Person, view: &'a View, catalogue: Arc<Catalogue>) -> Self {
        let systems = SeenSystems::of(app, view, person, Action::SeeSystem);
        let sees_all_identities = person.may_everywhere(app, Action::SeeIdentity);
        Self { app, person, view, catalogue, systems, sees_all_identities }
    }

    /// Names and owners.
    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Whether the policy may be seen.
    pub(crate) fn policy(&self) -> bool {
        self.person.may_everywhere(self.app, Action::SeePolicy)
    }

    /// Whether this system may be seen.
    pub(crate) fn system(&self, name: &SystemName) -> bool {
        self.systems.has(name)
    }

    /// Whether this identity may be seen.
    pub(crate) fn identity(&self, index: IdentityIndex) -> bool {
        let identity = &self.view.evaluation().identities[index.index()];
        self.sees_all_identities
            || self.person.may(self.app, Action::SeeIdentity, &self.app.resource_of_identity(identity))
    }

    /// Whether this entitlement may be seen: by itself, or with its system.
    pub(crate) fn entitlement(&self, index: EntitlementIndex) -> bool {
        let with_system = || self.system(self.view.evaluation().system_of(index));
        (self.person.only_shipped(self.app, Action::SeeEntitlement) && with_system())
            || self.person.may(self.app, Action::SeeEntitlement, &self.resource_of(index))
    }

    /// An entitlement, with everybody who owns it or its system.
    fn resource_of(&self, index: EntitlementIndex) -> Resource {
        let evaluation = self.view.evaluation();
        let address = EntitlementAddress {
            system: evaluation.system_of(index).clone(),
            entitlement: evaluation.entitlement_name(index).clone(),
        };
        let mut resource = self.app.resource_of_entitlement(&address, None);
        if let Resource::Entitlement { owners, .. } = &mut resource {
            owners.extend(self.catalogue.owners_of(index).iter().cloned());
        }
        resource
    }

    /// A link to a system, where it may be seen.
    pub(crate) fn link_system(&self, name: &SystemName) -> Link {
        let link = Link::system(name);
        if self.system(name) { link } else { link.unlinked() }
    }

    /// A link to an identity, where it may be seen.
    pub(crate) fn link_identity(&self, key: &IdentityKey) -> Link {
        let link = Link::identity(key);
        match self.view.evaluation().identity(key) {
            Some(index) if self.identity(index) => link,
            _ => link.unlinked(),
        }
    }

    /// A link to an entitlement, where it may be seen.
    pub(crate) fn link_entitlement(&self, system: &SystemName, name: &EntitlementName) -> Link {
        let link = Link::entitlement(system, name);
        let address = EntitlementAddress { system: system.clone(), entitlement: name.clone() };
        match self.view.evaluation().entitlement(&address) {
            Some(index) if self.entitlement(index) => link,
            _ => link.unlinked(),
        }
    }

    /// The identities that may be seen, in the order of names.
    pub(crate) fn identities(&self) -> Vec<IdentityIndex> {
        if self.sees_all_identities {
            return self.catalogue.identities.in_order().map(IdentityIndex).collect();
        }
        if !self.person.only_shipped(self.app, Action::SeeIdentity) {
            let all = self.catalogue.identities.in_order().map(IdentityIndex);
            return all.filter(|index| self.identity(*index)).collect();
        }
        let evaluation = self.view.evaluation();
        let Some(own) = self.person.identity() else { return Vec::new() };
        let owned = self.catalogue.owned_by(own);
        let related = owned.into_iter().flat_map(|owned| owned.reports.iter().chain(&owned.identities));
        let mut seen: Vec<IdentityIndex> =
            evaluation.identity(own).into_iter().chain(related.copied()).collect();
        seen.sort_unstable_by_key(|index| self.catalogue.identities.rank(index.0));
        seen.dedup();
        seen.retain(|index| self.identity(*index));
        seen
    }

    /// The entitlements that may be seen, in the order of names.
    pub(crate) fn entitlements(&self) -> Vec<EntitlementIndex> {
        let in_order = || self.catalogue.entitlements.in_order().map(EntitlementIndex);
        if self.person.may_everywhere(self.app, Action::SeeEntitlement) {
            return in_order().collect();
        }
        if !self.person.only_shipped(self.app, Action::SeeEntitlement) {
            return in_order().filter(|index| self.entitlement(*index)).collect();
        }
        let systems: BTreeSet<&SystemName> = self.systems();
        let owned = self.person.identity().and_then(|own| self.catalogue.owned_by(own));
        let own: BTreeSet<u32> =
            owned.into_iter().flat_map(|owned| &owned.entitlements).map(|index| index.0).collect();
        let evaluation = self.view.evaluation();
        in_order()
            .filter(|index| {
                systems.contains(evaluation.system_of(*index))
                    || (own.contains(&index.0) && self.entitlement(*index))
            })
            .collect()
    }

    /// The systems that were ever read and may be seen.
    pub(crate) fn systems(&self) -> BTreeSet<&'a SystemName> {
        let systems = self.view.loaded().snapshot.systems.iter().map(|state| &state.name);
        systems.filter(|name| self.system(name)).collect()
    }
}
