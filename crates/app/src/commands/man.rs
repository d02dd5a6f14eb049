//! `leasehold man`: manual pages, one a command.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::{Outcome, output};

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct Man {
    /// The folder to write to
    #[arg(default_value = "man", value_name = "FOLDER")]
    folder: PathBuf,
}

impl Man {
    /// Writes the pages.
    pub fn run(self) -> anyhow::Result<Outcome> {
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make the folder {}", self.folder.display()))?;
        clap_mangen::generate_to(super::Arguments::command(), &self.folder)
            .with_context(|| format!("cannot write to {}", self.folder.display()))?;
        output::line(format!(
            "manual pages are in {}; read one with `man -l {0}/leasehold.1`",
            self.folder.display()
        ))?;
        Ok(Outcome::Clean)
    }
}
