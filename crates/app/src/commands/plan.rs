//! `leasehold plan`: what would be changed, for whom, what is left alone and why, and what holds it back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use leasehold_decide::plan::Scope;
use leasehold_model::credential::CredentialName;
use leasehold_model::decision::DriftKind;
use leasehold_model::id::{AccountKey, ActionId, EntitlementName, IdentityKey, PlanHash, SystemName};
use leasehold_model::plan::{Guard, LeftAlone, Plan, PlanItem, StateFingerprint, Verb};
use leasehold_model::request::AccountTarget;
use leasehold_reconcile::stages::plan;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::drift::NOTHING_READ;
use crate::Outcome;
use crate::context::{Common, Context};
use crate::output::{self, Tone, row, toned};
use crate::remote::Remote;

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

/// The documented form of a plan. The file that `--out` writes on the machine of the store holds the plan itself.
#[derive(Serialize, Deserialize)]
pub struct PlanDocument {
    hash: PlanHash,
    items: Vec<Item>,
    left_alone: Vec<LeftAlone>,
    pub guards: Vec<Guard>,
    /// Non-humans, and who takes each over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    successors: BTreeMap<IdentityKey, IdentityKey>,
    state: StateFingerprint,
}

/// One action of it.
#[derive(Serialize, Deserialize)]
struct Item {
    id: ActionId,
    verb: Verb,
    system: SystemName,
    account: String,
    account_key: AccountKey,
    identity: Option<IdentityKey>,
    entitlement: Option<EntitlementName>,
    #[serde(default)]
    credential: Option<CredentialName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<AccountTarget>,
    because: Vec<String>,
    also_loses: Vec<EntitlementName>,
    after: Vec<ActionId>,
}

/// An earlier plan is written over, and nothing else that somebody may need.
fn demand_replaceable(path: &Path) -> anyhow::Result<()> {
    let Ok(bytes) = std::fs::read(path) else { return Ok(()) };
    let is_plan = |value: serde_json::Value| value["hash"].is_string() && value["items"].is_array();
    if !bytes.is_empty() && !serde_json::from_slice(&bytes).is_ok_and(is_plan) {
        bail!(
            "{} is there and is no plan, so it stays as it is; name another file with --out",
            path.display()
        );
    }
    Ok(())
}

impl PlanCommand {
    /// Makes a plan from what was last read; changes nothing anywhere.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        if let Some(path) = &self.out {
            demand_replaceable(path)?;
        }
        let (document, text) = match Remote::of(common)? {
            Some(remote) => {
                let document = self.ask(&remote).await?;
                let text = serde_json::to_string_pretty(&document)?;
                (document, text)
            }
            None => {
                let plan = self.make(Context::open_to_change(common).await?).await?;
                let text = serde_json::to_string_pretty(&plan)?;
                (PlanDocument::from(plan), text)
            }
        };
        if let Some(path) = &self.out {
            std::fs::write(path, text)
                .with_context(|| format!("cannot write the plan to {}", path.display()))?;
        }
        if common.json {
            output::json(&document)?;
        } else {
            document.show(self.all)?;
            if let Some(path) = &self.out {
                output::line(format!(
                    "\nwritten to {0}; carry it out with `leasehold apply {0}`",
                    path.display()
                ))?;
            }
        }
        Ok(if document.items.is_empty() { Outcome::Clean } else { Outcome::Outstanding })
    }

    async fn make(&self, mut context: Context) -> anyhow::Result<Plan> {
        context.learn_abilities();
        let systems = self.system.iter().map(|name| context.system_name(name));
        let identities = self.identity.iter().map(|key| IdentityKey(key.clone()));
        let scope = Scope {
            systems: systems.collect::<anyhow::Result<_>>()?,
            kinds: self.kind.clone(),
            identities: identities.collect(),
            restore: self.restore,
            to_come: true,
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
        Ok(plan)
    }

    async fn ask(&self, remote: &Remote) -> anyhow::Result<PlanDocument> {
        require_read(remote).await?;
        let scope = json!({
            "systems": self.system,
            "kinds": self.kind,
            "identities": self.identity,
            "restore": self.restore,
        });
        remote.post(&["plans"], &[], scope).await
    }
}

/// Before a server has read anything there is nothing to plan.
pub async fn require_read(remote: &Remote) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Systems {
        items: Vec<Face>,
    }
    #[derive(Deserialize)]
    struct Face {
        source: Source,
    }
    #[derive(Deserialize)]
    struct Source {
        epoch: Option<i64>,
    }
    // Whoever may plan and see no system is told by the plan itself.
    let systems: Option<Systems> = remote.get(&["systems"], &[]).await.ok();
    let is_unread = |systems: &Systems| systems.items.iter().all(|face| face.source.epoch.is_none());
    if systems.is_some_and(|systems| !systems.items.is_empty() && is_unread(&systems)) {
        bail!(NOTHING_READ);
    }
    Ok(())
}

impl From<Plan> for PlanDocument {
    fn from(plan: Plan) -> Self {
        let item = |item: PlanItem| Item {
            id: item.id,
            verb: item.verb,
            system: item.system,
            account: item.account,
            account_key: item.account_key,
            identity: item.identity,
            entitlement: item.entitlement,
            credential: item.credential,
            to: item.to,
            because: item.because,
            also_loses: item.also_loses,
            after: item.after,
        };
        Self {
            hash: plan.hash,
            items: plan.items.into_iter().map(item).collect(),
            left_alone: plan.left_alone,
            guards: plan.guards,
            successors: plan.successors,
            state: plan.state,
        }
    }
}

impl PlanDocument {
    /// Its whole hash.
    pub fn hash(&self) -> &str {
        self.hash.as_str()
    }

    /// Prints it.
    pub fn show(&self, all: bool) -> anyhow::Result<()> {
        if self.items.is_empty() {
            output::line(toned("nothing to do", Tone::Good))?;
        } else {
            let mut table = output::table(&["", "system", "account", "what", "because", "also loses"]);
            let (shown, more) = output::screenful(&self.items, all);
            for item in shown {
                let tone = if item.verb.takes_away() { Tone::Bad } else { Tone::Good };
                let held = if self.guards.iter().any(|guard| guard.holds.contains(&item.id)) {
                    " (held)"
                } else {
                    ""
                };
                let also: Vec<String> = item.also_loses.iter().map(ToString::to_string).collect();
                table.add_row(row![
                    toned(format!("{}{held}", item.verb.as_str().replace('_', " ")), tone),
                    item.system.as_str(),
                    item.account.as_str(),
                    output::about_action(
                        item.entitlement.as_ref(),
                        item.credential.as_ref(),
                        item.to.as_ref()
                    ),
                    item.because.join("; "),
                    also.join(", "),
                ]);
            }
            output::line(table)?;
            if more > 0 {
                output::line(format!("… and {more} more; `--all` lists them"))?;
            }
        }
        if !self.left_alone.is_empty() {
            output::line(format!("\n{}", toned("left alone", Tone::Strong)))?;
            let mut table = output::table(&["system", "account", "entitlement", "why"]);
            let (shown, more) = output::screenful(&self.left_alone, all);
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
        if !self.successors.is_empty() {
            output::line(format!("\n{}", toned("taken over", Tone::Strong)))?;
            let mut table = output::table(&["what", "by"]);
            for (identity, owner) in &self.successors {
                table.add_row([identity.to_string(), owner.to_string()]);
            }
            output::line(table)?;
        }
        for guard in &self.guards {
            output::line(format!(
                "\n{} {}: {}\n  {} wait\n  {}",
                toned("guard", Tone::Attention),
                output::safe(&guard.name),
                output::safe(&guard.message),
                output::count(guard.holds.len(), "action"),
                output::safe_lines(&guard.way_on)
            ))?;
        }
        output::line(format!(
            "\n{} in plan {}",
            output::count(self.items.len(), "action"),
            short(&self.hash)
        ))?;
        Ok(())
    }
}

/// The beginning of a plan's hash, enough to tell plans apart.
fn short(hash: &PlanHash) -> &str {
    &hash.as_str()[..12.min(hash.as_str().len())]
}
