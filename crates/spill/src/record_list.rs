//! Records of one size, found by their place.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;

/// Bytes that stay in memory before they are written out.
const BYTES_IN_MEMORY_MAX: usize = 2 << 20;
/// What one look reads: who asks for records in order asks the file once for many.
const LOOK_BYTES: usize = 4_096;

/// Records of `BYTES` bytes each: added at the end, read by their place.
#[derive(Debug)]
pub struct RecordList<const BYTES: usize> {
    /// What is not in the file.
    end: Vec<u8>,
    memory_max: usize,
    file: Option<File>,
    /// How many records the file holds.
    written: usize,
    /// What was last read of the file, and the place of its first record.
    look: Vec<u8>,
    look_from: usize,
}

impl<const BYTES: usize> Default for RecordList<BYTES> {
    fn default() -> Self {
        Self::with_bytes_in_memory(BYTES_IN_MEMORY_MAX)
    }
}

impl<const BYTES: usize> RecordList<BYTES> {
    /// A list that keeps about so many bytes in memory.
    pub fn with_bytes_in_memory(memory_max: usize) -> Self {
        Self { end: Vec::new(), memory_max, file: None, written: 0, look: Vec::new(), look_from: 0 }
    }

    /// Adds a record at the end.
    ///
    /// # Errors
    /// A temporary file cannot be made or written.
    pub fn push(&mut self, record: &[u8; BYTES]) -> io::Result<()> {
        if self.end.len() + BYTES > self.memory_max.max(BYTES) {
            if self.file.is_none() {
                self.file = Some(tempfile::tempfile()?);
            }
            if let Some(file) = &mut self.file {
                file.write_all(&self.end)?;
                self.written += self.end.len() / BYTES;
                self.end.clear();
            }
        }
        self.end.extend_from_slice(record);
        Ok(())
    }

    /// The record at a place, where there is one.
    ///
    /// # Errors
    /// A temporary file cannot be read.
    pub fn get(&mut self, place: usize) -> io::Result<Option<[u8; BYTES]>> {
        if let Some(place) = place.checked_sub(self.written) {
            return Ok(record(&self.end, place));
        }
        let looked_at = place.checked_sub(self.look_from).and_then(|place| record(&self.look, place));
        if looked_at.is_some() {
            return Ok(looked_at);
        }
        let Some(file) = &self.file else { return Ok(None) };
        let count = (LOOK_BYTES / BYTES).max(1).min(self.written - place);
        self.look.resize(count * BYTES, 0);
        self.look_from = place;
        if let Err(error) = file.read_exact_at(&mut self.look, (place * BYTES) as u64) {
            self.look.clear();
            return Err(error);
        }
        Ok(record(&self.look, 0))
    }
}

fn record<const BYTES: usize>(bytes: &[u8], place: usize) -> Option<[u8; BYTES]> {
    bytes.as_chunks::<BYTES>().0.get(place).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_added_is_read_back_from_memory_and_file(
            records in proptest::collection::vec(any::<[u8; 40]>(), 0..600),
            memory_max in 0usize..4_000,
            places in proptest::collection::vec(0usize..700, 0..200),
        ) {
            let mut list = RecordList::<40>::with_bytes_in_memory(memory_max);
            for record in &records {
                list.push(record)?;
            }
            for place in (0..records.len()).chain(places) {
                prop_assert_eq!(list.get(place)?, records.get(place).copied());
            }
        }
    }
}
