//! What the program tells about itself while it works: on standard error, as text or as one JSON object a line.

use leasehold_reconcile::trace::SPANS;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::output;
use crate::traces::Traces;

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object a line, for programs
    Json,
}

/// How much is told, and in which form.
#[derive(Debug, Clone, Copy)]
pub struct Logging {
    /// What is told where `LEASEHOLD_LOG` says nothing.
    pub filter: &'static str,
    /// In which form.
    pub format: LogFormat,
}

/// What the database driver finds worth a warning, such as a slow statement with its SQL, is not for operators.
pub const COMMANDS: Logging = Logging { filter: "warn,sqlx=error", format: LogFormat::Text };

/// A server tells of every task.
pub const SERVER_FILTER: &str = "info,sqlx=error";

/// Begins to tell. Called once.
pub fn begin(logging: Logging, traces: Option<&Traces>) {
    subscriber(logging, traces).init();
}

fn subscriber(logging: Logging, traces: Option<&Traces>) -> Box<dyn Subscriber + Send + Sync> {
    let filter = EnvFilter::try_from_env("LEASEHOLD_LOG").unwrap_or_else(|_| logging.filter.into());
    // Spans are for the collector; a line of the log names its trace.
    let filter = filter.and(filter_fn(|metadata| metadata.target() != SPANS));
    let told = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let told = match logging.format {
        LogFormat::Text => told.with_ansi(output::colour_on_stderr()).boxed(),
        LogFormat::Json => told
            .fmt_fields(JsonFields::new())
            .event_format(Traced(tracing_subscriber::fmt::format().json().flatten_event(true)))
            .boxed(),
    };
    let told = tracing_subscriber::registry().with(told.with_filter(filter));
    // A layer that is absent would have every span made all the same, for nobody.
    match traces {
        Some(traces) => Box::new(told.with(traces.layer())),
        None => Box::new(told),
    }
}

/// One JSON object a line, with the trace and span within which it was told, where there are any.
struct Traced<Format>(Format);

impl<S, Fields, Format> FormatEvent<S, Fields> for Traced<Format>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    Fields: for<'writer> FormatFields<'writer> + 'static,
    Format: FormatEvent<S, Fields>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, Fields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let present = Context::current();
        let span = present.span().span_context().clone();
        if !span.is_valid() {
            return self.0.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let object = line.trim_end();
        match object.strip_suffix('}') {
            Some(open) => writeln!(
                writer,
                "{open},\"trace_id\":\"{}\",\"span_id\":\"{}\"}}",
                span.trace_id(),
                span.span_id()
            ),
            None => writeln!(writer, "{object}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_span_is_made_that_nobody_collects() {
        let server = Logging { filter: "trace", format: LogFormat::Text };
        tracing::subscriber::with_default(subscriber(server, None), || {
            assert!(!tracing::span_enabled!(target: SPANS, tracing::Level::INFO));
            assert!(tracing::span_enabled!(tracing::Level::INFO), "what is told is told");
        });
    }
}
