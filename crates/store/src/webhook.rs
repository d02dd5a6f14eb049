//! Webhooks: who wants to be told of what the ledger records, and with which secret they know that it is us.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::event::EventKind;
use serde_json::{Value, json};

use crate::db::{
    Tx, count, execute, fetch_all, fetch_one, fetch_optional, from_json, instant, micros, row, to_json,
    without_nul,
};
use crate::error::{Result, StoreError};
use crate::ledger::{self, Event};
use crate::store::Store;

/// How many webhooks there can be: each may keep connections open, so that their number is what bounds them.
pub const WEBHOOKS_MAX: u64 = 50;

/// Whether a webhook is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookState {
    /// It is told of what happens.
    Active,
    /// A person holds it back.
    Paused,
    /// Its receiver did not take what was sent for days, or said that it is gone.
    Disabled,
}

impl WebhookState {
    /// Every state.
    pub const ALL: &'static [Self] = &[Self::Active, Self::Paused, Self::Disabled];

    /// Its name in the store and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == text)
    }
}

/// A webhook. Its secrets are sealed; the store cannot read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: String,
    /// Where its receiver is.
    pub url: String,
    /// What people call it.
    pub description: String,
    /// The names of the events that it is told of; none stands for all of them.
    pub events: Vec<String>,
    /// Whether it is sent to.
    pub state: WebhookState,
    /// Why it is disabled.
    pub reason: Option<String>,
    /// The secret that signs, sealed.
    pub secret: String,
    /// The secret before it, sealed, and until when that one signs, too.
    pub previous_secret: Option<(String, Timestamp)>,
    /// The first entry of the ledger that it is told of.
    pub from_entry: u64,
    /// Since when there is this webhook.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When something was last delivered.
    pub delivered_at: Option<Timestamp>,
}

impl Webhook {
    /// Whether it is told of an event of this name.
    pub fn wants(&self, event: &str) -> bool {
        self.events.is_empty() || self.events.iter().any(|wanted| wanted == event)
    }
}

/// A webhook to be made.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// Its id, for which its secret is sealed.
    pub id: String,
    /// Where its receiver is.
    pub url: String,
    /// What people call it.
    pub description: String,
    /// The names of the events that it is told of; none stands for all of them.
    pub events: Vec<String>,
    /// The secret that signs, sealed.
    pub secret: String,
}

impl NewWebhook {
    /// An id that no other webhook has; ids sort by the time of their making.
    pub fn id() -> String {
        uuid::Uuid::now_v7().to_string()
    }
}

/// What is to be different about a webhook; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct WebhookChange {
    /// Where its receiver is.
    pub url: Option<String>,
    /// What people call it.
    pub description: Option<String>,
    /// The names of the events that it is told of.
    pub events: Option<Vec<String>>,
    /// Whether it is sent to. What happened while it was not is not told later.
    pub state: Option<WebhookState>,
}

row! {
    struct Row {
        id: String,
        url: String,
        description: String,
        events: String,
        state: String,
        reason: Option<String>,
        secret: String,
        previous_secret: Option<String>,
        previous_until: Option<i64>,
        from_entry: i64,
        created_at: i64,
        created_by: String,
        delivered_at: Option<i64>,
    }
}

impl Row {
    fn read(self) -> Result<Webhook> {
        let state = WebhookState::parse(&self.state)
            .ok_or_else(|| StoreError::corrupt("a webhook", format!("the state `{}`", self.state)))?;
        let previous_secret = match (self.previous_secret, self.previous_until) {
            (Some(secret), Some(until)) => Some((secret, instant(until)?)),
            _ => None,
        };
        Ok(Webhook {
            events: from_json("a webhook's events", &self.events)?,
            from_entry: count(self.from_entry),
            created_at: instant(self.created_at)?,
            delivered_at: self.delivered_at.map(instant).transpose()?,
            id: self.id,
            url: self.url,
            description: self.description,
            state,
            reason: self.reason,
            secret: self.secret,
            previous_secret,
            created_by: self.created_by,
        })
    }
}

macro_rules! select_webhooks {
    ($rest:literal) => {
        concat!(
            "SELECT id, url, description, events, state, reason, secret, previous_secret, previous_until, from_entry,
                    created_at, created_by, delivered_at FROM webhook ",
            $rest
        )
    };
}

async fn read(tx: &mut Tx, id: &str) -> Result<Option<Webhook>> {
    fetch_optional!(tx, Row, select_webhooks!("WHERE id = $1"), id)?.map(Row::read).transpose()
}

/// The webhooks that are sent to, by age.
pub(crate) async fn active(tx: &mut Tx) -> Result<Vec<Webhook>> {
    let rows = fetch_all!(tx, Row, select_webhooks!("WHERE state = 'active' ORDER BY id"))?;
    rows.into_iter().map(Row::read).collect()
}

/// Who did it is personal; the address can carry a secret of the receiver, and is in no entry.
fn event(id: &str, body: Value, by: &str) -> Event {
    let personal = BTreeMap::from([("by".to_owned(), by.to_owned())]);
    Event { kind: EventKind::WebhookChanged, subject: id.to_owned(), body, personal }
}

/// Records that something is different about a webhook, and gives the entry that does so.
async fn note(tx: &mut Tx, id: &str, change: &str, by: &str, now: Timestamp) -> Result<u64> {
    ledger::append(tx, vec![event(id, json!({ "webhook": id, "change": change }), by)], now).await
}

/// Disables a webhook that is active. The caller has the ledger's lock.
pub(crate) async fn disable(tx: &mut Tx, id: &str, reason: &str, now: Timestamp) -> Result<bool> {
    let disabled = execute!(
        tx,
        "UPDATE webhook SET state = 'disabled', reason = $1 WHERE id = $2 AND state = 'active'",
        without_nul(reason).as_ref(),
        id
    )?;
    if disabled == 1 {
        note(tx, id, "disabled", "leasehold", now).await?;
    }
    Ok(disabled == 1)
}

impl Store {
    /// Makes a webhook, which is told of everything that is recorded from now on; `None` where there are too many.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn create_webhook(
        &self,
        new: &NewWebhook,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<Webhook>> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let (known,): (i64,) = fetch_one!(&mut tx, (i64,), "SELECT COUNT(*) FROM webhook")?;
        if count(known) >= WEBHOOKS_MAX {
            return Ok(None);
        }
        let entry = note(&mut tx, &new.id, "created", by, now).await?;
        execute!(
            &mut tx,
            "INSERT INTO webhook (id, url, description, events, state, secret, from_entry, created_at, created_by)
             VALUES ($1, $2, $3, $4, 'active', $5, $6, $7, $8)",
            new.id.as_str(),
            new.url.as_str(),
            without_nul(&new.description).as_ref(),
            to_json("a webhook's events", &new.events)?,
            new.secret.as_str(),
            crate::db::stored(entry + 1),
            micros(now),
            by
        )?;
        let made = read(&mut tx, &new.id).await?;
        tx.commit().await?;
        Ok(made)
    }

    /// Every webhook, by age.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(&mut tx, Row, select_webhooks!("ORDER BY id"))?;
        rows.into_iter().map(Row::read).collect()
    }

    /// A webhook.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not read back.
    pub async fn webhook(&self, id: &str) -> Result<Option<Webhook>> {
        let mut tx = self.db.read().await?;
        read(&mut tx, id).await
    }

    /// Changes a webhook and gives it as it is now; `None` where there is none. One that is sent to again is told of what
    /// is recorded from then on, and of what was on its way when it was held back.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn change_webhook(
        &self,
        id: &str,
        change: &WebhookChange,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<Webhook>> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let Some(before) = read(&mut tx, id).await? else { return Ok(None) };
        let state = change.state.unwrap_or(before.state);
        let entry = note(&mut tx, id, "changed", by, now).await?;
        let begins_again = state == WebhookState::Active && before.state != WebhookState::Active;
        let events = change.events.as_ref().unwrap_or(&before.events);
        execute!(
            &mut tx,
            "UPDATE webhook SET url = $1, description = $2, events = $3, state = $4, reason = $5, from_entry = $6
             WHERE id = $7",
            change.url.as_deref().unwrap_or(&before.url),
            without_nul(change.description.as_deref().unwrap_or(&before.description)).as_ref(),
            to_json("a webhook's events", events)?,
            state.as_str(),
            before.reason.as_deref().filter(|_| state == WebhookState::Disabled),
            crate::db::stored(if begins_again { entry + 1 } else { before.from_entry }),
            id
        )?;
        let changed = read(&mut tx, id).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Gives a webhook another secret; the one that it had signs, too, until an instant. False where there is none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn rotate_webhook_secret(
        &self,
        id: &str,
        secret: &str,
        previous_until: Timestamp,
        by: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let rotated = execute!(
            &mut tx,
            "UPDATE webhook SET previous_secret = secret, previous_until = $1, secret = $2 WHERE id = $3",
            micros(previous_until),
            secret,
            id
        )?;
        if rotated == 1 {
            note(&mut tx, id, "secret_rotated", by, now).await?;
        }
        tx.commit().await?;
        Ok(rotated == 1)
    }

    /// Deletes a webhook with everything that was to be sent to it; false where there is none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn delete_webhook(&self, id: &str, by: &str, now: Timestamp) -> Result<bool> {
        let mut tx = self.db.write().await?;
        ledger::lock(&mut tx).await?;
        let deleted = execute!(&mut tx, "DELETE FROM webhook WHERE id = $1", id)?;
        execute!(&mut tx, "DELETE FROM webhook_delivery WHERE webhook = $1", id)?;
        if deleted == 1 {
            note(&mut tx, id, "deleted", by, now).await?;
        }
        tx.commit().await?;
        Ok(deleted == 1)
    }
}
