//! The turn of one account: its actions are sent, read back, and wait, in rounds.
//!
//! An account is made or opened before it is given anything. What somebody keeps is granted and seen before its old path ends. Then what a log-in needs is taken away: the account's
//! own switch and its credentials. Sessions end when no new one can begin on what was taken away: at once where the account
//! was closed, else after its grants. An account is deleted when nothing else is left to do with it. Within a round every action that is due is sent before one is read back, because an effective
//! entitlement ends only when the last direct grant that leads to it has ended.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use leasehold_model::action::ActionState;
use leasehold_model::id::{ActionId, EntitlementName};
use leasehold_model::plan::Verb;
use leasehold_model::request::{ActionRequest, Outcome};
use leasehold_store::{ActionRow, ObservedEffect, Transition, TransitionOutcome};
use serde_json::Value;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::enforce::{Worker, effect_of};
use super::verify::{self, Sessions, Verdict, account_target, credential_target, entitlement_target};
use crate::error::ReconcileError;
use crate::trace::{self, SPANS};

/// The actions of one account, as far as they are not at their end.
pub(super) struct AccountRun {
    rounds: VecDeque<Vec<Running>>,
    states: HashMap<ActionId, ActionState>,
    done: Done,
}

/// What earlier rounds have done.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    /// Something was taken away: only then have sessions anything to lose.
    took_away: bool,
    /// Something is still to be taken away, once what it waits for is mended.
    stuck: bool,
    /// The account was closed, so no session may be left at all.
    closed: bool,
}

/// One action that is under way.
struct Running {
    row: ActionRow,
    next: Next,
    /// Not before.
    due_at: Timestamp,
    /// How often it was read back since it was last sent.
    reads: u32,
    /// How often all those readings had no answer.
    unanswered: u32,
    /// Sendings of runs that were interrupted: the target did not fail them, so they use up nobody's patience.
    interrupted: u32,
    /// Which sessions have to be gone.
    sessions: Sessions,
    /// What the account goes on holding, on a path that a guard holds: it cannot be read back as gone yet.
    kept_by_guard: Vec<EntitlementName>,
    /// From here to the action's end in this run; its calls are within.
    span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Send,
    Read,
}

impl Running {
    fn new(row: ActionRow, due_at: Timestamp) -> Self {
        // What the target has acknowledged is only read; what was sent may not have arrived, and is sent again.
        let next = if row.state == ActionState::Acknowledged { Next::Read } else { Next::Send };
        let (reads, unanswered) = (0, 0);
        let interrupted = if row.state == ActionState::Sent { row.attempts } else { 0 };
        let (sessions, kept_by_guard) = (Sessions::All, Vec::new());
        let span = match row.state.is_final() || row.state == ActionState::Planned {
            true => Span::none(),
            false => tracing::info_span!(
                target: SPANS,
                "action",
                "otel.name" = format!("action {}", row.item.verb),
                "otel.status_code" = Empty,
                "leasehold.action" = %row.id,
                "leasehold.system" = %row.item.system,
                "leasehold.verb" = %row.item.verb,
                "leasehold.outcome" = Empty,
            ),
        };
        Self { row, next, due_at, reads, unanswered, interrupted, sessions, kept_by_guard, span }
    }

    /// How often it was sent to no effect.
    fn tries(&self) -> u32 {
        self.row.attempts.saturating_sub(self.interrupted)
    }

    /// Leaves out of what has to end what a held action of the same account is to end, too. That one looks at it when it
    /// is let go.
    fn without(mut self, held: &BTreeSet<EntitlementName>) -> Self {
        if self.row.state != ActionState::Planned {
            let must_end = std::mem::take(&mut self.row.item.must_end);
            (self.kept_by_guard, self.row.item.must_end) =
                must_end.into_iter().partition(|name| held.contains(name));
        }
        self
    }

    fn is_open(&self) -> bool {
        !self.row.state.is_final() && self.row.state != ActionState::Planned
    }

    fn wait(&mut self, next: Next, now: Timestamp, wait_ms: u64) {
        self.next = next;
        let wait = SignedDuration::from_millis(i64::try_from(wait_ms).unwrap_or(i64::MAX));
        self.due_at = now.checked_add(wait).unwrap_or(Timestamp::MAX);
    }
}

impl AccountRun {
    pub(super) fn new(rows: Vec<ActionRow>, now: Timestamp) -> Self {
        let states = rows.iter().map(|row| (row.id.clone(), row.state)).collect();
        let held: BTreeSet<EntitlementName> = rows
            .iter()
            .filter(|row| row.item.verb == Verb::Revoke && row.state == ActionState::Planned)
            .flat_map(|row| row.item.must_end.iter().cloned())
            .collect();
        let closes = rows.iter().any(|row| row.item.verb == Verb::DisableAccount);
        let mut rows_of: BTreeMap<usize, Vec<ActionRow>> = BTreeMap::new();
        for row in rows {
            let round = match row.item.verb {
                Verb::CreateAccount | Verb::EnableAccount => 0,
                Verb::Grant | Verb::EnableCredential => 1,
                Verb::DisableAccount | Verb::DisableCredential | Verb::RevokeCredential => 2,
                // Where the account is closed no session can begin again, and none waits for what may take long to take away.
                Verb::EndSessions if closes => 3,
                Verb::Revoke => 4,
                Verb::EndSessions => 5,
                Verb::DeleteAccount => 6,
            };
            rows_of.entry(round).or_default().push(row);
        }
        let round = |mut rows: Vec<ActionRow>| {
            // What is elevated ends before the rest.
            rows.sort_by_key(|row| !row.item.privileged);
            rows.into_iter().map(|row| Running::new(row, now).without(&held)).collect()
        };
        Self { rounds: rows_of.into_values().map(round).collect(), states, done: Done::default() }
    }

    /// Does what is due; gives when to come back, or nothing where everything is at its end.
    pub(super) async fn turn(&mut self, worker: &Worker) -> Result<Option<Timestamp>, ReconcileError> {
        loop {
            let Some(round) = self.rounds.front_mut() else { return Ok(None) };
            for next in [Next::Send, Next::Read] {
                for running in round.iter_mut() {
                    if !running.is_open() || running.next != next || running.due_at > worker.shared.pace.now()
                    {
                        continue;
                    }
                    let span = running.span.clone();
                    match next {
                        Next::Send => {
                            worker.send(running, &self.states, self.done).instrument(span).await?;
                        }
                        Next::Read => worker.read_back(running).instrument(span).await?,
                    }
                    self.states.insert(running.row.id.clone(), running.row.state);
                }
            }
            let open = round.iter().filter(|running| running.is_open());
            match open.map(|running| running.due_at).min() {
                // Also where it is due again by now: a target that hangs would else be asked for this account only.
                Some(due_at) => return Ok(Some(due_at)),
                None => {
                    for ActionRow { item, state, .. } in round.iter().map(|running| &running.row) {
                        self.done.took_away |= item.verb.takes_away()
                            && matches!(state, ActionState::Verified | ActionState::Unverifiable);
                        self.done.stuck |= item.verb.takes_away() && *state == ActionState::Stuck;
                        self.done.closed |=
                            item.verb == Verb::DisableAccount && *state == ActionState::Verified;
                    }
                    self.rounds.pop_front();
                }
            }
        }
    }
}

impl Worker {
    async fn send(
        &self,
        running: &mut Running,
        states: &HashMap<ActionId, ActionState>,
        done: Done,
    ) -> Result<(), ReconcileError> {
        let verb = running.row.item.verb;
        let wanted = match verb {
            Verb::EndSessions => done.took_away,
            _ => self.shared.wanted.contains(&effect_of(&running.row.item)),
        };
        if !wanted && running.row.state != ActionState::Approved {
            return self.settle(running).await;
        }
        if running.row.state == ActionState::Approved {
            if verb == Verb::EndSessions && !wanted && done.stuck {
                let why = "waits for what is to be taken away first; nothing was sent";
                return self.step(running, ActionState::Stuck, why).await;
            }
            if !wanted {
                let why = match (verb, running.row.sent_at) {
                    (Verb::EndSessions, _) => "nothing was taken away, so no session has to end",
                    (_, None) => "facts moved first; nothing was sent",
                    // A person took it off the stuck list, and it is not wanted any more.
                    (_, Some(_)) => "facts moved after it was sent in vain; it was not sent again",
                };
                return self.step(running, ActionState::Void, why).await;
            }
            let ahead = |id: &&ActionId| states.get(*id) != Some(&ActionState::Verified);
            if let Some(first) = running.row.item.after.iter().find(ahead) {
                let why = format!("waits for {first}, which did not get verified; nothing was sent");
                return self.step(running, ActionState::Stuck, &why).await;
            }
        }
        if running.tries() >= self.shared.patience.sends_max {
            let row = &running.row;
            let why =
                format!("{} after {} tries", row.reason.as_deref().unwrap_or("not verified"), row.attempts);
            return self.step(running, ActionState::Stuck, &why).await;
        }
        if verb == Verb::EndSessions && running.sessions == Sessions::All && !done.closed {
            // Its holder may log in again at once, with what is left; only what was open before has to be gone.
            let calling = trace::call("list sessions before", &self.system.name, verb);
            let listing = verify::live_sessions(self.system.connector.as_ref(), &running.row.item);
            running.sessions = match listing.instrument(calling).await {
                Ok(before) => Sessions::These(before),
                Err(_) => Sessions::All,
            };
        }
        // The intent is in the log before the call (law 8).
        self.step(running, ActionState::Sent, "").await?;
        if running.row.state != ActionState::Sent {
            // Another process has taken it on.
            return Ok(());
        }
        let row = &running.row;
        let request = ActionRequest {
            id: row.id.clone(),
            verb,
            account: account_target(&row.item),
            entitlement: entitlement_target(&row.item),
            credential: credential_target(&row.item),
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
                self.step(running, ActionState::Acknowledged, &detail).await
            }
            Ok(Outcome::AlreadySo) => {
                running.wait(Next::Read, now, 0);
                self.step(running, ActionState::Acknowledged, "it was already so").await
            }
            Ok(Outcome::Refused { why }) => self.step(running, ActionState::Stuck, &why).await,
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
        self.step(running, ActionState::Stuck, &why).await
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

    async fn read_back(&self, running: &mut Running) -> Result<(), ReconcileError> {
        let verdict = self.verdict(running).await;
        running.reads += 1;
        let patience = &self.shared.patience;
        let (now, last) = (self.shared.pace.now(), running.reads >= patience.reads_max);
        let back_off_ms = patience.back_off_ms(running.tries());
        match verdict {
            Verdict::Holds { seen, effects } => self.verified(running, seen, effects).await,
            Verdict::Unverifiable { why } if running.row.state == ActionState::Acknowledged => {
                self.step(running, ActionState::Unverifiable, &why).await
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
                self.step(running, ActionState::Contradicted, &why).await
            }
            // No answer contradicts nothing: what is not known to have arrived is sent again, the rest is read again.
            Verdict::Unanswered { why } => {
                let why = format!("could not be read back: {why}");
                running.unanswered += 1;
                if running.row.state == ActionState::Sent {
                    running.wait(Next::Send, now, back_off_ms);
                } else if running.unanswered >= patience.sends_max {
                    return self.step(running, ActionState::Stuck, &why).await;
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
                "read back; residual: this system cannot end live sessions, they last until they close by themselves"
                    .to_owned()
            }
            _ if !kept.is_empty() => {
                format!("read back; {} stays held on a path that a guard holds", kept.join(", "))
            }
            _ => "read back".to_owned(),
        };
        self.finish(running, ActionState::Verified, &why, seen, effects).await
    }

    async fn step(&self, running: &mut Running, to: ActionState, reason: &str) -> Result<(), ReconcileError> {
        self.finish(running, to, reason, Value::Null, Vec::new()).await
    }

    /// One transition, with the observation that goes with it, in one transaction of the store.
    async fn finish(
        &self,
        running: &mut Running,
        to: ActionState,
        reason: &str,
        detail: Value,
        observed: Vec<ObservedEffect>,
    ) -> Result<(), ReconcileError> {
        let row = &mut running.row;
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
        match self.shared.store.transition(&transition).await? {
            TransitionOutcome::Done { .. } => {
                row.state = to;
                if to == ActionState::Sent {
                    row.attempts += 1;
                    row.sent_at = Some(transition.at);
                }
                if !reason.is_empty() {
                    row.reason = Some(reason.to_owned());
                }
            }
            // Another process has taken this action on; it finishes it.
            TransitionOutcome::Moved { actual } => {
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
