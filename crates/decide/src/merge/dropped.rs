//! Whom a feed lists no longer: what its silence says beside the other feeds.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use leasehold_model::feed::Feeds;
use leasehold_model::id::{EpochId, SystemName};
use leasehold_model::identity::LifecycleState;
use leasehold_model::snapshot::{Dropped, Snapshot};

use super::believed::Merged;
use super::voice::Voice;
use super::{Precedence, Precedences};
use crate::evaluate::SystemSettings;

/// What a feed said that lists somebody no longer counts beside those that list them where it is believed before all of them about who
/// is here: there, their absence is its word that they have left. What it said last counts, too, where the others say nothing of that.
///
/// Of those whom nobody lists any more, the feed that is so believed says when they left; where none is, whichever ceased to list them
/// last. Gives, by folded key, the other feeds of those that some list still: until they fell silent they may have been believed.
pub(super) fn take(
    snapshot: &mut Snapshot,
    feeds: &mut Feeds,
    settings: &BTreeMap<SystemName, SystemSettings>,
) -> HashMap<String, Vec<Dropped>> {
    let dropped = std::mem::take(&mut snapshot.dropped);
    let mut silent: HashMap<String, Vec<Dropped>> = HashMap::new();
    if dropped.is_empty() {
        return silent;
    }
    let unsaid = Precedence::default();
    let about_status = |snapshot: &Snapshot, system: u32| {
        let of_system = settings.get(snapshot.system(system)).filter(|settings| settings.authoritative);
        of_system.map_or(&unsaid, |settings| &settings.precedence).about("status")
    };
    let mut listed: HashMap<String, (u32, usize)> = HashMap::new();
    let mut told_status: HashSet<String> = HashSet::new();
    for (position, (system, identity)) in snapshot.identities.iter().enumerate() {
        let (precedence, key) = (about_status(snapshot, *system), identity.key.folded());
        if !identity.unsaid.state {
            told_status.insert(key.clone());
        }
        let least = listed.entry(key).or_insert((precedence, position));
        least.0 = precedence.min(least.0);
    }
    let mut of_departed: BTreeMap<usize, Vec<Dropped>> = BTreeMap::new();
    let mut leaving: BTreeMap<String, Dropped> = BTreeMap::new();
    for one in dropped {
        // A feed that is not configured any more says nothing.
        let is_feed =
            settings.get(snapshot.system(one.system)).is_some_and(|settings| settings.authoritative);
        let key = one.identity.key.folded();
        let Some((least, position)) = listed.get(&key).copied().filter(|_| is_feed) else { continue };
        if snapshot.departed.contains(&position) {
            of_departed.entry(position).or_default().push(one);
        } else if never_began(feeds, &key, &one, snapshot) {
            // Who was only announced, and is not any more, has left nothing.
        } else if about_status(snapshot, one.system) < least
            // That they had left was the last that anybody said of it.
            || one.since < one.until && !one.identity.unsaid.state && !told_status.contains(&key)
        {
            // Of several that are believed alike, they were here until the last one fell silent.
            let rank = |of: &Dropped| (about_status(snapshot, of.system), Reverse(of.until));
            if leaving.get(&key).is_none_or(|other| rank(&one) < rank(other)) {
                leaving.insert(key, one);
            }
        } else {
            silent.entry(key).or_default().push(one);
        }
    }
    for (key, Dropped { system, identity, since, came, .. }) in leaving {
        if let Some(took_back) = feeds.dropped_took_back.remove(&(system, key)) {
            feeds.took_back.insert(snapshot.identities.len(), took_back);
        }
        snapshot.identities.push((system, identity));
        snapshot.identity_since.push(since);
        snapshot.identity_came.push(came);
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
    silent
}

/// Whether a feed ceased to list somebody before their first day there.
fn never_began(feeds: &Feeds, key: &str, dropped: &Dropped, snapshot: &Snapshot) -> bool {
    let mut histories = feeds.histories.get(key).into_iter().flatten();
    let history = histories.find(|history| history.system == dropped.system);
    let until = snapshot.ended_at(dropped.until);
    history.is_some_and(|history| until.is_some_and(|until| history.fell_silent_before_they_began(until)))
}

/// When somebody left by the word of one feed that had not counted before others fell silent: with the last of those. Gives the epoch
/// since which that is known.
pub(super) fn date(
    one: &mut Merged,
    since: EpochId,
    voices: &[Voice<'_>],
    silent: &[Dropped],
    snapshot: &Snapshot,
    precedences: &Precedences,
) -> EpochId {
    let saying = &voices[one.dated_by];
    if one.identity.state != LifecycleState::Left || saying.identity.state != LifecycleState::Left {
        return since;
    }
    let was_believed = |dropped: &&Dropped| {
        let rank = (precedences.of_system(dropped.system).about("status"), snapshot.system(dropped.system));
        rank < saying.rank("status") && dropped.since > since
    };
    let Some(last) = silent.iter().filter(was_believed).max_by_key(|dropped| dropped.since) else {
        return since;
    };
    (one.told_by, one.is_news, one.identity.end) = (last.system, true, last.identity.end);
    last.since
}
