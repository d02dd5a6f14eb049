//! The log of a server, checked here: its checkpoint, its entries, and what it proves, without believing it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use leasehold_ledger::Hash;
use leasehold_ledger::bundle::Bundle;
use leasehold_ledger::checkpoint::{Checkpoint, SignedCheckpoint, VerifyingKey};
use leasehold_ledger::entry::Entry;
use leasehold_ledger::hash::{leaf_hash, node_hash};
use serde::Deserialize;

use super::verify::{Since, Verified};
use crate::Outcome;
use crate::output;
use crate::progress::Progress;
use crate::remote::Remote;

/// The head of the published log, as the server gives it.
#[derive(Deserialize)]
struct Head {
    key: String,
    checkpoint: String,
}

async fn head(remote: &Remote) -> anyhow::Result<(VerifyingKey, String)> {
    let head: Option<Head> = remote.find(&["ledger", "checkpoint"], &[]).await?;
    let Head { key, checkpoint } = head.with_context(|| {
        format!("{} has published nothing yet, or nothing that you may see", remote.name())
    })?;
    let key = VerifyingKey::from_text(&key)
        .with_context(|| format!("the key that {} names cannot be read", remote.name()))?;
    Ok((key, checkpoint))
}

/// The key that the server says is its log's.
pub async fn key(remote: &Remote) -> anyhow::Result<VerifyingKey> {
    Ok(head(remote).await?.0)
}

/// The signed checkpoint, its signature found good, and the key that it is signed with.
pub async fn checkpoint(remote: &Remote) -> anyhow::Result<(SignedCheckpoint, VerifyingKey)> {
    let (key, text) = head(remote).await?;
    let signed = Checkpoint::parse_and_verify(&text, &key)
        .with_context(|| format!("the checkpoint of {} is not worth keeping", remote.name()))?;
    Ok((signed, key))
}

/// A bundle that proves entries, checked, with the text to be written and the key that it was checked with.
pub async fn prove(
    remote: &Remote,
    actions: &[String],
    indexes: &[u64],
    closed: bool,
) -> anyhow::Result<(Bundle, VerifyingKey)> {
    let indexes: Vec<String> = indexes.iter().map(ToString::to_string).collect();
    let query = [("index", indexes.join(",")), ("action", actions.join(",")), ("closed", closed.to_string())];
    let text = remote.text(&["ledger", "proof"], &query).await?;
    let bundle =
        Bundle::from_json(&text).with_context(|| format!("what {} sent is not a bundle", remote.name()))?;
    let key = key(remote).await?;
    if let Err(findings) = bundle.verify(&key) {
        let found: Vec<String> = findings.iter().map(ToString::to_string).collect();
        bail!(
            "what {} sent proves nothing, so nothing was written: {}",
            remote.name(),
            output::safe(found.join("; "))
        );
    }
    Ok((bundle, key))
}

/// Fetches every entry and derives the tree again, up to the signed checkpoint and the one that was kept.
pub async fn verify(
    remote: &Remote,
    json: bool,
    given: Option<VerifyingKey>,
    since: Option<&Path>,
) -> anyhow::Result<Outcome> {
    #[derive(Deserialize)]
    struct Row {
        index: u64,
        entry: Option<serde_json::Value>,
    }
    #[derive(Deserialize)]
    struct Entries {
        items: Vec<Row>,
    }
    let since = since.map(Since::read).transpose()?;
    let (named, text) = head(remote).await?;
    if given.is_none() {
        output::remark(format!(
            "the key is the one that {} names itself; one that you had by another way, with --key, proves more",
            remote.name()
        ));
    }
    let key = given.unwrap_or(named);
    let mut findings = Vec::new();
    let signed = match Checkpoint::parse_and_verify(&text, &key) {
        Ok(signed) => signed.checkpoint,
        Err(error) => {
            findings.push(format!("checkpoint: {error}"));
            Checkpoint::parse_unverified(&text).context("the checkpoint cannot be read")?.checkpoint
        }
    };
    let kept = match &since {
        None => None,
        Some(since) => match Checkpoint::parse_and_verify(&since.text, &key) {
            Ok(kept) => Some(kept.checkpoint),
            Err(error) => {
                findings.push(format!("kept checkpoint {}: {error}", since.path));
                None
            }
        },
    };
    let progress = Progress::new("fetching entries");
    let (mut spine, mut size, mut by_kind) = (Spine::default(), 0_u64, BTreeMap::<String, u64>::new());
    while size < signed.size {
        progress.say(format!("{size} of {}", signed.size));
        let query = [("from", size.to_string()), ("limit", "500".to_owned())];
        let Entries { items } = remote.get(&["ledger", "entries"], &query).await?;
        if items.is_empty() {
            break;
        }
        for row in items.into_iter().take_while(|row| row.index < signed.size) {
            let entry = row.entry.and_then(|entry| serde_json::from_value::<Entry>(entry).ok());
            let bytes = entry.as_ref().and_then(|entry| entry.to_bytes().ok());
            let (Some(entry), Some(bytes)) = (entry, bytes) else {
                bail!(
                    "entry {} of {} is no entry; `leasehold ledger verify` on its machine says more",
                    row.index,
                    remote.name()
                );
            };
            if row.index != size {
                findings.push(format!("entry missing: after {size} entries came the one at {}", row.index));
            }
            spine.push(leaf_hash(&bytes));
            *by_kind.entry(entry.kind).or_default() += 1;
            size += 1;
            if let Some(kept) = kept.as_ref().filter(|kept| kept.size == size)
                && spine.root() != Some(kept.root)
            {
                findings.push(format!(
                    "history was rewritten: the first {size} entries are not those of the kept checkpoint"
                ));
            }
        }
    }
    drop(progress);
    if size < signed.size {
        findings
            .push(format!("entries missing: the checkpoint covers {}, and there are {size}", signed.size));
    } else if size > 0 && spine.root() != Some(signed.root) {
        findings.push(format!("the {size} entries do not lead to the root of the signed checkpoint"));
    }
    if let Some(kept) = kept.filter(|kept| kept.size > size) {
        findings.push(format!(
            "cut off: the kept checkpoint covers {} entries, and the log has {size}",
            kept.size
        ));
    }
    let verified = Verified {
        place: format!("of {}", remote.name()),
        size,
        entries_by_kind: by_kind,
        findings,
        unpublished: None,
        beside: "",
    };
    verified.conclude(json, &key, since.as_ref())
}

/// The complete subtrees of RFC 6962 that the entries so far make, from the largest to the smallest.
#[derive(Default)]
struct Spine(Vec<(u32, Hash)>);

impl Spine {
    fn push(&mut self, leaf: Hash) {
        let (mut height, mut hash) = (0, leaf);
        while let Some((_, left)) = self.0.pop_if(|(top, _)| *top == height) {
            hash = node_hash(&left, &hash);
            height += 1;
        }
        self.0.push((height, hash));
    }

    fn root(&self) -> Option<Hash> {
        let hashes = self.0.iter().rev().map(|(_, hash)| *hash);
        hashes.reduce(|right, left| node_hash(&left, &right))
    }
}
