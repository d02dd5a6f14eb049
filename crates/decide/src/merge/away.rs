//! When somebody whom several feeds list was not here, by what was believed of each then.

use leasehold_model::Timestamp;
use leasehold_model::feed::{FeedHistory, ToldLeaving};
use leasehold_model::id::SystemName;

use super::Precedence;

/// A feed's history with how early it is believed.
pub(super) struct Heard<'a> {
    pub name: &'a SystemName,
    pub precedence: &'a Precedence,
    pub history: &'a FeedHistory,
}

impl Heard<'_> {
    /// Whether it has said by an instant that a leaving which another feed told then is none: it took one back that it had told itself,
    /// by its silence, too, where that says so. Without a last day of its own that says something of what the other told meanwhile.
    fn has_taken_back(&self, told: Timestamp, at: Timestamp, is_silence_a_word: bool) -> bool {
        let is_it = |from: Option<Timestamp>, until: Timestamp| {
            until <= at && told < until && from.is_none_or(|from| told >= from)
        };
        let mut words = self.history.leavings.iter();
        let mut gaps = self.history.gaps.iter().filter(|_| is_silence_a_word);
        words.any(|word| {
            word.until.is_some_and(|until| is_it(Some(word.from).filter(|_| word.end.is_none()), until))
        }) || gaps.any(|(from, until)| is_it(Some(*from), *until))
    }

    /// Whether they had left by its last word when it ceased to list them.
    fn fell_silent_about_a_leaver(&self, at: Timestamp) -> bool {
        let mut gaps = self.history.gaps.iter();
        let Some((from, _)) = gaps.find(|(from, until)| (*from..*until).contains(&at)) else { return false };
        let is_last = |told: &&ToldLeaving| told.until == Some(*from);
        let mut last = self.history.leavings.iter().filter(is_last);
        last.any(|told| told.has_left || told.end.is_some_and(|end| end <= *from))
    }

    /// Whether it tells at an instant of another time here, which began when this last day was over.
    fn tells_a_new_time(&self, end: Timestamp, at: Timestamp) -> bool {
        let began = self.history.start.is_some_and(|start| end <= start && start <= at);
        let is_new = || self.history.has_here_since(at).is_some_and(|since| end <= since);
        self.history.tells_status && self.history.tells(at).is_none() && (began || is_new())
    }

    fn rank(&self, attribute: &str) -> (u32, &SystemName) {
        (self.precedence.about(attribute), self.name)
    }
}

/// From when until when somebody was not here.
type Absence = (Timestamp, Timestamp);

/// Where they stood at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stood {
    Here,
    Gone,
    /// They were to begin later: who was gone before still is.
    Waiting,
}

/// From when until when they were away before an instant, not the time that lasts; and where they are to begin again after one, from when
/// until when that is.
pub(super) fn away(feeds: &[Heard<'_>], now: Timestamp) -> (Vec<Absence>, Option<Absence>) {
    let mut instants: Vec<Timestamp> = Vec::new();
    for FeedHistory { since, start, gaps, waits, leavings, .. } in feeds.iter().map(|heard| heard.history) {
        instants.push(*since);
        instants.extend(*start);
        instants.extend(gaps.iter().chain(waits).flat_map(|(from, until)| [*from, *until]));
        for told in leavings {
            let end = told.end.filter(|end| told.until.is_none_or(|until| *end < until));
            instants.extend([Some(told.from), told.until, end].into_iter().flatten());
        }
    }
    instants.sort_unstable();
    instants.dedup();
    instants.retain(|at| *at <= now);
    let (mut away, mut since, mut last) = (Vec::new(), None, Stood::Here);
    for at in instants {
        last = stood(feeds, at, since.is_some());
        match (last, since) {
            (Stood::Gone, None) => since = Some(at),
            (Stood::Here, Some(left_at)) => {
                away.push((left_at, at));
                since = None;
            }
            _ => {}
        }
    }
    let waits = feeds.iter().flat_map(|heard| &heard.history.waits);
    let begins = waits.filter(|(from, until)| (*from..*until).contains(&now)).map(|(_, until)| *until).max();
    (away, since.zip(begins).filter(|_| last == Stood::Waiting))
}

/// Where they stood at an instant, by what the feeds told until then, of one who was gone just before or was not.
fn stood(feeds: &[Heard<'_>], at: Timestamp, was_gone: bool) -> Stood {
    let known = feeds.iter().filter(|heard| heard.history.since <= at);
    let (listing, mut silent): (Vec<&Heard<'_>>, Vec<_>) =
        known.partition(|heard| heard.history.is_listing(at));
    // Who was only announced, and is not any more, has left nothing.
    silent.retain(|heard| listing.is_empty() || !heard.history.fell_silent_before_they_began(at));
    let telling = |heard: &&&Heard<'_>| heard.history.tells_status;
    if !listing.iter().any(|heard| heard.history.tells_status)
        && silent.iter().any(|heard| heard.history.tells_status && heard.fell_silent_about_a_leaver(at))
    {
        return Stood::Gone;
    }
    let first = listing.iter().filter(telling).min_by_key(|heard| heard.rank("status"));
    let Some(first) = first.or_else(|| listing.iter().min_by_key(|heard| heard.rank("status"))) else {
        return if silent.is_empty() { Stood::Here } else { Stood::Gone };
    };
    let about_status = first.precedence.about("status");
    if silent.iter().any(|heard| heard.precedence.about("status") < about_status)
        || first.history.tells(at).is_some_and(|told| told.has_left)
    {
        return Stood::Gone;
    }
    if let Some(announced_at) = first.history.announced_at(at)
        && (was_gone || !listing.iter().any(|heard| heard.history.had_here_before(announced_at)))
    {
        return Stood::Waiting;
    }
    let is_alone_first = |heard: &Heard<'_>| {
        let of = heard.rank("status");
        listing.iter().all(|other| other.name == heard.name || of.0 < other.precedence.about("status"))
    };
    let is_overruled = |ending: &Heard<'_>, told: &ToldLeaving| {
        listing.iter().any(|other| {
            let tells_an_end = other.history.tells(at).is_some_and(|told| told.end.is_some());
            let is_new = || told.end.is_some_and(|end| other.tells_a_new_time(end, at));
            !tells_an_end
                && other.rank("end_date") < ending.rank("end_date")
                && (other.has_taken_back(told.from, at, is_alone_first(other)) || is_new())
        })
    };
    let endings = listing.iter().filter_map(|heard| {
        let told = heard.history.tells(at).filter(|told| !is_overruled(heard, told))?;
        Some((heard.rank("end_date"), told.end?))
    });
    if endings.min().is_some_and(|(_, end)| end <= at) { Stood::Gone } else { Stood::Here }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn who_is_not_believed_sends_nobody_away() {
        let at = |day: i64| Timestamp::from_second(day * 86_400).expect("an instant");
        let left =
            |from, until| ToldLeaving { from: at(from), until: Some(at(until)), has_left: true, end: None };
        let ending = |from, until: Option<i64>, end| ToldLeaving {
            from: at(from),
            until: until.map(at),
            has_left: false,
            end: Some(at(end)),
        };
        let (hr, directory) = ("hr", "directory");
        // Each: who lists them not from when until when, or tells of a leaving, and the believed absence.
        type Case<'a> = (&'a str, (i64, i64), &'a [(&'a str, ToldLeaving)], &'a [(i64, i64)]);
        let cases: &[Case<'_>] = &[
            (directory, (2, 9), &[], &[]),
            (hr, (2, 9), &[], &[(2, 9)]),
            (directory, (0, 0), &[(directory, left(2, 9))], &[]),
            (directory, (0, 0), &[(hr, left(2, 9))], &[(2, 9)]),
            (directory, (0, 0), &[(hr, ending(1, Some(9), 3))], &[(3, 9)]),
            // What the other one still says of the end is taken back with it.
            (directory, (0, 0), &[(hr, ending(2, Some(4), 20)), (directory, ending(1, None, 6))], &[]),
            (
                directory,
                (0, 0),
                &[(hr, ending(2, Some(4), 20)), (directory, ending(5, Some(8), 6))],
                &[(6, 8)],
            ),
        ];
        for (who, gap, leavings, expected) in cases {
            let names = [hr, directory].map(|name| SystemName::new(name).expect("a name"));
            let histories: Vec<FeedHistory> = names
                .iter()
                .map(|name| FeedHistory {
                    system: 0,
                    since: at(0),
                    is_since_first: true,
                    tells_status: true,
                    start: None,
                    waits: vec![],
                    gaps: if name.as_str() == *who && gap.0 < gap.1 {
                        vec![(at(gap.0), at(gap.1))]
                    } else {
                        vec![]
                    },
                    leavings: leavings
                        .iter()
                        .filter(|(of, _)| *of == name.as_str())
                        .map(|(_, told)| *told)
                        .collect(),
                })
                .collect();
            let precedence = [10, 20].map(|general| Precedence { general, of_attribute: BTreeMap::new() });
            let heard: Vec<Heard<'_>> = names
                .iter()
                .zip(&precedence)
                .zip(&histories)
                .map(|((name, precedence), history)| Heard { name, precedence, history })
                .collect();
            let expected: Vec<_> = expected.iter().map(|(from, until)| (at(*from), at(*until))).collect();
            assert_eq!(away(&heard, Timestamp::MAX).0, expected, "{who} {gap:?} {leavings:?}");
        }
    }
}
