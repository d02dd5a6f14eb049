//! When drift changes by itself: the times at which an identity's reasons or grants begin or end.

use std::collections::BTreeMap;

use super::Seconds;

/// Times known at the start lie in one sorted list, eight bytes each, so that advancing reads the next few entries and
/// nothing else. Times that come later are few between two builds and go into a tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    sorted: Vec<(Seconds, u32)>,
    next: usize,
    later: BTreeMap<Seconds, Vec<u32>>,
}

impl Timeline {
    /// Takes `(time, identity)` in any order.
    pub(crate) fn new(mut times: Vec<(Seconds, u32)>) -> Self {
        times.sort_unstable();
        times.dedup();
        times.shrink_to_fit();
        Timeline { sorted: times, next: 0, later: BTreeMap::new() }
    }

    /// Adds a time.
    pub(crate) fn add(&mut self, time: Seconds, identity: u32) {
        self.later.entry(time).or_default().push(identity);
    }

    /// Takes out every identity with a time up to and including `now`; an identity may come more than once.
    pub(crate) fn take_due(&mut self, now: Seconds) -> Vec<u32> {
        let end = self.next + self.sorted[self.next..].partition_point(|(time, _)| *time <= now);
        let mut due: Vec<u32> = self.sorted[self.next..end].iter().map(|(_, identity)| *identity).collect();
        self.next = end;
        while let Some(entry) = self.later.first_entry() {
            if *entry.key() > now {
                break;
            }
            due.extend(entry.remove());
        }
        due
    }

    /// Heap bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let later: usize = self.later.values().map(|list| 40 + list.capacity() * 4).sum();
        self.sorted.capacity() * size_of::<(Seconds, u32)>() + later
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_once_and_in_their_turn() {
        let mut timeline = Timeline::new(vec![(30, 3), (10, 1), (10, 2)]);
        timeline.add(20, 4);
        timeline.add(10, 5);
        assert!(timeline.take_due(9).is_empty());
        assert_eq!(timeline.take_due(10), [1, 2, 5]);
        assert_eq!(timeline.take_due(29), [4]);
        assert_eq!(timeline.take_due(100), [3]);
        assert!(timeline.take_due(u32::MAX).is_empty());
    }
}
