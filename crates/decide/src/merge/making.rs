//! One identity in the place of those that several feeds list, with what was believed of it before.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use leasehold_model::feed::{FeedHistory, Feeds, Standing, Told};
use leasehold_model::id::EpochId;
use leasehold_model::identity::Identity;
use leasehold_model::snapshot::{Dropped, FormerIdentity, IdentityConflict, Snapshot};

use super::away::{self, Away, Heard};
use super::believed::{Merged, one_of};
use super::told::ToldUntil;
use super::voice::{Word, voices};
use super::{Precedences, dropped};

/// What identities of several feeds are made one by.
pub(super) struct Merging<'m> {
    pub feeds: &'m Feeds,
    pub precedences: &'m Precedences,
    /// The feeds that list somebody no longer whom others list, by folded key.
    pub silent: &'m HashMap<String, Vec<Dropped>>,
    /// Every epoch in the order of their ends.
    pub epochs: Vec<(Timestamp, EpochId)>,
    pub now: Timestamp,
}

/// An identity made of several, and what is known of it beside.
struct Made {
    one: Merged,
    since: EpochId,
    /// As it was believed when one of the feeds said something else.
    was: Vec<FormerIdentity>,
}

impl Merging<'_> {
    /// Keeps one identity of each that several feeds list, where it stands first.
    pub fn one_each(&self, snapshot: &mut Snapshot, told: BTreeMap<usize, Vec<usize>>) {
        let mut former: BTreeMap<usize, Vec<FormerIdentity>> = BTreeMap::new();
        for was in std::mem::take(&mut snapshot.former_identities) {
            former.entry(was.identity as usize).or_default().push(was);
        }
        let mut dropped = vec![false; snapshot.identities.len()];
        let mut made: BTreeMap<usize, Made> = BTreeMap::new();
        for (place, positions) in told {
            let key = snapshot.identities[place].1.key.folded();
            let away = self.feeds.get(&key).map(|histories| self.away(snapshot, histories));
            let said = self.said(snapshot, &key, &positions);
            let (kept, one) = match &said[..] {
                [Said { position: Some(position), is_listing: true, .. }] => (*position, None),
                _ => (place, Some(self.made(snapshot, &key, &said, away.as_ref(), &mut former))),
            };
            for position in positions.into_iter().filter(|position| *position != kept) {
                dropped[position] = true;
            }
            drop(said);
            let standing = match &one {
                Some(made) => Standing::of(&made.one.identity),
                None => Standing::of(&snapshot.identities[kept].1),
            };
            made.extend(one.map(|one| (kept, one)));
            let Some(away) = away else { continue };
            snapshot.away.remove(&key);
            let is_waiting = standing.is_announced(self.now) && !standing.has_left(self.now);
            let begins_at = standing.start.unwrap_or(Timestamp::MAX);
            let waiting = away.gone_since.filter(|_| is_waiting).map(|left_at| (left_at, begins_at));
            for (from, until) in away.absences.into_iter().chain(waiting) {
                snapshot.was_away(&key, from, until);
            }
        }
        keep(snapshot, &dropped, made, former);
    }

    /// What each feed says of somebody that counts: one that is not configured any more says nothing beside those that are.
    fn said<'s>(&'s self, snapshot: &'s Snapshot, key: &str, positions: &[usize]) -> Vec<Said<'s>> {
        let mut said: Vec<Said<'s>> =
            positions.iter().map(|position| Said::at_position(snapshot, *position)).collect();
        let silent = self.silent.get(key).into_iter().flatten();
        said.extend(silent.map(|dropped| Said::dropped(snapshot, dropped)));
        let is_feed = |said: &Said<'_>| self.precedences.is_feed(said.system);
        if said.iter().any(is_feed) {
            said.retain(is_feed);
        }
        said
    }

    /// When somebody was not here, by what the feeds told that count.
    fn away(&self, snapshot: &Snapshot, histories: &[FeedHistory]) -> Away {
        let is_any_feed = histories.iter().any(|history| self.precedences.is_feed(history.system));
        let counting =
            histories.iter().filter(|history| !is_any_feed || self.precedences.is_feed(history.system));
        let heard = counting.map(|history| Heard {
            name: snapshot.system(history.system),
            precedence: self.precedences.of_system(history.system),
            first_read_at: first_read_at(snapshot, history.system),
            history,
        });
        away::away(&heard.collect::<Vec<_>>(), self.now)
    }

    /// One identity of what feeds say of it.
    fn made(
        &self,
        snapshot: &Snapshot,
        key: &str,
        said: &[Said<'_>],
        away: Option<&Away>,
        former: &mut BTreeMap<usize, Vec<FormerIdentity>>,
    ) -> Made {
        let histories = self.feeds.get(key).map(Vec::as_slice).unwrap_or_default();
        let words: Vec<Word<'_>> = said.iter().map(|said| self.word(snapshot, histories, said)).collect();
        let of = |is_listing: bool| -> (Vec<&Said<'_>>, Vec<Word<'_>>) {
            said.iter().zip(&words).filter(|(said, _)| said.is_listing == is_listing).unzip()
        };
        let ((mut saying, mut speaking), (silent, silent_words)) = (of(true), of(false));
        if let Some(leaving) = dropped::saying_left(&speaking, &silent_words) {
            saying.push(silent[leaving]);
            speaking.push(silent_words[leaving]);
        }
        let voices = voices(&speaking, self.now, away.is_some_and(|away| away.was_gone));
        let listed: Vec<&Identity> = saying.iter().map(|said| said.identity).collect();
        let mut was = Vec::new();
        for (voice, position) in
            saying.iter().enumerate().filter_map(|(voice, said)| Some((voice, said.position?)))
        {
            for before in former.remove(&position).unwrap_or_default() {
                let (mut then, mut listed_then) = (voices.clone(), listed.clone());
                (then[voice].word.standing, then[voice].denies_end) = (Standing::of(&before.was), false);
                listed_then[voice] = &before.was;
                let one = one_of(&then, &listed_then, before.until);
                was.push(FormerIdentity { was: one.identity, ..before });
            }
        }
        let one = one_of(&voices, &listed, self.now);
        let since = saying[one.dated_by].since;
        let mut made = Made { one, since, was };
        if let Some(gone_since) = away.and_then(|away| away.gone_since) {
            let ending = speaking[made.one.ended_by];
            self.date(&mut made, &ending, &words, gone_since);
        }
        made
    }

    /// A word that did not count before a feed said something else, or fell silent, dates no leaving before that, and what that feed did is
    /// news. Nor does a further word of somebody who is gone already; what was said first, or a last day before that, dates it.
    fn date(&self, made: &mut Made, ending: &Word<'_>, words: &[Word<'_>], gone_since: Timestamp) {
        let one = &mut made.one;
        let Some(by_it) = ending.gone_since().filter(|by_it| *by_it != gone_since) else { return };
        if !Standing::of(&one.identity).has_left(self.now) {
            return;
        }
        let was_here_later = by_it < gone_since;
        let mut changed: Vec<&Word<'_>> =
            words.iter().filter(|word| word.told.has_changed_at(gone_since)).collect();
        // Another one, where both did.
        changed.sort_by_key(|word| word.name == ending.name);
        // What was told until then: a last day comes by itself.
        let until_then = self.epochs.partition_point(|(ended_at, _)| *ended_at <= gone_since);
        let epoch = until_then.checked_sub(1).map(|position| self.epochs[position].1);
        if let (Some(changed), Some(epoch)) = (changed.first(), epoch) {
            one.told_by = changed.system;
            one.is_news = was_here_later || !changed.told.is_of_first_reading(Some(gone_since));
            let last_day = one.identity.end.filter(|end| *end < gone_since && !was_here_later);
            one.identity.end = last_day.or(Some(gone_since));
            made.since = epoch;
        }
    }

    fn word<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        histories: &'a [FeedHistory],
        said: &'a Said<'_>,
    ) -> Word<'a> {
        let history = histories.iter().find(|history| history.system == said.system);
        let told = history.map_or(std::slice::from_ref(&said.alone), |history| &history.told);
        Word {
            system: said.system,
            name: snapshot.system(said.system),
            precedence: self.precedences.of_system(said.system),
            standing: Standing::of(said.identity),
            said_at: snapshot.ended_at(said.since),
            told: ToldUntil::of(told, self.now, first_read_at(snapshot, said.system)),
        }
    }
}

/// What one feed says of somebody now.
struct Said<'s> {
    system: u32,
    /// Where that stands in the snapshot, if there.
    position: Option<usize>,
    is_listing: bool,
    identity: &'s Identity,
    since: EpochId,
    /// What stands for all that it told where nothing that it told before can count.
    alone: Told,
}

impl<'s> Said<'s> {
    /// Of one whom it lists, or whom nobody lists any more.
    fn at_position(snapshot: &'s Snapshot, position: usize) -> Self {
        let ((system, identity), since) = (&snapshot.identities[position], snapshot.identity_since[position]);
        let is_listing = !snapshot.departed.contains(&position);
        let from = at(snapshot, snapshot.identity_came.get(position).copied().unwrap_or(since));
        let until = if is_listing { Timestamp::MAX } else { at(snapshot, since) };
        let alone = Told { from, until, standing: Standing::of(identity) };
        Self { system: *system, position: Some(position), is_listing, identity, since, alone }
    }

    /// Of one whom it lists no longer.
    fn dropped(snapshot: &Snapshot, dropped: &'s Dropped) -> Self {
        let Dropped { system, identity, since, came, until } = dropped;
        let (from, until) = (at(snapshot, *came), at(snapshot, *until));
        let alone = Told { from, until, standing: Standing::of(identity) };
        Self { system: *system, position: None, is_listing: false, identity, since: *since, alone }
    }
}

fn at(snapshot: &Snapshot, epoch: EpochId) -> Timestamp {
    snapshot.ended_at(epoch).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// When a system was read for the first time.
fn first_read_at(snapshot: &Snapshot, system: u32) -> Option<Timestamp> {
    snapshot.ended_at(snapshot.systems[system as usize].first?)
}

/// Puts what was made of several in the place of the first of them, and takes away the others.
fn keep(
    snapshot: &mut Snapshot,
    dropped: &[bool],
    mut made: BTreeMap<usize, Made>,
    mut former: BTreeMap<usize, Vec<FormerIdentity>>,
) {
    let mut kept = Vec::with_capacity(snapshot.identities.len());
    let (mut since, mut came) = (Vec::with_capacity(kept.capacity()), Vec::with_capacity(kept.capacity()));
    let all = std::mem::take(&mut snapshot.identities);
    for (position, (listed, told_since)) in all.into_iter().zip(&snapshot.identity_since).enumerate() {
        if dropped[position] {
            continue;
        }
        let index = u32::try_from(kept.len()).unwrap_or(u32::MAX);
        let was = match made.remove(&position) {
            None => {
                kept.push(listed);
                since.push(*told_since);
                former.remove(&position).unwrap_or_default()
            }
            Some(Made {
                one: Merged { system, told_by, is_news, identity, conflicts, .. },
                since: since_of,
                was,
            }) => {
                since.push(since_of);
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
