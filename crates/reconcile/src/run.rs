//! A plan from its approval to its receipts; and runs that were interrupted, taken up where they were.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;
use leasehold_decide::plan::Scope;
use leasehold_model::action::ActionState;
use leasehold_model::id::{IdentityKey, PlanHash, SystemName};
use leasehold_model::plan::{Plan, Verb};
use leasehold_model::snapshot::Snapshot;
use leasehold_store::{ActionRow, Store, StoreError, Transition};
use tracing::Instrument as _;

use crate::error::ReconcileError;
use crate::pace::{Patience, SharedPace};
use crate::stages::decide::Loaded;
use crate::stages::enforce::{self, Effect, Enforcement, Watch};
use crate::stages::observe::{Observe, observe};
use crate::stages::plan;
use crate::system::Systems;
use crate::trace::SPANS;

/// Who asked, and when: what is stuck waits for a person's word, and one word is good for one more try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A person, just now.
    Now,
    /// A person, at an instant. What got stuck since then was tried for that word already, as when the process that
    /// began with it died.
    At(Timestamp),
    /// Nobody: policy allows it.
    ByPolicy,
}

/// A plan that was approved.
pub(crate) struct Begun {
    /// Actions of earlier plans that are tried again with it.
    retried: Vec<ActionRow>,
    /// What is wanted now: an action that was never sent and is not among these is void.
    wanted: Arc<HashSet<Effect>>,
    /// Its actions as they stood when the plan was begun; `None` where it had been begun before.
    approved: Option<Vec<ActionRow>>,
}

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
        self.apply_as_asked(plan, overrides, by, Asked::Now).await
    }

    /// The same, with what the asking means for actions that are stuck.
    ///
    /// # Errors
    /// As [`Runner::apply`].
    pub async fn apply_as_asked(
        &self,
        plan: &Plan,
        overrides: &[String],
        by: &str,
        asked: Asked,
    ) -> Result<Vec<ActionRow>, ReconcileError> {
        let begun = self.begin(plan, overrides, by, asked).await?;
        self.carry_out(plan, begun).await
    }

    /// Approves a plan's actions, so that whatever happens they come to an end.
    ///
    /// # Errors
    /// As [`Runner::apply`].
    pub(crate) async fn begin(
        &self,
        plan: &Plan,
        overrides: &[String],
        by: &str,
        asked: Asked,
    ) -> Result<Begun, ReconcileError> {
        plan::check_is_whole(plan)?;
        let rows = self.store.actions(&plan.hash).await?;
        let (mut wanted, mut ended) = (None, None);
        if rows.is_empty() {
            let loaded = Loaded::load(&self.store, &self.systems, self.pace.now(), None).await?;
            plan::check_is_current(plan, &loaded)?;
            let loaded_snapshot = loaded.snapshot.clone();
            // What the plan itself says of people counts from its beginning on.
            if plan.as_left.is_empty() && plan.successors.is_empty() {
                let span = tracing::Span::current();
                let looking = move || span.in_scope(|| wanted_by(&loaded));
                wanted = Some(tokio::task::spawn_blocking(looking));
            }
            ended = Some(loaded_snapshot);
        }
        // Beginning again is harmless, and lets go of what a guard held that is overridden only now.
        let approved = self.store.begin_apply(plan, overrides, by, self.pace.now()).await?;
        if let Some(snapshot) = ended {
            self.give_leavers_nothing(plan, &snapshot, by).await?;
        }
        let wanted = match wanted {
            Some(wanted) => wanted.await.map_err(|error| ReconcileError::Worker(error.to_string()))??,
            None => self.wanted_now().await?,
        };
        let retried = match rows.is_empty() {
            true => self.close_superseded(plan, by, asked, &wanted).await?,
            false => Vec::new(),
        };
        for row in rows.iter().filter(|row| row.state == ActionState::Stuck) {
            if self.is_asked_again(row, asked).await? {
                self.try_again(row, by).await?;
            }
        }
        Ok(Begun { retried, wanted: Arc::new(wanted), approved: rows.is_empty().then_some(approved) })
    }

    /// Carries out what was begun.
    ///
    /// # Errors
    /// Where the store fails, or something is to be done in a system that is not configured.
    pub(crate) async fn carry_out(
        &self,
        plan: &Plan,
        begun: Begun,
    ) -> Result<Vec<ActionRow>, ReconcileError> {
        let approved = match begun.approved {
            Some(approved) => approved,
            None => self.store.actions(&plan.hash).await?,
        };
        let mut rows = self.go_on(plan, approved, &begun.wanted).await?;
        rows.extend(self.go_on_with(&begun.retried, &begun.wanted).await?);
        self.read_new_accounts(&rows).await?;
        Ok(rows)
    }

    /// Reads the systems in which accounts were made: what the system calls a new account, and what it gave it by
    /// itself, only a reading tells.
    async fn read_new_accounts(&self, rows: &[ActionRow]) -> Result<(), ReconcileError> {
        let made = rows.iter().filter(|row| row.item.verb == Verb::CreateAccount && row.sent_at.is_some());
        let systems: BTreeSet<&SystemName> = made.map(|row| &row.item.system).collect();
        for system in systems.into_iter().filter_map(|name| self.systems.get(name)) {
            let mut unseen = |_, _, _| {};
            match observe(&self.store, system, self.pace.as_ref(), Observe::default(), &mut unseen).await {
                // Somebody began to read it later: that reading tells of the account.
                Ok(_) | Err(ReconcileError::Store(StoreError::Overtaken { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether the asking is a person's word about a stuck action that is newer than its getting stuck.
    async fn is_asked_again(&self, row: &ActionRow, asked: Asked) -> Result<bool, ReconcileError> {
        Ok(match asked {
            Asked::Now => true,
            Asked::ByPolicy => false,
            Asked::At(asked_at) => {
                let steps = self.store.transitions(&row.plan, &row.id).await?;
                steps.last().is_none_or(|stuck| stuck.at <= asked_at)
            }
        })
    }

    /// Goes on with single actions of earlier plans, and with nothing that those plans hold of others.
    async fn go_on_with(
        &self,
        actions: &[ActionRow],
        wanted: &Arc<HashSet<Effect>>,
    ) -> Result<Vec<ActionRow>, ReconcileError> {
        let plans: BTreeSet<&PlanHash> = actions.iter().map(|row| &row.plan).collect();
        let accounts: BTreeSet<_> = actions.iter().map(|row| enforce::account(&row.item)).collect();
        let mut rows = Vec::new();
        for hash in plans {
            if let Some(plan) = self.store.plan(hash.as_str()).await? {
                let mut those = self.store.actions(&plan.hash).await?;
                those.retain(|row| accounts.contains(&enforce::account(&row.item)));
                let all = self.go_on(&plan, those, wanted).await?;
                let ours = |row: &ActionRow| actions.iter().any(|action| action.id == row.id);
                rows.extend(all.into_iter().filter(ours));
            }
        }
        Ok(rows)
    }

    /// A person applied the plan again: what was stuck is approved anew, and void where it is not wanted any more.
    async fn try_again(&self, row: &ActionRow, by: &str) -> Result<(), ReconcileError> {
        let transition = step(row, ActionState::Approved, format!("tried again by {by}"), self.pace.now());
        // Where somebody else moved it first, it is on its way already.
        self.store.transition(&transition).await?;
        Ok(())
    }

    /// Takes up every run that was interrupted, all at once: what one system does not answer holds up no other plan.
    ///
    /// # Errors
    /// Where the store fails, or a plan names a system that is not configured; the others are taken up all the same.
    pub async fn resume(&self) -> Result<Vec<ActionRow>, ReconcileError> {
        let open = self.store.unfinished_actions().await?;
        self.resume_those(&open.into_iter().map(|row| row.plan).collect()).await
    }

    /// The same for these plans.
    ///
    /// # Errors
    /// As [`Runner::resume`].
    pub(crate) async fn resume_those(
        &self,
        hashes: &BTreeSet<PlanHash>,
    ) -> Result<Vec<ActionRow>, ReconcileError> {
        let mut plans = Vec::with_capacity(hashes.len());
        for hash in hashes {
            plans.extend(self.store.plan(hash.as_str()).await?);
        }
        let (mut rows, mut first_error) = (Vec::new(), None);
        if plans.is_empty() {
            return Ok(rows);
        }
        let wanted = Arc::new(self.wanted_now().await?);
        let going_on = plans.iter().map(async |plan| {
            let rows = self.store.actions(&plan.hash).await?;
            self.go_on(plan, rows, &wanted).await
        });
        for ended in join_all(going_on).await {
            match ended {
                Ok(ended) => rows.extend(ended),
                // What is wrong with one plan, such as a system that is not configured any more, holds up no other.
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        self.read_new_accounts(&rows).await?;
        first_error.map_or(Ok(rows), Err)
    }

    /// Goes on with a plan, as far as it is these actions; gives all of its actions as they are then.
    async fn go_on(
        &self,
        plan: &Plan,
        rows: Vec<ActionRow>,
        wanted: &Arc<HashSet<Effect>>,
    ) -> Result<Vec<ActionRow>, ReconcileError> {
        let enforcement = Enforcement {
            store: self.store.clone(),
            pace: self.pace.clone(),
            patience: self.patience,
            watch: self.watch.clone(),
            wanted: wanted.clone(),
        };
        let span = tracing::info_span!(target: SPANS, "apply plan", "leasehold.plan" = %plan.hash);
        enforce::run(&enforcement, &self.systems, plan, rows).instrument(span).await?;
        Ok(self.store.actions(&plan.hash).await?)
    }

    /// What a plan made now would do, were it about everything.
    pub(crate) async fn wanted_now(&self) -> Result<HashSet<Effect>, ReconcileError> {
        wanted_by(&Loaded::load(&self.store, &self.systems, self.pace.now(), None).await?)
    }

    /// What other plans are about to give to somebody who has left, or whom this plan takes as left, is given up: they may be
    /// carried out at this moment, by a list of what was wanted before.
    async fn give_leavers_nothing(
        &self,
        plan: &Plan,
        snapshot: &Snapshot,
        by: &str,
    ) -> Result<(), ReconcileError> {
        let now = self.pace.now();
        let open = self.store.approved_in_other_plans(&plan.hash).await?;
        let giving: Vec<(&ActionRow, String)> = open
            .iter()
            .filter(|row| row.item.verb.gives())
            .filter_map(|row| Some((row, row.item.identity.as_ref()?.folded())))
            .collect();
        if giving.is_empty() {
            return Ok(());
        }
        let taken = plan.as_left.iter().map(IdentityKey::folded);
        let all = snapshot.identities.iter().filter(|(_, identity)| identity.has_left(now));
        let left: HashSet<String> = all.map(|(_, identity)| identity.key.folded()).chain(taken).collect();
        for (row, _) in giving.into_iter().filter(|(_, identity)| left.contains(identity)) {
            let why = format!("its holder has left: plan {:.12}, begun by {by}", plan.hash.as_str());
            self.store.transition(&step(row, ActionState::Void, why, now)).await?;
        }
        Ok(())
    }

    /// Actions of earlier plans that wait for a person, stuck or held by a guard, leave that list where this plan takes
    /// them up or facts have moved: what is on it is what somebody has to look at now. Sessions that could not be ended
    /// leave no drift behind, so no plan would ever take them up: they are tried again, and given back.
    async fn close_superseded(
        &self,
        plan: &Plan,
        by: &str,
        asked: Asked,
        wanted: &HashSet<Effect>,
    ) -> Result<Vec<ActionRow>, ReconcileError> {
        let waiting = self.store.waiting_actions().await?;
        let mut retried = Vec::new();
        let taken_up: HashSet<Effect> = plan.items.iter().map(enforce::effect_of).collect();
        // Where there is little time, it is for those whom the plan is about.
        let is_urgent = self.patience.deadline.is_some_and(|deadline| deadline.is_urgent);
        let about: BTreeSet<&Option<IdentityKey>> = plan.items.iter().map(|item| &item.identity).collect();
        for row in waiting.iter().filter(|row| row.plan != plan.hash) {
            let effect = enforce::effect_of(&row.item);
            let why = if taken_up.contains(&effect) {
                format!("plan {:.12} takes it up", plan.hash.as_str())
            } else if row.item.verb == Verb::EndSessions && row.state == ActionState::Stuck {
                let is_meant = !is_urgent || about.contains(&row.item.identity);
                if is_meant && self.is_asked_again(row, asked).await? {
                    self.try_again(row, by).await?;
                    retried.push(row.clone());
                }
                continue;
            } else if !wanted.contains(&effect) {
                "facts moved: it is not wanted any more".to_owned()
            } else {
                continue;
            };
            self.store.transition(&step(row, ActionState::Void, why, self.pace.now())).await?;
        }
        Ok(retried)
    }
}

/// What a plan made from this would do, were it about everything.
fn wanted_by(loaded: &Loaded) -> Result<HashSet<Effect>, ReconcileError> {
    // Whether something returns was asked of a person when the plan was made.
    let everything = Scope { restore: true, sessions: true, ..Scope::default() };
    Ok(plan::compute(loaded, &everything)?.items.iter().map(enforce::effect_of).collect())
}

fn step(row: &ActionRow, to: ActionState, why: String, at: Timestamp) -> Transition {
    Transition {
        plan: row.plan.clone(),
        action: row.id.clone(),
        from: row.state,
        to,
        at,
        reason: Some(why),
        detail: serde_json::Value::Null,
        next_attempt_at: None,
        observed: Vec::new(),
    }
}
