//! DuckDB, through the Python package of that name (`pip install duckdb`), on the same data as CSV files.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::data::{Data, NOW};
use crate::measure::Cost;
use crate::tally::{Tally, ToxicTally};

const SCRIPT: &str = include_str!("duckdb.py");

/// Seconds of one step, as the script measured itself with getrusage.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Step {
    cpu_seconds: f64,
    wall_seconds: f64,
}

impl From<Step> for Cost {
    fn from(step: Step) -> Cost {
        Cost { cpu_seconds: step.cpu_seconds, wall_seconds: step.wall_seconds }
    }
}

#[derive(Deserialize)]
struct Answer {
    version: String,
    load: Step,
    justify: Step,
    compare: Step,
    toxic: Step,
    peak_bytes: u64,
    drift: Tally,
    sod: ToxicTally,
}

/// What DuckDB took and found.
#[derive(Clone, Debug)]
pub struct Drift {
    /// Version of the package.
    pub version: String,
    /// Reading the files into tables.
    pub load: Cost,
    /// Computing what is justified.
    pub justify: Cost,
    /// Both anti joins.
    pub compare: Cost,
    /// The toxic pairs.
    pub toxic: Cost,
    /// Most memory ever in use.
    pub peak_bytes: u64,
    /// Answer for drift.
    pub drift: Tally,
    /// Answer for SoD.
    pub sod: ToxicTally,
}

/// Full drift and SoD.
pub fn drift(data: &Data) -> anyhow::Result<Drift> {
    require()?;
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(format!("{name}.csv"));
    write_csv(
        &file("observed"),
        "user_id,entitlement_id",
        data.observed.pairs().map(|(user, held)| [user, held]),
    )?;
    let assignments = data.assignments.pairs().map(|(user, (role, end))| [user, role, end]);
    write_csv(&file("assignments"), "user_id,role_id,ends", assignments)?;
    write_csv(
        &file("roles"),
        "role_id,entitlement_id",
        data.roles.pairs().map(|(role, named)| [role, named]),
    )?;
    let explicit = data.explicit.pairs().map(|(user, (entitlement, end))| [user, entitlement, end]);
    write_csv(&file("explicit"), "user_id,entitlement_id,ends", explicit)?;
    write_csv(
        &file("reviews"),
        "user_id,entitlement_id",
        data.reviews.iter().map(|(user, ended)| [*user, *ended]),
    )?;
    let toxic = data.toxic.iter().enumerate().map(|(pair, (left, right))| [pair as u32, *left, *right]);
    write_csv(&file("toxic"), "pair,left_id,right_id", toxic)?;
    let answer: Answer = python("drift", folder.path())?;
    Ok(Drift {
        version: answer.version,
        load: answer.load.into(),
        justify: answer.justify.into(),
        compare: answer.compare.into(),
        toxic: answer.toxic.into(),
        peak_bytes: answer.peak_bytes,
        drift: answer.drift,
        sod: answer.sod,
    })
}

/// Reads one `observed.csv` into a table; returns the cost and the number of rows.
pub fn read_csv(path: &Path) -> anyhow::Result<(Cost, u64)> {
    #[derive(Deserialize)]
    struct Answer {
        cost: Step,
        rows: u64,
    }
    require()?;
    let answer: Answer = python("read_csv", path.parent().context("the file has no folder")?)?;
    Ok((answer.cost.into(), answer.rows))
}

/// Writes decimal rows after a header line.
pub fn write_csv<const N: usize>(
    path: &Path,
    header: &str,
    rows: impl Iterator<Item = [u32; N]>,
) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    writeln!(out, "{header}")?;
    for row in rows {
        for (column, value) in row.iter().enumerate() {
            let separator = if column + 1 == N { '\n' } else { ',' };
            write!(out, "{value}{separator}")?;
        }
    }
    out.flush()?;
    Ok(())
}

/// Fails early, before any file is written, where Python or the package is absent.
fn require() -> anyhow::Result<()> {
    let found = Command::new("python3")
        .args(["-c", "import duckdb"])
        .output()
        .context("python3 cannot be started")?;
    if !found.status.success() {
        bail!("python3 cannot import duckdb; `pip install duckdb` brings it");
    }
    Ok(())
}

fn python<T: DeserializeOwned>(job: &str, folder: &Path) -> anyhow::Result<T> {
    let output = Command::new("python3")
        .args(["-c", SCRIPT, job])
        .arg(folder)
        .arg(NOW.to_string())
        .output()
        .context("python3 cannot be started")?;
    if !output.status.success() {
        bail!("DuckDB failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("the DuckDB script's answer")
}
