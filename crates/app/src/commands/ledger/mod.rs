//! `leasehold ledger`: verifies the log without trusting the writer, and proves entries offline.

mod server;
mod verify;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use leasehold_ledger::bundle::Bundle;
use leasehold_ledger::checkpoint::{Checkpoint, SignedCheckpoint, VerifyingKey};
use leasehold_ledger::view::View;
use leasehold_model::id::ActionId;
use serde_json::json;

use crate::Outcome;
use crate::context::{Common, Context, signing_key};
use crate::output;
use crate::remote::Remote;

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
        #[arg(long, value_name = "FILE", conflicts_with = "bundle")]
        since: Option<PathBuf>,
    },
    /// Keep the present signed checkpoint, for a later `verify --since`: put it where the log's owner cannot change it
    Checkpoint {
        /// Where to write it; never over another file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
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
                verify::bundle(common.json, &path, &read_key(&key.unwrap_or_default())?)
            }
            What::Verify { dir: Some(dir), key, since, .. } => {
                let key = read_key(&key.unwrap_or_default())?;
                verify::folder(common.json, &dir, &key, since.as_deref())
            }
            What::Verify { key, since, .. } => {
                if let Some(remote) = Remote::of(common)? {
                    let key = key.as_deref().map(read_key).transpose()?;
                    return server::verify(&remote, common.json, key, since.as_deref()).await;
                }
                let context = Context::open_to_read(common).await?;
                let key = key.as_deref().map(read_key).transpose()?;
                verify::installation(&context, key, since.as_deref()).await
            }
            What::Checkpoint { out } => {
                let (checkpoint, key) = match Remote::of(common)? {
                    Some(remote) => server::checkpoint(&remote).await?,
                    None => published(&Context::open_to_read(common).await?).await?,
                };
                keep(common.json, &checkpoint, &key, &out)
            }
            What::Prove { action, index, out, closed } => {
                if action.is_empty() && index.is_empty() {
                    bail!(
                        "say what to prove: --action ACTION, as in the receipts of `leasehold apply --json`, or --index N"
                    );
                }
                let (bundle, key) = match Remote::of(common)? {
                    Some(remote) => server::prove(&remote, &action, &index, closed).await?,
                    None => prove(&Context::open_to_change(common).await?, &action, index, closed).await?,
                };
                write(common.json, &bundle, &key, &out)
            }
            What::Key => {
                let key = match Remote::of(common)? {
                    Some(remote) => server::key(&remote).await?,
                    None => signing_key_of(&Context::open_to_read(common).await?).await?,
                };
                let key = key.to_text();
                if common.json {
                    output::json(&json!({"key": key}))?
                } else {
                    output::line(key)?
                }
                Ok(Outcome::Clean)
            }
        }
    }
}

/// The key that a server says is its log's.
pub(super) async fn key_of(remote: &Remote) -> anyhow::Result<VerifyingKey> {
    server::key(remote).await
}

/// The key that the log is signed with.
pub(super) async fn signing_key_of(context: &Context) -> anyhow::Result<VerifyingKey> {
    match kept_key(context).await? {
        Some(key) => Ok(key),
        None => own_key(context),
    }
}

/// The key of the key file.
fn own_key(context: &Context) -> anyhow::Result<VerifyingKey> {
    Ok(signing_key(&context.config)?.verifying_key())
}

/// The key that the log is signed with, as the store keeps it since the first publication.
async fn kept_key(context: &Context) -> anyhow::Result<Option<VerifyingKey>> {
    let text = context.store.ledger_key().await?;
    let key = text.as_deref().map(VerifyingKey::from_text).transpose();
    key.context("the ledger's public key in the store cannot be read; restore the store from a backup")
}

/// A key as text, or a file that holds it.
fn read_key(text: &str) -> anyhow::Result<VerifyingKey> {
    let from_file = std::fs::read_to_string(text);
    let text = from_file.as_deref().unwrap_or(text).trim();
    VerifyingKey::from_text(text)
        .context("--key is neither a public key (name+hash+base64) nor a file that holds one")
}

/// The published checkpoint, its signature found good, and the key that it is signed with.
async fn published(context: &Context) -> anyhow::Result<(SignedCheckpoint, VerifyingKey)> {
    let view = View::open(&context.config.ledger)?
        .context("nothing was published yet; run `leasehold sync` first")?;
    let key = signing_key_of(context).await?;
    let signed = Checkpoint::parse_and_verify(&view.published().text, &key)
        .context("the published checkpoint is not worth keeping; run `leasehold ledger verify`")?;
    Ok((signed, key))
}

/// Writes a checkpoint to a file of its own.
fn keep(json: bool, signed: &SignedCheckpoint, key: &VerifyingKey, out: &Path) -> anyhow::Result<Outcome> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    let written = options.open(out).and_then(|mut file| file.write_all(signed.text.as_bytes()));
    written.with_context(|| {
        format!(
            "cannot write {}; an earlier checkpoint is worth keeping, so name a new file for each",
            out.display()
        )
    })?;
    let size = signed.checkpoint.size;
    if json {
        output::json(&json!({"file": out, "size": size, "key": key.to_text()}))?;
    } else {
        output::line(format!(
            "{} kept in {}; put it where nobody who can write the log can change it, and compare later with:\n  leasehold ledger verify --since {}",
            verify::number_of(size),
            out.display(),
            out.display()
        ))?;
    }
    Ok(Outcome::Clean)
}

/// A bundle that proves the entries of these actions, and these entries; and the key that it was checked with.
async fn prove(
    context: &Context,
    actions: &[String],
    mut indexes: Vec<u64>,
    closed: bool,
) -> anyhow::Result<(Bundle, VerifyingKey)> {
    context.publish().await?;
    for action in actions {
        let steps = context.store.ledger_indexes_of_action(&ActionId::from(action.as_str())).await?;
        if steps.is_empty() {
            bail!("no entry is about `{action}`; `leasehold action list --json` names the actions");
        }
        indexes.extend(steps);
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
    // What the store would open beside the log may have been changed there: a proof that proves nothing is not handed out.
    if let Err(findings) = bundle.verify(&key) {
        let found: Vec<String> = findings.iter().map(ToString::to_string).collect();
        bail!(
            "what the store holds does not fit the log, so nothing was written: {}; `--closed` proves the entries alone",
            output::safe(found.join("; "))
        );
    }
    Ok((bundle, key))
}

/// Writes a bundle.
fn write(json: bool, bundle: &Bundle, key: &VerifyingKey, out: &Path) -> anyhow::Result<Outcome> {
    std::fs::write(out, bundle.to_json()?).with_context(|| format!("cannot write {}", out.display()))?;
    let indexes: Vec<u64> = bundle.entries.iter().map(|entry| entry.index).collect();
    if json {
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
