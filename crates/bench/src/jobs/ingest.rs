//! A full ingest: a CSV of grants becomes a validated graph and the epoch an entry of the ledger; beside the floor
//! (parse and sort) and DuckDB's `read_csv` of the same file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use anyhow::Context;
use leasehold_connect::csv::grants::{Counts, ReadOptions, read_interned};
use leasehold_connect::csv::intern::Interner;
use leasehold_decide::engine::graph::{AccountHandle, Built, GraphBuilder};
use leasehold_decide::engine::{EngineError, EntitlementIndex, IdentityIndex, SystemIndex};
use leasehold_ledger::entry::Entry;
use leasehold_ledger::writer::Log;

use crate::measure::{Report, Row, Runs, cost};
use crate::peers::duckdb;
use crate::tally::Tally;
use crate::{Size, Versus, yardstick};

/// Runs the job.
pub fn run(size: &Size, versus: &[Versus]) -> anyhow::Result<Report> {
    let data = size.generate();
    let mut report = Report::new(data.summary());
    let folder = tempfile::tempdir()?;
    let mut log = Log::open(folder.path().join("ledger"), "bench.example.com/ingest")?;
    let mut pairs = data.snapshot(size.seed);
    let (users, rounds) = (data.users, size.rounds.min(3));
    drop(data);
    for order in ["shuffled rows", "rows by account"] {
        if order == "rows by account" {
            pairs.sort_unstable();
        }
        let path = folder.path().join("observed.csv");
        let rows = pairs.iter().map(|pair| [(*pair >> 32) as u32, *pair as u32]);
        duckdb::write_csv(&path, "user_id,entitlement_id", rows)?;
        let expected = tally(pairs.iter().map(|pair| ((*pair >> 32) as u32, *pair as u32)));
        one_file(order, &path, users, rounds, versus, &expected, &mut log, &mut report)?;
    }
    Ok(report)
}

#[expect(clippy::too_many_arguments, reason = "one call, and a struct for it would only repeat the names")]
fn one_file(
    order: &str,
    path: &Path,
    users: u32,
    rounds: usize,
    versus: &[Versus],
    expected: &Tally,
    log: &mut Log,
    report: &mut Report,
) -> anyhow::Result<()> {
    let job = format!("ingest, {order}");
    let mut peer_missing = (!versus.contains(&Versus::Duckdb)).then(|| "not asked for".to_owned());
    let (mut floor, mut product, mut peer) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds.max(1) {
        let (floor_cost, lists) = cost(|| -> anyhow::Result<_> {
            let text = fs::read(path).context("reading the CSV")?;
            Ok(yardstick::drift::group(users, yardstick::csv::parse(&text)))
        })?;
        let answer = tally(lists?.pairs());
        anyhow::ensure!(answer == *expected, "the floor read {answer:?}, written were {expected:?}");
        let (product_cost, ingested) = cost(|| Ingested::read(path, users, log))?;
        let answer = ingested?.tally()?;
        anyhow::ensure!(answer == *expected, "the product read {answer:?}, written were {expected:?}");
        let mut peer_cost = None;
        if peer_missing.is_none() {
            match duckdb::read_csv(path) {
                Err(error) => peer_missing = Some(format!("{error:#}")),
                Ok((cost, rows)) => {
                    anyhow::ensure!(rows == expected.extra, "DuckDB read {rows} rows");
                    peer_cost = Some(cost);
                }
            }
        }
        if round > 0 {
            floor.push(floor_cost);
            product.push(product_cost);
            peer.extend(peer_cost);
        }
    }
    let floor = Runs::new("parse + sort floor", floor);
    let product = Runs::new("leasehold", product);
    let peer = Runs::new("duckdb read_csv", peer);
    let row =
        |runs: &Runs| runs.row(&job).figure(expected.extra as f64 / 1e6 / runs.cpu_seconds(), "M rows/CPU s");
    report.push(row(&floor));
    let ratio = product.ratio_to(&floor);
    report.push(row(&product).ratio(ratio, "floor").at_most(ratio, 3.0, "<= 3"));
    match peer_missing {
        Some(why) => report.push(Row::not_measured(&job, "duckdb", why)),
        None => {
            report.push(row(&peer));
            let faster = peer.ratio_to(&product);
            let row = Row::new(&job, "duckdb / leasehold").figure(faster, "times");
            report.push(row.at_least(faster, 1.0, ">= 1"));
        }
    }
    Ok(())
}

fn tally(pairs: impl Iterator<Item = (u32, u32)>) -> Tally {
    let mut tally = Tally::default();
    pairs.for_each(|(user, entitlement)| tally.extra(user, entitlement));
    tally
}

/// A graph read from a file, with the texts of its numbers.
struct Ingested {
    built: Built,
    accounts: Interner,
    entitlements: Interner,
}

impl Ingested {
    /// Reads, correlates accounts to identities by number, checks and builds, and enters the epoch in the ledger.
    fn read(path: &Path, users: u32, log: &mut Log) -> anyhow::Result<Self> {
        let options = ReadOptions {
            account: "user_id".to_owned(),
            entitlement: "entitlement_id".to_owned(),
            ..ReadOptions::default()
        };
        let (mut accounts, mut entitlements) = (Interner::default(), Interner::default());
        let system = SystemIndex(0);
        let mut builder = GraphBuilder::new(1, users);
        let mut grant = |account: u32, entitlement: u32| -> Result<(), EngineError> {
            // Numbers are given in the order in which names come, so a new one is the next.
            if account as usize == builder.account_count() {
                builder.add_account(system, None)?;
            }
            if entitlement as usize == builder.entitlement_count() {
                builder.add_entitlement(system)?;
            }
            builder.add_grant(AccountHandle(account), EntitlementIndex(entitlement))
        };
        let mut outcome = Ok(());
        let counts = read_interned(
            File::open(path)?,
            &options,
            &mut accounts,
            &mut entitlements,
            |account, entitlement| {
                if outcome.is_ok() {
                    outcome = grant(account, entitlement);
                }
            },
        )?;
        outcome?;
        for account in 0..accounts.len() as u32 {
            let identity = IdentityIndex(number(accounts.text(account))?);
            builder.correlate(AccountHandle(account), Some(identity))?;
        }
        let built = builder.finish()?;
        log.append_batch(&[epoch(&counts, &built).to_bytes()?])?;
        Ok(Ingested { built, accounts, entitlements })
    }

    /// The grants of the finished graph, by the numbers that the file has.
    fn tally(&self) -> anyhow::Result<Tally> {
        let entitlements: Vec<u32> = (0..self.entitlements.len() as u32)
            .map(|entitlement| {
                let text = self.entitlements.text(entitlement);
                number(text.rsplit(|byte| *byte == b'/').next().unwrap_or(text))
            })
            .collect::<anyhow::Result<_>>()?;
        let mut tally = Tally::default();
        for account in 0..self.accounts.len() as u32 {
            let user = number(self.accounts.text(account))?;
            let index = self.built.account(AccountHandle(account));
            for entitlement in self.built.graph.grants_of(index) {
                tally.extra(user, entitlements[entitlement.index()]);
            }
        }
        Ok(tally)
    }
}

fn epoch(counts: &Counts, built: &Built) -> Entry {
    Entry {
        kind: "epoch".to_owned(),
        at: "2026-01-31T09:30:00Z".to_owned(),
        subject: "system/bench".to_owned(),
        body: serde_json::json!({
            "rows": counts.rows,
            "bad": counts.bad,
            "bytes": counts.bytes,
            "accounts": built.graph.account_count(),
            "grants": built.graph.grant_count(),
        }),
        commitments: BTreeMap::new(),
    }
}

fn number(text: &[u8]) -> anyhow::Result<u32> {
    let text = std::str::from_utf8(text).context("the generator wrote digits only")?;
    text.parse().with_context(|| format!("`{text}` is not a number that the generator wrote"))
}
