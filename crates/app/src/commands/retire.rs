//! `leasehold retire`: the end of a service account, workload or agent in two phases, with a way back for what is not deleted yet.

use leasehold_model::id::IdentityKey;
use leasehold_reconcile::workflow::steward::{self, Word};
use serde_json::{Value, json};

use super::offboard::named_actor;
use crate::Outcome;
use crate::context::{Common, Context};
use crate::output;
use crate::remote::Remote;

/// Arguments of `retire`.
#[derive(Debug, clap::Args)]
pub struct Retire {
    /// What: the key of a service account, workload or agent; or, to end the scheduled jobs that they left, of somebody who has left
    non_human: String,
    /// It is needed after all: what was stopped is brought back
    #[arg(long, conflicts_with = "end")]
    back: bool,
    /// End it for good now, without watching it any longer
    #[arg(long)]
    end: bool,
}

impl Retire {
    /// Records what is said, here or at a server.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let about = IdentityKey::from(self.non_human.trim());
        let (word, state) = match (self.back, self.end) {
            (true, _) => (Word::BringBack, "brought_back"),
            (_, true) => (Word::End, "ended"),
            _ => (Word::Stop, "stopped"),
        };
        let document = match Remote::of(common)? {
            Some(remote) => {
                let path = ["identities", about.as_str(), "retirement"];
                match word {
                    Word::BringBack => remote.delete::<Value>(&path).await?,
                    _ => remote.put(&path, json!({ "end": word == Word::End })).await?,
                }
            }
            None => json!({"identity": say(common, &about, &word).await?, "state": state}),
        };
        if common.json {
            output::json(&document)?;
            return Ok(Outcome::Clean);
        }
        let key = output::safe(document["identity"].as_str().unwrap_or_default()).to_string();
        output::line(match word {
            Word::BringBack => format!(
                "{key} is needed after all: what was stopped is missing now, and a plan brings it back"
            ),
            Word::End => format!(
                "{key} ends for good: what it holds is drift now, and a plan takes it away; `leasehold retire {key} --back` takes that \
                 back, but brings nothing back that was deleted"
            ),
            _ => format!(
                "{key} is stopped: its log-ins and keys are drift now, and a plan stops them; `leasehold retire {key} --back` brings \
                 it back, `--end` ends it for good"
            ),
        })?;
        output::line(
            "`leasehold plan` shows what follows; a running server closes it where the policy allows",
        )?;
        Ok(Outcome::Clean)
    }
}

/// Records what a person says about a non-human, on the machine of the store; gives its key.
pub async fn say(common: &Common, about: &IdentityKey, word: &Word) -> anyhow::Result<IdentityKey> {
    let (context, by) = (Context::open_to_change(common).await?, named_actor()?);
    let loaded = context.load(None).await?;
    let said = steward::say(&context.store, &loaded, about, word, &by, context.now()).await;
    let key = said.map_err(|refusal| anyhow::anyhow!("{refusal}; nothing was changed"))?;
    context.publish().await?;
    Ok(key)
}
