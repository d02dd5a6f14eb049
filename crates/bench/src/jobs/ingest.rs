//! The floor of a full ingest, and what DuckDB takes to read the same file.

use std::fs;

use crate::measure::{Report, Row, in_turn, runner};
use crate::peers::duckdb;
use crate::{Size, Versus, yardstick};

/// Runs the job.
pub fn run(size: &Size, versus: &[Versus]) -> anyhow::Result<Report> {
    let data = size.generate();
    let mut report = Report::new(data.summary());
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("observed.csv");
    let pairs = data.snapshot(size.seed);
    duckdb::write_csv(
        &path,
        "user_id,entitlement_id",
        pairs.iter().map(|pair| [(*pair >> 32) as u32, *pair as u32]),
    )?;
    drop(pairs);
    let million_rows = data.grants() as f64 / 1e6;
    let (rows, runs) = in_turn(
        size.rounds.min(3),
        vec![runner("parse + sort floor", || {
            let text = fs::read(&path).unwrap_or_default();
            yardstick::drift::group(data.users, yardstick::csv::parse(&text)).values.len()
        })],
    )?;
    anyhow::ensure!(rows == data.grants(), "the floor read {rows} of {} rows", data.grants());
    report.push(runs[0].row("ingest").figure(million_rows / runs[0].cpu_seconds(), "M rows/CPU s"));
    report.push(Row::not_measured(
        "ingest",
        "leasehold",
        "the csv connector is not part of this benchmark yet",
    ));
    if versus.contains(&Versus::Duckdb) {
        match duckdb::read_csv(&path) {
            Err(error) => report.push(Row::not_measured("ingest", "duckdb", error)),
            Ok((cost, rows)) => {
                anyhow::ensure!(rows == data.grants() as u64, "DuckDB read {rows} rows");
                let row = Row::new("ingest", "duckdb read_csv").cost(cost);
                report.push(row.figure(million_rows / cost.cpu_seconds, "M rows/CPU s"));
            }
        }
    }
    Ok(report)
}
