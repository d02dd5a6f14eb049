//! Many leavers of one feed at once: a feed that went wrong looks just like this, so a person first sees who it is.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use leasehold_model::identity::Identity;
use leasehold_model::plan::{Guard, GuardKind, PlanItem};

use crate::evaluate::Evaluation;

/// Leavers are counted over this time …
const WITHIN: SignedDuration = SignedDuration::from_hours(1);
/// … and where they are more than this share of the feed's people who were here …
pub const SHARE_MAX: f64 = 0.05;
/// … and at least this many, what they hold waits.
pub const COUNT_MIN: u64 = 10;
/// A guard names no more of them; the plan has all.
const NAMES_MAX: usize = 20;

/// A guard for each feed of which too many have left within an hour.
pub(super) fn guards(evaluation: &Evaluation<'_>, items: &[PlanItem]) -> Vec<Guard> {
    let snapshot = evaluation.inputs.snapshot;
    let mut feeds: BTreeMap<u32, Feed<'_>> = BTreeMap::new();
    for (position, (system, _)) in snapshot.identities.iter().enumerate() {
        // Declared and implied identities stand behind those of the feeds.
        let Some(identity) = evaluation.identities.get(position) else { continue };
        let feed = feeds.entry(*system).or_default();
        match left_ago(evaluation, position, identity) {
            None => feed.here += 1,
            Some(ago) if ago <= WITHIN => feed.left.push(identity),
            Some(_) => {}
        }
    }
    let guard = |(system, feed): (u32, Feed<'_>)| {
        let name = snapshot.system(system);
        let settings = evaluation.inputs.policy.guards.get(name);
        let share_max = settings.and_then(|settings| settings.leavers_share_max).unwrap_or(SHARE_MAX);
        let count_min = settings.and_then(|settings| settings.leavers_count_min).unwrap_or(COUNT_MIN);
        let (left, all) = (feed.left.len(), feed.left.len() + feed.here);
        if (left as u64) < count_min || left as f64 <= share_max * all as f64 {
            return None;
        }
        let folded: BTreeSet<String> = feed.left.iter().map(|identity| identity.key.folded()).collect();
        let is_theirs = |item: &&PlanItem| {
            item.verb.takes_away()
                && item.identity.as_ref().is_some_and(|identity| folded.contains(&identity.folded()))
        };
        let holds: Vec<_> = items.iter().filter(is_theirs).map(|item| item.id.clone()).collect();
        if holds.is_empty() {
            return None;
        }
        let mut names: Vec<&str> = feed.left.iter().map(|identity| identity.key.as_str()).collect();
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
                "{left} of {all} people of {name} have left within an hour, more than {:.0} %: {}{more}",
                share_max * 100.0,
                names.join(", ")
            ),
            way_on: format!(
                "if the feed is wrong, mend it and run `leasehold sync {name}`; one who has really left need not wait: \
                 `leasehold offboard IDENTITY`; if all of them have: `leasehold apply --override {}:{name}`",
                kind.as_str()
            ),
            holds,
        })
    };
    feeds.into_iter().filter_map(guard).collect()
}

/// A feed's people.
#[derive(Default)]
struct Feed<'a> {
    here: usize,
    left: Vec<&'a Identity>,
}

/// How long ago an identity left: by its last day, or else by the reading that first said so.
fn left_ago(evaluation: &Evaluation<'_>, position: usize, identity: &Identity) -> Option<SignedDuration> {
    let (snapshot, now) = (evaluation.inputs.snapshot, evaluation.inputs.now);
    if !identity.has_left(now) {
        return None;
    }
    let told = snapshot.identity_since.get(position).and_then(|epoch| snapshot.ended_at(*epoch));
    // A last day that was told late counts from when it was told.
    let left = identity.end.max(told).unwrap_or(now);
    Some(now.duration_since(left))
}
