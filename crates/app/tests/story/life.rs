//! The life of the process in a story: it counts every point at which it could die, and dies at one of them.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use leasehold_connect::connector::{Connector, Sink, TestReport};
use leasehold_connect::error::ConnectError;
use leasehold_connect::simulated::{SimulatedConnector, World};
use leasehold_model::Timestamp;
use leasehold_model::capability::Capabilities;
use leasehold_model::clock::{Clock, ManualClock};
use leasehold_model::fact::Completeness;
use leasehold_model::id::{AccountKey, CredentialKey, EntitlementName, SystemName};
use leasehold_model::request::{
    AccountTarget, ActionRequest, IssueRequest, Issued, Outcome, ReadBack, ReadTarget,
};
use leasehold_reconcile::pace::Pace;
use leasehold_reconcile::stages::enforce::Effect;
use tokio::sync::Notify;

/// Counts points of a run and ends it at one of them.
pub struct Life {
    passed: AtomicU64,
    dies_at: AtomicU64,
    dead: AtomicBool,
    died: Notify,
}

impl Life {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            passed: AtomicU64::new(0),
            dies_at: AtomicU64::new(u64::MAX),
            dead: AtomicBool::new(false),
            died: Notify::new(),
        })
    }

    /// Chooses the point of death, counted from 0 over the whole story.
    pub fn dies_at(&self, point: u64) {
        self.dies_at.store(point, Ordering::SeqCst);
    }

    /// How many points were passed.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }

    /// A point at which the process may die. After its death nothing of it goes on: an async caller then waits for ever,
    /// a sync one at its next await, because whoever waits for [`Life::lives`] is woken first and drops it.
    pub fn point(&self) -> bool {
        if self.passed.fetch_add(1, Ordering::SeqCst) == self.dies_at.load(Ordering::SeqCst) {
            self.die();
        }
        self.dead.load(Ordering::SeqCst)
    }

    /// Dies now.
    pub fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.died.notify_one();
    }

    /// Runs until the end or the death of the process; `None` where it died. Tasks that it had started are ended, too.
    pub async fn lives<T>(&self, run: impl Future<Output = T>) -> Option<T> {
        let ended = tokio::select! {
            biased;
            () = self.died.notified() => None,
            ended = run => Some(ended),
        };
        let dead = self.dead.swap(false, Ordering::SeqCst);
        if dead {
            // The point was passed once; the next life does not die there.
            self.dies_at.store(u64::MAX, Ordering::SeqCst);
            // Aborted tasks are dropped when they are scheduled next, and their connections returned after that.
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
        }
        ended.filter(|_| !dead)
    }

    async fn async_point(&self) {
        if self.point() {
            pending::<()>().await;
        }
    }
}

/// A clock that waiting moves. It does not yield, so that nothing but the store is ever waited for.
pub struct StoryClock(ManualClock);

impl StoryClock {
    pub fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(ManualClock::at(now)))
    }

    pub fn advance_ms(&self, by_ms: u64) {
        self.0.advance_ms(by_ms);
    }
}

impl Clock for StoryClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

#[async_trait]
impl Pace for StoryClock {
    async fn sleep_ms(&self, duration_ms: u64) {
        self.0.advance_ms(duration_ms);
    }
}

/// What was really so in the world when something was read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    Credential { exists: bool, active: bool },
    Grant { direct: bool, effective: bool },
    Account { exists: bool, enabled: bool },
    Sessions { live: usize },
}

/// What of an account was read back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Facet {
    Account,
    Grant(EntitlementName),
    Credential(CredentialKey),
    /// With whoever has it, and running as this account.
    HandOver(CredentialKey, AccountKey),
    Sessions,
}

/// How an account is found: by its key, or by its login while no reading has told the key.
pub fn found_by(key: &AccountKey, login: &str) -> AccountKey {
    if key.0.is_empty() { AccountKey::from(login) } else { key.clone() }
}

/// Object of a read-back.
pub type Looked = (SystemName, AccountKey, Facet);

/// What was asked of the systems in a story.
#[derive(Default)]
pub struct Calls {
    /// The truth at each answered read-back of each object, by when it was.
    pub truths: BTreeMap<Looked, BTreeMap<Timestamp, Truth>>,
    /// How often each change was asked for.
    pub asked: BTreeMap<Effect, u32>,
}

impl Calls {
    /// What was true of an object at the newest look before an instant: another action may have looked at it later.
    pub fn truth_before(&self, looked: &Looked, read_back_at: Timestamp) -> Option<Truth> {
        self.truths.get(looked)?.range(..read_back_at).next_back().map(|(_, truth)| *truth)
    }
}

/// A simulated connector in a process that may die before and after each call.
pub struct MortalConnector {
    pub inner: SimulatedConnector,
    pub system: SystemName,
    pub world: Arc<World>,
    pub life: Arc<Life>,
    pub clock: Arc<StoryClock>,
    pub calls: Arc<Mutex<Calls>>,
}

impl MortalConnector {
    fn look(&self, target: &ReadTarget) -> (Looked, Truth) {
        let system = self.system.as_str();
        let account = match target {
            ReadTarget::Grant { account, .. }
            | ReadTarget::Account { account }
            | ReadTarget::Credential { account, .. }
            | ReadTarget::HandOver { account, .. }
            | ReadTarget::Sessions { account } => found_by(&account.key, &account.login),
        };
        let (facet, truth) = match target {
            ReadTarget::Grant { entitlement, .. } => {
                let (direct, effective) =
                    self.world.holds(system, account.as_str(), &entitlement.name.to_string());
                (Facet::Grant(entitlement.name.clone()), Truth::Grant { direct, effective })
            }
            ReadTarget::Account { .. } => {
                let found = self.world.account(system, account.as_str());
                let enabled = found.as_ref().is_some_and(|found| found.enabled);
                (Facet::Account, Truth::Account { exists: found.is_some(), enabled })
            }
            ReadTarget::Credential { credential, .. } => {
                let found = self.world.credential(system, &credential.key);
                let truth = Truth::Credential {
                    exists: found.is_some(),
                    active: found.is_some_and(|found| found.active),
                };
                (Facet::Credential(credential.key.clone()), truth)
            }
            ReadTarget::HandOver { credential, to, .. } => {
                let found = self.world.credential(system, &credential.key);
                let truth = Truth::Credential {
                    exists: found.as_ref().is_some_and(|found| found.account == account),
                    active: found.is_some_and(|found| found.account == to.key && found.active),
                };
                (Facet::HandOver(credential.key.clone(), to.key.clone()), truth)
            }
            ReadTarget::Sessions { .. } => {
                let live = self.world.sessions(system, account.as_str()).len();
                (Facet::Sessions, Truth::Sessions { live })
            }
        };
        ((self.system.clone(), account, facet), truth)
    }
}

#[async_trait]
impl Connector for MortalConnector {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn test(&self) -> Result<TestReport, ConnectError> {
        self.inner.test().await
    }

    async fn enumerate(&self, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
        self.life.async_point().await;
        let answer = self.inner.enumerate(sink).await;
        self.life.async_point().await;
        answer
    }

    async fn read_back(&self, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
        self.life.async_point().await;
        let answer = self.inner.read_back(target).await;
        if answer.is_ok() {
            let (looked, truth) = self.look(target);
            let mut calls = self.calls.lock().expect("calls");
            calls.truths.entry(looked).or_default().insert(self.clock.now(), truth);
            // No two looks are at the same time, so that each can be found by it.
            self.clock.advance_ms(1);
        }
        self.life.async_point().await;
        answer
    }

    async fn issue_credential(&self, request: &IssueRequest) -> Result<Issued, ConnectError> {
        self.inner.issue_credential(request).await
    }

    async fn execute(&self, request: &ActionRequest) -> Result<Outcome, ConnectError> {
        self.life.async_point().await;
        let entitlement = request.entitlement.as_ref().map(|target| target.name.clone());
        let credential = request.credential.as_ref().map(|target| target.key.clone());
        let AccountTarget { key, login } = request.account.clone();
        let login = if key.0.is_empty() { login } else { String::new() };
        let (system, account) = (self.system.clone(), (key, login));
        let to = request.to.as_ref().map(|to| to.key.clone());
        let asked: Effect = (request.verb, system, account, entitlement, credential, to);
        *self.calls.lock().expect("calls").asked.entry(asked).or_default() += 1;
        let answer = self.inner.execute(request).await;
        self.life.async_point().await;
        answer
    }
}
