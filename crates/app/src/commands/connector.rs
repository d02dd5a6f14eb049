//! `leasehold connector`: which connectors there are, whether the configured systems answer, what each can do.

use std::collections::BTreeMap;

use leasehold_connect::registry;
use leasehold_model::capability::{Capabilities, Capability};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Outcome;
use crate::context::{Common, Context};
use crate::output::{self, Tone, row, toned};
use crate::progress::Progress;
use crate::remote::Remote;

/// Arguments of `connector`.
#[derive(Debug, clap::Args)]
pub struct ConnectorCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List the kinds of connectors
    List,
    /// Reach and log in to the configured systems, changing nothing
    Test {
        /// Only these systems
        #[arg(value_name = "SYSTEM")]
        systems: Vec<String>,
    },
    /// Show what a kind of connector, or a configured system, can do
    Capabilities {
        /// A kind of connector or a configured system; all kinds where none is given
        name: Option<String>,
        /// Print the page of the documentation
        #[arg(long)]
        markdown: bool,
    },
}

impl ConnectorCommand {
    /// Lists, tests or shows.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        match self.what {
            What::List => list(common.json),
            What::Test { systems } => {
                Remote::refuse(common, "connector test", "it reaches the systems from where it runs")?;
                test(&Context::open_to_read(common).await?, &systems).await
            }
            What::Capabilities { markdown: true, .. } => {
                output::line(registry::capabilities_markdown().trim_end())?;
                Ok(Outcome::Clean)
            }
            What::Capabilities { name: None, .. } => {
                let rows: Vec<(String, Vec<Ability>)> = registry::KINDS
                    .iter()
                    .map(|kind| (kind.name().to_owned(), abilities(kind.capabilities())))
                    .collect();
                capabilities(common.json, &rows)
            }
            What::Capabilities { name: Some(name), .. } => {
                let of = match (registry::find(&name), Remote::of(common)?) {
                    (Some(kind), _) => abilities(kind.capabilities()),
                    (None, Some(remote)) => ask(&remote, &name).await?,
                    (None, None) => {
                        let context = Context::open_to_read(common).await?;
                        abilities(context.system(&name)?.connect()?.connector.capabilities())
                    }
                };
                capabilities(common.json, &[(name, of)])
            }
        }
    }
}

/// What can be done, or not.
struct Ability {
    name: String,
    told: Told,
}

/// What is said of it.
#[derive(Serialize, Deserialize)]
struct Told {
    supported: bool,
    note: String,
}

fn abilities(of: Capabilities) -> Vec<Ability> {
    let ability = |(name, capability): (&str, Capability)| {
        let told = Told { supported: capability.supported, note: capability.note.to_owned() };
        Ability { name: name.to_owned(), told }
    };
    of.rows().into_iter().map(ability).collect()
}

/// What a system of the server can do, in the order of the documentation.
async fn ask(remote: &Remote, system: &str) -> anyhow::Result<Vec<Ability>> {
    #[derive(Deserialize)]
    struct Face {
        capabilities: BTreeMap<String, Told>,
    }
    let Face { mut capabilities } = remote.get(&["systems", system], &[]).await?;
    let known = Capabilities::NONE.rows();
    let mut told: Vec<Ability> = known
        .iter()
        .filter_map(|(name, _)| Some(Ability { name: (*name).to_owned(), told: capabilities.remove(*name)? }))
        .collect();
    told.extend(capabilities.into_iter().map(|(name, told)| Ability { name, told }));
    Ok(told)
}

fn list(json: bool) -> anyhow::Result<Outcome> {
    if json {
        let rows: Vec<Value> = registry::KINDS
            .iter()
            .map(|kind| json!({"connector": kind.name(), "summary": kind.summary(), "capabilities": kind.capabilities()}))
            .collect();
        output::json(&json!({"items": rows, "summary": {"total": rows.len()}}))?;
    } else {
        for kind in registry::KINDS {
            output::line(format!("{:<10} {}", toned(kind.name(), Tone::Strong), kind.summary()))?;
        }
    }
    Ok(Outcome::Clean)
}

async fn test(context: &Context, names: &[String]) -> anyhow::Result<Outcome> {
    let systems = context.connect(names)?;
    let mut rows: Vec<Value> = Vec::new();
    let mut failed = 0;
    for system in systems {
        let progress = Progress::new(format!("testing {}", system.name));
        let result = system.connector.test().await;
        drop(progress);
        match result {
            Ok(report) => {
                if !context.json {
                    // A file is read without any log-in.
                    let acting =
                        report.acting_as.as_deref().map(|login| format!(", as {}", output::safe(login)));
                    output::line(format!(
                        "{:<16} {}  {}{}",
                        system.name.as_str(),
                        toned("reached", Tone::Good),
                        output::safe(&report.target),
                        acting.unwrap_or_default()
                    ))?;
                    for right in &report.missing_rights {
                        output::line(format!("{:<16} {}  {right}", "", toned("lacks", Tone::Attention)))?;
                    }
                }
                rows.push(json!({"system": system.name, "reached": true, "report": report}));
            }
            Err(error) => {
                failed += 1;
                if !context.json {
                    output::line(format!(
                        "{:<16} {}  {}",
                        system.name.as_str(),
                        toned("failed", Tone::Bad),
                        output::safe(&error)
                    ))?;
                }
                rows.push(json!({"system": system.name, "reached": false, "error": error.to_string()}));
            }
        }
    }
    if context.json {
        output::json(&json!({"items": rows, "summary": {"reached": rows.len() - failed, "failed": failed}}))?;
    }
    anyhow::ensure!(failed == 0, "{} could not be reached", output::count(failed, "system"));
    Ok(Outcome::Clean)
}

fn capabilities(json: bool, of: &[(String, Vec<Ability>)]) -> anyhow::Result<Outcome> {
    if json {
        let row = |(name, abilities): &(String, Vec<Ability>)| {
            let all: BTreeMap<&str, &Told> =
                abilities.iter().map(|ability| (ability.name.as_str(), &ability.told)).collect();
            json!({"name": name, "capabilities": all})
        };
        let rows: Vec<Value> = of.iter().map(row).collect();
        output::json(&json!({"items": rows, "summary": {"total": rows.len()}}))?;
        return Ok(Outcome::Clean);
    }
    for (name, abilities) in of {
        output::line(toned(name, Tone::Strong))?;
        let mut table = output::table(&["capability", "", "note"]);
        for Ability { name, told } in abilities {
            let supported = if told.supported { toned("yes", Tone::Good) } else { toned("no", Tone::Quiet) };
            table.add_row(row![name.replace('_', " "), supported, told.note.as_str()]);
        }
        output::line(format!("{table}\n"))?;
    }
    Ok(Outcome::Clean)
}
