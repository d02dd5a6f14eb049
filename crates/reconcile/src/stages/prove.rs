//! Prove: the store's ledger rows, published as a Merkle log with a signed checkpoint.

use std::path::Path;

use leasehold_ledger::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint, SigningKey, VerifyingKey};
use leasehold_ledger::writer::Log;
use leasehold_store::Store;

use crate::error::ReconcileError;

/// Rows that are read from the store at a time.
const ROWS_MAX: usize = 4_096;

/// Why nothing could be published.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// Log or store cannot be used, or do not fit each other.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// The key is not the one that the log is signed with.
    #[error(
        "the log in {directory} is signed with the key {kept}, and the key file holds {found}: a log that is signed on \
         with another key is what a forgery looks like, so nothing is signed. Put the key {kept} back from a backup. \
         Where it is lost or in other hands: keep store and log as evidence, and begin anew with another `[store] url`, \
         `[ledger] path` and `[ledger] key`"
    )]
    OtherKey {
        /// The log's folder.
        directory: String,
        /// Name and id of the key that it is signed with.
        kept: String,
        /// Name and id of the key that was to sign.
        found: String,
    },
}

impl From<leasehold_store::StoreError> for ProveError {
    fn from(error: leasehold_store::StoreError) -> Self {
        Self::Reconcile(error.into())
    }
}

impl From<leasehold_ledger::Error> for ProveError {
    fn from(error: leasehold_ledger::Error) -> Self {
        Self::Reconcile(error.into())
    }
}

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

/// Refuses a key that the log was not signed with so far: the store keeps the first one, and a store from before that
/// has the published checkpoint.
///
/// # Errors
/// [`ProveError::OtherKey`], or where store or checkpoint cannot be read.
pub async fn check_key(store: &Store, log: &Log, key: &SigningKey) -> Result<(), ProveError> {
    let ours = key.verifying_key();
    let other = |kept| {
        let directory = log.dir().display().to_string();
        Err(ProveError::OtherKey { directory, kept, found: ours.label() })
    };
    match (store.ledger_key().await?, log.published()) {
        (Some(kept), _) if kept == ours.to_text() => Ok(()),
        (Some(kept), _) => other(VerifyingKey::from_text(&kept).map_or(kept, |kept| kept.label())),
        (None, None) => Ok(()),
        (None, Some(published)) => match Checkpoint::parse_and_verify(&published.text, &ours) {
            Ok(_) => Ok(()),
            Err(CheckpointError::OtherKey { found, .. }) => other(found.join(", ")),
            Err(source) => {
                let path = log.dir().join("checkpoint").display().to_string();
                Err(leasehold_ledger::Error::Checkpoint { path, source }.into())
            }
        },
    }
}

/// Appends what the log does not have yet, and signs. Safe to repeat. The first key that signs is kept in the store.
///
/// # Errors
/// As [`open`] and [`check_key`].
pub async fn publish(
    store: &Store,
    directory: &Path,
    origin: &str,
    key: &SigningKey,
) -> Result<SignedCheckpoint, ProveError> {
    let mut log = open(store, directory, origin).await?;
    check_key(store, &log, key).await?;
    loop {
        let rows = store.ledger_entries(log.len(), ROWS_MAX).await?;
        let Some((first, _)) = rows.first() else { break };
        let first = *first;
        let entries: Vec<Vec<u8>> = rows.into_iter().map(|(_, bytes)| bytes).collect();
        log.append_from(first, &entries)?;
    }
    // Before it signs: a crash in between leaves a key that signed nothing yet, and never a log without its key.
    store.pin_ledger_key(&key.verifying_key().to_text()).await?;
    let checkpoint = log.publish(key)?;
    store.set_ledger_published(checkpoint.checkpoint.size).await?;
    Ok(checkpoint)
}
