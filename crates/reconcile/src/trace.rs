//! What is told of the loop as spans: which work it is, how long it took and how it ended. A span carries ids, verbs and
//! states; who somebody is, what a target said and secrets are in none.

use leasehold_model::id::SystemName;
use leasehold_model::plan::Verb;
use tracing::Span;
use tracing::field::Empty;

/// The target of every span that is made to be seen, by which it is told apart from lines of the log.
pub const SPANS: &str = "leasehold::trace";

/// One call, or a few that belong together, to a target system.
pub(crate) fn call(what: &str, system: &SystemName, verb: Verb) -> Span {
    tracing::info_span!(
        target: SPANS,
        "call",
        "otel.name" = format!("{what} {verb}"),
        "otel.kind" = "client",
        "otel.status_code" = Empty,
        "leasehold.system" = %system,
        "leasehold.verb" = %verb,
        "leasehold.outcome" = Empty,
    )
}

/// Notes how a span's work ended.
pub(crate) fn ended(span: &Span, outcome: &str, is_error: bool) {
    span.record("leasehold.outcome", outcome);
    if is_error {
        span.record("otel.status_code", "ERROR");
    }
}
