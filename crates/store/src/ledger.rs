//! The ledger's entries and the openings beside them: gapless, in the order of commits.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_ledger::commitment::{Opening, Salt, commit};
use leasehold_ledger::entry::Entry;
use leasehold_model::event::EventKind;
use serde_json::Value;

use crate::db::{
    Tx, count, execute, fetch_all, fetch_one, fetch_optional, insert_blobs, insert_rows, stored, without_nul,
};
use crate::error::{Result, StoreError};
use crate::store::Store;

/// Texts of targets can be of any length; an entry cannot. What is cut here is whole in the journal.
const TEXT_CHARS_MAX: usize = 2_000;

/// Something to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What kind it is.
    pub kind: EventKind,
    /// What it is about: an identifier, not personal data.
    pub subject: String,
    /// Its own fields. Numbers are integers; no personal data.
    pub body: Value,
    /// Personal data by field: the entry holds a salted commitment to each, the value stands beside the ledger.
    pub personal: BTreeMap<String, String>,
}

/// Takes the write lock of the whole store and gives the newest epoch. Every transaction that numbers an epoch or
/// writes an entry begins with this, so that numbers are given in the order of commits and nobody waits in a circle.
pub(crate) async fn lock(tx: &mut Tx) -> Result<i64> {
    let (epoch,): (i64,) = fetch_one!(tx, (i64,), "UPDATE head SET epoch = epoch RETURNING epoch")?;
    Ok(epoch)
}

/// Writes entries in this transaction and gives the index of the first.
pub(crate) async fn append(tx: &mut Tx, events: Vec<Event>, now: Timestamp) -> Result<u64> {
    append_each(tx, events.into_iter().map(|event| (event, now)).collect()).await
}

/// The same with a time for each.
pub(crate) async fn append_each(tx: &mut Tx, events: Vec<(Event, Timestamp)>) -> Result<u64> {
    let (length,): (i64,) = fetch_one!(
        tx,
        (i64,),
        "UPDATE head SET ledger_length = ledger_length + $1 RETURNING ledger_length",
        stored(events.len() as u64)
    )?;
    let first = length - stored(events.len() as u64);
    let (mut entries, mut openings) = (Vec::with_capacity(events.len()), Vec::new());
    for (index, (event, at)) in (first..).zip(events) {
        let mut commitments = BTreeMap::new();
        for (field, value) in event.personal {
            let value = without_nul(&value).into_owned();
            let salt = Salt::generate()?;
            commitments.insert(field.clone(), commit(&salt, &value));
            openings.push((index, field, salt.to_text(), value));
        }
        let entry = Entry {
            kind: event.kind.as_str().to_owned(),
            at: at.to_string(),
            subject: event.subject,
            body: event.body,
            commitments,
        };
        entries.push((index, entry.to_bytes()?));
    }
    insert_blobs!(tx, "ledger_entry", "entry_index", "bytes", entries)?;
    insert_rows!(
        tx,
        "ledger_opening",
        &openings,
        [0 entry_index BIGINT, 1 field TEXT, 2 salt TEXT, 3 value TEXT]
    )?;
    Ok(count(first))
}

/// Shortens a text of a target to what an entry can hold.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… (cut)", &text[..end]),
    }
}

impl Store {
    /// Records a claim that has no row of its own and gives its index.
    ///
    /// # Errors
    /// [`StoreError::Ledger`] where the event cannot be written as an entry.
    pub async fn record(&self, event: Event, now: Timestamp) -> Result<u64> {
        let mut tx = self.db.write().await?;
        lock(&mut tx).await?;
        let index = append(&mut tx, vec![event], now).await?;
        tx.commit().await?;
        Ok(index)
    }

    /// How many entries there are.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn ledger_len(&self) -> Result<u64> {
        let mut tx = self.db.read().await?;
        let (length,): (i64,) = fetch_one!(&mut tx, (i64,), "SELECT ledger_length FROM head")?;
        Ok(count(length))
    }

    /// How many entries were published under a signed checkpoint, as far as this store was told.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn ledger_published(&self) -> Result<u64> {
        let mut tx = self.db.read().await?;
        let (length,): (i64,) = fetch_one!(&mut tx, (i64,), "SELECT published_length FROM head")?;
        Ok(count(length))
    }

    /// Remembers how many entries are published; never fewer than before.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn set_ledger_published(&self, length: u64) -> Result<()> {
        let mut tx = self.db.write().await?;
        execute!(
            &mut tx,
            "UPDATE head SET published_length = $1 WHERE published_length < $1",
            stored(length)
        )?;
        tx.commit().await?;
        Ok(())
    }

    /// The public key that the log is signed with, as text, since it was first published.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn ledger_key(&self) -> Result<Option<String>> {
        let mut tx = self.db.read().await?;
        let row = fetch_optional!(&mut tx, (String,), "SELECT public_key FROM ledger_key")?;
        Ok(row.map(|(key,)| key))
    }

    /// Keeps the public key that the log is signed with, for good, and gives the one that is kept: another one where
    /// another was kept before.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn pin_ledger_key(&self, key: &str) -> Result<String> {
        if let Some(kept) = self.ledger_key().await? {
            return Ok(kept);
        }
        let mut tx = self.db.write().await?;
        execute!(
            &mut tx,
            "INSERT INTO ledger_key (only_row, public_key) VALUES (1, $1) ON CONFLICT (only_row) DO NOTHING",
            key
        )?;
        let (kept,): (String,) = fetch_one!(&mut tx, (String,), "SELECT public_key FROM ledger_key")?;
        tx.commit().await?;
        Ok(kept)
    }

    /// Every row of the ledger as it stands, in order, whatever is wrong with it, and how many there should be: what an
    /// audit begins with. The two are of one instant.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn ledger_rows(&self) -> Result<(u64, Vec<(i64, Vec<u8>)>)> {
        let mut tx = self.db.read().await?;
        let (length,): (i64,) = fetch_one!(&mut tx, (i64,), "SELECT ledger_length FROM head")?;
        let rows = fetch_all!(
            &mut tx,
            (i64, Vec<u8>),
            "SELECT entry_index, bytes FROM ledger_entry ORDER BY entry_index"
        )?;
        Ok((count(length), rows))
    }

    /// Entries from an index on, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where an entry is missing.
    pub async fn ledger_entries(&self, from: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (i64, Vec<u8>),
            "SELECT entry_index, bytes FROM ledger_entry WHERE entry_index >= $1 ORDER BY entry_index LIMIT $2",
            stored(from),
            stored(limit as u64)
        )?;
        let mut entries = Vec::with_capacity(rows.len());
        for (expected, (index, bytes)) in (from..).zip(rows) {
            if count(index) != expected {
                return Err(StoreError::corrupt(
                    "the ledger",
                    format!(
                        "entry {expected} is missing, entry {index} follows; run `leasehold ledger verify`"
                    ),
                ));
            }
            entries.push((expected, bytes));
        }
        Ok(entries)
    }

    /// What opens the commitments of one entry, by field; without those that were erased.
    ///
    /// # Errors
    /// [`StoreError::Salt`] where a salt does not read back.
    pub async fn ledger_openings(&self, index: u64) -> Result<BTreeMap<String, Opening>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (String, String, String),
            "SELECT field, salt, value FROM ledger_opening WHERE entry_index = $1",
            stored(index)
        )?;
        rows.into_iter()
            .map(|(field, salt, value)| Ok((field, Opening { salt: Salt::from_text(&salt)?, value })))
            .collect()
    }

    /// Erases every opening of a value, and of reasons and receipts that name it, and gives how many there were. The entries stay as they are and still verify;
    /// nobody can say any longer what their commitments meant.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn erase_openings(&self, value: &str) -> Result<u64> {
        let mut tx = self.db.write().await?;
        let like = |text: &str| text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        let within = format!("%{}%", like(value));
        // A receipt is JSON: what it names stands in it as a text of its own.
        let named = format!("%{}%", like(&serde_json::Value::from(value).to_string()));
        let folded = value.trim().to_lowercase();
        let erased = execute!(
            &mut tx,
            "DELETE FROM ledger_opening WHERE value = $1 OR (field = 'reason' AND value LIKE $2 ESCAPE '\\')
             OR (field = 'statement' AND value LIKE $3 ESCAPE '\\')
             OR (entry_index IN (SELECT ledger_index FROM receipt WHERE identity = $4) AND field IN ('statement', 'identity'))",
            value,
            within,
            named,
            folded
        )?;
        tx.commit().await?;
        Ok(erased)
    }
}
