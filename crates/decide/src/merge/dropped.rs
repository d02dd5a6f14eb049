//! Whom a feed lists no longer: what its silence says beside the other feeds.

use std::collections::{BTreeMap, HashMap};

use leasehold_model::id::SystemName;
use leasehold_model::snapshot::{Dropped, Snapshot};

use super::Precedence;
use crate::evaluate::SystemSettings;

/// What a feed said that lists somebody no longer counts beside those that list them where it is believed before all of them about who
/// is here: there, their absence is its word that they have left. Of those whom nobody lists any more, the feed that is so believed
/// says when they left; where none is, whichever ceased to list them last.
pub(super) fn take(snapshot: &mut Snapshot, settings: &BTreeMap<SystemName, SystemSettings>) {
    let dropped = std::mem::take(&mut snapshot.dropped);
    if dropped.is_empty() {
        return;
    }
    let unsaid = Precedence::default();
    let about_status = |snapshot: &Snapshot, system: u32| {
        let of_system = settings.get(snapshot.system(system)).filter(|settings| settings.authoritative);
        of_system.map_or(&unsaid, |settings| &settings.precedence).about("status")
    };
    let mut listed: HashMap<String, (u32, usize)> = HashMap::new();
    for (position, (system, identity)) in snapshot.identities.iter().enumerate() {
        let precedence = about_status(snapshot, *system);
        let least = listed.entry(identity.key.folded()).or_insert((precedence, position));
        least.0 = precedence.min(least.0);
    }
    let mut of_departed: BTreeMap<usize, Vec<Dropped>> = BTreeMap::new();
    for one in dropped {
        // A feed that is not configured any more says nothing.
        let is_feed =
            settings.get(snapshot.system(one.system)).is_some_and(|settings| settings.authoritative);
        let Some((least, position)) = listed.get(&one.identity.key.folded()).copied().filter(|_| is_feed)
        else {
            continue;
        };
        if snapshot.departed.contains(&position) {
            of_departed.entry(position).or_default().push(one);
        } else if about_status(snapshot, one.system) < least {
            snapshot.identities.push((one.system, one.identity));
            snapshot.identity_since.push(one.since);
            snapshot.identity_came.push(one.came);
        }
    }
    for (position, mut others) in of_departed {
        others.sort_by_key(|other| about_status(snapshot, other.system));
        let before = |other: &Dropped| about_status(snapshot, other.system);
        let first = before(&others[0]);
        let is_alone = others.get(1).is_none_or(|second| first < before(second));
        if is_alone && first < about_status(snapshot, snapshot.identities[position].0) {
            let Dropped { system, identity, since, came, .. } = others.swap_remove(0);
            snapshot.identities[position] = (system, identity);
            (snapshot.identity_since[position], snapshot.identity_came[position]) = (since, came);
        }
    }
}
