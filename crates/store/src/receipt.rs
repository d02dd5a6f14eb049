//! Receipts of offboardings: for whom one is due, and those that were written. What a receipt says stands beside its ledger
//! entry, as an opening of the commitment there.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use leasehold_ledger::canonical;
use leasehold_ledger::commitment::Opening;
use leasehold_model::action::ActionState;
use leasehold_model::event::EventKind;
use leasehold_model::id::{ActionId, IdentityKey, PlanHash};
use leasehold_model::plan::PlanItem;
use leasehold_model::receipt::{OffboardingStatement, ReceiptTally};
use serde_json::{Value, json};

use crate::action::{ActionRow, action_row};
use crate::db::{
    Tx, count, execute, execute_rows, fetch_all, fetch_one, fetch_optional, fetch_rows, from_json, instant,
    micros, stored,
};
use crate::error::{Result, StoreError};
use crate::ledger::{self, Event};
use crate::store::Store;

/// The commitment of a receipt's entry that opens to what it says.
const STATEMENT: &str = "statement";

/// A receipt that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptRow {
    /// Its number.
    pub id: i64,
    /// Who left, by folded key.
    pub identity: IdentityKey,
    /// When it was written.
    pub written_at: Timestamp,
    /// The entry that commits to it.
    pub ledger_index: u64,
    /// What is counted in it.
    pub tally: ReceiptTally,
}

/// Somebody of whom something was done, and nothing is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledIdentity {
    /// Who, by folded key.
    pub identity: IdentityKey,
    /// How often something was begun since the last receipt.
    pub begun: i64,
}

/// An action about somebody, and when its plan was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionAbout {
    /// When its plan was begun.
    pub begun_at: Timestamp,
    /// The action.
    pub row: ActionRow,
    /// What its target answered when it was last read back; `None` where it never was.
    pub seen: Option<Value>,
}

/// Somebody who has left, and is not known to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLeaving {
    /// Who.
    pub identity: IdentityKey,
    /// Since when.
    pub since: Timestamp,
    /// It was not so when their source was read for the first time.
    pub is_news: bool,
}

fn is_open(state: ActionState) -> bool {
    !state.is_final() && state != ActionState::Planned
}

/// Remembers since when somebody has left; never later than is known already.
async fn keep_leaving(tx: &mut Tx, leavings: &[(String, Timestamp)]) -> Result<()> {
    let rows: Vec<(&str, i64)> =
        leavings.iter().map(|(identity, since)| (identity.as_str(), micros(*since))).collect();
    execute_rows!(
        tx,
        &rows,
        "INSERT INTO leaving (identity, since) SELECT value->>0, CAST(value->>1 AS BIGINT) FROM ",
        " WHERE true ON CONFLICT (identity) DO UPDATE
          SET since = CASE WHEN excluded.since < leaving.since THEN excluded.since ELSE leaving.since END"
    )?;
    Ok(())
}

/// Notes that something is done about these identities.
pub(crate) async fn due(tx: &mut Tx, items: impl Iterator<Item = &PlanItem>) -> Result<()> {
    let identities: BTreeSet<String> =
        items.filter_map(|item| item.identity.as_ref()).map(IdentityKey::folded).collect();
    if identities.is_empty() {
        return Ok(());
    }
    let rows: Vec<(&String,)> = identities.iter().map(|identity| (identity,)).collect();
    execute_rows!(
        tx,
        &rows,
        "INSERT INTO receipt_due (identity, begun, not_before) SELECT value->>0, 1, 0 FROM ",
        " WHERE true ON CONFLICT (identity) DO UPDATE SET begun = receipt_due.begun + 1, not_before = 0"
    )?;
    Ok(())
}

async fn actions_about(tx: &mut Tx, identities: &[IdentityKey]) -> Result<Vec<ActionAbout>> {
    type Columns = (
        i64,
        String,
        String,
        i64,
        String,
        String,
        i64,
        Option<i64>,
        Option<i64>,
        Option<i64>,
        Option<i64>,
        Option<String>,
        Option<String>,
    );
    let keys: Vec<(String,)> = identities.iter().map(|identity| (identity.folded(),)).collect();
    let rows = fetch_rows!(
        tx,
        &keys,
        Columns,
        "SELECT begun_at, action.id, action.plan, seq, item, state, attempts, next_attempt_at, sent_at, read_back_at,
                ledger_index, reason,
                (SELECT detail FROM action_transition AS step
                 WHERE step.plan = action.plan AND step.action = action.id AND step.to_state IN ('verified', 'contradicted')
                 ORDER BY step.seq DESC LIMIT 1) AS seen FROM ",
        " JOIN action ON action.identity = list.value->>0
         JOIN apply_run ON apply_run.plan = action.plan JOIN plan ON plan.hash = action.plan
         ORDER BY begun_at, plan.id, seq"
    )?;
    let about = rows.into_iter().map(
        |(begun_at, id, plan, seq, item, state, attempts, next, sent, read, ledger, why, seen)| {
            let row = action_row((id, plan, seq, item, state, attempts, next, sent, read, ledger, why))?;
            let seen: Option<Value> = seen.map(|seen| from_json("a step's detail", &seen)).transpose()?;
            Ok(ActionAbout { begun_at: instant(begun_at)?, row, seen: seen.filter(|seen| !seen.is_null()) })
        },
    );
    about.collect()
}

type ReceiptColumns = (i64, String, i64, i64, i64, i64, i64, i64, i64);

fn receipt_row(row: ReceiptColumns) -> Result<ReceiptRow> {
    let (id, identity, written_at, ledger_index, verified, void, not_verified, remaining, unread) = row;
    let [verified, void, not_verified, remaining, unread] =
        [verified, void, not_verified, remaining, unread].map(count);
    Ok(ReceiptRow {
        id,
        identity: IdentityKey(identity),
        written_at: instant(written_at)?,
        ledger_index: count(ledger_index),
        tally: ReceiptTally { verified, void, not_verified, remaining, unread },
    })
}

macro_rules! select_receipts {
    ($rest:literal) => {
        concat!(
            "SELECT id, identity, written_at, ledger_index, verified, void, not_verified, remaining, unread FROM receipt ",
            $rest
        )
    };
}

impl Store {
    /// Identities of which something was done since the last receipt, and nothing is under way any more.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn settled_identities(&self, now: Timestamp) -> Result<Vec<SettledIdentity>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (String, i64),
            "SELECT identity, begun FROM receipt_due WHERE not_before <= $1 AND NOT EXISTS (
                 SELECT 1 FROM action WHERE action.identity = receipt_due.identity
                 AND state IN ('approved', 'sent', 'acknowledged', 'contradicted'))
             ORDER BY identity",
            micros(now)
        )?;
        let settled = |(identity, begun)| SettledIdentity { identity: IdentityKey(identity), begun };
        Ok(rows.into_iter().map(settled).collect())
    }

    /// Forgets that a receipt may be due for these, unless something was begun since.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn need_no_receipt(&self, settled: &[SettledIdentity]) -> Result<()> {
        if settled.is_empty() {
            return Ok(());
        }
        let rows: Vec<(&str, i64)> =
            settled.iter().map(|settled| (settled.identity.as_str(), settled.begun)).collect();
        let mut tx = self.db.write().await?;
        execute_rows!(
            &mut tx,
            &rows,
            "DELETE FROM receipt_due WHERE (identity, begun) IN (SELECT value->>0, CAST(value->>1 AS BIGINT) FROM ",
            ")"
        )?;
        tx.commit().await
    }

    /// Has the receipt of somebody wait, because it could not be written.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn receipt_later(&self, settled: &SettledIdentity, until: Timestamp) -> Result<()> {
        let mut tx = self.db.write().await?;
        execute!(
            &mut tx,
            "UPDATE receipt_due SET not_before = $1 WHERE identity = $2 AND begun = $3",
            micros(until),
            settled.identity.as_str(),
            settled.begun
        )?;
        tx.commit().await
    }

    /// Since when each who has left is known to have done so, by folded key.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where an instant does not read back.
    pub async fn leavings(&self) -> Result<HashMap<String, Timestamp>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(&mut tx, (String, i64), "SELECT identity, since FROM leaving")?;
        rows.into_iter().map(|(identity, since)| Ok((identity, instant(since)?))).collect()
    }

    /// Since when somebody is known to have left.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where the instant does not read back.
    pub async fn leaving(&self, identity: &IdentityKey) -> Result<Option<Timestamp>> {
        let mut tx = self.db.read().await?;
        let row = fetch_optional!(
            &mut tx,
            (i64,),
            "SELECT since FROM leaving WHERE identity = $1",
            identity.folded()
        )?;
        row.map(|(since,)| instant(since)).transpose()
    }

    /// Remembers who has left, and forgets it of those who are here again. Of those whose leaving is news the receipt is due
    /// at an instant, unless something of theirs is begun before.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn note_leavings(
        &self,
        left: &[NewLeaving],
        returned: &[IdentityKey],
        receipts_at: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.write().await?;
        let leavings: Vec<(String, Timestamp)> =
            left.iter().map(|new| (new.identity.folded(), new.since)).collect();
        keep_leaving(&mut tx, &leavings).await?;
        let due: Vec<(String,)> =
            left.iter().filter(|new| new.is_news).map(|new| (new.identity.folded(),)).collect();
        execute_rows!(
            &mut tx,
            &due,
            "INSERT INTO receipt_due (identity, begun, not_before) SELECT value->>0, 1, $2 FROM ",
            " WHERE true ON CONFLICT (identity) DO NOTHING",
            micros(receipts_at)
        )?;
        let returned: Vec<(String,)> = returned.iter().map(|identity| (identity.folded(),)).collect();
        execute_rows!(
            &mut tx,
            &returned,
            "DELETE FROM leaving WHERE identity IN (SELECT value->>0 FROM ",
            ")"
        )?;
        tx.commit().await
    }

    /// Every action about these identities, in the order in which they were begun.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn actions_about(&self, identities: &[IdentityKey]) -> Result<Vec<ActionAbout>> {
        let mut tx = self.db.read().await?;
        actions_about(&mut tx, identities).await
    }

    /// Writes a receipt: what it says, as an entry of the ledger, and that none is due for those that it is about. `None`, and
    /// nothing is written, where an action about them moved since `seen` was read.
    ///
    /// # Errors
    /// [`StoreError::Ledger`] where what it says has no canonical form.
    pub async fn write_receipt(
        &self,
        statement: &OffboardingStatement,
        about: &[IdentityKey],
        seen: &[ActionAbout],
    ) -> Result<Option<ReceiptRow>> {
        let unwritable = |why: String| StoreError::corrupt("a receipt", why);
        let value = serde_json::to_value(statement).map_err(|error| unwritable(error.to_string()))?;
        let mut text = Vec::new();
        canonical::write(&value, &mut text).map_err(|error| unwritable(error.to_string()))?;
        let text = String::from_utf8(text).map_err(|error| unwritable(error.to_string()))?;
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        if actions_about(&mut tx, about).await? != seen {
            return Ok(None);
        }
        let (identity, tally) = (statement.identity.folded(), statement.tally());
        let by = statement.written_by.clone();
        let personal = [("identity", identity.clone()), ("by", by), (STATEMENT, text)];
        let event = Event {
            kind: EventKind::ReceiptWritten,
            subject: String::new(),
            body: json!(tally),
            personal: personal.map(|(name, value)| (name.to_owned(), value)).into(),
        };
        let ledger_index = ledger::append(&mut tx, vec![event], statement.written_at).await?;
        let columns = fetch_one!(
            &mut tx,
            ReceiptColumns,
            "INSERT INTO receipt (id, identity, written_at, ledger_index, verified, void, not_verified, remaining, unread)
             SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8 FROM receipt
             RETURNING id, identity, written_at, ledger_index, verified, void, not_verified, remaining, unread",
            identity.as_str(),
            micros(statement.written_at),
            stored(ledger_index),
            stored(tally.verified),
            stored(tally.void),
            stored(tally.not_verified),
            stored(tally.remaining),
            stored(tally.unread)
        )?;
        if let Some(since) = statement.left_at {
            keep_leaving(&mut tx, &[(identity.clone(), since)]).await?;
        }
        // What is under way will be told when it has come to its end.
        let is_open = seen.iter().any(|action| is_open(action.row.state));
        let about = if is_open { &[][..] } else { about };
        let about: Vec<(String,)> = about.iter().map(|identity| (identity.folded(),)).collect();
        execute_rows!(
            &mut tx,
            &about,
            "DELETE FROM receipt_due WHERE identity IN (SELECT value->>0 FROM ",
            ")"
        )?;
        tx.commit().await?;
        receipt_row(columns).map(Some)
    }

    /// The receipts about somebody, the latest first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn receipts(&self, identity: &IdentityKey) -> Result<Vec<ReceiptRow>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            ReceiptColumns,
            select_receipts!("WHERE identity = $1 ORDER BY id DESC"),
            identity.folded()
        )?;
        rows.into_iter().map(receipt_row).collect()
    }

    /// One receipt.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not read back.
    pub async fn receipt(&self, id: i64) -> Result<Option<ReceiptRow>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(&mut tx, ReceiptColumns, select_receipts!("WHERE id = $1"), id)?;
        rows.into_iter().map(receipt_row).next().transpose()
    }

    /// What a receipt says, as it is committed to; `None` where it was erased.
    ///
    /// # Errors
    /// [`StoreError::Salt`] where a salt does not read back.
    pub async fn receipt_statement(&self, receipt: &ReceiptRow) -> Result<Option<Opening>> {
        Ok(self.ledger_openings(receipt.ledger_index).await?.remove(STATEMENT))
    }

    /// The ledger entries of the steps of these actions that were made before an entry, in the order of the log.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn ledger_indexes_before(
        &self,
        actions: &[(PlanHash, ActionId)],
        before: u64,
    ) -> Result<Vec<u64>> {
        let keys: Vec<(&str, &str)> =
            actions.iter().map(|(plan, action)| (plan.as_str(), action.as_str())).collect();
        let mut tx = self.db.read().await?;
        let rows = fetch_rows!(
            &mut tx,
            &keys,
            (i64,),
            "SELECT step.ledger_index FROM ",
            " JOIN action_transition AS step ON step.plan = list.value->>0 AND step.action = list.value->>1
             ORDER BY step.ledger_index"
        )?;
        Ok(rows.into_iter().map(|(index,)| count(index)).filter(|index| *index < before).collect())
    }
}
