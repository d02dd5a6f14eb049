//! Whom a feed lists no longer: what its silence says beside the other feeds.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use leasehold_model::snapshot::{Dropped, Snapshot};

use super::Precedences;
use super::voice::Word;

/// Which of the feeds that list somebody no longer says by its silence that they have left, beside those that list them: one that is
/// believed before all of them about who is here, or whose last word was that they had left where the others say nothing of that. Of several that
/// are believed alike, they were here until the last one fell silent. Who was only announced, and is not any more, has left nothing.
pub(super) fn saying_left(listing: &[Word<'_>], silent: &[Word<'_>]) -> Option<usize> {
    let about_status = |word: &Word<'_>| word.precedence.about("status");
    let first = listing.iter().map(about_status).min()?;
    let is_status_told = listing.iter().any(|word| !word.standing.is_state_unsaid);
    let counts = |word: &Word<'_>| {
        let is_last_word = !is_status_told && word.told.fell_silent_about_a_leaver();
        !word.told.never_began() && (about_status(word) < first || is_last_word)
    };
    let counting = silent.iter().enumerate().filter(|(_, word)| counts(word));
    let rank = |word: &Word<'_>| (about_status(word), Reverse(word.told.last().until));
    counting.min_by_key(|(_, word)| rank(word)).map(|(position, _)| position)
}

/// The feeds that list somebody no longer whom others list, by folded key. Of those whom nobody lists any more, the feed that is believed
/// first about who is here says when they left; where none is, whichever ceased to list them last. A feed that is not configured any more
/// says nothing.
pub(super) fn take(snapshot: &mut Snapshot, precedences: &Precedences) -> HashMap<String, Vec<Dropped>> {
    let dropped = std::mem::take(&mut snapshot.dropped);
    let mut silent: HashMap<String, Vec<Dropped>> = HashMap::new();
    if dropped.is_empty() {
        return silent;
    }
    let key = |position: &usize| (snapshot.identities[*position].1.key.folded(), *position);
    let departed: HashMap<String, usize> = snapshot.departed.iter().map(key).collect();
    let mut of_departed: BTreeMap<usize, Vec<Dropped>> = BTreeMap::new();
    for one in dropped.into_iter().filter(|one| precedences.is_feed(one.system)) {
        let key = one.identity.key.folded();
        match departed.get(&key) {
            Some(position) => of_departed.entry(*position).or_default().push(one),
            None => silent.entry(key).or_default().push(one),
        }
    }
    for (position, mut others) in of_departed {
        let about_status = |system: u32| precedences.of_system(system).about("status");
        others.sort_by_key(|other| about_status(other.system));
        let first = about_status(others[0].system);
        let is_alone = others.get(1).is_none_or(|second| first < about_status(second.system));
        if is_alone && first < about_status(snapshot.identities[position].0) {
            let Dropped { system, identity, since, came, .. } = others.swap_remove(0);
            snapshot.identities[position] = (system, identity);
            (snapshot.identity_since[position], snapshot.identity_came[position]) = (since, came);
        }
    }
    silent
}
