//! Measures how fast a file of grants is read: `cargo run --release -p leasehold-connect --example read_grants -- 5000000`.
//!
//! Prints rows a second for the parser with interning, on one thread, and for the whole connector into a sink that
//! drops the facts.

use std::io::Write;
use std::time::Instant;

use async_trait::async_trait;
use leasehold_connect::connector::Sink;
use leasehold_connect::csv::grants::{ReadOptions, read_interned};
use leasehold_connect::csv::intern::Interner;
use leasehold_connect::error::ConnectError;
use leasehold_connect::model::fact::{Fact, FeedEnd, Problem};
use leasehold_connect::model::id::SystemName;
use leasehold_connect::registry;
use leasehold_connect::settings::Settings;
use leasehold_connect::simulated::dice::Dice;

struct Count {
    facts: u64,
    problems: u64,
}

#[async_trait]
impl Sink for Count {
    async fn accept(&mut self, facts: Vec<Fact>) -> Result<(), ConnectError> {
        self.facts += facts.len() as u64;
        Ok(())
    }

    fn problem(&mut self, _problem: Problem) {
        self.problems += 1;
    }

    fn progress(&mut self, _done: u64, _total: Option<u64>) {}

    fn feed_ended(&mut self, _end: FeedEnd) -> Result<(), ConnectError> {
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows: u64 = std::env::args().nth(1).map_or(Ok(5_000_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("grants.csv");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
    writeln!(file, "account,entitlement")?;
    // About 18 grants an account, in order of accounts, as most exports are.
    let mut dice = Dice::new(1);
    for row in 0..rows {
        writeln!(file, "u{:07},role/r{:05}", row / 18, dice.below(20_000))?;
    }
    file.into_inner()?.sync_all()?;
    let bytes = std::fs::metadata(&path)?.len();
    println!("{rows} rows, {:.1} MB", bytes as f64 / 1e6);

    for round in 1..=3 {
        let (mut accounts, mut entitlements) = (Interner::default(), Interner::default());
        let mut sum = 0_u64;
        let begun = begin();
        let options = ReadOptions::default();
        let counts = read_interned(
            std::fs::File::open(&path)?,
            &options,
            &mut accounts,
            &mut entitlements,
            |account, entitlement| sum = sum.wrapping_add(u64::from(account) ^ u64::from(entitlement)),
        )?;
        report(&format!("read_interned, round {round}"), counts.rows, bytes, begun);
        println!("  {} accounts, {} entitlements, checksum {sum}", accounts.len(), entitlements.len());
    }
    let table = "grants = 'grants.csv'".parse()?;
    let settings = Settings::new(SystemName::new("bench")?, folder.path(), table);
    let connector = registry::build("csv", settings)?;
    let begun = begin();
    let mut sink = Count { facts: 0, problems: 0 };
    let completeness = connector.enumerate(&mut sink).await?;
    report("the connector, facts and all", rows, bytes, begun);
    println!("  {} facts, {} problems, {}", sink.facts, sink.problems, completeness.detail());
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        status.lines().filter(|line| line.starts_with("VmHWM")).for_each(|line| println!("  {line}"));
    }
    Ok(())
}

/// Begins a measurement: the wall clock, and the processor time that all threads have used so far.
fn begin() -> (Instant, f64) {
    (Instant::now(), processor_seconds())
}

/// Processor time of this process in seconds, from the kernel's ticks of 10 ms; 0 where there is no `/proc`.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn report(what: &str, rows: u64, bytes: u64, (begun, processor): (Instant, f64)) {
    let wall = begun.elapsed().as_secs_f64();
    let processor = processor_seconds() - processor;
    println!(
        "{what}: {wall:.2} s wall, {processor:.2} s processor: {:.2} M rows and {:.0} MB a processor second",
        rows as f64 / processor / 1e6,
        bytes as f64 / processor / 1e6
    );
}
