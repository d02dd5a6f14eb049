//! Where people feeds ended: one that ends earlier than it did may have been cut, also where it was cut between two rows.

use leasehold_model::fact::FeedEnd;

use crate::db::fetch_optional;
use crate::dictionary::{Class, Known, Slot};
use crate::epoch::EpochWriter;
use crate::error::Result;

/// A feed's end, by the number of its last identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredFeedEnd {
    /// Its last identity.
    pub last: u32,
    /// Whether its row was ended by a line break.
    pub line_break: bool,
}

/// Signs that a feed was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedCut {
    /// Its last row has no line break, and rows, a line break or another value stood there before.
    InRow,
    /// Everything behind the row that is its last one now is missing, the row that was the last one before included.
    BetweenRows {
        /// How many identities are missing.
        missing: u64,
    },
}

impl EpochWriter {
    /// Remembers where the feed ended: at an identity that was told before.
    ///
    /// # Errors
    /// [`crate::StoreError::Spill`].
    pub fn feed_ended(&mut self, end: &FeedEnd) -> Result<()> {
        let last = self.dictionary.number(Class::Identity, end.last.as_str())?;
        self.feed_end = last.map(|last| StoredFeedEnd { last, line_break: end.line_break });
        Ok(())
    }

    /// Takes nothing from the feed's last row: half a value is no value.
    pub fn disregard_last_row(&mut self) {
        self.disregarded = self.feed_end.map(|end| end.last);
    }

    /// Whether the feed looks cut beside the last one that was complete. Whoever was the last row and leaves without a word
    /// looks the same, and a person says so then: that costs less than access that a cut file ends.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn feed_cut(&self) -> Result<Option<FeedCut>> {
        let Some(now) = self.feed_end else { return Ok(None) };
        let mut tx = self.store.db.read().await?;
        let before = fetch_optional!(
            &mut tx,
            (i64, i64),
            "SELECT feed_last, feed_line_break FROM epoch
             WHERE system = $1 AND completeness = 'complete' AND feed_last IS NOT NULL AND feed_line_break IS NOT NULL
             ORDER BY id DESC LIMIT 1",
            self.system
        )?;
        let Some((last_before, line_break_before)) = before else { return Ok(None) };
        let slots = self.dictionary.slots();
        let is = |number: u32, known: Known| slots.get(number as usize).is_some_and(|slot| slot.is(known));
        let was_there = |number: u32| is(number, Known::WAS_THERE);
        let is_missing = |slot: &&Slot| slot.is(Known::WAS_THERE) && !slot.is(Known::SEEN);
        let identities = slots.iter().filter(|slot| slot.class == Class::Identity);
        let missing = identities.filter(is_missing).count() as u64;
        let last_before = u32::try_from(last_before).ok();
        let last_is_missing = last_before.is_some_and(|last| was_there(last) && !is(last, Known::SEEN));
        // Half a value looks like another value, and half a key like another person.
        let last_differs = last_is_missing
            || self.date_kept_of == Some(now.last)
            || (is(now.last, Known::CHANGED) && was_there(now.last));
        // A whole row that is new behind the others was not cut off.
        Ok(if !now.line_break && (line_break_before != 0 || last_differs) {
            Some(FeedCut::InRow)
        } else if last_is_missing && was_there(now.last) {
            Some(FeedCut::BetweenRows { missing })
        } else {
            None
        })
    }
}
