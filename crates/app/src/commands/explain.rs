//! `leasehold explain`: what an identity holds, why, and by which paths.

use anyhow::{Context as _, bail};
use leasehold_connect::settings::did_you_mean;
use leasehold_decide::correlate::Correlation;
use leasehold_decide::evaluate::Evaluation;
use leasehold_decide::explain::{Explained, explain, explain_account, who};
use leasehold_model::decision::{Because, Decision};
use leasehold_model::id::{EntitlementAddress, EntitlementName, IdentityKey};
use serde_json::{Value, json};

use crate::Outcome;
use crate::context::{Common, Context, parse_at};
use crate::output::{self, Tone, toned};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// An identity by its key, or an account as system:login
    identity: String,
    /// Only this entitlement, as system:kind/name
    entitlement: Option<EntitlementAddress>,
    /// As it stood then
    #[arg(long, value_name = "TIME", value_parser = parse_at)]
    at: Option<jiff::Timestamp>,
    /// Lists every path, also where there are more than 1,000; their number can grow exponentially with nested groups
    #[arg(long)]
    all_paths: bool,
}

impl Explain {
    /// Answers from what was last read.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let context = Context::open_to_read(common).await?;
        let loaded = context.load(self.at).await?;
        super::drift::require_read(&loaded.snapshot)?;
        let evaluation = loaded.evaluate()?;
        let mut items = find(&evaluation, &self.identity, super::paths_max(self.all_paths))?;
        if let Some(address) = &self.entitlement {
            if evaluation.entitlement(address).is_none() {
                bail!(
                    "there is no entitlement {address}; `leasehold explain {}` lists what is held",
                    self.identity
                );
            }
            items.retain(|item| item.system == address.system && item.entitlement == address.entitlement);
        }
        if context.json {
            let rows: Vec<Value> = items.iter().map(row).collect();
            output::json(&json!({"identity": self.identity, "at": loaded.now, "items": rows}))?;
        } else {
            self.show(&evaluation, &items)?;
        }
        let unjustified = items.iter().any(|item| item.decision == Decision::Unjustified);
        Ok(if unjustified { Outcome::Outstanding } else { Outcome::Clean })
    }

    fn show(&self, evaluation: &Evaluation<'_>, items: &[Explained]) -> anyhow::Result<()> {
        if let Some(identity) = evaluation.identity(&IdentityKey::from(self.identity.as_str())) {
            let identity = &evaluation.identities[identity.index()];
            let mut words =
                vec![identity.kind.as_str().to_owned(), identity.state.as_str().replace('_', " ")];
            words.extend(
                ["title", "department"].iter().filter_map(|name| identity.attribute(name)).map(str::to_owned),
            );
            output::line(format!(
                "{}  {}",
                toned(&identity.key, Tone::Strong),
                output::safe(words.join(", "))
            ))?;
        }
        match (&self.entitlement, items.is_empty()) {
            (Some(address), true) => output::line(format!("does not hold {address}"))?,
            (None, true) => output::line("holds nothing that was read")?,
            _ => {}
        }
        // What comes with every account buries what was given to this one; asked for by name, it is shown.
        let comes_with_every_account = |item: &&Explained| {
            let (system, entitlement) = (item.system.clone(), item.entitlement.clone());
            let index = evaluation.entitlement(&EntitlementAddress { system, entitlement });
            let observed = index.and_then(|index| evaluation.observed_entitlement(index));
            self.entitlement.is_none() && observed.is_some_and(|observed| observed.inherent)
        };
        let (common, own): (Vec<&Explained>, Vec<&Explained>) =
            items.iter().partition(comes_with_every_account);
        for item in own {
            let tone = match item.decision {
                Decision::Justified => Tone::Good,
                Decision::Unjustified => Tone::Bad,
                Decision::Undecided => Tone::Attention,
            };
            output::line(format!(
                "\n{}:{}  {}",
                item.system,
                output::safe(&item.entitlement),
                toned(item.decision.as_str(), tone)
            ))?;
            if let Some(options) = &item.options {
                output::line(format!("  with    {}", output::safe(options)))?;
            }
            for because in &item.because {
                output::line(format!("  because {}", output::safe(because)))?;
            }
            for path in &item.paths {
                let steps: Vec<String> = path.iter().map(EntitlementName::to_string).collect();
                output::line(format!(
                    "  by      {} → {}",
                    output::safe(&item.login),
                    output::safe(steps.join(" → "))
                ))?;
            }
            if item.more_paths {
                output::line(
                    "  by      further paths through the same direct grants; --all-paths lists them",
                )?;
            }
        }
        if !common.is_empty() {
            output::line(format!(
                "\nand {} that every account of its system has; --json lists them",
                output::count(common.len(), "entitlement")
            ))?;
        }
        if let Some(address) = &self.entitlement
            && let Some(entitlement) = evaluation.entitlement(address)
        {
            let others = who(evaluation, entitlement, 1).len().saturating_sub(items.len());
            output::line(format!("\n{others} other accounts hold it: `leasehold who {address}`"))?;
        }
        Ok(())
    }
}

fn find(evaluation: &Evaluation<'_>, name: &str, paths_max: usize) -> anyhow::Result<Vec<Explained>> {
    if let Some(identity) = evaluation.identity(&IdentityKey::from(name)) {
        return Ok(explain(evaluation, identity, paths_max));
    }
    let snapshot = evaluation.inputs.snapshot;
    if let Some((system, login)) = name.split_once(':') {
        let matching = (0u32..).zip(&snapshot.accounts).find(|(_, account)| {
            snapshot.system(account.system).as_str() == system
                && (account.account.login == login || account.account.key.as_str() == login)
        });
        let (position, _) =
            matching.with_context(|| format!("system `{system}` has no account `{login}`"))?;
        let mut items = explain_account(evaluation, evaluation.index_of(position), paths_max);
        // The same words as drift has: several identities are another question to a person than none.
        if let Correlation::Ambiguous { candidates, by } = &evaluation.correlation[position as usize] {
            let keys =
                candidates.iter().map(|candidate| evaluation.identities[*candidate as usize].key.clone());
            let because = vec![
                Because::Ambiguous { candidates: keys.collect() },
                Because::Fact { text: format!("by rule `{by}`") },
            ];
            items.iter_mut().for_each(|item| item.because.clone_from(&because));
        }
        return Ok(items);
    }
    let known: Vec<&str> = evaluation.identities.iter().map(|identity| identity.key.as_str()).collect();
    let near = if known.len() > 5_000 { String::new() } else { near(name, &known) };
    bail!(
        "there is no identity `{name}`{near}; identities are named by their key in the authoritative system, accounts as system:login"
    )
}

/// Only a near name is worth saying: the list of all identities is not.
fn near(name: &str, known: &[&str]) -> String {
    let words = did_you_mean(name, known);
    if words.contains("did you mean") { words } else { String::new() }
}

fn row(item: &Explained) -> Value {
    let path = |path: &Vec<EntitlementName>| {
        let steps = path.iter().map(EntitlementName::to_string);
        std::iter::once(item.login.clone()).chain(steps).collect::<Vec<_>>()
    };
    json!({
        "system": item.system,
        "account": item.login,
        "entitlement": item.entitlement,
        "direct": item.direct,
        "options": item.options,
        "decision": item.decision,
        "because": item.because.iter().map(Because::to_string).collect::<Vec<_>>(),
        "paths": item.paths.iter().map(path).collect::<Vec<_>>(),
        "more_paths": item.more_paths,
        "path_steps": item.path_steps,
    })
}
