//! What each feed says of somebody, and whether what it says of their first and last day counts beside the others.

use jiff::Timestamp;
use leasehold_model::feed::Standing;
use leasehold_model::id::SystemName;
use leasehold_model::identity::LifecycleState;

use super::Precedence;
use super::told::{TakenBack, ToldUntil};

/// What one feed says of somebody.
#[derive(Clone, Copy)]
pub(super) struct Word<'a> {
    pub system: u32,
    pub name: &'a SystemName,
    pub precedence: &'a Precedence,
    /// Where they stand by it: who is not listed any more has left.
    pub standing: Standing,
    /// Since when it says so.
    pub said_at: Option<Timestamp>,
    pub told: ToldUntil<'a>,
}

impl<'a> Word<'a> {
    /// How early it is believed about an attribute, the first first.
    pub fn rank(&self, attribute: &str) -> (u32, &'a SystemName) {
        (self.precedence.about(attribute), self.name)
    }

    /// Whether it says that they are here at an instant, beyond listing them.
    pub fn has_here(&self, at: Timestamp) -> bool {
        let Standing { state, is_state_unsaid, start, .. } = self.standing;
        let has_begun = start.is_none_or(|start| start <= at);
        let is_said = !is_state_unsaid && state != LifecycleState::PreHire;
        is_said && has_begun && !self.standing.has_left(at)
    }

    /// Since when it tells its last day.
    fn told_end_since(&self) -> Option<Timestamp> {
        self.told.told_end_since(self.standing.end?).or(self.said_at)
    }

    /// Since when they have left by it alone, as far as it told that then; a last day may be told when it is over.
    pub fn gone_since(&self) -> Option<Timestamp> {
        match self.standing.state {
            LifecycleState::Left => self.said_at,
            _ => self.told_end_since().max(self.standing.end),
        }
    }
}

/// A word, and what of it counts.
#[derive(Clone, Copy)]
pub(super) struct Voice<'a> {
    pub word: Word<'a>,
    /// Whether it says that there is no last day: it took one back, or tells of another time that began after the one that ended.
    pub denies_end: bool,
    /// Whether its word of the last day counts after those of all others: it was taken back by one that is believed before it, it is of
    /// an earlier time, or another one has told a new last day since it took back its own.
    pub yields_end: bool,
    /// Whether that is of an earlier time, and nothing to disagree about.
    pub is_earlier: bool,
    /// Whether its word of the first day counts after those of all others: they are here already by one that listed them before.
    pub yields_start: bool,
    /// The same of its word that they are to begin.
    pub yields_status: bool,
    /// Whether it said so when the feed was read for the first time, …
    pub is_first: bool,
    /// … and no other feed had listed them as here before.
    pub is_history: bool,
}

/// What of these words counts at an instant, of one who was gone just before or was not.
pub(super) fn voices<'a>(words: &[Word<'a>], at: Timestamp, was_gone: bool) -> Vec<Voice<'a>> {
    let hearing = Hearing { words, at, was_gone };
    words.iter().map(|word| hearing.voice(word)).collect()
}

/// The words about somebody beside each other.
struct Hearing<'w, 'a> {
    words: &'w [Word<'a>],
    at: Timestamp,
    was_gone: bool,
}

impl<'a> Hearing<'_, 'a> {
    fn voice(&self, word: &Word<'a>) -> Voice<'a> {
        let Standing { state, start, .. } = word.standing;
        let is_coming = start.is_some_and(|start| start > self.at);
        let is_announced = state == LifecycleState::PreHire && (start.is_none() || is_coming);
        let is_here_before = (is_coming || is_announced) && self.is_here_before(word);
        let is_first = word.told.is_of_first_reading(word.said_at);
        let has_taken_back_an_end = self.taken_back(word).iter().any(|taken_back| taken_back.had_end);
        Voice {
            word: *word,
            denies_end: has_taken_back_an_end
                || self.any(|other| self.overrules(word, other) || self.follows(word, other)),
            yields_end: self.is_overruled(word) || self.is_superseded(word),
            is_earlier: self.any(|other| self.follows(other, word)),
            yields_start: is_coming && is_here_before,
            yields_status: is_announced && is_here_before,
            is_first,
            is_history: is_first && !self.any(|other| Self::had_listed_before(word, other)),
        }
    }

    fn any(&self, is_so: impl Fn(&Word<'a>) -> bool) -> bool {
        self.words.iter().any(is_so)
    }

    /// The leavings that a feed took back by a word, or by listing them again: who is believed first of all about who is here says by their
    /// silence that somebody left, and nobody else does.
    fn taken_back(&self, word: &Word<'a>) -> Vec<TakenBack> {
        if word.told.is_listing() && word.standing.end.is_some() {
            return Vec::new();
        }
        let since = word.said_at.filter(|_| word.standing.state == LifecycleState::Left);
        let of = |word: &Word<'a>| word.precedence.about("status");
        let is_alone_first = self.words.iter().all(|other| other.name == word.name || of(word) < of(other));
        let taken_back = word.told.taken_back(since.unwrap_or(Timestamp::MAX));
        taken_back.filter(|taken_back| !taken_back.by_silence || is_alone_first).collect()
    }

    /// Whether a feed has taken back the last day that another one, which is believed later, had told before. Where it had only said that
    /// they left, that is what was told since then.
    fn overrules(&self, word: &Word<'a>, other: &Word<'a>) -> bool {
        let Some(told) = other.told_end_since() else { return false };
        let is_it =
            |taken_back: &TakenBack| told < taken_back.at && (taken_back.had_end || taken_back.since <= told);
        word.rank("end_date") < other.rank("end_date") && self.taken_back(word).iter().any(is_it)
    }

    /// Whether a feed tells of a time here that began when the one of another feed, which is believed later, was over: the earlier one's
    /// last day is not its.
    fn follows(&self, word: &Word<'a>, other: &Word<'a>) -> bool {
        let Some(end) = other.standing.end else { return false };
        let Standing { is_state_unsaid, start, .. } = word.standing;
        let is_new = || {
            start.is_some_and(|start| end == start || end < start && end <= self.at)
                || word.told.has_here_since().is_some_and(|since| end <= since)
        };
        !is_state_unsaid && word.rank("end_date") < other.rank("end_date") && is_new()
    }

    fn is_overruled(&self, word: &Word<'a>) -> bool {
        self.any(|other| self.overrules(other, word) || self.follows(other, word))
    }

    /// Whether others have told a last day since it took back its own.
    fn is_superseded(&self, word: &Word<'a>) -> bool {
        let all = self.taken_back(word);
        let with_an_end = all.iter().rev().find(|taken_back| taken_back.had_end);
        let Some(taken_back) = with_an_end.or(all.last()) else { return false };
        let is_newer = |other: &Word<'a>| other.told_end_since().is_some_and(|told| told >= taken_back.at);
        self.any(|other| is_newer(other) && !self.is_overruled(other))
    }

    /// Whether somebody who is to begin by a feed is here by another one that had them here when that was announced. Who was gone then is
    /// not here by a feed that was not believed.
    fn is_here_before(&self, word: &Word<'a>) -> bool {
        let Some(announced_at) = word.told.announced_at().filter(|_| !self.was_gone) else { return false };
        let is_of_first_reading = word.told.is_of_first_reading(Some(announced_at));
        self.any(|other| {
            let is_known = !(is_of_first_reading && word.told.was_first_read_with(&other.told));
            is_known && other.has_here(self.at) && other.told.had_here_before(announced_at)
        })
    }

    /// Whether another feed listed somebody as here when one began to say what it says.
    fn had_listed_before(word: &Word<'a>, other: &Word<'a>) -> bool {
        let listed = |said_at| other.told.came_at() < said_at && !other.standing.has_left(said_at);
        other.name != word.name && word.said_at.is_some_and(listed)
    }
}
