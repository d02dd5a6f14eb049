//! The ledger's publication while a server runs: after every change, by one process at a time.

use std::path::PathBuf;

use leasehold_ledger::checkpoint::SigningKey;
use leasehold_store::Store;

use crate::error::ReconcileError;
use crate::stages::prove::{self, ProveError};

/// Where the log is and who signs it.
#[derive(Clone)]
pub struct Publisher {
    /// Whose entries are published.
    pub store: Store,
    /// The log's folder. Processes that share a store share this folder, too.
    pub directory: PathBuf,
    /// The log's name.
    pub origin: String,
    /// Who signs.
    pub key: std::sync::Arc<SigningKey>,
}

/// What became of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publication {
    /// Everything was published already.
    Nothing,
    /// So many entries are published now.
    Published(u64),
    /// Another process has the log open; what is due stays due.
    Busy,
}

impl Publisher {
    /// Publishes what the store recorded, where anything is due.
    ///
    /// # Errors
    /// As [`prove::publish`], except that a log that another process has open is no error.
    pub async fn publish(&self) -> Result<Publication, ProveError> {
        if self.store.ledger_len().await? <= self.store.ledger_published().await? {
            return Ok(Publication::Nothing);
        }
        let (publisher, runtime) = (self.clone(), tokio::runtime::Handle::current());
        // Files are written and synced: not on the threads that serve.
        let published = tokio::task::spawn_blocking(move || {
            let Self { store, directory, origin, key } = &publisher;
            runtime.block_on(prove::publish(store, directory, origin, key))
        })
        .await
        .map_err(|error| ReconcileError::Worker(error.to_string()))?;
        match published {
            Ok(checkpoint) => Ok(Publication::Published(checkpoint.checkpoint.size)),
            Err(ProveError::Reconcile(ReconcileError::Ledger(leasehold_ledger::Error::Locked {
                ..
            }))) => Ok(Publication::Busy),
            Err(error) => Err(error),
        }
    }
}
