//! Durable tasks: asked for by anybody, and carried out by whichever process [claims](claim) them.

mod claim;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::db::{
    Tx, count, execute, fetch_all, fetch_one, fetch_optional, from_json, instant, micros, row, stored,
    to_json,
};
use crate::error::{Result, StoreError};
use crate::store::Store;

pub use claim::TaskClaim;

macro_rules! task_states {
    ($($(#[$meta:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// Where a task stands.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum TaskState { $($(#[$meta])* $variant,)+ }

        impl TaskState {
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

task_states! {
    /// Nobody has begun it.
    Queued = "queued",
    /// Somebody has claimed it.
    Running = "running",
    /// It ended well.
    Done = "done",
    /// It ended with an error.
    Failed = "failed",
    /// Somebody thought better of it before it was begun, or it was asked for again.
    Cancelled = "cancelled",
}

/// Work to be asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// What is to be done: a name of the registry of tasks.
    pub kind: String,
    /// What it is about, for lists.
    pub subject: String,
    /// Of the tasks in a lane one runs at a time.
    pub lane: String,
    /// Everything that it needs to know; no secrets.
    pub arguments: Value,
    /// Who asks.
    pub requested_by: String,
    /// Not to be begun before.
    pub not_before: Timestamp,
}

/// A task and where it stands.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TaskRow {
    /// Its name; names sort by the time of asking.
    pub id: String,
    /// What is to be done.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// Of the tasks in a lane one runs at a time.
    pub lane: String,
    /// Everything that it needs to know.
    pub arguments: Value,
    /// Who asked first.
    pub requested_by: String,
    /// When.
    pub requested_at: Timestamp,
    /// Not to be begun before.
    pub not_before: Timestamp,
    /// Where it stands.
    pub state: TaskState,
    /// How often it was begun.
    pub attempts: u64,
    /// How often it ended with an error and was put off.
    pub failures: u64,
    /// Which process has it.
    pub claimed_by: Option<String>,
    /// Since when.
    pub claimed_at: Option<Timestamp>,
    /// When the claim passes unless it is renewed.
    pub claim_until: Option<Timestamp>,
    /// Of the latest claim.
    pub fence: i64,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What came of it.
    pub result: Option<Value>,
    /// The error of its last attempt.
    pub error: Option<String>,
}

/// What became of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requested {
    /// It is queued under this name.
    Queued(String),
    /// The same work was queued already, under this name, and nobody has begun it.
    Coalesced(String),
}

impl Requested {
    /// The task's name.
    pub fn id(&self) -> &str {
        match self {
            Self::Queued(id) | Self::Coalesced(id) => id,
        }
    }
}

/// Which tasks to list; what is `None` does not restrict.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Only this kind.
    pub kind: Option<String>,
    /// Only in this state.
    pub state: Option<TaskState>,
    /// Only about this.
    pub subject: Option<String>,
    /// Only those that were asked for before this one.
    pub before: Option<String>,
}

/// What does not read back, in a complaint.
const WHAT: &str = "a task";

row! {
    struct Row {
        id: String,
        kind: String,
        subject: String,
        lane: String,
        arguments: String,
        requested_by: String,
        requested_at: i64,
        not_before: i64,
        state: String,
        attempts: i64,
        failures: i64,
        claimed_by: Option<String>,
        claimed_at: Option<i64>,
        claim_until: Option<i64>,
        fence: i64,
        ended_at: Option<i64>,
        result: Option<String>,
        error: Option<String>,
    }
}

impl Row {
    fn read(self) -> Result<TaskRow> {
        let state = TaskState::parse(&self.state)
            .ok_or_else(|| StoreError::corrupt(WHAT, format!("the state `{}`", self.state)))?;
        Ok(TaskRow {
            arguments: from_json(WHAT, &self.arguments)?,
            requested_at: instant(self.requested_at)?,
            not_before: instant(self.not_before)?,
            state,
            attempts: count(self.attempts),
            failures: count(self.failures),
            claimed_at: self.claimed_at.map(instant).transpose()?,
            claim_until: self.claim_until.map(instant).transpose()?,
            ended_at: self.ended_at.map(instant).transpose()?,
            result: self.result.map(|result| from_json(WHAT, &result)).transpose()?,
            id: self.id,
            kind: self.kind,
            subject: self.subject,
            lane: self.lane,
            requested_by: self.requested_by,
            claimed_by: self.claimed_by,
            fence: self.fence,
            error: self.error,
        })
    }
}

macro_rules! select_tasks {
    ($rest:literal) => {
        concat!(
            "SELECT id, kind, subject, lane, arguments, requested_by, requested_at, not_before, state, attempts,
                    failures, claimed_by, claimed_at, claim_until, fence, ended_at, result, error FROM task ",
            $rest
        )
    };
}

use select_tasks;

/// What tells queued work from other queued work.
fn digest(kind: &str, arguments: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update((kind.len() as u64).to_be_bytes());
    hasher.update(kind.as_bytes());
    hasher.update(arguments.as_bytes());
    hex::encode(hasher.finalize())
}

/// Queues work in this transaction, unless the same is queued already.
pub(crate) async fn request(tx: &mut Tx, task: &NewTask, now: Timestamp) -> Result<Requested> {
    let arguments = to_json("a task", &task.arguments)?;
    let digest = digest(&task.kind, &arguments);
    let id = Uuid::now_v7().to_string();
    loop {
        let new = execute!(
            tx,
            "INSERT INTO task (id, kind, subject, lane, arguments, digest, requested_by, requested_at, not_before, state,
                               attempts, failures, fence)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'queued', 0, 0, 0)
             ON CONFLICT DO NOTHING",
            id.as_str(),
            task.kind.as_str(),
            task.subject.as_str(),
            task.lane.as_str(),
            arguments.as_str(),
            digest.as_str(),
            task.requested_by.as_str(),
            micros(now),
            micros(task.not_before)
        )?;
        if new == 1 {
            return Ok(Requested::Queued(id));
        }
        // What waits for its next turn begins as soon as somebody asks for it again.
        let known = fetch_optional!(
            tx,
            (String,),
            "UPDATE task SET not_before = CASE WHEN not_before < $2 THEN not_before ELSE $2 END
             WHERE digest = $1 AND state = 'queued' RETURNING id",
            digest.as_str(),
            micros(task.not_before)
        )?;
        // Where its twin was begun between the two statements, there is none any more.
        if let Some((known,)) = known {
            return Ok(Requested::Coalesced(known));
        }
    }
}

impl Store {
    /// Asks for work. Where the same work is queued and nobody has begun it, that is what is asked for.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn request_task(&self, task: &NewTask, now: Timestamp) -> Result<Requested> {
        let mut tx = self.db.write().await?;
        let requested = request(&mut tx, task, now).await?;
        tx.commit().await?;
        Ok(requested)
    }

    /// Cancels a task that nobody has begun; false where it is not queued.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn cancel_task(&self, id: &str, now: Timestamp) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let cancelled = execute!(
            &mut tx,
            "UPDATE task SET state = 'cancelled', ended_at = $1 WHERE id = $2 AND state = 'queued'",
            micros(now),
            id
        )?;
        tx.commit().await?;
        Ok(cancelled == 1)
    }

    /// A task by name.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not read back.
    pub async fn task(&self, id: &str) -> Result<Option<TaskRow>> {
        let mut tx = self.db.read().await?;
        let row = fetch_optional!(&mut tx, Row, select_tasks!("WHERE id = $1"), id)?;
        row.map(Row::read).transpose()
    }

    /// Tasks, the ones asked for last first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn tasks(&self, filter: &TaskFilter, limit: usize) -> Result<Vec<TaskRow>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            Row,
            select_tasks!(
                "WHERE (CAST($1 AS TEXT) IS NULL OR kind = $1) AND (CAST($2 AS TEXT) IS NULL OR state = $2)
                 AND (CAST($3 AS TEXT) IS NULL OR subject = $3) AND (CAST($4 AS TEXT) IS NULL OR id < $4)
                 ORDER BY id DESC LIMIT $5"
            ),
            filter.kind.as_deref(),
            filter.state.map(TaskState::as_str),
            filter.subject.as_deref(),
            filter.before.as_deref(),
            stored(limit as u64)
        )?;
        rows.into_iter().map(Row::read).collect()
    }

    /// How many tasks there are in each state.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where a state does not read back.
    pub async fn task_counts(&self) -> Result<BTreeMap<TaskState, u64>> {
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(&mut tx, (String, i64), "SELECT state, COUNT(*) FROM task GROUP BY state")?;
        let parsed = rows.into_iter().map(|(state, number)| {
            let known = TaskState::parse(&state);
            let known = known.ok_or_else(|| StoreError::corrupt(WHAT, format!("the state `{state}`")))?;
            Ok((known, count(number)))
        });
        parsed.collect()
    }

    /// Whether such a task is queued or running.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn has_open_task(&self, kind: &str, subject: &str) -> Result<bool> {
        let mut tx = self.db.read().await?;
        let (open,) = fetch_one!(
            &mut tx,
            (i64,),
            "SELECT COUNT(*) FROM task WHERE kind = $1 AND subject = $2 AND state IN ('queued', 'running')",
            kind,
            subject
        )?;
        Ok(open > 0)
    }

    /// Forgets tasks that ended before an instant; what they did is in the ledger. Gives how many.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn forget_tasks(&self, ended_before: Timestamp) -> Result<u64> {
        let mut tx = self.db.write().await?;
        let forgotten = execute!(&mut tx, "DELETE FROM task WHERE ended_at < $1", micros(ended_before))?;
        tx.commit().await?;
        Ok(forgotten)
    }
}
