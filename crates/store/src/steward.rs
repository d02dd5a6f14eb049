//! What people said about non-humans: who took one over, and that one is stopped and ends. Claims stand beside what was
//! observed and overwrite nothing; each counts until the next one, or until it is taken back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::event::EventKind;
use leasehold_model::id::IdentityKey;
use leasehold_model::plan::Plan;
use leasehold_model::stewardship::{Ownership, Retirement, Stewardship};
use serde_json::json;

use crate::db::{Tx, execute, fetch_all, instant, micros};
use crate::error::Result;
use crate::ledger::{self, Event};
use crate::store::Store;

fn event(kind: EventKind, identity: &str, about: &[(&str, &str)]) -> Event {
    let about = about.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut personal: BTreeMap<String, String> = about.collect();
    personal.insert("identity".to_owned(), identity.to_owned());
    Event { kind, subject: String::new(), body: json!({}), personal }
}

/// Records who takes over what, as a plan that decides that is begun.
pub(crate) async fn record(tx: &mut Tx, plan: &Plan, by: &str, now: Timestamp) -> Result<()> {
    let mut events = Vec::new();
    for (identity, owner) in &plan.successors {
        events.push(own(tx, &identity.folded(), owner, by, now).await?);
    }
    if !events.is_empty() {
        ledger::append(tx, events, now).await?;
    }
    Ok(())
}

async fn own(tx: &mut Tx, identity: &str, owner: &IdentityKey, by: &str, now: Timestamp) -> Result<Event> {
    execute!(
        tx,
        "UPDATE ownership SET replaced_at = $1 WHERE identity = $2 AND replaced_at IS NULL",
        micros(now),
        identity
    )?;
    execute!(
        tx,
        "INSERT INTO ownership (id, identity, owner, recorded_at, recorded_by)
         SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3, $4 FROM ownership",
        identity,
        owner.as_str(),
        micros(now),
        by
    )?;
    Ok(event(EventKind::OwnershipRecorded, identity, &[("owner", owner.as_str()), ("by", by)]))
}

impl Store {
    /// What people said about non-humans, as it holds now, or as it held at an instant.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where something does not read back.
    pub async fn stewardship(&self, at: Option<Timestamp>) -> Result<Stewardship> {
        let at = micros(at.unwrap_or(Timestamp::MAX));
        let mut tx = self.db.read().await?;
        let ownerships = fetch_all!(
            &mut tx,
            (String, String, i64, String),
            "SELECT identity, owner, recorded_at, recorded_by FROM ownership
             WHERE recorded_at <= $1 AND (replaced_at IS NULL OR replaced_at > $1) ORDER BY identity",
            at
        )?;
        let retirements = fetch_all!(
            &mut tx,
            (String, i64, String, Option<i64>),
            "SELECT identity, begun_at, recorded_by, finished_at FROM retirement
             WHERE begun_at <= $1 AND (rescinded_at IS NULL OR rescinded_at > $1) ORDER BY identity",
            at
        )?;
        let ownership = |(identity, owner, recorded_at, recorded_by)| {
            let (identity, owner) = (IdentityKey(identity), IdentityKey(owner));
            Ok(Ownership { identity, owner, recorded_at: instant(recorded_at)?, recorded_by })
        };
        let retirement = |(identity, begun_at, recorded_by, finished_at): (_, _, _, Option<i64>)| {
            let finished_at = finished_at.filter(|finished| *finished <= at).map(instant).transpose()?;
            let identity = IdentityKey(identity);
            Ok(Retirement { identity, begun_at: instant(begun_at)?, recorded_by, finished_at })
        };
        Ok(Stewardship {
            ownerships: ownerships.into_iter().map(ownership).collect::<Result<_>>()?,
            retirements: retirements.into_iter().map(retirement).collect::<Result<_>>()?,
        })
    }

    /// From when until when non-humans had ended for good that are needed after all, by folded key, as far as it was known at an instant.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where something does not read back.
    pub async fn ended_for_a_time(
        &self,
        at: Option<Timestamp>,
    ) -> Result<Vec<(String, Timestamp, Timestamp)>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (String, i64, i64),
            "SELECT identity, finished_at, rescinded_at FROM retirement
             WHERE rescinded_at <= $1 AND finished_at < rescinded_at ORDER BY id",
            micros(at.unwrap_or(Timestamp::MAX))
        )?;
        rows.into_iter()
            .map(|(identity, from, until)| Ok((identity, instant(from)?, instant(until)?)))
            .collect()
    }

    /// Records that somebody answers for a non-human from now on.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn record_ownership(
        &self,
        identity: &IdentityKey,
        owner: &IdentityKey,
        by: &str,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let event = own(&mut tx, &identity.folded(), owner, by, now).await?;
        ledger::append(&mut tx, vec![event], now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Records that a non-human is stopped from now on. False where it is already.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn begin_retirement(&self, identity: &IdentityKey, by: &str, now: Timestamp) -> Result<bool> {
        let identity = identity.folded();
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let new = execute!(
            &mut tx,
            "INSERT INTO retirement (id, identity, begun_at, recorded_by)
             SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3 FROM retirement WHERE true
             ON CONFLICT DO NOTHING",
            identity.as_str(),
            micros(now),
            by
        )?;
        if new == 0 {
            return Ok(false);
        }
        let event = event(EventKind::RetirementBegun, &identity, &[("by", by)]);
        ledger::append(&mut tx, vec![event], now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes a retirement back from an instant on: what was stopped is brought back. `ended` is from when on it was stopped and when
    /// it had ended, where that followed by itself; where the policy had stopped it, too, that is kept now. False where none is in force
    /// and nothing had ended.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn rescind_retirement(
        &self,
        identity: &IdentityKey,
        ended: Option<(Timestamp, Timestamp)>,
        by: &str,
        from: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        let identity = identity.folded();
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let mut rescinded = execute!(
            &mut tx,
            "UPDATE retirement SET rescinded_at = $1, rescinded_by = $2, finished_at = COALESCE(finished_at, $4)
             WHERE identity = $3 AND rescinded_at IS NULL",
            micros(from),
            by,
            identity.as_str(),
            ended.map(|(_, ended_at)| micros(ended_at))
        )?;
        if let Some((since, ended_at)) = ended.filter(|_| rescinded == 0) {
            rescinded = execute!(
                &mut tx,
                "INSERT INTO retirement (id, identity, begun_at, recorded_by, finished_at, rescinded_at, rescinded_by)
                 SELECT COALESCE(MAX(id), 0) + 1, $1, $2, '', $3, $4, $5 FROM retirement",
                identity.as_str(),
                micros(since),
                micros(ended_at),
                micros(from),
                by
            )?;
        }
        if rescinded == 0 {
            return Ok(false);
        }
        let event = event(EventKind::RetirementRescinded, &identity, &[("by", by)]);
        ledger::append(&mut tx, vec![event], now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// A person says that what was stopped ends for good, seen in use or not. False where nothing is stopped by a
    /// person's word, or it was said before.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn finish_retirement(
        &self,
        identity: &IdentityKey,
        by: &str,
        now: Timestamp,
        stopped_at: Option<Timestamp>,
    ) -> Result<bool> {
        let identity = identity.folded();
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let finished = execute!(
            &mut tx,
            "UPDATE retirement SET finished_at = $1, finished_by = $2
             WHERE identity = $3 AND rescinded_at IS NULL AND (finished_at IS NULL OR finished_at < $4)",
            micros(now),
            by,
            identity.as_str(),
            micros(stopped_at.unwrap_or(Timestamp::UNIX_EPOCH))
        )?;
        if finished == 0 {
            return Ok(false);
        }
        let event = event(EventKind::RetirementFinished, &identity, &[("by", by)]);
        ledger::append(&mut tx, vec![event], now).await?;
        tx.commit().await?;
        Ok(true)
    }
}
