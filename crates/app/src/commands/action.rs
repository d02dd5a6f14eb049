//! `leasehold action list`: actions by state, above all those that wait for a person.

use leasehold_model::action::ActionState;
use leasehold_model::receipt::ActionReceipt;
use leasehold_store::ActionRow;

use super::apply;
use crate::Outcome;
use crate::context::{Common, Context};
use crate::output;
use crate::remote::{Nothing, Remote};

/// Arguments of `action`.
#[derive(Debug, clap::Args)]
pub struct ActionCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List actions of every plan
    List {
        /// Only those in this state
        #[arg(long, value_name = "STATE", value_parser = parse_state)]
        state: Option<ActionState>,
    },
}

fn parse_state(text: &str) -> Result<ActionState, String> {
    ActionState::parse(text).ok_or_else(|| {
        let known: Vec<&str> = ActionState::ALL.iter().map(|state| state.as_str()).collect();
        format!("states are {}", known.join(", "))
    })
}

impl ActionCommand {
    /// Lists; what is stuck, or not yet final, counts as outstanding.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let What::List { state } = self.what;
        let receipts = match Remote::of(common)? {
            Some(remote) => ask(&remote, state).await?,
            None => read(&Context::open_to_read(common).await?, state).await?,
        };
        if common.json {
            output::json(&apply::document(&receipts))?;
        } else {
            apply::show(&receipts, true)?;
        }
        Ok(if receipts.iter().all(ActionReceipt::is_done) { Outcome::Clean } else { Outcome::Outstanding })
    }
}

async fn read(context: &Context, state: Option<ActionState>) -> anyhow::Result<Vec<ActionReceipt>> {
    let rows: Vec<ActionRow> = match state {
        Some(ActionState::Stuck) => context.store.stuck_actions().await?,
        _ => context.store.all_actions().await?,
    };
    let wanted = |row: &&ActionRow| state.is_none_or(|state| row.state == state);
    Ok(rows.iter().filter(wanted).map(ActionReceipt::from).collect())
}

async fn ask(remote: &Remote, state: Option<ActionState>) -> anyhow::Result<Vec<ActionReceipt>> {
    let state: Vec<(&str, String)> =
        state.map(|state| ("state", state.as_str().to_owned())).into_iter().collect();
    let (receipts, Nothing {}) = remote.list(&["actions"], &state).await?;
    Ok(receipts)
}
