//! Prove: the store's ledger rows, published as a Merkle log with a signed checkpoint.

use std::path::Path;

use leasehold_ledger::checkpoint::{SignedCheckpoint, SigningKey};
use leasehold_ledger::writer::Log;
use leasehold_store::Store;

use crate::error::ReconcileError;

/// Rows that are read from the store at a time.
const ROWS_MAX: usize = 4_096;

/// Opens the log and compares it with the store: a log that was cut, or a store that was restored from an older copy,
/// is named before anything is changed.
///
/// # Errors
/// [`ReconcileError::LedgerCut`], [`ReconcileError::LedgerDiffers`], or where store or log cannot be read.
pub async fn open(store: &Store, directory: &Path, origin: &str) -> Result<Log, ReconcileError> {
    let log = Log::open(directory, origin)?;
    let shown = directory.display().to_string();
    let (found, published) = (log.len(), store.ledger_published().await?);
    if found < published {
        return Err(ReconcileError::LedgerCut { directory: shown, found, published });
    }
    if let Some(last) = found.checked_sub(1) {
        let row = store.ledger_entries(last, 1).await?.pop();
        if row.is_none_or(|(_, bytes)| log.entry(last).is_ok_and(|entry| entry != bytes)) {
            return Err(ReconcileError::LedgerDiffers { directory: shown, index: last });
        }
    }
    Ok(log)
}

/// Appends what the log does not have yet, and signs. Safe to repeat.
///
/// # Errors
/// As [`open`].
pub async fn publish(
    store: &Store,
    directory: &Path,
    origin: &str,
    key: &SigningKey,
) -> Result<SignedCheckpoint, ReconcileError> {
    let mut log = open(store, directory, origin).await?;
    loop {
        let rows = store.ledger_entries(log.len(), ROWS_MAX).await?;
        let Some((first, _)) = rows.first() else { break };
        let first = *first;
        let entries: Vec<Vec<u8>> = rows.into_iter().map(|(_, bytes)| bytes).collect();
        log.append_from(first, &entries)?;
    }
    let checkpoint = log.publish(key)?;
    store.set_ledger_published(checkpoint.checkpoint.size).await?;
    Ok(checkpoint)
}
