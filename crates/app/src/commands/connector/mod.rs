//! `leasehold connector`: which connectors there are, whether the configured systems answer, what each can do, and whether it
//! keeps its promises.

mod contract;

use std::collections::BTreeMap;

use leasehold_connect::connector::ConnectorKind;
use leasehold_connect::registry;
use leasehold_model::capability::{Capabilities, Capability};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::contract::ContractCommand;
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
    /// Check that a configured system's connector keeps its promises; changes only what is named
    Contract(Box<ContractCommand>),
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
            What::List => list(common.json, &kinds(common).await?),
            What::Test { systems } => {
                Remote::refuse(common, "connector test", "it reaches the systems from where it runs")?;
                test(&Context::open_to_read(common).await?, &systems).await
            }
            What::Contract(command) => {
                Remote::refuse(common, "connector contract", "it reaches the system from where it runs")?;
                command.run(&Context::open_to_read(common).await?).await
            }
            What::Capabilities { markdown: true, .. } => {
                output::line(registry::capabilities_markdown().trim_end())?;
                Ok(Outcome::Clean)
            }
            What::Capabilities { name: None, .. } => {
                let kinds = kinds(common).await?;
                let rows: Vec<(String, Vec<Ability>)> =
                    kinds.into_iter().map(|kind| (kind.connector, in_order(kind.capabilities))).collect();
                capabilities(common.json, &rows)
            }
            What::Capabilities { name: Some(name), .. } => {
                let kind = kinds(common).await?.into_iter().find(|kind| kind.connector == name);
                let of = match (kind, Remote::of(common)?) {
                    (Some(kind), _) => kind.capabilities,
                    (None, Some(remote)) => ask(&remote, &name).await?,
                    (None, None) => {
                        let context = Context::open_to_read(common).await?;
                        told(context.system(&name)?.connect()?.connector.capabilities())
                    }
                };
                capabilities(common.json, &[(name, in_order(of))])
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

/// A kind of connector, in the documented form.
#[derive(Serialize, Deserialize)]
struct Kind {
    connector: String,
    summary: String,
    capabilities: BTreeMap<String, Told>,
}

/// The kinds of this program, or of the server.
async fn kinds(common: &Common) -> anyhow::Result<Vec<Kind>> {
    #[derive(Deserialize)]
    struct Kinds {
        items: Vec<Kind>,
    }
    if let Some(remote) = Remote::of(common)? {
        let Kinds { items } = remote.get(&["capabilities"], &[]).await?;
        return Ok(items);
    }
    let kind = |kind: &&'static dyn ConnectorKind| Kind {
        connector: kind.name().to_owned(),
        summary: kind.summary().to_owned(),
        capabilities: told(kind.capabilities()),
    };
    Ok(registry::KINDS.iter().map(kind).collect())
}

fn told(of: Capabilities) -> BTreeMap<String, Told> {
    let row = |(name, capability): (&str, Capability)| {
        (name.to_owned(), Told { supported: capability.supported, note: capability.note.to_owned() })
    };
    of.rows().into_iter().map(row).collect()
}

/// What a system of the server can do.
async fn ask(remote: &Remote, system: &str) -> anyhow::Result<BTreeMap<String, Told>> {
    #[derive(Deserialize)]
    struct Face {
        capabilities: BTreeMap<String, Told>,
    }
    let Face { capabilities } = remote.get(&["systems", system], &[]).await?;
    Ok(capabilities)
}

/// In the order of the documentation; what a later release of a server knows besides comes last.
fn in_order(mut all: BTreeMap<String, Told>) -> Vec<Ability> {
    let known = Capabilities::NONE.rows();
    let mut abilities: Vec<Ability> = known
        .iter()
        .filter_map(|(name, _)| Some(Ability { name: (*name).to_owned(), told: all.remove(*name)? }))
        .collect();
    abilities.extend(all.into_iter().map(|(name, told)| Ability { name, told }));
    abilities
}

fn list(json: bool, kinds: &[Kind]) -> anyhow::Result<Outcome> {
    if json {
        output::json(&json!({"items": kinds, "summary": {"total": kinds.len()}}))?;
    } else {
        for kind in kinds {
            output::line(format!(
                "{:<10} {}",
                toned(&kind.connector, Tone::Strong),
                output::safe(&kind.summary)
            ))?;
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
