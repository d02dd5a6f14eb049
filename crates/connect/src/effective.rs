//! Rows of a people feed that hold from a day on, as HR systems export a move that is decided but not yet due: of several about
//! one person, the one in force counts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::identity::LifecycleState;

use crate::person::Person;

/// The rows of a feed that has days from which they hold. They are held until all are known, one for each person.
#[derive(Debug)]
pub(crate) struct EffectiveRows {
    now: Timestamp,
    by_key: BTreeMap<String, Row>,
    /// From when on a row says that they will have left, where one does: the first of them.
    leaving: BTreeMap<String, Timestamp>,
}

#[derive(Debug)]
struct Row {
    /// From when on; none where it always held.
    from: Option<Timestamp>,
    place: String,
    person: Person,
}

impl EffectiveRows {
    /// No rows yet; what counts is what holds at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { now, by_key: BTreeMap::new(), leaving: BTreeMap::new() }
    }

    /// Takes a row, which may come in any order.
    ///
    /// # Errors
    /// The place of a row about the same person from the same day on: which of them counts nobody knows, and the first does.
    pub fn offer(&mut self, from: Option<Timestamp>, place: String, person: Person) -> Result<(), String> {
        let row = Row { from, place, person };
        let key = row.person.identity.key.folded();
        if let Some(from) = from.filter(|from| *from > self.now)
            && row.person.identity.state == LifecycleState::Left
        {
            let first = self.leaving.entry(key.clone()).or_insert(from);
            *first = from.min(*first);
        }
        let Some(known) = self.by_key.get_mut(&key) else {
            self.by_key.insert(key, row);
            return Ok(());
        };
        if known.from == row.from {
            return Err(known.place.clone());
        }
        let is_in_force = |row: &Row| row.from.is_none_or(|from| from <= self.now);
        let is_closer = match (is_in_force(known), is_in_force(&row)) {
            (true, true) => known.from < row.from,
            (false, false) => row.from < known.from,
            (_, in_force) => in_force,
        };
        if is_closer {
            *known = row;
        }
        Ok(())
    }

    /// Everybody by the row that counts. Of whom nothing holds yet is still to come.
    pub fn in_force(self) -> impl Iterator<Item = Person> {
        let leaving = self.leaving;
        self.by_key.into_iter().map(move |(key, Row { from, mut person, .. })| {
            let identity = &mut person.identity;
            // That somebody will have left is their last day, whatever else changes before; a feed that is not read by then keeps nobody.
            if let Some(leaves_at) = leaving.get(&key).filter(|_| identity.state != LifecycleState::Left) {
                identity.end = Some(identity.end.map_or(*leaves_at, |end| end.min(*leaves_at)));
                person.untold.end = false;
            }
            if let Some(from) = from.filter(|from| *from > self.now) {
                if identity.state == LifecycleState::Left {
                    // That somebody will have left says that they are here.
                    identity.state = LifecycleState::Leaving;
                    identity.end = Some(identity.end.map_or(from, |end| end.max(from)));
                    (person.untold.state, person.untold.end) = (false, false);
                } else {
                    // Who began before is here, whatever is to change.
                    identity.start = Some(identity.start.unwrap_or(from));
                    (person.untold.start, person.untold.is_start_unreadable) = (false, false);
                }
            }
            person
        })
    }
}

#[cfg(test)]
mod tests {
    use leasehold_model::fact::Untold;
    use leasehold_model::id::IdentityKey;
    use leasehold_model::identity::{Identity, IdentityKind, Unsaid};

    use super::*;

    fn person(identity: Identity) -> Person {
        Person { identity, untold: Untold::default() }
    }

    fn row(department: &str) -> Identity {
        Identity {
            key: IdentityKey::from("ada"),
            kind: IdentityKind::Person,
            state: LifecycleState::Active,
            start: None,
            end: None,
            manager: None,
            owner: None,
            attributes: BTreeMap::from([("department".to_owned(), department.to_owned())]),
            unsaid: Unsaid::default(),
        }
    }

    fn day(number: i64) -> Option<Timestamp> {
        Timestamp::from_second(number * 86_400).ok()
    }

    #[test]
    fn the_row_in_force_counts_in_whatever_order_rows_come() {
        let mut rows = [(None, "Sales"), (day(10), "Support"), (day(20), "Research")];
        for (now, expected) in [(5, "Sales"), (10, "Support"), (19, "Support"), (25, "Research")] {
            for _ in 0..rows.len() {
                rows.rotate_left(1);
                let mut effective = EffectiveRows::at(day(now).unwrap());
                for (from, department) in rows {
                    effective.offer(from, department.to_owned(), person(row(department))).unwrap();
                }
                let found: Vec<Identity> = effective.in_force().map(|person| person.identity).collect();
                assert_eq!(found.len(), 1);
                assert_eq!(found[0].attribute("department"), Some(expected), "day {now}");
                assert_eq!(found[0].start, None);
            }
        }
    }

    #[test]
    fn who_is_only_in_rows_to_come_is_to_come_and_one_day_has_one_row() {
        let mut effective = EffectiveRows::at(day(5).unwrap());
        effective.offer(day(20), "line 2".to_owned(), person(row("Research"))).unwrap();
        effective.offer(day(10), "line 3".to_owned(), person(row("Support"))).unwrap();
        let again = effective.offer(day(10), "line 4".to_owned(), person(row("Sales")));
        assert_eq!(again, Err("line 3".to_owned()));
        let found: Vec<Identity> = effective.in_force().map(|person| person.identity).collect();
        assert_eq!((found[0].attribute("department"), found[0].start), (Some("Support"), day(10)));
        // Of whom a row says that they will have left, and of whom another says that they began long ago, are here.
        let only = |identity: Identity| {
            let mut effective = EffectiveRows::at(day(5).unwrap());
            effective.offer(day(10), "line 2".to_owned(), person(identity)).unwrap();
            effective.in_force().next().unwrap().identity
        };
        let left = only(Identity { state: LifecycleState::Left, ..row("Sales") });
        assert_eq!((left.state, left.start, left.end), (LifecycleState::Leaving, None, day(10)));
        assert!(left.may_hold_access(day(5).unwrap()) && left.has_left(day(10).unwrap()));
        assert!(only(Identity { start: day(1), ..row("Sales") }).may_hold_access(day(5).unwrap()));
        // What is decided beside the row in force ends them on its day, whether the feed is read then or not.
        let rows = [
            (None, LifecycleState::Active),
            (day(8), LifecycleState::Active),
            (day(20), LifecycleState::Left),
        ];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut effective = EffectiveRows::at(day(5).unwrap());
            for (from, state) in order.map(|index| rows[index]) {
                effective
                    .offer(from, "a line".to_owned(), person(Identity { state, ..row("Sales") }))
                    .unwrap();
            }
            let found = effective.in_force().next().unwrap().identity;
            assert_eq!((found.state, found.end), (LifecycleState::Active, day(20)), "{order:?}");
        }
    }
}
