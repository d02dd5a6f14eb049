//! A whole application over SCIM: read from a target in this process over loopback HTTP, stored, and compared with what
//! roles give, by the product's own binary.

mod target;

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener;

use self::target::{DEPARTMENTS, TEAMS, Target};
use crate::measure::{Report, Row, median};

/// What midPoint publishes for its reconciliation: another target, another machine, other work; not like for like.
const MIDPOINT_ACCOUNTS_A_MINUTE: f64 = 1_300.9;
const GOAL_ACCOUNTS_A_MINUTE: f64 = 50_000.0;
/// People who left, of everybody: their accounts are what drift has to find.
const LEFT_EVERY: u32 = 200;

/// What is measured, and with what.
#[derive(Args, Clone, Debug)]
pub struct Load {
    /// The product's binary.
    #[arg(long, default_value = "target/release/leasehold")]
    binary: PathBuf,
    /// Where the stores are made; a folder in it for each size, made anew.
    #[arg(long)]
    folder: PathBuf,
    /// Accounts of the target, one run for each.
    #[arg(long, value_delimiter = ',', default_value = "100000,500000,1000000")]
    accounts: Vec<u32>,
    /// Users that are asked for at once.
    #[arg(long, default_value_t = 500)]
    page_size: u32,
}

/// What one command took.
struct Ran {
    wall: Duration,
    /// The most that was in memory, as seen every few milliseconds.
    resident_bytes_max: u64,
    /// What was in memory at each look, with its instant.
    resident_bytes: Vec<(Duration, u64)>,
    output: String,
}

/// Measures every size.
pub fn run(load: &Load) -> anyhow::Result<Report> {
    let binary = load.binary.canonicalize().with_context(|| {
        format!("{} is not there; `cargo build --release -p leasehold` makes it", load.binary.display())
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut report = Report::new(format!(
        "users of about 700 bytes, {DEPARTMENTS} department and {TEAMS} team groups, two memberships each; the target shares the \
         machine's cores"
    ));
    for accounts in &load.accounts {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let url = format!("http://{}/v2", listener.local_addr()?);
        let target = Target { accounts: *accounts };
        let serving = runtime.spawn(target.serve(listener));
        let measured = measure(load, &binary, target, &url, &mut report);
        serving.abort();
        measured?;
    }
    Ok(report)
}

fn measure(load: &Load, binary: &Path, target: Target, url: &str, report: &mut Report) -> anyhow::Result<()> {
    let accounts = target.accounts;
    let folder = load.folder.join(accounts.to_string());
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    write_company(&folder, target, url, load.page_size)?;
    leasehold(binary, &folder, &["sync", "hr"])?;
    leasehold(binary, &folder, &["policy", "apply"])?;
    let first = leasehold(binary, &folder, &["sync", "app", "--json"])?;
    expect_complete(&first.output, target)?;
    let drift = leasehold(binary, &folder, &["drift", "--json", "--all", "--system", "app"])?;
    expect_drift(&drift.output, target)?;
    let again = leasehold(binary, &folder, &["sync", "app", "--json"])?;
    expect_complete(&again.output, target)?;
    for (name, syncing) in [("first time", &first), ("nothing changed", &again)] {
        let minutes = (syncing.wall + drift.wall).as_secs_f64() / 60.0;
        let rate = f64::from(accounts) / minutes;
        let words = "sync and drift: at least 50,000 accounts a minute";
        report.push(
            Row::new(&format!("{accounts} accounts"), name)
                .figure(rate, "accounts a minute")
                .ratio(rate / MIDPOINT_ACCOUNTS_A_MINUTE, "midPoint's published 1,300.9 (not like for like)")
                .at_least(rate, GOAL_ACCOUNTS_A_MINUTE, words)
                .note(format!(
                    "sync {:.1} s, drift {:.1} s",
                    syncing.wall.as_secs_f64(),
                    drift.wall.as_secs_f64()
                )),
        );
    }
    for (name, ran) in [("sync, first time", &first), ("sync, nothing changed", &again), ("drift", &drift)] {
        report.push(
            Row::new(&format!("{accounts} accounts"), name)
                .figure(ran.resident_bytes_max as f64 / 1e6, "MB at most")
                .note(format!("last quarter / second quarter of its time: {:.2}", ran.memory_grew())),
        );
    }
    Ok(())
}

impl Ran {
    /// How many times the memory of its second quarter the memory of its last quarter is, each the one in the middle: 1 where it
    /// holds still while what is read goes on growing.
    fn memory_grew(&self) -> f64 {
        let quarter = |number: u32| {
            let (from, to) = (self.wall * number / 4, self.wall * (number + 1) / 4);
            let within = self.resident_bytes.iter().filter(|(at, _)| (from..to).contains(at));
            median(within.map(|(_, bytes)| *bytes as f64).collect())
        };
        quarter(3) / quarter(1)
    }
}

/// People as a file, the application's address, and a role for each department and team.
fn write_company(folder: &Path, target: Target, url: &str, page_size: u32) -> anyhow::Result<()> {
    fs::create_dir_all(folder.join("policy")).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(
        folder.join("leasehold.toml"),
        format!(
            "[system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\nauthoritative = true\nkey = \"email\"\n\n[system.app]\nconnector = \
             \"scim\"\nurl = \"{url}\"\ntoken = \"file:token\"\npage_size = {page_size}\ncorrelate = [\"mail = email\"]\n"
        ),
    )?;
    fs::write(folder.join("token"), "not-a-secret")?;
    let mut people = BufWriter::new(File::create(folder.join("people.csv"))?);
    writeln!(people, "email,department,team,kind,status")?;
    for number in 0..target.accounts {
        let status = if number % LEFT_EVERY == 7 { "left" } else { "active" };
        let (department, team) = (number % DEPARTMENTS, number % TEAMS);
        writeln!(people, "p{number}@example.com,D{department},T{team},person,{status}")?;
    }
    people.flush()?;
    let mut policy = BufWriter::new(File::create(folder.join("policy/roles.toml"))?);
    for (attribute, letter, count) in [("department", 'D', DEPARTMENTS), ("team", 'T', TEAMS)] {
        for number in 0..count {
            writeln!(
                policy,
                "[role.{attribute}-{number}]\nowner = \"p0@example.com\"\nmembers = 'principal.{attribute} == \
                 \"{letter}{number}\"'\ngrants = [\"app:group/{attribute}-{number}\"]\n"
            )?;
        }
    }
    policy.flush()?;
    Ok(())
}

/// Runs a command of the product and watches its memory.
fn leasehold(binary: &Path, folder: &Path, arguments: &[&str]) -> anyhow::Result<Ran> {
    eprintln!("leasehold {} in {}", arguments.join(" "), folder.display());
    let output = folder.join("output");
    let errors = folder.join("errors");
    let began = Instant::now();
    let mut child = Command::new(binary)
        .current_dir(folder)
        .args(arguments)
        // A file, since nobody empties a pipe meanwhile.
        .stdout(Stdio::from(File::create(&output)?))
        .stderr(Stdio::from(File::create(&errors)?))
        .spawn()?;
    let (mut resident_bytes_max, mut resident_bytes) = (0, Vec::new());
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // One that is just ending has no memory any more.
        if let Ok((now, most)) = crate::measure::resident_bytes_of(&child.id().to_string()) {
            resident_bytes_max = resident_bytes_max.max(most);
            resident_bytes.push((began.elapsed(), now));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let wall = began.elapsed();
    // 2 says that something is outstanding, which is so here.
    let ended = status.code().is_some_and(|code| code == 0 || code == 2);
    anyhow::ensure!(ended, "leasehold {arguments:?}: {}", fs::read_to_string(&errors)?);
    Ok(Ran { wall, resident_bytes_max, resident_bytes, output: fs::read_to_string(&output)? })
}

/// The reading must have been whole, or its time says nothing.
fn expect_complete(output: &str, target: Target) -> anyhow::Result<()> {
    let evidence = format!("{} users and {} groups came once each", target.accounts, DEPARTMENTS + TEAMS);
    let grants = format!("{} grants", target.grants());
    anyhow::ensure!(
        output.contains(&evidence) && output.contains(&grants),
        "the reading was not whole: {output}"
    );
    Ok(())
}

/// What drift has to find: whoever left, and what grew.
fn expect_drift(output: &str, target: Target) -> anyhow::Result<()> {
    let numbers = 0..target.accounts;
    let left = numbers.clone().filter(|number| number % LEFT_EVERY == 7).count();
    let grew = numbers.filter(|number| number.is_multiple_of(target::GREW_EVERY)).count();
    let answer: serde_json::Value = serde_json::from_str(output).context("the drift is no JSON")?;
    let items = answer["items"].as_array().context("the drift has no list")?;
    let count = |kind: &str| items.iter().filter(|item| item["kind"] == kind).count();
    // Of whoever left: the account, and two memberships.
    let found = (count("leaver"), count("unjustified"));
    anyhow::ensure!(
        found == (left * 3, grew),
        "drift found {found:?}, and {left} left and {grew} roles grew"
    );
    Ok(())
}
