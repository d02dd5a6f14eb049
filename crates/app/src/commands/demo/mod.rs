//! `leasehold demo`: a practice company in a folder of its own; a server that watches it, or the whole loop once.

mod company;
mod living;
mod once;

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::Outcome;
use crate::context::{Common, Context};
use crate::logging::{self, Logging};

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Another seed makes another company
    #[arg(long, default_value_t = 7, value_name = "N")]
    seed: u64,
    /// How many people the company has
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u64).range(24..=100_000))]
    people: u64,
    /// Keep the company of an earlier run and go on with it
    #[arg(long)]
    keep: bool,
    /// Run the loop once, explain each step, and end
    #[arg(long)]
    once: bool,
    /// Where the server listens; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8420", conflicts_with = "once")]
    listen: SocketAddr,
    /// Seconds between two things that happen in the company; 0 lets nothing happen
    #[arg(long, value_name = "SECONDS", default_value_t = 20, conflicts_with = "once")]
    pace: u64,
    /// The folder to use
    #[arg(long, default_value = "leasehold-demo", value_name = "FOLDER")]
    folder: PathBuf,
    /// Held while the demo runs, so that no other one removes its folder.
    #[arg(skip)]
    lock: Option<std::fs::File>,
}

impl Demo {
    /// A demo shows what happens in the company, and not what the server tells its operators.
    pub fn logging(&self) -> Logging {
        logging::COMMANDS
    }

    /// Builds the company and watches it, or runs the loop on it once.
    pub async fn run(mut self, common: &Common) -> anyhow::Result<Outcome> {
        // A server has nothing to print as JSON.
        self.once |= common.json;
        self.prepare()?;
        let common = Common { config: self.folder.join(crate::config::FILE_NAME), ..common.clone() };
        let context = Context::open_to_change(&common).await?;
        if self.once { self.run_once(context).await } else { self.watch(context).await }
    }
}
