//! Full drift with expiry and SoD: resident, and from an unsorted snapshot.

use leasehold_decide::engine::drift;
use leasehold_decide::engine::sod::SodIndex;

use super::sod::tally as tally_sod;
use crate::data::NOW;
use crate::measure::{Cost, Report, Row, cost, in_turn, median, runner};
use crate::peers::duckdb;
use crate::tally::Tally;
use crate::{Size, Versus, engine, yardstick};

/// Runs the job.
pub fn run(size: &Size, versus: &[Versus]) -> anyhow::Result<Report> {
    let data = size.generate();
    let mut report = Report::new(data.summary());
    let graph = engine::resident_graph(&data, size.systems)?;
    let claims = engine::justification(&data, &graph)?;
    let sod = SodIndex::build(&graph, &engine::sod_sets(&data), NOW)?;
    let bitmaps = yardstick::sod::bitmaps(&data);

    let product = || {
        let mut tally = Tally::default();
        drift::full(&graph, &claims, NOW, &mut tally);
        tally
    };
    let (answer, runs) = in_turn(
        size.rounds,
        vec![
            runner("bitset kernel", || yardstick::drift::full(&data, &data.observed)),
            runner("leasehold, one thread", product),
            runner("leasehold, all threads", || {
                drift::full_parallel(&graph, &claims, NOW, Tally::default)
                    .into_iter()
                    .fold(Tally::default(), Tally::merge)
            }),
        ],
    )?;
    for runs_of in &runs {
        let row = runs_of.row("drift, resident").ratio(runs_of.ratio_to(&runs[0]), "kernel");
        report.push(row.note(format!("{} extra, {} missing", answer.extra, answer.missing)));
    }

    let (both, runs) = in_turn(
        size.rounds,
        vec![
            runner("bitset kernel + roaring AND", || {
                (yardstick::drift::full(&data, &data.observed), yardstick::sod::and(&bitmaps))
            }),
            runner("leasehold", || (product(), tally_sod(&sod))),
        ],
    )?;
    report.push(runs[0].row("drift + SoD, resident"));
    let ratio = runs[1].ratio_to(&runs[0]);
    let note = format!("{} toxic", both.1.toxic);
    report.push(
        runs[1].row("drift + SoD, resident").ratio(ratio, "kernel").at_most(ratio, 1.5, "<= 1.5").note(note),
    );
    let resident = runs[1].cpu_seconds();
    drop((graph, claims, sod, bitmaps));

    let snapshot = snapshot(size, &data, &answer, &mut report)?;

    if versus.contains(&Versus::Duckdb) {
        eprintln!("running DuckDB");
        match duckdb::drift(&data) {
            Err(error) => report.push(Row::not_measured("drift + SoD", "duckdb", format!("{error:#}"))),
            Ok(peer) => {
                anyhow::ensure!(
                    peer.drift == answer,
                    "DuckDB answers {:?}, others answer {answer:?}",
                    peer.drift
                );
                anyhow::ensure!(
                    peer.sod == both.1,
                    "DuckDB answers {:?}, others answer {:?}",
                    peer.sod,
                    both.1
                );
                let seconds = peer.justify.cpu_seconds + peer.compare.cpu_seconds + peer.toxic.cpu_seconds;
                let wall_seconds =
                    peer.justify.wall_seconds + peer.compare.wall_seconds + peer.toxic.wall_seconds;
                let note = format!(
                    "DuckDB {}: justify {:.2}, compare {:.2}, SoD {:.2} CPU s; loading {:.2} not counted; peak {:.0} MB",
                    peer.version,
                    peer.justify.cpu_seconds,
                    peer.compare.cpu_seconds,
                    peer.toxic.cpu_seconds,
                    peer.load.cpu_seconds,
                    peer.peak_bytes as f64 / 1e6
                );
                report.push(
                    Row::new("drift + SoD", "duckdb")
                        .cost(Cost { cpu_seconds: seconds, wall_seconds })
                        .note(note),
                );
                let less = seconds / resident;
                report.push(
                    Row::new("drift + SoD, resident", "duckdb / leasehold")
                        .figure(less, "times")
                        .at_least(less, 50.0, ">= 50"),
                );
                let less = (seconds - peer.toxic.cpu_seconds) / snapshot;
                report.push(
                    Row::new("drift, unsorted snapshot", "duckdb / leasehold")
                        .figure(less, "times")
                        .at_least(less, 12.0, ">= 12"),
                );
            }
        }
    }
    Ok(report)
}

/// Grants arrive as shuffled pairs; both sides sort them first. Returns the product's median CPU seconds.
fn snapshot(
    size: &Size,
    data: &crate::data::Data,
    answer: &Tally,
    report: &mut Report,
) -> anyhow::Result<f64> {
    let pairs = data.snapshot(size.seed);
    let (mut kernel_costs, mut build_costs, mut drift_costs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.rounds.min(3) {
        let copy = pairs.clone();
        let (kernel, tally) =
            cost(|| yardstick::drift::full(data, &yardstick::drift::group(data.users, copy)))?;
        anyhow::ensure!(
            tally == *answer,
            "the kernel answers {tally:?} from a snapshot, {answer:?} when resident"
        );
        let (build, graph) = cost(|| engine::graph(data, size.systems, pairs.len(), pairs.iter().copied()))?;
        let graph = graph?;
        let claims = engine::justification(data, &graph)?;
        let (drift, tally) = cost(|| {
            let mut tally = Tally::default();
            drift::full(&graph, &claims, NOW, &mut tally);
            tally
        })?;
        anyhow::ensure!(
            tally == *answer,
            "the engine answers {tally:?} from a snapshot, {answer:?} when resident"
        );
        kernel_costs.push(kernel);
        build_costs.push(build);
        drift_costs.push(drift);
    }
    let cpu = |costs: &[Cost]| costs.iter().map(|cost| cost.cpu_seconds).collect::<Vec<_>>();
    let wall = |costs: &[Cost]| median(costs.iter().map(|cost| cost.wall_seconds).collect());
    let (kernel, build, drift) =
        (median(cpu(&kernel_costs)), median(cpu(&build_costs)), median(cpu(&drift_costs)));
    let job = "drift, unsorted snapshot";
    let kernel_cost = Cost { cpu_seconds: kernel, wall_seconds: wall(&kernel_costs) };
    report.push(Row::new(job, "sort + bitset kernel").cost(kernel_cost));
    let product_cost =
        Cost { cpu_seconds: build + drift, wall_seconds: wall(&build_costs) + wall(&drift_costs) };
    let note = format!("rows built: {build:.3} CPU s, drift {drift:.3}");
    report.push(
        Row::new(job, "leasehold").cost(product_cost).ratio((build + drift) / kernel, "kernel").note(note),
    );
    Ok(build + drift)
}
