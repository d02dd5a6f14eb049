//! What single people feeds told over time of somebody. What of it is believed is decided elsewhere.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::identity::{Identity, LifecycleState};

/// Whoever is here again sooner had not left: their source said so by mistake, or took it back.
pub const RESCINDED_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What each feed told of identities that several of them list or listed, by folded key: of those of whom one of them told of a beginning
/// or an end, or whom it did not list for a time. Nothing else can change what is believed.
pub type Feeds = HashMap<String, Vec<FeedHistory>>;

/// What one feed told of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedHistory {
    /// Position of the feed's system.
    pub system: u32,
    /// In the order of time; where one does not begin when the one before ends, the feed did not list them in between.
    pub told: Vec<Told>,
}

/// Where a feed said that somebody stands, from one instant to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Since when it said so.
    pub from: Timestamp,
    /// Until when; the end of time where it says so still.
    pub until: Timestamp,
    /// What it said.
    pub standing: Standing,
}

impl Told {
    /// Until when they are to begin later by it; its own beginning where they are not.
    pub fn waits_until(&self) -> Timestamp {
        match (self.standing.state, self.standing.start) {
            (LifecycleState::Left, _) => self.from,
            (LifecycleState::PreHire, None) => self.until,
            (_, start) => start.map_or(self.from, |start| start.clamp(self.from, self.until)),
        }
    }
}

/// Where somebody stands by the word of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// The state.
    pub state: LifecycleState,
    /// Whether the feed does not say which: it lists them.
    pub is_state_unsaid: bool,
    /// The first day.
    pub start: Option<Timestamp>,
    /// The end of the last day.
    pub end: Option<Timestamp>,
}

impl Standing {
    /// Where a feed says that an identity stands.
    pub fn of(identity: &Identity) -> Self {
        Self {
            state: identity.state,
            is_state_unsaid: identity.unsaid.state,
            start: identity.start,
            end: identity.end,
        }
    }

    /// Whether they have left for good at an instant, as [`Identity::has_left`].
    pub fn has_left(&self, at: Timestamp) -> bool {
        self.state == LifecycleState::Left || self.end.is_some_and(|end| end <= at)
    }

    /// Whether they are to begin later than at an instant.
    pub fn is_announced(&self, at: Timestamp) -> bool {
        match self.start {
            Some(start) => start > at,
            None => self.state == LifecycleState::PreHire,
        }
    }

    /// Whether it tells of a leaving, past or to come.
    pub fn tells_of_a_leaving(&self) -> bool {
        self.state == LifecycleState::Left || self.end.is_some()
    }
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
