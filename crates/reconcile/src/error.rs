//! What can keep the loop from going on.

use leasehold_model::id::SystemName;

/// A failure of the loop itself. A failing target is not one of these: it ends in an action's state or an epoch's.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] leasehold_store::StoreError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] leasehold_ledger::Error),
    /// The published log is shorter than what was once published.
    #[error(
        "the log in {directory} ends after {found} entries, and {published} were published: it was cut or replaced; run \
         `leasehold ledger verify`, and restore the folder from a copy; nothing was changed"
    )]
    LedgerCut {
        /// The log's folder.
        directory: String,
        /// How many entries it has.
        found: u64,
        /// How many it must have at least.
        published: u64,
    },
    /// The log has entries that the store does not have.
    #[error(
        "the log in {directory} and the store differ at entry {index}: the store was restored from an older copy, or \
         belongs to another log; restore the two together; nothing was changed"
    )]
    LedgerDiffers {
        /// The log's folder.
        directory: String,
        /// The first entry known to differ.
        index: u64,
    },
    /// The engine was given facts that contradict each other.
    #[error("the stored facts contradict each other: {0}; run `leasehold sync` and report this if it stays")]
    Engine(#[from] leasehold_decide::engine::EngineError),
    /// The live policy cannot be read by this release.
    #[error("the live policy cannot be used: {0}; mend the files and run `leasehold policy apply`")]
    Policy(String),
    /// A plan's content does not match its hash.
    #[error("plan {hash} was changed after it was made; run `leasehold plan` again")]
    PlanEdited {
        /// The hash it carries.
        hash: String,
    },
    /// The state moved since the plan was made.
    #[error(
        "plan {hash} was made from another state: {moved}; nothing was changed; run `leasehold plan` again"
    )]
    StateMoved {
        /// The plan.
        hash: String,
        /// What moved.
        moved: String,
    },
    /// No such plan.
    #[error("there is no plan {hash} in the store: make one anew; nothing was changed")]
    UnknownPlan {
        /// What was asked for.
        hash: String,
    },
    /// A plan names a system that is not configured any more.
    #[error("system `{0}` is not in leasehold.toml")]
    UnknownSystem(SystemName),
    /// A worker ended without an answer.
    #[error("a worker stopped unexpectedly: {0}")]
    Worker(String),
}

impl ReconcileError {
    /// Whether facts moved after a plan was made: another one can be.
    pub fn is_moved(&self) -> bool {
        matches!(self, Self::StateMoved { .. } | Self::Store(leasehold_store::StoreError::PlanMoved { .. }))
    }
}
