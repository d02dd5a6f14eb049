//! What happened to one account or one identity, as far as it was watched: grants that came and went, states that changed.

use jiff::Timestamp;
use leasehold_model::account::Account;
use leasehold_model::id::{AccountKey, ActionId, EntitlementName, EpochId, IdentityKey, SystemName};
use leasehold_model::identity::Identity;

use crate::db::{Tx, fetch_all, fetch_optional, from_json, instant, stored};
use crate::dictionary::Class;
use crate::error::{Result, StoreError};
use crate::store::Store;

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The account was seen for the first time, or again after it was gone.
    AccountCame(Account),
    /// The account is another than before.
    AccountChanged {
        /// As it was.
        before: Account,
        /// As it is since.
        after: Account,
    },
    /// A complete read, or a read-back, no longer showed the account.
    AccountWent(Account),
    /// The account holds this directly since.
    GrantCame(EntitlementName),
    /// The account no longer holds this directly.
    GrantWent {
        /// What.
        entitlement: EntitlementName,
        /// The action that ended it; `None` where it ended without us.
        ended_by: Option<ActionId>,
    },
    /// The source lists the identity since.
    IdentityCame(Identity),
    /// The source says something else of the identity than before.
    IdentityChanged {
        /// What it said.
        before: Identity,
        /// What it says since.
        after: Identity,
    },
    /// A complete read of the source no longer listed the identity.
    IdentityWent(Identity),
}

/// One change, and the epoch that showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineEntry {
    /// The epoch that showed it. What really happened, happened between it and the one before.
    pub epoch: EpochId,
    /// When that epoch ended.
    pub at: Timestamp,
    /// Whether that epoch was the system's first: what it showed had been there for nobody knows how long.
    pub first_reading: bool,
    /// What changed.
    pub change: Change,
}

/// A state's interval: since, until, the body.
type StateRow = (i64, Option<i64>, String);
/// A grant's interval: the entitlement, since, until, the action that ended it.
type GrantRow = (String, i64, Option<i64>, Option<String>);

impl Store {
    /// What happened to an account, newest first; empty where it was never seen.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where an interval does not read back.
    pub async fn account_timeline(
        &self,
        system: &SystemName,
        account: &AccountKey,
    ) -> Result<Vec<TimelineEntry>> {
        let mut tx = self.db.read().await?;
        let Some((system, object)) = find(&mut tx, system, Class::Account, account.as_str()).await? else {
            return Ok(Vec::new());
        };
        let mut changes = Vec::new();
        let states = states(&mut tx, system, object).await?;
        for (position, (since, until, body)) in states.iter().enumerate() {
            let now: Account = from_json("an account", body)?;
            match before(&states, position) {
                None => changes.push((*since, Change::AccountCame(now.clone()))),
                Some(body) => {
                    let before: Account = from_json("an account", body)?;
                    let changed = Change::AccountChanged { before, after: now.clone() };
                    changes.push((*since, changed));
                }
            }
            if let Some(until) = ended(&states, position, *until) {
                changes.push((until, Change::AccountWent(now)));
            }
        }
        let grants = fetch_all!(
            &mut tx,
            GrantRow,
            "SELECT object.key, held.since, held.until, held.ended_by FROM grant_interval AS held
             JOIN object ON object.system = held.system AND object.id = held.entitlement
             WHERE held.system = $1 AND held.account = $2 ORDER BY object.key, held.since",
            system,
            object
        )?;
        for (key, since, until, ended_by) in grants {
            let entitlement: EntitlementName =
                key.parse().map_err(|error| StoreError::corrupt("an entitlement", error))?;
            changes.push((since, Change::GrantCame(entitlement.clone())));
            if let Some(until) = until {
                let ended_by = ended_by.map(ActionId);
                changes.push((until, Change::GrantWent { entitlement, ended_by }));
            }
        }
        dated(&mut tx, system, changes).await
    }

    /// What a source has said of an identity, in whatever case it spells its key, newest first; empty where it never listed it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where an interval does not read back.
    pub async fn identity_timeline(
        &self,
        system: &SystemName,
        identity: &IdentityKey,
    ) -> Result<Vec<TimelineEntry>> {
        let mut tx = self.db.read().await?;
        let mut found = find(&mut tx, system, Class::Identity, identity.as_str()).await?;
        if found.is_none() {
            found = find_folded(&mut tx, system, &identity.folded()).await?;
        }
        let Some((system, object)) = found else { return Ok(Vec::new()) };
        let mut changes = Vec::new();
        let states = states(&mut tx, system, object).await?;
        for (position, (since, until, body)) in states.iter().enumerate() {
            let now: Identity = from_json("an identity", body)?;
            match before(&states, position) {
                None => changes.push((*since, Change::IdentityCame(now.clone()))),
                Some(body) => {
                    let before: Identity = from_json("an identity", body)?;
                    changes.push((*since, Change::IdentityChanged { before, after: now.clone() }));
                }
            }
            if let Some(until) = ended(&states, position, *until) {
                changes.push((until, Change::IdentityWent(now)));
            }
        }
        dated(&mut tx, system, changes).await
    }
}

/// The numbers of a system and of an object in it.
async fn find(tx: &mut Tx, system: &SystemName, class: Class, key: &str) -> Result<Option<(i64, i64)>> {
    fetch_optional!(
        tx,
        (i64, i64),
        "SELECT object.system, object.id FROM object JOIN system ON system.id = object.system
         WHERE system.name = $1 AND object.class = $2 AND object.key = $3",
        system.as_str(),
        class.as_str(),
        key
    )
}

/// The same of an identity by its folded key.
async fn find_folded(tx: &mut Tx, system: &SystemName, folded: &str) -> Result<Option<(i64, i64)>> {
    let rows = fetch_all!(
        tx,
        (i64, i64, String),
        "SELECT object.system, object.id, object.key FROM object JOIN system ON system.id = object.system
         WHERE system.name = $1 AND object.class = 'identity' AND length(trim(object.key)) = $2",
        system.as_str(),
        stored(folded.chars().count() as u64)
    )?;
    let is_it = |(system, object, key): (i64, i64, String)| {
        (IdentityKey(key).folded() == folded).then_some((system, object))
    };
    Ok(rows.into_iter().find_map(is_it))
}

async fn states(tx: &mut Tx, system: i64, object: i64) -> Result<Vec<StateRow>> {
    fetch_all!(
        tx,
        StateRow,
        "SELECT since, until, body FROM state_interval
         WHERE system = $1 AND object = $2 AND aspect = 'state' ORDER BY since",
        system,
        object
    )
}

/// The state that this one followed without a gap.
fn before(states: &[StateRow], position: usize) -> Option<&str> {
    let (since, ..) = states[position];
    let (_, until, body) = states.get(position.checked_sub(1)?)?;
    (*until == Some(since)).then_some(body.as_str())
}

/// The epoch in which the object went, where no other state followed at once.
fn ended(states: &[StateRow], position: usize, until: Option<i64>) -> Option<i64> {
    let followed = states.get(position + 1).map(|(since, ..)| *since);
    until.filter(|until| followed != Some(*until))
}

/// Puts the instants to the epochs, newest first. What one epoch showed keeps its order.
async fn dated(tx: &mut Tx, system: i64, mut changes: Vec<(i64, Change)>) -> Result<Vec<TimelineEntry>> {
    changes.sort_by_key(|(epoch, _)| std::cmp::Reverse(*epoch));
    let epochs = fetch_all!(
        tx,
        (i64, i64),
        "SELECT id, ended_at FROM epoch WHERE system = $1 AND changed = 1 ORDER BY id",
        system
    )?;
    let first = fetch_optional!(
        tx,
        (Option<i64>,),
        "SELECT MIN(id) FROM epoch WHERE system = $1 AND kind = 'enumeration'",
        system
    )?;
    let first = first.and_then(|(first,)| first);
    let entry = |(epoch, change): (i64, Change)| -> Result<TimelineEntry> {
        let at = epochs
            .binary_search_by_key(&epoch, |(id, _)| *id)
            .map_err(|_| StoreError::corrupt("an interval", format!("its epoch {epoch} is not there")))?;
        let (at, first_reading) = (instant(epochs[at].1)?, first == Some(epoch));
        Ok(TimelineEntry { epoch: EpochId(epoch), at, first_reading, change })
    };
    changes.into_iter().map(entry).collect()
}
