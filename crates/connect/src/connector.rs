//! The contract of a connector. `contract` holds the suite that every connector passes.

use std::fmt::Display;
use std::sync::Arc;

use async_trait::async_trait;
use leasehold_model::capability::Capabilities;
use leasehold_model::fact::{Completeness, Fact, FeedEnd, Problem};
use leasehold_model::plan::Verb;
use leasehold_model::request::{ActionRequest, IssueRequest, Issued, Outcome, ReadBack, ReadTarget};
use leasehold_model::setting::SettingField;

use crate::error::ConnectError;
use crate::scim_push::Pushed;
use crate::settings::Settings;

/// Where an enumeration's facts go. Accepting a batch may wait: that is how memory stays bounded.
#[async_trait]
pub trait Sink: Send {
    /// Takes a batch of facts, in any order.
    ///
    /// # Errors
    /// [`ConnectError::Sink`] where the facts cannot be kept; the connector stops and passes it on.
    async fn accept(&mut self, facts: Vec<Fact>) -> Result<(), ConnectError>;

    /// Takes note of input that could not be used.
    fn problem(&mut self, problem: Problem);

    /// Says how far the enumeration is, in units of the connector's choice; `total` where it is known.
    fn progress(&mut self, done: u64, total: Option<u64>);

    /// Says where a feed with an order of its own ended, so that one that was cut can be told from one that got shorter.
    /// Comes after the feed's facts.
    ///
    /// # Errors
    /// [`ConnectError::Sink`]: it could not be noted.
    fn feed_ended(&mut self, end: FeedEnd) -> Result<(), ConnectError>;
}

/// What a connection test found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TestReport {
    /// Which product and version answered.
    pub target: String,
    /// Whom the connector is logged in as; that account is never touched by a plan.
    pub acting_as: Option<String>,
    /// What the connector may not do with the rights it has, and what it would need.
    pub missing_rights: Vec<String>,
}

/// One connected system.
///
/// Retries of rate limits and time-outs within one call are the connector's business, within bounds; what it cannot
/// settle in a call it returns as [`Outcome::Retry`] or as [`Completeness::Partial`].
#[async_trait]
pub trait Connector: Send + Sync {
    /// What this connector can do with its present settings.
    fn capabilities(&self) -> Capabilities;

    /// How what the system pushes is understood, where it pushes instead of being read: its facts are in the store then.
    fn pushed(&self) -> Option<Pushed> {
        None
    }

    /// Reaches the target and logs in, changing nothing.
    ///
    /// # Errors
    /// [`ConnectError`] naming what could not be reached and what to do.
    async fn test(&self) -> Result<TestReport, ConnectError>;

    /// Streams every fact of the system, then says whether that was all.
    ///
    /// An error after some facts is the same as [`Completeness::Partial`]: what came is kept, nothing is ended.
    ///
    /// # Errors
    /// [`ConnectError`] where the enumeration could not begin or go on.
    async fn enumerate(&self, sink: &mut dyn Sink) -> Result<Completeness, ConnectError>;

    /// Reads one object now, from the target itself and not from anything cached.
    ///
    /// # Errors
    /// [`ConnectError`] where the target could not be asked; that is never the same as "absent".
    async fn read_back(&self, target: &ReadTarget) -> Result<ReadBack, ConnectError>;

    /// Makes one change. Idempotent: asked again, it answers [`Outcome::AlreadySo`] or makes it so once more.
    ///
    /// # Errors
    /// [`ConnectError`] where it is not known whether the target made the change.
    async fn execute(&self, request: &ActionRequest) -> Result<Outcome, ConnectError>;

    /// Makes a credential by which an account logs in. Not idempotent: each time it is another one, which stands beside those
    /// that are there or takes their place, as the kind of credential has it.
    ///
    /// # Errors
    /// [`ConnectError::NotOffered`] where the connector does not claim it; [`ConnectError::Refused`] with a way on, for an
    /// account that is disabled too. After any other it is not known whether one was made.
    async fn issue_credential(&self, request: &IssueRequest) -> Result<Issued, ConnectError> {
        Err(not_issued(request))
    }
}

/// A connector that several hold.
#[async_trait]
impl Connector for Arc<dyn Connector> {
    fn capabilities(&self) -> Capabilities {
        self.as_ref().capabilities()
    }

    async fn test(&self) -> Result<TestReport, ConnectError> {
        self.as_ref().test().await
    }

    async fn enumerate(&self, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
        self.as_ref().enumerate(sink).await
    }

    async fn read_back(&self, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
        self.as_ref().read_back(target).await
    }

    async fn execute(&self, request: &ActionRequest) -> Result<Outcome, ConnectError> {
        self.as_ref().execute(request).await
    }

    async fn issue_credential(&self, request: &IssueRequest) -> Result<Issued, ConnectError> {
        self.as_ref().issue_credential(request).await
    }
}

/// A kind of connector: what the registry lists.
pub trait ConnectorKind: Send + Sync {
    /// The word for it in `connector = "…"`.
    fn name(&self) -> &'static str;

    /// One sentence for `connector list`.
    fn summary(&self) -> &'static str;

    /// What this kind can do in general; a built connector may do less.
    fn capabilities(&self) -> Capabilities;

    /// What a form asks for, to connect a system of this kind; empty where it is connected in the configuration only.
    fn fields(&self) -> &'static [SettingField];

    /// Makes a connector from its settings without reaching the target.
    ///
    /// # Errors
    /// [`ConnectError::Setting`] naming the key that is missing, unknown or malformed.
    fn build(&self, settings: &mut Settings) -> Result<Box<dyn Connector>, ConnectError>;
}

/// The answer to a verb that a connector does not claim.
pub(crate) fn not_offered(verb: Verb) -> Outcome {
    Outcome::Refused { why: format!("this connector does not offer {verb}; it is done in the system itself") }
}

/// The answer to [`Connector::issue_credential`] that a connector does not claim.
pub(crate) fn not_issued(request: &IssueRequest) -> ConnectError {
    ConnectError::NotOffered { operation: format!("issuing a credential for {}", request.account.login) }
}

/// The one that a login means, of those that have it; `None` where none has.
///
/// # Errors
/// Names them where several have it: whose access it is that changes must not be a guess.
pub(crate) fn only_one<T: Display + Ord>(login: &str, mut found: Vec<T>) -> Result<Option<T>, String> {
    found.sort();
    found.dedup();
    if found.len() > 1 {
        let keys: Vec<String> = found.iter().map(T::to_string).collect();
        return Err(format!(
            "{} accounts have the login `{login}`: {}; sync and plan anew, so that the key says which is meant",
            keys.len(),
            keys.join(", ")
        ));
    }
    Ok(found.pop())
}

/// The answer where credentials are asked about and a connector knows none.
pub(crate) fn no_credentials() -> ReadBack {
    ReadBack::Unsupported { why: "this connector reads no credentials".to_owned() }
}

/// The answer where it is asked whether something was handed over, and a connector hands nothing over.
pub(crate) fn nothing_handed_over() -> ReadBack {
    ReadBack::Unsupported { why: "this connector hands nothing over".to_owned() }
}

/// Facts on their way to a [`Sink`], sent on in batches.
pub struct Batch<'sink> {
    sink: &'sink mut dyn Sink,
    facts: Vec<Fact>,
}

impl<'sink> Batch<'sink> {
    const FACTS_MAX: usize = 4096;

    /// An empty batch in front of a sink.
    pub fn new(sink: &'sink mut dyn Sink) -> Self {
        Self { sink, facts: Vec::with_capacity(Self::FACTS_MAX) }
    }

    /// Adds a fact; sends the batch on when it is full.
    ///
    /// # Errors
    /// Those of [`Sink::accept`].
    pub async fn push(&mut self, fact: Fact) -> Result<(), ConnectError> {
        self.facts.push(fact);
        if self.facts.len() >= Self::FACTS_MAX { self.flush().await } else { Ok(()) }
    }

    /// Sends on what is left. A batch that is dropped without this loses its rest.
    ///
    /// # Errors
    /// Those of [`Sink::accept`].
    pub async fn flush(&mut self) -> Result<(), ConnectError> {
        if self.facts.is_empty() {
            return Ok(());
        }
        let facts = std::mem::replace(&mut self.facts, Vec::with_capacity(Self::FACTS_MAX));
        self.sink.accept(facts).await
    }

    /// Passes a problem on.
    pub fn problem(&mut self, problem: Problem) {
        self.sink.problem(problem);
    }

    /// Passes progress on.
    pub fn progress(&mut self, done: u64, total: Option<u64>) {
        self.sink.progress(done, total);
    }
}
