//! `leasehold apply`: carries out a plan, reads everything back, and prints the receipts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use leasehold_decide::plan::Scope;
use leasehold_model::action::ActionState;
use leasehold_model::plan::{Guard, Plan};
use leasehold_model::receipt::ActionReceipt;
use leasehold_reconcile::pace::Patience;
use leasehold_reconcile::run::Runner;
use leasehold_reconcile::stages::plan;
use leasehold_reconcile::system::Systems;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::plan::PlanDocument;
use crate::Outcome;
use crate::context::{Common, Context, actor, known_actor};
use crate::output::{self, Tone, row, toned};
use crate::progress::Progress;
use crate::remote::Remote;

/// Arguments of `apply`.
#[derive(Debug, clap::Args)]
pub struct Apply {
    /// A plan written by `leasehold plan --out`; without one, what was interrupted is finished and a fresh plan applied
    plan: Option<PathBuf>,
    /// Override a guard by its name; the override is logged
    #[arg(long = "override", value_name = "GUARD")]
    overrides: Vec<String>,
    /// How often an action is sent before a person is asked: 5 times, unless this says otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    tries: Option<u32>,
    /// List every receipt, however many
    #[arg(long)]
    all: bool,
}

/// What became of a plan.
struct Applied {
    receipts: Vec<ActionReceipt>,
    guards: Vec<Guard>,
}

impl Apply {
    /// Applies; may be killed at any point and run again.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let Applied { receipts, guards } = match Remote::of(common)? {
            Some(remote) => self.ask(&remote).await?,
            None => self.carry_out(Context::open_to_change(common).await?).await?,
        };
        let held = receipts.iter().filter(|receipt| receipt.state == ActionState::Planned).count();
        if common.json {
            let mut document = document(&receipts);
            document["guards"] = json!(guards);
            output::json(&document)?;
        } else {
            show(&receipts, self.all)?;
            for guard in guards.iter().filter(|_| held > 0) {
                output::line(format!(
                    "\n{} {}: {}\n  {}",
                    toned("guard", Tone::Attention),
                    output::safe(&guard.name),
                    output::safe(&guard.message),
                    output::safe_lines(&guard.way_on)
                ))?;
            }
        }
        Ok(if receipts.iter().all(ActionReceipt::is_done) { Outcome::Clean } else { Outcome::Outstanding })
    }

    async fn carry_out(&self, mut context: Context) -> anyhow::Result<Applied> {
        let systems = context.connect_all()?;
        if !self.overrides.is_empty() && known_actor().is_none() {
            anyhow::bail!(
                "an override is recorded with the name of who made it, and neither LEASEHOLD_ACTOR nor USER is set; set one of \
                 them; nothing was changed"
            );
        }
        let by = actor();
        let progress = Progress::new("applying");
        let sends_max = self.tries.unwrap_or(Patience::default().sends_max);
        let runner = runner(&context, systems, progress, Patience { sends_max, ..Patience::default() });
        let mut rows = Vec::new();
        let guards;
        let result = match &self.plan {
            Some(path) => {
                let plan = read_plan(path)?;
                guards = plan.guards.clone();
                runner.apply(&plan, &self.overrides, &by).await.map(|applied| rows.extend(applied))
            }
            None => {
                rows.extend(runner.resume().await?);
                let loaded = context.load(None).await?;
                super::drift::require_read(&loaded.snapshot)?;
                let plan = plan::make(&context.store, &loaded, &Scope::default()).await?;
                guards = plan.guards.clone();
                runner.apply(&plan, &self.overrides, &by).await.map(|applied| rows.extend(applied))
            }
        };
        // What was done is published even where the rest failed.
        context.publish().await?;
        result?;
        Ok(Applied { receipts: rows.iter().map(ActionReceipt::from).collect(), guards })
    }

    /// Approves the plan at the server, which carries it out whether or not anybody watches. What was interrupted there,
    /// the server itself finishes.
    async fn ask(&self, remote: &Remote) -> anyhow::Result<Applied> {
        #[derive(Deserialize)]
        struct Named {
            hash: String,
        }
        #[derive(Deserialize)]
        struct Asked {
            task: String,
        }
        #[derive(Deserialize)]
        struct Done {
            actions: Vec<ActionReceipt>,
            guards: Vec<Guard>,
        }
        anyhow::ensure!(
            self.tries.is_none(),
            "a server decides by itself how often it sends an action; leave --tries out"
        );
        let hash = match &self.plan {
            Some(path) => read_file::<Named>(path)?.hash,
            None => {
                super::plan::require_read(remote).await?;
                let plan: PlanDocument = remote.post(&["plans"], &[], json!({})).await?;
                plan.hash().to_owned()
            }
        };
        let overrides = json!({"overrides": self.overrides});
        let Asked { task } = remote.post(&["plans", &hash, "apply"], &[], overrides).await?;
        let ended = remote.wait(&task, &Progress::new("applying")).await;
        let Done { actions, guards } = remote.get(&["plans", &hash], &[]).await?;
        ended?;
        Ok(Applied { receipts: actions, guards })
    }
}

/// Reads a plan's file.
fn read_plan(path: &Path) -> anyhow::Result<Plan> {
    read_file(path)
}

fn read_file<Form: DeserializeOwned>(path: &Path) -> anyhow::Result<Form> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the plan {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| {
        format!("{} is not a plan; write one with `leasehold plan --out plan.json`", path.display())
    })
}

/// A runner that shows how far it is.
pub fn runner(context: &Context, systems: Systems, progress: Progress, patience: Patience) -> Runner {
    let finished = AtomicUsize::new(0);
    let watch = move |item: &leasehold_model::plan::PlanItem, state: ActionState| {
        if state.is_final() {
            finished.fetch_add(1, Ordering::Relaxed);
        }
        progress.say(format!(
            "{} done, {} {} {state}",
            finished.load(Ordering::Relaxed),
            item.system,
            item.account
        ));
    };
    Runner {
        store: context.store.clone(),
        systems,
        pace: context.pace.clone(),
        patience,
        watch: Arc::new(watch),
    }
}

/// The documented form of several.
pub fn document(receipts: &[ActionReceipt]) -> Value {
    let mut summary = serde_json::Map::new();
    for state in [
        ActionState::Verified,
        ActionState::Stuck,
        ActionState::Unverifiable,
        ActionState::Void,
        ActionState::Planned,
    ] {
        let number = receipts.iter().filter(|receipt| receipt.state == state).count();
        summary.insert(state.as_str().to_owned(), json!(number));
    }
    json!({"items": receipts, "summary": summary})
}

/// A reason longer than this, in characters, is cut; `--json` has all of it.
const REASON_CHARS_MAX: usize = 1_000;

/// States in which an action waits for a person, who needs to know why.
fn waits_for_a_person(row: &ActionReceipt) -> bool {
    matches!(row.state, ActionState::Stuck | ActionState::Contradicted | ActionState::Unverifiable)
}

/// What waits for a person, each with its reason. What is stuck is never left out.
fn waiting(rows: &[ActionReceipt], all: bool) -> anyhow::Result<()> {
    let of = |state| rows.iter().filter(move |row| row.state == state);
    let stuck = of(ActionState::Stuck).collect::<Vec<_>>();
    let others: Vec<_> = of(ActionState::Contradicted).chain(of(ActionState::Unverifiable)).collect();
    let (shown, more) = output::screenful(&others, all);
    for row in stuck.iter().chain(shown) {
        let entitlement = row.entitlement.as_ref().map(|name| format!(" {name}"));
        let credential = row.credential.as_ref().map(|name| format!(" {name}"));
        let entitlement = entitlement.or(credential).unwrap_or_default();
        let tone = if row.state == ActionState::Unverifiable { Tone::Attention } else { Tone::Bad };
        output::line(format!(
            "{}  {} {} {}",
            toned(row.state.as_str(), tone),
            row.verb.as_str().replace('_', " "),
            row.system,
            output::safe(format!("{}{entitlement}", row.account)),
        ))?;
        let reason =
            row.reason.as_deref().filter(|reason| !reason.is_empty()).unwrap_or("no reason was given");
        let cut: String = reason.chars().take(REASON_CHARS_MAX).collect();
        let end = if cut.len() < reason.len() { "… (`--json` has all of it)" } else { "" };
        output::line(format!("  because {}{end}", output::safe(cut)))?;
        if let Some(at) = row.read_back_at {
            let entry = row.ledger_index.map(|index| format!(", ledger entry {index}")).unwrap_or_default();
            output::line(format!("  read back {at}{entry}"))?;
        }
    }
    if more > 0 {
        output::line(format!("… and {more} more; `--all` lists them"))?;
    }
    Ok(())
}

/// Prints the receipts: what waits for a person first, then what is not verified, then the rest.
pub fn show(rows: &[ActionReceipt], all: bool) -> anyhow::Result<()> {
    if rows.is_empty() {
        output::line(toned("nothing to do", Tone::Good))?;
        return Ok(());
    }
    waiting(rows, all)?;
    let mut sorted: Vec<&ActionReceipt> = rows.iter().filter(|row| !waits_for_a_person(row)).collect();
    sorted.sort_by_key(|row| row.state == ActionState::Verified);
    let mut table = output::table(&["state", "", "system", "account", "what", "read back", "ledger"]);
    let (shown, more) = output::screenful(&sorted, all);
    for row in shown {
        let tone = match row.state {
            ActionState::Verified => Tone::Good,
            ActionState::Void | ActionState::Planned => Tone::Quiet,
            _ => Tone::Attention,
        };
        let state = if row.state == ActionState::Planned { "held" } else { row.state.as_str() };
        table.add_row(row![
            toned(state, tone),
            row.verb.as_str().replace('_', " "),
            row.system.as_str(),
            row.account.as_str(),
            output::about_action(row.entitlement.as_ref(), row.credential.as_ref(), row.to.as_ref()),
            row.read_back_at.map_or_else(|| row.reason.clone().unwrap_or_default(), |at| at.to_string()),
            row.ledger_index.map_or_else(|| "-".to_owned(), |index| index.to_string()),
        ]);
    }
    if sorted.len() < rows.len() && !sorted.is_empty() {
        output::line("")?;
    }
    if !sorted.is_empty() {
        output::line(table)?;
    }
    if more > 0 {
        output::line(format!("… and {more} more; `--all` lists them"))?;
    }
    output::line(format!("\n{}", tally(rows)))?;
    if rows.iter().any(|row| row.state == ActionState::Stuck) {
        output::line(
            "stuck actions wait for a person: once the cause is mended, `leasehold sync` and `leasehold apply` try again",
        )?;
    }
    Ok(())
}

/// `12 verified, 1 stuck`.
pub fn tally(rows: &[ActionReceipt]) -> String {
    let words = ActionState::ALL.iter().filter_map(|state| {
        let number = rows.iter().filter(|row| row.state == *state).count();
        let word = if *state == ActionState::Planned { "held by a guard" } else { state.as_str() };
        (number > 0).then(|| format!("{number} {word}"))
    });
    words.collect::<Vec<_>>().join(", ")
}
