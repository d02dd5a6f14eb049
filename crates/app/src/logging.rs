//! What the program tells about itself while it works: on standard error, as text or as one JSON object a line.

use tracing_subscriber::EnvFilter;

use crate::output;

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
pub fn begin(logging: Logging) {
    let filter = EnvFilter::try_from_env("LEASEHOLD_LOG").unwrap_or_else(|_| logging.filter.into());
    let told = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match logging.format {
        LogFormat::Text => told.with_ansi(output::colour_on_stderr()).init(),
        LogFormat::Json => told.json().flatten_event(true).init(),
    }
}
