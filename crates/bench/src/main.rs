//! `bench`: Leasehold's engine beside yardstick kernels and other engines, on the same generated data, in one run.
//!
//! A figure that counts is a ratio of CPU seconds (user and system, of `getrusage`) between two things run in turn,
//! A B A B, in one process or in a child measured the same way. Answers are compared by count and checksum before any
//! figure is printed.

mod data;
mod engine;
mod jobs;
mod measure;
mod peers;
mod tally;
mod yardstick;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use data::{Data, Shape};
use measure::Report;
use mimalloc::MiMalloc;

/// The product's, for everything that is measured in this process.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[derive(Parser)]
#[command(
    name = "bench",
    about = "Leasehold beside yardsticks and other engines: ratios of CPU seconds from one run"
)]
struct Arguments {
    /// Print the rows as JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    job: Job,
}

/// The size and the seed of the generated data.
#[derive(Args, Clone, Debug)]
pub struct Size {
    /// Number of identities; entitlements and roles scale with it.
    #[arg(long, default_value_t = 1_000_000)]
    pub users: u32,
    /// `s`: about 18 grants an identity; `l`: about 90.
    #[arg(long, value_enum, default_value_t = Shape::S)]
    pub shape: Shape,
    /// Number of systems that entitlements are spread over; every identity has an account in each.
    #[arg(long, default_value_t = 1)]
    pub systems: u32,
    /// Seed of the generator.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// How often each pair is run.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
}

impl Size {
    fn generate(&self) -> Data {
        eprintln!("generating {} users, shape {:?}, seed {}", self.users, self.shape, self.seed);
        let data = Data::generate(self.shape, self.users, self.seed);
        eprintln!("{}", data.summary());
        data
    }
}

/// What to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Versus {
    /// The yardstick kernels of this crate; always run.
    Kernel,
    /// DuckDB through Python: `pip install duckdb`.
    Duckdb,
    /// differential-dataflow: build with `--features differential`.
    Differential,
}

#[derive(Subcommand)]
enum Job {
    /// Full drift with expiry and SoD, resident and from an unsorted snapshot.
    Drift {
        #[command(flatten)]
        size: Size,
        /// What to compare with besides the kernel.
        #[arg(long, value_delimiter = ',', default_value = "kernel")]
        vs: Vec<Versus>,
    },
    /// Drift kept current over a batch of changed grants, and over a role edit.
    Incremental {
        #[command(flatten)]
        size: Size,
        /// Share of the grants that change; half removals, half additions.
        #[arg(long, default_value_t = 0.01)]
        share: f64,
        /// What to compare with besides the kernel.
        #[arg(long, value_delimiter = ',', default_value = "kernel")]
        vs: Vec<Versus>,
    },
    /// Effective access in process: check, and list with why.
    Access {
        #[command(flatten)]
        size: Size,
        /// Number of questions of each sort.
        #[arg(long, default_value_t = 300_000)]
        questions: u32,
    },
    /// SoD over all identities.
    Sod {
        #[command(flatten)]
        size: Size,
    },
    /// Bytes per grant of the engine with both indexes, claims and drift.
    Memory {
        #[command(flatten)]
        size: Size,
    },
    /// A full ingest: CSV into a validated graph, and the epoch's entry into the ledger.
    Ingest {
        #[command(flatten)]
        size: Size,
        /// What to compare with besides the kernel.
        #[arg(long, value_delimiter = ',', default_value = "kernel")]
        vs: Vec<Versus>,
    },
    /// Writes a system as files with a configuration beside it, to measure `leasehold sync` with.
    Files {
        /// The folder.
        #[arg(long)]
        out: std::path::PathBuf,
        /// Number of accounts, each of one person.
        #[arg(long, default_value_t = 500_000)]
        accounts: u32,
        /// Number of entitlements.
        #[arg(long, default_value_t = 20_000)]
        entitlements: u32,
        /// Grants of each account.
        #[arg(long, default_value_t = 20)]
        grants_each: u32,
    },
    /// The server: every list page of a large company, effective-access checks over HTTP, start-up and memory.
    Serve(jobs::serve::Load),
    /// Many targets at once, one of them dead: until everything else is read back as gone.
    FanOut(jobs::fan_out::Load),
    /// Sync and drift of an application over SCIM, against a target in this process.
    SyncScim(jobs::sync_scim::Load),
    /// The SCIM server beside two others: requests a CPU second.
    Scim(jobs::scim::Load),
    /// Serves as the raw responder of `serve`.
    #[command(hide = true)]
    RawResponder {
        /// The size of every answer.
        #[arg(long)]
        bytes: usize,
    },
    /// The ledger: durable batches of 1 to 10,000 entries, and the check of a whole log.
    Ledger {
        /// Number of entries of 244 bytes to hash and to check, and the most to append in one run.
        #[arg(long, default_value_t = 1_000_000)]
        records: u32,
        /// Entries in one durable batch; one run for each.
        #[arg(long, value_delimiter = ',', default_value = "1,10,100,1000,10000")]
        batches: Vec<u32>,
        /// How often each is run.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
}

fn run(job: Job) -> anyhow::Result<Report> {
    match job {
        Job::Drift { size, vs } => jobs::drift::run(&size, &vs),
        Job::Incremental { size, share, vs } => jobs::incremental::run(&size, share, &vs),
        Job::Access { size, questions } => jobs::access::run(&size, questions),
        Job::Sod { size } => jobs::sod::run(&size),
        Job::Memory { size } => jobs::memory::run(&size),
        Job::Ingest { size, vs } => jobs::ingest::run(&size, &vs),
        Job::Files { out, accounts, entitlements, grants_each } => {
            jobs::files::run(&out, accounts, entitlements, grants_each)
        }
        Job::Serve(load) => jobs::serve::run(&load),
        Job::FanOut(load) => jobs::fan_out::run(&load),
        Job::SyncScim(load) => jobs::sync_scim::run(&load),
        Job::Scim(load) => jobs::scim::run(&load),
        Job::RawResponder { bytes } => jobs::serve::serve_raw(bytes).map(|()| Report::default()),
        Job::Ledger { records, batches, rounds } => jobs::ledger::run(records, &batches, rounds),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.job) {
        Ok(report) => {
            report.print(arguments.json);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
