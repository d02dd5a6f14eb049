//! Observe: one enumeration of one system, from the connector into the store.

use async_trait::async_trait;
use leasehold_connect::connector::Sink;
use leasehold_connect::error::ConnectError;
use leasehold_model::fact::{Completeness, Fact, FeedEnd, Problem};
use leasehold_store::{EpochReport, EpochWriter, FeedCut, Loss, Store};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use crate::error::ReconcileError;
use crate::pace::Pace;
use crate::stages::pushed;
use crate::system::System;
use crate::trace::{self, SPANS};

/// How far an enumeration is: facts so far, and the connector's own count with its total where it is known.
pub type Progress<'progress> = &'progress mut (dyn FnMut(u64, u64, Option<u64>) + Send);

/// Options of one enumeration.
#[derive(Debug, Clone, Copy, Default)]
pub struct Observe {
    /// A person says that what is gone is really gone: an answer with nothing in it, or with much less than before.
    pub accept_loss: bool,
}

/// How an enumeration ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// What it counted for.
    pub report: EpochReport,
    /// Why the system could not be read, where it broke off with an error instead of an answer.
    pub failed: Option<String>,
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
) -> Result<Observed, ReconcileError> {
    let span = tracing::info_span!(
        target: SPANS,
        "observe",
        "otel.status_code" = Empty,
        "leasehold.system" = %system.name,
        "leasehold.facts" = Empty,
        "leasehold.outcome" = Empty,
    );
    read(store, system, clock, options, progress).instrument(span).await
}

async fn read(
    store: &Store,
    system: &System,
    clock: &dyn Pace,
    options: Observe,
    progress: Progress<'_>,
) -> Result<Observed, ReconcileError> {
    let writer = store.begin_epoch(&system.name, clock.now()).await?;
    let mut sink = StoreSink { writer, facts: 0, done: 0, total: None, progress };
    if options.accept_loss {
        sink.writer.take_unknown_states_as_active();
    }
    let enumerating = tracing::info_span!(
        target: SPANS,
        "enumerate",
        "otel.kind" = "client",
        "leasehold.system" = %system.name,
    );
    let mut change = None;
    let answer = match system.connector.pushed() {
        None => system.connector.enumerate(&mut sink).instrument(enumerating).await,
        Some(pushed) => {
            let told =
                pushed::enumerate(store, &system.name, pushed, &mut sink).instrument(enumerating).await;
            told.map(|(completeness, newest)| {
                change = Some(newest);
                completeness
            })
        }
    };
    let facts = sink.facts;
    about_states(system, &mut sink.writer);
    let failed = match &answer {
        Err(error) if !matches!(error, ConnectError::Sink(_)) => Some(error.to_string()),
        _ => None,
    };
    let completeness = match answer {
        Ok(completeness) if change == Some(0) && facts == 0 => nothing_pushed(completeness, system),
        Ok(completeness) => about_nothing(completeness, facts, options),
        Err(ConnectError::Sink(message)) => {
            Completeness::Partial { why: format!("the facts could not be stored: {message}") }
        }
        Err(error) => Completeness::Partial { why: error.to_string() },
    };
    let comparing = tracing::info_span!(target: SPANS, "compare with the reading before");
    let completeness =
        about_loss(completeness, system, &mut sink.writer, options).instrument(comparing).await?;
    let span = Span::current();
    span.record("leasehold.facts", i64::try_from(facts).unwrap_or(i64::MAX));
    trace::ended(&span, completeness.as_str(), failed.is_some());
    tracing::info!(system = %system.name, facts, completeness = completeness.as_str(), "enumerated");
    let finishing = tracing::info_span!(target: SPANS, "end the epoch");
    let report = sink.writer.finish(completeness, clock.now()).instrument(finishing).await?;
    if let Some(change) = change {
        store.pushes_read(&system.name, change, clock.now()).await?;
    }
    Ok(Observed { report, failed })
}

/// A system that pushes and has not begun to: that proves nothing about what is in it.
fn nothing_pushed(completeness: Completeness, system: &System) -> Completeness {
    match completeness {
        Completeness::Complete { .. } => Completeness::Partial {
            why: format!(
                "nothing was pushed yet; give the identity provider the address `/scim/v2` of this server and a token of \
                 `leasehold token create --scope scim --system {}`",
                system.name
            ),
        },
        partial => partial,
    }
}

/// An empty answer is how a broken source looks (FIELD 26), and now and then the truth (FIELD 27): a person decides.
fn about_nothing(completeness: Completeness, facts: u64, options: Observe) -> Completeness {
    match completeness {
        other if facts > 0 => other,
        Completeness::Complete { .. } if options.accept_loss => {
            Completeness::Complete { evidence: "empty, and accepted as empty by a person".to_owned() }
        }
        Completeness::Complete { .. } => Completeness::Partial {
            why: "the system answered with nothing; if it is really empty, run `leasehold sync SYSTEM --accept-loss`"
                .to_owned(),
        },
        partial => partial,
    }
}

/// A feed that was cut, a filter that was mistyped, a folder that became invisible: they answer without an error and with
/// much less than before. A person says whether that is so (law 3); until then it is a partial reading.
async fn about_loss(
    completeness: Completeness,
    system: &System,
    writer: &mut EpochWriter,
    options: Observe,
) -> Result<Completeness, ReconcileError> {
    if !completeness.is_complete() {
        return Ok(completeness);
    }
    if writer.left_out() > 0 {
        let why = format!(
            "{} facts could not be held, and what they were about may be there still; `leasehold sync {} --problems` lists them",
            writer.left_out(),
            system.name
        );
        return Ok(Completeness::Partial { why });
    }
    if options.accept_loss {
        return Ok(completeness);
    }
    if let Some(cut) = writer.feed_cut().await? {
        let how = match cut {
            FeedCut::InRow => {
                writer.disregard_last_row();
                "the last row of the file has no line break and the file said something else there before, so it may be cut".to_owned()
            }
            FeedCut::BetweenRows { missing } => format!(
                "the file ends earlier than it did, as a file that was cut does: its last row of before is missing, of {missing} \
                 in all"
            ),
        };
        return Ok(Completeness::Partial { why: unless_accepted(&how, system) });
    }
    let losses = writer.losses().await?;
    let too_much = [
        ("identities", losses.identities, LossLimit { share: 0.25, count: 4, all_of: 2 }),
        ("accounts", losses.accounts, LossLimit { share: 0.5, count: 10, all_of: 2 }),
        ("entitlements", losses.entitlements, LossLimit { share: 0.5, count: 10, all_of: 2 }),
        ("grants", losses.grants, LossLimit { share: 1.0, count: u64::MAX, all_of: 5 }),
    ]
    .into_iter()
    .filter(|(_, loss, limit)| limit.is_passed(*loss))
    .map(|(what, loss, _)| format!("{} of {} {what}", loss.gone, loss.before))
    .collect::<Vec<_>>();
    if too_much.is_empty() {
        return Ok(completeness);
    }
    let how = format!(
        "{} that were there before were not told, which looks like a broken source",
        too_much.join(" and ")
    );
    Ok(Completeness::Partial { why: unless_accepted(&how, system) })
}

/// A status column that was lost, or whose words are others, brings nobody back who has left; a person says whether it does.
fn about_states(system: &System, writer: &mut EpochWriter) {
    let kept = writer.states_kept();
    if kept > 0 {
        let message = format!(
            "{kept} of those who are listed were not active and have no status now that is known, so what was told before counts \
             on; name their column in `columns.status` and mend its words, or, if they are active, run `leasehold sync {} \
             --accept-loss`",
            system.name
        );
        writer.problem(Problem::new("status", message));
    }
    let kept = writer.dates_kept();
    if kept > 0 {
        let message = format!(
            "{kept} of those who are listed had a first or last day and have none now that can be read, so what was told before \
             counts on; name their columns in `columns.start_date` and `columns.end_date` and mend the days, leave a day empty where \
             there is none, or, if there are none any more, run `leasehold sync {} --accept-loss`",
            system.name
        );
        writer.problem(Problem::new("start_date, end_date", message));
    }
}

fn unless_accepted(how: &str, system: &System) -> String {
    format!(
        "{how}; nothing was ended; if it is the truth, run `leasehold sync {} --accept-loss`",
        system.name
    )
}

/// From when on a loss is not taken for the truth.
struct LossLimit {
    /// This share or more …
    share: f64,
    /// … and at least so many;
    count: u64,
    /// or everything, where there were at least so many.
    all_of: u64,
}

impl LossLimit {
    fn is_passed(&self, loss: Loss) -> bool {
        let much = loss.gone >= self.count && loss.gone as f64 >= self.share * loss.before as f64;
        much || (loss.gone == loss.before && loss.before >= self.all_of)
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

    fn feed_ended(&mut self, end: FeedEnd) -> Result<(), ConnectError> {
        self.writer.feed_ended(&end).map_err(|error| ConnectError::Sink(error.to_string()))
    }

    fn progress(&mut self, done: u64, total: Option<u64>) {
        (self.done, self.total) = (done, total);
        (self.progress)(self.facts, done, total);
    }
}
