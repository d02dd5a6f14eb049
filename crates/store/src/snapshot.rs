//! Everything observed, as it stands or as it stood at an instant, read in streams into positions.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use leasehold_model::credential::Credential;
use leasehold_model::id::{EpochId, IdentityKey};
use leasehold_model::identity::{Identity, LifecycleState};
use leasehold_model::snapshot::{
    Dropped, Snapshot, SnapshotAccount, SnapshotCredential, SnapshotEntitlement, SnapshotGrant, Validity,
    VanishedGrant,
};

use crate::db::{Tx, fetch_one, for_each_row, from_json, instant, micros};
use crate::dictionary::Class;
use crate::epoch::Qualifier;
use crate::error::{Result, StoreError};
use crate::history::systems_at;
use crate::lifecycle::{self, Gone, Whose};
use crate::store::Store;

/// Runs the closure with each row of the intervals that held: now, by the indexes of what is open, or at an epoch.
macro_rules! for_each_held {
    ($tx:expr, $at:expr, $row:ty, $before:literal, $after:literal, $take:expr) => {
        match $at {
            None => for_each_row!($tx, $row, concat!($before, "until IS NULL ", $after), [], |row| {
                $take(row)?;
            }),
            Some(epoch) => for_each_row!(
                $tx,
                $row,
                concat!($before, "since <= $1 AND (until IS NULL OR until > $1) ", $after),
                [epoch],
                |row| {
                    $take(row)?;
                }
            ),
        }
    };
}

/// Where an object of the store stands in the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Nowhere,
    Account(u32),
    Entitlement(u32),
}

/// Positions by the store's numbers: dense within each system.
pub(crate) struct Places {
    systems: Vec<Vec<Place>>,
    /// The snapshot's position of each system, by the store's number.
    system_positions: Vec<Option<u32>>,
}

impl Places {
    pub(crate) fn system(&self, system: i64) -> Result<u32> {
        usize::try_from(system)
            .ok()
            .and_then(|system| self.system_positions.get(system).copied().flatten())
            .ok_or_else(|| StoreError::corrupt("a fact", format!("its system {system} is not there")))
    }

    pub(crate) fn get(&self, system: i64, object: i64) -> Place {
        let system = usize::try_from(system).ok().and_then(|system| self.systems.get(system));
        let place = system.zip(usize::try_from(object).ok()).and_then(|(places, object)| places.get(object));
        place.copied().unwrap_or(Place::Nowhere)
    }

    fn set(&mut self, system: i64, object: i64, place: Place) {
        if let (Ok(system), Ok(object)) = (usize::try_from(system), usize::try_from(object)) {
            let places = &mut self.systems[system];
            if places.len() <= object {
                places.resize(object + 1, Place::Nowhere);
            }
            places[object] = place;
        }
    }

    fn grant(&self, system: i64, account: i64, entitlement: i64) -> Option<(u32, u32)> {
        match (self.get(system, account), self.get(system, entitlement)) {
            (Place::Account(account), Place::Entitlement(entitlement)) => Some((account, entitlement)),
            _ => None,
        }
    }

    fn containment(&self, system: i64, parent: i64, child: i64) -> Option<(u32, u32)> {
        match (self.get(system, parent), self.get(system, child)) {
            (Place::Entitlement(parent), Place::Entitlement(child)) => Some((parent, child)),
            _ => None,
        }
    }
}

impl Store {
    /// Everything observed: as it stands now, or as this store knew it at an instant.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where a stored fact does not read back.
    pub async fn snapshot(&self, at: Option<Timestamp>) -> Result<Snapshot> {
        let mut tx = self.db.read().await?;
        let tx = &mut tx;
        let (epoch,) = match at {
            None => fetch_one!(tx, (i64,), "SELECT epoch FROM head")?,
            Some(at) => fetch_one!(
                tx,
                (i64,),
                "SELECT COALESCE(MAX(id), 0) FROM epoch WHERE ended_at <= $1",
                micros(at)
            )?,
        };
        let asked = at;
        let at = at.map(|_| epoch);
        let mut snapshot = Snapshot::default();
        let mut places = read_systems(tx, epoch, &mut snapshot).await?;
        let mut gone = read_objects(tx, at, &mut snapshot, &mut places).await?;
        gone.extend(read_departed(tx, epoch, &mut snapshot, &places).await?);
        lifecycle::read_former(tx, epoch, &mut snapshot, &places, gone).await?;
        read_owners(tx, at, &mut snapshot, &places).await?;
        read_grants(tx, at, &mut snapshot, &places).await?;
        read_validity(tx, at, &mut snapshot, &places).await?;
        read_containments(tx, at, &mut snapshot, &places).await?;
        read_vanished(tx, epoch, &mut snapshot, &places).await?;
        lifecycle::read_closed(tx, epoch, &mut snapshot, &places).await?;
        lifecycle::read_replaced(tx, asked, &mut snapshot).await?;
        Ok(snapshot)
    }
}

async fn read_systems(tx: &mut Tx, epoch: i64, snapshot: &mut Snapshot) -> Result<Places> {
    let mut places = Places { systems: Vec::new(), system_positions: Vec::new() };
    for (number, state) in systems_at(tx, epoch).await? {
        let number = usize::try_from(number).map_err(|error| StoreError::corrupt("a system", error))?;
        places.systems.resize(number + 1, Vec::new());
        places.system_positions.resize(number + 1, None);
        places.system_positions[number] = Some(position(snapshot.systems.len())?);
        snapshot.systems.push(state);
    }
    for_each_row!(tx, (i64, i64), "SELECT id, ended_at FROM epoch WHERE id <= $1", [epoch], |(
        id,
        ended_at,
    )| {
        snapshot.epoch_ended_at.insert(EpochId(id), instant(ended_at)?);
    });
    Ok(places)
}

async fn read_objects(
    tx: &mut Tx,
    at: Option<i64>,
    snapshot: &mut Snapshot,
    places: &mut Places,
) -> Result<Vec<Gone>> {
    let mut credentials: Vec<(u32, EpochId, Credential)> = Vec::new();
    let mut gone = Vec::new();
    let mut take =
        |(system, object, class, since, told, body): (i64, i64, String, i64, i64, String)| -> Result<()> {
            let system_position = places.system(system)?;
            let place = match Class::parse(&class)? {
                Class::Identity => {
                    let identity: Identity = from_json("an identity", &body)?;
                    let whose = Whose::Known(snapshot.identities.len());
                    gone.extend(Gone::of(&identity, whose, (system, object), (since, told), snapshot));
                    snapshot.identities.push((system_position, identity));
                    snapshot.identity_since.push(EpochId(told));
                    snapshot.identity_came.push(EpochId(since));
                    Place::Nowhere
                }
                Class::Account => {
                    let account = from_json("an account", &body)?;
                    let place = Place::Account(position(snapshot.accounts.len())?);
                    let since = EpochId(since);
                    snapshot.accounts.push(SnapshotAccount { system: system_position, account, since });
                    place
                }
                Class::Credential => {
                    credentials.push((system_position, EpochId(since), from_json("a credential", &body)?));
                    Place::Nowhere
                }
                Class::Entitlement => {
                    let entitlement = from_json("an entitlement", &body)?;
                    let place = Place::Entitlement(position(snapshot.entitlements.len())?);
                    snapshot.entitlements.push(SnapshotEntitlement { system: system_position, entitlement });
                    place
                }
            };
            places.set(system, object, place);
            Ok(())
        };
    for_each_held!(
        tx,
        at,
        (i64, i64, String, i64, i64, String),
        "SELECT state.system, state.object, object.class, state.present_since, state.since, state.body
         FROM state_interval AS state JOIN object ON object.system = state.system AND object.id = state.object
         WHERE state.aspect = 'state' AND ",
        "ORDER BY state.system, state.object",
        take
    );
    place_credentials(snapshot, credentials);
    Ok(gone)
}

/// Finds the account of each credential. One whose account was read back as gone is gone with it.
fn place_credentials(snapshot: &mut Snapshot, credentials: Vec<(u32, EpochId, Credential)>) {
    if credentials.is_empty() {
        return;
    }
    let systems: HashSet<u32> = credentials.iter().map(|(system, _, _)| *system).collect();
    let accounts = (0u32..).zip(&snapshot.accounts);
    let positions: HashMap<(u32, &str), u32> = accounts
        .filter(|(_, account)| systems.contains(&account.system))
        .map(|(position, account)| ((account.system, account.account.key.as_str()), position))
        .collect();
    let placed = credentials.into_iter().filter_map(|(system, since, credential)| {
        let account = *positions.get(&(system, credential.account.as_str()))?;
        Some(SnapshotCredential { account, credential, since })
    });
    let mut placed: Vec<SnapshotCredential> = placed.collect();
    placed.sort_by(|left, right| {
        (left.account, &left.credential.key).cmp(&(right.account, &right.credential.key))
    });
    snapshot.credentials = placed;
}

/// Whom a source no longer lists has left: absence was proved by the complete epoch that ended the row (law 3), and an
/// identity that just disappeared would turn its accounts into orphans, which nothing takes down.
async fn read_departed(
    tx: &mut Tx,
    epoch: i64,
    snapshot: &mut Snapshot,
    places: &Places,
) -> Result<Vec<Gone>> {
    // A source that spells a key in another case from one day to the next has lost nobody.
    let listed: HashSet<String> =
        snapshot.identities.iter().map(|(_, identity)| identity.key.folded()).collect();
    let listed_in: HashSet<(u32, String)> =
        snapshot.identities.iter().map(|(system, identity)| (*system, identity.key.folded())).collect();
    let mut departed: BTreeMap<String, BTreeMap<u32, Departed>> = BTreeMap::new();
    let mut dropped: BTreeMap<(u32, String), Departed> = BTreeMap::new();
    // From the few identities to their intervals: accounts and entitlements have many more that ended.
    for_each_row!(
        tx,
        (i64, i64, i64, i64, i64, String),
        "SELECT gone.system, gone.object, gone.present_since, gone.since, gone.until, gone.body
         FROM object CROSS JOIN state_interval AS gone
         WHERE object.class = 'identity' AND gone.system = object.system AND gone.object = object.id
         AND gone.aspect = 'state' AND gone.until IS NOT NULL AND gone.until <= $1 AND NOT EXISTS (
             SELECT 1 FROM state_interval AS later WHERE later.system = gone.system AND later.object = gone.object
             AND later.aspect = 'state' AND later.since >= gone.until AND later.since <= $1)",
        [epoch],
        |(system, object, came, told, until, body)| {
            let identity: Identity = from_json("an identity", &body)?;
            let key = identity.key.folded();
            let position = places.system(system)?;
            let departing = Departed { system: position, row: (system, object), came, told, until, identity };
            if !listed.contains(&key) {
                let by_feed = departed.entry(key).or_default();
                if by_feed.get(&position).is_none_or(|other| other.until < until) {
                    by_feed.insert(position, departing);
                }
            } else if !listed_in.contains(&(position, key.clone())) {
                // Whether that counts is for whoever knows which source is believed first.
                let place = (position, key);
                if dropped.get(&place).is_none_or(|other| other.until < until) {
                    dropped.insert(place, departing);
                }
            }
        }
    );
    let mut gone = Vec::new();
    let mut others = Vec::new();
    for by_feed in departed.into_values() {
        let mut by_feed: Vec<Departed> = by_feed.into_values().collect();
        by_feed.sort_by_key(|departed| departed.until);
        let Some(mut departed) = by_feed.pop() else { continue };
        others.extend(by_feed);
        gone.extend(departed.depart(Whose::Known(snapshot.identities.len()), snapshot));
        snapshot.departed.insert(snapshot.identities.len());
        snapshot.identities.push((departed.system, departed.identity));
        snapshot.identity_since.push(EpochId(departed.told));
        snapshot.identity_came.push(EpochId(departed.came));
    }
    for mut dropped in dropped.into_values().chain(others) {
        gone.extend(dropped.depart(Whose::Dropped(snapshot.dropped.len()), snapshot));
        let (came, until) = (EpochId(dropped.came), EpochId(dropped.until));
        let (system, since) = (dropped.system, EpochId(dropped.told));
        snapshot.dropped.push(Dropped { system, identity: dropped.identity, since, came, until });
    }
    Ok(gone)
}

/// What a source said last of somebody whom it no longer lists.
struct Departed {
    /// Position of the system.
    system: u32,
    /// The system and the object, as they are kept.
    row: (i64, i64),
    /// The epoch since which they were listed.
    came: i64,
    /// The epoch that told it.
    told: i64,
    /// The epoch that showed that they are not listed any more.
    until: i64,
    identity: Identity,
}

impl Departed {
    /// Takes the identity as having left when its source ceased to list it; or before, where the source had said so then, which is to be
    /// dated.
    fn depart(&mut self, whose: Whose, snapshot: &Snapshot) -> Option<Gone> {
        let gone_at = snapshot.ended_at(EpochId(self.until));
        let had_left = gone_at.is_some_and(|gone_at| self.identity.has_left(gone_at));
        let (state, end) = (self.identity.state, self.identity.end);
        self.identity.state = LifecycleState::Left;
        if had_left {
            return Some(Gone { whose, row: self.row, came: self.came, told: self.told, state, end });
        }
        self.identity.end = gone_at.or(end);
        self.told = self.until;
        None
    }
}

async fn read_owners(tx: &mut Tx, at: Option<i64>, snapshot: &mut Snapshot, places: &Places) -> Result<()> {
    let mut take = |(system, object, owner): (i64, i64, String)| -> Result<()> {
        match places.get(system, object) {
            Place::Account(position) => {
                snapshot.account_owners.insert(position, IdentityKey(owner));
            }
            Place::Entitlement(position) => {
                snapshot.entitlement_owners.insert(position, IdentityKey(owner));
            }
            Place::Nowhere => return Err(unplaced("an owner", system, object)),
        }
        Ok(())
    };
    for_each_held!(
        tx,
        at,
        (i64, i64, String),
        "SELECT system, object, body FROM state_interval WHERE aspect = 'owner' AND ",
        "",
        take
    );
    Ok(())
}

async fn read_grants(tx: &mut Tx, at: Option<i64>, snapshot: &mut Snapshot, places: &Places) -> Result<()> {
    // One row an account, because a row through the driver costs ten times what a pair in its text costs.
    let mut take = |(system, account, list): (i64, i64, String)| -> Result<()> {
        let first = snapshot.grants.len();
        for text in list.split(',') {
            let (entitlement, since) = grant_of_list(text)
                .ok_or_else(|| StoreError::corrupt("a list of grants", format!("`{text}`")))?;
            let (account, entitlement) = places
                .grant(system, account, entitlement)
                .ok_or_else(|| unplaced("a grant", system, account))?;
            snapshot.grants.push(SnapshotGrant { account, entitlement, since });
        }
        snapshot.grants[first..].sort_unstable();
        Ok(())
    };
    for_each_held!(
        tx,
        at,
        (i64, i64, String),
        "SELECT system, account, string_agg(CAST(entitlement AS TEXT) || ':' || CAST(since AS TEXT), ',')
         FROM grant_interval WHERE ",
        "GROUP BY system, account ORDER BY system, account",
        take
    );
    Ok(())
}

/// `entitlement:since`.
fn grant_of_list(text: &str) -> Option<(i64, u32)> {
    let (entitlement, since) = text.split_once(':')?;
    Some((entitlement.parse().ok()?, since.parse().ok()?))
}

async fn read_validity(tx: &mut Tx, at: Option<i64>, snapshot: &mut Snapshot, places: &Places) -> Result<()> {
    let Snapshot { grants, validity, options, .. } = snapshot;
    let mut take = |(system, account, entitlement, body): (i64, i64, i64, String)| -> Result<()> {
        let qualifier: Qualifier = from_json("a grant's validity", &body)?;
        let pair = places.grant(system, account, entitlement);
        let found = pair.and_then(|pair| {
            grants.binary_search_by_key(&pair, |grant| (grant.account, grant.entitlement)).ok()
        });
        let place = found.ok_or_else(|| unplaced("a grant's validity", system, account))?;
        let place = position(place)?;
        options.extend(qualifier.options.map(|words| (place, words)));
        if qualifier.valid_from.is_some() || qualifier.valid_until.is_some() {
            validity.insert(place, Validity { from: qualifier.valid_from, until: qualifier.valid_until });
        }
        Ok(())
    };
    for_each_held!(
        tx,
        at,
        (i64, i64, i64, String),
        "SELECT system, account, entitlement, body FROM grant_qualifier WHERE ",
        "",
        take
    );
    Ok(())
}

async fn read_containments(
    tx: &mut Tx,
    at: Option<i64>,
    snapshot: &mut Snapshot,
    places: &Places,
) -> Result<()> {
    let mut take = |(system, parent, child): (i64, i64, i64)| -> Result<()> {
        let pair = places
            .containment(system, parent, child)
            .ok_or_else(|| unplaced("a containment", system, parent))?;
        snapshot.containments.push(pair);
        Ok(())
    };
    for_each_held!(
        tx,
        at,
        (i64, i64, i64),
        "SELECT system, parent, child FROM containment_interval WHERE ",
        "ORDER BY system, parent, child",
        take
    );
    Ok(())
}

/// What ended without us, is not there, and whose both ends still are. Where a pair ended more than once, the last end
/// decides.
async fn read_vanished(tx: &mut Tx, epoch: i64, snapshot: &mut Snapshot, places: &Places) -> Result<()> {
    for_each_row!(
        tx,
        (i64, i64, i64, i64),
        "SELECT system, account, entitlement, until FROM grant_interval AS gone
         WHERE until IS NOT NULL AND ended_by IS NULL AND until <= $1 AND NOT EXISTS (
             SELECT 1 FROM grant_interval AS later WHERE later.system = gone.system AND later.account = gone.account
             AND later.entitlement = gone.entitlement AND later.since > gone.since AND later.since <= $1)
         ORDER BY system, account, entitlement",
        [epoch],
        |(system, account, entitlement, until)| {
            if let Some((account, entitlement)) = places.grant(system, account, entitlement) {
                snapshot.vanished.push(VanishedGrant { account, entitlement, until: EpochId(until) });
            }
        }
    );
    for_each_row!(
        tx,
        (i64, i64, i64),
        "SELECT system, parent, child FROM containment_interval AS gone
         WHERE until IS NOT NULL AND until <= $1 AND NOT EXISTS (
             SELECT 1 FROM containment_interval AS later WHERE later.system = gone.system
             AND later.parent = gone.parent AND later.child = gone.child
             AND later.since > gone.since AND later.since <= $1)
         ORDER BY system, parent, child",
        [epoch],
        |(system, parent, child)| {
            snapshot.vanished_containments.extend(places.containment(system, parent, child));
        }
    );
    Ok(())
}

fn position(length: usize) -> Result<u32> {
    u32::try_from(length)
        .map_err(|_| StoreError::corrupt("the snapshot", "it has more than 2^32 rows of one kind"))
}

fn unplaced(what: &str, system: i64, object: i64) -> StoreError {
    StoreError::corrupt(what, format!("object {object} of system {system} is not there"))
}
