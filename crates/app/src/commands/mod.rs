//! The command line: one file a command, one line each here.

mod action;
mod apply;
mod baseline;
mod completions;
mod connector;
mod credential;
mod demo;
mod drift;
mod explain;
mod init;
mod ledger;
mod login;
mod man;
mod offboard;
mod plan;
mod policy;
mod receipt;
mod retire;
mod serve;
mod successor;
mod sync;
mod token;
mod user;
mod who;

use clap::{Parser, Subcommand};
use leasehold_decide::path::Carriers;

use crate::Outcome;
use crate::context::Common;
use crate::logging::{self, Logging};
use crate::remote::Remote;
use crate::traces::Traces;

/// Access is leasehold: it is held for a reason, and when the reason ends it reverts.
///
/// Leasehold reads who can reach what, compares it with what somebody can still justify, removes the difference,
/// and proves that it is gone. Start with `leasehold demo`.
#[derive(Debug, Parser)]
#[command(name = "leasehold", version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// How many paths an answer lists.
fn paths_max(all: bool) -> usize {
    if all { usize::MAX } else { Carriers::PATHS_MAX }
}

/// A server lists the first paths of each entitlement: listing every one could cost it more than it has.
fn refuse_all_paths(all: bool) -> anyhow::Result<()> {
    anyhow::ensure!(
        !all,
        "a server lists at most {} paths of each entitlement; `path_steps` of --json holds every step of all of them, and \
         --all-paths works on the machine that has the store",
        Carriers::PATHS_MAX
    );
    Ok(())
}

const EXIT_CODES: &str = "Exit codes: 0 done and nothing outstanding; 1 error; 2 there is drift, a plan is not empty, or an action is not verified.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Build a practice company in a folder of its own and watch it, or run the whole loop on it once
    Demo(demo::Demo),
    /// Write leasehold.toml and a policy folder
    Init(init::Init),
    /// Watch every system, close what policy allows, and answer people and programs, until told to stop
    Serve(serve::Serve),
    /// Read systems now
    Sync(sync::Sync),
    /// Show where what is there differs from what is justified
    Drift(drift::Drift),
    /// Show what an identity holds, why, and by which paths
    Explain(explain::Explain),
    /// Show who holds an entitlement, and by which paths
    Who(who::Who),
    /// Show what would be changed, for whom, and what is left alone and why
    Plan(plan::PlanCommand),
    /// Carry out a plan, read everything back, and print the receipts
    Apply(apply::Apply),
    /// Check, compare and apply the policy
    Policy(policy::PolicyCommand),
    /// Give access that is already there a reason that ends
    Baseline(baseline::BaselineCommand),
    /// End everything that somebody holds, read it back, and write the receipt
    Offboard(offboard::Offboard),
    /// Write the receipt of somebody's offboarding, whoever or whatever began it
    Receipt(receipt::Receipt),
    /// Say who answers for a service account, workload or agent from now on, or who takes over the scheduled jobs of a leaver
    Successor(successor::Successor),
    /// Stop a service account, workload or agent, watch it for use, bring it back, or end it
    Retire(retire::Retire),
    /// List actions, such as those that are stuck
    Action(action::ActionCommand),
    /// Make links by which people get new credentials, and replace credentials
    Credential(credential::CredentialCommand),
    /// List connectors, test systems, show capabilities
    Connector(connector::ConnectorCommand),
    /// Verify the log, and prove entries to somebody who does not trust us
    Ledger(ledger::LedgerCommand),
    /// Get a token of a server, by a browser on this machine or another
    Login(login::Login),
    /// End the token of a server, and forget it
    Logout(login::Logout),
    /// Make, list and end the tokens by which scripts use the API
    Token(token::TokenCommand),
    /// Make and list users of the server, and links by which they sign in
    User(user::UserCommand),
    /// Print a completion script for a shell
    Completions(completions::Completions),
    /// Write manual pages
    Man(man::Man),
}

impl Arguments {
    /// How the command tells what it does.
    pub fn logging(&self) -> Logging {
        match &self.command {
            Command::Serve(serve) => serve.logging(),
            Command::Demo(demo) => demo.logging(),
            _ => logging::COMMANDS,
        }
    }

    /// Where the command sends its spans; nowhere unless it is a server that was told so.
    ///
    /// # Errors
    /// Where that cannot be used.
    pub fn traces(&self) -> anyhow::Result<Option<Traces>> {
        match &self.command {
            Command::Serve(_) => {
                // Before anything is read: whoever meant a server has no configuration here.
                self.refuse_server()?;
                serve::traces(&self.common)
            }
            _ => Ok(None),
        }
    }

    /// Refuses what makes or runs an installation on this machine where a server is named. A variable that is set for the
    /// other commands is no mistake of theirs.
    fn refuse_server(&self) -> anyhow::Result<()> {
        let name = match self.command {
            Command::Demo(_) => "demo",
            Command::Init(_) => "init",
            Command::Serve(_) => "serve",
            _ => return Ok(()),
        };
        if self.common.server.is_none() {
            return Ok(());
        }
        Remote::refuse(&self.common, name, "it makes or runs an installation on this machine")
    }
}

/// Runs the command.
///
/// # Errors
/// Whatever keeps the command from being done.
pub async fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    arguments.refuse_server()?;
    let common = arguments.common;
    match arguments.command {
        Command::Demo(command) => command.run(&common).await,
        Command::Init(command) => command.run(&common),
        Command::Serve(command) => command.run(&common).await,
        Command::Sync(command) => command.run(&common).await,
        Command::Drift(command) => command.run(&common).await,
        Command::Explain(command) => command.run(&common).await,
        Command::Who(command) => command.run(&common).await,
        Command::Plan(command) => command.run(&common).await,
        Command::Apply(command) => command.run(&common).await,
        Command::Policy(command) => command.run(&common).await,
        Command::Baseline(command) => command.run(&common).await,
        Command::Offboard(command) => command.run(&common).await,
        Command::Receipt(command) => command.run(&common).await,
        Command::Successor(command) => command.run(&common).await,
        Command::Retire(command) => command.run(&common).await,
        Command::Action(command) => command.run(&common).await,
        Command::Credential(command) => command.run(&common).await,
        Command::Connector(command) => command.run(&common).await,
        Command::Ledger(command) => command.run(&common).await,
        Command::Login(command) => command.run(&common).await,
        Command::Logout(command) => command.run(&common).await,
        Command::Token(command) => command.run(&common).await,
        Command::User(command) => command.run(&common).await,
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    }
}
