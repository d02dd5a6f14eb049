//! What an enumeration changes about pairs: told against held, within one range of holders. Pure, so that it can be
//! tried without a database.

use std::cmp::Ordering;

use crate::pair::{Pair, StagedPair};

/// What holds now, within the range; both sorted.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub pairs: Vec<Pair>,
    pub qualifiers: Vec<(Pair, Box<str>)>,
}

/// What becomes of the range.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub begun: Vec<i64>,
    pub ended: Vec<i64>,
    /// Qualifiers that end: those of ended pairs, and those that changed.
    pub qualifiers_ended: Vec<i64>,
    /// Qualifiers that begin.
    pub qualifiers_begun: Vec<(Pair, Box<str>)>,
    /// Told more than once.
    pub duplicates: Vec<Pair>,
    /// Told, but an end of it is not there.
    pub dangling: Vec<Pair>,
}

/// What decides about one pair besides being told and held.
pub(crate) trait Rules {
    /// Whether both ends are there after this enumeration.
    fn both_present(&self, pair: Pair) -> bool;
    /// Whether it was read back while this enumeration ran, which is newer.
    fn is_read_back(&self, pair: Pair) -> bool;
    /// Whether the absence of this pair counts (law 3).
    fn absence_counts(&self, pair: Pair) -> bool;
}

/// Compares what was told (sorted, equal pairs in order of arrival) with what is held.
pub(crate) fn diff(told: Vec<StagedPair>, held: Held, rules: &impl Rules) -> Changes {
    let mut changes = Changes::default();
    let mut told = told.into_iter().peekable();
    let mut pairs = held.pairs.into_iter().peekable();
    let mut qualifiers = held.qualifiers.into_iter().peekable();
    loop {
        let order = match (told.peek(), pairs.peek()) {
            (None, None) => return changes,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(staged), Some(pair)) => staged.pair.cmp(pair),
        };
        let staged = if order.is_le() { told.next() } else { None };
        let held = if order.is_ge() { pairs.next() } else { None };
        let Some(pair) = staged.as_ref().map(|staged| staged.pair).or(held) else { return changes };
        while told.next_if(|again| again.pair == pair).is_some() {
            changes.duplicates.push(pair);
        }
        let old = qualifiers.next_if(|(of, _)| *of == pair).map(|(_, text)| text);

        let both_present = rules.both_present(pair);
        if staged.is_some() && !both_present {
            changes.dangling.push(pair);
        }
        if both_present && rules.is_read_back(pair) {
            continue;
        }
        match (staged.filter(|_| both_present), held) {
            (Some(staged), held) => {
                if held.is_none() {
                    changes.begun.push(pair.packed());
                }
                if staged.qualifier != old {
                    if old.is_some() {
                        changes.qualifiers_ended.push(pair.packed());
                    }
                    changes.qualifiers_begun.extend(staged.qualifier.map(|text| (pair, text)));
                }
            }
            (None, Some(_)) if rules.absence_counts(pair) => {
                changes.ended.push(pair.packed());
                if old.is_some() {
                    changes.qualifiers_ended.push(pair.packed());
                }
            }
            (None, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed {
        absent: u32,
        read_back: u32,
        complete: bool,
    }

    impl Rules for Fixed {
        fn both_present(&self, pair: Pair) -> bool {
            pair.held != self.absent
        }
        fn is_read_back(&self, pair: Pair) -> bool {
            pair.held == self.read_back
        }
        fn absence_counts(&self, _: Pair) -> bool {
            self.complete
        }
    }

    fn pair(held: u32) -> Pair {
        Pair { holder: 1, held }
    }

    fn told(list: &[(u32, Option<&str>)]) -> Vec<StagedPair> {
        list.iter()
            .map(|(held, text)| StagedPair { pair: pair(*held), qualifier: text.map(Into::into) })
            .collect()
    }

    fn held() -> Held {
        Held {
            pairs: [10, 11, 12, 13].map(pair).into(),
            qualifiers: vec![(pair(10), "old".into()), (pair(12), "old".into()), (pair(13), "same".into())],
        }
    }

    #[test]
    fn absence_ends_only_what_a_complete_enumeration_does_not_tell() {
        for complete in [true, false] {
            let rules = Fixed { absent: 0, read_back: 0, complete };
            let changes = diff(
                told(&[(12, Some("new")), (13, Some("same")), (13, None), (14, Some("new"))]),
                held(),
                &rules,
            );
            let packed = |list: &[u32]| list.iter().map(|held| pair(*held).packed()).collect::<Vec<_>>();
            assert_eq!(changes.begun, packed(&[14]));
            assert_eq!(changes.ended, if complete { packed(&[10, 11]) } else { vec![] });
            assert_eq!(changes.qualifiers_ended, if complete { packed(&[10, 12]) } else { packed(&[12]) });
            assert_eq!(
                changes.qualifiers_begun,
                [(pair(12), Box::from("new")), (pair(14), Box::from("new"))]
            );
            assert_eq!(changes.duplicates, [pair(13)]);
        }
    }

    #[test]
    fn what_was_read_back_meanwhile_stays() {
        let rules = Fixed { absent: 0, read_back: 10, complete: true };
        let nothing_told = diff(vec![], held(), &rules);
        assert!(!nothing_told.ended.contains(&pair(10).packed()), "begun by the read-back");
        let told_again = diff(told(&[(10, None)]), Held::default(), &rules);
        assert_eq!(told_again, Changes::default(), "ended by the read-back");
    }

    #[test]
    fn a_pair_without_its_end_is_listed_and_holds_nothing() {
        let rules = Fixed { absent: 11, read_back: 0, complete: true };
        let changes = diff(told(&[(10, Some("old")), (11, None)]), held(), &rules);
        assert_eq!(changes.dangling, [pair(11)]);
        assert!(changes.ended.contains(&pair(11).packed()));
    }
}
