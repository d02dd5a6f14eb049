//! What several people feeds told before of the same somebody: how each listed them, and which leavings it told and took back.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use leasehold_model::feed::{FeedHistory, Feeds, ToldLeaving, TookBack};
use leasehold_model::id::EpochId;
use leasehold_model::identity::{Identity, LifecycleState};
use leasehold_model::snapshot::{Dropped, Snapshot};

/// A leaving that a feed told, by a word or by not listing somebody after it, in epochs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Former {
    /// What said so first, and what said something else.
    pub told: i64,
    pub until: i64,
    /// Since when they were listed without a break.
    pub came: i64,
    /// What listed them after it; later than `until` where they were not listed in between.
    pub again: i64,
    end: Option<Timestamp>,
    has_left: bool,
}

impl Former {
    fn is_gap(&self) -> bool {
        self.again > self.until
    }

    fn is_word(&self) -> bool {
        self.has_left || self.end.is_some()
    }
}

/// Leavings by the position of the feed's system and the folded key.
#[derive(Default)]
pub(crate) struct ToldBefore(HashMap<(u32, String), Vec<Former>>);

impl ToldBefore {
    /// None where one source lists everybody: nobody contradicts it.
    pub fn among(snapshot: &Snapshot) -> Option<Self> {
        let first = snapshot.identities.first()?.0;
        snapshot.identities.iter().any(|(system, _)| *system != first).then(Self::default)
    }

    /// What a feed told of somebody, with its epochs: `came`, `told`, `until` and `again`.
    pub fn take(
        &mut self,
        system: u32,
        identity: &Identity,
        (came, told, until, again): (i64, i64, i64, i64),
    ) {
        let (end, has_left) = (identity.end, identity.state == LifecycleState::Left);
        let former = Former { told, until, came, again, end, has_left };
        if former.is_gap() || former.is_word() {
            self.0.entry((system, identity.key.folded())).or_default().push(former);
        }
    }

    /// The same of those who are listed now.
    pub fn finish(mut self, snapshot: &Snapshot) -> Feeds {
        let mut feeds = Feeds::default();
        let mut dropped: HashMap<String, Vec<&Dropped>> = HashMap::new();
        for one in &snapshot.dropped {
            dropped.entry(one.identity.key.folded()).or_default().push(one);
        }
        let mut keys: HashSet<String> = self.0.keys().map(|(_, key)| key.clone()).collect();
        keys.extend(dropped.keys().cloned());
        // Who is gone by the word of one feed may come back by that of another one.
        let tells_of_an_edge = |position: usize, identity: &Identity| {
            let told_at = snapshot.ended_at(snapshot.identity_since[position]);
            let is_coming =
                identity.start.is_some_and(|start| told_at.is_some_and(|told_at| told_at < start));
            let is_edge = matches!(identity.state, LifecycleState::Left | LifecycleState::PreHire);
            is_edge || identity.end.is_some() || is_coming
        };
        for (position, (_, identity)) in snapshot.identities.iter().enumerate() {
            if tells_of_an_edge(position, identity) {
                keys.insert(identity.key.folded());
            }
        }
        let mut listed: HashMap<String, Vec<usize>> = HashMap::new();
        if !keys.is_empty() {
            for (position, (_, identity)) in snapshot.identities.iter().enumerate() {
                let key = identity.key.folded();
                if keys.contains(key.as_str()) {
                    listed.entry(key).or_default().push(position);
                }
            }
        }
        for (key, positions) in listed {
            let is_of_one = positions.len() == 1 && !dropped.contains_key(&key);
            if is_of_one || positions.iter().any(|position| snapshot.departed.contains(position)) {
                continue;
            }
            let mut before = |system: u32| {
                let mut before = self.0.remove(&(system, key.clone())).unwrap_or_default();
                before.sort_unstable();
                before
            };
            let silent = dropped.get(&key).into_iter().flatten();
            let mut histories = Vec::new();
            for dropped in silent {
                let before = before(dropped.system);
                if let Some(took_back) = took_back(&before, dropped.since.0) {
                    feeds.dropped_took_back.insert((dropped.system, key.clone()), took_back);
                }
                histories.push(until_dropped(snapshot, dropped, &before));
            }
            for position in positions {
                let before = before(snapshot.identities[position].0);
                histories.push(history(&mut feeds, snapshot, position, &before));
            }
            feeds.histories.insert(key, histories);
        }
        feeds
    }
}

/// How one feed listed somebody, and what that says of their last day.
fn history(feeds: &mut Feeds, snapshot: &Snapshot, position: usize, before: &[Former]) -> FeedHistory {
    let (system, identity) = &snapshot.identities[position];
    let (came, told) = (snapshot.identity_came[position], snapshot.identity_since[position]);
    let at = |epoch: i64| snapshot.ended_at(EpochId(epoch)).unwrap_or(Timestamp::UNIX_EPOCH);
    let has_left = identity.state == LifecycleState::Left;
    if let Some(end) = identity.end {
        // A last day that is told again, or after a time in which they were not listed, is the one that was told before.
        let mut since = told.0;
        for former in before.iter().rev() {
            if former.again == since && former.end == Some(end) {
                since = former.told;
            }
        }
        feeds.end_told.insert(position, EpochId(since));
    } else if let Some(took_back) = took_back(before, if has_left { told.0 } else { i64::MAX }) {
        feeds.took_back.insert(position, took_back);
    }
    let mut history = listing(snapshot, *system, came.0, before);
    history.tells_status = !identity.unsaid.state || before.iter().any(|former| former.has_left);
    history.start = identity.start;
    if has_left || identity.end.is_some() {
        let told = ToldLeaving { from: at(told.0), until: None, has_left, end: identity.end };
        history.leavings.push(told);
    }
    history
}

/// The last leaving that a feed told and took back before an epoch.
fn took_back(before: &[Former], epoch: i64) -> Option<TookBack> {
    let last = before.iter().rev().find(|former| former.again < epoch)?;
    let by_silence = !before.iter().any(Former::is_word);
    let told = before.iter().map(|former| if former.is_word() { former.told } else { former.until }).min();
    let since = told.filter(|_| before.iter().all(|former| former.end.is_none())).map(EpochId);
    Some(TookBack { at: EpochId(last.again), by_silence, since })
}

/// How a feed listed somebody whom it lists no longer.
fn until_dropped(snapshot: &Snapshot, dropped: &Dropped, before: &[Former]) -> FeedHistory {
    let mut history = listing(snapshot, dropped.system, dropped.came.0, before);
    let at = |epoch: EpochId| snapshot.ended_at(epoch).unwrap_or(Timestamp::UNIX_EPOCH);
    let (from, until, end) = (at(dropped.since), at(dropped.until), dropped.identity.end);
    if from < until {
        // They had left before, as it told.
        let has_left = end.is_none_or(|end| end <= from);
        history.leavings.push(ToldLeaving { from, until: Some(until), has_left, end });
    }
    history.tells_status = !dropped.identity.unsaid.state;
    history.gaps.push((until, Timestamp::MAX));
    history
}

/// When a feed listed somebody, and which leavings it told before what it tells now.
fn listing(snapshot: &Snapshot, system: u32, came: i64, before: &[Former]) -> FeedHistory {
    let at = |epoch: i64| snapshot.ended_at(EpochId(epoch)).unwrap_or(Timestamp::UNIX_EPOCH);
    let since = before.iter().map(|former| former.came).chain([came]).min().unwrap_or(came);
    let gaps = before.iter().filter(|former| former.is_gap());
    let gaps = gaps.map(|former| (at(former.until), at(former.again))).collect();
    let words = before.iter().filter(|former| former.is_word());
    let leavings = words.map(|former| ToldLeaving {
        from: at(former.told),
        until: Some(at(former.until)),
        has_left: former.has_left,
        end: former.end,
    });
    let leavings = leavings.collect();
    let is_since_first = snapshot.systems[system as usize].first == Some(EpochId(since));
    let (waits, since) = (Vec::new(), at(since));
    FeedHistory { system, since, is_since_first, tells_status: true, start: None, gaps, waits, leavings }
}
