//! When somebody whom several feeds list was not here, by what was believed then: the same as is believed now, of what was told until then.

use leasehold_model::Timestamp;
use leasehold_model::feed::{FeedHistory, Standing};
use leasehold_model::id::SystemName;
use leasehold_model::identity::LifecycleState;

use super::Precedence;
use super::believed::believed;
use super::dropped::saying_left;
use super::told::ToldUntil;
use super::voice::{Word, voices};

/// A feed's history with how early it is believed.
pub(super) struct Heard<'a> {
    pub name: &'a SystemName,
    pub precedence: &'a Precedence,
    /// When it was read for the first time.
    pub first_read_at: Option<Timestamp>,
    pub history: &'a FeedHistory,
}

impl<'a> Heard<'a> {
    /// What it said at an instant; none where it had told nothing yet.
    fn word(&self, at: Timestamp) -> Option<Word<'a>> {
        let told = &self.history.told;
        told.first().filter(|first| first.from <= at)?;
        let told = ToldUntil::of(told, at, self.first_read_at);
        let last = told.last();
        let (mut standing, mut said_at) = (last.standing, last.from);
        if !told.is_listing() {
            let had_left = standing.has_left(last.until);
            standing.end = standing.end.filter(|_| had_left).or(Some(last.until));
            standing.state = LifecycleState::Left;
            said_at = if had_left { said_at } else { last.until };
        }
        let (system, name, precedence) = (self.history.system, self.name, self.precedence);
        Some(Word { system, name, precedence, standing, said_at: Some(said_at), told })
    }
}

/// From when until when somebody was not here.
type Absence = (Timestamp, Timestamp);

/// When somebody was not here.
#[derive(Default)]
pub(super) struct Away {
    /// Of those times the ones after which they were here again.
    pub absences: Vec<Absence>,
    /// Since when they are gone, or were gone when they were announced again.
    pub gone_since: Option<Timestamp>,
    /// Whether they were gone already when the last word was told, or the last day came.
    pub was_gone: bool,
}

/// Where they stood at an instant.
enum Stood {
    Here,
    Gone,
    /// They were to begin later: who was gone before still is.
    Waiting,
}

/// When they were not here, until an instant.
pub(super) fn away(feeds: &[Heard<'_>], now: Timestamp) -> Away {
    let told = feeds.iter().flat_map(|heard| &heard.history.told);
    let mut instants: Vec<Timestamp> = told
        .flat_map(|told| {
            let Standing { start, end, .. } = told.standing;
            let within = |day: &Timestamp| (told.from..told.until).contains(day);
            [Some(told.from), Some(told.until), start.filter(within), end.filter(within)]
        })
        .flatten()
        .filter(|at| *at <= now)
        .collect();
    instants.sort_unstable();
    instants.dedup();
    let mut away = Away::default();
    for at in instants {
        away.was_gone = away.gone_since.is_some();
        match (stood(feeds, at, away.was_gone), away.gone_since) {
            (Stood::Gone, None) => away.gone_since = Some(at),
            (Stood::Here, Some(left_at)) => {
                away.absences.push((left_at, at));
                away.gone_since = None;
            }
            _ => {}
        }
    }
    away
}

/// Where they stood at an instant, by what the feeds told until then, of one who was gone just before or was not.
fn stood(feeds: &[Heard<'_>], at: Timestamp, was_gone: bool) -> Stood {
    let words = feeds.iter().filter_map(|heard| heard.word(at));
    let (mut words, silent): (Vec<Word<'_>>, Vec<Word<'_>>) = words.partition(|word| word.told.is_listing());
    if words.is_empty() {
        // Whom all had only announced has left nothing.
        let is_any_gone = silent.iter().any(|word| !word.told.only_announced());
        return if is_any_gone { Stood::Gone } else { Stood::Waiting };
    }
    words.extend(saying_left(&words, &silent).map(|position| silent[position]));
    let standing = believed(&voices(&words, at, was_gone), at).standing;
    // Whose time with one feed is over, and with another one is still to begin, is not here in between.
    let is_over = || words.iter().any(|word| word.standing.has_left(at));
    match standing.is_announced(at) {
        _ if standing.has_left(at) => Stood::Gone,
        true if is_over() => Stood::Gone,
        true => Stood::Waiting,
        false => Stood::Here,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use leasehold_model::feed::Told;

    use super::*;

    #[test]
    fn who_is_not_believed_sends_nobody_away() {
        use LifecycleState::{Active, Left};
        let at = |day: i64| Timestamp::from_second(day * 86_400).expect("an instant");
        // What a feed tells from which day on: a state and a last day; nothing where it does not list them.
        type Row = (i64, Option<(LifecycleState, Option<i64>)>);
        const HERE: Option<(LifecycleState, Option<i64>)> = Some((Active, None));
        const GONE: Option<(LifecycleState, Option<i64>)> = Some((Left, None));
        const fn ending(day: i64) -> Option<(LifecycleState, Option<i64>)> {
            Some((Active, Some(day)))
        }
        let away_and_back: &[Row] = &[(0, HERE), (2, None), (9, HERE)];
        let left_and_back: &[Row] = &[(0, HERE), (2, GONE), (9, HERE)];
        // Each: what the human resources tell, who are believed first, and what the directory tells; and the believed absences.
        type Case<'a> = (&'a [Row], &'a [Row], &'a [(i64, i64)]);
        let cases: &[Case<'_>] = &[
            (&[(0, HERE)], away_and_back, &[]),
            (away_and_back, &[(0, HERE)], &[(2, 9)]),
            (&[(0, HERE)], left_and_back, &[]),
            (left_and_back, &[(0, HERE)], &[(2, 9)]),
            (&[(0, HERE), (1, ending(3)), (9, HERE)], &[(0, HERE)], &[(3, 9)]),
            // What the other one still says of the end is taken back with it.
            (&[(0, HERE), (2, ending(20)), (4, HERE)], &[(0, HERE), (1, ending(6))], &[]),
            (&[(0, HERE), (2, ending(20)), (4, HERE)], &[(0, HERE), (5, ending(6)), (8, HERE)], &[(6, 8)]),
        ];
        let names = ["hr", "directory"].map(|name| SystemName::new(name).expect("a name"));
        let precedences = [10, 20].map(|general| Precedence { general, of_attribute: BTreeMap::new() });
        for (of_hr, of_directory, expected) in cases {
            let history = |rows: &[Row]| {
                let until = rows.iter().skip(1).map(|(day, _)| at(*day)).chain([Timestamp::MAX]);
                let told = rows.iter().zip(until).filter_map(|((day, told), until)| {
                    let (state, end) = (*told)?;
                    let standing = Standing { state, end: end.map(at), ..Standing::default() };
                    Some(Told { from: at(*day), until, standing })
                });
                FeedHistory { system: 0, told: told.collect() }
            };
            let histories = [of_hr, of_directory].map(|rows| history(rows));
            let heard: Vec<Heard<'_>> = names
                .iter()
                .zip(&precedences)
                .zip(&histories)
                .map(|((name, precedence), history)| Heard {
                    name,
                    precedence,
                    first_read_at: Some(at(0)),
                    history,
                })
                .collect();
            let absences: Vec<_> = expected.iter().map(|(from, until)| (at(*from), at(*until))).collect();
            let found = away(&heard, at(99));
            assert_eq!((found.absences, found.gone_since), (absences, None), "{of_hr:?} {of_directory:?}");
        }
    }
}
