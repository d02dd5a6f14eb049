//! `leasehold demo --once`: the whole loop run once on the practice company, step by step, and explained.

use std::collections::BTreeMap;

use anyhow::bail;
use jiff::Timestamp;
use leasehold_decide::plan::Scope;
use leasehold_ledger::check::{Options, check};
use leasehold_model::action::ActionState;
use leasehold_model::decision::{DriftItem, DriftKind};
use leasehold_model::plan::{Plan, Verb};
use leasehold_model::receipt::ActionReceipt;
use leasehold_reconcile::pace::Patience;
use leasehold_reconcile::stages::observe::Observe;
use leasehold_reconcile::stages::plan;
use serde_json::json;

use super::super::{apply, drift, policy, sync};
use super::Demo;
use crate::Outcome;
use crate::context::{Context, signing_key};
use crate::output::{self, Tone, row, toned};
use crate::progress::Progress;

impl Demo {
    /// Runs the loop: sync, drift, plan, apply with verification, proof.
    pub(super) async fn run_once(self, mut context: Context) -> anyhow::Result<Outcome> {
        let systems = context.connect_all()?;
        self.say(&context, "1", "read every system")?;
        let readings = sync::sync(&context, &[], Observe::default()).await?;
        if !context.json {
            sync::show(&readings)?;
        }
        policy::apply_files(&context).await?;
        let found_at = context.now();
        let loaded = context.load(None).await?;
        let before = drift::find(&loaded)?;

        self.say(&context, "2", "compare with what somebody can still justify")?;
        if !context.json {
            drift::summary(&before)?;
            example(&before)?;
        }
        self.say(&context, "3", "plan: the smallest change that closes it")?;
        let plan = plan::make(&context.store, &loaded, &Scope::default()).await?;
        drop(loaded);
        if !context.json {
            describe(&plan)?;
        }
        self.say(&context, "4", "carry it out, and read every system back")?;
        let progress = Progress::new("applying");
        let runner = apply::runner(&context, systems, progress, Patience::default());
        let rows = runner.apply(&plan, &[], "demo").await?;
        drop(runner);
        let receipts: Vec<ActionReceipt> = rows.iter().map(ActionReceipt::from).collect();
        if !context.json {
            say_receipts(&receipts)?;
        }
        self.say(&context, "5", "read again: does it hold?")?;
        sync::sync(&context, &[], Observe::default()).await?;
        let after = drift::find(&context.load(None).await?)?;
        if !context.json {
            compare(&before, &after)?;
        }
        self.say(&context, "6", "prove it")?;
        context.publish().await?;
        let key = signing_key(&context.config)?.verifying_key();
        let report = check(&context.config.ledger, &key, Options::default());
        if !report.is_good() {
            bail!("the ledger does not verify: {:?}", report.findings);
        }
        if context.json {
            let summary = json!({
                "people": self.people, "seed": self.seed, "folder": self.folder,
                "drift_before": before.len(), "drift_after": after.len(), "plan": plan.hash,
                "ledger_entries": report.size,
            });
            let mut document = apply::document(&receipts);
            document["demo"] = summary;
            output::json(&document)?;
        } else {
            output::line(format!(
                "  {} {} log entries, re-derived from their raw bytes by an independent checker,\n  lead to one signed checkpoint; any entry can be proved to somebody who has neither this log nor this database.",
                toned("verified:", Tone::Good),
                report.size
            ))?;
            self.what_next(&before, &receipts, found_at)?;
        }
        Ok(Outcome::Clean)
    }

    fn say(&self, context: &Context, number: &str, what: &str) -> anyhow::Result<()> {
        if !context.json {
            if number == "1" {
                output::line(format!(
                    "{}\na practice company of {} people in {}/; nothing outside of that folder is touched",
                    toned(
                        "Leasehold: access is held for a reason, and when the reason ends it reverts",
                        Tone::Strong
                    ),
                    self.people,
                    self.folder.display()
                ))?;
            }
            output::line(format!("\n{}", toned(format!("{number}. {what}"), Tone::Strong)))?;
        }
        Ok(())
    }

    fn what_next(
        &self,
        before: &[DriftItem],
        rows: &[ActionReceipt],
        found_at: Timestamp,
    ) -> anyhow::Result<()> {
        let who = before
            .iter()
            .filter(|item| item.kind == DriftKind::Leaver)
            .find_map(|item| item.identity.as_ref());
        let action = rows.iter().find(|row| row.state == ActionState::Verified && row.verb == Verb::Revoke);
        output::line(format!("\n{}", toned("try next", Tone::Strong)))?;
        output::line(format!("  cd {}", self.folder.display()))?;
        let mut tries =
            vec![("leasehold drift".to_owned(), "what is left, and why a person must look at it")];
        // A second run finds nobody who has left and revokes nothing: there is nothing to name then.
        if let Some(who) = who {
            tries.push((
                format!("leasehold explain {who} --at {found_at}"),
                "what somebody who left could still reach before, and why",
            ));
        }
        tries.push((
            "leasehold who directory:group/staff".to_owned(),
            "everybody who holds it, by every path",
        ));
        if let Some(action) = action {
            tries.push((
                format!("leasehold ledger prove --action {}", action.id),
                "a proof that anybody checks offline",
            ));
        }
        tries.push(("leasehold plan".to_owned(), "run again: nothing is done twice"));
        let program = program();
        for (command, what) in tries {
            let command = command.replacen("leasehold", &program, 1);
            output::line(format!("  {command}\n      {}", toned(what, Tone::Quiet)))?;
        }
        Ok(())
    }
}

/// How this program is called: by name where the shell would find it, by path where it would not.
fn program() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let by_name = std::env::split_paths(&path).any(|folder| folder.join("leasehold").is_file());
    let here = std::env::current_exe().ok().filter(|_| !by_name);
    here.map_or_else(|| "leasehold".to_owned(), |here| here.display().to_string())
}

/// One leaver in full, so that the figures get a face.
fn example(drift: &[DriftItem]) -> anyhow::Result<()> {
    let mut by_leaver: BTreeMap<&str, Vec<&DriftItem>> = BTreeMap::new();
    for item in drift.iter().filter(|item| item.kind == DriftKind::Leaver) {
        if let Some(identity) = &item.identity {
            by_leaver.entry(identity.as_str()).or_default().push(item);
        }
    }
    let Some((who, items)) = by_leaver.into_iter().max_by_key(|(_, items)| items.len()) else {
        return Ok(());
    };
    let because =
        items.iter().flat_map(|item| &item.because).next().map(ToString::to_string).unwrap_or_default();
    output::line(format!("\n  for example {who}, who still holds ({because}):"))?;
    for item in items.iter().take(6) {
        let what = match (&item.entitlement, &item.credential) {
            (Some(entitlement), _) => entitlement.to_string(),
            (None, Some(credential)) => credential.to_string(),
            (None, None) => "an enabled account".to_owned(),
        };
        output::line(format!(
            "    {:<12} {:<26} {what}",
            item.system.as_str(),
            item.login.as_deref().unwrap_or("-")
        ))?;
    }
    Ok(())
}

fn describe(plan: &Plan) -> anyhow::Result<()> {
    for verb in Verb::ALL {
        let number = plan.items.iter().filter(|item| item.verb == verb).count();
        if number > 0 {
            output::line(format!("  {number:>6}  {}", verb.as_str().replace('_', " ")))?;
        }
    }
    output::line(format!("  {:>6}  left alone, each with its reason", plan.left_alone.len()))?;
    for guard in &plan.guards {
        output::line(format!(
            "  {} {}: {} wait",
            toned("guard", Tone::Attention),
            guard.message,
            output::count(guard.holds.len(), "action")
        ))?;
    }
    Ok(())
}

fn say_receipts(rows: &[ActionReceipt]) -> anyhow::Result<()> {
    output::line(format!("  {}", apply::tally(rows)))?;
    let mut waits: Vec<i64> = rows
        .iter()
        .filter(|row| row.state == ActionState::Verified)
        .filter_map(|row| {
            Some(row.read_back_at?.duration_since(row.sent_at?).as_millis().try_into().unwrap_or(i64::MAX))
        })
        .collect();
    waits.sort_unstable();
    if let (Some(median), Some(longest)) = (waits.get(waits.len() / 2), waits.last()) {
        output::line(format!(
            "  from sending to a read-back that shows it: {median} ms in the middle, {longest} ms at most"
        ))?;
    }
    for row in rows.iter().filter(|row| row.state == ActionState::Stuck).take(5) {
        output::line(format!(
            "  {} {} {} {}",
            toned("stuck", Tone::Bad),
            row.system,
            row.account,
            row.reason.as_deref().unwrap_or_default()
        ))?;
    }
    Ok(())
}

fn compare(before: &[DriftItem], after: &[DriftItem]) -> anyhow::Result<()> {
    let of = |items: &[DriftItem], kind: DriftKind| items.iter().filter(|item| item.kind == kind).count();
    let mut table = output::table(&["", "before", "now"]);
    for kind in DriftKind::ALL {
        let (then, now) = (of(before, *kind), of(after, *kind));
        if then + now > 0 {
            let tone = if now == 0 { Tone::Good } else { Tone::Attention };
            table.add_row(row![kind.as_str(), then.to_string(), toned(now, tone)]);
        }
    }
    output::line(table)?;
    output::line(
        "  what is left is a question to a person: nobody is guessed, and no removal is undone by itself",
    )?;
    Ok(())
}
