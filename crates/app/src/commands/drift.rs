//! `leasehold drift`: where what is there differs from what is justified.

use std::collections::BTreeMap;

use leasehold_decide::plan::Scope;
use leasehold_decide::rules;
use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::id::{AccountKey, EntitlementName, IdentityKey, SystemName};
use leasehold_model::snapshot::Snapshot;
use leasehold_reconcile::stages::decide::Loaded;
use serde::{Serialize, Serializer};
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
        let scope = Scope { systems, kinds: self.kind, identities, ..Scope::default() };
        let unread = unread(&context, &loaded.snapshot, &scope.systems);
        let mut items = find(&loaded)?;
        items.retain(|item| scope.covers(item));
        if context.json {
            output::json(&document(&items, &loaded.snapshot, &unread))?;
        } else {
            show(&items, &loaded.snapshot, &unread, self.all)?;
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

/// The configured systems of the scope of which nothing was read: silence about them is no good news.
fn unread(context: &Context, snapshot: &Snapshot, scope: &[SystemName]) -> Vec<SystemName> {
    let read = |name: &SystemName| {
        snapshot.systems.iter().any(|system| system.name == *name && system.latest.is_some())
    };
    let of_scope = |name: &&SystemName| scope.is_empty() || scope.contains(name);
    context.settings.keys().filter(of_scope).filter(|name| !read(name)).cloned().collect()
}

/// The documented form. Rows are written as they are met: a system at first contact has a million of them.
#[derive(Serialize)]
struct Document<'drift> {
    items: Rows<'drift>,
    summary: Value,
}

struct Rows<'drift>(&'drift [DriftItem]);

#[derive(Serialize)]
struct Row<'drift> {
    kind: DriftKind,
    system: &'drift SystemName,
    account: Option<&'drift str>,
    account_key: Option<&'drift AccountKey>,
    identity: Option<&'drift IdentityKey>,
    entitlement: Option<&'drift EntitlementName>,
    since: Option<jiff::Timestamp>,
    because: Vec<String>,
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|item| Row {
            kind: item.kind,
            system: &item.system,
            account: item.login.as_deref(),
            account_key: item.account.as_ref(),
            identity: item.identity.as_ref(),
            entitlement: item.entitlement.as_ref(),
            since: item.since,
            because: item.because.iter().map(Because::to_string).collect(),
        }))
    }
}

fn document<'drift>(
    items: &'drift [DriftItem],
    snapshot: &Snapshot,
    unread: &[SystemName],
) -> Document<'drift> {
    let mut by_kind: BTreeMap<&str, usize> = BTreeMap::new();
    for item in items {
        *by_kind.entry(item.kind.as_str()).or_default() += 1;
    }
    let sources = sources(snapshot, unread);
    let summary = json!({"total": items.len(), "by_kind": by_kind, "sources": sources});
    Document { items: Rows(items), summary }
}

/// How fresh and how complete each source is.
fn sources(snapshot: &Snapshot, unread: &[SystemName]) -> Vec<Value> {
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
    let known = |name: &SystemName| snapshot.systems.iter().any(|system| system.name == *name);
    let unknown = unread.iter().filter(|name| !known(name)).map(|name| {
        json!({
            "system": name, "epoch": null, "completeness": null, "observed_at": null, "detail": null,
            "complete_at": null,
        })
    });
    snapshot.systems.iter().map(row).chain(unknown).collect()
}

/// Prints a summary by kind, the items, and how fresh the sources are.
fn show(items: &[DriftItem], snapshot: &Snapshot, unread: &[SystemName], all: bool) -> anyhow::Result<()> {
    if items.is_empty() && !unread.is_empty() {
        let names: Vec<&str> = unread.iter().map(SystemName::as_str).collect();
        let words = format!("no drift in what was read; nothing was read of {}", names.join(", "));
        output::line(toned(words, Tone::Attention))?;
    } else if items.is_empty() {
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
    freshness(snapshot, unread)
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

fn freshness(snapshot: &Snapshot, unread: &[SystemName]) -> anyhow::Result<()> {
    output::line("")?;
    for system in &snapshot.systems {
        let words = match &system.latest {
            None if unread.contains(&system.name) => continue,
            None => toned("never read", Tone::Bad).to_string(),
            Some(epoch) if epoch.completeness.is_complete() => format!("complete, read {}", epoch.ended_at),
            Some(epoch) => {
                let complete = system.latest_complete.as_ref();
                let last = complete.map_or_else(|| "never".to_owned(), |epoch| epoch.ended_at.to_string());
                format!(
                    "{}, read {}; last complete {last}: {}",
                    toned("partial", Tone::Bad),
                    epoch.ended_at,
                    output::safe(epoch.completeness.detail())
                )
            }
        };
        output::line(format!("  {:<16} {words}", system.name.as_str()))?;
    }
    for system in unread {
        output::line(format!(
            "  {:<16} {}; run `leasehold sync {system}`",
            system.as_str(),
            toned("never read", Tone::Bad)
        ))?;
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
