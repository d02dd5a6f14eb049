//! `leasehold action list`: actions by state, above all those that wait for a person.

use leasehold_model::action::ActionState;
use leasehold_store::ActionRow;

use crate::Outcome;
use crate::context::{Common, Context};
use crate::output;

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
        let context = Context::open_to_read(common).await?;
        let What::List { state } = self.what;
        let rows: Vec<ActionRow> = match state {
            Some(ActionState::Stuck) => context.store.stuck_actions().await?,
            _ => context
                .store
                .all_actions()
                .await?
                .into_iter()
                .filter(|row| state.is_none_or(|state| row.state == state))
                .collect(),
        };
        if context.json {
            output::json(&super::apply::document(&rows))?;
        } else {
            super::apply::show(&rows, true)?;
        }
        let done = |row: &ActionRow| matches!(row.state, ActionState::Verified | ActionState::Void);
        Ok(if rows.iter().all(done) { Outcome::Clean } else { Outcome::Outstanding })
    }
}
