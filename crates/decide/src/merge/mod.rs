//! One identity from several people feeds: each attribute from the feed that is believed first about it, and what the
//! others say instead kept beside it.

mod away;
mod dropped;

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use leasehold_model::feed::Feeds;
use leasehold_model::id::SystemName;
use leasehold_model::identity::{Identity, LifecycleState};
use leasehold_model::snapshot::{Claimed, FormerIdentity, IdentityConflict, Snapshot};

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
    dropped::take(snapshot, settings);
    let feeds = std::mem::take(&mut snapshot.feeds);
    let unsaid = Precedence::default();
    let precedence =
        |system: &SystemName| settings.get(system).map_or(&unsaid, |settings| &settings.precedence);
    let precedences: Vec<Precedence> =
        snapshot.systems.iter().map(|system| precedence(&system.name).clone()).collect();
    come_back(snapshot, &feeds, &precedences);
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
    let mut former: BTreeMap<usize, Vec<FormerIdentity>> = BTreeMap::new();
    for was in std::mem::take(&mut snapshot.former_identities) {
        former.entry(was.identity as usize).or_default().push(was);
    }
    let mut dropped = vec![false; snapshot.identities.len()];
    let mut merged: BTreeMap<usize, (Merged, Vec<FormerIdentity>)> = BTreeMap::new();
    for (first, positions) in &told {
        let voices = voices(snapshot, positions, &feeds, &precedences);
        // As it was believed when one of the feeds said something else.
        let mut was = Vec::new();
        for (voice, position) in positions.iter().enumerate() {
            for before in former.remove(position).unwrap_or_default() {
                let mut then = voices.clone();
                (then[voice].identity, then[voice].took_back) = (&before.was, false);
                was.push(FormerIdentity { was: one_of(&then).identity, ..before });
            }
        }
        merged.insert(*first, (one_of(&voices), was));
        for position in positions.iter().filter(|position| *position != first) {
            dropped[*position] = true;
        }
    }
    let mut kept = Vec::with_capacity(snapshot.identities.len());
    let (mut since, mut came) = (Vec::with_capacity(kept.capacity()), Vec::with_capacity(kept.capacity()));
    let all = std::mem::take(&mut snapshot.identities);
    for (position, (listed, told_since)) in all.into_iter().zip(&snapshot.identity_since).enumerate() {
        if dropped[position] {
            continue;
        }
        let index = u32::try_from(kept.len()).unwrap_or(u32::MAX);
        let was = match merged.remove(&position) {
            None => {
                kept.push(listed);
                since.push(*told_since);
                former.remove(&position).unwrap_or_default()
            }
            Some((Merged { system, told_by, dated_by, is_news, identity, conflicts }, was)) => {
                let said = told.get(&position).and_then(|positions| positions.get(dated_by));
                since.push(said.map_or(*told_since, |position| snapshot.identity_since[*position]));
                let of_index = |conflict| IdentityConflict { identity: index, ..conflict };
                snapshot.identity_conflicts.extend(conflicts.into_iter().map(of_index));
                if told_by != system {
                    snapshot.identity_told_by.insert(index, told_by);
                }
                if is_news {
                    snapshot.identity_news.insert(kept.len());
                }
                kept.push((system, identity));
                was
            }
        };
        came.extend(snapshot.identity_came.get(position).copied());
        let of_index = |was| FormerIdentity { identity: index, ..was };
        snapshot.former_identities.extend(was.into_iter().map(of_index));
    }
    (snapshot.identities, snapshot.identity_since, snapshot.identity_came) = (kept, since, came);
}

/// Who has come back, of those whom several feeds list or listed: nobody has who was never gone by what was believed.
fn come_back(snapshot: &mut Snapshot, feeds: &Feeds, precedences: &[Precedence]) {
    for (key, histories) in &feeds.histories {
        let heard: Vec<away::Heard<'_>> = histories
            .iter()
            .map(|history| away::Heard {
                name: snapshot.system(history.system),
                precedence: &precedences[history.system as usize],
                history,
            })
            .collect();
        let away = away::away(&heard);
        snapshot.away.remove(key);
        for (from, until) in away {
            snapshot.was_away(key, from, until);
        }
    }
}

/// What one feed says of an identity.
#[derive(Clone)]
struct Voice<'snapshot> {
    system: u32,
    name: &'snapshot SystemName,
    precedence: &'snapshot Precedence,
    identity: &'snapshot Identity,
    /// Whether it says that there is no last day, because it took one back.
    took_back: bool,
    /// Whether its word of the last day counts after those of all others: it was taken back by one that is believed before it, or
    /// another one has told a new last day since it took back its own.
    yields_end: bool,
    /// Since when it says so.
    said_at: Option<Timestamp>,
    /// Whether it said so when the feed was read for the first time, …
    is_first: bool,
    /// … and no other feed had listed them as here before.
    is_history: bool,
}

/// What each feed says of an identity that stands at these positions.
fn voices<'a>(
    snapshot: &'a Snapshot,
    positions: &[usize],
    feeds: &Feeds,
    precedences: &'a [Precedence],
) -> Vec<Voice<'a>> {
    let precedence = |position: usize| &precedences[snapshot.identities[position].0 as usize];
    let rank = |position: usize| {
        (precedence(position).about("end_date"), snapshot.system(snapshot.identities[position].0))
    };
    // Who is believed first of all about who is here says by their silence that somebody left; nobody else does.
    let is_alone_first = |position: usize| {
        let of = |position: usize| precedence(position).about("status");
        positions.iter().all(|other| *other == position || of(position) < of(*other))
    };
    let taken_back_at = |position: usize| {
        let took_back = feeds.took_back.get(&position)?;
        (!took_back.by_silence || is_alone_first(position)).then_some(took_back.at)
    };
    let end_told = |position: usize| {
        snapshot.identities[position].1.end?;
        Some(feeds.end_told.get(&position).copied().unwrap_or(snapshot.identity_since[position]))
    };
    let is_overruled = |position: usize| {
        let Some(told) = end_told(position) else { return false };
        let overrules =
            |other: usize| rank(other) < rank(position) && taken_back_at(other).is_some_and(|at| told < at);
        positions.iter().any(|other| overrules(*other))
    };
    let is_superseded = |position: usize| {
        let Some(taken_back) = taken_back_at(position) else { return false };
        let is_newer = |other: usize| end_told(other).is_some_and(|told| told >= taken_back);
        positions.iter().any(|other| is_newer(*other) && !is_overruled(*other))
    };
    let came =
        |position: usize| snapshot.identity_came.get(position).unwrap_or(&snapshot.identity_since[position]);
    let of = |position: usize| {
        let (system, identity) = &snapshot.identities[position];
        let since = snapshot.identity_since[position];
        let said_at = snapshot.ended_at(since);
        let is_first = snapshot.systems[*system as usize].first == Some(since);
        let listed_before = |other: usize| {
            let (of, listed) = &snapshot.identities[other];
            of != system && *came(other) < since && said_at.is_some_and(|said_at| !listed.has_left(said_at))
        };
        Voice {
            system: *system,
            name: snapshot.system(*system),
            precedence: precedence(position),
            identity,
            took_back: taken_back_at(position).is_some(),
            yields_end: is_overruled(position) || is_superseded(position),
            said_at,
            is_first,
            is_history: is_first && !positions.iter().any(|other| listed_before(*other)),
        }
    };
    positions.iter().map(|position| of(*position)).collect()
}

/// One identity made of what several feeds say.
struct Merged {
    /// The feed that it is taken for.
    system: u32,
    /// Who says that they are gone, or else when they will be, or else where they stand, by the place of the voice, and its feed.
    dated_by: usize,
    told_by: u32,
    /// Whether that is news although the feed said so when it was read first.
    is_news: bool,
    identity: Identity,
    /// Where others say something else. The position of the identity is not known yet.
    conflicts: Vec<IdentityConflict>,
}

/// What is believed of an identity, of which feed it is taken for, and where others say something else.
fn one_of(voices: &[Voice<'_>]) -> Merged {
    let mut conflicts = Vec::new();
    let mut believed = |attribute: &str, value: &dyn Fn(&Voice<'_>) -> Option<String>| -> Option<usize> {
        let mut saying: Vec<(bool, u32, &SystemName, usize, String)> = voices
            .iter()
            .enumerate()
            .filter_map(|(position, voice)| {
                let value = value(voice).filter(|value| !value.is_empty())?;
                let yields = voice.yields_end && attribute == "end_date";
                Some((yields, voice.precedence.about(attribute), voice.name, position, value))
            })
            .collect();
        saying.sort();
        let (_, _, system, position, used) = saying.first()?;
        let claimed =
            |system: &SystemName, value: &str| Claimed { system: system.clone(), value: value.to_owned() };
        let others = saying.iter().filter(|(_, _, _, _, value)| value.to_lowercase() != used.to_lowercase());
        let instead: Vec<Claimed> = others.map(|(_, _, system, _, value)| claimed(system, value)).collect();
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
        LifecycleState::Left if end.is_some_and(|end| left_by(end) == end) => (end, saying),
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
    let is_news = voices[dated_by].is_first && !voices[dated_by].is_history;
    Merged { system: voices[leading].system, dated_by, told_by, is_news, identity, conflicts }
}

#[cfg(test)]
mod tests {
    use leasehold_model::feed::TookBack;
    use leasehold_model::id::{EpochId, IdentityKey};
    use leasehold_model::identity::IdentityKind;
    use leasehold_model::snapshot::{Dropped, SystemState};

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
        merge(&mut snapshot, &settings.into());
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
            (10, false, (end, vec![])),
            (30, true, (end, vec!["end_date agency=1970-01-01T00:00:00Z"])),
        ] {
            let mut snapshot = Snapshot { systems: vec![feed("hr"), feed("agency")], ..Snapshot::default() };
            for (system, end) in [(0, None), (1, end)] {
                let identity = listed("kim@example.com", LifecycleState::Active, &[]);
                snapshot.identities.push((system, Identity { end, ..identity }));
                snapshot.identity_since.push(EpochId(1));
            }
            let taken_back = TookBack { at: EpochId(2), by_silence: false };
            snapshot.feeds.took_back.extend(took_back.then_some((0, taken_back)));
            let of = |general| SystemSettings {
                authoritative: true,
                precedence: Precedence { general, of_attribute: BTreeMap::new() },
                ..SystemSettings::default()
            };
            merge(&mut snapshot, &BTreeMap::from([(name("hr"), of(of_hr)), (name("agency"), of(20))]));
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
            snapshot.dropped.push(Dropped { system: 1, identity, since, came, until });
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
