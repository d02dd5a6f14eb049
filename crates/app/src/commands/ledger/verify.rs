//! `leasehold ledger verify`: the log beside what else there is: the store, a kept checkpoint, or nothing.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use leasehold_ledger::bundle::{Bundle, VerifiedEntry};
use leasehold_ledger::check::{Options, Report, check};
use leasehold_ledger::checkpoint::{Checkpoint, SigningKey, VerifyingKey};
use leasehold_ledger::entry::Entry;
use leasehold_ledger::view::View;
use leasehold_reconcile::workflow::receipt::OffboardingReceipt;
use serde_json::json;

use crate::Outcome;
use crate::commands::receipt;
use crate::context::Context;
use crate::output::{self, Tone, toned};

/// What the store's rows show beside the log.
#[derive(Debug, Default, PartialEq, Eq)]
struct Beside {
    /// What is wrong with them.
    findings: Vec<String>,
    /// How many entries are recorded and not published yet.
    unpublished: u64,
}

/// Verifies a folder alone.
pub fn folder(json: bool, dir: &Path, key: &VerifyingKey, since: Option<&Path>) -> anyhow::Result<Outcome> {
    let since = since.map(Since::read).transpose()?;
    let options = Options { trusted: Since::text(since.as_ref()), ..Options::default() };
    conclude(json, dir, key, &check(dir, key, options), since.as_ref(), None)
}

/// Verifies the configured log beside the store's rows, with the key that the store keeps unless another is given.
pub async fn installation(
    context: &Context,
    given: Option<VerifyingKey>,
    since: Option<&Path>,
) -> anyhow::Result<Outcome> {
    let dir = &context.config.ledger;
    let kept = super::kept_key(context).await?;
    let published = context.store.ledger_published().await?;
    let nothing_signed = View::open(dir)?.is_none() && published == 0 && kept.is_none();
    if nothing_signed {
        let recorded = context.store.ledger_len().await?;
        bail!(
            "nothing was signed yet, so there is nothing to verify ({} recorded); run `leasehold sync` first",
            number_of(recorded)
        );
    }
    let since = since.map(Since::read).transpose()?;
    let mut findings = Vec::new();
    let key = match (given, kept) {
        (Some(given), _) => given,
        (None, Some(kept)) => {
            // The file is not needed to verify. Where it is there, it says who would sign next.
            let file = SigningKey::load(&context.config.ledger_key).map(|key| key.verifying_key());
            if let Some(file) = file.ok().filter(|file| *file != kept) {
                findings.push(format!(
                    "other key: {} holds the key {}, and this log is signed with {}",
                    context.config.ledger_key.display(),
                    file.label(),
                    kept.label()
                ));
            }
            kept
        }
        (None, None) => super::own_key(context)?,
    };
    let mut tries = 0;
    let (report, mut beside) = loop {
        let size = View::open(dir)?.map_or(0, |view| view.len());
        let (length, rows) = context.store.ledger_rows().await?;
        let beside = examine(length, size, &rows);
        // What is not published yet stands in the store alone, and the log is not short of it.
        let comparable = i64::try_from(size.max(published)).unwrap_or(i64::MAX);
        let mut expected = rows
            .into_iter()
            .take_while(|(index, _)| *index < comparable)
            .filter_map(|(index, bytes)| Some((u64::try_from(index).ok()?, bytes)));
        let options = Options {
            trusted: Since::text(since.as_ref()),
            expected_entries: Some(&mut expected),
            ..Options::default()
        };
        let report = check(dir, &key, options);
        tries += 1;
        // Another command published in between: the rows that were read are older than the log.
        if report.size == size || tries == 5 {
            break (report, beside);
        }
    };
    beside.findings.splice(0..0, findings);
    conclude(context.json, dir, &key, &report, since.as_ref(), Some(beside))
}

/// A checkpoint that somebody kept.
pub struct Since {
    pub path: String,
    pub text: String,
    size: u64,
}

impl Since {
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read the checkpoint {shown}"))?;
        // The checker judges it; here it only has to say how much it covers.
        let kept = Checkpoint::parse_unverified(&text).with_context(|| {
            format!("{shown} is no checkpoint; `leasehold ledger checkpoint --out FILE` writes one")
        })?;
        Ok(Self { path: shown, text, size: kept.checkpoint.size })
    }

    fn text(since: Option<&Self>) -> Option<String> {
        since.map(|since| since.text.clone())
    }
}

/// Looks at the store's rows: they are numbered without a gap from 0 up to the length that the store gives, and the log
/// has no more of them. Whether they say the same as the log is for the checker.
fn examine(length: u64, size: u64, rows: &[(i64, Vec<u8>)]) -> Beside {
    let end = i64::try_from(length).unwrap_or(i64::MAX);
    let mut findings = Vec::new();
    let mut missing = |first: i64, last: i64| {
        findings.push(format!("rows missing: the store lacks {}", entries(first, last)));
    };
    let (mut next, mut unknown, mut malformed) = (0, None::<(i64, i64)>, Vec::new());
    for (index, bytes) in rows {
        if !(0..end).contains(index) {
            unknown = Some((unknown.map_or(*index, |(first, _)| first), *index));
            continue;
        }
        if *index > next {
            missing(next, index - 1);
        }
        next = index + 1;
        let published = u64::try_from(*index).is_ok_and(|index| index < size);
        if !published && let Err(error) = Entry::from_bytes(bytes) {
            malformed.push(format!("row malformed: entry {index} of the store is no entry: {error}"));
        }
    }
    if next < end {
        missing(next, end - 1);
    }
    if let Some((first, last)) = unknown {
        findings.push(format!(
            "rows unknown: beyond the {} that it recorded, the store has {}",
            number_of(length),
            entries(first, last)
        ));
    }
    findings.append(&mut malformed);
    if length < size {
        findings.push(format!("store behind: it has recorded {length} entries, and the log has {size}"));
    }
    Beside { findings, unpublished: length.saturating_sub(size) }
}

/// `entry 7`, `entries 7 to 9`.
fn entries(first: i64, last: i64) -> String {
    if first == last { format!("entry {first}") } else { format!("entries {first} to {last}") }
}

/// `1 entry`, `2 entries`.
pub fn number_of(number: u64) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{number} entries") }
}

/// Turns what a check of a folder came to into an outcome.
fn conclude(
    json: bool,
    dir: &Path,
    key: &VerifyingKey,
    report: &Report,
    since: Option<&Since>,
    beside: Option<Beside>,
) -> anyhow::Result<Outcome> {
    let mut findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    let unpublished = beside.as_ref().map(|beside| beside.unpublished);
    findings.extend(beside.into_iter().flat_map(|beside| beside.findings));
    let verified = Verified {
        place: format!("in {}", dir.display()),
        size: report.size,
        entries_by_kind: report.entries_by_kind.clone(),
        findings,
        unpublished,
        beside: match unpublished {
            None => "",
            Some(0) => ", and the store holds the same entries",
            Some(_) => ", and the store holds the same entries and more",
        },
    };
    verified.conclude(json, key, since)
}

/// What a check came to, wherever the log is.
pub struct Verified {
    /// Where it is, after "the log".
    pub place: String,
    /// How many entries lead to the checkpoint.
    pub size: u64,
    /// How many of each kind.
    pub entries_by_kind: BTreeMap<String, u64>,
    /// Everything that is wrong.
    pub findings: Vec<String>,
    /// How many entries are in the store alone, where that was looked at.
    pub unpublished: Option<u64>,
    /// What was compared besides, at the end of a sentence.
    pub beside: &'static str,
}

impl Verified {
    /// Prints it, and turns it into an outcome.
    pub fn conclude(self, json: bool, key: &VerifyingKey, since: Option<&Since>) -> anyhow::Result<Outcome> {
        let Self { place, size, entries_by_kind, findings, unpublished, beside } = self;
        if json {
            let summary = json!({
                "size": size,
                "entries_by_kind": entries_by_kind,
                "unpublished": unpublished,
                "since": since.map(|since| json!({"file": since.path, "size": since.size})),
                "findings": findings.len(),
            });
            let items: Vec<_> = findings.iter().map(|finding| json!({"finding": finding})).collect();
            output::json(&json!({"items": items, "summary": summary}))?;
        } else {
            for finding in &findings {
                output::line(format!("{} {finding}", toned("tampered:", Tone::Bad)))?;
            }
            for (kind, number) in &entries_by_kind {
                output::line(format!("  {number:>8}  {kind}"))?;
            }
            if findings.is_empty() {
                output::line(format!(
                    "{}: {} lead to the checkpoint signed by {}{beside}",
                    toned("verified", Tone::Good),
                    number_of(size),
                    key.name()
                ))?;
                output::line(match since {
                Some(since) => format!(
                    "compared with the kept checkpoint {}: the log still begins with its {}",
                    since.path,
                    number_of(since.size)
                ),
                None => toned(
                    "a rewrite by the key's owner shows only beside another copy or a kept checkpoint: `leasehold ledger checkpoint --out FILE` keeps one, `--since FILE` compares",
                    Tone::Quiet,
                )
                .to_string(),
            })?;
            }
        }
        if !findings.is_empty() {
            bail!("the log {place} is not as it was written: {}", output::count(findings.len(), "finding"));
        }
        if unpublished.is_some_and(|unpublished| unpublished > 0) {
            if !json {
                say_unpublished(unpublished.unwrap_or_default())?;
            }
            return Ok(Outcome::Outstanding);
        }
        Ok(Outcome::Clean)
    }
}

/// What an interrupted command recorded is in no signed log yet.
fn say_unpublished(unpublished: u64) -> anyhow::Result<()> {
    output::line(format!(
        "{}: {} of the store {} not in the signed log yet; the next `leasehold sync`, `plan` or `apply` publishes {}",
        toned("not published", Tone::Attention),
        number_of(unpublished),
        if unpublished == 1 { "is" } else { "are" },
        if unpublished == 1 { "it" } else { "them" }
    ))?;
    Ok(())
}

/// Verifies a bundle, with nothing else at hand.
pub fn bundle(json: bool, path: &Path, key: &VerifyingKey) -> anyhow::Result<Outcome> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the bundle {}", path.display()))?;
    let receipt = OffboardingReceipt::read(&text)
        .with_context(|| format!("{} is a receipt that cannot be read", path.display()))?;
    if let Some(receipt) = receipt {
        return receipt::verify(json, path, &receipt, key);
    }
    let bundle = Bundle::from_json(&text).with_context(|| format!("{} is not a bundle", path.display()))?;
    match bundle.verify(key) {
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
                        |entry| {
                            output::safe(format!(
                                "{}  {}  {}  {}",
                                entry.at, entry.kind, entry.subject, entry.body
                            ))
                        },
                    );
                    output::line(format!("{:>8}  {line}", entry.index))?;
                    for (field, value) in opened(&bundle, entry) {
                        output::line(format!("{:>8}  {field} = {}", "", output::safe(value)))?;
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
                output::remark(finding);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of these indexes, each with an entry.
    fn rows(indexes: impl IntoIterator<Item = i64>) -> Vec<(i64, Vec<u8>)> {
        let entry = Entry {
            kind: "policy.applied".to_owned(),
            at: "2026-01-01T00:00:00Z".to_owned(),
            subject: "1".to_owned(),
            body: json!({}),
            commitments: BTreeMap::new(),
        };
        let bytes = entry.to_bytes().expect("an entry");
        indexes.into_iter().map(|index| (index, bytes.clone())).collect()
    }

    #[test]
    fn rows_are_gapless_up_to_the_length_of_the_store() {
        /// What it is, the store's length, the log's size, the rows, what is found, what is not published.
        type Case = (&'static str, u64, u64, &'static [i64], &'static [&'static str], u64);
        let cases: &[Case] = &[
            ("all is published", 4, 4, &[0, 1, 2, 3], &[], 0),
            ("an interrupted command", 4, 2, &[0, 1, 2, 3], &[], 2),
            ("a gap in what is published", 4, 4, &[0, 3], &["the store lacks entries 1 to 2"], 0),
            ("a gap beyond", 4, 1, &[0, 1, 3], &["lacks entry 2"], 3),
            ("the end is cut off", 4, 1, &[0, 1], &["entries 2 to 3"], 3),
            (
                "a row beyond the length",
                3,
                3,
                &[0, 1, 2, 3],
                &["beyond the 3 entries that it recorded, the store has entry 3"],
                0,
            ),
            ("a row before the first", 1, 1, &[-1, 0], &["entry -1"], 0),
            ("a store of another time", 2, 3, &[0, 1], &["recorded 2 entries, and the log has 3"], 0),
            ("nothing left", 2, 2, &[], &["entries 0 to 1"], 0),
        ];
        for (what, length, size, indexes, findings, unpublished) in cases {
            let beside = examine(*length, *size, &rows(indexes.iter().copied()));
            assert_eq!(beside.findings.len(), findings.len(), "{what}: {beside:?}");
            for (found, expected) in beside.findings.iter().zip(*findings) {
                assert!(found.contains(expected), "{what}: {found}");
            }
            assert_eq!(beside.unpublished, *unpublished, "{what}");
        }
        let forged = [rows([0]), vec![(1, b"{}".to_vec())]].concat();
        assert!(examine(2, 1, &forged).findings[0].contains("entry 1 of the store is no entry"));
    }
}
