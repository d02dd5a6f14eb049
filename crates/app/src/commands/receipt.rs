//! `leasehold receipt`: writes the receipt of somebody's offboarding, of what is known now, whoever or whatever began it.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use jiff::Timestamp;
use leasehold_ledger::checkpoint::VerifyingKey;
use leasehold_model::action::ActionState;
use leasehold_model::id::IdentityKey;
use leasehold_model::receipt::{ActionReceipt, OffboardingStatement, RemainingAccess};
use leasehold_reconcile::error::ReconcileError;
use leasehold_reconcile::stages::decide::Loaded;
use leasehold_reconcile::view::View;
use leasehold_reconcile::workflow::receipt::{self, Asked, OffboardingReceipt, Present};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{apply, ledger};
use crate::Outcome;
use crate::context::{Common, Context, actor};
use crate::output::{self, Tone, row, toned};
use crate::remote::{self, Remote};

/// How long a server is waited for until it has signed what it wrote.
const SIGNED_WITHIN: Duration = Duration::from_secs(60);

/// Of one person, so many within one second get a name of their own.
const FILES_OF_A_SECOND_MAX: u32 = 100;

/// How often it is asked.
const ASKED_EVERY: Duration = Duration::from_millis(500);

/// Arguments of `receipt`.
#[derive(Debug, clap::Args)]
pub struct Receipt {
    /// Whose: the primary key of somebody who has left
    identity: String,
    /// Where to write it; never over another file [default: offboarding-IDENTITY-TIME.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Receipt {
    /// Writes it, and says what is in it.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let identity = IdentityKey::from(self.identity.trim());
        refuse_existing(self.out.as_deref())?;
        let (receipt, key) = match Remote::of(common)? {
            Some(remote) => ask(&remote, &identity).await?,
            None => write(&Context::open_to_change(common).await?, &identity, &actor(), None).await?,
        };
        tell(common, self.out, &receipt, &key, &[])
    }
}

/// Refuses a file that is there already, before anything is done.
pub fn refuse_existing(out: Option<&Path>) -> anyhow::Result<()> {
    if let Some(path) = out.filter(|path| path.exists()) {
        bail!("{} is there already; name another file with --out; nothing was changed", path.display());
    }
    Ok(())
}

/// The present state, loaded anew where the store has moved.
struct Loading<'context> {
    context: &'context Context,
    known: Option<Arc<View>>,
}

#[async_trait]
impl Present for Loading<'_> {
    async fn view(&mut self) -> Result<Arc<View>, ReconcileError> {
        let Context { store, settings, .. } = self.context;
        let revision = store.revision().await?;
        if let Some(known) = self.known.as_ref().filter(|known| known.revision() == revision) {
            return Ok(known.clone());
        }
        let now = self.context.now();
        let loaded = Loaded::load_with(store, settings.clone(), now, None).await?;
        let view = tokio::task::spawn_blocking(move || View::new(loaded, revision, now)).await;
        let view = Arc::new(view.map_err(|error| ReconcileError::Worker(error.to_string()))??);
        self.known = Some(view.clone());
        Ok(view)
    }
}

/// Writes a receipt on the machine of the store, and gives it as a file with the key that it is signed with. What was done since
/// an instant is told, also of somebody who is not known to have left.
pub async fn write(
    context: &Context,
    identity: &IdentityKey,
    by: &str,
    since: Option<Timestamp>,
) -> anyhow::Result<(OffboardingReceipt, VerifyingKey)> {
    let asked = Asked { identity: identity.clone(), by: by.to_owned(), at: context.now(), since };
    let row = receipt::write(&context.store, &asked, &mut Loading { context, known: None }).await;
    let row = row.map_err(|refusal| anyhow::anyhow!("{refusal}; no receipt was written"))?;
    context.publish().await?;
    let key = ledger::signing_key_of(context).await?;
    let directory = context.config.ledger.clone();
    let receipt = OffboardingReceipt::build(&context.store, directory, key.clone(), &row).await;
    Ok((receipt.map_err(|error| anyhow::anyhow!(output::safe(error)))?, key))
}

/// Has a server write one, and fetches it.
pub async fn ask(
    remote: &Remote,
    identity: &IdentityKey,
) -> anyhow::Result<(OffboardingReceipt, VerifyingKey)> {
    #[derive(Deserialize)]
    struct Written {
        id: i64,
    }
    let Written { id } = remote.post(&["identities", identity.as_str(), "receipts"], &[], json!({})).await?;
    let begun = Instant::now();
    let text = loop {
        match remote.text(&["receipts", &id.to_string()], &[]).await {
            Err(error) if remote::is_not_found(&error) && begun.elapsed() < SIGNED_WITHIN => {
                tokio::time::sleep(ASKED_EVERY).await;
            }
            fetched => break fetched?,
        }
    };
    let receipt = OffboardingReceipt::read(&text).ok().flatten();
    let receipt = receipt.with_context(|| format!("what {} sent is no receipt", remote.name()))?;
    let key = ledger::key_of(remote).await?;
    if let Err(wrong) = receipt.verify(&key) {
        let wrong = output::safe(wrong.join("; ")).to_string();
        bail!("what {} sent proves nothing, so nothing was written: {wrong}", remote.name());
    }
    Ok((receipt, key))
}

/// Keeps a receipt in a file of its own.
pub fn keep(out: Option<PathBuf>, receipt: &OffboardingReceipt) -> anyhow::Result<PathBuf> {
    let identity = &receipt.statement.identity;
    let text = receipt.to_json()?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    let numbers = if out.is_some() { 1..=1 } else { 1..=FILES_OF_A_SECOND_MAX };
    let (mut path, mut written) = (PathBuf::new(), Ok(()));
    for number in numbers {
        path = out.clone().unwrap_or_else(|| PathBuf::from(receipt.file_name(number)));
        written = options.open(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        if !matches!(&written, Err(error) if error.kind() == ErrorKind::AlreadyExists) {
            break;
        }
    }
    written.with_context(|| {
        format!(
            "the receipt is in the log, and cannot be written to {}; `leasehold receipt {} --out FILE` writes another",
            path.display(),
            output::safe(identity)
        )
    })?;
    Ok(path)
}

/// Says what a receipt says, and keeps it in a file of its own. What was done is said also where the file cannot be written.
pub fn tell(
    common: &Common,
    out: Option<PathBuf>,
    receipt: &OffboardingReceipt,
    key: &VerifyingKey,
    besides: &[(&str, Value)],
) -> anyhow::Result<Outcome> {
    let kept = keep(out, receipt);
    if common.json {
        let mut document = document(&receipt.statement, kept.as_deref().ok());
        for (name, value) in besides {
            document[*name] = value.clone();
        }
        output::json(&document)?;
        kept?;
    } else {
        show(&receipt.statement)?;
        say_where(&kept?, key)?;
    }
    let is_outstanding = receipt.statement.is_outstanding();
    Ok(if is_outstanding { Outcome::Outstanding } else { Outcome::Clean })
}

/// The documented form.
pub fn document(statement: &OffboardingStatement, file: Option<&Path>) -> Value {
    let mut document = apply::document(&actions(statement));
    document["items"] = json!(statement.items);
    document["identity"] = json!(statement.identity);
    document["written_at"] = json!(statement.written_at);
    document["left_at"] = json!(statement.left_at);
    document["decided_by"] = json!(statement.decided_by);
    document["written_by"] = json!(statement.written_by);
    document["remaining"] = json!(statement.remaining);
    document["accounts"] = json!(statement.accounts);
    document["successors"] = json!(statement.successors);
    document["readings"] = json!(statement.readings);
    if let Some(file) = file {
        document["receipt"] = json!(file);
    }
    document
}

fn actions(statement: &OffboardingStatement) -> Vec<ActionReceipt> {
    statement.items.iter().map(|item| item.action.clone()).collect()
}

/// Prints what a receipt says.
pub fn show(statement: &OffboardingStatement) -> anyhow::Result<()> {
    let actions = actions(statement);
    if actions.is_empty() && statement.remaining.is_empty() {
        let words = format!(
            "nothing was found that {} held and that could be ended",
            output::safe(&statement.identity)
        );
        output::line(toned(words, Tone::Good))?;
    } else if !actions.is_empty() {
        apply::show(&actions, true)?;
    }
    show_remaining(&statement.remaining)?;
    let never: Vec<&str> = statement
        .readings
        .iter()
        .filter(|reading| reading.complete_at.is_none())
        .map(|reading| reading.system.as_str())
        .collect();
    if !never.is_empty() {
        output::line(format!(
            "\n{}: never read completely, so nobody knows what else is there: {}",
            toned("unknown", Tone::Attention),
            never.join(", ")
        ))?;
    }
    Ok(())
}

fn show_remaining(remaining: &[RemainingAccess]) -> anyhow::Result<()> {
    if remaining.is_empty() {
        return Ok(());
    }
    output::line(format!(
        "\n{}, and nothing is under way to end it:",
        toned("still there", Tone::Attention)
    ))?;
    let mut table = output::table(&["system", "account", "what", "why"]);
    for left in remaining {
        table.add_row(row![
            left.system.as_str(),
            left.account.as_deref().unwrap_or("-"),
            output::about(left.entitlement.as_ref(), left.credential.as_ref()),
            left.why.as_str(),
        ]);
    }
    Ok(output::line(table)?)
}

/// Says where a receipt is, and how anybody checks it.
pub fn say_where(path: &Path, key: &VerifyingKey) -> anyhow::Result<()> {
    output::line(format!(
        "\nreceipt in {0}; anybody checks it, offline, with:\n  leasehold ledger verify --bundle {0} --key '{1}'",
        path.display(),
        key.to_text()
    ))?;
    Ok(())
}

/// Verifies a receipt that somebody has, and says what is in it.
pub fn verify(
    json: bool,
    path: &Path,
    receipt: &OffboardingReceipt,
    key: &VerifyingKey,
) -> anyhow::Result<Outcome> {
    let report = match receipt.verify(key) {
        Ok(report) => report,
        Err(wrong) => {
            for finding in &wrong {
                output::remark(output::safe(finding));
            }
            bail!(
                "{} does not prove what it claims: {}",
                path.display(),
                output::count(wrong.len(), "finding")
            )
        }
    };
    let statement = &receipt.statement;
    let tally = statement.tally();
    if json {
        let mut document = document(statement, None);
        document["summary"] = json!({"size": report.checkpoint.size, "findings": 0, "actions": tally});
        output::json(&document)?;
        return Ok(Outcome::Clean);
    }
    show(statement)?;
    let held = statement.items.iter().filter(|item| item.action.state == ActionState::Planned).count();
    output::line(format!(
        "{}: offboarding of {} as of {}, {} read back as ended, {} not verified ({held} held by a guard), {} still there, in the log \
         of {} entries signed by {}",
        toned("verified", Tone::Good),
        output::safe(&statement.identity),
        statement.written_at,
        tally.verified,
        tally.not_verified,
        tally.remaining,
        report.checkpoint.size,
        key.name()
    ))?;
    Ok(Outcome::Clean)
}
