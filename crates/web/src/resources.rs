//! The things of a page as authority knows them: who answers for them, and whom they are about.

use std::collections::BTreeSet;

use leasehold_decide::authority::Resource;
use leasehold_decide::engine::EntitlementIndex;
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::plan::PlanItem;
use leasehold_reconcile::view::View;

use crate::catalogue::Catalogue;
use crate::state::App;

/// A system.
pub(crate) fn system(app: &App, name: &SystemName) -> Resource {
    Resource::System { name: name.as_str().to_owned(), owners: owners(app, name) }
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

/// A plan, as far as one person is concerned: of the identities that it is about, only theirs can matter to whether
/// they may decide on it, and a plan can be about a hundred thousand.
pub(crate) fn plan(app: &App, hash: &str, items: &[PlanItem], own: Option<&IdentityKey>) -> Resource {
    let is_own = |key: &IdentityKey| own.is_some_and(|own| own.folded() == key.folded());
    let affected = items.iter().filter_map(|item| item.identity.as_ref()).find(|key| is_own(key));
    let systems: BTreeSet<&SystemName> = items.iter().map(|item| &item.system).collect();
    let owns = |name: &SystemName| owners(app, name).iter().any(is_own);
    let owns_all = !systems.is_empty() && systems.into_iter().all(owns);
    Resource::Plan {
        hash: hash.to_owned(),
        affected: affected.into_iter().cloned().collect(),
        owners: own.filter(|_| owns_all).into_iter().cloned().collect(),
    }
}

fn owners(app: &App, name: &SystemName) -> Vec<IdentityKey> {
    app.settings.system_owners.get(name).cloned().unwrap_or_default()
}
