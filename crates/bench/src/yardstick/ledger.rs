//! The ledger floor: a SHA-256 chain over fixed records, and batches that are on disk before the next begins.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Bytes of one record.
pub const RECORD_BYTES: usize = 248;

/// Record number `number`.
pub fn record(number: u32) -> [u8; RECORD_BYTES] {
    let mut record = [0u8; RECORD_BYTES];
    for (position, byte) in record.iter_mut().enumerate() {
        *byte = (number.wrapping_mul(2_654_435_761) >> (position % 24)) as u8 ^ position as u8;
    }
    record
}

/// Hashes every record with the hash before it and returns the last.
pub fn chain(records: u32) -> [u8; 32] {
    let mut last = [0u8; 32];
    let mut template = record(0);
    for number in 0..records {
        // Building 248 fresh bytes would cost as much as hashing them; four are enough to make records differ.
        template[..4].copy_from_slice(&number.to_le_bytes());
        let mut hasher = Sha256::new();
        hasher.update(last);
        hasher.update(template);
        last = hasher.finalize().into();
    }
    last
}

/// Appends records in batches, each written and synchronised before the next.
pub fn append(path: &Path, records: u32, batch: u32) -> std::io::Result<u64> {
    let mut file = File::create(path)?;
    let mut buffer = Vec::with_capacity(batch as usize * RECORD_BYTES);
    let mut written = 0u64;
    let mut number = 0;
    while number < records {
        buffer.clear();
        for next in number..(number + batch).min(records) {
            buffer.extend_from_slice(&record(next));
        }
        file.write_all(&buffer)?;
        file.sync_data()?;
        written += buffer.len() as u64;
        number += batch;
    }
    Ok(written)
}
