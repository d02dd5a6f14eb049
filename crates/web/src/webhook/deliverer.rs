//! Brings every message to its end: queued from the ledger, claimed, sent, and sent again for days where it must be.
//!
//! Any number of processes may do this on one store. Each webhook has its own small number of calls at a time, so that a
//! receiver that is slow or dead keeps no other waiting, and nothing here is in the way of the loop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use leasehold_reconcile::notice::Notice;
use leasehold_reconcile::pace::SharedPace;
use leasehold_reconcile::trace::SPANS;
use leasehold_store::{AttemptEnd, Delivery, Store, StoreError, Webhook, WebhookState};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tracing::Instrument as _;

use super::WebhookSettings;
use super::event;
use super::receiver::{Answer, Caller};
use super::secret::Secret;
use crate::seal::SealKey;

/// Calls to one webhook at a time, in one process.
const AT_ONCE: usize = 2;
/// A claim outlives every call by far; it passes where the process that has it died.
const CLAIM: SignedDuration = SignedDuration::from_secs(60);
/// How often the store is looked at for what others recorded.
const POLL: Duration = Duration::from_secs(1);
/// Notices come in crowds; one look is enough for all that come within this time.
const GATHER: Duration = Duration::from_millis(100);
/// Calls that run when the server stops have this long.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Deliveries that ended are listed for this long.
const KEEP: SignedDuration = SignedDuration::from_hours(30 * 24);
const FORGET_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// The waits between attempts, in seconds: the schedule that the specification recommends, some three days in all.
const WAITS_S: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// No receiver puts the next attempt off for longer.
const RETRY_AFTER_S_MAX: i64 = 86_400;
/// What attempts are counted as.
pub(crate) const ATTEMPTS: &str = "leasehold_webhook_attempts_total";

/// Sends what is on its way. Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct Deliverer {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    pace: SharedPace,
    seal_key: SealKey,
    caller: Caller,
    /// The name of this process among those that share the store.
    process: String,
}

/// What an attempt came to, for who counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Delivered,
    Refused,
    Unanswered,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
        }
    }
}

impl Deliverer {
    /// One that does nothing yet.
    pub fn new(
        store: Store,
        pace: SharedPace,
        seal_key: SealKey,
        settings: WebhookSettings,
        process: &str,
    ) -> Self {
        let caller = Caller::new(settings);
        let shared = Shared { store, pace, seal_key, caller, process: process.to_owned() };
        Self { shared: Arc::new(shared) }
    }

    /// One turn: whatever is due now, to the end of its attempt. Gives how many attempts were made.
    ///
    /// # Errors
    /// Where the store fails; what goes wrong at a receiver is in the delivery.
    pub async fn turn(&self) -> Result<usize, StoreError> {
        let never = watch::Sender::new(false);
        let mut running = Running::default();
        let mut attempts = 0;
        loop {
            self.begin_what_is_due(&mut running, &never.subscribe()).await?;
            if !running.one_ended().await {
                return Ok(attempts);
            }
            attempts += 1;
        }
    }

    /// Runs until it is told to stop, and a little longer: what is being sent may end.
    pub(crate) async fn run(self, mut notices: broadcast::Receiver<Notice>, mut stop: watch::Receiver<bool>) {
        let mut running = Running::default();
        let (mut is_well, mut forgot_at) = (true, None);
        while !*stop.borrow() {
            let turn = self.begin_what_is_due(&mut running, &stop).await;
            let turn = match turn {
                Ok(()) => self.forget(&mut forgot_at).await,
                failed => failed,
            };
            match &turn {
                Err(error) if is_well => {
                    tracing::error!(%error, "webhooks are in trouble, and are tried again");
                }
                Ok(()) if !is_well => tracing::info!("webhooks are well again"),
                _ => {}
            }
            is_well = turn.is_ok();
            tokio::select! {
                true = running.one_ended() => {}
                () = noticed(&mut notices), if is_well => {}
                () = tokio::time::sleep(POLL) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
        // Each gives its claim back by itself where it takes too long.
        while running.one_ended().await {}
    }

    /// Queues what was recorded, and begins to send what is due, as much as may run at a time.
    async fn begin_what_is_due(
        &self,
        running: &mut Running,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        let Shared { store, pace, process, .. } = &*self.shared;
        while store.queue_deliveries(event::message, pace.now()).await? {}
        let webhooks = store.webhooks().await?;
        for webhook in webhooks.into_iter().filter(|webhook| webhook.state == WebhookState::Active) {
            while running.of(&webhook.id) < AT_ONCE {
                let now = pace.now();
                let claimed = store.claim_delivery(&webhook.id, process, now, now + CLAIM).await?;
                let Some(delivery) = claimed else { break };
                let (deliverer, to, stop) = (self.clone(), webhook.clone(), stop.clone());
                let attempt = async move { deliverer.attempt(&to, &delivery, stop).await };
                running.begin(&webhook.id, attempt);
            }
        }
        Ok(())
    }

    /// One attempt, and what follows from it.
    async fn attempt(&self, webhook: &Webhook, delivery: &Delivery, stop: watch::Receiver<bool>) {
        let Shared { store, pace, .. } = &*self.shared;
        let noted = tokio::select! {
            answer = self.send(webhook, delivery) => {
                let (outcome, end) = judged(&answer, delivery, pace.now());
                metrics::counter!(ATTEMPTS, "outcome" => outcome.name()).increment(1);
                if outcome != Outcome::Delivered {
                    tracing::warn!(webhook = %webhook.id, delivery = %delivery.id, attempt = delivery.attempts, ?end, "a webhook was not delivered");
                }
                store.end_attempt(delivery, &end, pace.now()).await.map(|_| ())
            }
            () = stopped(stop) => store.give_back_delivery(delivery).await,
        };
        if let Err(error) = noted {
            // The claim passes, and it is sent once more.
            tracing::error!(delivery = %delivery.id, %error, "the end of a delivery could not be noted");
        }
    }

    async fn send(&self, webhook: &Webhook, delivery: &Delivery) -> Answer {
        let Shared { pace, seal_key, caller, .. } = &*self.shared;
        let now = pace.now();
        let opened = |sealed: &str| Secret::opened(seal_key, &webhook.id, sealed);
        let Some(secret) = opened(&webhook.secret) else {
            let why = "its secret cannot be opened: the servers' seal key is another one; rotate the secret";
            return Answer::Unanswered(why.to_owned());
        };
        let previous = webhook.previous_secret.as_ref().filter(|(_, until)| now < *until);
        let previous = previous.and_then(|(sealed, _)| opened(sealed));
        let secrets: Vec<Secret> = [Some(secret), previous].into_iter().flatten().collect();
        let span = tracing::info_span!(
            target: SPANS,
            "webhook delivery",
            "otel.kind" = "client",
            "leasehold.webhook" = %webhook.id,
            "leasehold.event" = %delivery.event,
            "leasehold.attempt" = i64::try_from(delivery.attempts).unwrap_or(i64::MAX),
            "http.request.method" = "POST",
            "http.response.status_code" = tracing::field::Empty,
            "otel.status_code" = tracing::field::Empty,
        );
        let call = caller.call(&webhook.url, &delivery.id, now.as_second(), &delivery.body, &secrets);
        let answer = call.instrument(span.clone()).await;
        match &answer {
            Answer::Answered { status, .. } => {
                span.record("http.response.status_code", i64::from(*status));
                if !(200..300).contains(status) {
                    span.record("otel.status_code", "ERROR");
                }
            }
            Answer::Unanswered(_) => {
                span.record("otel.status_code", "ERROR");
            }
        }
        answer
    }

    async fn forget(&self, forgot_at: &mut Option<Timestamp>) -> Result<(), StoreError> {
        let now = self.shared.pace.now();
        if forgot_at.is_none_or(|forgot_at| now.duration_since(forgot_at) >= FORGET_EVERY) {
            self.shared.store.forget_deliveries(now - KEEP).await?;
            *forgot_at = Some(now);
        }
        Ok(())
    }
}

/// The attempts that run, each with its webhook.
#[derive(Default)]
struct Running {
    attempts: JoinSet<()>,
    webhooks: HashMap<Id, String>,
}

impl Running {
    fn begin(&mut self, webhook: &str, attempt: impl Future<Output = ()> + Send + 'static) {
        let id = self.attempts.spawn(attempt).id();
        self.webhooks.insert(id, webhook.to_owned());
    }

    /// How many run for a webhook.
    fn of(&self, webhook: &str) -> usize {
        self.webhooks.values().filter(|known| *known == webhook).count()
    }

    /// Waits until one has ended; false where none runs.
    async fn one_ended(&mut self) -> bool {
        let Some(ended) = self.attempts.join_next_with_id().await else { return false };
        // Also where it panicked: its claim passes, and another attempt follows.
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        self.webhooks.remove(&id);
        true
    }
}

/// Waits until something was noticed that may be in the ledger.
async fn noticed(notices: &mut broadcast::Receiver<Notice>) {
    if matches!(notices.recv().await, Err(RecvError::Closed)) {
        // The loop is gone; looking now and then is what is left.
        return std::future::pending().await;
    }
    tokio::time::sleep(GATHER).await;
    while notices.try_recv().is_ok() {}
}

/// Ends when a stop was asked for and what is being sent has had its time.
async fn stopped(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left to ask for one.
        return std::future::pending().await;
    }
    tokio::time::sleep(STOP_WITHIN).await;
}

/// What follows from an answer.
fn judged(answer: &Answer, delivery: &Delivery, now: Timestamp) -> (Outcome, AttemptEnd) {
    let (outcome, status, error, asked_s) = match answer {
        Answer::Answered { status: status @ 200..=299, .. } => {
            return (Outcome::Delivered, AttemptEnd::Delivered { status: *status });
        }
        Answer::Answered { status: 410, .. } => return (Outcome::Refused, AttemptEnd::Gone { status: 410 }),
        Answer::Answered { status, excerpt, retry_after_s } => {
            let error = match (status, excerpt.as_str()) {
                (300..=399, _) => format!("answered {status}: redirects are not followed"),
                (_, "") => format!("answered {status}"),
                _ => format!("answered {status}: {excerpt}"),
            };
            (Outcome::Refused, Some(*status), error, retry_after_s.unwrap_or_default())
        }
        Answer::Unanswered(why) => (Outcome::Unanswered, None, why.clone(), 0),
    };
    let tried = usize::try_from(delivery.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some(wait_s) = WAITS_S.get(tried) else {
        return (outcome, AttemptEnd::Failed { status, error });
    };
    let wait_s = wait_s.saturating_add(jitter_s(*wait_s)).max(asked_s.min(RETRY_AFTER_S_MAX));
    (outcome, AttemptEnd::Again { status, error, at: now + SignedDuration::from_secs(wait_s) })
}

/// Up to a tenth more, so that what failed together does not come again together.
fn jitter_s(wait_s: i64) -> i64 {
    let mut byte = [0_u8];
    // Without randomness everything comes at its time, which is right, too.
    let _ = getrandom::fill(&mut byte);
    wait_s * i64::from(byte[0]) / 2_550
}

#[cfg(test)]
mod tests {
    use leasehold_store::DeliveryState;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn attempt(number: u64) -> Delivery {
        Delivery {
            id: "msg_1".to_owned(),
            webhook: "w".to_owned(),
            event: "plan.created".to_owned(),
            entry: Some(1),
            body: "{}".to_owned(),
            created_at: at(0),
            state: DeliveryState::Waiting,
            attempts: number,
            next_attempt_at: at(0),
            fence: 1,
            attempted_at: None,
            status: None,
            error: None,
            ended_at: None,
        }
    }

    fn answered(status: u16, retry_after_s: Option<i64>) -> Answer {
        Answer::Answered { status, excerpt: "busy".to_owned(), retry_after_s }
    }

    #[test]
    fn waits_follow_the_schedule_with_up_to_a_tenth_more_and_then_it_is_given_up() {
        for (tried, wait_s) in (1..).zip(WAITS_S) {
            match judged(&answered(500, None), &attempt(tried), at(1_000)) {
                (Outcome::Refused, AttemptEnd::Again { status: Some(500), error, at: next }) => {
                    assert_eq!(error, "answered 500: busy");
                    let waited = next.as_second() - 1_000;
                    assert!((wait_s..=wait_s + wait_s / 10).contains(&waited), "attempt {tried}: {waited}");
                }
                other => panic!("attempt {tried}: {other:?}"),
            }
        }
        let last = judged(&Answer::Unanswered("no answer".to_owned()), &attempt(10), at(0));
        let error = "no answer".to_owned();
        assert_eq!(last, (Outcome::Unanswered, AttemptEnd::Failed { status: None, error }));
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_but_not_for_ever_and_redirects_are_failures() {
        let asked = |seconds| match judged(&answered(429, Some(seconds)), &attempt(1), at(0)).1 {
            AttemptEnd::Again { at, .. } => at.as_second(),
            other => panic!("{other:?}"),
        };
        assert_eq!(asked(120), 120);
        assert_eq!(asked(i64::MAX), RETRY_AFTER_S_MAX);
        assert!(asked(0) >= 5);
        let moved = judged(&answered(307, None), &attempt(1), at(0)).1;
        assert!(matches!(moved, AttemptEnd::Again { error, .. } if error.contains("redirects")));
        assert_eq!(judged(&answered(410, None), &attempt(1), at(0)).1, AttemptEnd::Gone { status: 410 });
        assert_eq!(judged(&answered(204, None), &attempt(1), at(0)).1, AttemptEnd::Delivered { status: 204 });
    }
}
