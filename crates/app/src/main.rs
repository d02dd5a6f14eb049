//! The one binary: reads the command line, runs the command, and turns its end into an exit code.

mod commands;
mod config;
mod context;
mod diagnostic;
mod live_configuration;
mod logging;
mod output;
mod progress;
mod remote;
mod traces;

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;

/// A request makes many small things; with this allocator it answers with less work than with the system's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What a command found, as an exit code says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done, and nothing is outstanding.
    Clean,
    /// Done, and there is drift, a plan that is not empty, or an action that is not verified.
    Outstanding,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match commands::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) => {
            // Help that was asked for is no error; clap's own code for the rest is taken by "something is outstanding".
            let asked_for = !message.use_stderr();
            let _ = message.print();
            return if asked_for { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    };
    // One provider for every TLS connection of the process; a second install would be a mistake in this function.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let traces = match arguments.traces() {
        Ok(traces) => traces,
        Err(error) => {
            diagnostic::report(&error);
            return ExitCode::FAILURE;
        }
    };
    logging::begin(arguments.logging(), traces.as_ref());
    let ended = commands::run(arguments).await;
    if let Some(traces) = traces {
        traces.end().await;
    }
    match ended {
        Ok(Outcome::Clean) => ExitCode::SUCCESS,
        Ok(Outcome::Outstanding) => ExitCode::from(2),
        Err(error) => {
            // A reader that went away (`| head`) is not worth a message.
            if error
                .downcast_ref::<std::io::Error>()
                .is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
            {
                return ExitCode::SUCCESS;
            }
            diagnostic::report(&error);
            ExitCode::FAILURE
        }
    }
}
