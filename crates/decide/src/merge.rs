//! One identity from several people feeds: each attribute from the feed that is believed first about it, and what the
//! others say instead kept beside it.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use leasehold_model::id::SystemName;
use leasehold_model::identity::{Identity, LifecycleState};
use leasehold_model::snapshot::{Claimed, IdentityConflict, Snapshot};

use crate::evaluate::SystemSettings;

/// What a feed says of the last day that took one back.
const NO_LAST_DAY: &str = "none";

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

/// Makes one identity of those that several feeds list under one key.
pub fn merge(snapshot: &mut Snapshot, settings: &BTreeMap<SystemName, SystemSettings>) {
    take_dropped(snapshot, settings);
    let took_back = std::mem::take(&mut snapshot.took_back);
    let mut first: HashMap<String, usize> = HashMap::with_capacity(snapshot.identities.len());
    let mut told: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (position, (_, identity)) in snapshot.identities.iter().enumerate() {
        match first.entry(identity.key.folded()) {
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(position);
            }
            std::collections::hash_map::Entry::Occupied(occupied) => {
                let first = *occupied.get();
                told.entry(first).or_insert_with(|| vec![first]).push(position);
            }
        }
    }
    if told.is_empty() {
        return;
    }
    let unsaid = Precedence::default();
    let precedence =
        |system: u32| settings.get(snapshot.system(system)).map_or(&unsaid, |settings| &settings.precedence);
    let mut dropped = vec![false; snapshot.identities.len()];
    let mut merged: BTreeMap<usize, Merged> = BTreeMap::new();
    for (first, positions) in &told {
        let voices: Vec<Voice<'_>> = positions
            .iter()
            .map(|position| {
                let (system, identity) = &snapshot.identities[*position];
                let (name, since) = (snapshot.system(*system), snapshot.identity_since[*position]);
                Voice {
                    system: *system,
                    name,
                    precedence: precedence(*system),
                    identity,
                    took_back: took_back.contains(position),
                    said_at: snapshot.ended_at(since),
                    is_history: snapshot.systems[*system as usize].first == Some(since),
                }
            })
            .collect();
        merged.insert(*first, one_of(&voices));
        for position in positions.iter().filter(|position| *position != first) {
            dropped[*position] = true;
        }
    }
    let mut kept = Vec::with_capacity(snapshot.identities.len());
    let mut since = Vec::with_capacity(snapshot.identities.len());
    let all = std::mem::take(&mut snapshot.identities);
    for (position, (listed, told_since)) in all.into_iter().zip(&snapshot.identity_since).enumerate() {
        if dropped[position] {
            continue;
        }
        let index = u32::try_from(kept.len()).unwrap_or(u32::MAX);
        match merged.remove(&position) {
            None => {
                kept.push(listed);
                since.push(*told_since);
            }
            Some(Merged { system, told_by, dated_by, identity, conflicts }) => {
                let said = told.get(&position).and_then(|positions| positions.get(dated_by));
                since.push(said.map_or(*told_since, |position| snapshot.identity_since[*position]));
                let of_index = |conflict| IdentityConflict { identity: index, ..conflict };
                snapshot.identity_conflicts.extend(conflicts.into_iter().map(of_index));
                if told_by != system {
                    snapshot.identity_told_by.insert(index, told_by);
                }
                kept.push((system, identity));
            }
        }
    }
    (snapshot.identities, snapshot.identity_since) = (kept, since);
}

/// What a feed said that lists somebody no longer counts beside those that list them where it is believed before all of them about who
/// is here: there, their absence is its word that they have left.
fn take_dropped(snapshot: &mut Snapshot, settings: &BTreeMap<SystemName, SystemSettings>) {
    let dropped = std::mem::take(&mut snapshot.dropped);
    if dropped.is_empty() {
        return;
    }
    let unsaid = Precedence::default();
    let about_status = |snapshot: &Snapshot, system: u32| {
        let of_system = settings.get(snapshot.system(system)).filter(|settings| settings.authoritative);
        of_system.map_or(&unsaid, |settings| &settings.precedence).about("status")
    };
    let mut listed: HashMap<String, u32> = HashMap::new();
    for (system, identity) in &snapshot.identities {
        let precedence = about_status(snapshot, *system);
        let least = listed.entry(identity.key.folded()).or_insert(precedence);
        *least = precedence.min(*least);
    }
    for (system, identity, epoch) in dropped {
        let least = listed.get(&identity.key.folded()).copied();
        // A feed that is not configured any more says nothing.
        let is_feed = settings.get(snapshot.system(system)).is_some_and(|settings| settings.authoritative);
        if is_feed && least.is_some_and(|least| about_status(snapshot, system) < least) {
            snapshot.identities.push((system, identity));
            snapshot.identity_since.push(epoch);
        }
    }
}

/// What one feed says of an identity.
struct Voice<'snapshot> {
    system: u32,
    name: &'snapshot SystemName,
    precedence: &'snapshot Precedence,
    identity: &'snapshot Identity,
    /// Whether it says that there is no last day, because it took one back.
    took_back: bool,
    /// When that was said first, and whether it was when the feed was read for the first time.
    said_at: Option<Timestamp>,
    is_history: bool,
}

/// One identity made of what several feeds say.
struct Merged {
    /// The feed that it is taken for.
    system: u32,
    /// Who says that they are gone, or else when they will be, or else where they stand, by the place of the voice, and its feed.
    dated_by: usize,
    told_by: u32,
    identity: Identity,
    /// Where others say something else. The position of the identity is not known yet.
    conflicts: Vec<IdentityConflict>,
}

/// What is believed of an identity, of which feed it is taken for, and where others say something else.
fn one_of(voices: &[Voice<'_>]) -> Merged {
    let mut conflicts = Vec::new();
    let mut believed = |attribute: &str, value: &dyn Fn(&Voice<'_>) -> Option<String>| -> Option<usize> {
        let mut saying: Vec<(u32, &SystemName, usize, String)> = voices
            .iter()
            .enumerate()
            .filter_map(|(position, voice)| {
                let value = value(voice).filter(|value| !value.is_empty())?;
                Some((voice.precedence.about(attribute), voice.name, position, value))
            })
            .collect();
        saying.sort();
        let (_, system, position, used) = saying.first()?;
        let claimed =
            |system: &SystemName, value: &str| Claimed { system: system.clone(), value: value.to_owned() };
        let others = saying.iter().filter(|(_, _, _, value)| value.to_lowercase() != used.to_lowercase());
        let instead: Vec<Claimed> = others.map(|(_, system, _, value)| claimed(system, value)).collect();
        if !instead.is_empty() {
            let (attribute, used) = (attribute.to_owned(), claimed(system, used));
            conflicts.push(IdentityConflict { identity: 0, attribute, used, instead });
        }
        Some(*position)
    };
    let leading = believed("key", &|voice| Some(voice.identity.key.folded())).unwrap_or(0);
    let of = |position: Option<usize>| &voices[position.unwrap_or(leading)].identity;
    let kind = of(believed("kind", &|voice| Some(voice.identity.kind.as_str().to_owned()))).kind;
    let saying =
        believed("status", &|voice| Some(voice.identity.state.as_str().to_owned())).unwrap_or(leading);
    let state = voices[saying].identity.state;
    let start = of(believed("start_date", &|voice| Some(voice.identity.start?.to_string()))).start;
    let ending = believed("end_date", &|voice| match voice.identity.end {
        None => voice.took_back.then(|| NO_LAST_DAY.to_owned()),
        Some(end) => Some(end.to_string()),
    });
    let end = of(ending).end;
    // Who says that they have left says when, whatever is planned elsewhere.
    let left_by = |planned: Timestamp| voices[saying].said_at.map_or(planned, |said_at| planned.min(said_at));
    let (end, dated_by) = match state {
        LifecycleState::Left => (voices[saying].identity.end.or(end.map(left_by)), saying),
        LifecycleState::Suspended => (end, saying),
        _ => (end, ending.filter(|ending| end.is_some() && !voices[*ending].is_history).unwrap_or(saying)),
    };
    let manager = of(believed("manager", &|voice| Some(voice.identity.manager.as_ref()?.folded())));
    let owner = of(believed("owner", &|voice| Some(voice.identity.owner.as_ref()?.folded())));
    let (manager, owner) = (manager.manager.clone(), owner.owner.clone());
    let mut names: Vec<&String> = voices.iter().flat_map(|voice| voice.identity.attributes.keys()).collect();
    names.sort();
    names.dedup();
    let mut attributes = BTreeMap::new();
    for name in names {
        let position = believed(name, &|voice| voice.identity.attributes.get(name).cloned());
        let value = position.and_then(|position| voices[position].identity.attributes.get(name));
        attributes.extend(value.map(|value| (name.clone(), value.clone())));
    }
    let key = voices[leading].identity.key.clone();
    let identity = Identity { key, kind, state, start, end, manager, owner, attributes };
    let told_by = voices[dated_by].system;
    Merged { system: voices[leading].system, dated_by, told_by, identity, conflicts }
}

#[cfg(test)]
mod tests {
    use leasehold_model::id::{EpochId, IdentityKey};
    use leasehold_model::identity::IdentityKind;
    use leasehold_model::snapshot::SystemState;

    use super::*;

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
        }
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
        merge(&mut snapshot, &settings.into());
        assert_eq!((snapshot.identities.len(), snapshot.identity_since.len()), (2, 2));
        let (system, kim) = &snapshot.identities[0];
        assert_eq!((*system, kim.key.as_str(), kim.state), (1, "kim@example.com", LifecycleState::Left));
        let attributes: Vec<(&str, &str)> =
            kim.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(attributes, [("email", "k@x"), ("phone", "1"), ("title", "a")]);
        let conflicts: Vec<String> = snapshot
            .identity_conflicts
            .iter()
            .map(|conflict| {
                format!("{} {}={}", conflict.attribute, conflict.used.system, conflict.used.value)
            })
            .collect();
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
            }
            let of = |general| SystemSettings {
                authoritative: true,
                precedence: Precedence { general, of_attribute: BTreeMap::new() },
                ..SystemSettings::default()
            };
            let settings = BTreeMap::from([(name("hr"), of(10)), (name("agency"), of(20))]);
            let at = |second| jiff::Timestamp::from_second(second).expect("an instant");
            snapshot.epoch_ended_at = [1, 2].map(|epoch| (EpochId(epoch), at(epoch))).into();
            let mut planned = snapshot.clone();
            merge(&mut snapshot, &settings);
            assert_eq!(snapshot.identity_since, [EpochId(dated_by)], "{of_hr:?} {of_agency:?}");
            assert_eq!(snapshot.told_by(0).map(i64::from), Some(dated_by - 1), "{of_hr:?} {of_agency:?}");
            // Whoever has left is not here until the end of a contract that another feed knows of.
            for (_, identity) in &mut planned.identities {
                identity.end = identity.end.map(|_| at(9));
            }
            planned.systems[1].first = Some(EpochId(2));
            merge(&mut planned, &settings);
            let identity = &planned.identities[0].1;
            let expected = identity.end.map(|_| if identity.state == Left { at(1) } else { at(9) });
            assert_eq!((identity.end, planned.identity_since[0]), (expected, EpochId(1)), "as history");
        }
    }

    #[test]
    fn a_last_day_that_was_taken_back_is_no_silence() {
        let name = |name: &str| SystemName::new(name).expect("a name");
        let end = Some(Timestamp::UNIX_EPOCH);
        for (of_hr, took_back, expected) in [
            (10, true, (None, vec!["end_date hr=none"])),
            (10, false, (end, vec![])),
            (30, true, (end, vec!["end_date agency=1970-01-01T00:00:00Z"])),
        ] {
            let mut snapshot = Snapshot { systems: vec![feed("hr"), feed("agency")], ..Snapshot::default() };
            for (system, end) in [(0, None), (1, end)] {
                let identity = listed("kim@example.com", LifecycleState::Active, &[]);
                snapshot.identities.push((system, Identity { end, ..identity }));
                snapshot.identity_since.push(EpochId(1));
            }
            snapshot.took_back.extend(took_back.then_some(0));
            let of = |general| SystemSettings {
                authoritative: true,
                precedence: Precedence { general, of_attribute: BTreeMap::new() },
                ..SystemSettings::default()
            };
            merge(&mut snapshot, &BTreeMap::from([(name("hr"), of(of_hr)), (name("agency"), of(20))]));
            let conflicts: Vec<String> = snapshot
                .identity_conflicts
                .iter()
                .map(|conflict| {
                    format!("{} {}={}", conflict.attribute, conflict.used.system, conflict.used.value)
                })
                .collect();
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
            snapshot.dropped.push((1, listed("Kim@example.com", LifecycleState::Left, &[]), EpochId(2)));
            let of = |general| SystemSettings {
                authoritative: true,
                precedence: Precedence { general, of_attribute: BTreeMap::new() },
                ..SystemSettings::default()
            };
            let settings = BTreeMap::from([(name("directory"), of(of_directory)), (name("hr"), of(of_hr))]);
            merge(&mut snapshot, &settings);
            let states: Vec<LifecycleState> =
                snapshot.identities.iter().map(|(_, identity)| identity.state).collect();
            assert_eq!(states, [expected], "{of_hr} before {of_directory}");
            let told = snapshot.identity_conflicts.iter().map(|conflict| conflict.attribute.as_str());
            let is_told = told.collect::<Vec<_>>().contains(&"status");
            assert_eq!(is_told, expected == LifecycleState::Left, "the sources disagree");
        }
    }
}
