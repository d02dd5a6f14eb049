//! The end of an enumeration: the difference between what it told and what is held, applied in one transaction.

use std::collections::HashSet;

use jiff::Timestamp;
use leasehold_model::event::EventKind;
use leasehold_model::fact::{Completeness, Problem};
use leasehold_model::id::EpochId;
use leasehold_model::snapshot::EpochSummary;
use serde::Serialize;
use serde_json::json;

use crate::db::{Tx, execute, execute_list, fetch_all, fetch_one, micros, stored, without_nul};
use crate::dictionary::{self, Class, Known, Slot};
use crate::epoch::EpochWriter;
use crate::error::{Result, StoreError};
use crate::ledger::{self, Event};
use crate::pair::Pair;
use crate::pair_changes::{self, Presence};
use crate::stage;

/// States of so many objects begin in one statement: the database holds what it inserts from its own tables in memory before.
const RANGE_OBJECTS: usize = 20_000;

/// What an enumeration changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[allow(missing_docs)] // Each name says it whole.
pub struct ChangeCounts {
    pub identities_added: u64,
    pub identities_changed: u64,
    pub identities_ended: u64,
    pub accounts_added: u64,
    pub accounts_changed: u64,
    pub accounts_ended: u64,
    /// Accounts of which a later use was seen and nothing else.
    pub accounts_used: u64,
    pub credentials_added: u64,
    pub credentials_changed: u64,
    pub credentials_ended: u64,
    /// Credentials of which a later use was seen and nothing else.
    pub credentials_used: u64,
    pub entitlements_added: u64,
    pub entitlements_changed: u64,
    pub entitlements_ended: u64,
    pub owners_added: u64,
    pub owners_changed: u64,
    pub owners_ended: u64,
    pub grants_added: u64,
    /// Grants that went on with another validity or other options.
    pub grants_changed: u64,
    pub grants_ended: u64,
    pub containments_added: u64,
    pub containments_ended: u64,
}

impl ChangeCounts {
    /// Whether nothing changed that a decision about access could rest on. That somebody logged in is no such thing: a
    /// plan need not be made anew for it.
    pub fn is_empty(&self) -> bool {
        let Self { accounts_used, credentials_used, .. } = *self;
        *self == Self { accounts_used, credentials_used, ..Self::default() }
    }

    fn of(&mut self, class: Class) -> (&mut u64, &mut u64, &mut u64) {
        match class {
            Class::Identity => {
                (&mut self.identities_added, &mut self.identities_changed, &mut self.identities_ended)
            }
            Class::Account => {
                (&mut self.accounts_added, &mut self.accounts_changed, &mut self.accounts_ended)
            }
            Class::Credential => {
                (&mut self.credentials_added, &mut self.credentials_changed, &mut self.credentials_ended)
            }
            Class::Entitlement => {
                (&mut self.entitlements_added, &mut self.entitlements_changed, &mut self.entitlements_ended)
            }
        }
    }
}

/// How an enumeration ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochReport {
    /// In short.
    pub summary: EpochSummary,
    /// What it changed.
    pub changes: ChangeCounts,
}

/// What was read back while the enumeration ran: newer than what it told.
#[derive(Debug, Default)]
struct ReadBacks {
    /// Accounts and credentials, and whether each is there now.
    objects: std::collections::HashMap<u32, bool>,
    grants: HashSet<Pair>,
}

impl EpochWriter {
    /// Ends the enumeration and applies what it told, all or nothing. A partial one ends no fact (law 3). What was
    /// read back while it ran is newer and stays as the read-back left it.
    ///
    /// # Errors
    /// [`StoreError::Overtaken`] where a later enumeration of the system has begun; nothing of this one counts then.
    pub async fn finish(mut self, completeness: Completeness, now: Timestamp) -> Result<EpochReport> {
        let mut writing = self.store.db.write_bulk().await?;
        let tx = &mut writing;
        let epoch = ledger::lock(tx).await? + 1;
        self.check_writer(tx).await?;
        self.write_out(tx).await?;
        self.check_staged(tx).await?;

        let mut changes = ChangeCounts::default();
        let read_backs = self.read_backs(tx).await?;
        let complete = completeness.is_complete();
        let present = self.apply_states(tx, epoch, complete, &read_backs, &mut changes).await?;
        // A grant to an account that was never listed, but for its case, is no proof that the account lost it.
        let strangers: HashSet<u32> = (0u32..)
            .zip(self.dictionary.slots().iter().zip(&present))
            .filter(|(_, (slot, present))| slot.is(Known::HOLDS) && !**present)
            .map(|(number, _)| number)
            .collect();
        let in_doubt = dictionary::spelled_like(tx, self.system, &strangers, &present).await?;
        let presence = Presence { present, read_back: read_backs.grants, in_doubt, complete };
        pair_changes::apply(&mut self, tx, epoch, &presence, &mut changes).await?;

        let summary = EpochSummary {
            id: EpochId(epoch),
            started_at: self.started_at,
            ended_at: now,
            completeness,
            facts: self.facts,
            problems: self.problems.count(),
        };
        self.write_epoch(tx, &summary, &changes).await?;
        stage::clear(tx, self.system).await?;
        writing.commit().await?;
        Ok(EpochReport { summary, changes })
    }

    /// What was staged must be there still: rows that were lost must not pass for facts that ended.
    async fn check_staged(&self, tx: &mut Tx) -> Result<()> {
        let (found,) =
            fetch_one!(tx, (i64,), "SELECT COUNT(*) FROM stage_state WHERE system = $1", self.system)?;
        if found == stored(self.states.staged()) {
            return Ok(());
        }
        let why = format!("{found} of {} are there", self.states.staged());
        Err(StoreError::corrupt("an enumeration's staged states", why))
    }

    async fn read_backs(&self, tx: &mut Tx) -> Result<ReadBacks> {
        let rows = fetch_all!(
            tx,
            (i64, Option<i64>, i64),
            "SELECT object, entitlement,
                    (SELECT COUNT(*) FROM state_interval WHERE state_interval.system = read_back.system
                     AND state_interval.object = read_back.object AND aspect = 'state' AND until IS NULL) AS present
             FROM read_back WHERE system = $1 AND epoch > $2",
            self.system,
            self.begun_after
        )?;
        let mut read_backs = ReadBacks::default();
        for (object, entitlement, present) in rows {
            let object = number(object)?;
            match entitlement {
                Some(entitlement) => {
                    read_backs.grants.insert(Pair { holder: object, held: number(entitlement)? });
                }
                None => {
                    read_backs.objects.insert(object, present != 0);
                }
            }
        }
        Ok(read_backs)
    }

    /// Applies states and owners; gives for each number whether the object is there afterwards.
    async fn apply_states(
        &mut self,
        tx: &mut Tx,
        epoch: i64,
        complete: bool,
        read_backs: &ReadBacks,
        changes: &mut ChangeCounts,
    ) -> Result<Vec<bool>> {
        let without_account = self.credentials_without_account(tx, complete, read_backs).await?;
        let slots = self.dictionary.slots();
        let mut present = Vec::with_capacity(slots.len());
        let (mut ended, mut owners_ended) = (Vec::new(), Vec::new());
        let mut owners_of_nothing = Vec::new();
        for (number, slot) in (0u32..).zip(slots) {
            let after = match read_backs.objects.get(&number) {
                Some(present) => *present,
                None if without_account.contains(&number) => false,
                None if self.disregarded == Some(number) => slot.is(Known::WAS_THERE),
                None => state_after(*slot, complete, changes),
            };
            present.push(after);
            if !after && slot.is(Known::WAS_THERE) && !read_backs.objects.contains_key(&number) {
                ended.push(i64::from(number));
            }
            if slot.is(Known::HAD_OWNER) && (!after || (!slot.is(Known::OWNER_SEEN) && complete)) {
                owners_ended.push(i64::from(number));
                changes.owners_ended += 1;
            } else if slot.is(Known::OWNER_CHANGED) && after {
                let had_owner = slot.is(Known::HAD_OWNER);
                *(if had_owner { &mut changes.owners_changed } else { &mut changes.owners_added }) += 1;
            }
            if slot.is(Known::OWNER_SEEN) && !after {
                owners_of_nothing.push(i64::from(number));
            }
        }
        let not_taken = read_backs.objects.keys().copied().chain(self.disregarded);
        let not_taken: Vec<i64> = not_taken.chain(without_account).map(i64::from).collect();
        drop_staged(tx, self.system, "state", &not_taken).await?;
        drop_staged(tx, self.system, "owner", &owners_of_nothing).await?;
        self.list_owners_of_nothing(tx, &owners_of_nothing).await?;
        end_states(tx, self.system, epoch, "state", &ended).await?;
        end_states(tx, self.system, epoch, "owner", &owners_ended).await?;
        if self.states.staged() > 0 {
            let end = i64::try_from(self.dictionary.slots().len()).unwrap_or(i64::MAX);
            for from in (0..end).step_by(RANGE_OBJECTS) {
                begin_states(tx, self.system, epoch, from).await?;
            }
        }
        Ok(present)
    }

    /// The credentials that were told of accounts which are not there afterwards. Each is a problem, and none counts.
    async fn credentials_without_account(
        &mut self,
        tx: &mut Tx,
        complete: bool,
        read_backs: &ReadBacks,
    ) -> Result<HashSet<u32>> {
        let mut without = HashSet::new();
        for Pair { holder, held } in std::mem::take(&mut self.credentials) {
            let slot = &self.dictionary.slots()[holder as usize];
            let there = match read_backs.objects.get(&holder) {
                Some(there) => *there,
                None => slot.is(Known::SEEN) || (slot.is(Known::WAS_THERE) && !complete),
            };
            if !there {
                without.insert(held);
            }
        }
        let listed: HashSet<u32> = without.iter().copied().take(self.problems.room()).collect();
        for name in dictionary::names(tx, self.system, &listed).await?.into_values() {
            self.problems.push(Problem::new(
                format!("credential {name}"),
                "told of an account that is not there; it was left out",
            ));
        }
        self.problems.push_unlisted((without.len() - listed.len()) as u64);
        Ok(without)
    }

    async fn list_owners_of_nothing(&mut self, tx: &mut Tx, numbers: &[i64]) -> Result<()> {
        let listed: Vec<u32> = numbers
            .iter()
            .take(self.problems.room())
            .filter_map(|number| u32::try_from(*number).ok())
            .collect();
        let names = dictionary::names(tx, self.system, &listed.iter().copied().collect()).await?;
        for number in &listed {
            let class = self.dictionary.slots()[*number as usize].class.as_str();
            let place = format!("owner of {class} {}", names.get(number).map_or("?", String::as_str));
            let message = format!("an owner was told for {class} that is not there; it was left out");
            self.problems.push(Problem::new(place, message.replace("for ", "for an ")));
        }
        self.problems.push_unlisted((numbers.len() - listed.len()) as u64);
        Ok(())
    }

    async fn write_epoch(&self, tx: &mut Tx, summary: &EpochSummary, changes: &ChangeCounts) -> Result<()> {
        let epoch = summary.id.0;
        execute!(
            tx,
            "INSERT INTO epoch (id, system, kind, started_at, ended_at, begun_after, completeness, detail, facts,
                                problems, changed, feed_last, feed_line_break)
             VALUES ($1, $2, 'enumeration', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            epoch,
            self.system,
            micros(summary.started_at),
            micros(summary.ended_at),
            self.begun_after,
            summary.completeness.as_str(),
            without_nul(summary.completeness.detail()).as_ref(),
            stored(summary.facts),
            stored(summary.problems),
            i64::from(!changes.is_empty()),
            self.feed_end.map(|end| i64::from(end.last)),
            self.feed_end.map(|end| i64::from(end.line_break))
        )?;
        self.problems.write(tx, epoch).await?;
        execute!(tx, "UPDATE head SET epoch = $1", epoch)?;
        if !changes.is_empty() {
            execute!(tx, "UPDATE system SET generation = $1 WHERE id = $2", epoch, self.system)?;
        }
        let event = Event {
            kind: EventKind::EpochEnded,
            subject: self.name.to_string(),
            body: json!({
                "system": self.name.as_str(),
                "epoch": epoch,
                "completeness": summary.completeness.as_str(),
                "detail": ledger::shortened(summary.completeness.detail()),
                "facts": summary.facts,
                "problems": summary.problems,
                "changes": changes,
            }),
            personal: std::collections::BTreeMap::new(),
        };
        ledger::append(tx, vec![event], summary.ended_at).await?;
        Ok(())
    }
}

/// Whether an object is there after the enumeration; counts what that changes.
fn state_after(slot: Slot, complete: bool, changes: &mut ChangeCounts) -> bool {
    let (added, changed, ended) = changes.of(slot.class);
    let (before, told) = (slot.is(Known::WAS_THERE), slot.is(Known::SEEN));
    if told {
        if !before {
            *added += 1;
        } else if slot.is(Known::CHANGED) {
            *changed += 1;
        } else if slot.is(Known::USED) && slot.class == Class::Credential {
            changes.credentials_used += 1;
        } else if slot.is(Known::USED) {
            changes.accounts_used += 1;
        }
    } else if before && complete {
        *ended += 1;
    }
    told || (before && !complete)
}

async fn drop_staged(tx: &mut Tx, system: i64, aspect: &str, objects: &[i64]) -> Result<()> {
    if !objects.is_empty() {
        execute_list!(
            tx,
            objects,
            "DELETE FROM stage_state WHERE system = $2 AND aspect = $3 AND object IN (SELECT value FROM ",
            ")",
            system,
            aspect
        )?;
    }
    Ok(())
}

pub(crate) async fn end_states(
    tx: &mut Tx,
    system: i64,
    epoch: i64,
    aspect: &str,
    objects: &[i64],
) -> Result<()> {
    if !objects.is_empty() {
        execute_list!(
            tx,
            objects,
            "UPDATE state_interval SET until = $2
             WHERE system = $3 AND aspect = $4 AND until IS NULL AND object IN (SELECT value FROM ",
            ")",
            epoch,
            system,
            aspect
        )?;
    }
    Ok(())
}

/// Ends the intervals of a range of objects whose state was told differently and begins the new ones. A state that follows
/// another without a gap keeps the epoch in which the object came.
async fn begin_states(tx: &mut Tx, system: i64, epoch: i64, from: i64) -> Result<()> {
    let to = from + RANGE_OBJECTS as i64;
    execute!(
        tx,
        "UPDATE state_interval SET until = $1 WHERE system = $2 AND until IS NULL AND object >= $3 AND object < $4
         AND (object, aspect) IN (SELECT object, aspect FROM stage_state
                                  WHERE system = $2 AND object >= $3 AND object < $4)",
        epoch,
        system,
        from,
        to
    )?;
    execute!(
        tx,
        "INSERT INTO state_interval (system, object, aspect, present_since, since, until, body, digest)
         SELECT told.system, told.object, told.aspect, COALESCE(old.present_since, $1), $1, NULL, told.body, told.digest
         FROM stage_state AS told
         LEFT JOIN state_interval AS old ON old.system = told.system AND old.object = told.object
             AND old.aspect = told.aspect AND old.until = $1
         WHERE told.system = $2 AND told.object >= $3 AND told.object < $4",
        epoch,
        system,
        from,
        to
    )?;
    Ok(())
}

/// A number of the dictionary, as it was stored.
pub(crate) fn number(stored: i64) -> Result<u32> {
    u32::try_from(stored)
        .map_err(|error| StoreError::corrupt(format!("the number {stored} of a name"), error))
}
