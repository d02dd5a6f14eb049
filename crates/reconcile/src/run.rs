//! A plan from its approval to its receipts; and runs that were interrupted, taken up where they were.

use std::collections::HashSet;
use std::sync::Arc;

use leasehold_decide::plan::Scope;
use leasehold_model::id::PlanHash;
use leasehold_model::plan::{Plan, Verb};
use leasehold_store::{ActionRow, Store};

use crate::error::ReconcileError;
use crate::pace::{Patience, SharedPace};
use crate::stages::decide::Loaded;
use crate::stages::enforce::{self, Enforcement, Watch};
use crate::stages::plan;
use crate::system::Systems;

/// What applying needs.
#[derive(Clone)]
pub struct Runner {
    /// Where states are kept.
    pub store: Store,
    /// The configured systems.
    pub systems: Systems,
    /// The clock.
    pub pace: SharedPace,
    /// How often and how patiently.
    pub patience: Patience,
    /// Who is told of progress.
    pub watch: Watch,
}

impl Runner {
    /// Applies a plan: refuses one whose state has moved, unless it was begun before, in which case it goes on.
    ///
    /// # Errors
    /// Where the plan may not be applied, or the store fails.
    pub async fn apply(
        &self,
        plan: &Plan,
        overrides: &[String],
        by: &str,
    ) -> Result<Vec<ActionRow>, ReconcileError> {
        plan::check_is_whole(plan)?;
        let begun = !self.store.actions(&plan.hash).await?.is_empty();
        if !begun {
            let loaded = Loaded::load(&self.store, &self.systems, self.pace.now(), None).await?;
            plan::check_is_current(plan, &loaded)?;
            self.store.save_plan(plan, self.pace.now()).await?;
            self.store.begin_apply(plan, overrides, by, self.pace.now()).await?;
        }
        self.go_on(plan).await
    }

    /// Takes up every run that was interrupted.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn resume(&self) -> Result<Vec<ActionRow>, ReconcileError> {
        let mut hashes: Vec<PlanHash> = Vec::new();
        for row in self.store.unfinished_actions().await? {
            if !hashes.contains(&row.plan) {
                hashes.push(row.plan);
            }
        }
        let mut rows = Vec::new();
        for hash in hashes {
            if let Some(plan) = self.store.plan(hash.as_str()).await? {
                rows.extend(self.go_on(&plan).await?);
            }
        }
        Ok(rows)
    }

    async fn go_on(&self, plan: &Plan) -> Result<Vec<ActionRow>, ReconcileError> {
        let loaded = Loaded::load(&self.store, &self.systems, self.pace.now(), None).await?;
        let fresh = plan::compute(&loaded, &Scope::default())?;
        let mut wanted: HashSet<_> = fresh.items.iter().map(enforce::effect_of).collect();
        wanted.extend(sessions_to_end(&loaded, plan)?);
        let enforcement = Enforcement {
            store: self.store.clone(),
            pace: self.pace.clone(),
            patience: self.patience,
            watch: self.watch.clone(),
            wanted: Arc::new(wanted),
        };
        enforce::run(&enforcement, &self.systems, plan).await?;
        Ok(self.store.actions(&plan.hash).await?)
    }
}

/// Live sessions leave no drift behind once the account is disabled, so a fresh plan does not name them any more. Ending
/// them is wanted for as long as their identity may hold nothing.
fn sessions_to_end(loaded: &Loaded, plan: &Plan) -> Result<Vec<enforce::Effect>, ReconcileError> {
    let evaluation = loaded.evaluate()?;
    let ended = plan.items.iter().filter(|item| item.verb == Verb::EndSessions).filter(|item| {
        let identity = item.identity.as_ref().and_then(|key| evaluation.identity(key));
        identity.is_none_or(|identity| !evaluation.identities[identity.index()].may_hold_access(loaded.now))
    });
    Ok(ended.map(enforce::effect_of).collect())
}
