//! `leasehold offboard`: ends everything that somebody holds, reads it back, and writes the receipt.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use leasehold_decide::evaluate::Evaluation;
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::identity::IdentityKind;
use leasehold_model::plan::Plan;
use leasehold_model::receipt::ActionReceipt;
use leasehold_reconcile::pace::{Deadline, Patience, WhenLate};
use leasehold_reconcile::run::Runner;
use leasehold_reconcile::stages::decide::Loaded;
use leasehold_reconcile::stages::observe::Observe;
use leasehold_reconcile::tasks;
use leasehold_reconcile::workflow::offboard;
use serde::Deserialize;
use serde_json::{Value, json};

use super::apply;
use super::explain::require_identity;
use super::plan::PlanDocument;
use super::{drift, receipt, sync};
use crate::Outcome;
use crate::context::{Common, Context, known_actor, parse_at};
use crate::output;
use crate::progress::Progress;
use crate::remote::Remote;

/// How long an emergency lasts at most, the receipt not counted: under a minute with it.
const EMERGENCY_SECONDS: u32 = 45;

/// How long a system is waited for when an emergency is over and it is read again.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(10);

/// Arguments of `offboard`.
#[derive(Debug, clap::Args)]
pub struct Offboard {
    /// Whom: the primary key in the people feed, usually a mail address
    identity: String,
    /// Not now but then: an instant with its offset, or a day, whose end (UTC) it is; a running server ends everything then
    #[arg(long, value_name = "TIME", value_parser = parse_at, conflicts_with_all = ["now", "cancel"])]
    at: Option<Timestamp>,
    /// An emergency: do not read the systems again first, and do not ask
    #[arg(long)]
    now: bool,
    /// Do not ask before anything is changed
    #[arg(long, short)]
    yes: bool,
    /// Take back that they leave: what the source says counts again, and nothing is given back by itself
    #[arg(long, conflicts_with_all = ["now", "yes", "overrides", "out"])]
    cancel: bool,
    /// Who takes over every non-human that they answer for
    #[arg(long, value_name = "IDENTITY", conflicts_with_all = ["at", "cancel"])]
    successor: Option<String>,
    /// Override a guard by its name; the override is logged
    #[arg(long = "override", value_name = "GUARD")]
    overrides: Vec<String>,
    /// How often an action is sent before a person is asked: 5 times, unless this says otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100), conflicts_with_all = ["at", "cancel"])]
    tries: Option<u32>,
    /// How long it may last: what is not read back by then is listed, and no longer waited for; an emergency lasts 45 seconds,
    /// unless this says otherwise
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400), conflicts_with_all = ["at", "cancel"])]
    within: Option<u32>,
    /// Where to write the receipt; never over another file [default: offboarding-IDENTITY-TIME.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Offboard {
    /// Offboards somebody, or says when that is to be done.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let identity = IdentityKey::from(self.identity.trim());
        receipt::refuse_existing(self.out.as_deref())?;
        match (Remote::of(common)?, self.at, self.cancel) {
            (Some(remote), None, false) => self.ask_server(common, &remote, &identity).await,
            (Some(remote), Some(at), _) => {
                #[derive(Deserialize)]
                struct Recorded {
                    task: String,
                }
                let body = json!({ "at": at });
                let Recorded { task } = remote.put(&["identities", &identity.0, "departure"], body).await?;
                scheduled(common, &identity, at, &task)
            }
            (Some(remote), None, true) => {
                #[derive(Deserialize)]
                struct TakenBack {
                    taken_back: bool,
                }
                let TakenBack { taken_back } =
                    remote.delete(&["identities", &identity.0, "departure"]).await?;
                taken(common, &identity, taken_back)
            }
            (None, None, false) => self.here(common, &identity).await,
            (None, Some(at), _) => {
                let (context, by) = (Context::open_to_change(common).await?, named_actor()?);
                ensure!(
                    at > context.now(),
                    "--at {at} has passed; leave it out to offboard now; nothing was changed"
                );
                let loaded = context.load(None).await?;
                known(&loaded, &identity)?;
                if !context.store.record_departure(&identity, at, &by, context.now()).await? {
                    let folded = identity.folded();
                    let earlier = loaded.departures.iter().find(|found| found.identity.as_str() == folded);
                    let when = earlier.map_or_else(String::new, |earlier| format!(" at {}", earlier.end));
                    bail!(
                        "it is decided already that {identity} leaves{when}; `leasehold offboard {identity} --cancel` takes that \
                         back; nothing was changed"
                    );
                }
                let task = tasks::offboard::request(&identity, at, &by);
                let task = context.store.request_task(&task, context.now()).await?;
                context.publish().await?;
                scheduled(common, &identity, at, task.id())
            }
            (None, None, true) => {
                let (context, by) = (Context::open_to_change(common).await?, named_actor()?);
                let taken_back = context.store.rescind_departure(&identity, &by, context.now()).await?;
                context.publish().await?;
                taken(common, &identity, taken_back)
            }
        }
    }

    /// On the machine of the store.
    async fn here(&self, common: &Common, identity: &IdentityKey) -> anyhow::Result<Outcome> {
        let begun = Instant::now();
        let mut context = Context::open_to_change(common).await?;
        let (systems, by, began_at) = (context.connect_all()?, named_actor()?, context.now());
        if !self.now {
            // What somebody got since the last reading ends, too. A system that does not answer holds up no other.
            let readings = sync::sync(&context, &[], Observe::default()).await?;
            for reading in readings.iter().filter(|reading| !reading.is_complete()) {
                output::remark(format!(
                    "{} was not read completely: what was known of it before counts",
                    reading.system()
                ));
            }
        }
        let loaded = context.load(None).await?;
        drift::require_read(&loaded.snapshot)?;
        let identity = known(&loaded, identity)?;
        if says_source(&loaded, &identity) {
            output::remark(format!(
                "{} has left by what their source says: nothing else is decided, and should it take that back, they are here again",
                output::safe(&identity)
            ));
        }
        if offboard::is_decided_by_the_plan(&loaded, &identity) {
            // Whatever was done when they left before is told already.
            context.store.note_leavings(&[], std::slice::from_ref(&identity), context.now()).await?;
        }
        let earlier = earlier_plans(&context, &loaded, &identity).await?;
        let plan = offboard::plan(loaded, &identity, Vec::new(), self.successor().as_ref())?;
        if !common.json {
            PlanDocument::from(plan.clone()).show(false)?;
        }
        // Whoever says no leaves no plan behind that somebody else could approve. Where all has ended already, only the receipt is left.
        if !(plan.items.is_empty() && plan.as_left.is_empty()) {
            self.confirm(&identity)?;
        }
        context.store.save_plan(&plan, context.now()).await?;
        // Each system has a worker of its own, so that a slow one holds up nobody else.
        let (systems_at_once, usual) = (systems.len().max(1), Patience::default());
        let sends_max = self.tries.unwrap_or(usual.sends_max);
        let patience = Patience { systems_at_once, sends_max, deadline: self.deadline(begun), ..usual };
        let runner = apply::runner(&context, systems, Progress::new("offboarding"), patience);
        let carried_out = self.carry_out(&context, &runner, &identity, &earlier, plan, &by).await;
        // What was done is published even where the rest failed.
        context.publish().await?;
        let plan = carried_out?;
        let unread = self.look_again(&context, &runner, &identity, &by, begun).await?;
        let (since, besides) = (Some(began_at), besides(&json!(plan)));
        match receipt::write(&context, &identity, &by, since).await {
            Ok((receipt, key)) => {
                let told = receipt::tell(common, self.out.clone(), &receipt, &key, &besides)?;
                Ok(if unread.is_empty() { told } else { Outcome::Outstanding })
            }
            Err(error) => {
                // What was done is said all the same.
                let rows = context.store.actions(&plan.hash).await?;
                show_actions(common, &rows.iter().map(ActionReceipt::from).collect::<Vec<_>>())?;
                Err(error.context("everything was carried out, and there is no receipt"))
            }
        }
    }

    /// Finishes what an earlier run began and left, then does what is left; gives the plan of that.
    async fn carry_out(
        &self,
        context: &Context,
        runner: &Runner,
        identity: &IdentityKey,
        earlier: &[Plan],
        plan: Plan,
        by: &str,
    ) -> anyhow::Result<Plan> {
        let unfinished = context.store.unfinished_actions().await?;
        let interrupted: Vec<&Plan> =
            earlier.iter().filter(|plan| unfinished.iter().any(|row| row.plan == plan.hash)).collect();
        let is_urgent = runner.patience.deadline.is_some();
        if interrupted.is_empty() || is_urgent {
            // Where there is little time it is for everything that is still there, which this plan holds; what an earlier one has
            // begun is found done then, or told as what it is.
            runner.apply(&plan, &self.overrides, by).await?;
        }
        if interrupted.is_empty() {
            return Ok(plan);
        }
        for plan in interrupted {
            // What is wrong with an earlier plan holds up nothing else; what it leaves open is told as such.
            if let Err(error) = runner.apply(plan, &[], by).await {
                tracing::warn!(plan = %plan.hash, "an earlier run of this offboarding cannot be finished: {error}");
            }
        }
        if is_urgent {
            return Ok(plan);
        }
        let loaded = context.load(None).await?;
        let plan = offboard::plan(loaded, identity, Vec::new(), self.successor().as_ref())?;
        // What a guard held may have ended with what was finished, and its override with it.
        let still_held = |name: &&String| plan.guards.iter().any(|guard| guard.name == **name);
        let overrides: Vec<String> = self.overrides.iter().filter(still_held).cloned().collect();
        runner.apply(&plan, &overrides, by).await?;
        Ok(plan)
    }

    /// Nothing was read before an emergency, so that what somebody got since the last reading stands still: the systems are read now,
    /// as far as there is time, and that ends, too. Gives the systems of which that is not known, but those that have something to be
    /// told already.
    async fn look_again(
        &self,
        context: &Context,
        runner: &Runner,
        identity: &IdentityKey,
        by: &str,
        begun: Instant,
    ) -> anyhow::Result<Vec<SystemName>> {
        let Some(deadline) = self.deadline(begun).filter(|_| self.now) else { return Ok(Vec::new()) };
        let mut open = context.store.unfinished_actions().await?;
        open.extend(context.store.waiting_actions().await?);
        let is_open = |name: &SystemName| open.iter().any(|row| row.item.system == *name);
        let (mut read, mut unread) = (Vec::new(), Vec::new());
        for name in context.settings.keys().filter(|name| !is_open(name)) {
            let left = deadline.until.saturating_duration_since(Instant::now()).min(LOOK_AGAIN_MAX);
            let names = [name.to_string()];
            let reading = tokio::time::timeout(left, sync::sync(context, &names, Observe::default())).await;
            let is_read =
                matches!(&reading, Ok(Ok(readings)) if readings.iter().all(sync::Reading::is_complete));
            if is_read {
                read.push(name.clone());
            } else {
                output::remark(format!(
                    "{name} was not read again: what {identity} got there since it was read last may be theirs still; \
                     `leasehold sync {name}`, and offboard them once more"
                ));
                unread.push(name.clone());
            }
        }
        if !read.is_empty() {
            let loaded = context.load(None).await?;
            let again = offboard::plan(loaded, identity, read, self.successor().as_ref())?;
            if !again.items.is_empty() {
                context.store.save_plan(&again, context.now()).await?;
                let still_held = |name: &&String| again.guards.iter().any(|guard| guard.name == **name);
                let overrides: Vec<String> = self.overrides.iter().filter(still_held).cloned().collect();
                runner.apply(&again, &overrides, by).await?;
            }
            context.publish().await?;
        }
        Ok(unread)
    }

    /// By a server.
    async fn ask_server(
        &self,
        common: &Common,
        remote: &Remote,
        identity: &IdentityKey,
    ) -> anyhow::Result<Outcome> {
        #[derive(Deserialize)]
        struct Asked {
            task: String,
        }
        #[derive(Deserialize)]
        struct Done {
            actions: Vec<ActionReceipt>,
        }
        ensure!(
            self.tries.is_none() && self.within.is_none(),
            "a server decides by itself how often it sends an action and for how long; leave --tries and --within out; \
             nothing was changed"
        );
        let document: PlanDocument =
            remote.post(&["identities", &identity.0, "offboard"], &[], self.asked()).await?;
        if !common.json {
            document.show(false)?;
        }
        self.confirm(identity)?;
        let hash = document.hash().to_owned();
        let overrides = json!({"overrides": self.overrides});
        let Asked { task } = remote.post(&["plans", &hash, "apply"], &[], overrides).await?;
        let ended = remote.wait(&task, &Progress::new("offboarding")).await;
        // Also where it failed: what was done is told.
        let told = match receipt::ask(remote, identity).await {
            Ok((receipt, key)) => {
                let besides = besides(&serde_json::to_value(&document)?);
                receipt::tell(common, self.out.clone(), &receipt, &key, &besides)
            }
            Err(error) => {
                let Done { actions } = remote.get(&["plans", &hash], &[]).await?;
                show_actions(common, &actions)?;
                Err(error
                    .context("the plan was carried out as far as it says above, and there is no receipt"))
            }
        };
        ended?;
        told
    }

    /// Until when systems are waited for: in an emergency, what comes before counts.
    fn deadline(&self, begun: Instant) -> Option<Deadline> {
        let seconds = self.within.or(self.now.then_some(EMERGENCY_SECONDS))?;
        let from = if self.within.is_none() { begun } else { Instant::now() };
        let until = from + Duration::from_secs(seconds.into());
        let (then, last_call) = (WhenLate::WaitForPerson, Duration::ZERO);
        Some(Deadline { until, then, last_call, is_urgent: true })
    }

    fn successor(&self) -> Option<IdentityKey> {
        self.successor.as_deref().map(str::trim).map(IdentityKey::from)
    }

    /// What a server is asked for.
    fn asked(&self) -> Value {
        self.successor().map_or_else(|| json!({}), |successor| json!({ "successor": successor }))
    }

    fn confirm(&self, identity: &IdentityKey) -> anyhow::Result<()> {
        if self.yes || self.now {
            return Ok(());
        }
        ensure!(
            std::io::stdin().is_terminal(),
            "nobody is there to be asked; `--yes` says that everything above is meant; nothing was changed"
        );
        let question = format!("End all of this for {identity}?");
        let sure = dialoguer::Confirm::new().with_prompt(output::safe(question)).default(false).interact()?;
        ensure!(sure, "nothing was changed");
        Ok(())
    }
}

/// What is told beside a receipt: what the plan left alone, and what held it.
fn besides(plan: &Value) -> [(&'static str, Value); 2] {
    ["left_alone", "guards"].map(|name| (name, plan[name].clone()))
}

/// Says how far actions are.
fn show_actions(common: &Common, actions: &[ActionReceipt]) -> anyhow::Result<()> {
    if common.json { Ok(output::json(&apply::document(actions))?) } else { apply::show(actions, true) }
}

/// A person's decision is recorded with their name.
pub(super) fn named_actor() -> anyhow::Result<String> {
    known_actor().context(
        "what was decided is recorded with the name of who decided it, and neither LEASEHOLD_ACTOR nor USER is set; set one \
         of them; nothing was changed",
    )
}

/// Plans of this offboarding that were begun before: since it was decided that the identity leaves, and about nobody else than
/// it and what it answered for.
async fn earlier_plans(
    context: &Context,
    loaded: &Loaded,
    identity: &IdentityKey,
) -> anyhow::Result<Vec<Plan>> {
    let folded = identity.folded();
    let departure = loaded.departures.iter().find(|departure| departure.identity.as_str() == folded);
    let Some(departure) = departure else { return Ok(Vec::new()) };
    let begun = context.store.plans_begun_since(departure.recorded_at).await?;
    let is_decided_by = |plan: &&Plan| plan.as_left.iter().any(|left| left.folded() == folded);
    let named = |plan: &Plan| -> Vec<Option<String>> {
        plan.items.iter().map(|item| item.identity.as_ref().map(IdentityKey::folded)).collect()
    };
    let mut concerned: BTreeSet<Option<String>> =
        begun.iter().filter(is_decided_by).flat_map(named).collect();
    concerned.insert(Some(folded.clone()));
    let is_of_it = |plan: &Plan| {
        let named = named(plan);
        !named.is_empty() && named.iter().all(|identity| concerned.contains(identity))
    };
    Ok(begun.into_iter().filter(is_of_it).collect())
}

/// The identity as it is spelled where it is known.
fn known(loaded: &Loaded, identity: &IdentityKey) -> anyhow::Result<IdentityKey> {
    let evaluation = loaded.evaluate()?;
    let Some(index) = evaluation.identity(identity) else {
        if let Some(holder) = whose_login(&evaluation, identity.as_str()) {
            bail!("`{identity}` is a login of {holder}: `leasehold offboard {holder}`; nothing was changed");
        }
        return Err(match require_identity(&evaluation, identity) {
            Err(unknown) => {
                anyhow::anyhow!("{unknown}; `leasehold sync` reads who there is; nothing was changed")
            }
            Ok(()) => anyhow::anyhow!("there is no identity `{identity}`; nothing was changed"),
        });
    };
    let found = &evaluation.identities[index.index()];
    if found.kind != IdentityKind::Person {
        output::remark(format!(
            "{0} is no person: `leasehold retire {0}` stops it so that it can be brought back, and this ends what it holds at once",
            output::safe(&found.key)
        ));
    }
    Ok(found.key.clone())
}

/// Whether a source says itself that somebody has left.
fn says_source(loaded: &Loaded, key: &IdentityKey) -> bool {
    let folded = key.folded();
    let is_decided = loaded.departures.iter().any(|departure| departure.identity.as_str() == folded);
    let mut listed =
        loaded.snapshot.identities.iter().filter(|(_, identity)| identity.key.folded() == folded);
    !is_decided && listed.any(|(_, identity)| identity.has_left(loaded.now))
}

/// The only identity that has an account with this login.
fn whose_login(evaluation: &Evaluation<'_>, login: &str) -> Option<IdentityKey> {
    let accounts = evaluation.inputs.snapshot.accounts.iter().enumerate();
    let mut holders = accounts.filter(|(_, row)| row.account.login.eq_ignore_ascii_case(login)).filter_map(
        |(position, _)| {
            let account = evaluation.index_of(u32::try_from(position).ok()?);
            Some(evaluation.identities[evaluation.graph.identity_of(account)?.index()].key.clone())
        },
    );
    let first = holders.next()?;
    holders.all(|other| other == first).then_some(first)
}

fn scheduled(common: &Common, identity: &IdentityKey, at: Timestamp, task: &str) -> anyhow::Result<Outcome> {
    if common.json {
        output::json(&json!({"identity": identity, "at": at, "task": task}))?;
    } else {
        output::line(format!(
            "{} leaves at {at}; what they hold ends then, by a running `leasehold serve` (task {task})\n\
             `leasehold offboard {} --cancel` takes that back",
            output::safe(identity),
            output::safe(identity)
        ))?;
    }
    Ok(Outcome::Clean)
}

fn taken(common: &Common, identity: &IdentityKey, taken_back: bool) -> anyhow::Result<Outcome> {
    if common.json {
        output::json(&json!({"identity": identity, "taken_back": taken_back}))?;
    } else if taken_back {
        output::line(format!(
            "what the source says of {} counts again; what was taken away is missing until it is given back",
            output::safe(identity)
        ))?;
    } else {
        output::line(format!(
            "nobody decided that {} leaves, or it was taken back already",
            output::safe(identity)
        ))?;
    }
    Ok(Outcome::Clean)
}
