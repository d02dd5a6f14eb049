//! What an enumeration could not use: every piece is counted, and as many are listed as a person would read.

use leasehold_model::fact::Problem;

use crate::db::{Tx, execute_rows, without_nul};
use crate::error::Result;

/// Listed problems of one enumeration. A feed with a million bad rows has one cause, not a million.
const LISTED_MAX: usize = 10_000;
/// Characters of a place or message that are kept.
const CHARS_MAX: usize = 1_000;

/// The problems of one enumeration.
#[derive(Debug, Default)]
pub(crate) struct ProblemList {
    listed: Vec<Problem>,
    count: u64,
}

impl ProblemList {
    pub(crate) fn push(&mut self, problem: Problem) {
        self.count += 1;
        if self.listed.len() < LISTED_MAX {
            self.listed
                .push(Problem { place: storable(&problem.place), message: storable(&problem.message) });
        }
    }

    /// Counts one that is not listed, because the list is full.
    pub(crate) fn push_unlisted(&mut self, more: u64) {
        self.count += more;
    }

    /// How many more can be listed.
    pub(crate) fn room(&self) -> usize {
        LISTED_MAX - self.listed.len()
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) async fn write(&self, tx: &mut Tx, epoch: i64) -> Result<()> {
        let unlisted = self.count - self.listed.len() as u64;
        let note = (unlisted > 0).then(|| {
            Problem::new(
                "the end of this list",
                format!("{unlisted} more problems were counted and are not listed"),
            )
        });
        let rows: Vec<_> = self
            .listed
            .iter()
            .chain(&note)
            .enumerate()
            .map(|(position, problem)| (position, &problem.place, &problem.message))
            .collect();
        execute_rows!(
            tx,
            &rows,
            "INSERT INTO problem (epoch, position, place, message)
             SELECT $2, CAST(value->>0 AS BIGINT), value->>1, value->>2 FROM ",
            "",
            epoch
        )?;
        Ok(())
    }
}

fn storable(text: &str) -> String {
    without_nul(&text.chars().take(CHARS_MAX).collect::<String>()).into_owned()
}
