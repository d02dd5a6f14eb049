//! Whom a feed lists no longer: what its silence says beside the other feeds.

use std::cmp::Reverse;

use super::voice::Word;

/// Which of the feeds that list somebody no longer says by its silence that they have left.
///
/// Beside others that list them it is one that is believed before all of them about who is here, or whose last word was that they had left where
/// the others say nothing of that. Where nobody lists them it is the feed that is alone believed first, and else whichever
/// ceased last. Of several that are believed alike, they were here until the last one fell silent. Who was only announced, and is not any more, has
/// left nothing.
pub(super) fn saying_left(listing: &[Word<'_>], silent: &[Word<'_>]) -> Option<usize> {
    let about_status = |word: &Word<'_>| word.precedence.about("status");
    let rank = |word: &Word<'_>| (about_status(word), Reverse(word.told.last().until));
    let had_begun = || silent.iter().enumerate().filter(|(_, word)| !word.told.only_announced());
    let Some(first) = listing.iter().map(about_status).min() else {
        let any: Vec<(usize, &Word<'_>)> = match had_begun().next() {
            Some(_) => had_begun().collect(),
            None => silent.iter().enumerate().collect(),
        };
        let first = any.iter().map(|(_, word)| about_status(word)).min();
        let mut at_first = any.iter().filter(|(_, word)| Some(about_status(word)) == first);
        let alone = at_first.next().filter(|_| at_first.next().is_none());
        let last = any.iter().max_by_key(|(_, word)| word.told.last().until);
        return alone.or(last).map(|(position, _)| *position);
    };
    let is_status_told = listing.iter().any(|word| !word.standing.is_state_unsaid);
    let counts = |word: &Word<'_>| {
        about_status(word) < first || !is_status_told && word.told.fell_silent_about_a_leaver()
    };
    let counting = had_begun().filter(|(_, word)| counts(word));
    counting.min_by_key(|(_, word)| rank(word)).map(|(position, _)| position)
}
