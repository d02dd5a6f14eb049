//! `leasehold sync`: reads systems now.

use leasehold_model::id::SystemName;
use leasehold_reconcile::stages::observe::{Observe, observe};
use leasehold_store::EpochReport;
use serde_json::{Value, json};

use crate::Outcome;
use crate::context::{Common, Context};
use crate::output::{self, Tone, toned};
use crate::progress::Progress;

/// Arguments of `sync`.
#[derive(Debug, clap::Args)]
pub struct Sync {
    /// Only these systems
    #[arg(value_name = "SYSTEM")]
    systems: Vec<String>,
    /// An answer with nothing in it, or with much less than before, is the truth: what was there is gone
    #[arg(long, requires = "systems", alias = "accept-empty")]
    accept_loss: bool,
    /// Show every piece of input that could not be used
    #[arg(long)]
    problems: bool,
}

impl Sync {
    /// Reads each system; one that fails does not keep the others from being read.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let context = Context::open_to_change(common).await?;
        let reports = sync(&context, &self.systems, Observe { accept_loss: self.accept_loss }).await?;
        let mut items = Vec::new();
        for (system, report) in &reports {
            let problems = context.store.problems(system).await?;
            items.push(item(system, report, &problems));
            if !context.json && (self.problems || problems.len() <= 5) {
                for problem in &problems {
                    eprintln!("{system}: {}: {}", problem.place, problem.message);
                }
            }
        }
        let complete = reports.iter().filter(|(_, report)| report.summary.completeness.is_complete()).count();
        if context.json {
            let summary =
                json!({"systems": reports.len(), "complete": complete, "partial": reports.len() - complete});
            output::json(&json!({"items": items, "summary": summary}))?;
        } else {
            show(&reports)?;
        }
        Ok(if complete == reports.len() { Outcome::Clean } else { Outcome::Outstanding })
    }
}

/// Reads the named systems, or all: authoritative ones first, so that accounts find their identities.
pub async fn sync(
    context: &Context,
    names: &[String],
    options: Observe,
) -> anyhow::Result<Vec<(SystemName, EpochReport)>> {
    let mut systems = match names {
        [] => context.systems.values().collect(),
        names => names.iter().map(|name| context.system(name)).collect::<anyhow::Result<Vec<_>>>()?,
    };
    if systems.is_empty() {
        anyhow::bail!(
            "{} has no system yet; add a `[system.NAME]`, see docs/configuration.md",
            context.config.path.display()
        );
    }
    systems.sort_by_key(|system| !system.authoritative);
    let mut reports = Vec::new();
    for system in systems {
        let progress = Progress::new(format!("reading {}", system.name));
        let mut say = |facts, done, total| progress.facts(facts, done, total);
        let report = observe(&context.store, system, context.pace.as_ref(), options, &mut say).await?;
        reports.push((system.name.clone(), report.report));
    }
    context.publish().await?;
    Ok(reports)
}

fn item(system: &SystemName, report: &EpochReport, problems: &[leasehold_model::fact::Problem]) -> Value {
    json!({
        "system": system,
        "epoch": report.summary.id,
        "completeness": report.summary.completeness.as_str(),
        "detail": report.summary.completeness.detail(),
        "facts": report.summary.facts,
        "started_at": report.summary.started_at,
        "ended_at": report.summary.ended_at,
        "changes": report.changes,
        "problems": problems,
    })
}

/// Prints what was read.
pub fn show(reports: &[(SystemName, EpochReport)]) -> anyhow::Result<()> {
    let mut table = output::table(&["system", "read", "facts", "grants", "problems", "evidence"]);
    for (system, report) in reports {
        let tone = if report.summary.completeness.is_complete() { Tone::Good } else { Tone::Bad };
        table.add_row([
            system.to_string(),
            toned(report.summary.completeness.as_str(), tone),
            report.summary.facts.to_string(),
            format!("+{} -{}", report.changes.grants_added, report.changes.grants_ended),
            report.summary.problems.to_string(),
            report.summary.completeness.detail().to_owned(),
        ]);
    }
    output::line(table)?;
    if reports.iter().any(|(_, report)| !report.summary.completeness.is_complete()) {
        output::line("\nA partial reading adds what was seen and ends nothing: absence needs proof.")?;
    }
    Ok(())
}
