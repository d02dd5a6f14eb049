//! `leasehold ledger`: verifies the log without trusting the writer, and proves entries offline.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use leasehold_ledger::bundle::{Bundle, VerifiedEntry};
use leasehold_ledger::check::{Options, check};
use leasehold_ledger::checkpoint::VerifyingKey;
use leasehold_ledger::view::View;
use leasehold_model::id::ActionId;
use serde_json::json;

use crate::Outcome;
use crate::context::{Common, Context, signing_key};
use crate::output::{self, Tone, toned};

/// Arguments of `ledger`.
#[derive(Debug, clap::Args)]
pub struct LedgerCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Derive the whole log again from its raw entries and compare; or verify a bundle, with nothing else at hand
    Verify {
        /// A folder with a log; the configured one otherwise
        #[arg(long, value_name = "FOLDER", requires = "key", conflicts_with = "bundle")]
        dir: Option<PathBuf>,
        /// A bundle written by `ledger prove`; needs no configuration and no database
        #[arg(long, value_name = "FILE", requires = "key")]
        bundle: Option<PathBuf>,
        /// The public key that you trust, as `ledger key` printed it, or a file that holds it
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// A checkpoint that you kept earlier: the log must still begin with what it covers
        #[arg(long, value_name = "FILE")]
        since: Option<PathBuf>,
    },
    /// Write a bundle that somebody else verifies offline
    Prove {
        /// Prove the entries of this action
        #[arg(long, value_name = "ACTION")]
        action: Vec<String>,
        /// Prove the entry at this index
        #[arg(long, value_name = "N")]
        index: Vec<u64>,
        /// Where to write the bundle
        #[arg(long, value_name = "FILE", default_value = "proof.json")]
        out: PathBuf,
        /// Keep personal data closed: commitments are not opened
        #[arg(long)]
        closed: bool,
    },
    /// Print the public key, to be handed to auditors by another way than the log
    Key,
}

impl LedgerCommand {
    /// Verifies, proves or prints.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        match self.what {
            What::Verify { bundle: Some(path), key, .. } => {
                verify_bundle(common.json, &path, &key.unwrap_or_default())
            }
            What::Verify { dir: Some(dir), key, since, .. } => {
                let key = read_key(&key.unwrap_or_default())?;
                verify(common.json, &dir, &key, since, None)
            }
            What::Verify { key, since, .. } => {
                let context = Context::open_to_read(common).await?;
                let key = match key {
                    Some(key) => read_key(&key)?,
                    None => own_key(&context)?,
                };
                let rows = published_rows(&context).await?;
                verify(context.json, &context.config.ledger, &key, since, Some(rows))
            }
            What::Prove { action, index, out, closed } => {
                prove(&Context::open_to_change(common).await?, &action, index, &out, closed).await
            }
            What::Key => {
                let context = Context::open_to_read(common).await?;
                let key = own_key(&context)?.to_text();
                if context.json {
                    output::json(&json!({"key": key}))?
                } else {
                    output::line(key)?
                }
                Ok(Outcome::Clean)
            }
        }
    }
}

fn own_key(context: &Context) -> anyhow::Result<VerifyingKey> {
    Ok(signing_key(&context.config)?.verifying_key())
}

/// The store's entries as far as they are published: what an interrupted command recorded is published by the next one.
async fn published_rows(context: &Context) -> anyhow::Result<Vec<(u64, Vec<u8>)>> {
    let in_log = View::open(&context.config.ledger)?.map_or(0, |view| view.len());
    let published = in_log.max(context.store.ledger_published().await?);
    let mut rows: Vec<(u64, Vec<u8>)> = Vec::new();
    while (rows.len() as u64) < published {
        let more = context.store.ledger_entries(rows.len() as u64, 4_096).await?;
        if more.is_empty() {
            break;
        }
        rows.extend(more);
    }
    rows.truncate(usize::try_from(published).unwrap_or(usize::MAX));
    Ok(rows)
}

/// A key as text, or a file that holds it.
fn read_key(text: &str) -> anyhow::Result<VerifyingKey> {
    let from_file = std::fs::read_to_string(text);
    let text = from_file.as_deref().unwrap_or(text).trim();
    VerifyingKey::from_text(text)
        .context("--key is neither a public key (name+hash+base64) nor a file that holds one")
}

fn verify(
    json: bool,
    dir: &std::path::Path,
    key: &VerifyingKey,
    since: Option<PathBuf>,
    rows: Option<Vec<(u64, Vec<u8>)>>,
) -> anyhow::Result<Outcome> {
    let trusted = since
        .map(|path| {
            std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read the checkpoint {}", path.display()))
        })
        .transpose()?;
    let with_store = rows.is_some();
    let mut rows = rows.map(IntoIterator::into_iter);
    let expected = rows.as_mut().map(|rows| rows as &mut dyn Iterator<Item = (u64, Vec<u8>)>);
    let report = check(dir, key, Options { trusted, expected_entries: expected, ..Options::default() });
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    if json {
        let summary = json!({"size": report.size, "entries_by_kind": report.entries_by_kind, "findings": findings.len()});
        let items: Vec<_> = findings.iter().map(|finding| json!({"finding": finding})).collect();
        output::json(&json!({"items": items, "summary": summary}))?;
    } else {
        for finding in &findings {
            output::line(format!("{} {finding}", toned("tampered:", Tone::Bad)))?;
        }
        for (kind, number) in &report.entries_by_kind {
            output::line(format!("  {number:>8}  {kind}"))?;
        }
        if findings.is_empty() {
            let beside = if with_store { ", and the store holds the same entries" } else { "" };
            output::line(format!(
                "{}: {} lead to the checkpoint signed by {}{beside}",
                toned("verified", Tone::Good),
                output::count(usize::try_from(report.size).unwrap_or(usize::MAX), "entry")
                    .replace("entrys", "entries"),
                key.name()
            ))?;
        }
    }
    if !findings.is_empty() {
        bail!(
            "the log in {} is not as it was written: {}",
            dir.display(),
            output::count(findings.len(), "finding")
        );
    }
    Ok(Outcome::Clean)
}

async fn prove(
    context: &Context,
    actions: &[String],
    mut indexes: Vec<u64>,
    out: &std::path::Path,
    closed: bool,
) -> anyhow::Result<Outcome> {
    context.publish().await?;
    let all = if actions.is_empty() { Vec::new() } else { context.store.all_actions().await? };
    for action in actions {
        let mut steps = Vec::new();
        for row in all.iter().filter(|row| row.id == ActionId::from(action.as_str())) {
            steps.extend(context.store.transitions(&row.plan, &row.id).await?);
        }
        if steps.is_empty() {
            bail!("no entry is about `{action}`; `leasehold action list --json` names the actions");
        }
        indexes.extend(steps.iter().map(|step| step.ledger_index));
    }
    if indexes.is_empty() {
        bail!(
            "say what to prove: --action ACTION, as in the receipts of `leasehold apply --json`, or --index N"
        );
    }
    indexes.sort_unstable();
    indexes.dedup();
    let view = View::open(&context.config.ledger)?
        .context("nothing was published yet; run `leasehold sync` first")?;
    let mut entries = Vec::new();
    for index in &indexes {
        let openings = if closed { BTreeMap::new() } else { context.store.ledger_openings(*index).await? };
        entries.push((*index, openings));
    }
    let key = own_key(context)?;
    let bundle = Bundle::build(&view, &key, entries, None)?;
    std::fs::write(out, bundle.to_json()?).with_context(|| format!("cannot write {}", out.display()))?;
    if context.json {
        output::json(&json!({"file": out, "entries": indexes, "key": key.to_text()}))?;
    } else {
        output::line(format!(
            "{} proved in {}\nanybody verifies it, offline, with:\n  leasehold ledger verify --bundle {} --key '{}'",
            output::count(indexes.len(), "entry").replace("entrys", "entries"),
            out.display(),
            out.display(),
            key.to_text()
        ))?;
    }
    Ok(Outcome::Clean)
}

fn verify_bundle(json: bool, path: &std::path::Path, key: &str) -> anyhow::Result<Outcome> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the bundle {}", path.display()))?;
    let bundle = Bundle::from_json(&text).with_context(|| format!("{} is not a bundle", path.display()))?;
    let key = read_key(key)?;
    match bundle.verify(&key) {
        Ok(report) => {
            let entries: Vec<_> = report
                .entries
                .iter()
                .map(|entry| json!({"index": entry.index, "entry": event(entry), "opened": opened(&bundle, entry)}))
                .collect();
            if json {
                output::json(
                    &json!({"items": entries, "summary": {"size": report.checkpoint.size, "findings": 0}}),
                )?;
            } else {
                for entry in &report.entries {
                    let line = entry.entry.as_ref().map_or_else(
                        || "opaque entry".to_owned(),
                        |entry| format!("{}  {}  {}  {}", entry.at, entry.kind, entry.subject, entry.body),
                    );
                    output::line(format!("{:>8}  {line}", entry.index))?;
                    for (field, value) in opened(&bundle, entry) {
                        output::line(format!("{:>8}  {field} = {value}", ""))?;
                    }
                }
                output::line(format!(
                    "{}: in the log of {} entries signed by {}",
                    toned("verified", Tone::Good),
                    report.checkpoint.size,
                    key.name()
                ))?;
            }
            Ok(Outcome::Clean)
        }
        Err(findings) => {
            for finding in &findings {
                eprintln!("{finding}");
            }
            bail!(
                "{} does not prove what it claims: {}",
                path.display(),
                output::count(findings.len(), "finding")
            )
        }
    }
}

/// The personal data that a bundle opens for one entry, checked against its commitments.
fn opened<'bundle>(
    bundle: &'bundle Bundle,
    verified: &VerifiedEntry,
) -> BTreeMap<&'bundle str, &'bundle str> {
    let proved = bundle.entries.iter().filter(|entry| entry.index == verified.index);
    let openings =
        proved.flat_map(|entry| &entry.openings).filter(|(name, _)| verified.opened.contains(name));
    openings.map(|(name, opening)| (name.as_str(), opening.value.as_str())).collect()
}

/// The event of a verified entry for programs; null where its bytes are none.
fn event(verified: &VerifiedEntry) -> Option<serde_json::Value> {
    verified.entry.as_ref().and_then(|_| serde_json::from_slice(&verified.bytes).ok())
}
