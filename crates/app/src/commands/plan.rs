//! `leasehold plan`: what would be changed, for whom, what is left alone and why, and what holds it back.

use std::path::PathBuf;

use anyhow::Context as _;
use leasehold_decide::plan::Scope;
use leasehold_model::decision::DriftKind;
use leasehold_model::id::IdentityKey;
use leasehold_model::plan::{Plan, PlanItem};
use leasehold_reconcile::stages::plan;
use serde_json::{Value, json};

use crate::Outcome;
use crate::context::{Common, Context};
use crate::output::{self, Tone, row, toned};

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub struct PlanCommand {
    /// Write the plan to a file, for `leasehold apply FILE`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only drift of this kind
    #[arg(long, value_name = "KIND", value_parser = super::drift::parse_kind)]
    kind: Vec<DriftKind>,
    /// Only this system
    #[arg(long, value_name = "SYSTEM")]
    system: Vec<String>,
    /// Only this identity: a leaver need not wait for everybody else
    #[arg(long, value_name = "IDENTITY")]
    identity: Vec<String>,
    /// Give back what somebody removed out of band and the policy still justifies
    #[arg(long, requires = "identity")]
    restore: bool,
    /// List everything, however long
    #[arg(long)]
    all: bool,
}

impl PlanCommand {
    /// Makes a plan from what was last read; changes nothing anywhere.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let mut context = Context::open_to_change(common).await?;
        context.learn_abilities();
        let systems = self.system.iter().map(|name| context.system_name(name));
        let identities = self.identity.into_iter().map(IdentityKey);
        let scope = Scope {
            systems: systems.collect::<anyhow::Result<_>>()?,
            kinds: self.kind,
            identities: identities.collect(),
            restore: self.restore,
            ..Scope::default()
        };
        let loaded = context.load(None).await?;
        super::drift::require_read(&loaded.snapshot)?;
        for identity in &scope.identities {
            let known = loaded.evaluate()?.identity(identity).is_some();
            anyhow::ensure!(known, "there is no identity `{identity}`; nothing was planned");
        }
        let plan = plan::make(&context.store, &loaded, &scope).await?;
        context.publish().await?;
        if let Some(path) = &self.out {
            let text = serde_json::to_string_pretty(&plan)?;
            std::fs::write(path, text)
                .with_context(|| format!("cannot write the plan to {}", path.display()))?;
        }
        if context.json {
            output::json(&document(&plan))?;
        } else {
            show(&plan, self.all)?;
            if let Some(path) = &self.out {
                output::line(format!(
                    "\nwritten to {0}; carry it out with `leasehold apply {0}`",
                    path.display()
                ))?;
            }
        }
        Ok(if plan.items.is_empty() { Outcome::Clean } else { Outcome::Outstanding })
    }
}

/// The documented form for programs. The file of `--out` holds the plan itself, which this is derived from.
pub fn document(plan: &Plan) -> Value {
    let items: Vec<Value> = plan.items.iter().map(item).collect();
    json!({
        "hash": plan.hash,
        "items": items,
        "left_alone": plan.left_alone,
        "guards": plan.guards,
        "state": plan.state,
    })
}

fn item(item: &PlanItem) -> Value {
    json!({
        "id": item.id,
        "verb": item.verb,
        "system": item.system,
        "account": item.account,
        "account_key": item.account_key,
        "identity": item.identity,
        "entitlement": item.entitlement,
        "because": item.because,
        "also_loses": item.also_loses,
        "after": item.after,
    })
}

/// Prints a plan.
pub fn show(plan: &Plan, all: bool) -> anyhow::Result<()> {
    if plan.items.is_empty() {
        output::line(toned("nothing to do", Tone::Good))?;
    } else {
        let mut table = output::table(&["", "system", "account", "entitlement", "because", "also loses"]);
        let (shown, more) = output::screenful(&plan.items, all);
        for item in shown {
            let tone = if item.verb.takes_away() { Tone::Bad } else { Tone::Good };
            let held = if plan.guard_of(&item.id).is_some() { " (held)" } else { "" };
            let also: Vec<String> = item.also_loses.iter().map(ToString::to_string).collect();
            table.add_row(row![
                toned(format!("{}{held}", item.verb.as_str().replace('_', " ")), tone),
                item.system.as_str(),
                item.account.as_str(),
                item.entitlement.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
                item.because.join("; "),
                also.join(", "),
            ]);
        }
        output::line(table)?;
        if more > 0 {
            output::line(format!("… and {more} more; `--all` lists them"))?;
        }
    }
    if !plan.left_alone.is_empty() {
        output::line(format!("\n{}", toned("left alone", Tone::Strong)))?;
        let mut table = output::table(&["system", "account", "entitlement", "why"]);
        let (shown, more) = output::screenful(&plan.left_alone, all);
        for left in shown {
            table.add_row([
                left.system.to_string(),
                left.account
                    .clone()
                    .or_else(|| left.identity.as_ref().map(ToString::to_string))
                    .unwrap_or_else(|| "-".to_owned()),
                left.entitlement.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
                left.why.clone(),
            ]);
        }
        output::line(table)?;
        if more > 0 {
            output::line(format!("… and {more} more; `--all` lists them"))?;
        }
    }
    for guard in &plan.guards {
        output::line(format!(
            "\n{} {}: {}\n  {} wait\n  {}",
            toned("guard", Tone::Attention),
            output::safe(&guard.name),
            output::safe(&guard.message),
            output::count(guard.holds.len(), "action"),
            output::safe_lines(&guard.way_on)
        ))?;
    }
    output::line(format!("\n{} in plan {}", output::count(plan.items.len(), "action"), short(plan)))?;
    Ok(())
}

/// The beginning of a plan's hash, enough to tell plans apart.
pub fn short(plan: &Plan) -> &str {
    &plan.hash.as_str()[..12.min(plan.hash.as_str().len())]
}
