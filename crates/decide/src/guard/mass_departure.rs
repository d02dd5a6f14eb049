//! Many of one feed who leave, are suspended or are not to have begun yet, at once: a feed that went wrong looks just like this, so a
//! person first sees who it is.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::{SignedDuration, Timestamp};
use leasehold_model::id::IdentityKey;
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState};
use leasehold_model::plan::{Guard, GuardKind, PlanItem};

use crate::evaluate::Evaluation;

/// Who may hold nothing any more is counted over this time, …
const WITHIN: SignedDuration = SignedDuration::from_hours(1);
/// … and where they are more than this share of the feed's people who were here …
pub const SHARE_MAX: f64 = 0.05;
/// … and at least this many, what they hold waits.
pub const COUNT_MIN: u64 = 10;
/// More than this many wait, however large the feed is.
pub const COUNT_MAX: u64 = 1_000;
/// Where most of a feed's people go, …
const MOST: f64 = 0.5;
/// … it takes no more than these: a small feed goes wrong, too.
const COUNT_MIN_OF_MOST: u64 = 3;
/// A guard names no more of them; the plan has all.
const NAMES_MAX: usize = 20;

/// A guard for each feed by whose word too many may hold nothing any more within an hour. It holds until a person decides, however long ago that hour
/// is.
pub(super) fn guards(evaluation: &Evaluation<'_>, items: &[PlanItem]) -> Vec<Guard> {
    let snapshot = evaluation.inputs.snapshot;
    let now = evaluation.inputs.now;
    let losing: HashSet<String> = items
        .iter()
        .filter(|item| item.verb.takes_away())
        .filter_map(|item| Some(item.identity.as_ref()?.folded()))
        .collect();
    let mut feeds: BTreeMap<u32, Feed<'_>> = BTreeMap::new();
    for (position, (_, listed)) in snapshot.identities.iter().enumerate() {
        // Declared and implied identities stand behind those of the feeds.
        let Some(identity) = evaluation.identities.get(position) else { continue };
        let Some(system) = snapshot.told_by(position) else { continue };
        let feed = feeds.entry(system).or_default();
        // Who is new holds nothing yet; who does was here.
        let is_put_off =
            || listed.state_at(now) == LifecycleState::PreHire && losing.contains(&identity.key.folded());
        let went_at = if snapshot.offboarded.contains(&position) {
            feed.here += 1;
            continue;
        } else if identity.has_left(now) {
            left_at(evaluation, position, identity)
        } else if listed.state == LifecycleState::Suspended {
            // As the feed says it: whom a person stopped here is no news of a feed.
            told_at(evaluation, position)
        } else if is_put_off() {
            feed.put_off.extend(told_at(evaluation, position).map(|at| (at, identity)));
            continue;
        } else {
            feed.here += 1;
            continue;
        };
        feed.gone.extend(went_at.map(|at| (at, identity)));
    }
    feeds.into_iter().filter_map(|(system, feed)| guard(evaluation, system, feed, items)).collect()
}

fn guard(evaluation: &Evaluation<'_>, system: u32, feed: Feed<'_>, items: &[PlanItem]) -> Option<Guard> {
    let name = evaluation.inputs.snapshot.system(system);
    let settings = evaluation.inputs.policy.guards.get(name);
    let (mut bounds, set_to) = (Bounds::default(), settings.and_then(|settings| settings.leavers_count_min));
    bounds.share_max = settings.and_then(|settings| settings.leavers_share_max).unwrap_or(bounds.share_max);
    bounds.count_min = set_to.unwrap_or(bounds.count_min);
    bounds.count_min_of_most = set_to.unwrap_or(bounds.count_min_of_most);
    bounds.count_max = settings.and_then(|settings| settings.leavers_count_max).unwrap_or(bounds.count_max);
    let (gone, all) = feed.too_many(&bounds)?;
    let folded: BTreeSet<String> = gone.iter().map(|identity| identity.key.folded()).collect();
    // What they answered for goes with them, and waits with them.
    let is_one = |key: &IdentityKey| folded.contains(&key.folded());
    let is_theirs = |item: &&PlanItem| {
        let Some(key) = item.identity.as_ref().filter(|_| item.verb.takes_away()) else { return false };
        let owned = || {
            let identity = &evaluation.identities[evaluation.identity(key)?.index()];
            identity.owner.clone().filter(|_| identity.kind != IdentityKind::Person)
        };
        is_one(key) || owned().is_some_and(|owner| is_one(&owner))
    };
    let holds: Vec<_> = items.iter().filter(is_theirs).map(|item| item.id.clone()).collect();
    if holds.is_empty() {
        return None;
    }
    let mut names: Vec<&str> = gone.iter().map(|identity| identity.key.as_str()).collect();
    names.sort_unstable();
    let more = match names.len().saturating_sub(NAMES_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    names.truncate(NAMES_MAX);
    let kind = GuardKind::MassDeparture;
    Some(Guard {
        name: format!("{}:{name}", kind.as_str()),
        kind,
        system: name.clone(),
        message: format!(
            "{} of {all} people of {name} left, were suspended or put off within an hour, more than {}: {}{more}",
            gone.len(),
            bounds.passed_by(gone.len(), all),
            names.join(", ")
        ),
        way_on: format!(
            "if the feed is wrong, mend it and run `leasehold sync {name}`; one who has really left need not wait: \
             `leasehold offboard IDENTITY`; if all of them have: `leasehold apply --override {}:{name}`",
            kind.as_str()
        ),
        holds,
    })
}

/// How many of a feed's people may go within an hour.
struct Bounds {
    share_max: f64,
    count_min: u64,
    count_min_of_most: u64,
    count_max: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            share_max: SHARE_MAX,
            count_min: COUNT_MIN,
            count_min_of_most: COUNT_MIN_OF_MOST,
            count_max: COUNT_MAX,
        }
    }
}

impl Bounds {
    fn are_passed_by(&self, gone: usize, all: usize) -> bool {
        let (count, share) = (gone as u64, gone as f64 / all as f64);
        let is_most = count >= self.count_min_of_most && share > self.share_max.max(MOST);
        let is_large_share = count >= self.count_min.max(1) && share > self.share_max;
        is_most || is_large_share || count > self.count_max
    }

    /// Which of them, in words.
    fn passed_by(&self, gone: usize, all: usize) -> String {
        let is_many = gone as u64 >= self.count_min.min(self.count_min_of_most);
        if is_many && gone as f64 > self.share_max * all as f64 {
            format!("{:.0} %", self.share_max * 100.0)
        } else {
            self.count_max.to_string()
        }
    }
}

/// A feed's people.
#[derive(Default)]
struct Feed<'a> {
    here: usize,
    gone: Vec<(Timestamp, &'a Identity)>,
    /// Who holds something and is said not to have begun yet, with when that was told last.
    put_off: Vec<(Timestamp, &'a Identity)>,
}

impl<'a> Feed<'a> {
    /// Everybody who went in an hour in which too many did, and of how many people that was at most.
    fn too_many(mut self, bounds: &Bounds) -> Option<(Vec<&'a Identity>, usize)> {
        // Since when they are is not known where something else of them was told since: they are taken for put off at once.
        let last = self.put_off.iter().map(|(at, _)| *at).max();
        let put_off = std::mem::take(&mut self.put_off).into_iter();
        self.gone.extend(put_off.filter_map(|(_, identity)| Some((last?, identity))));
        self.gone.sort_by_key(|(at, _)| *at);
        let mut among = vec![false; self.gone.len()];
        let (mut end, mut most) = (0, 0);
        for begin in 0..self.gone.len() {
            while end < self.gone.len() && self.gone[end].0.duration_since(self.gone[begin].0) <= WITHIN {
                end += 1;
            }
            let (gone, all) = (end - begin, self.here + self.gone.len() - begin);
            if bounds.are_passed_by(gone, all) {
                among[begin..end].fill(true);
                most = most.max(all);
            }
        }
        let gone: Vec<&Identity> =
            self.gone.iter().zip(&among).filter(|(_, among)| **among).map(|((_, gone), _)| *gone).collect();
        (!gone.is_empty()).then_some((gone, most))
    }
}

/// When an identity left: by its last day, or by the reading that first said so where that came later. Who had left when the feed
/// was read for the first time is history, and no event.
fn left_at(evaluation: &Evaluation<'_>, position: usize, identity: &Identity) -> Option<Timestamp> {
    let snapshot = evaluation.inputs.snapshot;
    let epoch = snapshot.identity_since.get(position).copied()?;
    let told = snapshot.ended_at(epoch);
    // Of whom a feed says that they have left, a last day that is still to come says nothing.
    let last_day = identity.end.filter(|end| *end <= evaluation.inputs.now);
    if told_first(evaluation, position)? {
        return last_day.filter(|end| told.is_some_and(|told| *end > told));
    }
    last_day.max(told)
}

/// When a feed first said where somebody stands. Who stood there when it was read for the first time is history, too.
fn told_at(evaluation: &Evaluation<'_>, position: usize) -> Option<Timestamp> {
    let snapshot = evaluation.inputs.snapshot;
    let epoch = snapshot.identity_since.get(position).copied()?;
    (!told_first(evaluation, position)?).then(|| snapshot.ended_at(epoch)).flatten()
}

/// Whether a feed said so when it was read for the first time.
fn told_first(evaluation: &Evaluation<'_>, position: usize) -> Option<bool> {
    let snapshot = evaluation.inputs.snapshot;
    let system = snapshot.told_by(position)?;
    if snapshot.identity_news.contains(&position) {
        return Some(false);
    }
    Some(snapshot.systems[system as usize].first == snapshot.identity_since.get(position).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_a_share_or_a_number() {
        let bounds = Bounds::default();
        for (gone, all, expected) in [
            (2, 2, None),
            (3, 5, Some("5 %")),
            (9, 100, None),
            (10, 200, None),
            (11, 200, Some("5 %")),
            (1_000, 100_000, None),
            (1_001, 100_000, Some("1000")),
            (5_001, 100_000, Some("5 %")),
        ] {
            let passed = bounds.are_passed_by(gone, all).then(|| bounds.passed_by(gone, all));
            assert_eq!(passed.as_deref(), expected, "{gone} of {all}");
        }
    }
}
