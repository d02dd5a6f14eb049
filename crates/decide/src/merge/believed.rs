//! What is believed of somebody whom several feeds list, and where they disagree.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::feed::Standing;
use leasehold_model::identity::{Identity, LifecycleState, Unsaid};
use leasehold_model::snapshot::{Claimed, IdentityConflict};

use super::voice::Voice;

/// What a feed says of a first day that tells none and lists somebody as here, and of a last day that denies one.
const NO_DAY: &str = "none";

/// Where somebody stands by what counts of the feeds' words, and by whose: the places of the voices.
pub(super) struct Believed {
    pub standing: Standing,
    /// Who says where they stand; the first where nobody does.
    saying: usize,
    starting: Option<usize>,
    ending: Option<usize>,
    /// Who says that they are gone, or else when they will be here or gone, or else where they stand.
    dated_by: usize,
}

/// Which voice is believed about an attribute, of those that say something of it.
fn first(voices: &[Voice<'_>], attribute: &str, says: impl Fn(&Voice<'_>) -> bool) -> Option<usize> {
    let saying = voices.iter().enumerate().filter(|(_, voice)| says(voice));
    let yields = |voice: &Voice<'_>| match attribute {
        "status" => voice.yields_status,
        "start_date" => voice.yields_start,
        "end_date" => voice.yields_end,
        _ => false,
    };
    saying.min_by_key(|(_, voice)| (yields(voice), voice.word.rank(attribute))).map(|(position, _)| position)
}

/// Whether any of these tells of a first day to come.
fn is_any_coming(voices: &[Voice<'_>], at: Timestamp) -> bool {
    voices.iter().any(|voice| voice.word.standing.start.is_some_and(|start| start > at))
}

/// Where somebody stands at an instant.
pub(super) fn believed(voices: &[Voice<'_>], at: Timestamp) -> Believed {
    use LifecycleState::{Left, Suspended};
    let standing = |position: usize| voices[position].word.standing;
    let saying = first(voices, "status", |voice| !voice.word.standing.is_state_unsaid);
    let is_state_unsaid = saying.is_none();
    let saying = saying.or_else(|| first(voices, "key", |_| true)).unwrap_or(0);
    let state = standing(saying).state;
    let is_coming = is_any_coming(voices, at);
    let starting = first(voices, "start_date", |voice| {
        voice.word.standing.start.is_some() || is_coming && voice.word.has_here(at)
    });
    let start = starting.and_then(|starting| standing(starting).start);
    let ending = first(voices, "end_date", |voice| voice.word.standing.end.is_some() || voice.denies_end);
    let end = ending.and_then(|ending| standing(ending).end);
    // Who says that they have left says when, whatever is planned elsewhere.
    let left_by =
        |planned: Timestamp| voices[saying].word.said_at.map_or(planned, |said_at| planned.min(said_at));
    let (end, dated_by) = match state {
        Left if end.is_some_and(|end| left_by(end) == end) => (end, saying),
        Left => (standing(saying).end.or(end.map(left_by)), saying),
        Suspended => (end, saying),
        // Who says that they are not here yet.
        _ if start.is_some_and(|start| start > at) && end.is_none_or(|end| end > at) => {
            (end, starting.unwrap_or(saying))
        }
        _ => (end, ending.filter(|ending| end.is_some() && !voices[*ending].is_history).unwrap_or(saying)),
    };
    let standing = Standing { state, is_state_unsaid, start, end };
    Believed { standing, saying, starting, ending, dated_by }
}

/// One identity made of what several feeds say.
pub(super) struct Merged {
    /// The feed that it is taken for.
    pub system: u32,
    /// Who dates where they stand, by the place of the voice, and its feed.
    pub dated_by: usize,
    pub told_by: u32,
    /// Who says that they have left, or when they do.
    pub ended_by: usize,
    /// Whether that is news although the feed said so when it was read first.
    pub is_news: bool,
    pub identity: Identity,
    /// Where others say something else. The position of the identity is not known yet.
    pub conflicts: Vec<IdentityConflict>,
}

/// What is believed of an identity, of which feed it is taken for, and where others say something else. `listed` is what each voice says of
/// it in all.
pub(super) fn one_of(voices: &[Voice<'_>], listed: &[&Identity], now: Timestamp) -> Merged {
    let Believed { standing, saying, starting, ending, dated_by } = believed(voices, now);
    let mut claims = Claims { voices, listed, conflicts: Vec::new() };
    let leading = claims.first("key", &|_, identity| Some(identity.key.folded())).unwrap_or(0);
    let said = |is_unsaid: bool, word: &str| (!is_unsaid).then(|| word.to_owned());
    let kind = claims.first("kind", &|_, identity| said(identity.unsaid.kind, identity.kind.as_str()));
    claims.compare("status", Some(saying).filter(|_| !standing.is_state_unsaid), &|voice, _| {
        said(voice.word.standing.is_state_unsaid, voice.word.standing.state.as_str())
    });
    let is_coming = is_any_coming(voices, now);
    claims.compare("start_date", starting, &|voice, _| match voice.word.standing.start {
        None => (is_coming && voice.word.has_here(now)).then(|| NO_DAY.to_owned()),
        Some(start) => Some(start.to_string()),
    });
    claims.compare("end_date", ending, &|voice, _| match voice.word.standing.end {
        None => voice.denies_end.then(|| NO_DAY.to_owned()),
        Some(end) => Some(end.to_string()),
    });
    let manager = claims.first("manager", &|_, identity| Some(identity.manager.as_ref()?.folded()));
    let owner = claims.first("owner", &|_, identity| Some(identity.owner.as_ref()?.folded()));
    let mut names: Vec<&String> = listed.iter().flat_map(|identity| identity.attributes.keys()).collect();
    names.sort();
    names.dedup();
    let mut attributes = BTreeMap::new();
    for name in names {
        let position = claims.first(name, &|_, identity| identity.attributes.get(name).cloned());
        let value = position.and_then(|position| listed[position].attributes.get(name));
        attributes.extend(value.map(|value| (name.clone(), value.clone())));
    }
    // A last day has passed, and other feeds list them as here without one.
    if standing.state != LifecycleState::Left && standing.end.is_some_and(|end| end <= now) {
        claims.still_here(ending, now);
    }
    let of = |position: Option<usize>| listed[position.unwrap_or(leading)];
    let identity = Identity {
        key: listed[leading].key.clone(),
        kind: of(kind).kind,
        state: standing.state,
        start: standing.start,
        end: standing.end,
        manager: of(manager).manager.clone(),
        owner: of(owner).owner.clone(),
        attributes,
        unsaid: Unsaid { kind: kind.is_none(), state: standing.is_state_unsaid },
    };
    Merged {
        system: voices[leading].word.system,
        dated_by,
        told_by: voices[dated_by].word.system,
        ended_by: ending.filter(|_| standing.state != LifecycleState::Left).unwrap_or(saying),
        is_news: voices[dated_by].is_first && !voices[dated_by].is_history,
        identity,
        conflicts: claims.conflicts,
    }
}

/// What each voice says of one attribute after the other, and what others say instead of what is believed.
struct Claims<'v, 'a> {
    voices: &'v [Voice<'a>],
    listed: &'v [&'v Identity],
    conflicts: Vec<IdentityConflict>,
}

/// What a voice says of an attribute, as it is shown.
type Says<'s, 'a> = &'s dyn Fn(&Voice<'a>, &Identity) -> Option<String>;

impl<'a> Claims<'_, 'a> {
    /// Who is believed about an attribute, with what others say instead noted.
    fn first(&mut self, attribute: &str, says: Says<'_, 'a>) -> Option<usize> {
        let said = self.said(says);
        let saying = said.iter().map(|(position, _)| *position);
        let believed = saying.min_by_key(|position| self.voices[*position].word.rank(attribute))?;
        self.note(attribute, believed, &said);
        Some(believed)
    }

    /// Notes what others say instead of one who is believed.
    fn compare(&mut self, attribute: &str, believed: Option<usize>, says: Says<'_, 'a>) {
        if let Some(believed) = believed {
            let said = self.said(says);
            self.note(attribute, believed, &said);
        }
    }

    fn said(&self, says: Says<'_, 'a>) -> Vec<(usize, String)> {
        let said = self.voices.iter().zip(self.listed).map(|(voice, identity)| says(voice, identity));
        let said = said.enumerate().filter_map(|(position, value)| Some((position, value?)));
        said.filter(|(_, value)| !value.is_empty()).collect()
    }

    fn note(&mut self, attribute: &str, believed: usize, said: &[(usize, String)]) {
        let Some((_, used)) = said.iter().find(|(position, _)| *position == believed) else { return };
        // Who tells no first day does not deny one that is believed, nor an earlier time here its last day.
        let is_said = |position: usize, value: &str| match attribute {
            "start_date" => value != NO_DAY,
            "end_date" => !self.voices[position].is_earlier,
            _ => true,
        };
        let mut others: Vec<&(usize, String)> = said
            .iter()
            .filter(|(_, value)| value.to_lowercase() != used.to_lowercase())
            .filter(|(position, value)| is_said(*position, value))
            .collect();
        if others.is_empty() {
            return;
        }
        others.sort_by_key(|(position, _)| self.voices[*position].word.rank(attribute));
        let instead = others.into_iter().map(|(position, value)| self.claimed(*position, value)).collect();
        let (attribute, used) = (attribute.to_owned(), self.claimed(believed, used));
        self.conflicts.push(IdentityConflict { identity: 0, attribute, used, instead });
    }

    /// Notes who lists somebody as here without a last day, where the one that is believed has passed.
    fn still_here(&mut self, ending: Option<usize>, now: Timestamp) {
        let is_noted = self.conflicts.iter().any(|conflict| conflict.attribute == "end_date");
        let Some(ending) = ending.filter(|_| !is_noted) else { return };
        let is_still_here = |voice: &Voice<'_>| voice.word.standing.end.is_none() && voice.word.has_here(now);
        let still_here = (0..self.voices.len()).filter(|position| is_still_here(&self.voices[*position]));
        let instead: Vec<Claimed> = still_here.map(|position| self.claimed(position, NO_DAY)).collect();
        if !instead.is_empty() {
            let end = self.voices[ending].word.standing.end;
            let used = self.claimed(ending, &end.map(|end| end.to_string()).unwrap_or_default());
            self.conflicts.push(IdentityConflict {
                identity: 0,
                attribute: "end_date".to_owned(),
                used,
                instead,
            });
        }
    }

    fn claimed(&self, position: usize, value: &str) -> Claimed {
        Claimed { system: self.voices[position].word.name.clone(), value: value.to_owned() }
    }
}
