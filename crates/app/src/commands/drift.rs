//! `leasehold drift`: where what is there differs from what is justified.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::bail;
use jiff::Timestamp;
use leasehold_decide::plan::Scope;
use leasehold_decide::rules;
use leasehold_model::credential::CredentialName;
use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::id::{AccountKey, EntitlementName, EpochId, IdentityKey, SystemName};
use leasehold_model::snapshot::{Snapshot, SystemState};
use leasehold_reconcile::stages::decide::Loaded;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::explain;
use crate::Outcome;
use crate::context::{Common, Context, parse_at};
use crate::output::{self, Tone, toned};
use crate::remote::Remote;

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
    at: Option<Timestamp>,
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

/// Drift, and how fresh what it rests on is.
struct Answer {
    items: Vec<DriftItem>,
    sources: Vec<Source>,
}

/// How fresh and how complete a system is; nulls where it was never read.
#[derive(Debug, Serialize, Deserialize)]
struct Source {
    system: SystemName,
    epoch: Option<EpochId>,
    completeness: Option<String>,
    observed_at: Option<Timestamp>,
    detail: Option<String>,
    complete_at: Option<Timestamp>,
}

impl Drift {
    /// Computes drift from what was last read; reads nothing itself.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let answer = match Remote::of(common)? {
            Some(remote) => self.ask(&remote).await?,
            None => self.read(&Context::open_to_read(common).await?).await?,
        };
        if common.json {
            output::json(&document(&answer))?;
        } else {
            show(&answer, &self.system, self.all)?;
        }
        Ok(if answer.items.is_empty() { Outcome::Clean } else { Outcome::Outstanding })
    }

    async fn read(&self, context: &Context) -> anyhow::Result<Answer> {
        let systems =
            self.system.iter().map(|name| context.system_name(name)).collect::<anyhow::Result<_>>()?;
        let loaded = context.load(self.at).await?;
        require_read(&loaded.snapshot)?;
        let scope = self.scope(systems);
        let evaluation = loaded.evaluate()?;
        for identity in &scope.identities {
            explain::require_identity(&evaluation, identity)?;
        }
        let mut items = rules::drift(&evaluation);
        drop(evaluation);
        items.retain(|item| scope.covers(item));
        let known = |name: &&SystemName| loaded.snapshot.systems.iter().any(|system| system.name == **name);
        let unread = context.settings.keys().filter(|name| !known(name)).map(Source::unread);
        let sources = loaded.snapshot.systems.iter().map(Source::of).chain(unread).collect();
        Ok(Answer { items, sources })
    }

    /// What is asked for once is left to the server to filter; of what is asked for several times it gives all, and what
    /// is not wanted is left out here.
    async fn ask(&self, remote: &Remote) -> anyhow::Result<Answer> {
        let mut query: Vec<(&str, String)> = Vec::new();
        let kinds: Vec<String> = self.kind.iter().map(|kind| kind.as_str().to_owned()).collect();
        for (name, values) in [("kind", &kinds), ("system", &self.system), ("identity", &self.identity)] {
            if let [value] = values.as_slice() {
                query.push((name, value.clone()));
            }
        }
        query.extend(self.at.map(|at| ("at", at.to_string())));
        let (rows, Rest { summary }) = remote.list::<Row<'static>, Rest>(&["drift"], &query).await?;
        let sources = summary.sources;
        if sources.iter().all(|source| source.epoch.is_none()) {
            bail!(NOTHING_READ);
        }
        for name in &self.system {
            let is_there = |source: &Source| source.system.as_str() == name;
            anyhow::ensure!(
                sources.iter().any(is_there),
                "{} has no system `{name}`, or none that you may see",
                remote.name()
            );
        }
        for identity in &self.identity {
            let known: Option<Value> = remote.find(&["identities", identity], &[]).await?;
            anyhow::ensure!(
                known.is_some(),
                "{} has no identity `{identity}`, or none that you may see",
                remote.name()
            );
        }
        let systems =
            self.system.iter().map(|name| SystemName::new(name.as_str())).collect::<Result<_, _>>()?;
        let scope = self.scope(systems);
        let items = rows.into_iter().map(DriftItem::from).filter(|item| scope.covers(item)).collect();
        Ok(Answer { items, sources })
    }

    fn scope(&self, systems: Vec<SystemName>) -> Scope {
        let identities = self.identity.iter().map(|key| IdentityKey(key.clone())).collect();
        Scope { systems, kinds: self.kind.clone(), identities, ..Scope::default() }
    }
}

/// What a server says beside the rows.
#[derive(Deserialize)]
struct Rest {
    summary: Summary,
}

#[derive(Deserialize)]
struct Summary {
    sources: Vec<Source>,
}

impl Source {
    fn of(system: &SystemState) -> Self {
        let latest = system.latest.as_ref();
        Self {
            system: system.name.clone(),
            epoch: latest.map(|epoch| epoch.id),
            completeness: latest.map(|epoch| epoch.completeness.as_str().to_owned()),
            observed_at: latest.map(|epoch| epoch.ended_at),
            detail: latest.map(|epoch| epoch.completeness.detail().to_owned()),
            complete_at: system.latest_complete.as_ref().map(|epoch| epoch.ended_at),
        }
    }

    fn unread(system: &SystemName) -> Self {
        let system = system.clone();
        Self { system, epoch: None, completeness: None, observed_at: None, detail: None, complete_at: None }
    }
}

/// All drift of what was loaded.
pub fn find(loaded: &Loaded) -> anyhow::Result<Vec<DriftItem>> {
    Ok(rules::drift(&loaded.evaluate()?))
}

/// Unknown is shown as unknown: before anything was read there is no drift to speak of, and no "no drift" either.
pub fn require_read(snapshot: &Snapshot) -> anyhow::Result<()> {
    if snapshot.systems.iter().all(|system| system.latest.is_none()) {
        bail!(NOTHING_READ);
    }
    Ok(())
}

/// What is said where nothing was read.
pub const NOTHING_READ: &str = "nothing was read by then, so nothing can be said; run `leasehold sync` first";

/// The documented form. Rows are written as they are met: a system at first contact has a million of them.
#[derive(Serialize)]
struct Document<'drift> {
    items: Rows<'drift>,
    summary: Value,
}

struct Rows<'drift>(&'drift [DriftItem]);

#[derive(Serialize, Deserialize)]
struct Row<'drift> {
    kind: DriftKind,
    system: Cow<'drift, SystemName>,
    account: Option<Cow<'drift, str>>,
    account_key: Option<Cow<'drift, AccountKey>>,
    identity: Option<Cow<'drift, IdentityKey>>,
    entitlement: Option<Cow<'drift, EntitlementName>>,
    #[serde(default)]
    credential: Option<Cow<'drift, CredentialName>>,
    since: Option<Timestamp>,
    because: Vec<String>,
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|item| Row {
            kind: item.kind,
            system: Cow::Borrowed(&item.system),
            account: item.login.as_deref().map(Cow::Borrowed),
            account_key: item.account.as_ref().map(Cow::Borrowed),
            identity: item.identity.as_ref().map(Cow::Borrowed),
            entitlement: item.entitlement.as_ref().map(Cow::Borrowed),
            credential: item.credential.as_ref().map(Cow::Borrowed),
            since: item.since,
            because: item.because.iter().map(Because::to_string).collect(),
        }))
    }
}

impl From<Row<'static>> for DriftItem {
    fn from(row: Row<'static>) -> Self {
        Self {
            kind: row.kind,
            system: row.system.into_owned(),
            account: row.account_key.map(Cow::into_owned),
            login: row.account.map(Cow::into_owned),
            identity: row.identity.map(Cow::into_owned),
            entitlement: row.entitlement.map(Cow::into_owned),
            credential: row.credential.map(Cow::into_owned),
            since: row.since,
            because: row.because.into_iter().map(|text| Because::Fact { text }).collect(),
        }
    }
}

fn document(answer: &Answer) -> Document<'_> {
    let Answer { items, sources } = answer;
    let mut by_kind: BTreeMap<&str, usize> = BTreeMap::new();
    for item in items {
        *by_kind.entry(item.kind.as_str()).or_default() += 1;
    }
    let summary = json!({"total": items.len(), "by_kind": by_kind, "sources": sources});
    Document { items: Rows(items), summary }
}

/// Prints a summary by kind, the items, and how fresh the sources are.
fn show(answer: &Answer, systems: &[String], all: bool) -> anyhow::Result<()> {
    let Answer { items, sources } = answer;
    let in_scope =
        |source: &&Source| systems.is_empty() || systems.iter().any(|name| source.system.as_str() == name);
    let unread: Vec<&str> = sources
        .iter()
        .filter(|source| source.epoch.is_none())
        .filter(in_scope)
        .map(|source| source.system.as_str())
        .collect();
    if items.is_empty() && !unread.is_empty() {
        let words = format!("no drift in what was read; nothing was read of {}", unread.join(", "));
        output::line(toned(words, Tone::Attention))?;
    } else if items.is_empty() {
        output::line(toned("no drift: everything that was read is justified", Tone::Good))?;
    } else {
        summary(items)?;
        let mut table = output::table(&["kind", "system", "account", "identity", "what", "because"]);
        let (shown, more) = output::screenful(items, all);
        for item in shown {
            let because: Vec<String> = item.because.iter().map(Because::to_string).collect();
            table.add_row([
                item.kind.to_string(),
                item.system.to_string(),
                item.login.clone().unwrap_or_else(|| "-".to_owned()),
                item.identity.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
                output::about(item.entitlement.as_ref(), item.credential.as_ref()),
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
    freshness(sources)
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

fn freshness(sources: &[Source]) -> anyhow::Result<()> {
    output::line("")?;
    for source in sources {
        let name = source.system.as_str();
        let words = match (&source.completeness, source.observed_at) {
            (Some(completeness), Some(at)) if completeness == "complete" => format!("complete, read {at}"),
            (Some(_), Some(at)) => {
                let detail = source.detail.as_deref().unwrap_or_default();
                let last = source.complete_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
                format!(
                    "{}, read {at}; last complete {last}: {}",
                    toned("partial", Tone::Bad),
                    output::safe(detail)
                )
            }
            _ => format!("{}; run `leasehold sync {name}`", toned("never read", Tone::Bad)),
        };
        output::line(format!("  {name:<16} {words}"))?;
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
        DriftKind::StaleCredential => "credentials older than allowed, or known to leavers",
        DriftKind::Posture => "weaknesses that the system itself reports",
        DriftKind::UnknownSystem => "used, and not governed",
    }
}
