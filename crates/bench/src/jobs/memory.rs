//! Bytes per grant: both indexes, claims, drift and SoD.

use leasehold_decide::engine::incremental::DriftState;
use leasehold_decide::engine::sod::SodIndex;

use crate::data::NOW;
use crate::measure::{Report, Row, resident_bytes};
use crate::{Size, engine};

/// Runs the job.
pub fn run(size: &Size) -> anyhow::Result<Report> {
    let data = size.generate();
    let mut report = Report::new(data.summary());
    let millions = data.grants() as f64 / 1e6;
    let graph = engine::resident_graph(&data, size.systems)?;
    graph.index_holders();
    let claims = engine::justification(&data, &graph)?;
    let sod = SodIndex::build(&graph, &engine::sod_sets(&data), NOW)?;
    drop(data);
    let megabytes = |bytes: usize| bytes as f64 / 1e6 / millions;
    let part = |name: &str, bytes: usize| Row::new("memory", name).figure(megabytes(bytes), "MB/M grants");
    report.push(part("graph, both indexes", graph.memory_bytes()));
    report.push(part("claims", claims.memory_bytes()));
    report.push(part("SoD index", sod.memory_bytes()));
    let mut state = DriftState::new(graph, claims, NOW);
    state.attach_sod(sod);
    let total = state.memory_bytes();
    let goal = megabytes(total);
    let note = format!("{:.0} MB, {} drift rows", total as f64 / 1e6, state.row_count());
    report.push(part("all, with drift", total).at_most(goal, 12.0, "<= 12").note(note));
    let (resident, peak) = resident_bytes()?;
    let note = format!("peak {:.0} MB, with the generated data and the builder", peak as f64 / 1e6);
    report.push(part("resident set of the process", resident as usize).note(note));
    Ok(report)
}
