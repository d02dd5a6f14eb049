//! What sources told of identities before, one word after the other: where they stand, from which first to which last day.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use leasehold_model::feed::{FeedHistory, Feeds, Standing, Told};
use leasehold_model::id::{EpochId, IdentityKey};
use leasehold_model::identity::{Identity, LifecycleState};
use leasehold_model::snapshot::Snapshot;

use crate::db::{Tx, fetch_all, for_each_row, from_json};
use crate::error::Result;
use crate::snapshot::Places;

/// Up to so many are looked up one by one; of more, everybody's rows are read.
const LOOKED_UP_MAX: usize = 5_000;

/// Folded keys of those of whom a source told of a beginning or an end, or whom it did not list for a time.
#[derive(Default)]
pub(crate) struct Edges(HashSet<String>);

impl Edges {
    /// None where one source lists everybody: nobody contradicts it.
    pub fn among(snapshot: &Snapshot) -> Option<Self> {
        let first = snapshot.identities.first()?.0;
        snapshot.identities.iter().any(|(system, _)| *system != first).then(Self::default)
    }

    /// Takes what a source told of somebody before, and whether it did not list them after it.
    pub fn take(&mut self, was: &Identity, is_gap: bool) {
        if is_gap || Standing::of(was).tells_of_a_leaving() {
            self.0.insert(was.key.folded());
        }
    }

    /// Those of whom several feeds tell or told, with those of whom an edge is told now.
    pub fn of_several(mut self, snapshot: &Snapshot) -> HashSet<String> {
        let dropped: HashSet<String> =
            snapshot.dropped.iter().map(|dropped| dropped.identity.key.folded()).collect();
        self.0.extend(dropped.iter().cloned());
        for (position, (_, identity)) in snapshot.identities.iter().enumerate() {
            let told_at = snapshot.ended_at(snapshot.identity_since[position]);
            let is_coming =
                identity.start.is_some_and(|start| told_at.is_some_and(|told_at| told_at < start));
            let standing = Standing::of(identity);
            if is_coming || standing.tells_of_a_leaving() || standing.state == LifecycleState::PreHire {
                self.0.insert(identity.key.folded());
            }
        }
        if self.0.is_empty() {
            return self.0;
        }
        let mut listing: HashMap<String, usize> = HashMap::new();
        for (_, identity) in &snapshot.identities {
            let key = identity.key.folded();
            if self.0.contains(&key) {
                *listing.entry(key).or_default() += 1;
            }
        }
        self.0.retain(|key| listing.get(key).is_some_and(|count| *count > 1 || dropped.contains(key)));
        self.0
    }
}

/// What each feed told of these, by their folded keys.
pub(crate) async fn read_feeds(
    tx: &mut Tx,
    epoch: i64,
    snapshot: &Snapshot,
    places: &Places,
    keys: &HashSet<String>,
) -> Result<Feeds> {
    let mut feeds = Feeds::new();
    if keys.is_empty() {
        return Ok(feeds);
    }
    let mut wanted: HashSet<(i64, i64)> = HashSet::new();
    for_each_row!(
        tx,
        (i64, i64, String),
        "SELECT system, id, key FROM object WHERE class = 'identity' AND system >= $1",
        [0i64],
        |(system, object, key)| {
            if keys.contains(&IdentityKey(key).folded()) {
                wanted.insert((system, object));
            }
        }
    );
    for ((system, _), (key, told)) in read(tx, epoch, snapshot, &wanted).await? {
        let system = places.system(system)?;
        let histories = feeds.entry(key).or_default();
        match histories.iter_mut().find(|history| history.system == system) {
            None => histories.push(FeedHistory { system, told }),
            // A key that was spelled in another case before.
            Some(history) => {
                history.told.extend(told);
                history.told.sort_unstable_by_key(|told| told.from);
                one_word_each(&mut history.told);
            }
        }
    }
    for histories in feeds.values_mut() {
        histories.sort_unstable_by_key(|history| history.system);
    }
    Ok(feeds)
}

/// What was told of these, by system and object: the folded key and each word, in order.
pub(crate) async fn read(
    tx: &mut Tx,
    epoch: i64,
    snapshot: &Snapshot,
    wanted: &HashSet<(i64, i64)>,
) -> Result<HashMap<(i64, i64), (String, Vec<Told>)>> {
    let at = |epoch: i64| snapshot.ended_at(EpochId(epoch)).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut found: HashMap<(i64, i64), (String, Vec<Told>)> = HashMap::with_capacity(wanted.len());
    let mut take = |object: (i64, i64), since: i64, until: Option<i64>, body: &str| -> Result<()> {
        let identity: Identity = from_json("an identity", body)?;
        let until = until.filter(|until| *until <= epoch).map_or(Timestamp::MAX, at);
        let (_, told) = found.entry(object).or_insert_with(|| (identity.key.folded(), Vec::new()));
        told.push(Told { from: at(since), until, standing: Standing::of(&identity) });
        Ok(())
    };
    if wanted.len() > LOOKED_UP_MAX {
        for_each_row!(
            tx,
            (i64, i64, i64, Option<i64>, String),
            "SELECT state.system, state.object, state.since, state.until, state.body
             FROM object CROSS JOIN state_interval AS state
             WHERE object.class = 'identity' AND state.system = object.system AND state.object = object.id
             AND state.aspect = 'state' AND state.since <= $1
             ORDER BY state.system, state.object, state.since",
            [epoch],
            |(system, object, since, until, body)| {
                if wanted.contains(&(system, object)) {
                    take((system, object), since, until, &body)?;
                }
            }
        );
    } else {
        for (system, object) in wanted {
            let rows = fetch_all!(
                tx,
                (i64, Option<i64>, String),
                "SELECT since, until, body FROM state_interval
                 WHERE system = $1 AND object = $2 AND aspect = 'state' AND since <= $3 ORDER BY since",
                *system,
                *object,
                epoch
            )?;
            for (since, until, body) in &rows {
                take((*system, *object), *since, *until, body)?;
            }
        }
    }
    for (_, told) in found.values_mut() {
        one_word_each(told);
    }
    Ok(found)
}

/// A row that changes without another word about where somebody stands tells nothing new of that.
fn one_word_each(told: &mut Vec<Told>) {
    told.dedup_by(|next, told| {
        let is_alike = next.standing == told.standing && next.from == told.until;
        if is_alike {
            told.until = next.until;
        }
        is_alike
    });
}
