//! What single people feeds told over time of somebody whom several of them list. What of it is believed is decided elsewhere.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::id::EpochId;

/// Whoever is here again sooner had not left: their source said so by mistake, or took it back.
pub const RESCINDED_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What feeds told of identities that several list, as far as one of them told of a leaving before and took it back.
#[derive(Debug, Clone, Default)]
pub struct Feeds {
    /// By the positions of [`crate::snapshot::Snapshot::identities`]: who is listed without a last day by a feed that had told of a
    /// leaving. That it tells none is its word, not its silence.
    pub took_back: HashMap<usize, TookBack>,
    /// By the same, of who is listed with a last day: the epoch that told that one first.
    pub end_told: HashMap<usize, EpochId>,
    /// The same of a feed that lists them no longer, by the position of its system and the folded key.
    pub dropped_took_back: HashMap<(u32, String), TookBack>,
    /// By the folded key: how each feed listed them.
    pub histories: HashMap<String, Vec<FeedHistory>>,
}

/// A leaving that a feed told and took back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TookBack {
    /// By the epoch that told of it no more.
    pub at: EpochId,
    /// It was told only by not listing them for a time.
    pub by_silence: bool,
    /// The epoch that told of it, where that had no last day: what others said before of one is no echo of it.
    pub since: Option<EpochId>,
}

/// How one feed listed somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedHistory {
    /// Position of the feed's system.
    pub system: u32,
    /// When it listed them first.
    pub since: Timestamp,
    /// Whether it listed them when it was read for the first time: then it does not tell since when they are here.
    pub is_since_first: bool,
    /// Whether it says where people stand.
    pub tells_status: bool,
    /// The first day that it tells.
    pub start: Option<Timestamp>,
    /// From when until when it did not list them after that.
    pub gaps: Vec<(Timestamp, Timestamp)>,
    /// From when until when it told of a first day to come: until that day, or until it said something else.
    pub waits: Vec<(Timestamp, Timestamp)>,
    /// Every leaving that it told.
    pub leavings: Vec<ToldLeaving>,
}

impl FeedHistory {
    /// Whether it lists them at an instant.
    pub fn is_listing(&self, at: Timestamp) -> bool {
        self.since <= at && !self.gaps.iter().any(|(from, until)| (*from..*until).contains(&at))
    }

    /// The leaving that it tells at an instant.
    pub fn tells(&self, at: Timestamp) -> Option<&ToldLeaving> {
        let is_told = |told: &&ToldLeaving| told.from <= at && told.until.is_none_or(|until| at < until);
        self.leavings.iter().find(is_told)
    }

    /// Since when it tells at an instant, without a break, that they are to begin.
    pub fn announced_at(&self, at: Timestamp) -> Option<Timestamp> {
        let mut from = self.waits.iter().find(|(from, until)| (*from..*until).contains(&at))?.0;
        while let Some((earlier, _)) =
            self.waits.iter().find(|(earlier, until)| *until == from && *earlier < from)
        {
            from = *earlier;
        }
        Some(from)
    }

    /// Whether it said before an instant that they were here.
    pub fn had_here_before(&self, at: Timestamp) -> bool {
        let before = at.saturating_sub(SignedDuration::from_micros(1)).unwrap_or(at);
        let had_left = |told: &ToldLeaving| told.has_left || told.end.is_some_and(|end| end <= before);
        self.tells_status
            && self.is_listing(before)
            && self.announced_at(before).is_none()
            && !self.tells(before).is_some_and(had_left)
    }

    /// Whether it ceased to list them, as it does not at an instant, before they had begun by its word.
    pub fn fell_silent_before_they_began(&self, at: Timestamp) -> bool {
        let mut gaps = self.gaps.iter();
        let Some((from, _)) = gaps.find(|(from, until)| (*from..*until).contains(&at)) else { return false };
        self.waits.iter().any(|(_, until)| until == from)
    }

    /// Since when it says at an instant that they are here, where that is known; a short time in which it did not list them is no end of
    /// that.
    pub fn has_here_since(&self, at: Timestamp) -> Option<Timestamp> {
        let is_end = |(from, until): &&(Timestamp, Timestamp)| {
            *until <= at && until.duration_since(*from) > RESCINDED_WITHIN
        };
        let since = Some(self.since).filter(|_| !self.is_since_first);
        let gaps = self.gaps.iter().filter(is_end).map(|(_, until)| *until);
        let begun = self.waits.iter().map(|(_, until)| *until).filter(|until| *until <= at);
        gaps.chain(begun).max().or(since)
    }
}

/// A leaving, as a feed told it from one instant to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToldLeaving {
    /// Since when.
    pub from: Timestamp,
    /// Until when; `None` where it tells so still.
    pub until: Option<Timestamp>,
    /// That they have left.
    pub has_left: bool,
    /// The last day.
    pub end: Option<Timestamp>,
}

/// From when until when somebody was away last for longer than a mistake lasts, of the times between which they were gone, in their
/// order.
pub fn last_long_absence(away: &[(Timestamp, Timestamp)]) -> Option<(Timestamp, Timestamp)> {
    let (mut stay, mut found) = (*away.first()?, None);
    for &(left_at, back_at) in away {
        // Gone by one word and then by another, they were not here in between.
        stay = if left_at <= stay.1 { (stay.0, back_at.max(stay.1)) } else { (left_at, back_at) };
        if stay.1.duration_since(stay.0) > RESCINDED_WITHIN {
            found = Some(stay);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_away_for_long_had_left_and_who_is_back_soon_had_not() {
        let at = |day: i64| Timestamp::from_second(day * 86_400).expect("an instant");
        for (away, expected) in [
            (&[(0, 1)][..], None),
            (&[(0, 8)], Some((0, 8))),
            // Said to have left, and then not listed: away all the time.
            (&[(0, 4), (4, 9)], Some((0, 9))),
            (&[(0, 4), (5, 9)], None),
            (&[(0, 8), (20, 21)], Some((0, 8))),
            (&[(0, 8), (20, 40)], Some((20, 40))),
        ] {
            let away: Vec<_> = away.iter().map(|(left, back)| (at(*left), at(*back))).collect();
            let expected = expected.map(|(left, back)| (at(left), at(back)));
            assert_eq!(last_long_absence(&away), expected, "{away:?}");
        }
    }
}
