//! Who was gone for a time by the word of one source, and who waits for a first day: what it told of somebody, one word after the other. Who
//! had left and is to begin on a day to come is gone until that day, however often the row changes meanwhile.

use std::collections::HashSet;

use jiff::Timestamp;
use leasehold_model::feed::Told;
use leasehold_model::snapshot::Snapshot;

use crate::db::Tx;
use crate::error::Result;
use crate::told;

/// From when until when somebody was gone who was here again afterwards.
fn absences(told: &[Told]) -> Vec<(Timestamp, Timestamp)> {
    let (mut absences, mut gone, mut listed_until) = (Vec::new(), None, None);
    // Who was only announced, and is not any more, has left nothing.
    let mut is_only_announced = true;
    for word in told {
        if let Some(listed_until) =
            listed_until.filter(|listed_until| *listed_until < word.from && !is_only_announced)
        {
            gone = gone.or(Some(listed_until));
        }
        is_only_announced &= word.waits_until() == word.until;
        listed_until = Some(word.until);
        let here_from = word.waits_until();
        if word.standing.has_left(word.from) {
            gone = gone.or(Some(word.from));
            continue;
        }
        if here_from == word.until {
            continue;
        }
        absences.extend(gone.take().map(|left_at| (left_at, here_from)));
        gone = word.standing.end.filter(|end| *end < word.until).map(|end| end.max(here_from));
    }
    absences
}

/// Of those whose sources ceased to list them for a time, or told of a leaving, by system and object: when they were gone.
pub(crate) async fn read_away(
    tx: &mut Tx,
    epoch: i64,
    snapshot: &mut Snapshot,
    wanted: &HashSet<(i64, i64)>,
) -> Result<()> {
    for (key, told) in told::read(tx, epoch, snapshot, wanted).await?.into_values() {
        for (from, until) in absences(&told) {
            snapshot.was_away(&key, from, until);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use leasehold_model::feed::Standing;
    use leasehold_model::identity::LifecycleState;

    use super::*;

    #[test]
    fn who_waits_is_gone_until_they_begin() {
        use LifecycleState::{Active, Left, PreHire};
        let at = |day: i64| Timestamp::from_second(day * 86_400).expect("an instant");
        // Each row: from when until when it was told, the state, the first and the last day; and the absences.
        type Row = (i64, Option<i64>, LifecycleState, Option<i64>, Option<i64>);
        type Case<'a> = (&'a [Row], &'a [(i64, i64)]);
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
            (&[(0, Some(5), PreHire, Some(9), None), (20, None, Active, None, None)], &[]),
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
            let word = |(from, until, state, start, end): &Row| Told {
                from: at(*from),
                until: until.map_or(Timestamp::MAX, at),
                standing: Standing {
                    state: *state,
                    is_state_unsaid: false,
                    start: start.map(at),
                    end: end.map(at),
                },
            };
            let words: Vec<Told> = told.iter().map(word).collect();
            let expected: Vec<_> = expected.iter().map(|(from, until)| (at(*from), at(*until))).collect();
            assert_eq!(absences(&words), expected, "{told:?}");
        }
    }
}
