//! The things of a page as authority knows them: who answers for them, and whom they are about.

use std::collections::BTreeSet;

use leasehold_decide::authority::Resource;
use leasehold_decide::engine::EntitlementIndex;
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::plan::Plan;
use leasehold_reconcile::view::View;

use crate::catalogue::Catalogue;
use crate::state::App;

/// A system, with who owns it.
pub(crate) fn system(app: &App, name: &SystemName) -> Resource {
    let owners = app.settings.system_owners.get(name).cloned().unwrap_or_default();
    Resource::System { name: name.as_str().to_owned(), owners }
}

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

/// A plan: whoever an item is about cannot decide on it.
pub(crate) fn plan(plan: &Plan) -> Resource {
    let affected: BTreeSet<&IdentityKey> =
        plan.items.iter().filter_map(|item| item.identity.as_ref()).collect();
    Resource::Plan {
        hash: plan.hash.as_str().to_owned(),
        affected: affected.into_iter().cloned().collect(),
        owners: Vec::new(),
    }
}
