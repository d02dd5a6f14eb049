//! What is on its way to webhooks, and its end: each delivery is claimed with a fence before it is sent.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::db::{
    count, execute, fetch_all, fetch_one, fetch_optional, instant, micros, row, stored, without_nul,
};
use crate::error::{Result, StoreError};
use crate::ledger;
use crate::store::Store;
use crate::webhook;

macro_rules! delivery_states {
    ($($(#[$meta:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// Where a delivery stands.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum DeliveryState { $($(#[$meta])* $variant,)+ }

        impl DeliveryState {
            /// Every state.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name used in the store and in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Reads the name.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

delivery_states! {
    /// It is sent, or sent again, when its time comes.
    Waiting = "waiting",
    /// The receiver took it.
    Delivered = "delivered",
    /// It was given up.
    Failed = "failed",
}

/// One message to one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message's id, the same at every attempt.
    pub id: String,
    /// To which webhook.
    pub webhook: String,
    /// The event's name.
    pub event: String,
    /// The entry of the ledger that it is about; none for a test.
    pub entry: Option<u64>,
    /// What is sent, the same at every attempt.
    pub body: String,
    /// Since when it is to be sent.
    pub created_at: Timestamp,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was sent, or begun to be.
    pub attempts: u64,
    /// When it is sent next, where it waits.
    pub next_attempt_at: Timestamp,
    /// Of the latest claim.
    pub fence: i64,
    /// When it was last sent.
    pub attempted_at: Option<Timestamp>,
    /// What the receiver answered last.
    pub status: Option<u16>,
    /// What was wrong with that.
    pub error: Option<String>,
    /// When it was delivered or given up.
    pub ended_at: Option<Timestamp>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The receiver took it.
    Delivered {
        /// With this answer.
        status: u16,
    },
    /// It is sent again.
    Again {
        /// The answer, where there was one.
        status: Option<u16>,
        /// What was wrong.
        error: String,
        /// When.
        at: Timestamp,
    },
    /// It is given up. Where nothing was delivered since it was to be sent, the webhook is disabled.
    Failed {
        /// The answer, where there was one.
        status: Option<u16>,
        /// What was wrong.
        error: String,
    },
    /// The receiver says that it is gone for good: it is given up, and the webhook is disabled.
    Gone {
        /// The answer.
        status: u16,
    },
}

row! {
    pub(crate) struct Row {
        id: String,
        webhook: String,
        event: String,
        entry_index: Option<i64>,
        body: String,
        created_at: i64,
        state: String,
        attempts: i64,
        next_attempt_at: i64,
        fence: i64,
        attempted_at: Option<i64>,
        status: Option<i64>,
        error: Option<String>,
        ended_at: Option<i64>,
    }
}

impl Row {
    pub(crate) fn read(self) -> Result<Delivery> {
        Ok(Delivery {
            state: state(&self.state)?,
            entry: self.entry_index.map(count),
            created_at: instant(self.created_at)?,
            attempts: count(self.attempts),
            next_attempt_at: instant(self.next_attempt_at)?,
            attempted_at: self.attempted_at.map(instant).transpose()?,
            status: self.status.and_then(|status| u16::try_from(status).ok()),
            ended_at: self.ended_at.map(instant).transpose()?,
            id: self.id,
            webhook: self.webhook,
            event: self.event,
            body: self.body,
            fence: self.fence,
            error: self.error,
        })
    }
}

fn state(text: &str) -> Result<DeliveryState> {
    DeliveryState::parse(text).ok_or_else(|| StoreError::corrupt("a delivery", format!("the state `{text}`")))
}

macro_rules! select_deliveries {
    ($rest:literal) => {
        concat!(
            "SELECT id, webhook, event, entry_index, body, created_at, state, attempts, next_attempt_at, fence,
                    attempted_at, status, error, ended_at FROM webhook_delivery ",
            $rest
        )
    };
}

impl Store {
    /// Claims what waits longest of what is due at a webhook; nothing while the webhook is not sent to. Until the claim
    /// passes nobody else sends it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not read back.
    pub async fn claim_delivery(
        &self,
        webhook: &str,
        by: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Delivery>> {
        // More than one: what another process claims between the two statements is no reason to go away with nothing.
        let mut read = self.db.read().await?;
        let due = fetch_all!(
            &mut read,
            (String, i64),
            "SELECT id, fence FROM webhook_delivery AS delivery
             WHERE webhook = $1 AND state = 'waiting' AND next_attempt_at <= $2
               AND (claim_until IS NULL OR claim_until <= $2)
               AND EXISTS (SELECT 1 FROM webhook WHERE webhook.id = delivery.webhook AND webhook.state = 'active')
             ORDER BY next_attempt_at, id LIMIT 8",
            webhook,
            micros(now)
        )?;
        drop(read);
        for (id, fence) in due {
            let mut tx = self.db.write().await?;
            let claimed = fetch_optional!(
                &mut tx,
                Row,
                "UPDATE webhook_delivery SET claimed_by = $1, claim_until = $2, fence = fence + 1, attempts = attempts + 1,
                     attempted_at = $3
                 WHERE id = $4 AND fence = $5 AND state = 'waiting' AND (claim_until IS NULL OR claim_until <= $3)
                 RETURNING id, webhook, event, entry_index, body, created_at, state, attempts, next_attempt_at, fence,
                           attempted_at, status, error, ended_at",
                by,
                micros(until),
                micros(now),
                id.as_str(),
                fence
            )?;
            tx.commit().await?;
            if let Some(row) = claimed {
                return row.read().map(Some);
            }
        }
        Ok(None)
    }

    /// Notes how an attempt ended; false where the claim has passed to somebody else, and nothing was changed.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn end_attempt(&self, delivery: &Delivery, end: &AttemptEnd, now: Timestamp) -> Result<bool> {
        let (state, status, error, at) = match end {
            AttemptEnd::Delivered { status } => (DeliveryState::Delivered, Some(*status), None, now),
            AttemptEnd::Again { status, error, at } => {
                (DeliveryState::Waiting, *status, Some(error.as_str()), *at)
            }
            AttemptEnd::Failed { status, error } => {
                (DeliveryState::Failed, *status, Some(error.as_str()), now)
            }
            AttemptEnd::Gone { status } => (
                DeliveryState::Failed,
                Some(*status),
                Some("the receiver says that it is gone for good"),
                now,
            ),
        };
        let gives_up = state == DeliveryState::Failed;
        let mut tx = self.db.write().await?;
        if gives_up {
            ledger::lock(&mut tx).await?;
        }
        let ended = execute!(
            &mut tx,
            "UPDATE webhook_delivery SET state = $1, status = $2, error = $3, next_attempt_at = $4, ended_at = $5,
                 claimed_by = NULL, claim_until = NULL
             WHERE id = $6 AND fence = $7 AND state = 'waiting'",
            state.as_str(),
            status.map(i64::from),
            error.map(without_nul).as_deref(),
            micros(at),
            (state != DeliveryState::Waiting).then(|| micros(now)),
            delivery.id.as_str(),
            delivery.fence
        )?;
        if ended == 0 {
            return Ok(false);
        }
        if state == DeliveryState::Delivered {
            execute!(
                &mut tx,
                "UPDATE webhook SET delivered_at = $1 WHERE id = $2",
                micros(now),
                delivery.webhook.as_str()
            )?;
        }
        if gives_up {
            let (delivered_since,): (i64,) = fetch_one!(
                &mut tx,
                (i64,),
                "SELECT COUNT(*) FROM webhook WHERE id = $1 AND delivered_at >= $2",
                delivery.webhook.as_str(),
                micros(delivery.created_at)
            )?;
            let reason = match end {
                AttemptEnd::Gone { .. } => Some("its receiver answered 410: it is gone for good".to_owned()),
                _ if delivered_since == 0 => {
                    Some(format!("nothing was delivered in {} attempts over days", delivery.attempts))
                }
                _ => None,
            };
            if let Some(reason) = reason {
                webhook::disable(&mut tx, &delivery.webhook, &reason, now).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Gives a claim back unused: the process stops. The attempt does not count.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn give_back_delivery(&self, delivery: &Delivery) -> Result<()> {
        let mut tx = self.db.write().await?;
        execute!(
            &mut tx,
            "UPDATE webhook_delivery SET claimed_by = NULL, claim_until = NULL, attempts = attempts - 1
             WHERE id = $1 AND fence = $2 AND state = 'waiting'",
            delivery.id.as_str(),
            delivery.fence
        )?;
        tx.commit().await
    }

    /// Has a delivery sent anew, whatever became of it; false where there is none, or it is being sent.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn redeliver(&self, webhook: &str, id: &str, now: Timestamp) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let queued = execute!(
            &mut tx,
            "UPDATE webhook_delivery SET state = 'waiting', attempts = 0, next_attempt_at = $1, ended_at = NULL,
                 fence = fence + 1, claimed_by = NULL, claim_until = NULL
             WHERE id = $2 AND webhook = $3 AND (claim_until IS NULL OR claim_until <= $1)",
            micros(now),
            id,
            webhook
        )?;
        tx.commit().await?;
        Ok(queued == 1)
    }

    /// One delivery of a webhook.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not read back.
    pub async fn delivery(&self, webhook: &str, id: &str) -> Result<Option<Delivery>> {
        let mut tx = self.db.read().await?;
        let row =
            fetch_optional!(&mut tx, Row, select_deliveries!("WHERE webhook = $1 AND id = $2"), webhook, id)?;
        row.map(Row::read).transpose()
    }

    /// Deliveries of a webhook, the newest first, from the one before `before` on.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn deliveries(
        &self,
        webhook: &str,
        state: Option<DeliveryState>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Delivery>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            Row,
            select_deliveries!(
                "WHERE webhook = $1 AND (CAST($2 AS TEXT) IS NULL OR state = $2)
                 AND (CAST($3 AS TEXT) IS NULL OR id < $3) ORDER BY id DESC LIMIT $4"
            ),
            webhook,
            state.map(DeliveryState::as_str),
            before,
            stored(limit as u64)
        )?;
        rows.into_iter().map(Row::read).collect()
    }

    /// How many deliveries there are in each state.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where a state does not read back.
    pub async fn delivery_counts(&self) -> Result<BTreeMap<DeliveryState, u64>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            (String, i64),
            "SELECT state, COUNT(*) FROM webhook_delivery GROUP BY state"
        )?;
        rows.into_iter().map(|(text, number)| Ok((state(&text)?, count(number)))).collect()
    }

    /// Forgets deliveries that ended before an instant. Gives how many.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn forget_deliveries(&self, ended_before: Timestamp) -> Result<u64> {
        let mut tx = self.db.write().await?;
        let forgotten = execute!(
            &mut tx,
            "DELETE FROM webhook_delivery WHERE ended_at < $1
                OR NOT EXISTS (SELECT 1 FROM webhook WHERE webhook.id = webhook_delivery.webhook)",
            micros(ended_before)
        )?;
        tx.commit().await?;
        Ok(forgotten)
    }
}
