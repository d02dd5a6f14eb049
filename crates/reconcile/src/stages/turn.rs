//! The turn of one account: its actions are sent, read back, and wait, in rounds.
//!
//! * An account is made or opened before it is given anything. What somebody keeps is granted and seen before its old path ends.
//! * Whoever leaves loses their sessions first, then their credentials, elevated entitlements, the rest, and then the account's
//!   own switch, all of it sent before anything is read back. Where taking entitlements away lasts, the switch does not wait for
//!   it. Sessions are looked at again when no new one can begin: what was begun in between ends too.
//! * Where the account stays open, or could not be closed, sessions end after what was taken away, on which none can begin
//!   any more.
//! * An account is deleted when nothing else is left to do with it.
//! * Within a round every action that is due is sent before one is read back, because an effective entitlement ends only when
//!   the last direct grant that leads to it has ended. While one is under way the intent of the next is written down, so that
//!   the store keeps no target waiting.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use leasehold_model::action::ActionState;
use leasehold_model::id::{ActionId, EntitlementName};
use leasehold_model::plan::Verb;
use leasehold_store::ActionRow;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::enforce::Worker;
use super::step::Step;
use super::verify::Sessions;
use crate::error::ReconcileError;
use crate::trace::SPANS;

/// So many interrupted sendings of an action are nobody's fault; every loop ends in something that a person can list (law 9).
const INTERRUPTED_MAX: u32 = 20;

/// So long the switch of an account that is being closed waits for what is taken away before it.
const SWITCH_WAITS: SignedDuration = SignedDuration::from_secs(2);

/// The actions of one account, as far as they are not at their end.
pub(super) struct AccountRun {
    rounds: VecDeque<Vec<Running>>,
    states: HashMap<ActionId, ActionState>,
    done: Done,
}

/// What earlier rounds have done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    /// Something was taken away: only then have sessions anything to lose.
    pub(super) took_away: bool,
    /// Something is still to be taken away, once what it waits for is mended.
    pub(super) stuck: bool,
    /// Nothing is to be taken away but sessions, of an account that somebody else closed.
    pub(super) only_sessions: bool,
}

/// One action that is under way.
pub(super) struct Running {
    pub(super) row: ActionRow,
    pub(super) next: Next,
    /// Not before.
    due_at: Timestamp,
    /// How often it was read back since it was last sent.
    pub(super) reads: u32,
    /// How often all those readings had no answer.
    pub(super) unanswered: u32,
    /// Sendings of runs that were interrupted: the target did not fail them, so they use up nobody's patience.
    interrupted: u32,
    /// Which sessions have to be gone.
    pub(super) sessions: Sessions,
    /// Sessions of an account that is being closed: they are ended first and read back last.
    pub(super) closing: bool,
    /// What the account goes on holding, on a path that a guard holds: it cannot be read back as gone yet.
    pub(super) kept_by_guard: Vec<EntitlementName>,
    /// A step that was begun and of which it is not known yet that it lasts.
    pub(super) step: Option<Step>,
    /// Another process has taken it on, and is not at its end.
    pub(super) is_elsewhere: bool,
    /// From here to the action's end in this run; its calls are within.
    pub(super) span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Send,
    Read,
}

impl Running {
    fn new(row: ActionRow, due_at: Timestamp) -> Self {
        // What the target has acknowledged is only read; what was sent may not have arrived, and is sent again.
        let next = if row.state == ActionState::Acknowledged { Next::Read } else { Next::Send };
        let (reads, unanswered) = (0, 0);
        let interrupted = match row.state {
            ActionState::Sent => row.attempts.min(INTERRUPTED_MAX),
            _ => 0,
        };
        let (sessions, closing, kept_by_guard) = (Sessions::All, false, Vec::new());
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
        let step = None;
        Self {
            row,
            next,
            due_at,
            reads,
            unanswered,
            interrupted,
            sessions,
            closing,
            kept_by_guard,
            step,
            is_elsewhere: false,
            span,
        }
    }

    /// How often it was sent to no effect.
    pub(super) fn tries(&self) -> u32 {
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

    fn is_due(&self, next: Next, now: Timestamp) -> bool {
        self.is_open() && self.next == next && self.due_at <= now
    }

    pub(super) fn is_open(&self) -> bool {
        !self.row.state.is_final() && self.row.state != ActionState::Planned
    }

    pub(super) fn wait(&mut self, next: Next, now: Timestamp, wait_ms: u64) {
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
        let closes =
            rows.iter().any(|row| row.item.verb == Verb::DisableAccount && row.state != ActionState::Planned);
        let only_sessions = rows.iter().all(|row| row.item.verb == Verb::EndSessions);
        let mut rows_of: BTreeMap<usize, Vec<ActionRow>> = BTreeMap::new();
        for row in rows {
            let round = match row.item.verb {
                Verb::CreateAccount | Verb::EnableAccount => 0,
                Verb::Grant | Verb::EnableCredential | Verb::HandOverCredential => 1,
                Verb::DisableAccount | Verb::DisableCredential | Verb::RevokeCredential => 2,
                Verb::EndSessions | Verb::Revoke if closes => 2,
                Verb::Revoke => 3,
                Verb::EndSessions => 4,
                Verb::DeleteAccount => 5,
            };
            rows_of.entry(round).or_default().push(row);
        }
        let round = |mut rows: Vec<ActionRow>| {
            rows.sort_by_key(order);
            let running = rows.into_iter().map(|row| {
                let closing = closes && row.item.verb == Verb::EndSessions;
                Running { closing, ..Running::new(row, now).without(&held) }
            });
            running.collect()
        };
        Self {
            rounds: rows_of.into_values().map(round).collect(),
            states,
            done: Done { only_sessions, ..Done::default() },
        }
    }

    /// Does what is due; gives when to come back, or nothing where everything is at its end.
    pub(super) async fn turn(&mut self, worker: &Worker) -> Result<Option<Timestamp>, ReconcileError> {
        loop {
            let Some(round) = self.rounds.front() else { return Ok(None) };
            if worker.is_late() {
                return Ok(Some(worker.shared.pace.now()));
            }
            // Sessions that end first count on what any later round takes away.
            let ahead = if round.iter().any(|running| running.closing) { self.rounds.len() } else { 1 };
            let taken = self.rounds.iter().take(ahead).flatten();
            let done = worker.done_with(self.done, taken);
            let Some(round) = self.rounds.front_mut() else { return Ok(None) };
            worker.send_all(round, &self.states, done).await?;
            worker.read_all(round).await?;
            let again = to_end_again(round);
            self.states.extend(round.iter().map(|running| (running.row.id.clone(), running.row.state)));
            let is_closing = round.iter().any(|running| !running.closing && running.is_open());
            let open = round.iter().filter(|running| running.is_open());
            // What is read back last is due when the others are at their end, however early it could be read.
            let open = open.filter(|running| !(is_closing && running.closing && running.next == Next::Read));
            match open.map(|running| running.due_at).min() {
                // Also where it is due again by now: a target that hangs would else be asked for this account only.
                Some(due_at) => return Ok(Some(due_at)),
                // What waits for one of these is for whoever carries that out.
                None if round.iter().any(|running| running.is_elsewhere) => return Ok(None),
                None => {
                    for ActionRow { item, state, .. } in round.iter().map(|running| &running.row) {
                        self.done.took_away |= item.verb.takes_away()
                            && matches!(state, ActionState::Verified | ActionState::Unverifiable);
                        self.done.stuck |= item.verb.takes_away() && *state == ActionState::Stuck;
                    }
                    self.rounds.pop_front();
                    if !again.is_empty() {
                        self.rounds.push_back(again);
                    }
                }
            }
        }
    }
}

/// Whether a round was to close its account, and did not.
fn stays_open(round: &[Running]) -> bool {
    let mut rows = round.iter().map(|running| &running.row);
    rows.any(|row| {
        row.item.verb == Verb::DisableAccount
            && matches!(row.state, ActionState::Stuck | ActionState::Unverifiable)
    })
}

/// Takes the sessions out of a round that did not close its account and is otherwise at its end: who logged in since they
/// were ended would go on holding what the rest takes away, so they are ended again after it.
fn to_end_again(round: &mut Vec<Running>) -> Vec<Running> {
    let is_last = !round.iter().any(|running| !running.closing && running.is_open());
    let is_meant = is_last && stays_open(round);
    let is_again = |running: &mut Running| is_meant && running.closing && running.is_open();
    let again = round.extract_if(.., is_again).map(|mut running| {
        (running.closing, running.sessions, running.next) = (false, Sessions::All, Next::Send);
        running.row.reason.get_or_insert_with(|| "the account stays open".to_owned());
        running
    });
    again.collect()
}

/// What of a round is sent first.
fn order(row: &ActionRow) -> u8 {
    match row.item.verb {
        Verb::EndSessions => 0,
        Verb::DisableCredential | Verb::RevokeCredential => 1,
        Verb::DisableAccount => 4,
        // What is elevated ends before the rest.
        _ => 2 + u8::from(!row.item.privileged),
    }
}

/// Takes what is sent next: the first, or the account's switch where it has waited for long.
fn take_next<'round>(due: &mut VecDeque<&'round mut Running>, is_late: bool) -> Option<&'round mut Running> {
    let is_switch = |running: &&mut Running| running.row.item.verb == Verb::DisableAccount;
    let urgent = due.iter().position(is_switch).filter(|_| is_late);
    due.remove(urgent.unwrap_or(0))
}

impl Worker {
    /// Sends what is due of a round. While one is under way the intent of the next is on its way to the log.
    async fn send_all(
        &self,
        round: &mut [Running],
        states: &HashMap<ActionId, ActionState>,
        done: Done,
    ) -> Result<(), ReconcileError> {
        let now = self.shared.pace.now();
        let is_due = |running: &&mut Running| running.is_due(Next::Send, now);
        let mut due: VecDeque<&mut Running> = round.iter_mut().filter(is_due).collect();
        let mut next = due.pop_front();
        if let Some(first) = &mut next {
            let span = first.span.clone();
            self.intend(first, states, done).instrument(span).await?;
        }
        while let Some(running) = next {
            let span = running.span.clone();
            // What is called now does not share its transaction with what is called later: with many targets that is half as much.
            self.lasting(running).instrument(span.clone()).await?;
            let has_waited = self.shared.pace.now().duration_since(now) >= SWITCH_WAITS;
            next = if self.is_late() { None } else { take_next(&mut due, has_waited) };
            if let Some(next) = &mut next {
                let span = next.span.clone();
                self.intend(next, states, done).instrument(span).await?;
            }
            self.call(running).instrument(span).await?;
        }
        Ok(())
    }

    /// What is done, with what these take away: sessions that end first count on it.
    fn done_with<'a>(&self, mut done: Done, running: impl Iterator<Item = &'a Running>) -> Done {
        let rows = running.map(|running| &running.row);
        for row in rows.filter(|row| row.item.verb.takes_away() && row.item.verb != Verb::EndSessions) {
            match row.state {
                ActionState::Planned | ActionState::Void => {}
                ActionState::Stuck => done.stuck = true,
                ActionState::Approved => done.took_away |= self.is_wanted(row),
                _ => done.took_away = true,
            }
        }
        done
    }

    /// Reads back what is due of a round. While one is read, what the one before showed is on its way to the log.
    async fn read_all(&self, round: &mut [Running]) -> Result<(), ReconcileError> {
        for last in [false, true] {
            // Whether a session can begin is known when everything else was read back.
            if last && round.iter().any(|running| !running.closing && running.is_open()) {
                break;
            }
            if last && stays_open(round) {
                break;
            }
            let closed = round.iter().any(|running| {
                running.row.item.verb == Verb::DisableAccount && running.row.state == ActionState::Verified
            });
            for running in round.iter_mut().filter(|running| running.closing == last) {
                self.lasting(running).await?;
                if running.is_due(Next::Read, self.shared.pace.now()) && !self.is_late() {
                    if closed {
                        running.sessions = Sessions::All;
                    }
                    let span = running.span.clone();
                    self.read_back(running).instrument(span).await?;
                }
            }
            for running in round.iter_mut() {
                self.lasting(running).await?;
            }
        }
        Ok(())
    }
}
