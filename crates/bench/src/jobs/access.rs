//! Effective access in process: check, and list with why.

use std::time::Instant;

use leasehold_decide::engine::access::{self, Listing};
use leasehold_decide::engine::{EntitlementIndex, IdentityIndex};

use crate::data::{NOW, Random};
use crate::measure::{Report, Row, in_turn, percentile, runner};
use crate::{Size, engine, yardstick};

/// Runs the job.
pub fn run(size: &Size, questions: u32) -> anyhow::Result<Report> {
    let data = size.generate();
    let mut report = Report::new(format!("{}; {questions} questions of each sort", data.summary()));
    let graph = engine::resident_graph(&data, size.systems)?;
    let claims = engine::justification(&data, &graph)?;
    let mut random = Random(size.seed ^ 0xACCE);
    // Half of the questions are about something held.
    let asked: Vec<(u32, u32)> = (0..questions)
        .map(|_| {
            let user = random.below(data.users);
            let row = data.observed.row(user);
            let held = !row.is_empty() && random.chance(1, 2);
            let entitlement = if held {
                row[random.below(row.len() as u32) as usize]
            } else {
                random.below(data.entitlements)
            };
            (user, entitlement)
        })
        .collect();

    let kernel_check = |question: &(u32, u32), because: &mut Vec<u32>| {
        let held = yardstick::access::check(&data, question.0, question.1, because);
        (u64::from(held), because.len() as u64)
    };
    let product_check = |question: &(u32, u32)| {
        let answer =
            access::check(&graph, &claims, IdentityIndex(question.0), EntitlementIndex(question.1), NOW);
        (u64::from(answer.effective), answer.because.len() as u64)
    };
    let add = |sum: (u64, u64), one: (u64, u64)| (sum.0 + one.0, sum.1 + one.1);
    let mut because = Vec::new();
    let (_, runs) = in_turn(
        size.rounds,
        vec![
            runner("sparse-row kernel", || {
                asked.iter().fold((0, 0), |sum, question| add(sum, kernel_check(question, &mut because)))
            }),
            runner("leasehold", || {
                asked.iter().fold((0, 0), |sum, question| add(sum, product_check(question)))
            }),
        ],
    )?;
    let per_question = |seconds: f64| seconds / f64::from(questions) * 1e9;
    report.push(runs[0].row("check").figure(per_question(runs[0].cpu_seconds()), "ns each"));
    let ratio = runs[1].ratio_to(&runs[0]);
    let row = runs[1].row("check").figure(per_question(runs[1].cpu_seconds()), "ns each");
    report.push(row.ratio(ratio, "kernel").at_most(ratio, 2.0, "<= 2"));
    let times = latencies(&asked, |question| product_check(question).1);
    let (half, most) = (percentile(&times, 0.5) as f64 / 1e3, percentile(&times, 0.99) as f64 / 1e3);
    report.push(Row::new("check p50", "leasehold").figure(half, "µs wall").at_most(half, 1.0, "<= 1 µs"));
    report.push(Row::new("check p99", "leasehold").figure(most, "µs wall").at_most(most, 3.0, "<= 3 µs"));

    let mut rows = Vec::new();
    let mut listing = Listing::default();
    let mut product_list = |question: &(u32, u32)| {
        access::list(&graph, &claims, IdentityIndex(question.0), NOW, &mut listing);
        let reasons: usize = listing.rows().iter().map(|row| listing.because(row).len()).sum();
        (listing.rows().len() as u64, reasons as u64)
    };
    let (answer, runs) = in_turn(
        size.rounds,
        vec![
            runner("sparse-row kernel", || {
                asked.iter().fold((0, 0), |sum, question| {
                    let held = yardstick::access::list(&data, question.0, &mut rows) as u64;
                    add(sum, (held, rows.len() as u64))
                })
            }),
            runner("leasehold", || {
                asked.iter().fold((0, 0), |sum, question| add(sum, product_list(question)))
            }),
        ],
    )?;
    report.push(runs[0].row("list with why").figure(per_question(runs[0].cpu_seconds()), "ns each"));
    let ratio = runs[1].ratio_to(&runs[0]);
    let row = runs[1].row("list with why").figure(per_question(runs[1].cpu_seconds()), "ns each");
    let note = format!("{:.1} rows each, none left out", answer.0 as f64 / f64::from(questions));
    report.push(row.ratio(ratio, "kernel").at_most(ratio, 2.0, "<= 2").note(note));
    let times = latencies(&asked, |question| product_list(question).0);
    let (half, most) = (percentile(&times, 0.5) as f64 / 1e3, percentile(&times, 0.99) as f64 / 1e3);
    report.push(Row::new("list p50", "leasehold").figure(half, "µs wall"));
    report.push(Row::new("list p99", "leasehold").figure(most, "µs wall"));
    Ok(report)
}

/// Nanoseconds of each question on the wall, ascending; reading the clock is included.
fn latencies(asked: &[(u32, u32)], mut ask: impl FnMut(&(u32, u32)) -> u64) -> Vec<u64> {
    let mut times: Vec<u64> = asked
        .iter()
        .map(|question| {
            let start = Instant::now();
            std::hint::black_box(ask(question));
            start.elapsed().as_nanos() as u64
        })
        .collect();
    times.sort_unstable();
    times
}
