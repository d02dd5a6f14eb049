//! What one feed has told of somebody until an instant.

use jiff::{SignedDuration, Timestamp};
use leasehold_model::feed::{RESCINDED_WITHIN, Told};
use leasehold_model::identity::LifecycleState;

/// What feeds told that were read for the first time within this time of each other does not say what was so before.
const FIRST_READINGS_WITHIN: SignedDuration = SignedDuration::from_hours(24);

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
pub(super) struct TakenBack {
    /// Since when it told it.
    pub since: Timestamp,
    /// Since when it tells it no more.
    pub at: Timestamp,
    /// It told it only by not listing them.
    pub by_silence: bool,
    /// It told a last day: that there is none is its own word, and takes back what others said of one before.
    pub had_end: bool,
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

    /// Whether it began or ceased to say something at an instant, or that is a last day that it told.
    pub fn has_changed_at(&self, at: Timestamp) -> bool {
        let is_it = |told: &Told| [Some(told.from), Some(told.until), told.standing.end].contains(&Some(at));
        self.told.iter().any(is_it)
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

    /// Whether it was read for the first time together with another feed, and what both said then tells no order.
    pub fn was_first_read_with(&self, other: &Self) -> bool {
        let between =
            self.first_read_at.zip(other.first_read_at).map(|(one, other)| one.duration_since(other));
        between.is_some_and(|between| between.abs() < FIRST_READINGS_WITHIN)
    }

    /// Whether it said just before an instant that they were here.
    pub fn had_here_before(&self, at: Timestamp) -> bool {
        let before = at.saturating_sub(SignedDuration::from_micros(1)).unwrap_or(at);
        let is_then = |told: &&Told| told.from <= before && before < told.until;
        self.told.iter().find(is_then).is_some_and(|told| {
            !told.standing.is_state_unsaid && told.waits_until() <= before && !told.standing.has_left(before)
        })
    }

    /// Whether it ceased to list them whom it had only announced.
    pub fn only_announced(&self) -> bool {
        !self.is_listing() && self.told.iter().all(|told| told.waits_until() == told.until)
    }

    /// Whether they had left by its last word when it ceased to list them.
    pub fn fell_silent_about_a_leaver(&self) -> bool {
        let last = self.last();
        !self.is_listing() && !last.standing.is_state_unsaid && last.standing.has_left(last.until)
    }

    /// Since when they are here by it, where that is known: the time that began after a first day that was to come, or after they were not
    /// here for longer than a mistake lasts.
    pub fn has_here_since(&self) -> Option<Timestamp> {
        let (mut since, mut here_until) = (None, None::<Timestamp>);
        for told in self.told {
            let from = told.waits_until();
            let until = told.standing.end.map_or(told.until, |end| end.min(told.until));
            if told.standing.state == LifecycleState::Left || from >= until || from > self.at {
                continue;
            }
            let is_new = match here_until {
                None => !self.is_of_first_reading(Some(from)),
                Some(here_until) => from.duration_since(here_until) > RESCINDED_WITHIN,
            };
            if is_new || told.from < from {
                since = Some(from);
            }
            here_until = Some(until);
        }
        since
    }

    /// The leavings that it told before it told what it tells since an instant, and took back, in their order: by words, by not listing them, or by
    /// one after the other.
    pub fn taken_back(&self, before: Timestamp) -> impl DoubleEndedIterator<Item = TakenBack> {
        let mut all: Vec<TakenBack> = Vec::new();
        let mut open: Option<TakenBack> = None;
        let mut listed_until: Option<Timestamp> = None;
        for told in self.told {
            if let Some(listed_until) = listed_until.filter(|listed_until| *listed_until < told.from) {
                let silence =
                    TakenBack { since: listed_until, at: told.from, by_silence: true, had_end: false };
                open = open.or(Some(silence));
            }
            listed_until = Some(told.until);
            if told.standing.tells_of_a_leaving() {
                let word = TakenBack { since: told.from, at: told.from, by_silence: false, had_end: false };
                let open = open.get_or_insert(word);
                open.by_silence = false;
                open.had_end |= told.standing.end.is_some();
            } else if let Some(open) = open.take() {
                all.push(TakenBack { at: told.from, ..open });
            }
        }
        all.into_iter().filter(move |taken_back| taken_back.at < before)
    }

    /// Since when it tells this last day: one that is told again, or after a time in which they were not listed, is the one that was told
    /// before.
    pub fn told_end_since(&self, end: Timestamp) -> Option<Timestamp> {
        let told = self.told.iter().rev().take_while(|told| told.standing.end == Some(end));
        told.last().map(|told| told.from)
    }
}
