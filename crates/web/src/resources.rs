//! Identities and entitlements as authority knows them, found in the present state.

use leasehold_decide::authority::Resource;
use leasehold_decide::engine::EntitlementIndex;
use leasehold_model::id::IdentityKey;
use leasehold_reconcile::view::View;

use crate::catalogue::Catalogue;

/// An entitlement, with who owns it.
pub(crate) fn entitlement(view: &View, catalogue: &Catalogue, index: EntitlementIndex) -> Resource {
    let evaluation = view.evaluation();
    Resource::Entitlement {
        address: format!("{}:{}", evaluation.system_of(index), evaluation.entitlement_name(index)),
        owners: catalogue.owners_of(index).to_vec(),
    }
}

/// An identity, with whom it reports to and who answers for it.
pub(crate) fn identity(view: &View, key: &IdentityKey) -> Resource {
    let evaluation = view.evaluation();
    let known = evaluation.identity(key).map(|index| &evaluation.identities[index.index()]);
    Resource::Identity {
        key: key.clone(),
        manager: known.and_then(|identity| identity.manager.clone()),
        owner: known.and_then(|identity| identity.owner.clone()),
    }
}
