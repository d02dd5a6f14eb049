//! What each feed says of somebody, and whether what it says of their first and last day counts beside the others.

use jiff::Timestamp;
use leasehold_model::feed::{Feeds, TookBack};
use leasehold_model::id::SystemName;
use leasehold_model::identity::{Identity, LifecycleState};
use leasehold_model::snapshot::Snapshot;

use super::{Precedence, Precedences};

/// What one feed says of an identity.
#[derive(Clone)]
pub(super) struct Voice<'snapshot> {
    pub system: u32,
    pub name: &'snapshot SystemName,
    pub precedence: &'snapshot Precedence,
    pub identity: &'snapshot Identity,
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
    /// Since when it says so.
    pub said_at: Option<Timestamp>,
    /// Whether it said so when the feed was read for the first time, …
    pub is_first: bool,
    /// … and no other feed had listed them as here before.
    pub is_history: bool,
}

impl Voice<'_> {
    /// Whether it says that they are here at an instant, beyond listing them.
    pub fn has_here(&self, now: Timestamp) -> bool {
        says_here(self.identity, now)
    }

    /// How early it is believed about an attribute, the first first.
    pub fn rank(&self, attribute: &str) -> (u32, &SystemName) {
        (self.precedence.about(attribute), self.name)
    }
}

fn says_here(identity: &Identity, now: Timestamp) -> bool {
    let has_begun = identity.start.is_none_or(|start| start <= now);
    let is_said = !identity.unsaid.state && identity.state != LifecycleState::PreHire;
    is_said && has_begun && !identity.has_left(now)
}

/// What each feed says of an identity that stands at these positions.
pub(super) fn voices<'a>(
    snapshot: &'a Snapshot,
    positions: &[usize],
    feeds: &Feeds,
    precedences: &'a Precedences,
    now: Timestamp,
) -> Vec<Voice<'a>> {
    let precedence = |position: usize| precedences.of_system(snapshot.identities[position].0);
    let rank = |position: usize| {
        (precedence(position).about("end_date"), snapshot.system(snapshot.identities[position].0))
    };
    // Who is believed first of all about who is here says by their silence that somebody left; nobody else does.
    let is_alone_first = |position: usize| {
        let of = |position: usize| precedence(position).about("status");
        positions.iter().all(|other| *other == position || of(position) < of(*other))
    };
    let taken_back_at = |position: usize| {
        let took_back = feeds.took_back.get(&position)?;
        (!took_back.by_silence || is_alone_first(position)).then_some(took_back.at)
    };
    let end_told = |position: usize| {
        snapshot.identities[position].1.end?;
        Some(feeds.end_told.get(&position).copied().unwrap_or(snapshot.identity_since[position]))
    };
    let came =
        |position: usize| *snapshot.identity_came.get(position).unwrap_or(&snapshot.identity_since[position]);
    let overrules = |position: usize, other: usize| {
        let Some(told) = end_told(other) else { return false };
        let since = feeds.took_back.get(&position).and_then(|took_back| took_back.since);
        let is_echo = since.is_none_or(|since| told >= since);
        rank(position) < rank(other) && is_echo && taken_back_at(position).is_some_and(|at| told < at)
    };
    // What stood in a feed when it was read first does not tell since when.
    let history = |position: usize| {
        let (system, identity) = &snapshot.identities[position];
        let mut histories = feeds.histories.get(&identity.key.folded())?.iter();
        histories.find(|history| history.system == *system)
    };
    let came_at = |position: usize| {
        if let Some(history) = history(position) {
            return history.has_here_since(now);
        }
        let first = snapshot.systems[snapshot.identities[position].0 as usize].first;
        snapshot.ended_at(came(position)).filter(|_| first != Some(came(position)))
    };
    // A time here that began when the one of a feed that is believed later was over: the earlier one's last day is not its.
    let follows = |position: usize, other: usize| {
        let (identity, Some(end)) = (&snapshot.identities[position].1, snapshot.identities[other].1.end)
        else {
            return false;
        };
        let is_new = identity.start.is_some_and(|start| end == start || end < start && end <= now)
            || came_at(position).is_some_and(|came_at| end <= came_at);
        rank(position) < rank(other) && is_new && !identity.unsaid.state
    };
    let is_overruled = |position: usize| {
        positions.iter().any(|other| overrules(*other, position) || follows(*other, position))
    };
    let is_coming = |position: usize| snapshot.identities[position].1.start.is_some_and(|start| start > now);
    let is_announced = |position: usize| {
        let Identity { state, start, .. } = &snapshot.identities[position].1;
        *state == LifecycleState::PreHire && start.is_none_or(|start| start > now)
    };
    let are_here_before = |position: usize| {
        // Who was gone when they were announced is not here by a feed that was not believed then.
        if snapshot.waits_after_leaving.contains(&snapshot.identities[position].1.key.folded()) {
            return false;
        }
        let announced_at = history(position).and_then(|history| history.announced_at(now));
        let were_here = |other: usize| match (announced_at, history(other)) {
            (Some(announced_at), Some(history)) => history.had_here_before(announced_at),
            _ => came(other) < came(position),
        };
        positions.iter().any(|other| says_here(&snapshot.identities[*other].1, now) && were_here(*other))
    };
    let is_superseded = |position: usize| {
        let Some(taken_back) = taken_back_at(position) else { return false };
        let is_newer = |other: usize| end_told(other).is_some_and(|told| told >= taken_back);
        positions.iter().any(|other| is_newer(*other) && !is_overruled(*other))
    };
    let of = |position: usize| {
        let (system, identity) = &snapshot.identities[position];
        let since = snapshot.identity_since[position];
        let said_at = snapshot.ended_at(since);
        let is_first = snapshot.systems[*system as usize].first == Some(since);
        let listed_before = |other: usize| {
            let (of, listed) = &snapshot.identities[other];
            of != system && came(other) < since && said_at.is_some_and(|said_at| !listed.has_left(said_at))
        };
        Voice {
            system: *system,
            name: snapshot.system(*system),
            precedence: precedence(position),
            identity,
            denies_end: match feeds.took_back.get(&position) {
                Some(TookBack { since: None, .. }) if taken_back_at(position).is_some() => true,
                _ => positions.iter().any(|other| overrules(position, *other) || follows(position, *other)),
            },
            yields_end: is_overruled(position) || is_superseded(position),
            is_earlier: positions.iter().any(|other| follows(*other, position)),
            yields_start: is_coming(position) && are_here_before(position),
            yields_status: is_announced(position) && are_here_before(position),
            said_at,
            is_first,
            is_history: is_first && !positions.iter().any(|other| listed_before(*other)),
        }
    };
    positions.iter().map(|position| of(*position)).collect()
}
