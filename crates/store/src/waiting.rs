//! Who was gone for a time, and who waits for a first day: what a source told of somebody, row after row. Who had left and is to begin on
//! a day to come is gone until that day, however often the row changes meanwhile.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use leasehold_model::id::{EpochId, IdentityKey};
use leasehold_model::identity::{Identity, LifecycleState};
use leasehold_model::snapshot::Snapshot;

use crate::db::{Tx, fetch_all, for_each_row, from_json};
use crate::error::Result;
use crate::snapshot::Places;

/// Up to so many are looked up one by one; of more, everybody's rows are read.
const LOOKED_UP_MAX: usize = 5_000;

/// What a source told of somebody, from one instant to another; to the end of time where it tells so still.
struct Row {
    from: Timestamp,
    until: Timestamp,
    identity: Identity,
}

impl Row {
    /// Until when they are to begin later by it; its own beginning where they are not.
    fn waits_until(&self) -> Timestamp {
        match (self.identity.state, self.identity.start) {
            (LifecycleState::Left, _) => self.from,
            (LifecycleState::PreHire, None) => self.until,
            (_, start) => start.map_or(self.from, |start| start.clamp(self.from, self.until)),
        }
    }
}

/// From when until when somebody was gone who was here again afterwards.
fn absences(rows: &[Row]) -> Vec<(Timestamp, Timestamp)> {
    let (mut absences, mut gone, mut listed_until) = (Vec::new(), None, None);
    for row in rows {
        if let Some(listed_until) = listed_until.filter(|listed_until| *listed_until < row.from) {
            gone = gone.or(Some(listed_until));
        }
        listed_until = Some(row.until);
        let here_from = row.waits_until();
        if row.identity.has_left(row.from) {
            gone = gone.or(Some(row.from));
            continue;
        }
        if here_from == row.until {
            continue;
        }
        absences.extend(gone.take().map(|left_at| (left_at, here_from)));
        gone = row.identity.end.filter(|end| *end < row.until).map(|end| end.max(here_from));
    }
    absences
}

/// Of those whose sources ceased to list them for a time, or told of a leaving: when they were gone.
pub(crate) async fn read_away(
    tx: &mut Tx,
    epoch: i64,
    snapshot: &mut Snapshot,
    wanted: &HashSet<(i64, i64)>,
) -> Result<()> {
    for rows in rows(tx, epoch, snapshot, wanted).await?.into_values() {
        let Some(key) = rows.last().map(|row| row.identity.key.folded()) else { continue };
        for (from, until) in absences(&rows) {
            snapshot.was_away(&key, from, until);
        }
    }
    Ok(())
}

/// Of those whom several feeds list: when each told of a first day to come.
pub(crate) async fn read_waits(
    tx: &mut Tx,
    epoch: i64,
    snapshot: &mut Snapshot,
    places: &Places,
) -> Result<()> {
    if snapshot.feeds.histories.is_empty() {
        return Ok(());
    }
    let mut wanted: HashSet<(i64, i64)> = HashSet::new();
    for_each_row!(
        tx,
        (i64, i64, String),
        "SELECT system, id, key FROM object WHERE class = 'identity' AND system >= $1",
        [0i64],
        |(system, object, key)| {
            if snapshot.feeds.histories.contains_key(&IdentityKey(key).folded()) {
                wanted.insert((system, object));
            }
        }
    );
    for ((system, _), rows) in rows(tx, epoch, snapshot, &wanted).await? {
        let Some(key) = rows.last().map(|row| row.identity.key.folded()) else { continue };
        let system = places.system(system)?;
        let histories = snapshot.feeds.histories.get_mut(&key).into_iter().flatten();
        for history in histories.filter(|history| history.system == system) {
            let waits = rows.iter().map(|row| (row.from, row.waits_until()));
            history.waits.extend(waits.filter(|(from, until)| from < until));
        }
    }
    Ok(())
}

/// What was told of these, in order.
async fn rows(
    tx: &mut Tx,
    epoch: i64,
    snapshot: &Snapshot,
    wanted: &HashSet<(i64, i64)>,
) -> Result<HashMap<(i64, i64), Vec<Row>>> {
    let at = |epoch: i64| snapshot.ended_at(EpochId(epoch)).unwrap_or(Timestamp::UNIX_EPOCH);
    let row = |since: i64, until: Option<i64>, body: &str| -> Result<Row> {
        let until = until.filter(|until| *until <= epoch).map_or(Timestamp::MAX, at);
        Ok(Row { from: at(since), until, identity: from_json("an identity", body)? })
    };
    let mut found: HashMap<(i64, i64), Vec<Row>> = HashMap::with_capacity(wanted.len());
    if wanted.len() > LOOKED_UP_MAX {
        for_each_row!(
            tx,
            (i64, i64, i64, Option<i64>, String),
            "SELECT state.system, state.object, state.since, state.until, state.body
             FROM object CROSS JOIN state_interval AS state
             WHERE object.class = 'identity' AND state.system = object.system AND state.object = object.id
             AND state.aspect = 'state' AND state.since <= $1
             ORDER BY state.system, state.object, state.since",
            [epoch],
            |(system, object, since, until, body)| {
                if wanted.contains(&(system, object)) {
                    found.entry((system, object)).or_default().push(row(since, until, &body)?);
                }
            }
        );
        return Ok(found);
    }
    for (system, object) in wanted {
        let told = fetch_all!(
            tx,
            (i64, Option<i64>, String),
            "SELECT since, until, body FROM state_interval
             WHERE system = $1 AND object = $2 AND aspect = 'state' AND since <= $3 ORDER BY since",
            *system,
            *object,
            epoch
        )?;
        let told: Result<Vec<Row>> =
            told.iter().map(|(since, until, body)| row(*since, *until, body)).collect();
        found.insert((*system, *object), told?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use leasehold_model::identity::{IdentityKind, Unsaid};

    use super::*;

    #[test]
    fn who_waits_is_gone_until_they_begin() {
        use LifecycleState::{Active, Left, PreHire};
        let at = |day: i64| Timestamp::from_second(day * 86_400).expect("an instant");
        // Each row: from when until when it was told, the state, the first and the last day; and the absences.
        type Told = (i64, Option<i64>, LifecycleState, Option<i64>, Option<i64>);
        type Case<'a> = (&'a [Told], &'a [(i64, i64)]);
        let cases: &[Case<'_>] = &[
            (&[(0, Some(5), Active, None, None), (8, None, Active, None, None)], &[(5, 8)]),
            (
                &[
                    (0, Some(5), Active, None, None),
                    (5, Some(8), Left, None, None),
                    (8, None, Active, None, None),
                ],
                &[(5, 8)],
            ),
            (&[(0, Some(9), Active, None, Some(3)), (9, None, Active, None, None)], &[(3, 9)]),
            (
                &[
                    (0, Some(5), Active, None, None),
                    (5, Some(8), Left, None, None),
                    (8, None, PreHire, Some(32), None),
                ],
                &[(5, 32)],
            ),
            (
                &[
                    (0, Some(5), Active, None, None),
                    (7, Some(20), PreHire, None, None),
                    (20, Some(25), PreHire, Some(32), None),
                    (25, Some(40), Active, Some(36), None),
                    (40, None, Active, None, None),
                ],
                &[(5, 36)],
            ),
            // A first day that is put off or corrected is no absence of who was here.
            (&[(0, Some(5), Active, None, None), (5, None, Active, Some(9), None)], &[]),
            (
                &[
                    (0, Some(5), Active, None, None),
                    (6, Some(50), Active, None, None),
                    (50, None, Active, Some(60), None),
                ],
                &[(5, 6)],
            ),
        ];
        for (told, expected) in cases {
            let row = |(from, until, state, start, end): &Told| Row {
                from: at(*from),
                until: until.map_or(Timestamp::MAX, at),
                identity: Identity {
                    key: "kim@example.com".into(),
                    kind: IdentityKind::Person,
                    state: *state,
                    start: start.map(at),
                    end: end.map(at),
                    manager: None,
                    owner: None,
                    attributes: std::collections::BTreeMap::new(),
                    unsaid: Unsaid::default(),
                },
            };
            let rows: Vec<Row> = told.iter().map(row).collect();
            let expected: Vec<_> = expected.iter().map(|(from, until)| (at(*from), at(*until))).collect();
            assert_eq!(absences(&rows), expected, "{told:?}");
        }
    }
}
