//! Prove: the store's ledger rows, published as a Merkle log with a signed checkpoint.

use std::path::Path;

use leasehold_ledger::checkpoint::{SignedCheckpoint, SigningKey};
use leasehold_ledger::writer::Log;
use leasehold_store::Store;

use crate::error::ReconcileError;

/// Rows that are read from the store at a time.
const ROWS_MAX: usize = 4_096;

/// Appends what the log does not have yet, and signs. Safe to repeat: rows that are there already are compared.
///
/// # Errors
/// Where the store or the log fails, or the log holds other entries than the store.
pub async fn publish(
    store: &Store,
    directory: &Path,
    origin: &str,
    key: &SigningKey,
) -> Result<SignedCheckpoint, ReconcileError> {
    let mut log = Log::open(directory, origin)?;
    loop {
        let from = log.len();
        let rows = store.ledger_entries(from, ROWS_MAX).await?;
        let Some((first, _)) = rows.first() else { break };
        let first = *first;
        let entries: Vec<Vec<u8>> = rows.into_iter().map(|(_, bytes)| bytes).collect();
        log.append_from(first, &entries)?;
    }
    Ok(log.publish(key)?)
}
