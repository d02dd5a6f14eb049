//! The server under load: pages and lists of a large company beside hand-written SQL over the same rows, effective-access
//! checks beside a raw TCP responder, start-up on an empty store, and memory.

mod company;
mod pages;
pub(super) mod process;
mod raw;
mod sql;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;

pub use company::Company;
use process::{Process, run as run_command};
use sql::ByHand;

use crate::measure::{Report, Row, median, percentile};

const CONNECTIONS: usize = 4;

/// What is measured, and with what.
#[derive(Args, Clone, Debug)]
pub struct Load {
    /// The product's binary.
    #[arg(long, default_value = "target/release/leasehold")]
    binary: PathBuf,
    /// Where the company and its store are made, about 1 GB; kept, and used again when it is there.
    #[arg(long)]
    folder: PathBuf,
    /// Identities, each with an account in every system and five grants there.
    #[arg(long, default_value_t = 100_000)]
    identities: u32,
    /// Systems.
    #[arg(long, default_value_t = 10)]
    systems: u32,
    /// Requests of each page.
    #[arg(long, default_value_t = 200)]
    requests: u32,
    /// Effective-access checks in one round.
    #[arg(long, default_value_t = 20_000)]
    checks: u32,
    /// Rounds of checks, in turn with the raw responder, and starts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// Measures everything.
pub fn run(load: &Load) -> anyhow::Result<Report> {
    runtime()?.block_on(measure(load))
}

/// Serves as the raw responder, until the process is ended.
pub fn serve_raw(bytes: usize) -> anyhow::Result<()> {
    runtime()?.block_on(raw::serve(bytes))
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

async fn measure(load: &Load) -> anyhow::Result<Report> {
    // Whoever builds a client has said who encrypts; nothing here is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let binary = load.binary.canonicalize().with_context(|| {
        format!("{} is not there; `cargo build --release -p leasehold` makes it", load.binary.display())
    })?;
    let company = Company { identities: load.identities, systems: load.systems };
    let mut report = Report::new(company.summary());
    start_up(&binary, load.rounds, &mut report).await?;
    let token = prepare(&binary, &load.folder, company)?;

    let server = Process::leasehold(&binary, &load.folder)?;
    let client = client(&token)?;
    let ready = server.wait_for(&client, "/readyz", Duration::from_secs(600)).await?;
    // Ready means that it reads and writes; a page needs the present state.
    let loaded = server.wait_for(&client, "/api/v1/identities?limit=1", Duration::from_secs(600)).await?;
    report.push(Row::new("start", "until ready").figure(ready.as_secs_f64(), "s"));
    report.push(Row::new("start", "until the state is loaded").figure((ready + loaded).as_secs_f64(), "s"));
    let (resident, _) = server.resident_bytes()?;
    let grants = f64::from(load.identities) * f64::from(load.systems) * 5.0;
    report.push(
        Row::new("memory", "after loading")
            .figure(resident as f64 / 1e6, "MB")
            .note(format!("{:.0} bytes a grant", resident as f64 / grants)),
    );

    let by_hand = load.folder.join("by-hand.db");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", by_hand.display()));
    }
    eprintln!("copying the rows for the SQL by hand");
    let mut by_hand = ByHand::of(&load.folder.join("leasehold.db"), &by_hand).await?;
    let counted = by_hand.grants().await?;
    anyhow::ensure!(counted as f64 >= grants, "the store has {counted} grants, which is too few");
    pages::measure(load, company, &server, &client, &mut by_hand, &mut report).await?;
    checks(load, company, &server, &client, &mut by_hand, &mut report).await?;

    let (resident, most) = server.resident_bytes()?;
    report.push(
        Row::new("memory", "after the load")
            .figure(resident as f64 / 1e6, "MB")
            .note(format!("at most {:.0} MB", most as f64 / 1e6)),
    );
    Ok(report)
}

fn client(token: &str) -> anyhow::Result<reqwest::Client> {
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert(reqwest::header::AUTHORIZATION, format!("Bearer {token}").parse()?);
    let client =
        reqwest::Client::builder().default_headers(headers).redirect(reqwest::redirect::Policy::none());
    Ok(client.timeout(Duration::from_secs(60)).build()?)
}

/// Makes the company and reads it once, where the folder does not hold it; returns a token.
fn prepare(binary: &Path, folder: &Path, company: Company) -> anyhow::Result<String> {
    let made = folder.join("made");
    if !made.exists() {
        company.write(folder)?;
        run_command(binary, folder, &["sync"])?;
        run_command(binary, folder, &["policy", "apply"])?;
        run_command(binary, folder, &["user", "add", "load@example.com", "--role", "administrator"])?;
        std::fs::write(&made, company.summary())?;
    }
    let before = std::fs::read_to_string(&made)?;
    anyhow::ensure!(
        before == company.summary(),
        "{} holds another company: {before}; name another folder, or remove it",
        folder.display()
    );
    run_command(binary, folder, &["token", "create", "--scope", "read,metrics", "--user", "load@example.com"])
}

/// From the start of the process to the first answer, on a store that was not there and on one that is empty.
async fn start_up(binary: &Path, rounds: usize, report: &mut Report) -> anyhow::Result<()> {
    let client = client("none")?;
    let (mut first, mut again, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.max(1) {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("policy"))?;
        std::fs::write(folder.path().join("leasehold.toml"), "[server]\n")?;
        for times in [&mut first, &mut again] {
            times
                .push(until_answer(&client, "/healthz", || Process::leasehold(binary, folder.path())).await?);
        }
        floor.push(until_answer(&client, "/", || raw_responder(300)).await?);
    }
    let floor = median(floor);
    for (by, times) in [("no store", first), ("an empty store", again)] {
        let middle = median(times.clone());
        let most = times.iter().copied().fold(0.0, f64::max);
        report.push(
            Row::new("start to first answer", by)
                .figure(middle, "ms")
                .ratio(middle / floor, "raw responder")
                .at_most(middle, 50.0, "at most 50 ms")
                .note(format!("at most {most:.1} ms of {}", times.len())),
        );
    }
    Ok(())
}

async fn until_answer(
    client: &reqwest::Client,
    path: &str,
    start: impl FnOnce() -> anyhow::Result<Process>,
) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let server = start()?;
    let answer = client.get(format!("{}{path}", server.url)).send().await?;
    anyhow::ensure!(answer.status().is_success(), "{path} answers {}", answer.status());
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

fn raw_responder(bytes: usize) -> anyhow::Result<Process> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["raw-responder", "--bytes", &bytes.to_string()]);
    Process::start(command)
}

/// Effective-access checks, in turn with a raw responder whose answers are as long.
async fn checks(
    load: &Load,
    company: Company,
    server: &Process,
    client: &reqwest::Client,
    by_hand: &mut ByHand,
    report: &mut Report,
) -> anyhow::Result<()> {
    let path = |number: u32| {
        let identity = (number.wrapping_mul(2_654_435_761)) % company.identities;
        // Half ask for what is held by a group, half for what is not held.
        let of = if number.is_multiple_of(2) { identity } else { identity + 1 };
        let address = company.carried(of, number % company.systems);
        (
            format!("/api/v1/identities/{}/access/{}", company.key(identity), address.replace('/', "%2F")),
            identity,
            address,
        )
    };
    // Whether the answers are right is seen before they are counted.
    let mut bytes = 0;
    for number in 0..200 {
        let (path, identity, address) = path(number);
        let answer = client.get(format!("{}{path}", server.url)).send().await?;
        anyhow::ensure!(answer.status().is_success(), "{path} answers {}", answer.status());
        let text = answer.text().await?;
        bytes = bytes.max(text.len());
        let answer: serde_json::Value = serde_json::from_str(&text)?;
        let (_, rows) = by_hand.ask(&sql::CHECK, &format!("{} {address}", company.key(identity))).await?;
        anyhow::ensure!(answer["held"] == (rows > 0), "{path}: {text}, by hand {rows} rows");
    }
    let raw = raw_responder(bytes)?;
    let (mut ours, mut floor, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut latencies, mut floor_latencies) = (Vec::new(), Vec::new());
    for round in 0..=load.rounds.max(1) {
        let mut costs = [0.0; 2];
        for (cost, process, latencies) in [(0, server, &mut latencies), (1, &raw, &mut floor_latencies)] {
            let before = process.cpu_seconds()?;
            let times = storm(client, process, load.checks, path).await?;
            costs[cost] = (process.cpu_seconds()? - before) / f64::from(load.checks) * 1e6;
            if round > 0 {
                latencies.extend(times);
            }
        }
        if round > 0 {
            ours.push(costs[0]);
            floor.push(costs[1]);
            ratios.push(costs[0] / costs[1]);
        }
    }
    latencies.sort_unstable();
    floor_latencies.sort_unstable();
    let mut sql_times = Vec::new();
    for number in 0..2_000 {
        let (_, identity, address) = path(number);
        let (time, _) = by_hand.ask(&sql::CHECK, &format!("{} {address}", company.key(identity))).await?;
        sql_times.push(time.as_nanos() as u64);
    }
    sql_times.sort_unstable();
    let microseconds = |times: &[u64], share: f64| percentile(times, share) as f64 / 1e3;
    let ratio = median(ratios);
    report.push(
        Row::new("effective-access check", "server CPU a request")
            .figure(median(ours), "µs")
            .ratio(ratio, "raw responder")
            .at_most(ratio, 3.0, "at most 3")
            .note(format!("raw responder {:.1} µs", median(floor))),
    );
    report.push(
        Row::new("effective-access check", &format!("p50 of {CONNECTIONS} connections"))
            .figure(microseconds(&latencies, 0.5), "µs")
            .ratio(microseconds(&latencies, 0.5) / microseconds(&floor_latencies, 0.5), "raw responder")
            .note(format!("p99 {:.0} µs", microseconds(&latencies, 0.99))),
    );
    report.push(
        Row::new("effective-access check", "SQL by hand, in process, p50")
            .figure(microseconds(&sql_times, 0.5), "µs"),
    );
    Ok(())
}

/// Asks as fast as answers come, over a few connections, and returns how long each took in nanoseconds.
async fn storm(
    client: &reqwest::Client,
    process: &Process,
    requests: u32,
    path: impl Fn(u32) -> (String, u32, String) + Copy,
) -> anyhow::Result<Vec<u64>> {
    let each = requests / CONNECTIONS as u32;
    let one = async |connection: u32| -> anyhow::Result<Vec<u64>> {
        let mut times = Vec::with_capacity(each as usize);
        for number in 0..each {
            let address = format!("{}{}", process.url, path(connection * each + number).0);
            let begun = Instant::now();
            let answer = client.get(address).send().await?;
            anyhow::ensure!(answer.status().is_success(), "it answers {}", answer.status());
            answer.bytes().await?;
            times.push(begun.elapsed().as_nanos() as u64);
        }
        Ok(times)
    };
    let (a, b, c, d) = tokio::try_join!(one(0), one(1), one(2), one(3))?;
    Ok([a, b, c, d].concat())
}
