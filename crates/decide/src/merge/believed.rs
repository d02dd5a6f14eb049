//! What is believed of somebody whom several feeds list, and where they disagree.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::id::SystemName;
use leasehold_model::identity::{Identity, LifecycleState, Unsaid};
use leasehold_model::snapshot::{Claimed, IdentityConflict};

use super::voice::Voice;

/// What a feed says of a first day that tells none and lists somebody as here, and of a last day that denies one.
const NO_DAY: &str = "none";

/// One identity made of what several feeds say.
pub(super) struct Merged {
    /// The feed that it is taken for.
    pub system: u32,
    /// Who says that they are gone, or else when they will be here or gone, or else where they stand, by the place of the voice, and its feed.
    pub dated_by: usize,
    pub told_by: u32,
    /// Whether that is news although the feed said so when it was read first.
    pub is_news: bool,
    pub identity: Identity,
    /// Where others say something else. The position of the identity is not known yet.
    pub conflicts: Vec<IdentityConflict>,
}

/// What is believed of an identity, of which feed it is taken for, and where others say something else.
pub(super) fn one_of(voices: &[Voice<'_>], now: Timestamp) -> Merged {
    let mut conflicts = Vec::new();
    let mut believed = |attribute: &str, value: &dyn Fn(&Voice<'_>) -> Option<String>| -> Option<usize> {
        let mut saying: Vec<(bool, u32, &SystemName, usize, String)> = voices
            .iter()
            .enumerate()
            .filter_map(|(position, voice)| {
                let value = value(voice).filter(|value| !value.is_empty())?;
                let yields = match attribute {
                    "status" => voice.yields_status,
                    "start_date" => voice.yields_start,
                    "end_date" => voice.yields_end,
                    _ => false,
                };
                Some((yields, voice.precedence.about(attribute), voice.name, position, value))
            })
            .collect();
        saying.sort();
        let (_, _, system, position, used) = saying.first()?;
        let claimed =
            |system: &SystemName, value: &str| Claimed { system: system.clone(), value: value.to_owned() };
        let others = saying.iter().filter(|(_, _, _, _, value)| value.to_lowercase() != used.to_lowercase());
        // Who tells no first day does not deny one that is believed, nor an earlier time here its last day.
        let is_said = |position: usize, value: &str| match attribute {
            "start_date" => value != NO_DAY,
            "end_date" => !voices[position].is_earlier,
            _ => true,
        };
        let others = others.filter(|(_, _, _, position, value)| is_said(*position, value));
        let instead: Vec<Claimed> = others.map(|(_, _, system, _, value)| claimed(system, value)).collect();
        if !instead.is_empty() {
            let (attribute, used) = (attribute.to_owned(), claimed(system, used));
            conflicts.push(IdentityConflict { identity: 0, attribute, used, instead });
        }
        Some(*position)
    };
    let leading = believed("key", &|voice| Some(voice.identity.key.folded())).unwrap_or(0);
    let of = |position: Option<usize>| &voices[position.unwrap_or(leading)].identity;
    let said = |is_unsaid: bool, word: &str| (!is_unsaid).then(|| word.to_owned());
    let kind = believed("kind", &|voice| said(voice.identity.unsaid.kind, voice.identity.kind.as_str()));
    let kind = of(kind).kind;
    let saying =
        believed("status", &|voice| said(voice.identity.unsaid.state, voice.identity.state.as_str()));
    let unsaid =
        Unsaid { kind: voices.iter().all(|voice| voice.identity.unsaid.kind), state: saying.is_none() };
    let saying = saying.unwrap_or(leading);
    let state = voices[saying].identity.state;
    let is_any_coming = voices.iter().any(|voice| voice.identity.start.is_some_and(|start| start > now));
    let starting = believed("start_date", &|voice| match voice.identity.start {
        None => (is_any_coming && voice.has_here(now)).then(|| NO_DAY.to_owned()),
        Some(start) => Some(start.to_string()),
    });
    let start = of(starting).start;
    let ending = believed("end_date", &|voice| match voice.identity.end {
        None => voice.denies_end.then(|| NO_DAY.to_owned()),
        Some(end) => Some(end.to_string()),
    });
    let end = of(ending).end;
    // Who says that they have left says when, whatever is planned elsewhere.
    let left_by = |planned: Timestamp| voices[saying].said_at.map_or(planned, |said_at| planned.min(said_at));
    let (end, dated_by) = match state {
        LifecycleState::Left if end.is_some_and(|end| left_by(end) == end) => (end, saying),
        LifecycleState::Left => (voices[saying].identity.end.or(end.map(left_by)), saying),
        LifecycleState::Suspended => (end, saying),
        // Who says that they are not here yet.
        _ if start.is_some_and(|start| start > now) && end.is_none_or(|end| end > now) => {
            (end, starting.unwrap_or(saying))
        }
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
    // A last day has passed, and other feeds list them as here without one.
    let is_over = end.is_some_and(|end| end <= now) && state != LifecycleState::Left;
    let still_here = voices.iter().filter(|voice| voice.identity.end.is_none() && voice.has_here(now));
    let claimed = |voice: &Voice<'_>, value| Claimed { system: voice.name.clone(), value };
    let instead: Vec<Claimed> = still_here.map(|voice| claimed(voice, NO_DAY.to_owned())).collect();
    if let Some(ending) = ending.filter(|_| is_over && !instead.is_empty())
        && !conflicts.iter().any(|conflict| conflict.attribute == "end_date")
    {
        let used = claimed(&voices[ending], end.map(|end| end.to_string()).unwrap_or_default());
        conflicts.push(IdentityConflict { identity: 0, attribute: "end_date".to_owned(), used, instead });
    }
    let key = voices[leading].identity.key.clone();
    let identity = Identity { key, kind, state, start, end, manager, owner, attributes, unsaid };
    let told_by = voices[dated_by].system;
    let is_news = voices[dated_by].is_first && !voices[dated_by].is_history;
    Merged { system: voices[leading].system, dated_by, told_by, is_news, identity, conflicts }
}
