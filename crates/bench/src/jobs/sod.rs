//! SoD over all identities, with the index kept current by the ingest.

use leasehold_decide::engine::sod::SodIndex;

use crate::data::NOW;
use crate::measure::{Report, Row, cost, in_turn, runner};
use crate::tally::ToxicTally;
use crate::{Size, engine, yardstick};

/// Counts what the index finds.
pub fn tally(sod: &SodIndex) -> ToxicTally {
    let mut tally = ToxicTally::default();
    for row in sod.toxic() {
        tally.toxic(row.set, row.identity.0);
    }
    tally
}

/// Runs the job.
pub fn run(size: &Size) -> anyhow::Result<Report> {
    let data = size.generate();
    let mut report = Report::new(data.summary());
    let graph = engine::resident_graph(&data, size.systems)?;
    let sets = engine::sod_sets(&data);
    let (build, sod) = cost(|| SodIndex::build(&graph, &sets, NOW))?;
    let sod = sod?;
    let bitmaps = yardstick::sod::bitmaps(&data);
    // One intersection takes about a millisecond, close to what getrusage resolves: fifty make one run.
    let fifty = |work: &dyn Fn() -> ToxicTally| {
        let mut answer = ToxicTally::default();
        for _ in 0..50 {
            answer = std::hint::black_box(work());
        }
        answer
    };
    let (answer, runs) = in_turn(
        size.rounds,
        vec![
            runner("roaring AND, 50 times", || fifty(&|| yardstick::sod::and(&bitmaps))),
            runner("leasehold, 50 times", || fifty(&|| tally(&sod))),
        ],
    )?;
    report.push(runs[0].row("SoD"));
    let ratio = runs[1].ratio_to(&runs[0]);
    let note = format!("{} toxic over {} pairs", answer.toxic, data.toxic.len());
    report.push(runs[1].row("SoD").ratio(ratio, "roaring AND").at_most(ratio, 2.0, "<= 2").note(note));
    let (scan, scanned) = cost(|| yardstick::sod::scan(&data))?;
    anyhow::ensure!(scanned == answer, "the scan answers {scanned:?}, the index {answer:?}");
    report.push(Row::new("SoD", "scan of all grants").cost(scan));
    report.push(Row::new("SoD", "leasehold, building the index").cost(build));
    Ok(report)
}
