//! CPU seconds, runs in turn, and the report.

use std::time::Instant;

use anyhow::Context;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use serde::Serialize;

/// What one run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize)]
pub struct Cost {
    /// User and system CPU seconds of all threads.
    pub cpu_seconds: f64,
    /// Seconds on the wall; only to be read on a quiet machine.
    pub wall_seconds: f64,
}

fn cpu_seconds(usage: &Usage) -> f64 {
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// Runs `work` once and measures this process.
pub fn cost<R>(work: impl FnOnce() -> R) -> anyhow::Result<(Cost, R)> {
    let before = getrusage(UsageWho::RUSAGE_SELF).context("reading CPU time")?;
    let start = Instant::now();
    let result = work();
    let wall_seconds = start.elapsed().as_secs_f64();
    let after = getrusage(UsageWho::RUSAGE_SELF).context("reading CPU time")?;
    Ok((Cost { cpu_seconds: cpu_seconds(&after) - cpu_seconds(&before), wall_seconds }, result))
}

/// Bytes of this process that are in memory now, and the most there ever were.
pub fn resident_bytes() -> anyhow::Result<(u64, u64)> {
    resident_bytes_of("self")
}

/// The same of the process with this id.
pub fn resident_bytes_of(id: &str) -> anyhow::Result<(u64, u64)> {
    let path = format!("/proc/{id}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let field = |name: &str| -> anyhow::Result<u64> {
        let line = status.lines().find(|line| line.starts_with(name));
        let kilobytes =
            line.and_then(|line| line.split_whitespace().nth(1)).and_then(|word| word.parse::<u64>().ok());
        Ok(1024 * kilobytes.with_context(|| format!("no {name} in {path}"))?)
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

/// One thing to be run in turn with others; returns what is compared.
pub struct Runner<'a, T> {
    /// Its name in the report.
    pub name: &'static str,
    /// Runs it once.
    pub work: Box<dyn FnMut() -> T + 'a>,
}

/// Names a closure.
pub fn runner<'a, T>(name: &'static str, work: impl FnMut() -> T + 'a) -> Runner<'a, T> {
    Runner { name, work: Box::new(work) }
}

/// The runs of one runner.
#[derive(Clone, Debug)]
pub struct Runs {
    name: &'static str,
    costs: Vec<Cost>,
}

impl Runs {
    /// Runs that were measured elsewhere, such as in a child process, one of each round.
    pub fn new(name: &'static str, costs: Vec<Cost>) -> Self {
        Runs { name, costs }
    }

    /// Median CPU seconds.
    pub fn cpu_seconds(&self) -> f64 {
        median(self.costs.iter().map(|cost| cost.cpu_seconds).collect())
    }

    /// Median seconds on the wall.
    pub fn wall_seconds(&self) -> f64 {
        median(self.costs.iter().map(|cost| cost.wall_seconds).collect())
    }

    /// Median of the ratios of seconds on the wall of the same round, where waiting for the disk is the subject.
    pub fn wall_ratio_to(&self, other: &Runs) -> f64 {
        let ratios =
            self.costs.iter().zip(&other.costs).map(|(mine, theirs)| mine.wall_seconds / theirs.wall_seconds);
        median(ratios.collect())
    }

    /// Median of the ratios of runs of the same round.
    pub fn ratio_to(&self, other: &Runs) -> f64 {
        let ratios =
            self.costs.iter().zip(&other.costs).map(|(mine, theirs)| mine.cpu_seconds / theirs.cpu_seconds);
        median(ratios.collect())
    }

    /// A report row with the median run.
    pub fn row(&self, job: &str) -> Row {
        let cost = Cost { cpu_seconds: self.cpu_seconds(), wall_seconds: self.wall_seconds() };
        Row::new(job, self.name).cost(cost)
    }
}

/// Runs everything in turn, `rounds` times, after one unmeasured round, and fails unless all results are equal.
pub fn in_turn<T: PartialEq + std::fmt::Debug>(
    rounds: usize,
    mut runners: Vec<Runner<'_, T>>,
) -> anyhow::Result<(T, Vec<Runs>)> {
    let mut runs: Vec<Runs> =
        runners.iter().map(|runner| Runs { name: runner.name, costs: Vec::new() }).collect();
    let mut agreed: Option<T> = None;
    for round in 0..=rounds.max(1) {
        for (runner, runs) in runners.iter_mut().zip(&mut runs) {
            let (cost, result) = cost(&mut runner.work)?;
            if round > 0 {
                runs.costs.push(cost);
            }
            match &agreed {
                None => agreed = Some(result),
                Some(agreed) if *agreed == result => {}
                Some(agreed) => anyhow::bail!("{} answers {result:?}, others answer {agreed:?}", runner.name),
            }
        }
    }
    let agreed = agreed.context("nothing was run")?;
    Ok((agreed, runs))
}

/// The middle value, or the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[len / 2],
        len => f64::midpoint(values[len / 2 - 1], values[len / 2]),
    }
}

/// The value below which `share` of the sorted values lie.
pub fn percentile(sorted: &[u64], share: f64) -> u64 {
    let at = ((sorted.len() as f64 - 1.0) * share).round() as usize;
    sorted.get(at).copied().unwrap_or(0)
}

/// One line of a report.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// What was done.
    pub job: String,
    /// By what.
    pub by: String,
    /// CPU and wall seconds of the median run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// A figure other than seconds, with its unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figure: Option<(f64, &'static str)>,
    /// Ratio of CPU seconds (or of the figure) to what `to` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// The other side of the ratio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<&'static str>,
    /// The goal in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// Whether the goal was reached in this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reached: Option<bool>,
    /// Anything else, such as why something was not measured.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Row {
    /// A row without figures yet.
    pub fn new(job: &str, by: &str) -> Self {
        Row { job: job.to_owned(), by: by.to_owned(), ..Row::default() }
    }

    /// A row for something that could not be run here.
    pub fn not_measured(job: &str, by: &str, why: impl std::fmt::Display) -> Self {
        Row::new(job, by).note(format!("not measured: {why}"))
    }

    /// Adds seconds.
    pub fn cost(mut self, cost: Cost) -> Self {
        self.cost = Some(cost);
        self
    }

    /// Adds a figure with its unit.
    pub fn figure(mut self, value: f64, unit: &'static str) -> Self {
        self.figure = Some((value, unit));
        self
    }

    /// Adds a ratio.
    pub fn ratio(mut self, ratio: f64, to: &'static str) -> Self {
        self.ratio = Some(ratio);
        self.to = Some(to);
        self
    }

    /// Adds a goal that is an upper bound for `value`.
    pub fn at_most(mut self, value: f64, goal: f64, words: &str) -> Self {
        self.goal = Some(words.to_owned());
        self.reached = Some(value <= goal);
        self
    }

    /// Adds a goal that is a lower bound for `value`.
    pub fn at_least(mut self, value: f64, goal: f64, words: &str) -> Self {
        self.goal = Some(words.to_owned());
        self.reached = Some(value >= goal);
        self
    }

    /// Adds words.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

/// Everything that one job measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The data, in words.
    pub data: String,
    /// The rows.
    pub items: Vec<Row>,
}

impl Report {
    /// A report on this data.
    pub fn new(data: impl Into<String>) -> Self {
        Report { data: data.into(), items: Vec::new() }
    }

    /// Adds a row.
    pub fn push(&mut self, row: Row) {
        self.items.push(row);
    }

    /// Prints a table, or JSON.
    pub fn print(&self, json: bool) {
        if json {
            println!("{}", serde_json::json!(self));
            return;
        }
        println!("{}", self.data);
        let cells = |row: &Row| {
            [
                row.job.clone(),
                row.by.clone(),
                row.cost.map_or(String::new(), |cost| format!("{:.4}", cost.cpu_seconds)),
                row.cost.map_or(String::new(), |cost| format!("{:.4}", cost.wall_seconds)),
                row.figure.map_or(String::new(), |(value, unit)| format!("{value:.2} {unit}")),
                row.ratio.map_or(String::new(), |ratio| format!("{ratio:.3} × {}", row.to.unwrap_or(""))),
                row.goal.clone().unwrap_or_default(),
                row.reached.map_or("", |reached| if reached { "reached" } else { "NOT REACHED" }).to_owned(),
                row.note.clone(),
            ]
        };
        let head = ["job", "by", "CPU s", "wall s", "figure", "ratio", "goal", "", "note"].map(str::to_owned);
        let table: Vec<[String; 9]> = std::iter::once(head).chain(self.items.iter().map(cells)).collect();
        let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..9).map(width).collect();
        for row in &table {
            let padded = row.iter().zip(&widths).filter(|(_, width)| **width > 0);
            let line: Vec<String> = padded.map(|(cell, width)| format!("{cell:<width$}")).collect();
            println!("{}", line.join("  ").trim_end());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_in_turn_fail_when_answers_differ() {
        let same = in_turn(2, vec![runner("a", || 3), runner("b", || 3)]).unwrap();
        assert_eq!((same.0, same.1.len()), (3, 2));
        let error = in_turn(1, vec![runner("a", || 3), runner("b", || 4)]).unwrap_err();
        assert_eq!(error.to_string(), "b answers 4, others answer 3");
    }

    #[test]
    fn medians_and_percentiles() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert_eq!(percentile(&[1, 2, 3, 4, 5], 0.5), 3);
        assert_eq!(percentile(&[1, 2, 3, 4, 5], 0.99), 5);
    }
}
