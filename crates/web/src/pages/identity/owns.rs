//! What somebody answers for: reports, non-humans, entitlements, roles, exceptions, baselines.

use jiff::Timestamp;
use leasehold_decide::engine::{EntitlementIndex, IdentityIndex};
use leasehold_model::id::IdentityKey;
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;

use crate::parts::{Link, Moment, Query, count};
use crate::sight::Sight;

/// More than this of one sort are counted, not listed.
const LISTED_MAX: usize = 25;

/// What somebody answers for.
pub(crate) struct Owns {
    /// Each sort that there is something of.
    pub sorts: Vec<Sort>,
}

/// One sort of thing.
pub(crate) struct Sort {
    /// How many of what.
    pub heading: String,
    /// The first of them.
    pub things: Vec<Thing>,
    /// How many are not listed; empty where all are.
    pub more: String,
}

/// One thing.
pub(crate) struct Thing {
    /// Which.
    pub link: Link,
    /// What it is for.
    pub words: String,
    /// When it ends.
    pub until: Option<Moment>,
}

/// What somebody answers for.
pub(crate) fn owns(view: &View, sight: &Sight<'_>, key: &IdentityKey, now: Timestamp) -> Owns {
    let policy = &view.loaded().policy;
    let evaluation = view.evaluation();
    let plain = |link| Thing { link, words: String::new(), until: None };
    let identity =
        |index: &IdentityIndex| plain(sight.link_identity(&evaluation.identities[index.index()].key));
    let entitlement = |index: &EntitlementIndex| {
        let (system, name) = (evaluation.system_of(*index), evaluation.entitlement_name(*index));
        Thing { words: format!("in {system}"), ..plain(sight.link_entitlement(system, name)) }
    };
    let role = |position: &usize| {
        let role = &policy.roles[*position];
        let find = Query::new("/policy").with("find", role.name.as_str()).to_string();
        let link = Link::to(find, safe(&role.name));
        let link = if sight.policy() { link } else { link.unlinked() };
        Thing { link, words: safe(&role.title), until: None }
    };
    let explicit = |position: &usize| {
        let explicit = &policy.explicit[*position];
        Thing {
            link: sight.link_identity(&explicit.identity.value),
            words: format!("{}: {}", safe(&explicit.name), safe(&explicit.why)),
            until: Some(Moment::relative(evaluation.explicit_end(*position), now)),
        }
    };
    let baselines = view
        .loaded()
        .baselines
        .iter()
        .filter(|it| IdentityKey::from(it.owner.as_str()).folded() == key.folded());
    let baselines: Vec<Thing> = baselines
        .map(|baseline| Thing {
            until: Some(Moment::relative(evaluation.baseline_end(baseline), now)),
            ..plain(sight.link_system(&baseline.system))
        })
        .collect();
    let mut sorts = Vec::new();
    if let Some(owned) = sight.catalogue().owned_by(key) {
        sorts.extend(sort("report", "reports", owned.reports.len(), owned.reports.iter().map(identity)));
        let things = owned.identities.iter().map(identity);
        sorts.extend(sort("non-human identity", "non-human identities", owned.identities.len(), things));
        let things = owned.entitlements.iter().map(entitlement);
        sorts.extend(sort("entitlement", "entitlements", owned.entitlements.len(), things));
        sorts.extend(sort("role", "roles", owned.roles.len(), owned.roles.iter().map(role)));
        let things = owned.explicit.iter().map(explicit);
        sorts.extend(sort(
            "assignment or exception",
            "assignments and exceptions",
            owned.explicit.len(),
            things,
        ));
    }
    sorts.extend(sort("baseline", "baselines", baselines.len(), baselines.into_iter()));
    Owns { sorts }
}

fn sort(one: &str, many: &str, number: usize, things: impl Iterator<Item = Thing>) -> Option<Sort> {
    let heading =
        if number == 1 { count(1, one) } else { format!("{} {many}", crate::parts::number(number as u64)) };
    let more = number.saturating_sub(LISTED_MAX);
    let more =
        if more > 0 { format!("and {} more", crate::parts::number(more as u64)) } else { String::new() };
    (number > 0).then(|| Sort { heading, things: things.take(LISTED_MAX).collect(), more })
}
