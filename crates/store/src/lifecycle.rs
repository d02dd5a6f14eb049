//! What a snapshot knows of before: what our actions closed and nobody has opened since, which credentials were replaced,
//! who has come back, and what was said of identities.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use leasehold_model::id::EpochId;
use leasehold_model::identity::{Identity, LifecycleState};
use leasehold_model::snapshot::{FormerIdentity, Snapshot};

use crate::db::{Tx, fetch_all, fetch_optional, for_each_row, from_json, instant, micros};
use crate::error::{Result, StoreError};
use crate::snapshot::{Place, Places};
use crate::store::Store;

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

/// Who is listed and had left before: their source said so, its last day for them passed, or it ceased to list them for a time.
pub(crate) async fn read_returned(tx: &mut Tx, epoch: i64, snapshot: &mut Snapshot) -> Result<()> {
    let mut returned = HashSet::new();
    for_each_row!(
        tx,
        (i64, String, bool),
        "SELECT was.until, was.body, is_gap FROM (
             SELECT was.until, was.body, NOT EXISTS (
                 SELECT 1 FROM state_interval AS next WHERE next.system = was.system AND next.object = was.object
                 AND next.aspect = 'state' AND next.since = was.until) AS is_gap
             FROM object CROSS JOIN state_interval AS was
             WHERE object.class = 'identity' AND was.system = object.system AND was.object = object.id
             AND was.aspect = 'state' AND was.until <= $1 AND EXISTS (
                 SELECT 1 FROM state_interval AS later WHERE later.system = was.system AND later.object = was.object
                 AND later.aspect = 'state' AND later.since >= was.until AND later.since <= $1)
         ) AS was
         WHERE is_gap OR was.body LIKE '%\"state\":\"left\"%' OR was.body LIKE '%\"end\":\"%'",
        [epoch],
        |(until, body, is_gap)| {
            let was: Identity = from_json("an identity", &body)?;
            let until = snapshot.ended_at(EpochId(until)).unwrap_or(Timestamp::UNIX_EPOCH);
            if is_gap || was.has_left(until) {
                returned.insert(was.key.folded());
            }
        }
    );
    snapshot.returned = returned;
    Ok(())
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

/// Whether a source says of somebody what ended their access before it said so last.
pub(crate) fn is_gone(identity: &Identity, told_at: Option<Timestamp>) -> bool {
    is_said_to_be_gone(identity)
        || identity.end.is_some_and(|end| told_at.is_some_and(|told_at| end < told_at))
}

fn is_said_to_be_gone(identity: &Identity) -> bool {
    matches!(identity.state, LifecycleState::Left | LifecycleState::Suspended)
}

/// What was last told longer before the newest reading is not looked into.
const TOLD_AGAIN_WITHIN: SignedDuration = SignedDuration::from_hours(24 * 90);

/// Somebody in such a state of whom something else was told before.
pub(crate) struct ToldAgain {
    /// Position in [`Snapshot::identities`].
    pub position: usize,
    pub system: i64,
    pub object: i64,
    /// The epoch in which they came.
    pub came: i64,
    /// The epoch in which what counts now was told first.
    pub told: i64,
}

/// Since when it is told that they are in that state, or that this was their last day, whatever else was told of them since: a title
/// that changes makes nobody leave anew.
pub(crate) async fn date_states(tx: &mut Tx, snapshot: &mut Snapshot, all: Vec<ToldAgain>) -> Result<()> {
    let newest = snapshot.epoch_ended_at.values().next_back().copied().unwrap_or_default();
    let begin = newest.checked_sub(TOLD_AGAIN_WITHIN).unwrap_or(Timestamp::MIN);
    for ToldAgain { position, system, object, came, mut told } in all {
        if snapshot.ended_at(EpochId(told)).is_some_and(|at| at < begin) {
            continue;
        }
        let identity = &snapshot.identities[position].1;
        let (is_said, state) = (is_said_to_be_gone(identity), identity.state);
        let last_day =
            identity.end.filter(|end| snapshot.ended_at(EpochId(told)).is_some_and(|at| *end < at));
        loop {
            let before: Option<(i64, String)> = fetch_optional!(
                tx,
                (i64, String),
                "SELECT since, body FROM state_interval
                 WHERE system = $1 AND object = $2 AND aspect = 'state' AND since >= $3 AND since < $4
                 ORDER BY since DESC LIMIT 1",
                system,
                object,
                came,
                told
            )?;
            let Some((since, body)) = before else { break };
            let before: Identity = from_json("an identity", &body)?;
            let is_of_state = is_said && before.state == state;
            if !(is_of_state || (last_day.is_some() && before.end == last_day)) {
                break;
            }
            told = since;
        }
        snapshot.identity_since[position] = EpochId(told);
    }
    Ok(())
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
