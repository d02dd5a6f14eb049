//! Which ids came in a reading, so that one that comes twice is noticed.

use leasehold_spill::{MarkTable, Marker};

use crate::error::ConnectError;

/// The ids that came; a million take as little memory as a hundred thousand. Two ids that share a mark look like one that came
/// twice; then a reading is partial, and the next one has other marks.
#[derive(Debug, Default)]
pub struct Seen {
    marks: MarkTable,
    marker: Marker,
}

impl Seen {
    /// How many came.
    pub fn count(&self) -> usize {
        self.marks.count()
    }

    /// Notes an id; `false` where it came before.
    ///
    /// # Errors
    /// [`ConnectError::Sink`]: a temporary file cannot be used.
    pub fn insert(&mut self, id: &str) -> Result<bool, ConnectError> {
        let mark = self.marker.mark(id);
        let is_new = self.marks.find(&mark).map_err(spilled)?.is_none();
        if is_new {
            self.marks.add(mark, 0).map_err(spilled)?;
        }
        Ok(is_new)
    }

    /// Whether it came.
    ///
    /// # Errors
    /// [`ConnectError::Sink`]: a temporary file cannot be used.
    pub fn contains(&self, id: &str) -> Result<bool, ConnectError> {
        Ok(self.marks.find(&self.marker.mark(id)).map_err(spilled)?.is_some())
    }
}

fn spilled(error: std::io::Error) -> ConnectError {
    let folder = std::env::temp_dir();
    ConnectError::Sink(format!(
        "a temporary file in {} cannot be used: {error}; free space there, or set TMPDIR to a folder that has it",
        folder.display()
    ))
}
