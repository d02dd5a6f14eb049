//! `leasehold drift`: where what is there differs from what is justified.

use std::collections::BTreeMap;

use leasehold_decide::plan::Scope;
use leasehold_decide::rules;
use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::snapshot::Snapshot;
use leasehold_reconcile::stages::decide::Loaded;
use serde_json::{Value, json};

use crate::Outcome;
use crate::context::{Common, Context, parse_at};
use crate::output::{self, Tone, toned};

/// Arguments of `drift`.
#[derive(Debug, clap::Args)]
pub struct Drift {
    /// Only this kind
    #[arg(long, value_name = "KIND", value_parser = parse_kind)]
    kind: Vec<DriftKind>,
    /// Only this system
    #[arg(long, value_name = "SYSTEM")]
    system: Vec<String>,
    /// Only this identity
    #[arg(long, value_name = "IDENTITY")]
    identity: Vec<String>,
    /// As it stood then
    #[arg(long, value_name = "TIME", value_parser = parse_at)]
    at: Option<jiff::Timestamp>,
    /// List everything, however long
    #[arg(long)]
    all: bool,
}

/// A kind of drift on the command line.
pub fn parse_kind(text: &str) -> Result<DriftKind, String> {
    DriftKind::parse(text).ok_or_else(|| {
        let known: Vec<&str> = DriftKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("kinds are {}", known.join(", "))
    })
}

impl Drift {
    /// Computes drift from what was last read; reads nothing itself.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let context = Context::open_to_read(common).await?;
        let systems: Vec<SystemName> =
            self.system.iter().map(|name| context.system_name(name)).collect::<anyhow::Result<_>>()?;
        let loaded = context.load(self.at).await?;
        require_read(&loaded.snapshot)?;
        let identities = self.identity.into_iter().map(IdentityKey).collect();
        let scope = Scope { systems, kinds: self.kind, identities, restore: false };
        let mut items = find(&loaded)?;
        items.retain(|item| scope.covers(item));
        if context.json {
            output::json(&document(&items, &loaded.snapshot))?;
        } else {
            show(&items, &loaded.snapshot, self.all)?;
        }
        Ok(if items.is_empty() { Outcome::Clean } else { Outcome::Outstanding })
    }
}

/// All drift of what was loaded.
pub fn find(loaded: &Loaded) -> anyhow::Result<Vec<DriftItem>> {
    Ok(rules::drift(&loaded.evaluate()?))
}

/// Unknown is shown as unknown: before anything was read there is no drift to speak of, and no "no drift" either.
pub fn require_read(snapshot: &Snapshot) -> anyhow::Result<()> {
    if snapshot.systems.iter().all(|system| system.latest.is_none()) {
        anyhow::bail!("nothing was read by then, so nothing can be said; run `leasehold sync` first");
    }
    Ok(())
}

fn document(items: &[DriftItem], snapshot: &Snapshot) -> Value {
    let mut by_kind: BTreeMap<&str, usize> = BTreeMap::new();
    for item in items {
        *by_kind.entry(item.kind.as_str()).or_default() += 1;
    }
    let rows: Vec<Value> = items
        .iter()
        .map(|item| {
            json!({
                "kind": item.kind,
                "system": item.system,
                "account": item.login,
                "account_key": item.account,
                "identity": item.identity,
                "entitlement": item.entitlement,
                "since": item.since,
                "because": item.because.iter().map(Because::to_string).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({"items": rows, "summary": {"total": items.len(), "by_kind": by_kind, "sources": sources(snapshot)}})
}

/// How fresh and how complete each source is.
pub fn sources(snapshot: &Snapshot) -> Vec<Value> {
    let row = |system: &leasehold_model::snapshot::SystemState| {
        let latest = system.latest.as_ref();
        json!({
            "system": system.name,
            "epoch": latest.map(|epoch| epoch.id),
            "completeness": latest.map(|epoch| epoch.completeness.as_str()),
            "observed_at": latest.map(|epoch| epoch.ended_at),
            "detail": latest.map(|epoch| epoch.completeness.detail()),
            "complete_at": system.latest_complete.as_ref().map(|epoch| epoch.ended_at),
        })
    };
    snapshot.systems.iter().map(row).collect()
}

/// Prints a summary by kind, the items, and how fresh the sources are.
pub fn show(items: &[DriftItem], snapshot: &Snapshot, all: bool) -> anyhow::Result<()> {
    if items.is_empty() {
        output::line(toned("no drift: everything that was read is justified", Tone::Good))?;
    } else {
        summary(items)?;
        let mut table = output::table(&["kind", "system", "account", "identity", "entitlement", "because"]);
        let (shown, more) = output::screenful(items, all);
        for item in shown {
            let because: Vec<String> = item.because.iter().map(Because::to_string).collect();
            table.add_row([
                item.kind.to_string(),
                item.system.to_string(),
                item.login.clone().unwrap_or_else(|| "-".to_owned()),
                item.identity.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
                item.entitlement.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
                because.join("; "),
            ]);
        }
        output::line(format!("\n{table}"))?;
        if more > 0 {
            output::line(format!(
                "… and {more} more; `--all` lists them, `--kind` and `--system` narrow it down"
            ))?;
        }
    }
    freshness(snapshot)
}

/// One line a kind.
pub fn summary(items: &[DriftItem]) -> anyhow::Result<()> {
    output::line(toned(format!("{} of drift", output::count(items.len(), "item")), Tone::Strong))?;
    for kind in DriftKind::ALL {
        let number = items.iter().filter(|item| item.kind == *kind).count();
        if number > 0 {
            output::line(format!("  {number:>6}  {:<20} {}", kind.as_str(), meaning(*kind)))?;
        }
    }
    Ok(())
}

fn freshness(snapshot: &Snapshot) -> anyhow::Result<()> {
    output::line("")?;
    for system in &snapshot.systems {
        let words = match &system.latest {
            None => toned("never read", Tone::Bad),
            Some(epoch) if epoch.completeness.is_complete() => format!("complete, read {}", epoch.ended_at),
            Some(epoch) => {
                let complete = system.latest_complete.as_ref();
                let last = complete.map_or_else(|| "never".to_owned(), |epoch| epoch.ended_at.to_string());
                format!(
                    "{}, read {}; last complete {last}: {}",
                    toned("partial", Tone::Bad),
                    epoch.ended_at,
                    epoch.completeness.detail()
                )
            }
        };
        output::line(format!("  {:<16} {words}", system.name.as_str()))?;
    }
    Ok(())
}

/// What a kind means, for people.
fn meaning(kind: DriftKind) -> &'static str {
    match kind {
        DriftKind::Leaver => "access of somebody who has left",
        DriftKind::Toxic => "combinations that one identity may not hold",
        DriftKind::Expired => "access whose reason has ended",
        DriftKind::Unjustified => "access that no role, exception or baseline gives a reason for",
        DriftKind::Orphan => "accounts of nobody that we know, or of several",
        DriftKind::Ownerless => "non-humans for which nobody answers",
        DriftKind::Missing => "justified and not there",
        DriftKind::RemovedOutOfBand => "justified, and removed by somebody: a person decides",
        DriftKind::Dormant => "unused for longer than allowed, where use is known",
        DriftKind::StaleCredential => "credentials older than allowed, where age is known",
        DriftKind::Posture => "weaknesses that the system itself reports",
        DriftKind::UnknownSystem => "used, and not governed",
    }
}
