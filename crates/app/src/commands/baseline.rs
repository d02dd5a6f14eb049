//! `leasehold baseline`: gives access that was there when a system was first connected a reason that ends.

use anyhow::Context as _;
use jiff::Timestamp;
use leasehold_model::id::IdentityKey;
use leasehold_model::reason::Baseline;
use leasehold_reconcile::stages::decide::in_force;
use serde_json::json;

use crate::Outcome;
use crate::context::{Common, Context, actor, parse_at};
use crate::output;

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

impl BaselineCommand {
    /// Adopts or lists.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let context = Context::open_to_change(common).await?;
        match self.what {
            What::Adopt { system, until, owner } => adopt(&context, &system, until, owner).await,
            What::End { system } => end(&context, &system).await,
            What::List => list(&context).await,
        }
    }
}

async fn adopt(
    context: &Context,
    system: &str,
    until: Timestamp,
    owner: Option<String>,
) -> anyhow::Result<Outcome> {
    let name = context.system(system)?.name.clone();
    let now = context.now();
    if until <= now {
        anyhow::bail!("a baseline must end in the future; {until} is past");
    }
    let snapshot = context.store.snapshot(None).await?;
    let read =
        snapshot.systems.iter().find(|state| state.name == name).and_then(|state| state.latest.as_ref());
    read.with_context(|| format!("system `{name}` was not read yet; run `leasehold sync {name}` first"))?;
    let owner = owner.unwrap_or_else(actor);
    check_owner(context, &owner).await?;
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
    if context.json {
        output::json(&json!({"items": [baseline], "summary": {"grants": grants}}))?;
    } else {
        output::line(format!(
            "{} of {name} {} justified until {until} by a baseline owned by {}; after that they are drift unless a role or an exception covers them",
            output::count(grants, "direct grant"),
            if grants == 1 { "is" } else { "are" },
            baseline.owner
        ))?;
    }
    Ok(Outcome::Clean)
}

/// No reason outlives its owner (law 4), so one who has left cannot answer for anything, and whoever is no identity is
/// worth a word.
async fn check_owner(context: &Context, owner: &str) -> anyhow::Result<()> {
    let loaded = context.load(None).await?;
    match loaded.evaluate()?.owner_is_live(&IdentityKey::from(owner)) {
        Some(true) => {}
        Some(false) => anyhow::bail!(
            "`{owner}` has left or may hold no access, so nothing can be owned by them; name somebody else with --owner; \
             nothing was changed"
        ),
        None if loaded.snapshot.identities.is_empty() => {}
        None => output::remark(format!(
            "warning: `{owner}` is no identity that was read, so nobody will notice when they leave; name one with --owner"
        )),
    }
    Ok(())
}

async fn end(context: &Context, system: &str) -> anyhow::Result<Outcome> {
    let name = context.system_name(system)?;
    let ended = context.store.end_baseline(&name, context.now()).await?;
    let ended = ended.with_context(|| {
        format!("no baseline of system `{name}` is in force; `leasehold baseline list` shows what there is")
    })?;
    context.publish().await?;
    if context.json {
        output::json(&json!({"items": [ended], "summary": {"total": 1}}))?;
    } else {
        output::line(format!(
            "the baseline of {name} ended at {}; what only it justified is drift now, see `leasehold drift --system {name}`",
            ended.until
        ))?;
    }
    Ok(Outcome::Clean)
}

async fn list(context: &Context) -> anyhow::Result<Outcome> {
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
    if context.json {
        let rows: Vec<_> = baselines
            .iter()
            .map(|baseline| {
                let mut row = json!(baseline);
                row["state"] = json!(state(baseline));
                row
            })
            .collect();
        output::json(&json!({"items": rows, "summary": {"total": baselines.len()}}))?;
    } else if baselines.is_empty() {
        output::line("no baseline was adopted")?;
    } else {
        let mut table = output::table(&["system", "state", "until", "owner", "adopted", "covers up to"]);
        for baseline in &baselines {
            table.add_row([
                baseline.system.to_string(),
                state(baseline).to_owned(),
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
