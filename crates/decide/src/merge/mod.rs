//! One identity from several people feeds: each attribute from the feed that is believed first about it, and what the
//! others say instead kept beside it.

mod away;
mod believed;
mod dropped;
mod making;
mod told;
mod voice;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use leasehold_model::id::{EpochId, SystemName};
use leasehold_model::snapshot::{Dropped, Snapshot, SystemState};
use making::Merging;

use crate::evaluate::SystemSettings;

/// The precedence of a feed of which nothing is said.
pub const PRECEDENCE_DEFAULT: u32 = 100;

/// How early a feed is believed: the lowest number first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precedence {
    /// About everything of which nothing else is said.
    pub general: u32,
    /// About single attributes.
    pub of_attribute: BTreeMap<String, u32>,
}

impl Default for Precedence {
    fn default() -> Self {
        Self { general: PRECEDENCE_DEFAULT, of_attribute: BTreeMap::new() }
    }
}

impl Precedence {
    fn about(&self, attribute: &str) -> u32 {
        self.of_attribute.get(attribute).copied().unwrap_or(self.general)
    }
}

/// How early each system is believed, by its position, and whether it is a people feed by its configuration.
struct Precedences(Vec<(Precedence, bool)>);

impl Precedences {
    fn of(snapshot: &Snapshot, settings: &BTreeMap<SystemName, SystemSettings>) -> Self {
        let of_system = |system: &SystemState| {
            let settings = settings.get(&system.name).filter(|settings| settings.authoritative);
            (settings.map(|settings| settings.precedence.clone()).unwrap_or_default(), settings.is_some())
        };
        Self(snapshot.systems.iter().map(of_system).collect())
    }

    fn of_system(&self, system: u32) -> &Precedence {
        &self.0[system as usize].0
    }

    fn is_feed(&self, system: u32) -> bool {
        self.0[system as usize].1
    }
}

/// Makes one identity of those that several feeds list under one key, as it is believed at an instant.
pub fn merge(snapshot: &mut Snapshot, settings: &BTreeMap<SystemName, SystemSettings>, now: Timestamp) {
    let precedences = Precedences::of(snapshot, settings);
    let mut silent: HashMap<String, Vec<Dropped>> = HashMap::new();
    for dropped in std::mem::take(&mut snapshot.dropped) {
        silent.entry(dropped.identity.key.folded()).or_default().push(dropped);
    }
    let mut first: HashMap<String, usize> = HashMap::with_capacity(snapshot.identities.len());
    let mut told: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (position, (_, identity)) in snapshot.identities.iter().enumerate() {
        match first.entry(identity.key.folded()) {
            Entry::Vacant(vacant) => {
                vacant.insert(position);
            }
            Entry::Occupied(occupied) => {
                let first = *occupied.get();
                told.entry(first).or_insert_with(|| vec![first]).push(position);
            }
        }
    }
    let feeds = std::mem::take(&mut snapshot.feeds);
    // Whom one feed lists, and others did before.
    for position in silent.keys().chain(feeds.keys()).filter_map(|key| first.get(key)) {
        told.entry(*position).or_insert_with(|| vec![*position]);
    }
    drop(first);
    if !told.is_empty() {
        let epochs = snapshot.epoch_ended_at.iter().map(|(epoch, ended_at)| (*ended_at, *epoch));
        let mut epochs: Vec<(Timestamp, EpochId)> = epochs.collect();
        epochs.sort_unstable();
        let merging = Merging { feeds: &feeds, precedences: &precedences, silent: &silent, epochs, now };
        merging.one_each(snapshot, told);
    }
}

#[cfg(test)]
mod tests {
    use leasehold_model::feed::{FeedHistory, Standing, Told};
    use leasehold_model::id::IdentityKey;
    use leasehold_model::identity::{Identity, IdentityKind, LifecycleState, Unsaid};
    use leasehold_model::snapshot::{IdentityConflict, SystemState};

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn listed(key: &str, state: LifecycleState, attributes: &[(&str, &str)]) -> Identity {
        Identity {
            key: IdentityKey::from(key),
            kind: IdentityKind::Person,
            state,
            start: None,
            end: None,
            manager: None,
            owner: None,
            attributes: attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            unsaid: Unsaid::default(),
        }
    }

    /// Each with the word that counts.
    fn conflicts(snapshot: &Snapshot) -> Vec<String> {
        let told = |IdentityConflict { attribute, used, .. }: &IdentityConflict| {
            format!("{attribute} {}={}", used.system, used.value)
        };
        snapshot.identity_conflicts.iter().map(told).collect()
    }

    fn feed(name: &str) -> SystemState {
        SystemState {
            name: SystemName::new(name).expect("a name"),
            generation: EpochId(1),
            first: None,
            latest: None,
            latest_complete: None,
        }
    }

    #[test]
    fn each_attribute_comes_from_who_is_believed_first_about_it() {
        let mut snapshot = Snapshot { systems: vec![feed("directory"), feed("hr")], ..Snapshot::default() };
        let rows = [
            (
                0,
                listed(
                    "Kim@Example.com",
                    LifecycleState::Active,
                    &[("email", "k@x"), ("phone", "1"), ("title", "A")],
                ),
            ),
            (1, listed("only@hr", LifecycleState::Active, &[])),
            (
                1,
                listed(
                    "kim@example.com",
                    LifecycleState::Left,
                    &[("email", "kim@example.com"), ("title", "a")],
                ),
            ),
        ];
        for row in rows {
            snapshot.identities.push(row);
            snapshot.identity_since.push(EpochId(1));
        }
        let of = |general, email: Option<u32>| SystemSettings {
            authoritative: true,
            precedence: Precedence {
                general,
                of_attribute: email.map(|number| ("email".to_owned(), number)).into_iter().collect(),
            },
            ..SystemSettings::default()
        };
        let settings = [
            (SystemName::new("directory").expect("a name"), of(20, Some(1))),
            (SystemName::new("hr").expect("a name"), of(10, None)),
        ];
        merge(&mut snapshot, &settings.into(), NOW);
        assert_eq!((snapshot.identities.len(), snapshot.identity_since.len()), (2, 2));
        let (system, kim) = &snapshot.identities[0];
        assert_eq!((*system, kim.key.as_str(), kim.state), (1, "kim@example.com", LifecycleState::Left));
        let attributes: Vec<(&str, &str)> =
            kim.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(attributes, [("email", "k@x"), ("phone", "1"), ("title", "a")]);
        let conflicts = conflicts(&snapshot);
        assert_eq!(conflicts, ["status hr=left", "email directory=k@x"]);
    }

    #[test]
    fn who_says_when_somebody_is_gone_dates_it() {
        use LifecycleState::{Active, Left, Suspended};
        let name = |name: &str| SystemName::new(name).expect("a name");
        let end = Some(jiff::Timestamp::UNIX_EPOCH);
        for (of_hr, of_agency, dated_by) in [
            ((Active, None), (Active, end), 2),
            ((Active, end), (Active, None), 1),
            ((Left, None), (Active, end), 1),
            ((Suspended, None), (Active, end), 1),
            ((Active, None), (Active, None), 1),
        ] {
            let mut snapshot = Snapshot { systems: vec![feed("hr"), feed("agency")], ..Snapshot::default() };
            for (system, (state, end)) in [of_hr, of_agency].into_iter().enumerate() {
                let system = u32::try_from(system).expect("few");
                snapshot.identities.push((system, Identity { end, ..listed("kim@example.com", state, &[]) }));
                snapshot.identity_since.push(EpochId(i64::from(system) + 1));
                snapshot.identity_came.push(EpochId(0));
            }
            let of = |general| SystemSettings {
                authoritative: true,
                precedence: Precedence { general, of_attribute: BTreeMap::new() },
                ..SystemSettings::default()
            };
            let settings = BTreeMap::from([(name("hr"), of(10)), (name("agency"), of(20))]);
            let at = |second| jiff::Timestamp::from_second(second).expect("an instant");
            snapshot.epoch_ended_at =
                [(0, -9), (1, 1), (2, 2)].map(|(epoch, ended)| (EpochId(epoch), at(ended))).into();
            let mut planned = snapshot.clone();
            merge(&mut snapshot, &settings, NOW);
            assert_eq!(snapshot.identity_since, [EpochId(dated_by)], "{of_hr:?} {of_agency:?}");
            assert_eq!(snapshot.told_by(0).map(i64::from), Some(dated_by - 1), "{of_hr:?} {of_agency:?}");
            // Whoever has left is not here until the end of a contract that another feed knows of.
            for (_, identity) in &mut planned.identities {
                identity.end = identity.end.map(|_| at(9));
            }
            planned.systems[1].first = Some(EpochId(2));
            merge(&mut planned, &settings, NOW);
            let identity = &planned.identities[0].1;
            let expected = identity.end.map(|_| if identity.state == Left { at(1) } else { at(9) });
            // What a feed says when it is read first is news where another one had listed them as here.
            assert_eq!(
                (identity.end, planned.identity_since[0]),
                (expected, EpochId(dated_by)),
                "as history"
            );
            assert_eq!(planned.identity_news.contains(&0), dated_by == 2, "{of_hr:?} {of_agency:?}");
        }
    }

    #[test]
    fn a_last_day_that_was_taken_back_is_no_silence() {
        let name = |name: &str| SystemName::new(name).expect("a name");
        let end = Some(Timestamp::UNIX_EPOCH);
        for (of_hr, took_back, expected) in [
            (10, true, (None, vec!["end_date hr=none"])),
            // Where one that is believed about who is here says nothing of it, that is shown.
            (10, false, (end, vec!["end_date agency=1970-01-01T00:00:00Z"])),
            (30, true, (end, vec!["end_date agency=1970-01-01T00:00:00Z"])),
        ] {
            let mut snapshot = Snapshot { systems: vec![feed("hr"), feed("agency")], ..Snapshot::default() };
            for (system, end) in [(0, None), (1, end)] {
                let identity = listed("kim@example.com", LifecycleState::Active, &[]);
                snapshot.identities.push((system, Identity { end, ..identity }));
                snapshot.identity_since.push(EpochId(1));
            }
            let at = |second| Timestamp::from_second(second).expect("an instant");
            let told =
                |from, until, end| Told { from, until, standing: Standing { end, ..Standing::default() } };
            let before = took_back.then(|| told(at(-9), at(-5), Some(at(99))));
            let of_hr_told = before.into_iter().chain([told(at(-5), Timestamp::MAX, None)]).collect();
            let of_agency = vec![told(at(-7), Timestamp::MAX, end)];
            let histories =
                [(0, of_hr_told), (1, of_agency)].map(|(system, told)| FeedHistory { system, told });
            snapshot.feeds.insert("kim@example.com".to_owned(), histories.into());
            let of = |general| SystemSettings {
                authoritative: true,
                precedence: Precedence { general, of_attribute: BTreeMap::new() },
                ..SystemSettings::default()
            };
            merge(&mut snapshot, &BTreeMap::from([(name("hr"), of(of_hr)), (name("agency"), of(20))]), NOW);
            let conflicts = conflicts(&snapshot);
            let conflicts: Vec<&str> = conflicts.iter().map(String::as_str).collect();
            assert_eq!((snapshot.identities[0].1.end, conflicts), expected, "{of_hr} {took_back}");
        }
    }

    #[test]
    fn a_feed_that_is_believed_first_says_by_its_silence_that_somebody_left() {
        let name = |name: &str| SystemName::new(name).expect("a name");
        for (of_hr, of_directory, expected) in [
            (10, 20, LifecycleState::Left),
            (20, 10, LifecycleState::Active),
            // Where nothing is said about who is believed first, whoever lists them does.
            (PRECEDENCE_DEFAULT, PRECEDENCE_DEFAULT, LifecycleState::Active),
        ] {
            let mut snapshot =
                Snapshot { systems: vec![feed("directory"), feed("hr")], ..Snapshot::default() };
            snapshot.identities.push((0, listed("kim@example.com", LifecycleState::Active, &[])));
            snapshot.identity_since.push(EpochId(1));
            let identity = listed("Kim@example.com", LifecycleState::Left, &[]);
            let (since, came, until) = (EpochId(2), EpochId(1), EpochId(2));
            let at = |second| Timestamp::from_second(second).expect("an instant");
            snapshot.epoch_ended_at = [1, 2].map(|epoch| (EpochId(epoch), at(epoch - 9))).into();
            snapshot.dropped.push(Dropped { system: 1, identity, since, came, until });
            let of = |general| SystemSettings {
                authoritative: true,
                precedence: Precedence { general, of_attribute: BTreeMap::new() },
                ..SystemSettings::default()
            };
            let settings = BTreeMap::from([(name("directory"), of(of_directory)), (name("hr"), of(of_hr))]);
            merge(&mut snapshot, &settings, NOW);
            let states: Vec<LifecycleState> =
                snapshot.identities.iter().map(|(_, identity)| identity.state).collect();
            assert_eq!(states, [expected], "{of_hr} before {of_directory}");
            let told = snapshot.identity_conflicts.iter().map(|conflict| conflict.attribute.as_str());
            let is_told = told.collect::<Vec<_>>().contains(&"status");
            assert_eq!(is_told, expected == LifecycleState::Left, "the sources disagree");
        }
    }
}
