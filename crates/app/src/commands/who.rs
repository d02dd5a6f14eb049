//! `leasehold who`: who holds an entitlement, and by which paths.

use anyhow::bail;
use jiff::Timestamp;
use leasehold_decide::evaluate::Evaluation;
use leasehold_decide::explain::{WhoHolds, who};
use leasehold_model::id::{EntitlementAddress, EntitlementName, IdentityKey};
use serde::{Deserialize, Serialize};

use super::explain::with_account;
use crate::Outcome;
use crate::context::{Common, Context, parse_at};
use crate::output::{self, Cell};
use crate::remote::Remote;

/// Arguments of `who`.
#[derive(Debug, clap::Args)]
pub struct Who {
    /// The entitlement, as system:kind/name
    entitlement: EntitlementAddress,
    /// As it stood then
    #[arg(long, value_name = "TIME", value_parser = parse_at)]
    at: Option<Timestamp>,
    /// Lists every path, also where there are more than 1,000; their number can grow exponentially with nested groups
    #[arg(long)]
    all_paths: bool,
}

/// The documented form.
#[derive(Serialize)]
struct Document {
    entitlement: EntitlementAddress,
    at: Timestamp,
    items: Vec<Holder>,
}

/// An account that effectively holds it.
#[derive(Serialize, Deserialize)]
struct Holder {
    identity: Option<IdentityKey>,
    account: String,
    paths: Vec<Vec<String>>,
    more_paths: bool,
    path_steps: Vec<(EntitlementName, EntitlementName)>,
}

impl Who {
    /// Answers from what was last read; never leaves anybody out.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let document = match Remote::of(common)? {
            Some(remote) => self.ask(&remote).await?,
            None => self.read(&Context::open_to_read(common).await?).await?,
        };
        if common.json {
            output::json(&document)?
        } else {
            show(&document)?
        }
        Ok(Outcome::Clean)
    }

    async fn read(&self, context: &Context) -> anyhow::Result<Document> {
        let loaded = context.load(self.at).await?;
        super::drift::require_read(&loaded.snapshot)?;
        let evaluation = loaded.evaluate()?;
        let Some(entitlement) = evaluation.entitlement(&self.entitlement) else {
            bail!("there is no entitlement {}{}", self.entitlement, some_of(&evaluation, &self.entitlement));
        };
        let holders = who(&evaluation, entitlement, super::paths_max(self.all_paths));
        let items = holders.into_iter().map(Holder::from).collect();
        Ok(Document { entitlement: self.entitlement.clone(), at: loaded.now, items })
    }

    async fn ask(&self, remote: &Remote) -> anyhow::Result<Document> {
        #[derive(Deserialize)]
        struct Rest {
            at: Timestamp,
        }
        super::refuse_all_paths(self.all_paths)?;
        let address = self.entitlement.to_string();
        let at: Vec<(&str, String)> = self.at.map(|at| ("at", at.to_string())).into_iter().collect();
        let (items, Rest { at }) = remote.list(&["entitlements", &address, "holders"], &at).await?;
        Ok(Document { entitlement: self.entitlement.clone(), at, items })
    }
}

impl From<WhoHolds> for Holder {
    fn from(holder: WhoHolds) -> Self {
        Self {
            identity: holder.identity,
            paths: with_account(&holder.login, &holder.paths),
            account: holder.login,
            more_paths: holder.more_paths,
            path_steps: holder.path_steps,
        }
    }
}

fn show(document: &Document) -> anyhow::Result<()> {
    let mut table = output::table(&["identity", "account", "by"]);
    for holder in &document.items {
        let identity = holder.identity.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let mut paths: Vec<String> = holder.paths.iter().map(|path| path[1..].join(" → ")).collect();
        if holder.more_paths {
            paths.push("further paths; --all-paths lists them".to_owned());
        }
        table.add_row([Cell::from(identity), Cell::from(holder.account.as_str()), Cell::lines(paths)]);
    }
    output::line(format!(
        "{} effectively {} {}",
        output::count(document.items.len(), "account"),
        if document.items.len() == 1 { "holds" } else { "hold" },
        document.entitlement
    ))?;
    if !document.items.is_empty() {
        output::line(table)?;
    }
    Ok(())
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
