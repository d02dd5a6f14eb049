//! The floor of the ledger on this machine: hashing, and durable batches.

use crate::measure::{Report, Row, cost, median};
use crate::yardstick;

/// Runs the job.
pub fn run(records: u32, batch: u32, rounds: usize) -> anyhow::Result<Report> {
    let mut report = Report::new(format!("{records} records of {} bytes", yardstick::ledger::RECORD_BYTES));
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("log");
    let (mut chains, mut appends, mut appends_wall) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.max(1) {
        let (chain, _) = cost(|| yardstick::ledger::chain(records))?;
        let (append, written) = cost(|| yardstick::ledger::append(&path, records, batch.max(1)))?;
        let written = written?;
        anyhow::ensure!(
            written == u64::from(records) * yardstick::ledger::RECORD_BYTES as u64,
            "short write"
        );
        chains.push(chain.cpu_seconds);
        appends.push(append.cpu_seconds);
        appends_wall.push(append.wall_seconds);
    }
    let millions = f64::from(records) / 1e6;
    let row = Row::new("hash", "SHA-256 chain");
    report.push(row.figure(millions / median(chains), "M records/CPU s"));
    let row = Row::new("append", "raw batches, fdatasync");
    let note = format!("batches of {batch}; {:.3} CPU s", median(appends));
    report.push(row.figure(f64::from(records) / median(appends_wall), "records/s wall").note(note));
    let why = "the ledger crate is not part of this benchmark yet";
    report.push(Row::not_measured("append", "leasehold", why));
    report.push(Row::not_measured("verify", "leasehold", why));
    Ok(report)
}
