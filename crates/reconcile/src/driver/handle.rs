//! What pages and calls ask of the loop. A page records what somebody wants; a task does it. Only a credential that a link
//! gives is passed through, because nothing may keep its secret.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;
use leasehold_connect::connector::ConnectorKind;
use leasehold_connect::registry;
use leasehold_decide::plan::Scope;
use leasehold_model::capability::Capabilities;
use leasehold_model::id::{IdentityKey, PlanHash, SystemName};
use leasehold_model::plan::Plan;
use leasehold_store::{NewTask, Requested, ScheduleRow, Store, StoreError};

use super::{Shared, schedule_all};
use crate::error::ReconcileError;
use crate::live::Live;
use crate::notice::NoticeKind;
use crate::system::{self, Enforcing, Systems};
use crate::tasks::{TaskError, apply, offboard, sync};
use crate::workflow::credential_link::{self, Opened, Refusal};

/// What people see of a configured system, without its connector.
#[derive(Debug, Clone)]
pub struct SystemFace {
    /// Its name.
    pub name: SystemName,
    /// The kind of its connector.
    pub connector_kind: String,
    /// Its identities are the ones that access is for.
    pub authoritative: bool,
    /// What may be done about its drift.
    pub enforce: Enforcing,
    /// How often it is read, in milliseconds.
    pub interval_ms: u64,
    /// What its connector can do.
    pub capabilities: Capabilities,
}

/// What people see of a kind of connector.
#[derive(Debug, Clone, Copy)]
pub struct ConnectorFace {
    /// Its name in the configuration.
    pub kind: &'static str,
    /// What it connects to.
    pub summary: &'static str,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// The loop, as pages and calls see it. Cheap to clone.
#[derive(Clone)]
pub struct DriverHandle {
    shared: Arc<Shared>,
}

impl DriverHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The present state, kept fresh by the loop.
    pub fn live(&self) -> &Live {
        &self.shared.work.live
    }

    /// Where everything is kept.
    pub fn store(&self) -> &Store {
        &self.shared.work.store
    }

    /// The name of this process among those that share the store, as `claimed_by` of a task shows it.
    pub fn process(&self) -> &str {
        &self.shared.process
    }

    /// The folder of the published log; `None` where this process publishes none.
    pub fn ledger_directory(&self) -> Option<&Path> {
        self.shared.publisher.as_ref().map(|publisher| publisher.directory.as_path())
    }

    /// The configured systems, by name.
    pub fn systems(&self) -> Vec<SystemFace> {
        let systems = self.shared.work.systems.now();
        systems
            .values()
            .map(|system| SystemFace {
                name: system.name.clone(),
                connector_kind: system.connector_kind.clone(),
                authoritative: system.authoritative,
                enforce: system.enforce.clone(),
                interval_ms: system.interval_ms,
                capabilities: system.connector.capabilities(),
            })
            .collect()
    }

    /// The kinds of connectors that there are.
    pub fn connectors(&self) -> Vec<ConnectorFace> {
        let face = |kind: &&'static dyn ConnectorKind| ConnectorFace {
            kind: kind.name(),
            summary: kind.summary(),
            capabilities: kind.capabilities(),
        };
        registry::KINDS.iter().map(face).collect()
    }

    /// When each configured system is read next, and how its last reading ended.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn schedules(&self) -> Result<Vec<ScheduleRow>, StoreError> {
        let mut schedules = self.shared.work.store.schedules().await?;
        let systems = self.shared.work.systems.now();
        schedules.retain(|schedule| systems.contains_key(&schedule.system));
        Ok(schedules)
    }

    /// Goes on with other systems: new ones are read at once, and the present state follows. Those that are gone are not
    /// read any more, and what is known of them stays. Gives the names that are new.
    ///
    /// # Errors
    /// Where the store fails; asked again, the rest is done.
    pub async fn reconfigure(&self, systems: Systems) -> Result<Vec<SystemName>, TaskError> {
        let work = &self.shared.work;
        let before = work.systems.now();
        let new = systems.keys().filter(|name| !before.contains_key(*name)).cloned().collect();
        work.live.reconfigure(system::settings(&systems));
        work.systems.replace(systems);
        schedule_all(work).await?;
        self.shared.wake.notify_waiters();
        Ok(new)
    }

    /// Whether a system is one that pushes.
    pub fn is_pushed(&self, system: &SystemName) -> bool {
        let systems = self.shared.work.systems.now();
        systems.get(system).is_some_and(|system| system.connector.pushed().is_some())
    }

    /// Has the loop look at once whether there is something to do.
    pub fn wake(&self) {
        self.shared.wake.notify_waiters();
    }

    /// What is wrong with the loop itself, by the part that it is wrong with; empty where all is well.
    pub fn troubles(&self) -> BTreeMap<&'static str, String> {
        self.shared.troubles.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for a reading of a system now.
    ///
    /// # Errors
    /// [`ReconcileError::UnknownSystem`], or where the store fails.
    pub async fn request_sync(
        &self,
        system: &SystemName,
        accept_loss: bool,
        by: &str,
    ) -> Result<Requested, ReconcileError> {
        let work = &self.shared.work;
        if !work.systems.now().contains_key(system) {
            return Err(ReconcileError::UnknownSystem(system.clone()));
        }
        self.request(&sync::request(system, accept_loss, by, work.pace.now())).await
    }

    /// Approves a saved plan: it is carried out, with the guards overridden that are named. What is stuck in a plan that
    /// was carried out before is tried again. Whether `by` may say so was decided by the caller.
    ///
    /// # Errors
    /// Where there is no such plan, a name is no guard of it, or the store fails.
    pub async fn request_apply(
        &self,
        plan: &PlanHash,
        overrides: &[String],
        by: &str,
    ) -> Result<Requested, ReconcileError> {
        let work = &self.shared.work;
        let saved = work.store.plan(plan.as_str()).await?.filter(|saved| saved.hash == *plan);
        let saved = saved.ok_or_else(|| ReconcileError::UnknownPlan { hash: plan.to_string() })?;
        let is_guard = |name: &&String| saved.guards.iter().any(|guard| guard.name == **name);
        if let Some(name) = overrides.iter().find(|name| !is_guard(name)) {
            let names: Vec<&str> = saved.guards.iter().map(|guard| guard.name.as_str()).collect();
            let guards = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(StoreError::UnknownGuard { guard: name.clone(), guards }.into());
        }
        let mut overrides = overrides.to_vec();
        overrides.sort();
        overrides.dedup();
        self.request(&apply::request(&saved, &overrides, by, work.pace.now())).await
    }

    /// Records that somebody leaves at an instant, and has everything of theirs ended then. Gives the task; `None` where it
    /// was decided before when they leave. Whether `by` may say so was decided by the caller.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn request_offboard(
        &self,
        identity: &IdentityKey,
        at: Timestamp,
        by: &str,
    ) -> Result<Option<String>, ReconcileError> {
        let work = &self.shared.work;
        if !work.store.record_departure(identity, at, by, work.pace.now()).await? {
            return Ok(None);
        }
        let requested = self.request(&offboard::request(identity, at, by)).await?;
        work.look_again().await;
        Ok(Some(requested.id().to_owned()))
    }

    /// Opens a link that gives a new credential, and has its system read, which shows what was made.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn open_credential_link(&self, token_hash: &str) -> Result<Opened, Refusal> {
        let work = &self.shared.work;
        let view = work.live.refresh().await?;
        let systems = work.systems.now();
        let opened =
            credential_link::open(&work.store, &systems, &work.pace, view.loaded(), token_hash).await?;
        let (system, by) = (&opened.link.of.system, &opened.link.made_by);
        if let Err(error) = self.request_sync(system, false, by).await {
            tracing::warn!(%error, %system, "a reading could not be asked for");
        }
        Ok(opened)
    }

    /// Makes a plan from the present state and keeps it, for somebody to look at and approve.
    ///
    /// # Errors
    /// Where the present state cannot be brought up to date, or the store fails.
    pub async fn make_plan(&self, scope: Scope) -> Result<Plan, ReconcileError> {
        let work = &self.shared.work;
        let view = work.live.refresh().await?;
        let plan = tokio::task::spawn_blocking(move || view.plan(&scope))
            .await
            .map_err(|error| ReconcileError::Worker(error.to_string()))?;
        work.store.save_plan(&plan, work.pace.now()).await?;
        work.live.notify(NoticeKind::PlanMade, plan.hash.as_str());
        self.shared.wake.notify_waiters();
        Ok(plan)
    }

    /// Cancels a task that nobody has begun; false where somebody has, or there is none.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn cancel(&self, task: &str) -> Result<bool, StoreError> {
        let cancelled = self.shared.work.store.cancel_task(task, self.shared.work.pace.now()).await?;
        if cancelled {
            self.shared.work.live.notify(NoticeKind::TaskChanged, task);
        }
        Ok(cancelled)
    }

    async fn request(&self, task: &NewTask) -> Result<Requested, ReconcileError> {
        let work = &self.shared.work;
        let requested = work.store.request_task(task, work.pace.now()).await?;
        work.live.notify(NoticeKind::TaskChanged, requested.id());
        self.shared.wake.notify_waiters();
        Ok(requested)
    }
}
