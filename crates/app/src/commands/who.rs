//! `leasehold who`: who holds an entitlement, and by which paths.

use anyhow::bail;
use leasehold_decide::evaluate::Evaluation;
use leasehold_decide::explain::{WhoHolds, who};
use leasehold_model::id::{EntitlementAddress, EntitlementName};
use serde_json::{Value, json};

use crate::Outcome;
use crate::context::{Common, Context, parse_at};
use crate::output::{self, Cell};

/// Arguments of `who`.
#[derive(Debug, clap::Args)]
pub struct Who {
    /// The entitlement, as system:kind/name
    entitlement: EntitlementAddress,
    /// As it stood then
    #[arg(long, value_name = "TIME", value_parser = parse_at)]
    at: Option<jiff::Timestamp>,
    /// Lists every path, also where there are more than 1,000; their number can grow exponentially with nested groups
    #[arg(long)]
    all_paths: bool,
}

impl Who {
    /// Answers from what was last read; never leaves anybody out.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let context = Context::open_to_read(common).await?;
        let loaded = context.load(self.at).await?;
        super::drift::require_read(&loaded.snapshot)?;
        let evaluation = loaded.evaluate()?;
        let Some(entitlement) = evaluation.entitlement(&self.entitlement) else {
            bail!("there is no entitlement {}{}", self.entitlement, some_of(&evaluation, &self.entitlement));
        };
        let holders = who(&evaluation, entitlement, super::paths_max(self.all_paths));
        if context.json {
            let rows: Vec<Value> = holders.iter().map(row).collect();
            output::json(&json!({"entitlement": self.entitlement, "at": loaded.now, "items": rows}))?;
        } else {
            let mut table = output::table(&["identity", "account", "by"]);
            for holder in &holders {
                let identity = holder.identity.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
                let mut paths: Vec<String> =
                    holder.paths.iter().map(|path| names(path).join(" → ")).collect();
                if holder.more_paths {
                    paths.push("further paths; --all-paths lists them".to_owned());
                }
                table.add_row([Cell::from(identity), Cell::from(holder.login.as_str()), Cell::lines(paths)]);
            }
            output::line(format!(
                "{} effectively {} {}",
                output::count(holders.len(), "account"),
                if holders.len() == 1 { "holds" } else { "hold" },
                self.entitlement
            ))?;
            if !holders.is_empty() {
                output::line(table)?;
            }
        }
        Ok(Outcome::Clean)
    }
}

fn names(path: &[EntitlementName]) -> Vec<String> {
    path.iter().map(EntitlementName::to_string).collect()
}

fn row(holder: &WhoHolds) -> Value {
    let path = |path: &Vec<EntitlementName>| {
        std::iter::once(holder.login.clone()).chain(names(path)).collect::<Vec<_>>()
    };
    json!({
        "identity": holder.identity,
        "account": holder.login,
        "paths": holder.paths.iter().map(path).collect::<Vec<_>>(),
        "more_paths": holder.more_paths,
        "path_steps": holder.path_steps,
    })
}

/// A few entitlements of the system, so that the next try succeeds.
fn some_of(evaluation: &Evaluation<'_>, address: &EntitlementAddress) -> String {
    let snapshot = evaluation.inputs.snapshot;
    let Some(system) = snapshot.system_position(&address.system) else {
        return format!("; system `{}` was never read", address.system);
    };
    let of_system = snapshot.entitlements.iter().filter(|entitlement| entitlement.system == system);
    let some: Vec<String> =
        of_system.map(|entitlement| entitlement.entitlement.name.to_string()).take(6).collect();
    if some.is_empty() {
        return format!("; nothing was read of `{}`", address.system);
    }
    format!("; some that `{}` has: {}", address.system, some.join(", "))
}
