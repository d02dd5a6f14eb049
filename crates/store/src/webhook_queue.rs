//! What becomes a message to webhooks. Deliveries follow from the ledger by a cursor: what was recorded is told, what was not
//! recorded is not, and a process that dies loses nothing.

use jiff::Timestamp;
use uuid::Uuid;

use crate::db::{count, execute, fetch_all, fetch_one, micros, stored};
use crate::error::Result;
use crate::store::Store;
use crate::webhook::{self, Webhook};
use crate::webhook_delivery::{Delivery, Row};

/// How far one step along the ledger goes.
const ENTRIES_AT_ONCE: u64 = 500;

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The event's name.
    pub event: &'static str,
    /// What is sent.
    pub body: String,
}

/// An id by which a receiver knows a message again; ids sort by the time of their making.
fn message_id() -> String {
    format!("msg_{}", Uuid::now_v7().simple())
}

impl Store {
    /// Goes one step along the ledger: what was recorded since the last one becomes deliveries to every webhook that is
    /// sent to and wants it. `message` says what an entry is told as, if at all. Gives whether there may be more to do.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn queue_deliveries(
        &self,
        message: impl Fn(u64, &[u8]) -> Option<Message>,
        now: Timestamp,
    ) -> Result<bool> {
        let Some(from) = self.untold().await? else { return Ok(false) };
        let mut tx = self.db.write().await?;
        // Whoever has the row queues; another process waits here, and then goes on from where this one came to.
        let (next,): (i64,) = fetch_one!(
            &mut tx,
            (i64,),
            "UPDATE webhook_cursor SET next_entry = CASE WHEN next_entry < $1 THEN $1 ELSE next_entry END
             RETURNING next_entry",
            stored(from)
        )?;
        let entries = fetch_all!(
            &mut tx,
            (i64, Vec<u8>),
            "SELECT entry_index, bytes FROM ledger_entry WHERE entry_index >= $1 AND entry_index < $2
             ORDER BY entry_index",
            next,
            next.saturating_add(stored(ENTRIES_AT_ONCE))
        )?;
        // Read after the entries: a webhook that is missing here was made after all of them.
        let webhooks = webhook::active(&mut tx).await?;
        let Some(last) = entries.last().map(|(index, _)| *index) else { return Ok(false) };
        for (index, bytes) in &entries {
            let wanted = |webhook: &&Webhook| webhook.from_entry <= count(*index);
            let wanted: Vec<&Webhook> = webhooks.iter().filter(wanted).collect();
            if wanted.is_empty() {
                continue;
            }
            let Some(message) = message(count(*index), bytes) else { continue };
            for webhook in wanted.into_iter().filter(|webhook| webhook.wants(message.event)) {
                execute!(
                    &mut tx,
                    "INSERT INTO webhook_delivery (id, webhook, event, entry_index, body, created_at, state, attempts,
                                                   next_attempt_at, fence)
                     VALUES ($1, $2, $3, $4, $5, $6, 'waiting', 0, $6, 0) ON CONFLICT DO NOTHING",
                    message_id(),
                    webhook.id.as_str(),
                    message.event,
                    *index,
                    message.body.as_str(),
                    micros(now)
                )?;
            }
        }
        execute!(&mut tx, "UPDATE webhook_cursor SET next_entry = $1", last + 1)?;
        tx.commit().await?;
        Ok(entries.len() as u64 == ENTRIES_AT_ONCE)
    }

    /// The first entry from which on there is anything to be told to anybody; `None` where there is nothing.
    async fn untold(&self) -> Result<Option<u64>> {
        let mut tx = self.db.read().await?;
        let (next, length, from) = fetch_one!(
            &mut tx,
            (i64, i64, Option<i64>),
            "SELECT (SELECT next_entry FROM webhook_cursor), ledger_length,
                    (SELECT MIN(from_entry) FROM webhook WHERE state = 'active') FROM head"
        )?;
        Ok(from.map(|from| from.max(next)).filter(|from| *from < length).map(count))
    }

    /// Sends a message to one webhook beside what the ledger says, and gives it.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn queue_test(&self, webhook: &str, message: &Message, now: Timestamp) -> Result<Delivery> {
        let mut tx = self.db.write().await?;
        let row = fetch_one!(
            &mut tx,
            Row,
            "INSERT INTO webhook_delivery (id, webhook, event, body, created_at, state, attempts, next_attempt_at, fence)
             VALUES ($1, $2, $3, $4, $5, 'waiting', 0, $5, 0)
             RETURNING id, webhook, event, entry_index, body, created_at, state, attempts, next_attempt_at, fence,
                       attempted_at, status, error, ended_at",
            message_id(),
            webhook,
            message.event,
            message.body.as_str(),
            micros(now)
        )?;
        tx.commit().await?;
        row.read()
    }
}
