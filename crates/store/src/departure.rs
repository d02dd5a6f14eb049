//! Departures that a person decided on: somebody is offboarded although the source still lists them as here. The claim
//! stands beside the observation and overwrites nothing; it counts until it is taken back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::event::EventKind;
use leasehold_model::id::IdentityKey;
use leasehold_model::plan::Plan;
use serde_json::{Value, json};

use crate::db::{Tx, execute, fetch_all, instant, micros};
use crate::error::Result;
use crate::ledger::{self, Event};
use crate::store::Store;

/// One departure.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Departure {
    /// Whose, by folded key.
    pub identity: IdentityKey,
    /// From when on they may hold nothing.
    pub end: Timestamp,
    /// When it was decided.
    pub recorded_at: Timestamp,
    /// Who decided: who approved the plan.
    pub recorded_by: String,
    /// The plan that takes everything down; empty where it is made when they leave.
    pub plan: String,
    /// When it was taken back.
    pub rescinded_at: Option<Timestamp>,
}

fn recorded(identity: &str, plan: &str, end: Timestamp, by: &str) -> Event {
    event(EventKind::DepartureRecorded, identity, plan, json!({ "plan": plan, "end": end }), by)
}

fn rescinded(identity: &str, plan: &str, by: &str) -> Event {
    event(EventKind::DepartureRescinded, identity, plan, json!({ "plan": plan }), by)
}

fn event(kind: EventKind, identity: &str, plan: &str, body: Value, by: &str) -> Event {
    let personal =
        [("identity", identity), ("by", by)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    Event { kind, subject: plan.to_owned(), body, personal: BTreeMap::from(personal) }
}

/// Records the departures that a plan takes for decided, as it is begun.
pub(crate) async fn record(tx: &mut Tx, plan: &Plan, by: &str, now: Timestamp) -> Result<()> {
    let mut events = Vec::new();
    for identity in &plan.as_left {
        let identity = identity.folded();
        // Whoever was to leave later leaves now, by who decides that.
        let later = fetch_all!(
            tx,
            (String,),
            "UPDATE departure SET rescinded_at = $1, rescinded_by = $2
             WHERE identity = $3 AND rescinded_at IS NULL AND end_at > $1 RETURNING plan",
            micros(now),
            by,
            identity.as_str()
        )?;
        events.extend(later.iter().map(|(plan,)| rescinded(&identity, plan, by)));
        if insert(tx, &identity, now, by, plan.hash.as_str(), now).await? {
            events.push(recorded(&identity, plan.hash.as_str(), now, by));
        }
    }
    if !events.is_empty() {
        ledger::append(tx, events, now).await?;
    }
    Ok(())
}

/// Writes a departure down, where none of the identity is in force.
async fn insert(
    tx: &mut Tx,
    identity: &str,
    end: Timestamp,
    by: &str,
    plan: &str,
    now: Timestamp,
) -> Result<bool> {
    let new = execute!(
        tx,
        "INSERT INTO departure (id, identity, end_at, recorded_at, recorded_by, plan)
         SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3, $4, $5 FROM departure WHERE true
         ON CONFLICT DO NOTHING",
        identity,
        micros(end),
        micros(now),
        by,
        plan
    )?;
    Ok(new == 1)
}

impl Store {
    /// Every departure that was ever decided on, in that order.
    ///
    /// # Errors
    /// [`crate::StoreError::Corrupt`] where one does not read back.
    pub async fn departures(&self) -> Result<Vec<Departure>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (String, i64, i64, String, String, Option<i64>),
            "SELECT identity, end_at, recorded_at, recorded_by, plan, rescinded_at FROM departure ORDER BY id"
        )?;
        rows.into_iter()
            .map(|(identity, end, recorded_at, recorded_by, plan, rescinded_at)| {
                Ok(Departure {
                    identity: IdentityKey(identity),
                    end: instant(end)?,
                    recorded_at: instant(recorded_at)?,
                    recorded_by,
                    plan,
                    rescinded_at: rescinded_at.map(instant).transpose()?,
                })
            })
            .collect()
    }

    /// Records that somebody leaves at an instant. False where a departure of theirs is in force already.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn record_departure(
        &self,
        identity: &IdentityKey,
        end: Timestamp,
        by: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let identity = identity.folded();
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        if !insert(&mut tx, &identity, end, by, "", now).await? {
            return Ok(false);
        }
        ledger::append(&mut tx, vec![recorded(&identity, "", end, by)], now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes a departure back: what the source says counts again. False where none is in force.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn rescind_departure(&self, identity: &IdentityKey, by: &str, now: Timestamp) -> Result<bool> {
        let identity = identity.folded();
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let taken_back = fetch_all!(
            &mut tx,
            (String,),
            "UPDATE departure SET rescinded_at = $1, rescinded_by = $2
             WHERE identity = $3 AND rescinded_at IS NULL RETURNING plan",
            micros(now),
            by,
            identity.as_str()
        )?;
        let Some((plan,)) = taken_back.first() else { return Ok(false) };
        // Should they leave again, that is another leaving.
        execute!(&mut tx, "DELETE FROM leaving WHERE identity = $1", identity.as_str())?;
        // Nobody leaves when they once were to.
        execute!(
            &mut tx,
            "UPDATE task SET state = 'cancelled', ended_at = $1 WHERE kind = 'offboard' AND subject = $2 AND state = 'queued'",
            micros(now),
            identity.as_str()
        )?;
        ledger::append(&mut tx, vec![rescinded(&identity, plan, by)], now).await?;
        tx.commit().await?;
        Ok(true)
    }
}
