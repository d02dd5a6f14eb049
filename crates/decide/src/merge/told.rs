//! What one feed has told of somebody until an instant.

use jiff::{SignedDuration, Timestamp};
use leasehold_model::feed::{RESCINDED_WITHIN, Told};

/// What a feed has told until an instant, as it was known then.
#[derive(Clone, Copy)]
pub(super) struct ToldUntil<'a> {
    /// In the order of time, at least one.
    told: &'a [Told],
    at: Timestamp,
    /// When the feed was read for the first time.
    first_read_at: Option<Timestamp>,
}

/// A leaving that a feed told and took back.
#[derive(Clone, Copy)]
pub(super) struct TookBack {
    /// When it told of it no more.
    pub at: Timestamp,
    /// It was told only by not listing them for a time.
    pub by_silence: bool,
    /// Since when it was told, where that had no last day: what others said before of one is no echo of it.
    pub since: Option<Timestamp>,
}

impl<'a> ToldUntil<'a> {
    /// What was told until an instant, the first of it in any case.
    pub fn of(told: &'a [Told], at: Timestamp, first_read_at: Option<Timestamp>) -> Self {
        let told = &told[..told.partition_point(|told| told.from <= at).max(1)];
        Self { told, at, first_read_at }
    }

    /// What it told last.
    pub fn last(&self) -> &'a Told {
        &self.told[self.told.len() - 1]
    }

    /// Whether it lists them.
    pub fn is_listing(&self) -> bool {
        self.at < self.last().until
    }

    /// Whether it began or ceased to say something at an instant.
    pub fn has_changed_at(&self, at: Timestamp) -> bool {
        self.told.iter().any(|told| told.from == at || told.until == at)
    }

    /// Since when it lists them, or listed them until it did not any more, without a break.
    pub fn came_at(&self) -> Timestamp {
        let mut came_at = self.last().from;
        for told in self.told.iter().rev().skip(1) {
            if told.until < came_at {
                break;
            }
            came_at = told.from;
        }
        came_at
    }

    /// Whether what it tells stood in it when it was read for the first time.
    pub fn is_of_first_reading(&self, since: Option<Timestamp>) -> bool {
        since.is_some() && since == self.first_read_at
    }

    /// Since when it tells, without a break, that they are to begin.
    pub fn announced_at(&self) -> Option<Timestamp> {
        let last = self.last();
        let mut from = Some(last.from).filter(|_| self.is_listing() && self.at < last.waits_until())?;
        for told in self.told.iter().rev().skip(1) {
            if told.waits_until() != from || told.from == from {
                break;
            }
            from = told.from;
        }
        Some(from)
    }

    /// Whether it said just before an instant that they were here.
    pub fn had_here_before(&self, at: Timestamp) -> bool {
        let before = at.saturating_sub(SignedDuration::from_micros(1)).unwrap_or(at);
        let is_then = |told: &&Told| told.from <= before && before < told.until;
        self.told.iter().find(is_then).is_some_and(|told| {
            !told.standing.is_state_unsaid && told.waits_until() <= before && !told.standing.has_left(before)
        })
    }

    /// Whether it ceased to list them before they had begun by its word.
    pub fn never_began(&self) -> bool {
        !self.is_listing() && self.last().waits_until() == self.last().until
    }

    /// Whether they had left by its last word when it ceased to list them.
    pub fn fell_silent_about_a_leaver(&self) -> bool {
        let last = self.last();
        !self.is_listing() && !last.standing.is_state_unsaid && last.standing.has_left(last.until)
    }

    /// Since when it says that they are here, where that is known; a short time in which it did not list them is no end of that.
    pub fn has_here_since(&self) -> Option<Timestamp> {
        let since = Some(self.told[0].from).filter(|since| !self.is_of_first_reading(Some(*since)));
        let is_end = |(told, next): &(&Told, &Told)| next.from.duration_since(told.until) > RESCINDED_WITHIN;
        let again = self.told.iter().zip(&self.told[1..]).filter(is_end).map(|(_, next)| next.from);
        let waits = self.told.iter().filter(|told| told.from < told.waits_until()).map(Told::waits_until);
        again.chain(waits.filter(|until| *until <= self.at)).max().or(since)
    }

    /// The last leaving that it told before it told what it tells since an instant, and took back.
    pub fn took_back(&self, since: Timestamp) -> Option<TookBack> {
        let is_leaving =
            |(told, next): &(&Told, &Told)| told.standing.tells_of_a_leaving() || told.until < next.from;
        let leavings: Vec<(&Told, &Told)> =
            self.told.iter().zip(&self.told[1..]).filter(is_leaving).collect();
        let (_, again) = leavings.iter().rev().find(|(_, next)| next.from < since)?;
        let is_word = |told: &Told| told.standing.tells_of_a_leaving();
        let told = leavings.iter().map(|(told, _)| if is_word(told) { told.from } else { told.until }).min();
        Some(TookBack {
            at: again.from,
            by_silence: !leavings.iter().any(|(told, _)| is_word(told)),
            since: told.filter(|_| leavings.iter().all(|(told, _)| told.standing.end.is_none())),
        })
    }

    /// Since when it tells this last day: one that is told again, or after a time in which they were not listed, is the one that was told
    /// before.
    pub fn told_end_since(&self, end: Timestamp) -> Option<Timestamp> {
        let told = self.told.iter().rev().take_while(|told| told.standing.end == Some(end));
        told.last().map(|told| told.from)
    }
}
