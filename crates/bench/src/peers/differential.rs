//! differential-dataflow as a peer: drift as an incrementally maintained collection of weighted rows.

use serde::Serialize;

#[cfg(not(feature = "differential"))]
use crate::data::{Data, GrantChange};
#[cfg(not(feature = "differential"))]
use crate::jobs::incremental::RoleEdit;
use crate::measure::Cost;
use crate::tally::Tally;

/// Missing less extra rows, counted and summed: what can be read off a stream of changes without keeping all rows again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Net {
    /// Rows.
    pub rows: i64,
    /// Sum over rows.
    pub sum: i64,
}

impl From<Tally> for Net {
    fn from(tally: Tally) -> Net {
        Net {
            rows: tally.missing as i64 - tally.extra as i64,
            sum: tally.missing_sum as i64 - tally.extra_sum as i64,
        }
    }
}

/// What differential-dataflow took and found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Loading everything.
    pub load: Cost,
    /// The batch of changed grants.
    pub batch: Cost,
    /// The role edit, from the state before the batch.
    pub edit: Cost,
    /// Drift after the batch.
    pub after_batch: Net,
    /// Drift after the role edit alone.
    pub after_edit: Net,
}

/// Says how to get it.
#[cfg(not(feature = "differential"))]
pub fn run(
    _data: &Data,
    _changes: &[GrantChange],
    _edit: &RoleEdit,
    _rounds: usize,
) -> anyhow::Result<Outcome> {
    anyhow::bail!("build with `--features differential`")
}

#[cfg(feature = "differential")]
pub use with_feature::run;

#[cfg(feature = "differential")]
mod with_feature {
    use std::cell::Cell;
    use std::rc::Rc;

    use differential_dataflow::input::Input;
    use timely::dataflow::operators::probe::Handle;

    use super::{Net, Outcome};
    use crate::data::{Data, GrantChange, NOW};
    use crate::jobs::incremental::RoleEdit;
    use crate::measure::{Cost, cost, median};
    use crate::tally::weight;

    /// Moves all inputs to the next time, lets the trace forget older ones, and works until everything has arrived.
    macro_rules! step {
        ($worker:ident, $probe:ident, $trace:ident, $time:ident, $($input:ident),*) => {{
            use differential_dataflow::trace::TraceReader;
            $time += 1;
            $($input.advance_to($time); $input.flush();)*
            let frontier = [$time];
            $trace.set_logical_compaction(timely::progress::frontier::AntichainRef::new(&frontier));
            $trace.set_physical_compaction(timely::progress::frontier::AntichainRef::new(&frontier));
            $worker.step_while(|| $probe.less_than(&$time));
        }};
    }

    /// Loads the data, applies the batch and the edit `rounds` times each, taking each back before the next.
    ///
    /// The peer has it a little easier than it would in earnest: expired reasons are left out beforehand, and what reviews
    /// ended is subtracted instead of anti-joined, which is right here because reviews end only what is justified.
    pub fn run(
        data: &Data,
        changes: &[GrantChange],
        edit: &RoleEdit,
        rounds: usize,
    ) -> anyhow::Result<Outcome> {
        // The worker's closure must own what it reads.
        let (data, changes, edit) = (data.clone(), changes.to_vec(), *edit);
        timely::execute_directly(move |worker| {
            let mut probe = Handle::new();
            let net = Rc::new(Cell::new(Net::default()));
            let seen = Rc::clone(&net);
            let (mut assignments, mut roles, mut explicit, mut reviews, mut observed, trace) = worker
                .dataflow::<u32, _, _>(|scope| {
                    let (assignments, by_role) = scope.new_collection::<(u32, u32), isize>();
                    let (roles, named) = scope.new_collection::<(u32, u32), isize>();
                    let (explicit, reasons) = scope.new_collection::<(u32, u32), isize>();
                    let (reviews, ended) = scope.new_collection::<(u32, u32), isize>();
                    let (observed, held) = scope.new_collection::<(u32, u32), isize>();
                    let justified = by_role
                        .join_map(named, |_role, user, entitlement| (*user, *entitlement))
                        .concat(reasons);
                    let justified = justified.distinct().concat(ended.negate());
                    // The trace is what lists drift; without it nothing would be kept.
                    let drift = justified.concat(held.negate()).arrange_by_self();
                    let trace = drift.trace.clone();
                    drift
                        .as_collection(|row, ()| *row)
                        .inspect(move |((user, entitlement), _, change)| {
                            let before = seen.get();
                            let sum = before.sum + *change as i64 * weight(*user, *entitlement) as i64;
                            seen.set(Net { rows: before.rows + *change as i64, sum });
                        })
                        .probe_with(&mut probe);
                    (assignments, roles, explicit, reviews, observed, trace)
                });
            let mut time = 0;
            let (load, ()) = cost(|| {
                for (user, (role, end)) in data.assignments.pairs().filter(|(_, (_, end))| NOW < *end) {
                    debug_assert!(NOW < end);
                    assignments.insert((role, user));
                }
                data.roles.pairs().for_each(|pair| roles.insert(pair));
                let live = data.explicit.pairs().filter(|(_, (_, end))| NOW < *end);
                live.for_each(|(user, (entitlement, _))| explicit.insert((user, entitlement)));
                data.reviews.iter().for_each(|pair| reviews.insert(*pair));
                data.observed.pairs().for_each(|pair| observed.insert(pair));
                time = 1;
                assignments.advance_to(time);
                roles.advance_to(time);
                explicit.advance_to(time);
                reviews.advance_to(time);
                observed.advance_to(time);
                assignments.flush();
                roles.flush();
                explicit.flush();
                reviews.flush();
                observed.flush();
                worker.step_while(|| probe.less_than(&time));
            })?;
            let mut outcome = Outcome { load, ..Outcome::default() };
            let mut trace = trace;
            let (mut batches, mut edits) = (Vec::new(), Vec::new());
            for forward in (0..2 * rounds.max(1)).map(|round| round % 2 == 0) {
                let (one, ()) = cost(|| {
                    for change in &changes {
                        let sign = if change.added == forward { 1 } else { -1 };
                        observed.update((change.user, change.entitlement), sign);
                    }
                    step!(worker, probe, trace, time, assignments, roles, explicit, reviews, observed);
                })?;
                if forward {
                    batches.push(one);
                    outcome.after_batch = net.get();
                }
            }
            for forward in (0..2 * rounds.max(1)).map(|round| round % 2 == 0) {
                let (one, ()) = cost(|| {
                    roles.update((edit.role, edit.entitlement), if forward { 1 } else { -1 });
                    step!(worker, probe, trace, time, assignments, roles, explicit, reviews, observed);
                })?;
                if forward {
                    edits.push(one);
                    outcome.after_edit = net.get();
                }
            }
            let middle = |costs: &[Cost]| Cost {
                cpu_seconds: median(costs.iter().map(|cost| cost.cpu_seconds).collect()),
                wall_seconds: median(costs.iter().map(|cost| cost.wall_seconds).collect()),
            };
            outcome.batch = middle(&batches);
            outcome.edit = middle(&edits);
            Ok(outcome)
        })
    }
}
