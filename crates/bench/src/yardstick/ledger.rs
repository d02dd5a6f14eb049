//! The ledger floor: a SHA-256 chain over fixed records in batches that are on disk before the next begins, and one
//! SHA-256 of every record.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Bytes of one record.
pub const RECORD_BYTES: usize = 244;

/// So many records, one after the other, each different.
pub fn records(count: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count as usize * RECORD_BYTES);
    for number in 0..count {
        let mixed = number.wrapping_mul(2_654_435_761);
        bytes.extend((0..RECORD_BYTES).map(|position| (mixed >> (position % 24)) as u8 ^ position as u8));
    }
    bytes
}

/// Hashes every record by itself and folds the hashes, so that none can be left out.
pub fn hash_each(records: &[u8]) -> [u8; 32] {
    let mut folded = [0u8; 32];
    for record in records.chunks_exact(RECORD_BYTES) {
        let hash: [u8; 32] = Sha256::digest(record).into();
        folded.iter_mut().zip(hash).for_each(|(sum, byte)| *sum ^= byte);
    }
    folded
}

/// Appends records in batches, each hashed onto the last hash, written and synchronised before the next.
pub fn append(path: &Path, records: &[u8], batch: u32) -> std::io::Result<[u8; 32]> {
    let mut file = File::create_new(path)?;
    let mut last = [0u8; 32];
    for records in records.chunks(batch as usize * RECORD_BYTES) {
        for record in records.chunks_exact(RECORD_BYTES) {
            let mut hasher = Sha256::new();
            hasher.update(last);
            hasher.update(record);
            last = hasher.finalize().into();
        }
        file.write_all(records)?;
        file.sync_data()?;
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_depends_on_records_and_not_on_batches() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = records(7);
        let one = append(&folder.path().join("one"), &bytes, 1).unwrap();
        let three = append(&folder.path().join("three"), &bytes, 3).unwrap();
        assert_eq!(one, three);
        assert_ne!(one, append(&folder.path().join("six"), &bytes[RECORD_BYTES..], 3).unwrap());
        assert_eq!(std::fs::read(folder.path().join("three")).unwrap(), bytes);
        assert_ne!(hash_each(&bytes), hash_each(&bytes[RECORD_BYTES..]));
    }
}
