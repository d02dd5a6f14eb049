//! `leasehold baseline`: gives access that was there when a system was first connected a reason that ends.

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use leasehold_model::id::IdentityKey;
use leasehold_model::reason::Baseline;
use leasehold_reconcile::stages::decide::in_force;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Outcome;
use crate::context::{Common, Context, actor, parse_at};
use crate::output;
use crate::remote::Remote;

/// Arguments of `baseline`.
#[derive(Debug, clap::Args)]
pub struct BaselineCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Justify every direct grant that a system has now, until a date
    Adopt {
        /// The system
        system: String,
        /// When it ends: a date or an instant
        #[arg(long, value_name = "DATE", value_parser = parse_at)]
        until: Timestamp,
        /// Who answers for it: an identity; without one, whoever runs this
        #[arg(long, value_name = "IDENTITY")]
        owner: Option<String>,
    },
    /// End a system's baseline now, before its date
    End {
        /// The system
        system: String,
    },
    /// List the baselines that count, and those that others have replaced
    List,
}

/// A baseline in the documented form; where it is the only one, its state goes without saying.
#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(flatten)]
    baseline: Baseline,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

/// What was adopted, and how much it covers.
#[derive(Deserialize)]
struct Adopted {
    #[serde(flatten)]
    baseline: Baseline,
    grants: usize,
    owner_is_unknown: bool,
}

impl BaselineCommand {
    /// Adopts, ends or lists, here or at a server.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        if let Some(remote) = Remote::of(common)? {
            return self.ask(&remote, common.json).await;
        }
        let context = Context::open_to_change(common).await?;
        match self.what {
            What::Adopt { system, until, owner } => {
                show_adopted(common.json, &adopt(&context, &system, until, owner).await?)
            }
            What::End { system } => show_ended(common.json, &end(&context, &system).await?),
            What::List => show_list(common.json, &list(&context).await?),
        }
    }

    async fn ask(self, remote: &Remote, json: bool) -> anyhow::Result<Outcome> {
        #[derive(Deserialize)]
        struct List {
            items: Vec<Row>,
        }
        match self.what {
            What::Adopt { system, until, owner } => {
                let new = json!({"system": system, "until": until, "owner": owner});
                show_adopted(json, &remote.post(&["baselines"], &[], new).await?)
            }
            What::End { system } => {
                let ended: Row = remote.delete(&["baselines", &system]).await?;
                show_ended(json, &ended.baseline)
            }
            What::List => show_list(json, &remote.get::<List>(&["baselines"], &[]).await?.items),
        }
    }
}

async fn adopt(
    context: &Context,
    system: &str,
    until: Timestamp,
    owner: Option<String>,
) -> anyhow::Result<Adopted> {
    let name = context.system(system)?.name.clone();
    let now = context.now();
    if until <= now {
        bail!("a baseline must end in the future; {until} is past");
    }
    let snapshot = context.store.snapshot(None).await?;
    let read =
        snapshot.systems.iter().find(|state| state.name == name).and_then(|state| state.latest.as_ref());
    read.with_context(|| format!("system `{name}` was not read yet; run `leasehold sync {name}` first"))?;
    let owner = owner.unwrap_or_else(actor);
    let owner_is_unknown = check_owner(context, &owner).await?;
    // What the latest change of the store has shown is covered; what comes later is not.
    let epoch = snapshot.epoch_ended_at.keys().next_back().copied().unwrap_or_default();
    let baseline = Baseline { system: name.clone(), epoch, until, owner, adopted_at: now };
    context.store.adopt_baseline(&baseline, now).await?;
    context.publish().await?;
    let position = snapshot.system_position(&name);
    let of_system = |grant: &&leasehold_model::snapshot::SnapshotGrant| {
        Some(snapshot.accounts[grant.account as usize].system) == position
    };
    let grants = snapshot.grants.iter().filter(of_system).count();
    Ok(Adopted { baseline, grants, owner_is_unknown })
}

fn show_adopted(json: bool, adopted: &Adopted) -> anyhow::Result<Outcome> {
    let Adopted { baseline, grants, owner_is_unknown } = adopted;
    if *owner_is_unknown {
        output::remark(format!(
            "warning: `{}` is no identity that was read, so nobody will notice when they leave; name one with --owner",
            baseline.owner
        ));
    }
    if json {
        output::json(&json!({"items": [baseline], "summary": {"grants": grants}}))?;
    } else {
        output::line(format!(
            "{} of {} {} justified until {} by a baseline owned by {}; after that they are drift unless a role or an exception covers them",
            output::count(*grants, "direct grant"),
            baseline.system,
            if *grants == 1 { "is" } else { "are" },
            baseline.until,
            baseline.owner
        ))?;
    }
    Ok(Outcome::Clean)
}

/// No reason outlives its owner (law 4), so one who has left cannot answer for anything; whether whoever answers is no
/// identity that was read, which is worth a word.
async fn check_owner(context: &Context, owner: &str) -> anyhow::Result<bool> {
    let loaded = context.load(None).await?;
    match loaded.evaluate()?.owner_is_live(&IdentityKey::from(owner)) {
        Some(true) => Ok(false),
        Some(false) => bail!(
            "`{owner}` has left or may hold no access, so nothing can be owned by them; name somebody else with --owner; \
             nothing was changed"
        ),
        None => Ok(!loaded.snapshot.identities.is_empty()),
    }
}

async fn end(context: &Context, system: &str) -> anyhow::Result<Baseline> {
    let name = context.system_name(system)?;
    let ended = context.store.end_baseline(&name, context.now()).await?;
    let ended = ended.with_context(|| {
        format!("no baseline of system `{name}` is in force; `leasehold baseline list` shows what there is")
    })?;
    context.publish().await?;
    Ok(ended)
}

fn show_ended(json: bool, ended: &Baseline) -> anyhow::Result<Outcome> {
    if json {
        output::json(&json!({"items": [ended], "summary": {"total": 1}}))?;
    } else {
        output::line(format!(
            "the baseline of {0} ended at {1}; what only it justified is drift now, see `leasehold drift --system {0}`",
            ended.system, ended.until
        ))?;
    }
    Ok(Outcome::Clean)
}

async fn list(context: &Context) -> anyhow::Result<Vec<Row>> {
    let baselines = context.store.baselines().await?;
    let in_force = in_force(baselines.clone());
    let loaded = context.load(None).await?;
    let evaluation = loaded.evaluate()?;
    let state = |baseline: &Baseline| match in_force.contains(baseline) {
        true if evaluation.baseline_end(baseline) > context.now() => "in force",
        true if baseline.until > context.now() => "ended with its owner",
        true => "ended",
        false => "replaced",
    };
    let row = |baseline: Baseline| Row { state: Some(state(&baseline).to_owned()), baseline };
    Ok(baselines.into_iter().map(row).collect())
}

fn show_list(json: bool, rows: &[Row]) -> anyhow::Result<Outcome> {
    if json {
        output::json(&json!({"items": rows, "summary": {"total": rows.len()}}))?;
    } else if rows.is_empty() {
        output::line("no baseline was adopted")?;
    } else {
        let mut table = output::table(&["system", "state", "until", "owner", "adopted", "covers up to"]);
        for Row { baseline, state } in rows {
            table.add_row([
                baseline.system.to_string(),
                state.clone().unwrap_or_default(),
                baseline.until.to_string(),
                baseline.owner.clone(),
                baseline.adopted_at.to_string(),
                baseline.epoch.to_string(),
            ]);
        }
        output::line(table)?;
    }
    Ok(Outcome::Clean)
}
