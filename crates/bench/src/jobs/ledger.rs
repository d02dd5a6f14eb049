//! The ledger beside its floor: durable batches against a hashed, written and synchronised file, and the check of a
//! whole log against one SHA-256 of every entry.

use std::path::Path;

use anyhow::Context;
use leasehold_ledger::check::{self, Options};
use leasehold_ledger::checkpoint::SigningKey;
use leasehold_ledger::writer::Log;

use crate::measure::{Report, Row, Runs, cost};
use crate::yardstick::ledger::{RECORD_BYTES, append, hash_each, records};

const ORIGIN: &str = "bench.example.com/ledger";

/// A batch of one is mostly waiting for the disk: this many batches say enough.
const BATCHES_MAX: u32 = 500;

/// Runs the job.
pub fn run(count: u32, batches: &[u32], rounds: usize) -> anyhow::Result<Report> {
    anyhow::ensure!(count > 0 && !batches.contains(&0), "a batch has at least one record");
    let mut report = Report::new(format!("up to {count} entries of {RECORD_BYTES} bytes"));
    // Every run has a folder of its own and all go at the end: on some file systems files are created slowly after many
    // were removed.
    let folder = tempfile::tempdir()?;
    let bytes = records(count);
    let entries: Vec<&[u8]> = bytes.chunks_exact(RECORD_BYTES).collect();
    for &batch in batches {
        let count = entries.len().min(batch as usize * BATCHES_MAX as usize);
        let (mut raw, mut product) = (Vec::new(), Vec::new());
        for round in 0..=rounds.max(1) {
            let name = |what: &str| folder.path().join(format!("{what}-{batch}-{round}"));
            let (raw_cost, result) = cost(|| append(&name("raw"), &bytes[..count * RECORD_BYTES], batch))?;
            result.context("appending to the raw file")?;
            let mut log = Log::open(name("log"), ORIGIN)?;
            let (product_cost, result) = cost(|| {
                let result = append_all(&mut log, &entries[..count], batch as usize);
                // The thread that writes tiles is waited for: what it does is part of the price.
                drop(log);
                result
            })?;
            anyhow::ensure!(result? == count as u64, "the log has another number of entries");
            if round > 0 {
                raw.push(raw_cost);
                product.push(product_cost);
            }
        }
        let raw = Runs::new("SHA-256 chain, write, fdatasync", raw);
        let product = Runs::new("leasehold", product);
        let job = format!("append, batches of {batch}");
        let per_second = |runs: &Runs| count as f64 / runs.wall_seconds();
        report.push(raw.row(&job).figure(per_second(&raw), "entries/s wall"));
        let share = raw.wall_ratio_to(&product);
        let row = product.row(&job).figure(per_second(&product), "entries/s wall").ratio(share, "raw rate");
        let note = format!("{:.2} x the CPU seconds of raw", product.ratio_to(&raw));
        report.push(row.at_least(share, 0.5, ">= 0.5").note(note));
    }
    verify(&folder.path().join("checked"), &bytes, &entries, rounds, &mut report)?;
    Ok(report)
}

fn append_all(log: &mut Log, entries: &[&[u8]], batch: usize) -> anyhow::Result<u64> {
    for batch in entries.chunks(batch) {
        log.append_batch(batch)?;
    }
    Ok(log.len())
}

fn verify(
    log_folder: &Path,
    bytes: &[u8],
    entries: &[&[u8]],
    rounds: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let key = SigningKey::generate(ORIGIN)?;
    let verifying_key = key.verifying_key();
    let mut log = Log::open(log_folder, ORIGIN)?;
    append_all(&mut log, entries, 10_000)?;
    let (publish, signed) = cost(|| log.publish(&key))?;
    signed?;
    drop(log);
    let (mut plain, mut product, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds.max(1) {
        let (plain_cost, hash) = cost(|| hash_each(bytes))?;
        let (product_cost, checked) = cost(|| {
            let options = Options { opaque_entries: true, threads: Some(1), ..Options::default() };
            check::check(log_folder, &verifying_key, options)
        })?;
        anyhow::ensure!(
            checked.is_good() && checked.size == entries.len() as u64,
            "the check of an honest log of {} entries found {:?} in {}",
            entries.len(),
            checked.findings,
            checked.size
        );
        hashes.push(hash);
        if round > 0 {
            plain.push(plain_cost);
            product.push(product_cost);
        }
    }
    anyhow::ensure!(hashes.iter().all(|hash| *hash == hashes[0]), "the hashes differ between rounds");
    let plain = Runs::new("SHA-256 of every entry, in memory", plain);
    let product = Runs::new("leasehold, one thread, from files", product);
    let per_second = |runs: &Runs| entries.len() as f64 / 1e6 / runs.cpu_seconds();
    report.push(plain.row("verify").figure(per_second(&plain), "M entries/CPU s"));
    let share = plain.ratio_to(&product);
    let row =
        product.row("verify").figure(per_second(&product), "M entries/CPU s").ratio(share, "SHA-256 rate");
    report.push(row.at_least(share, 0.75, ">= 0.75"));
    report.push(Row::new("publish a checkpoint", "leasehold").cost(publish));
    Ok(())
}
