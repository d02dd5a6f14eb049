//! Observe: one enumeration of one system, from the connector into the store.

use async_trait::async_trait;
use leasehold_connect::connector::Sink;
use leasehold_connect::error::ConnectError;
use leasehold_model::fact::{Completeness, Fact, Problem};
use leasehold_store::{EpochReport, EpochWriter, Store};

use crate::error::ReconcileError;
use crate::pace::Pace;
use crate::system::System;

/// How far an enumeration is: facts so far, and the connector's own count with its total where it is known.
pub type Progress<'progress> = &'progress mut (dyn FnMut(u64, u64, Option<u64>) + Send);

/// Options of one enumeration.
#[derive(Debug, Clone, Copy, Default)]
pub struct Observe {
    /// A person says that an answer with nothing in it is the truth.
    pub accept_empty: bool,
}

/// Reads a system once.
///
/// What the connector could not prove, or broke off with an error, counts as partial: facts are kept and nothing is
/// ended (law 3). An answer with nothing in it is partial too unless a person accepts it.
///
/// # Errors
/// Only where the store fails.
pub async fn observe(
    store: &Store,
    system: &System,
    clock: &dyn Pace,
    options: Observe,
    progress: Progress<'_>,
) -> Result<EpochReport, ReconcileError> {
    let writer = store.begin_epoch(&system.name, clock.now()).await?;
    let mut sink = StoreSink { writer, facts: 0, done: 0, total: None, progress };
    let answer = system.connector.enumerate(&mut sink).await;
    let facts = sink.facts;
    let completeness = match answer {
        Ok(completeness) => about_nothing(completeness, facts, options),
        Err(ConnectError::Sink(message)) => {
            Completeness::Partial { why: format!("the facts could not be stored: {message}") }
        }
        Err(error) => Completeness::Partial { why: error.to_string() },
    };
    tracing::info!(system = %system.name, facts, completeness = completeness.as_str(), "enumerated");
    Ok(sink.writer.finish(completeness, clock.now()).await?)
}

/// An empty answer is how a broken source looks (FIELD 26), and now and then the truth (FIELD 27): a person decides.
fn about_nothing(completeness: Completeness, facts: u64, options: Observe) -> Completeness {
    match completeness {
        other if facts > 0 => other,
        _ if options.accept_empty => {
            Completeness::Complete { evidence: "empty, and accepted as empty by a person".to_owned() }
        }
        Completeness::Complete { .. } => Completeness::Partial {
            why: "the system answered with nothing; if it is really empty, run `leasehold sync SYSTEM --accept-empty`"
                .to_owned(),
        },
        partial => partial,
    }
}

struct StoreSink<'progress> {
    writer: EpochWriter,
    facts: u64,
    done: u64,
    total: Option<u64>,
    progress: Progress<'progress>,
}

#[async_trait]
impl Sink for StoreSink<'_> {
    async fn accept(&mut self, facts: Vec<Fact>) -> Result<(), ConnectError> {
        self.facts += facts.len() as u64;
        self.writer.accept(facts).await.map_err(|error| ConnectError::Sink(error.to_string()))?;
        (self.progress)(self.facts, self.done, self.total);
        Ok(())
    }

    fn problem(&mut self, problem: Problem) {
        self.writer.problem(problem);
    }

    fn progress(&mut self, done: u64, total: Option<u64>) {
        (self.done, self.total) = (done, total);
        (self.progress)(self.facts, done, total);
    }
}
