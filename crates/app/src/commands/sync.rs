//! `leasehold sync`: reads systems now.

use leasehold_model::id::SystemName;
use leasehold_reconcile::error::ReconcileError;
use leasehold_reconcile::stages::observe::{Observe, observe};
use leasehold_store::{EpochReport, StoreError};
use serde_json::{Value, json};

use crate::Outcome;
use crate::context::{Common, Context};
use crate::output::{self, Tone, row, toned};
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
        let readings = sync(&context, &self.systems, Observe { accept_loss: self.accept_loss }).await?;
        let mut items = Vec::new();
        for Reading { system, report, failed } in &readings {
            let problems = context.store.problems(system).await?;
            items.push(item(system, report, failed.as_deref(), &problems));
            if !context.json && (self.problems || problems.len() <= 5) {
                for problem in &problems {
                    output::remark(format!(
                        "{system}: {}: {}",
                        output::safe(&problem.place),
                        output::safe(&problem.message)
                    ));
                }
            }
        }
        let complete =
            readings.iter().filter(|reading| reading.report.summary.completeness.is_complete()).count();
        let failed = readings.iter().filter(|reading| reading.failed.is_some()).count();
        if context.json {
            let summary = json!({"systems": readings.len(), "complete": complete, "partial": readings.len() - complete, "failed": failed});
            output::json(&json!({"items": items, "summary": summary}))?;
        } else {
            show(&readings)?;
        }
        fail(&readings)?;
        Ok(if complete == readings.len() { Outcome::Clean } else { Outcome::Outstanding })
    }
}

/// One system, read once.
pub struct Reading {
    system: SystemName,
    report: EpochReport,
    /// Why it broke off, where it gave no answer.
    failed: Option<String>,
}

/// A system that gave no answer is an error, once the others were read.
fn fail(readings: &[Reading]) -> anyhow::Result<()> {
    let failed: Vec<(&SystemName, &str)> =
        readings.iter().filter_map(|reading| Some((&reading.system, reading.failed.as_deref()?))).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let causes: Vec<String> = failed.iter().map(|(_, why)| format!("  {}", output::safe(why))).collect();
    let names: Vec<&str> = failed.iter().map(|(system, _)| system.as_str()).collect();
    anyhow::bail!(
        "{} of {} could not be read; nothing of what was there was ended:\n{}\n\
         mend the cause, try `leasehold connector test {}`, and then run `leasehold sync {}`",
        failed.len(),
        output::count(readings.len(), "system"),
        causes.join("\n"),
        names.join(" "),
        names.join(" ")
    )
}

/// Reads the named systems, or all: authoritative ones first, so that accounts find their identities.
pub async fn sync(context: &Context, names: &[String], options: Observe) -> anyhow::Result<Vec<Reading>> {
    let mut systems = context.connect(names)?;
    if systems.is_empty() {
        anyhow::bail!(
            "{} has no system yet; add a `[system.NAME]`, see docs/configuration.md",
            context.config.path.display()
        );
    }
    systems.sort_by_key(|system| !system.authoritative);
    let mut readings = Vec::new();
    for system in &systems {
        let progress = Progress::new(format!("reading {}", system.name));
        let mut say = |facts, done, total| progress.facts(facts, done, total);
        let observed = observe(&context.store, system, context.pace.as_ref(), options, &mut say).await;
        let observed = match observed {
            // Somebody else reads it at this moment and began later: theirs is newer, and this one is not missed.
            Err(ReconcileError::Store(StoreError::Overtaken { .. })) => {
                output::remark(format!(
                    "{}: another command began to read it after this one; its reading counts, this one is left out",
                    system.name
                ));
                continue;
            }
            other => other?,
        };
        readings.push(Reading {
            system: system.name.clone(),
            report: observed.report,
            failed: observed.failed,
        });
    }
    context.publish().await?;
    Ok(readings)
}

fn item(
    system: &SystemName,
    report: &EpochReport,
    failed: Option<&str>,
    problems: &[leasehold_model::fact::Problem],
) -> Value {
    json!({
        "system": system,
        "epoch": report.summary.id,
        "completeness": report.summary.completeness.as_str(),
        "detail": report.summary.completeness.detail(),
        "facts": report.summary.facts,
        "started_at": report.summary.started_at,
        "ended_at": report.summary.ended_at,
        "failed": failed,
        "changes": report.changes,
        "problems": problems,
    })
}

/// Prints what was read.
pub fn show(readings: &[Reading]) -> anyhow::Result<()> {
    let mut table = output::table(&["system", "read", "facts", "grants", "problems", "evidence"]);
    for Reading { system, report, failed } in readings {
        let read = if failed.is_some() { "failed" } else { report.summary.completeness.as_str() };
        let tone = if report.summary.completeness.is_complete() { Tone::Good } else { Tone::Bad };
        table.add_row(row![
            system.as_str(),
            toned(read, tone),
            report.summary.facts.to_string(),
            format!("+{} -{}", report.changes.grants_added, report.changes.grants_ended),
            report.summary.problems.to_string(),
            report.summary.completeness.detail(),
        ]);
    }
    output::line(table)?;
    if readings.iter().any(|reading| !reading.report.summary.completeness.is_complete()) {
        output::line("\nA partial reading adds what was seen and ends nothing: absence needs proof.")?;
    }
    Ok(())
}
