//! The connector to one simulated system: the same verbs as a real one, with the faults of its world.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_model::Timestamp;
use leasehold_model::capability::{Capabilities, Capability};
use leasehold_model::fact::{Completeness, Fact};
use leasehold_model::id::SystemName;
use leasehold_model::plan::Verb;
use leasehold_model::request::{ActionRequest, IssueRequest, Issued, Outcome, ReadBack, ReadTarget};

use super::change::{
    change, count_read, duplicate_some, find, fold_some, live_masks, shown_account, shown_credential,
    shown_grants,
};
use super::company::FEED;
use super::dice::Dice;
use super::faults::{FaultKind, Operation};
use super::state::SystemTraits;
use super::switch::Switch;
use super::world::{CrashHook, Inner, Mask, Resurrection, World};
use crate::connector::{Batch, Connector, Sink, TestReport, no_credentials};
use crate::error::ConnectError;

const TIMEOUT_MS: u64 = 30_000;
const CRASHED: &str = "injected crash";

/// Whether this error stands for the death of our own process, so that the story must go on as after a restart.
pub fn is_injected_crash(error: &ConnectError) -> bool {
    matches!(error, ConnectError::Target { message, .. } if message == CRASHED)
}

/// A connector to one system of a [`World`], or to its people feed.
#[derive(Debug, Clone)]
pub struct SimulatedConnector {
    pub(super) world: Arc<World>,
    pub(super) system: SystemName,
    latency: Duration,
}

/// What a system with these traits can do.
pub(super) fn capabilities_of(traits: SystemTraits) -> Capabilities {
    let when = |yes: bool| if yes { Capability::YES } else { Capability::NO };
    Capabilities {
        enumerate: Capability::YES,
        prove_completeness: Capability::YES,
        read_back: when(traits.read_back),
        grant: Capability::YES,
        revoke: Capability::YES,
        create_account: Capability::YES,
        disable_account: Capability::YES,
        enable_account: Capability::YES,
        delete_account: Capability::with("with what it holds, its credentials and its sessions"),
        list_sessions: when(traits.sessions),
        end_sessions: when(traits.sessions),
        last_use: when(traits.last_use),
        list_credentials: when(traits.credentials),
        issue_credential: when(traits.credentials),
        rotate_credential: when(traits.credentials),
        disable_credential: when(traits.credentials),
        revoke_credential: when(traits.credentials),
        hand_over_credential: when(traits.credentials),
        ..Capabilities::NONE
    }
}

impl SimulatedConnector {
    pub(super) fn new(world: Arc<World>, system: SystemName) -> Self {
        Self { world, system, latency: Duration::ZERO }
    }

    /// Each change and each read of one object takes this long, as over a network.
    #[must_use]
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// A request on its way, or an answer: half of the latency each.
    async fn travel(&self) {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency / 2).await;
        }
    }

    pub(super) fn is_feed(&self) -> bool {
        self.system.as_str() == FEED
    }

    pub(super) fn traits(&self) -> SystemTraits {
        self.world.lock().state.systems.get(&self.system).map(|system| system.traits).unwrap_or_default()
    }

    pub(super) fn failed(&self, operation: &str, message: impl Into<String>) -> ConnectError {
        let system = self.system.to_string();
        ConnectError::Target { system, operation: operation.to_owned(), message: message.into() }
    }

    pub(super) fn gone(&self) -> ConnectError {
        self.failed("reading the simulated state", "the state holds no such system; generate it again")
    }

    fn crash(&self, operation: &str, hook: Option<CrashHook>) -> ConnectError {
        if let Some(hook) = hook {
            hook();
        }
        self.failed(operation, CRASHED)
    }

    /// The error by which a call fails as a whole, for the faults that every kind of call shares.
    pub(super) fn failure(
        &self,
        kind: FaultKind,
        operation: &str,
        hook: Option<CrashHook>,
    ) -> Option<ConnectError> {
        Some(match kind {
            FaultKind::TimeoutBefore | FaultKind::TimeoutAfter => ConnectError::Timeout {
                system: self.system.to_string(),
                operation: operation.to_owned(),
                timeout_ms: TIMEOUT_MS,
            },
            FaultKind::Unreachable => ConnectError::Unreachable {
                system: self.system.to_string(),
                address: format!("{}.example.com:443", self.system),
                message: "connection refused; check that the system is up".to_owned(),
            },
            FaultKind::CrashBeforeSend | FaultKind::CrashAfterSend => self.crash(operation, hook),
            FaultKind::BrokenPages => {
                self.failed(operation, "the target closed the connection between two pages; try again")
            }
            _ => return None,
        })
    }

    /// All facts as reads show them now, in an order of this call's own: a reader must not rely on any.
    fn facts(&self, inner: &mut Inner, step: u64) -> Result<Vec<Fact>, ConnectError> {
        let mut facts: Vec<Fact> = if self.is_feed() {
            inner.state.people.values().cloned().map(Fact::Identity).collect()
        } else {
            let mut shown = inner.state.systems.get(&self.system).ok_or_else(|| self.gone())?.clone();
            for mask in live_masks(inner, &self.system) {
                mask.switch.set(&mut shown, &mask.account, mask.shown);
            }
            if !shown.traits.last_use {
                shown.accounts.values_mut().for_each(|account| account.last_use = Default::default());
            }
            count_read(inner, &self.system, None);
            shown.facts()
        };
        Dice::new(step).shuffle(&mut facts);
        Ok(facts)
    }
}

#[async_trait]
impl Connector for SimulatedConnector {
    fn capabilities(&self) -> Capabilities {
        if self.is_feed() {
            let yes = Capability::YES;
            return Capabilities { enumerate: yes, prove_completeness: yes, ..Capabilities::NONE };
        }
        capabilities_of(self.traits())
    }

    async fn test(&self) -> Result<TestReport, ConnectError> {
        Ok(TestReport {
            target: format!("simulated company, system {}", self.system),
            acting_as: (!self.is_feed()).then(|| super::company::ACTING_AS.to_owned()),
            missing_rights: Vec::new(),
        })
    }

    async fn enumerate(&self, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
        const OPERATION: &str = "enumerating";
        let (mut facts, step, fault, hook) = {
            let mut inner = self.world.lock();
            let (step, fault) = self.world.begin(&mut inner, Operation::Enumerate);
            let facts = self.facts(&mut inner, step)?;
            self.world.save(&inner, self.system.as_str())?;
            (facts, step, fault, World::crash_hook(&inner))
        };
        let all = facts.len();
        let mut dice = Dice::new(step);
        let stops_short = matches!(
            fault,
            Some(
                FaultKind::PartialPages
                    | FaultKind::BrokenPages
                    | FaultKind::RateLimited { .. }
                    | FaultKind::CrashAfterSend
            )
        );
        match fault {
            // Facts that came before the target failed are kept by whoever reads; that is a case of its own.
            _ if stops_short => facts.truncate(dice.below(all)),
            Some(FaultKind::EmptyAnswer | FaultKind::EmptyClaimedComplete) => facts.clear(),
            Some(FaultKind::DuplicateIds) => duplicate_some(&mut facts, &mut dice),
            Some(FaultKind::FoldedCase) => fold_some(&mut facts, &mut dice),
            Some(kind) => {
                if let Some(error) = self.failure(kind, OPERATION, hook.clone()) {
                    return Err(error);
                }
            }
            None => {}
        }
        let read = facts.len();
        let mut batch = Batch::new(sink);
        for (done, fact) in facts.into_iter().enumerate() {
            batch.push(fact).await?;
            if done % 1024 == 0 {
                batch.progress(done as u64, Some(all as u64));
            }
        }
        batch.flush().await?;
        batch.progress(read as u64, Some(all as u64));
        match fault {
            Some(FaultKind::RateLimited { after_ms }) => Ok(Completeness::Partial {
                why: format!(
                    "answered 429 after {read} of {all} facts and wants to be left alone for {after_ms} ms"
                ),
            }),
            Some(FaultKind::PartialPages) => Ok(Completeness::Partial {
                why: format!("the last page never came: {read} of {all} facts were read"),
            }),
            Some(FaultKind::EmptyClaimedComplete) => {
                Ok(Completeness::Complete { evidence: "0 of 0 facts were read".to_owned() })
            }
            Some(kind @ (FaultKind::BrokenPages | FaultKind::CrashAfterSend)) => Err(self
                .failure(kind, OPERATION, hook)
                .unwrap_or_else(|| self.failed(OPERATION, "the enumeration broke off"))),
            _ if read == 0 => Ok(Completeness::Partial {
                why: "answered with nothing; an empty answer is not taken for an empty system".to_owned(),
            }),
            _ => Ok(Completeness::Complete {
                evidence: format!("{read} facts were read and the target counts as many"),
            }),
        }
    }

    async fn read_back(&self, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
        self.travel().await;
        let answer = self.read_object(target);
        self.travel().await;
        answer
    }

    async fn execute(&self, request: &ActionRequest) -> Result<Outcome, ConnectError> {
        self.travel().await;
        let answer = self.carry_out(request);
        self.travel().await;
        answer
    }

    async fn issue_credential(&self, request: &IssueRequest) -> Result<Issued, ConnectError> {
        self.travel().await;
        let answer = self.issue(request);
        self.travel().await;
        answer
    }
}

impl SimulatedConnector {
    fn read_object(&self, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
        const OPERATION: &str = "reading back";
        let mut inner = self.world.lock();
        let (_, fault) = self.world.begin(&mut inner, Operation::ReadBack);
        self.world.save(&inner, self.system.as_str())?;
        if let Some(FaultKind::RateLimited { after_ms }) = fault {
            let message = format!("answered 429; ask again in {after_ms} ms");
            return Err(self.failed(OPERATION, message));
        }
        if let Some(kind) = fault {
            let hook = World::crash_hook(&inner);
            drop(inner);
            return Err(self
                .failure(kind, OPERATION, hook)
                .unwrap_or_else(|| self.failed(OPERATION, "the target did not answer")));
        }
        let unsupported = |why: &str| Ok(ReadBack::Unsupported { why: why.to_owned() });
        if self.is_feed() {
            return unsupported("the people feed holds no grants or accounts");
        }
        let state = inner.state.systems.get(&self.system).ok_or_else(|| self.gone())?;
        if !state.traits.read_back {
            return unsupported("this system offers no way to read one object");
        }
        let masks = live_masks(&inner, &self.system);
        let found = find(state, &masks, target.account()).map_err(|why| self.failed(OPERATION, why))?;
        // Of an account that is not there the key is empty, and nothing hangs on it.
        let key = found.unwrap_or_else(|| target.account().key.clone());
        let read = match target {
            ReadTarget::Grant { entitlement, .. } => {
                let direct = shown_grants(state, &masks, &key);
                ReadBack::Grant {
                    direct: direct.contains(&entitlement.name),
                    effective: Some(state.closure(direct).contains(&entitlement.name)),
                }
            }
            ReadTarget::Account { .. } => {
                let (exists, enabled) = shown_account(state, &masks, &key);
                ReadBack::Account { exists, enabled }
            }
            ReadTarget::Sessions { .. } if state.traits.sessions => {
                ReadBack::sessions(state.sessions.get(&key).cloned().unwrap_or_default())
            }
            ReadTarget::Sessions { .. } => return unsupported("this system does not list sessions"),
            ReadTarget::Credential { credential, .. } if state.traits.credentials => {
                let (exists, active) = shown_credential(state, &masks, &key, &credential.key);
                ReadBack::Credential { exists, active }
            }
            ReadTarget::HandOver { credential, to, .. } if state.traits.credentials => {
                let to = find(state, &masks, to).map_err(|why| self.failed(OPERATION, why))?;
                let has = |account| shown_credential(state, &masks, account, &credential.key);
                ReadBack::HandOver { left: !has(&key).0, arrived: to.as_ref().is_some_and(|to| has(to).1) }
            }
            ReadTarget::Credential { .. } | ReadTarget::HandOver { .. } => return Ok(no_credentials()),
        };
        count_read(&mut inner, &self.system, Some(&key));
        Ok(read)
    }

    fn carry_out(&self, request: &ActionRequest) -> Result<Outcome, ConnectError> {
        let operation = format!("executing {} for {}", request.verb, request.account.login);
        let refused = |why: &str| Ok(Outcome::Refused { why: why.to_owned() });
        let (fault, hook, done) = {
            let mut inner = self.world.lock();
            let (step, fault) = self.world.begin(&mut inner, Operation::Execute);
            match fault {
                _ if self.is_feed() => {
                    return refused("the people feed cannot be changed; change it at its source");
                }
                Some(FaultKind::Refused) => {
                    return refused("the target's own rule forbids this; ask the system's owner");
                }
                Some(FaultKind::RateLimited { after_ms }) => {
                    let why = "answered 429".to_owned();
                    return Ok(Outcome::Retry { after_ms: Some(after_ms), why });
                }
                Some(FaultKind::LyingSuccess) => {
                    return Ok(Outcome::Acknowledged { detail: "200 OK".to_owned() });
                }
                _ => {}
            }
            let not_sent = matches!(
                fault,
                Some(FaultKind::TimeoutBefore | FaultKind::CrashBeforeSend | FaultKind::Unreachable)
            );
            let done = if not_sent { None } else { Some(self.make_so(&mut inner, request, step, fault)?) };
            self.world.save(&inner, self.system.as_str())?;
            (fault, World::crash_hook(&inner), done)
        };
        if let Some(error) = fault.and_then(|kind| self.failure(kind, &operation, hook)) {
            return Err(error);
        }
        done.ok_or_else(|| self.failed(&operation, "the target did not answer"))
    }

    /// Makes the change in the shared state, and arranges for what the fault does to it afterwards.
    fn make_so(
        &self,
        inner: &mut Inner,
        request: &ActionRequest,
        step: u64,
        fault: Option<FaultKind>,
    ) -> Result<Outcome, ConnectError> {
        let now = inner.clock.now();
        let state = inner.state.systems.get_mut(&self.system).ok_or_else(|| self.gone())?;
        let found = match find(state, &[], &request.account) {
            Ok(found) => found,
            Err(why) => return Ok(Outcome::Refused { why }),
        };
        let mut key = found.unwrap_or_else(|| request.account.key.clone());
        let before = state.whole_account(&key);
        let credential = request.credential.as_ref().and_then(|target| state.credentials.get(&target.key));
        let mut switch = match (&request.entitlement, credential) {
            (Some(entitlement), _) => Switch::Grant(entitlement.name.clone()),
            (None, Some(credential)) => Switch::Credential(Box::new(credential.clone())),
            (None, None) => Switch::Account,
        };
        let changed = match change(state, request, &key) {
            Ok(changed) => changed,
            Err(why) => return Ok(Outcome::Refused { why }),
        };
        let whole = match request.verb {
            Verb::CreateAccount => match find(state, &[], &request.account) {
                Ok(Some(made)) => state.whole_account(&made),
                _ => None,
            },
            Verb::DeleteAccount => before,
            _ => None,
        };
        if let Some(whole) = whole {
            key = whole.account.key.clone();
            switch = Switch::Existence(Box::new(whole));
        }
        if !changed {
            return Ok(Outcome::AlreadySo);
        }
        // Ended sessions neither come back nor linger; the other verbs flip one value that a fault can hide or undo.
        if request.verb != Verb::EndSessions {
            let old_value = request.verb.takes_away();
            let mut mask = |reads_left, until| {
                inner.masks.push(Mask {
                    system: self.system.clone(),
                    account: key.clone(),
                    switch: switch.clone(),
                    shown: old_value,
                    reads_left,
                    until,
                });
            };
            match fault {
                Some(FaultKind::VisibleAfterReads { reads }) => mask(reads, Timestamp::MAX),
                Some(FaultKind::VisibleAfterMs { ms }) => {
                    mask(u32::MAX, now.checked_add(Duration::from_millis(ms)).unwrap_or(now));
                }
                Some(FaultKind::Resurrected { after_steps }) => {
                    let (system, account) = (self.system.clone(), key.clone());
                    let (step, switch) = (step + after_steps, switch.clone());
                    let undo = Resurrection { step, system, account, switch, value: old_value };
                    self.world.resurrect_later(inner, undo);
                }
                _ => {}
            }
        }
        Ok(Outcome::Acknowledged { detail: format!("{} done", request.verb) })
    }
}
