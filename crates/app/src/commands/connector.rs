//! `leasehold connector`: which connectors there are, whether the configured systems answer, what each can do.

use leasehold_connect::registry;
use leasehold_model::capability::Capabilities;
use serde_json::{Value, json};

use crate::Outcome;
use crate::context::{Common, Context};
use crate::output::{self, Tone, row, toned};
use crate::progress::Progress;

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
            What::Test { systems } => test(&Context::open_to_read(common).await?, &systems).await,
            What::Capabilities { markdown: true, .. } => {
                output::line(registry::capabilities_markdown().trim_end())?;
                Ok(Outcome::Clean)
            }
            What::Capabilities { name: None, .. } => {
                let rows: Vec<(String, Capabilities)> = registry::KINDS
                    .iter()
                    .map(|kind| (kind.name().to_owned(), kind.capabilities()))
                    .collect();
                capabilities(common.json, &rows)
            }
            What::Capabilities { name: Some(name), .. } => {
                let of = match registry::find(&name) {
                    Some(kind) => kind.capabilities(),
                    None => {
                        let context = Context::open_to_read(common).await?;
                        context.system(&name)?.connect()?.connector.capabilities()
                    }
                };
                capabilities(common.json, &[(name, of)])
            }
        }
    }
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

fn capabilities(json: bool, of: &[(String, Capabilities)]) -> anyhow::Result<Outcome> {
    if json {
        let rows: Vec<Value> =
            of.iter().map(|(name, all)| json!({"name": name, "capabilities": all})).collect();
        output::json(&json!({"items": rows, "summary": {"total": rows.len()}}))?;
        return Ok(Outcome::Clean);
    }
    for (name, all) in of {
        output::line(toned(name, Tone::Strong))?;
        let mut table = output::table(&["capability", "", "note"]);
        for (what, capability) in all.rows() {
            let supported =
                if capability.supported { toned("yes", Tone::Good) } else { toned("no", Tone::Quiet) };
            table.add_row(row![what.replace('_', " "), supported, capability.note]);
        }
        output::line(format!("{table}\n"))?;
    }
    Ok(Outcome::Clean)
}
