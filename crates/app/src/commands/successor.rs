//! `leasehold successor`: somebody answers for a service account, workload or agent from now on, or takes over the scheduled jobs of
//! somebody who has left.

use leasehold_model::id::IdentityKey;
use leasehold_reconcile::workflow::steward::Word;
use serde_json::{Value, json};

use super::retire;
use crate::Outcome;
use crate::context::Common;
use crate::output;
use crate::remote::Remote;

/// Arguments of `successor`.
#[derive(Debug, clap::Args)]
pub struct Successor {
    /// What: the key of a service account, workload or agent; or of somebody who has left, whose scheduled jobs then run as the other's account
    non_human: String,
    /// Who answers for it: the primary key in the people feed, usually a mail address
    owner: String,
}

impl Successor {
    /// Records who answers for it, here or at a server.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let about = IdentityKey::from(self.non_human.trim());
        let owner = IdentityKey::from(self.owner.trim());
        let document = match Remote::of(common)? {
            Some(remote) => {
                let body = json!({ "owner": owner });
                remote.put::<Value>(&["identities", about.as_str(), "owner"], body).await?
            }
            None => {
                let key = retire::say(common, &about, &Word::TakeOver(owner.clone())).await?;
                json!({"identity": key, "owner": owner})
            }
        };
        if common.json {
            output::json(&document)?;
        } else {
            let text = |name: &str| output::safe(document[name].as_str().unwrap_or_default()).to_string();
            output::line(format!("{} answers for {} from now on", text("owner"), text("identity")))?;
            for why in document["left_alone"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                output::line(format!("  not handed over: {}", output::safe(why)))?;
            }
            output::line(format!("`leasehold plan --identity {}` shows what follows", text("identity")))?;
        }
        Ok(Outcome::Clean)
    }
}
