//! Measures a first and an unchanged second read of many grants, and the snapshot after it.
//!
//! `cargo run --release -p leasehold-store --example sync_bench -- GRANTS [URL]`; ten grants an account, 20,000
//! entitlements, in the order in which a directory would list them (by group). The url defaults to a new SQLite file.

use std::time::Instant;

use jiff::Timestamp;
use leasehold_model::account::Account;
use leasehold_model::entitlement::{DirectGrant, Entitlement};
use leasehold_model::fact::{Completeness, Fact};
use leasehold_model::id::{EntitlementName, SystemName};
use leasehold_store::{Store, StoreOptions};

type AnyError = Box<dyn std::error::Error>;

const ENTITLEMENTS: u64 = 20_000;
const GRANTS_PER_ACCOUNT: u64 = 10;
const BATCH: usize = 5_000;

/// Spreads numbers without a generator's state (the finaliser of SplitMix64).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn account_key(number: u64) -> String {
    format!("{:016x}-{number:08x}-4b1d", mix(number))
}

fn group_name(number: u64) -> EntitlementName {
    EntitlementName::new("group", format!("department-{}-team-{number}", number % 97))
}

fn account(number: u64) -> Fact {
    let mut account = Account::new(account_key(number), format!("user{number}"));
    account.attributes.insert("mail".to_owned(), format!("user{number}@example.com"));
    account.attributes.insert("display_name".to_owned(), format!("User Number {number}"));
    account.attributes.insert("dn".to_owned(), format!("uid=user{number},ou=people,dc=example,dc=com"));
    Fact::Account(account)
}

fn facts(grants: u64) -> impl Iterator<Item = Fact> {
    let accounts = grants.div_ceil(GRANTS_PER_ACCOUNT).max(1);
    let groups = (0..ENTITLEMENTS).map(|number| {
        let name = group_name(number);
        Fact::Entitlement(Entitlement { name: name.clone(), ..Entitlement::new("", "") })
    });
    // Group by group; members of one are spread over all accounts, each pair once.
    let per_group = grants.div_ceil(ENTITLEMENTS);
    let members = (0..grants).map(move |number| {
        let (group, member) = (number / per_group, number % per_group);
        let account = (mix(group) % accounts + member * (accounts / per_group).max(1)) % accounts;
        Fact::Grant(DirectGrant {
            account: account_key(account).into(),
            entitlement: group_name(group),
            valid_from: None,
            valid_until: None,
            options: None,
        })
    });
    (0..accounts).map(account).chain(groups).chain(members)
}

/// Processor seconds of this process so far, and its largest resident size in MiB (Linux).
fn usage() -> (f64, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let ticks =
        |position: usize| fields.get(position).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0);
    ((ticks(11) + ticks(12)) / 100.0, peak / 1024)
}

fn reset_peak() {
    // Writing 5 resets VmHWM; where that is not allowed the figure is the peak since the start.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

async fn measured<T>(what: &str, work: impl Future<Output = Result<T, AnyError>>) -> Result<T, AnyError> {
    reset_peak();
    let (cpu, _) = usage();
    let start = Instant::now();
    let result = work.await?;
    let (cpu_after, peak) = usage();
    println!(
        "{what:<28} {:>8.2} s wall {:>8.2} s CPU {peak:>6} MiB peak",
        start.elapsed().as_secs_f64(),
        cpu_after - cpu
    );
    Ok(result)
}

async fn sync(store: &Store, grants: u64) -> Result<(), AnyError> {
    let mut writer = store.begin_epoch(&SystemName::new("directory")?, Timestamp::now()).await?;
    let mut batch = Vec::with_capacity(BATCH);
    for fact in facts(grants) {
        batch.push(fact);
        if batch.len() == BATCH {
            writer.accept(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).await?;
        }
    }
    writer.accept(batch).await?;
    let told = Instant::now();
    let complete = Completeness::Complete { evidence: "counts agree".to_owned() };
    let report = writer.finish(complete, Timestamp::now()).await?;
    println!(
        "  {} facts, {} problems; {} grants added, {} ended; finish took {:.2} s",
        report.summary.facts,
        report.summary.problems,
        report.changes.grants_added,
        report.changes.grants_ended,
        told.elapsed().as_secs_f64()
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args().skip(1);
    let grants: u64 = arguments.next().ok_or("how many grants?")?.parse()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("store.db");
    let url = arguments.next().unwrap_or_else(|| format!("sqlite:{}", path.display()));
    let store = Store::open(&url, StoreOptions::default()).await?;

    let told = Instant::now();
    let count = facts(grants).count();
    println!("{count} facts; making them takes {:.2} s of each read", told.elapsed().as_secs_f64());
    measured("first read", sync(&store, grants)).await?;
    measured("second read, unchanged", sync(&store, grants)).await?;
    let snapshot = measured("snapshot, now", async { Ok(store.snapshot(None).await?) }).await?;
    println!("  {} accounts, {} grants", snapshot.accounts.len(), snapshot.grants.len());
    drop(snapshot);
    let snapshot =
        measured("snapshot, at an instant", async { Ok(store.snapshot(Some(Timestamp::now())).await?) })
            .await?;
    println!("  {} accounts, {} grants", snapshot.accounts.len(), snapshot.grants.len());
    store.close().await;
    if let Ok(file) = std::fs::metadata(&path) {
        println!("file: {} MiB", file.len() >> 20);
    }
    Ok(())
}
