//! `leasehold sync`: reads systems now.

use std::collections::BTreeMap;

use anyhow::Context as _;
use jiff::Timestamp;
use leasehold_model::fact::Problem;
use leasehold_model::id::{EpochId, SystemName};
use leasehold_reconcile::error::ReconcileError;
use leasehold_reconcile::stages::observe::{Observe, Observed, observe};
use leasehold_store::{EpochReport, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Outcome;
use crate::context::{Common, Context};
use crate::output::{self, Tone, row, toned};
use crate::progress::Progress;
use crate::remote::Remote;

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
        let readings = match Remote::of(common)? {
            Some(remote) => self.ask(&remote).await?,
            None => {
                let context = Context::open_to_change(common).await?;
                sync(&context, &self.systems, Observe { accept_loss: self.accept_loss }).await?
            }
        };
        let complete = readings.iter().filter(|reading| reading.is_complete()).count();
        let failed = readings.iter().filter(|reading| reading.told.failed.is_some()).count();
        if common.json {
            let summary = json!({"systems": readings.len(), "complete": complete, "partial": readings.len() - complete, "failed": failed});
            output::json(&json!({"items": readings, "summary": summary}))?;
        } else {
            for Reading { system, problems, .. } in &readings {
                if self.problems || problems.len() <= 5 {
                    for problem in problems {
                        output::remark(format!(
                            "{system}: {}: {}",
                            output::safe(&problem.place),
                            output::safe(&problem.message)
                        ));
                    }
                }
            }
            show(&readings)?;
        }
        fail(&readings)?;
        Ok(if complete == readings.len() { Outcome::Clean } else { Outcome::Outstanding })
    }

    /// Asks the server to read each, all at once, and waits for the last.
    async fn ask(&self, remote: &Remote) -> anyhow::Result<Vec<Reading>> {
        #[derive(Deserialize)]
        struct Face {
            system: String,
            authoritative: bool,
        }
        #[derive(Deserialize)]
        struct Systems {
            items: Vec<Face>,
        }
        #[derive(Deserialize)]
        struct Asked {
            task: String,
        }
        #[derive(Deserialize)]
        struct Problems {
            items: Vec<Problem>,
        }
        let mut names = self.systems.clone();
        if names.is_empty() {
            let Systems { mut items } = remote.get(&["systems"], &[]).await?;
            items.sort_by_key(|face| !face.authoritative);
            names = items.into_iter().map(|face| face.system).collect();
        }
        anyhow::ensure!(!names.is_empty(), "{} has no system, or none that you may see", remote.name());
        let mut tasks = Vec::new();
        for name in &names {
            let body = json!({"accept_loss": self.accept_loss});
            let Asked { task } = remote.post(&["systems", name, "sync"], &[], body).await?;
            tasks.push(task);
        }
        let mut readings = Vec::new();
        for (name, task) in names.iter().zip(&tasks) {
            let ended = remote.wait(task, &Progress::new(format!("reading {name}"))).await?;
            if ended.result["overtaken"] == true {
                overtaken(name);
                continue;
            }
            let Problems { items: problems } = remote.get(&["systems", name, "problems"], &[]).await?;
            let told: Told = serde_json::from_value(ended.result)
                .with_context(|| format!("the server does not say what it read of `{name}`"))?;
            readings.push(Reading { system: SystemName::new(name.as_str())?, told, problems });
        }
        Ok(readings)
    }
}

/// One system, read once, in the documented form.
#[derive(Serialize)]
pub struct Reading {
    system: SystemName,
    #[serde(flatten)]
    told: Told,
    problems: Vec<Problem>,
}

/// What is known of a reading when it has ended.
#[derive(Serialize, Deserialize)]
struct Told {
    epoch: EpochId,
    completeness: String,
    detail: String,
    facts: u64,
    started_at: Timestamp,
    ended_at: Timestamp,
    /// Why it broke off, where it gave no answer.
    failed: Option<String>,
    changes: BTreeMap<String, u64>,
}

impl Reading {
    /// The system that was read.
    pub fn system(&self) -> &SystemName {
        &self.system
    }

    /// Whether absence counts.
    pub fn is_complete(&self) -> bool {
        self.told.completeness == "complete"
    }

    fn changed(&self, what: &str) -> u64 {
        self.told.changes.get(what).copied().unwrap_or(0)
    }
}

fn overtaken(system: &str) {
    output::remark(format!(
        "{system}: another command began to read it after this one; its reading counts, this one is left out"
    ));
}

/// A system that gave no answer is an error, once the others were read.
fn fail(readings: &[Reading]) -> anyhow::Result<()> {
    let failed: Vec<(&SystemName, &str)> = readings
        .iter()
        .filter_map(|reading| Some((&reading.system, reading.told.failed.as_deref()?)))
        .collect();
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
                overtaken(system.name.as_str());
                continue;
            }
            other => other?,
        };
        let Observed { report: EpochReport { summary, changes }, failed } = observed;
        let told = Told {
            epoch: summary.id,
            completeness: summary.completeness.as_str().to_owned(),
            detail: summary.completeness.detail().to_owned(),
            facts: summary.facts,
            started_at: summary.started_at,
            ended_at: summary.ended_at,
            failed,
            changes: serde_json::from_value(json!(changes))?,
        };
        let problems = context.store.problems(&system.name).await?;
        readings.push(Reading { system: system.name.clone(), told, problems });
    }
    context.publish().await?;
    Ok(readings)
}

/// Prints what was read.
pub fn show(readings: &[Reading]) -> anyhow::Result<()> {
    let mut table = output::table(&["system", "read", "facts", "grants", "problems", "evidence"]);
    for reading in readings {
        let read = if reading.told.failed.is_some() { "failed" } else { reading.told.completeness.as_str() };
        let tone = if reading.is_complete() { Tone::Good } else { Tone::Bad };
        table.add_row(row![
            reading.system.as_str(),
            toned(read, tone),
            reading.told.facts.to_string(),
            format!("+{} -{}", reading.changed("grants_added"), reading.changed("grants_ended")),
            reading.problems.len().to_string(),
            reading.told.detail.as_str(),
        ]);
    }
    output::line(table)?;
    if readings.iter().any(|reading| !reading.is_complete()) {
        output::line("\nA partial reading adds what was seen and ends nothing: absence needs proof.")?;
    }
    Ok(())
}
