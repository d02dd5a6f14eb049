//! The steps of one action: its intent, its call, what the target answers and what the read-back shows, each in the log before
//! anything follows from it.

use std::collections::HashMap;

use leasehold_model::action::{ActionState, RESIDUAL};
use leasehold_model::id::ActionId;
use leasehold_model::plan::Verb;
use leasehold_model::request::{ActionRequest, Outcome};
use leasehold_store::{ActionRow, BegunTransition, ObservedEffect, Transition, TransitionOutcome};
use serde_json::Value;
use tracing::{Instrument as _, Span};

use super::enforce::{Worker, effect_of};
use super::turn::{Done, Next, Running};
use super::verify::{self, Sessions, Verdict, account_target, credential_target, entitlement_target};
use crate::error::ReconcileError;
use crate::trace;

/// A step that was begun; it counts when it lasts.
pub(super) struct Step {
    transition: Transition,
    begun: BegunTransition,
}

impl Worker {
    /// Whether what an action brings about is wanted now.
    pub(super) fn is_wanted(&self, row: &ActionRow) -> bool {
        self.shared.wanted.contains(&effect_of(&row.item))
    }

    /// Writes down that an action is about to be sent (law 8), or why it is not.
    pub(super) async fn intend(
        &self,
        running: &mut Running,
        states: &HashMap<ActionId, ActionState>,
        done: Done,
    ) -> Result<(), ReconcileError> {
        let verb = running.row.item.verb;
        let wanted = match verb {
            Verb::EndSessions => done.took_away || (done.only_sessions && self.is_wanted(&running.row)),
            _ => self.is_wanted(&running.row),
        };
        if !wanted && running.row.state != ActionState::Approved {
            return self.settle(running).await;
        }
        if running.row.state == ActionState::Approved {
            if verb == Verb::EndSessions && !wanted && done.stuck {
                let why = "waits for what is to be taken away first; nothing was sent";
                return self.begin(running, ActionState::Stuck, why).await;
            }
            if !wanted {
                let why = match (verb, running.row.sent_at) {
                    (Verb::EndSessions, _) => "nothing was taken away, so no session has to end",
                    (_, None) => "facts moved first; nothing was sent",
                    // A person took it off the stuck list, and it is not wanted any more.
                    (_, Some(_)) => "facts moved after it was sent in vain; it was not sent again",
                };
                return self.begin(running, ActionState::Void, why).await;
            }
            let ahead = |id: &&ActionId| states.get(*id) != Some(&ActionState::Verified);
            if let Some(first) = running.row.item.after.iter().find(ahead) {
                let why = format!("waits for {first}, which did not get verified; nothing was sent");
                return self.begin(running, ActionState::Stuck, &why).await;
            }
        }
        if running.tries() >= self.shared.patience.sends_max {
            let row = &running.row;
            let why =
                format!("{} after {} tries", row.reason.as_deref().unwrap_or("not verified"), row.attempts);
            return self.begin(running, ActionState::Stuck, &why).await;
        }
        if verb == Verb::EndSessions && running.sessions == Sessions::All {
            // Its holder may log in again at once, with what is left; only what was open before has to be gone.
            let calling = trace::call("list sessions before", &self.system.name, verb);
            let listing = verify::live_sessions(self.system.connector.as_ref(), &running.row.item);
            running.sessions = match listing.instrument(calling).await {
                Ok(before) => Sessions::These(before),
                Err(_) => Sessions::All,
            };
        }
        self.begin(running, ActionState::Sent, "").await
    }

    /// Sends an action whose intent lasts. Where it was not meant to be sent, nothing happens.
    pub(super) async fn call(&self, running: &mut Running) -> Result<(), ReconcileError> {
        self.lasting(running).await?;
        if running.row.state != ActionState::Sent || running.next != Next::Send {
            // Another process has taken it on, or it ended unsent.
            return Ok(());
        }
        let row = &running.row;
        let verb = row.item.verb;
        let request = ActionRequest {
            id: row.id.clone(),
            verb,
            account: account_target(&row.item),
            entitlement: entitlement_target(&row.item),
            credential: credential_target(&row.item),
            to: row.item.to.clone(),
            attributes: row.item.attributes.clone(),
        };
        let calling = trace::call("execute", &self.system.name, verb);
        let answer = self.system.connector.execute(&request).instrument(calling.clone()).await;
        let (outcome, is_error) = match &answer {
            Ok(Outcome::Acknowledged { .. }) => ("acknowledged", false),
            Ok(Outcome::AlreadySo) => ("already_so", false),
            Ok(Outcome::Refused { .. }) => ("refused", true),
            Ok(Outcome::Retry { .. }) => ("retry", true),
            Err(_) => ("unanswered", true),
        };
        trace::ended(&calling, outcome, is_error);
        drop(calling);
        let (now, back_off_ms) = (self.shared.pace.now(), self.shared.patience.back_off_ms(running.tries()));
        running.reads = 0;
        match answer {
            Ok(Outcome::Acknowledged { detail }) => {
                running.wait(Next::Read, now, 0);
                self.begin(running, ActionState::Acknowledged, &detail).await
            }
            Ok(Outcome::AlreadySo) => {
                running.wait(Next::Read, now, 0);
                self.begin(running, ActionState::Acknowledged, "it was already so").await
            }
            // What was sent before may have arrived all the same.
            Ok(Outcome::Refused { why }) if running.row.attempts > 1 => match self.verdict(running).await {
                Verdict::Holds { seen, effects } => self.verified(running, seen, effects).await,
                _ => self.begin(running, ActionState::Stuck, &why).await,
            },
            Ok(Outcome::Refused { why }) => self.begin(running, ActionState::Stuck, &why).await,
            Ok(Outcome::Retry { after_ms, why }) => {
                running.row.reason = Some(why);
                let asked_ms = after_ms.unwrap_or(0).min(self.shared.patience.back_off_ms_max);
                running.wait(Next::Send, now, asked_ms.max(back_off_ms));
                Ok(())
            }
            // Whether the target has it is not known: the read-back will tell, and if it does not, it is sent again.
            Err(error) => {
                running.row.reason = Some(error.to_string());
                running.wait(Next::Read, now, 0);
                Ok(())
            }
        }
    }

    /// An action that an earlier run sent and that nobody wants any more, because it shows already or because the access
    /// got a reason meanwhile: the target is looked at and not asked again.
    async fn settle(&self, running: &mut Running) -> Result<(), ReconcileError> {
        let what = match self.verdict(running).await {
            Verdict::Holds { seen, effects } => return self.verified(running, seen, effects).await,
            Verdict::Contradicted { why } | Verdict::Unverifiable { why } | Verdict::Unanswered { why } => {
                why
            }
        };
        let why = format!("facts moved after it was sent, so it was not sent again: {what}");
        self.begin(running, ActionState::Stuck, &why).await
    }

    async fn verdict(&self, running: &Running) -> Verdict {
        let calling = trace::call("read back", &self.system.name, running.row.item.verb);
        let verifying = verify::verify(self.system.connector.as_ref(), &running.row.item, &running.sessions);
        let verdict = verifying.instrument(calling.clone()).await;
        let (outcome, is_error) = match &verdict {
            Verdict::Holds { .. } => ("holds", false),
            Verdict::Contradicted { .. } => ("contradicted", true),
            Verdict::Unverifiable { .. } => ("unverifiable", false),
            Verdict::Unanswered { .. } => ("unanswered", true),
        };
        trace::ended(&calling, outcome, is_error);
        verdict
    }

    /// Looks whether the target shows it.
    pub(super) async fn read_back(&self, running: &mut Running) -> Result<(), ReconcileError> {
        let verdict = self.verdict(running).await;
        running.reads += 1;
        let patience = &self.shared.patience;
        let (now, last) = (self.shared.pace.now(), running.reads >= patience.reads_max);
        let back_off_ms = patience.back_off_ms(running.tries());
        match verdict {
            Verdict::Holds { seen, effects } => self.verified(running, seen, effects).await,
            Verdict::Unverifiable { why } if running.row.state == ActionState::Acknowledged => {
                self.begin(running, ActionState::Unverifiable, &why).await
            }
            // A call whose outcome is unknown cannot become `unverifiable`: it must first be acknowledged.
            Verdict::Unverifiable { why } => {
                running.row.reason = Some(why);
                running.wait(Next::Send, now, back_off_ms);
                Ok(())
            }
            Verdict::Contradicted { .. } | Verdict::Unanswered { .. } if !last => {
                running.wait(Next::Read, now, patience.read_again_ms(running.reads - 1));
                Ok(())
            }
            Verdict::Contradicted { why } => {
                running.wait(Next::Send, now, back_off_ms);
                self.begin(running, ActionState::Contradicted, &why).await
            }
            // No answer contradicts nothing: what is not known to have arrived is sent again, the rest is read again.
            Verdict::Unanswered { why } => {
                let why = format!("could not be read back: {why}");
                running.unanswered += 1;
                if running.row.state == ActionState::Sent {
                    running.wait(Next::Send, now, back_off_ms);
                } else if running.unanswered >= patience.sends_max {
                    return self.begin(running, ActionState::Stuck, &why).await;
                } else {
                    running.reads = 0;
                    running.wait(Next::Read, now, patience.back_off_ms(running.unanswered));
                }
                running.row.reason = Some(why);
                Ok(())
            }
        }
    }

    async fn verified(
        &self,
        running: &mut Running,
        seen: Value,
        effects: Vec<ObservedEffect>,
    ) -> Result<(), ReconcileError> {
        let can_end_sessions = self.system.connector.capabilities().end_sessions.supported;
        let kept: Vec<String> = running.kept_by_guard.iter().map(ToString::to_string).collect();
        let why = match running.row.item.verb {
            Verb::DisableAccount if !can_end_sessions => {
                format!(
                    "{RESIDUAL}this system cannot end live sessions, they last until they close by themselves"
                )
            }
            Verb::EndSessions if seen["unlisted"].is_string() => {
                format!("{RESIDUAL}{}", seen["unlisted"].as_str().unwrap_or_default())
            }
            _ if !kept.is_empty() => {
                format!("read back; {} stays held on a path that a guard holds", kept.join(", "))
            }
            _ => "read back".to_owned(),
        };
        self.begin_seen(running, ActionState::Verified, &why, seen, effects).await
    }

    /// Begins a step with nothing observed.
    async fn begin(
        &self,
        running: &mut Running,
        to: ActionState,
        reason: &str,
    ) -> Result<(), ReconcileError> {
        self.begin_seen(running, to, reason, Value::Null, Vec::new()).await
    }

    /// Begins one transition, with the observation that goes with it, in one transaction of the store.
    async fn begin_seen(
        &self,
        running: &mut Running,
        to: ActionState,
        reason: &str,
        detail: Value,
        observed: Vec<ObservedEffect>,
    ) -> Result<(), ReconcileError> {
        self.lasting(running).await?;
        let row = &running.row;
        let transition = Transition {
            plan: row.plan.clone(),
            action: row.id.clone(),
            from: row.state,
            to,
            at: self.shared.pace.now(),
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
            detail,
            next_attempt_at: None,
            observed,
        };
        let begun = self.shared.store.begin_transition(&transition);
        running.step = Some(Step { transition, begun });
        Ok(())
    }

    /// Waits until the step that was begun lasts, and goes on from there.
    pub(super) async fn lasting(&self, running: &mut Running) -> Result<(), ReconcileError> {
        let Some(Step { transition, begun }) = running.step.take() else { return Ok(()) };
        let row = &mut running.row;
        match begun.lasting().await? {
            TransitionOutcome::Done { .. } => {
                row.state = transition.to;
                if transition.to == ActionState::Sent {
                    row.attempts += 1;
                    row.sent_at = Some(transition.at);
                }
                row.reason = transition.reason.or_else(|| row.reason.take());
            }
            // Another process has taken this action on; it finishes it.
            TransitionOutcome::Moved { actual } => {
                running.is_elsewhere = !actual.is_final();
                row.state = if actual.is_final() { actual } else { ActionState::Planned }
            }
        }
        (self.shared.watch)(&row.item, row.state);
        if row.state.is_final() {
            trace::ended(&running.span, row.state.as_str(), row.state == ActionState::Stuck);
            running.span = Span::none();
        }
        Ok(())
    }
}
