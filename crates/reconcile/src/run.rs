//! A plan from its approval to its receipts; and runs that were interrupted, taken up where they were.

use std::collections::HashSet;
use std::sync::Arc;

use leasehold_decide::plan::Scope;
use leasehold_model::action::ActionState;
use leasehold_model::id::PlanHash;
use leasehold_model::plan::{Plan, Verb};
use leasehold_store::{ActionRow, Store, Transition};

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
        let rows = self.store.actions(&plan.hash).await?;
        if rows.is_empty() {
            let loaded = Loaded::load(&self.store, &self.systems, self.pace.now(), None).await?;
            plan::check_is_current(plan, &loaded)?;
            self.store.save_plan(plan, self.pace.now()).await?;
        }
        // Beginning again is harmless, and lets go of what a guard held that is overridden only now.
        self.store.begin_apply(plan, overrides, by, self.pace.now()).await?;
        for row in rows.iter().filter(|row| row.state == ActionState::Stuck) {
            self.try_again(row, by).await?;
        }
        self.go_on(plan).await
    }

    /// A person applied the plan again: what was stuck is approved anew, and void where it is not wanted any more.
    async fn try_again(&self, row: &ActionRow, by: &str) -> Result<(), ReconcileError> {
        let transition = Transition {
            plan: row.plan.clone(),
            action: row.id.clone(),
            from: ActionState::Stuck,
            to: ActionState::Approved,
            at: self.pace.now(),
            reason: Some(format!("tried again by {by}")),
            detail: serde_json::Value::Null,
            next_attempt_at: None,
            observed: Vec::new(),
        };
        // Where somebody else moved it first, it is on its way already.
        self.store.transition(&transition).await?;
        Ok(())
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
