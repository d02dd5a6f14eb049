//! The tasks: one file each, one line each in [`TASKS`].
//!
//! A task takes what it needs to know from the store only, may run twice, and leaves another try to its next turn.

pub mod apply;
pub mod enforce;
pub mod offboard;
pub mod receipts;
pub mod resume;
pub mod sync;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use leasehold_model::action::ActionState;
use leasehold_model::id::{IdentityKey, PlanHash};
use leasehold_model::plan::Plan;
use leasehold_store::{ActionRow, Store, StoreError, TaskFilter, TaskRow, TaskState};
use serde_json::{Value, json};

use crate::driver::SCHEDULER;
use crate::error::ReconcileError;
use crate::live::Live;
use crate::notice::NoticeKind;
use crate::pace::{Deadline, Patience, SharedPace, WhenLate};
use crate::run::Runner;
use crate::schedule::after;
use crate::stages;
use crate::system::SharedSystems;
use crate::workflow::receipt;

/// The lane of what people approve and of what was interrupted: one such task runs at a time, whichever process has it.
pub const CHANGES: &str = "changes";

/// The lane of what policy closes by itself.
pub const POLICY: &str = "policy";

/// The lanes of what is about one identity begin so. A leaver waits for nobody's turn.
const OF_IDENTITY: &str = "identity:";

/// The lane of what is about one identity only.
pub(crate) fn lane_of(identity: &IdentityKey) -> String {
    format!("{OF_IDENTITY}{}", identity.folded())
}

/// So long a run waits for systems. What is open then stays open, and has its next turn when others have had theirs: a system
/// that does not answer holds up nobody else's departure.
const RUN_MAX: Duration = Duration::from_secs(60);

/// So long its last call may take: there are systems that answer never, and settings that let them.
const LAST_CALL: Duration = Duration::from_secs(240);

/// The same of what ends everything of somebody who leaves now, receipt included, within a minute: whatever does not answer by
/// then is listed, and has its next turn.
const LEAVING_MAX: Duration = Duration::from_secs(35);

/// So long the last call of that may take.
const LEAVING_LAST_CALL: Duration = Duration::from_secs(5);

/// How often a plan is made anew because facts moved while it was made.
const MOVES_MAX: usize = 3;

/// More tasks never run at once.
const RUNNING_MAX: usize = 1_000;

/// When the next turn of what is open begins.
const GO_ON_AFTER_MS: u64 = 2_000;

/// When it is looked again after what others are about to do, or what failed.
const LOOK_AGAIN_AFTER_MS: u64 = 10_000;

/// What every task has at hand.
#[derive(Clone)]
pub struct Work {
    /// Where everything is kept.
    pub store: Store,
    /// The configured systems.
    pub systems: SharedSystems,
    /// The clock.
    pub pace: SharedPace,
    /// How often and how patiently actions are tried.
    pub patience: Patience,
    /// The present state, and who is told of changes.
    pub live: Live,
}

/// Why a task did not get to its end.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// Trying again would end the same way.
    #[error("{0}")]
    Final(String),
    /// It is tried again at its next turn.
    #[error("{0}")]
    Again(String),
    /// Facts moved while it was about to begin. That is nobody's fault and counts as no failure.
    #[error("{0}")]
    Moved(String),
}

impl From<StoreError> for TaskError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy | StoreError::Database(_) | StoreError::Direct(_) => {
                Self::Again(error.to_string())
            }
            other => Self::Final(other.to_string()),
        }
    }
}

impl From<ReconcileError> for TaskError {
    fn from(error: ReconcileError) -> Self {
        match error {
            ReconcileError::Store(error) => error.into(),
            ReconcileError::Worker(_) | ReconcileError::Ledger(_) => Self::Again(error.to_string()),
            other => Self::Final(other.to_string()),
        }
    }
}

/// One kind of task.
#[async_trait]
pub trait Task: Sync {
    /// Its name in the store.
    fn kind(&self) -> &'static str;

    /// Carries it out and gives what came of it, for people and programs.
    async fn run(&self, work: &Work, task: &TaskRow) -> Result<Value, TaskError>;
}

/// Every task, the most urgent first: what a person asked for, what was interrupted, what policy allows, what is read.
pub const TASKS: &[&dyn Task] = &[
    &apply::Apply,
    &offboard::Offboard,
    &resume::Resume,
    &enforce::EnforcePolicy,
    &receipts::WriteReceipts,
    &sync::Sync,
];

/// A task by name.
pub fn find(kind: &str) -> Option<&'static dyn Task> {
    TASKS.iter().copied().find(|task| task.kind() == kind)
}

impl Work {
    /// Carries out plans, and tells of each action's progress. A run has its time, and then others have theirs.
    pub(crate) fn runner(&self) -> Runner {
        let (then, last_call) = (WhenLate::GoOnLater, LAST_CALL);
        self.runner_until(Deadline { until: Instant::now() + RUN_MAX, then, last_call, is_urgent: false })
    }

    /// The same for plans by which somebody leaves now, and for what somebody who leaves waits for.
    pub(crate) fn leaving_runner(&self) -> Runner {
        let (then, last_call) = (WhenLate::GoOnLater, LEAVING_LAST_CALL);
        self.runner_until(Deadline { until: Instant::now() + LEAVING_MAX, then, last_call, is_urgent: true })
    }

    fn runner_until(&self, deadline: Deadline) -> Runner {
        let live = self.live.clone();
        Runner {
            store: self.store.clone(),
            systems: self.systems.now().as_ref().clone(),
            pace: self.pace.clone(),
            patience: Patience { deadline: Some(deadline), ..self.patience },
            watch: Arc::new(move |item, _state| live.notify(NoticeKind::ActionChanged, item.id.as_str())),
        }
    }

    /// Those who leave by this plan, or had left before, of whom it takes something away.
    pub(crate) fn leavers_of(&self, plan: &Plan) -> BTreeSet<IdentityKey> {
        let mut leavers: BTreeSet<IdentityKey> = plan.as_left.iter().cloned().collect();
        if let Some(view) = self.live.view() {
            let concerned: BTreeSet<&IdentityKey> =
                plan.items.iter().filter_map(|item| item.identity.as_ref()).collect();
            leavers.extend(concerned.into_iter().flat_map(|key| receipt::leavers_of(&view, key)));
        }
        leavers
    }

    /// Writes the receipts of those of these leavers of whom something is open after the run of a plan. That of the others is
    /// written as soon as everything of theirs has settled, by whichever process looks next.
    pub(crate) async fn tell_of(
        &self,
        leavers: &BTreeSet<IdentityKey>,
        plan: &PlanHash,
        by: &str,
    ) -> Result<(), StoreError> {
        let Some(view) = self.live.view() else { return Ok(()) };
        let rows = self.store.actions(plan).await?;
        let open = rows.iter().filter(|row| stages::enforce::is_open(row));
        let concerned: BTreeSet<&IdentityKey> = open.filter_map(|row| row.item.identity.as_ref()).collect();
        let waiting: BTreeSet<IdentityKey> =
            concerned.into_iter().flat_map(|key| receipt::leavers_of(&view, key)).collect();
        for identity in leavers.intersection(&waiting) {
            let (identity, by) = (identity.clone(), by.to_owned());
            let asked = receipt::Asked { identity, by, at: self.pace.now(), since: None };
            if let Err(error) = receipt::write_news(&self.store, &asked, &mut self.live.clone()).await {
                tracing::warn!(identity = %asked.identity, %error, "the receipt of what has ended so far could not be written");
            }
        }
        Ok(())
    }

    /// Notes which plan a task is carrying out, so that nobody else takes it up meanwhile.
    pub(crate) async fn carries_out(&self, task: &TaskRow, plan: &Plan) -> Result<(), StoreError> {
        self.store.note_task(&task.claim(), &json!({"plan": plan.hash})).await?;
        Ok(())
    }

    /// Takes up what was interrupted, of every plan that no running task is carrying out but this one.
    pub(crate) async fn resume(&self, task: &TaskRow) -> Result<Vec<ActionRow>, TaskError> {
        // Actions first: a task that begins in between is seen as running.
        let open = self.store.unfinished_actions().await?;
        let running = TaskFilter { state: Some(TaskState::Running), ..TaskFilter::default() };
        let others =
            self.store.tasks(&running, RUNNING_MAX).await?.into_iter().filter(|other| other.id != task.id);
        let plan_of = |other: TaskRow| {
            let noted = other.result.as_ref().and_then(|noted| noted["plan"].as_str());
            noted.or_else(|| other.arguments["plan"].as_str()).map(str::to_owned)
        };
        let under_way: BTreeSet<String> = others.filter_map(plan_of).collect();
        let plans: BTreeSet<PlanHash> = open.into_iter().map(|row| row.plan).collect();
        let (theirs, ours): (BTreeSet<_>, BTreeSet<_>) =
            plans.into_iter().partition(|plan| under_way.contains(plan.as_str()));
        if !theirs.is_empty() {
            // Whoever carries them out may be dead, and leave them for another plan.
            self.ask_for_turn(LOOK_AGAIN_AFTER_MS).await?;
        }
        let resumed = self.runner().resume_those(&ours).await;
        self.go_on_after(resumed, &ours).await
    }

    /// Asks for another turn for what is open after a run of these plans, also where something of it failed.
    pub(crate) async fn go_on_after(
        &self,
        ended: Result<Vec<ActionRow>, ReconcileError>,
        plans: impl IntoIterator<Item = &PlanHash>,
    ) -> Result<Vec<ActionRow>, TaskError> {
        match ended {
            Ok(rows) => {
                self.go_on_later(&rows).await?;
                Ok(rows)
            }
            Err(error) => {
                let systems = self.systems.now();
                for plan in plans {
                    let rows = self.store.actions(plan).await?;
                    let is_open = |row: &ActionRow| {
                        stages::enforce::is_open(row) && systems.contains_key(&row.item.system)
                    };
                    if rows.iter().any(is_open) {
                        self.ask_for_turn(LOOK_AGAIN_AFTER_MS).await?;
                        break;
                    }
                }
                Err(error.into())
            }
        }
    }

    async fn ask_for_turn(&self, after_ms: u64) -> Result<(), StoreError> {
        let now = self.pace.now();
        self.store.request_task(&resume::request(SCHEDULER, after(now, after_ms)), now).await?;
        Ok(())
    }

    /// Asks for another turn for what a system has not answered by the end of this one.
    async fn go_on_later(&self, rows: &[ActionRow]) -> Result<(), StoreError> {
        if rows.iter().any(stages::enforce::is_open) {
            // Not at once: whoever waits for a turn comes before.
            self.ask_for_turn(GO_ON_AFTER_MS).await?;
        }
        Ok(())
    }

    /// Brings the present state up to date after a task. Where that fails, `Live` shows why, and the task's own work is
    /// done all the same.
    pub(crate) async fn look_again(&self) {
        if let Err(error) = self.live.refresh().await {
            tracing::warn!(%error, "the present state could not be brought up to date");
        }
    }
}

/// Arguments as a task was asked for with them.
fn arguments<T: serde::de::DeserializeOwned>(task: &TaskRow) -> Result<T, TaskError> {
    serde_json::from_value(task.arguments.clone())
        .map_err(|error| TaskError::Final(format!("the task's arguments cannot be read: {error}")))
}

/// How many actions ended how.
fn tally(rows: &[ActionRow]) -> Value {
    let mut states = serde_json::Map::new();
    for state in ActionState::ALL {
        let count = rows.iter().filter(|row| row.state == state).count();
        if count > 0 {
            states.insert(state.as_str().to_owned(), json!(count));
        }
    }
    Value::Object(states)
}
