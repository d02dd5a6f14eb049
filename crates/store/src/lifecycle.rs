//! What a snapshot knows of before: what our actions closed and nobody has opened since, which credentials were replaced,
//! who has come back, and what was said of identities.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use leasehold_model::id::EpochId;
use leasehold_model::identity::{Identity, LifecycleState};
use leasehold_model::snapshot::{FormerIdentity, Snapshot};

use crate::db::{Tx, fetch_all, for_each_row, from_json, instant, micros};
use crate::error::{Result, StoreError};
use crate::snapshot::{Place, Places};
use crate::store::Store;
use crate::told::{self, Edges};
use crate::waiting;

/// Accounts and credentials whose last state that let anybody in ended by an action of ours.
pub(crate) async fn read_closed(
    tx: &mut Tx,
    epoch: i64,
    snapshot: &mut Snapshot,
    places: &Places,
) -> Result<()> {
    let mut credentials: Vec<(String, u32, EpochId)> = Vec::new();
    for_each_row!(
        tx,
        (i64, i64, i64, String, String),
        "SELECT closed.system, closed.object, closed.epoch, object.class, object.key
         FROM closed_object AS closed
         JOIN object ON object.system = closed.system AND object.id = closed.object
         WHERE closed.epoch <= $1 AND NOT EXISTS (
             SELECT 1 FROM state_interval AS later WHERE later.system = closed.system
             AND later.object = closed.object AND later.aspect = 'state'
             AND later.since > closed.epoch AND later.since <= $1
             AND (later.body LIKE '%\"enabled\":true%' OR later.body LIKE '%\"active\":true%'))
         ORDER BY closed.epoch",
        [epoch],
        |(system, object, epoch, class, key)| {
            let at = snapshot.ended_at(EpochId(epoch)).unwrap_or(Timestamp::UNIX_EPOCH);
            match places.get(system, object) {
                Place::Account(position) => {
                    snapshot.closed.insert(position, at);
                }
                Place::Nowhere if class == "credential" => {
                    credentials.push((key, places.system(system)?, EpochId(epoch)));
                }
                Place::Nowhere | Place::Entitlement(_) => {}
            }
        }
    );
    if credentials.is_empty() {
        return Ok(());
    }
    let positions = credential_positions(snapshot);
    let mut stopped = Vec::new();
    for (key, system, epoch) in &credentials {
        if let Some(position) = positions.get(&(*system, key.as_str())) {
            stopped.push((*position, snapshot.ended_at(*epoch).unwrap_or(Timestamp::UNIX_EPOCH)));
        }
    }
    snapshot.stopped = stopped.into_iter().collect();
    Ok(())
}

/// What was told of identities before: who is listed and had left before, because their source said so, their last day for them
/// passed, or it ceased to list them for a time; and since when those are gone who are.
pub(crate) async fn read_former(
    tx: &mut Tx,
    epoch: i64,
    snapshot: &mut Snapshot,
    places: &Places,
    gone: Vec<Gone>,
) -> Result<()> {
    let wanted: HashSet<(i64, i64)> = gone.iter().map(|gone| gone.row).collect();
    let mut former: HashMap<(i64, i64), Vec<Former>> = HashMap::new();
    let mut away: HashSet<(i64, i64)> = HashSet::new();
    let mut edges = Edges::among(snapshot);
    for_each_row!(
        tx,
        (i64, i64, i64, i64, i64, String, i64),
        "SELECT was.system, was.object, was.present_since, was.since, was.until, was.body, was.again FROM (
             SELECT was.system, was.object, was.present_since, was.since, was.until, was.body, (
                 SELECT MIN(next.since) FROM state_interval AS next WHERE next.system = was.system
                 AND next.object = was.object AND next.aspect = 'state' AND next.since >= was.until) AS again
             FROM object CROSS JOIN state_interval AS was
             WHERE object.class = 'identity' AND was.system = object.system AND was.object = object.id
             AND was.aspect = 'state' AND was.until <= $1 AND EXISTS (
                 SELECT 1 FROM state_interval AS later WHERE later.system = was.system AND later.object = was.object
                 AND later.aspect = 'state' AND later.since >= was.until AND later.since <= $1)
         ) AS was
         WHERE was.again > was.until OR was.body LIKE '%\"state\":\"left\"%' OR was.body LIKE '%\"state\":\"suspended\"%'
             OR was.body LIKE '%\"end\":\"%'",
        [epoch],
        |(system, object, came, told, until, body, again)| {
            let identity: Identity = from_json("an identity", &body)?;
            let at = |epoch: i64| snapshot.ended_at(EpochId(epoch)).unwrap_or(Timestamp::UNIX_EPOCH);
            let (until_at, is_gap) = (at(until), again > until);
            if is_gap || identity.has_left(until_at) {
                away.insert((system, object));
            }
            if let Some(edges) = &mut edges {
                edges.take(&identity, is_gap);
            }
            if wanted.contains(&(system, object)) {
                let (state, end) = (identity.state, identity.end);
                let was = Former { came, told, until, state, end, is_gap };
                former.entry((system, object)).or_default().push(was);
            }
        }
    );
    waiting::read_away(tx, epoch, snapshot, &away).await?;
    let keys = edges.map(|edges| edges.of_several(snapshot)).unwrap_or_default();
    snapshot.feeds = told::read_feeds(tx, epoch, snapshot, places, &keys).await?;
    for gone in gone {
        let mut told_before = former.remove(&gone.row).unwrap_or_default();
        told_before.sort_by_key(|former| former.told);
        gone.date(snapshot, &told_before);
    }
    Ok(())
}

/// What a source told of somebody, from one epoch to another that told something else, or nothing.
struct Former {
    came: i64,
    told: i64,
    until: i64,
    state: LifecycleState,
    end: Option<Timestamp>,
    /// Whether they were not listed after it.
    is_gap: bool,
}

/// Somebody who has left or is suspended by what their source said last.
pub(crate) struct Gone {
    pub whose: Whose,
    /// The system and the object, as they are kept.
    pub row: (i64, i64),
    /// The epoch since which they are listed without a break, up to what was told last.
    pub came: i64,
    /// The epoch that told that first which was told last.
    pub told: i64,
    /// Where the source said that they stand, and its last day for them.
    pub state: LifecycleState,
    pub end: Option<Timestamp>,
}

/// Whom it is about, by their position.
#[derive(Clone, Copy)]
pub(crate) enum Whose {
    /// In [`Snapshot::identities`].
    Known(usize),
    /// In [`Snapshot::dropped`].
    Dropped(usize),
}

impl Gone {
    /// Somebody who is listed, where they are gone since before it was told last or since then.
    pub fn of(
        identity: &Identity,
        whose: Whose,
        row: (i64, i64),
        (came, told): (i64, i64),
        snapshot: &Snapshot,
    ) -> Option<Self> {
        let told_at = snapshot.ended_at(EpochId(told))?;
        let is_gone = identity.has_left(told_at) || identity.state == LifecycleState::Suspended;
        let (state, end) = (identity.state, identity.end);
        is_gone.then_some(Self { whose, row, came, told, state, end })
    }

    /// Since when they are gone without a break, whatever else was told of them since: a title that changes makes nobody leave anew,
    /// nor does one more word for it, nor being listed again as one who has left. Who is said to have left is not here until the end of
    /// a contract, and a last day stays one that nobody repeats.
    fn date(self, snapshot: &mut Snapshot, told_before: &[Former]) {
        let at = |epoch: i64| snapshot.ended_at(EpochId(epoch)).unwrap_or(Timestamp::MAX);
        let ended_by = |end: Option<Timestamp>, epoch: i64| end.is_some_and(|end| end <= at(epoch));
        let is_suspended = self.state == LifecycleState::Suspended && !ended_by(self.end, self.told);
        let is_said = |state: LifecycleState| {
            state == if is_suspended { LifecycleState::Suspended } else { LifecycleState::Left }
        };
        // Going back: the epoch since which they are gone, by which words, and which last day was told last.
        let (mut since, mut came, mut state, mut end) = (self.told, self.came, self.state, self.end);
        let mut last_day = self.end;
        for former in told_before.iter().rev() {
            let was_here_before = !is_said(state) && !ended_by(end, since);
            let is_again = since == came && former.is_gap && !is_suspended;
            if was_here_before || !(former.until == since || is_again) {
                break;
            }
            if former.until != since {
                // Who was not listed in between had left by that.
                (since, state, end) = (former.until, LifecycleState::Left, None);
            }
            if !is_said(former.state) && (is_suspended || !ended_by(former.end, former.until)) {
                break;
            }
            (since, came, state, end) = (former.told, former.came, former.state, former.end);
            last_day = last_day.or(end);
        }
        if self.state == LifecycleState::Left {
            let by_words = state == LifecycleState::Left;
            let gone_at = end.filter(|_| !by_words).map_or(at(since), |end| end.max(at(since)));
            last_day = last_day.map(|last_day| last_day.min(gone_at));
        } else {
            last_day = self.end;
        }
        let (identity, told) = match self.whose {
            Whose::Known(position) => {
                (&mut snapshot.identities[position].1, &mut snapshot.identity_since[position])
            }
            Whose::Dropped(position) => {
                let dropped = &mut snapshot.dropped[position];
                (&mut dropped.identity, &mut dropped.since)
            }
        };
        (identity.end, *told) = (last_day, EpochId(since));
    }
}

/// Credentials that have a successor, as it was known at an instant.
pub(crate) async fn read_replaced(tx: &mut Tx, at: Option<Timestamp>, snapshot: &mut Snapshot) -> Result<()> {
    let rows = fetch_all!(
        tx,
        (String, String, i64),
        "SELECT system, credential, revoke_at FROM replaced_credential WHERE replaced_at <= $1",
        micros(at.unwrap_or(Timestamp::MAX))
    )?;
    if rows.is_empty() {
        return Ok(());
    }
    let systems: HashMap<&str, u32> =
        (0u32..).zip(&snapshot.systems).map(|(position, state)| (state.name.as_str(), position)).collect();
    let positions = credential_positions(snapshot);
    let mut replaced = Vec::new();
    for (system, credential, revoke_at) in &rows {
        let system = systems.get(system.as_str());
        let found = system.and_then(|system| positions.get(&(*system, credential.as_str())));
        if let Some(position) = found {
            replaced.push((*position, instant(*revoke_at)?));
        }
    }
    drop(positions);
    drop(systems);
    snapshot.replaced = replaced.into_iter().collect();
    Ok(())
}

/// By the position of the system, and the key.
fn credential_positions(snapshot: &Snapshot) -> HashMap<(u32, &str), u32> {
    (0u32..)
        .zip(&snapshot.credentials)
        .map(|(position, credential)| {
            let system = snapshot.accounts[credential.account as usize].system;
            ((system, credential.credential.key.as_str()), position)
        })
        .collect()
}

impl Store {
    /// Adds to a snapshot what was said since an instant of identities of which something else was said later. Asked for
    /// apart, because few need it and a source that tells something new of everybody every day makes it large.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where a stored fact does not read back.
    pub async fn add_former_identities(&self, snapshot: &mut Snapshot, since: Timestamp) -> Result<()> {
        let ended = |(epoch, ended_at): (&EpochId, &Timestamp)| (*ended_at >= since).then_some(epoch.0);
        let Some(first) = snapshot.epoch_ended_at.iter().find_map(ended) else { return Ok(()) };
        let last = snapshot.epoch_ended_at.keys().next_back().map_or(first, |epoch| epoch.0);
        let position = |position: usize| {
            u32::try_from(position).map_err(|error| StoreError::corrupt("an identity", error))
        };
        let mut positions: HashMap<(&str, String), u32> = HashMap::new();
        for (index, (system, identity)) in snapshot.identities.iter().enumerate() {
            positions.insert((snapshot.system(*system).as_str(), identity.key.folded()), position(index)?);
        }
        let mut former = Vec::new();
        let mut tx = self.db.read().await?;
        for_each_row!(
            &mut tx,
            (String, i64, String),
            "SELECT system.name, gone.until, gone.body
             FROM object CROSS JOIN state_interval AS gone JOIN system ON system.id = gone.system
             WHERE object.class = 'identity' AND gone.system = object.system AND gone.object = object.id
             AND gone.aspect = 'state' AND gone.until >= $1 AND gone.until <= $2",
            [first, last],
            |(system, until, body)| {
                let was: Identity = from_json("an identity", &body)?;
                let found = positions.get(&(system.as_str(), was.key.folded())).copied();
                if let (Some(identity), Some(until)) = (found, snapshot.ended_at(EpochId(until))) {
                    former.push(FormerIdentity { identity, was, until });
                }
            }
        );
        drop(positions);
        snapshot.former_identities = former;
        Ok(())
    }
}
