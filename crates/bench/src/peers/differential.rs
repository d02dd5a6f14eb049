//! differential-dataflow as a peer: drift as an incrementally maintained collection.

use crate::data::{Data, GrantChange};
use crate::jobs::incremental::RoleEdit;
use crate::measure::Cost;
use crate::tally::Tally;

/// What differential-dataflow took and found.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Loading everything.
    pub load: Cost,
    /// The batch of changed grants.
    pub batch: Cost,
    /// The role edit, from the state before the batch.
    pub edit: Cost,
    /// Drift after the batch.
    pub after_batch: Tally,
    /// Drift after the role edit alone.
    pub after_edit: Tally,
}

/// Says how to get it.
#[cfg(not(feature = "differential"))]
pub fn run(_data: &Data, _changes: &[GrantChange], _edit: &RoleEdit) -> anyhow::Result<Outcome> {
    anyhow::bail!("build with `--features differential`")
}
