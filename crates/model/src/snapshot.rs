//! Everything observed, as it stood at one instant: what the store hands to `decide`.
//!
//! Rows refer to each other by position, so that a hundred million grants stay twelve bytes each.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::credential::Credential;
use crate::entitlement::Entitlement;
use crate::fact::Completeness;
use crate::feed::{Feeds, last_long_absence};
use crate::id::{EpochId, IdentityKey, SystemName};
use crate::identity::{Identity, LifecycleState};

/// How many days back the snapshot knows what was said of identities before.
pub const FORMER_DAYS: i64 = 90;

/// One ended enumeration, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochSummary {
    /// Its number.
    pub id: EpochId,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Whether absence counted.
    pub completeness: Completeness,
    /// How many facts were read.
    pub facts: u64,
    /// How many pieces of input could not be used.
    pub problems: u64,
}

/// A system as far as it has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemState {
    /// Its name.
    pub name: SystemName,
    /// The last epoch that changed a fact of it.
    pub generation: EpochId,
    /// The first epoch that told a fact of it.
    pub first: Option<EpochId>,
    /// The latest enumeration at this instant, complete or not; `None` where it was never read.
    pub latest: Option<EpochSummary>,
    /// The latest complete enumeration.
    pub latest_complete: Option<EpochSummary>,
}

/// Somebody whom a source lists no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Position in [`Snapshot::systems`].
    pub system: u32,
    /// What it said last, as of one who has left.
    pub identity: Identity,
    /// The epoch that told first that they are gone.
    pub since: EpochId,
    /// The epoch that listed them, and the one that did not any more.
    pub came: EpochId,
    /// See above.
    pub until: EpochId,
}

/// An account with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotAccount {
    /// Position in [`Snapshot::systems`].
    pub system: u32,
    /// As observed.
    pub account: Account,
    /// The epoch in which it was first seen.
    pub since: EpochId,
}

/// A credential with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotCredential {
    /// Position in [`Snapshot::accounts`].
    pub account: u32,
    /// As observed.
    pub credential: Credential,
    /// The epoch in which it was first seen.
    pub since: EpochId,
}

/// An entitlement with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotEntitlement {
    /// Position in [`Snapshot::systems`].
    pub system: u32,
    /// As observed.
    pub entitlement: Entitlement,
}

/// A direct grant, by positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotGrant {
    /// Position in [`Snapshot::accounts`].
    pub account: u32,
    /// Position in [`Snapshot::entitlements`].
    pub entitlement: u32,
    /// The epoch in which it was first seen, counted from the store's first.
    pub since: u32,
}

/// The target's own validity of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Validity {
    /// Not before.
    pub from: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
}

/// What a source said of an identity before it said something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerIdentity {
    /// Position in [`Snapshot::identities`].
    pub identity: u32,
    /// What was said.
    pub was: Identity,
    /// When that ended: the end of the epoch that first told otherwise.
    pub until: Timestamp,
}

/// What one source says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Claimed {
    /// Which source.
    pub system: SystemName,
    /// What it says.
    pub value: String,
}

/// That sources disagree about an identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityConflict {
    /// Position in [`Snapshot::identities`].
    pub identity: u32,
    /// About what.
    pub attribute: String,
    /// What is believed.
    pub used: Claimed,
    /// What others say instead.
    pub instead: Vec<Claimed>,
}

/// A direct grant that was there and ended without an action of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VanishedGrant {
    /// Position in [`Snapshot::accounts`].
    pub account: u32,
    /// Position in [`Snapshot::entitlements`].
    pub entitlement: u32,
    /// The epoch that no longer saw it.
    pub until: EpochId,
}

/// Everything observed, at one instant.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Every system that was ever read.
    pub systems: Vec<SystemState>,
    /// From the authoritative sources, with the position of the system that told. Whom no source lists any longer after
    /// a complete read is here as `left`, since the end of the epoch that no longer showed the row, or since before, where the source
    /// had said so then.
    pub identities: Vec<(u32, Identity)>,
    /// By the positions of [`Snapshot::identities`]: the epoch that first told what the source says of each now; of who has left or is
    /// suspended, the first since which that was so without a break.
    pub identity_since: Vec<EpochId>,
    /// By the same positions: the epoch since which the source lists each without a break.
    pub identity_came: Vec<EpochId>,
    /// Which system says where an identity stands and since when, by their positions, where it is another than the one that it is taken
    /// for.
    pub identity_told_by: BTreeMap<u32, u32>,
    /// Identities that a source listed and lists no longer, and another one does, or did for longer.
    pub dropped: Vec<Dropped>,
    /// What the single feeds told of identities that several list. [`Snapshot::identities`] of one key are one afterwards.
    pub feeds: Feeds,
    /// By the positions of [`Snapshot::identities`]: those that no source lists any more.
    pub departed: HashSet<usize>,
    /// By the same: where it is news what their source says though it said so when it was read for the first time, because another one
    /// had listed them as here before.
    pub identity_news: HashSet<usize>,
    /// From when until when identities were gone that were here again afterwards, by folded keys and in the order of time: by what was
    /// said of them, by silence, or by a person's word that was taken back.
    pub away: HashMap<String, Vec<(Timestamp, Timestamp)>>,
    /// By the positions of [`Snapshot::identities`]: who leaves by a person's decision, which no source has told.
    pub offboarded: HashSet<usize>,
    /// Where sources disagree about an identity that several list.
    pub identity_conflicts: Vec<IdentityConflict>,
    /// What was said of identities that are still listed, as far as it changed within [`FORMER_DAYS`].
    pub former_identities: Vec<FormerIdentity>,
    /// Accounts of every system.
    pub accounts: Vec<SnapshotAccount>,
    /// Credentials of every system, in the order of their accounts.
    pub credentials: Vec<SnapshotCredential>,
    /// Entitlements of every system.
    pub entitlements: Vec<SnapshotEntitlement>,
    /// Direct grants, sorted by account and entitlement, each pair once.
    pub grants: Vec<SnapshotGrant>,
    /// The target's own validity, for the grants (by position) that have one.
    pub validity: HashMap<u32, Validity>,
    /// What a system keeps beside a grant, in its own words (`admin, granted by postgres`), for the grants (by position) that have it.
    pub options: HashMap<u32, String>,
    /// Holding the first means holding the second (positions of entitlements).
    pub containments: Vec<(u32, u32)>,
    /// Owners of accounts (by position), as the systems say.
    pub account_owners: BTreeMap<u32, IdentityKey>,
    /// Owners of entitlements (by position), as the systems say.
    pub entitlement_owners: BTreeMap<u32, IdentityKey>,
    /// Accounts (by position) that an action of ours closed and none has opened since, with when that was read back.
    pub closed: BTreeMap<u32, Timestamp>,
    /// Credentials (by position) that an action of ours stopped and none has brought back since, with when.
    pub stopped: BTreeMap<u32, Timestamp>,
    /// Credentials (by position) that have a successor, with when each must be gone.
    pub replaced: BTreeMap<u32, Timestamp>,
    /// Direct grants that ended without us and are not held now.
    pub vanished: Vec<VanishedGrant>,
    /// Containments that ended without us and are not there now.
    pub vanished_containments: Vec<(u32, u32)>,
    /// When each epoch ended.
    pub epoch_ended_at: BTreeMap<EpochId, Timestamp>,
}

impl Snapshot {
    /// Where an identity stands at `now`: as it says itself, or returned where it had left before.
    pub fn state_of(&self, identity: &Identity, now: Timestamp) -> LifecycleState {
        match identity.state_at(now) {
            LifecycleState::Active if self.away.contains_key(&identity.key.folded()) => {
                LifecycleState::Returned
            }
            state => state,
        }
    }

    /// When an identity was here again that had left before.
    pub fn back_at(&self, key: &IdentityKey) -> Option<Timestamp> {
        self.away.get(&key.folded())?.iter().map(|(_, back_at)| *back_at).max()
    }

    /// When an identity left that was gone for so long that no correction brought it back.
    pub fn rehired_after(&self, key: &IdentityKey) -> Option<Timestamp> {
        Some(self.absence_of(key)?.0)
    }

    /// From when until when that was.
    pub fn absence_of(&self, key: &IdentityKey) -> Option<(Timestamp, Timestamp)> {
        last_long_absence(self.away.get(&key.folded())?)
    }

    /// Adds that an identity was gone for a time and is here again.
    pub fn was_away(&mut self, folded_key: &str, from: Timestamp, until: Timestamp) {
        let away = self.away.entry(folded_key.to_owned()).or_default();
        away.insert(away.partition_point(|before| *before <= (from, until)), (from, until));
    }

    /// The position of the system that says where an identity of a source stands, by the position of that.
    pub fn told_by(&self, identity: usize) -> Option<u32> {
        let (system, _) = self.identities.get(identity)?;
        let other = u32::try_from(identity).ok().and_then(|identity| self.identity_told_by.get(&identity));
        Some(other.copied().unwrap_or(*system))
    }

    /// The system at a position.
    pub fn system(&self, position: u32) -> &SystemName {
        &self.systems[position as usize].name
    }

    /// The position of a system.
    pub fn system_position(&self, name: &SystemName) -> Option<u32> {
        self.systems
            .iter()
            .position(|system| &system.name == name)
            .and_then(|position| u32::try_from(position).ok())
    }

    /// The credentials of an account, by its position.
    pub fn credentials_of(&self, account: u32) -> &[SnapshotCredential] {
        let from = self.credentials.partition_point(|credential| credential.account < account);
        let until = self.credentials.partition_point(|credential| credential.account <= account);
        &self.credentials[from..until]
    }

    /// Where sources disagree about an identity, by its position.
    pub fn conflicts_of(&self, identity: u32) -> &[IdentityConflict] {
        let from = self.identity_conflicts.partition_point(|conflict| conflict.identity < identity);
        let until = self.identity_conflicts.partition_point(|conflict| conflict.identity <= identity);
        &self.identity_conflicts[from..until]
    }

    /// When an epoch ended, where it has.
    pub fn ended_at(&self, epoch: EpochId) -> Option<Timestamp> {
        self.epoch_ended_at.get(&epoch).copied()
    }
}
