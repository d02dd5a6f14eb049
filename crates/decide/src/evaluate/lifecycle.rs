//! What follows from how identities live: what movers keep for a while, and what becomes of non-humans whose owner leaves
//! or that somebody stopped.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use leasehold_model::account::LastUse;
use leasehold_model::id::IdentityKey;
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState};
use leasehold_model::snapshot::Snapshot;
use leasehold_model::stewardship::{Ownership, Retirement};

use super::{Evaluation, Inputs};
use crate::correlate::Correlation;
use crate::engine::IdentityIndex;
use crate::policy::Policy;
use crate::policy::predicate::Attributes;

/// How many managers above a leaver are asked at most who is here: a circle of managers ends somewhere.
const MANAGERS_MAX: usize = 32;

/// What somebody keeps of a role for a time after its predicate ceased to name them, to hand their work over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandOver {
    /// Who moved.
    pub identity: IdentityIndex,
    /// Position in [`Policy::roles`].
    pub role: usize,
    /// When it ends.
    pub until: Timestamp,
}

/// What became of a non-human by somebody's word, or because its owner left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steward {
    /// Who answered for it before, where somebody took it over.
    pub succeeds: Option<IdentityKey>,
    /// Where it was stopped.
    pub stop: Option<Stop>,
}

/// A stopped non-human.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Since when.
    pub since: Timestamp,
    /// Until when it is watched for use.
    pub watched_until: Timestamp,
    /// Who stopped it; `None` where the policy did, because its owner left.
    pub by: Option<String>,
    /// What is known of its use since.
    pub used: UseSince,
    /// When it ended for good, where it has.
    pub ended_at: Option<Timestamp>,
}

/// What is known of the use of a non-human since it was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UseSince {
    /// Every system that it has an account in tells, and it was not used.
    No,
    /// It was used, last at this instant: somebody needs it.
    At(Timestamp),
    /// A system does not tell (law 6).
    Unknown,
}

/// By position of the identity.
pub type Stewards = BTreeMap<u32, Steward>;

/// When an identity left, as far as that is known: on the day that its source told, or else when it was first said.
pub fn left_at(snapshot: &Snapshot, position: u32, identity: &Identity, now: Timestamp) -> Option<Timestamp> {
    if !identity.has_left(now) {
        return None;
    }
    identity.end.filter(|end| *end <= now).or_else(|| said_at(snapshot, position))
}

/// When what is said of an identity was said first.
fn said_at(snapshot: &Snapshot, position: u32) -> Option<Timestamp> {
    snapshot.identity_since.get(position as usize).and_then(|epoch| snapshot.ended_at(*epoch))
}

/// Gives non-humans the owner who took them over, and takes those that are stopped as suspended, or as gone when that
/// is over. Only these identities change, not what was observed.
pub(super) fn steward(
    inputs: &Inputs<'_>,
    identities: &mut [Identity],
    correlation: &[Correlation],
    by_key: &HashMap<String, u32>,
) -> Stewards {
    let mut stewards = Stewards::new();
    let non_humans: Vec<u32> = (0u32..)
        .zip(identities.iter())
        .filter(|(_, identity)| identity.kind != IdentityKind::Person)
        .map(|(position, _)| position)
        .collect();
    if non_humans.is_empty() {
        return stewards;
    }
    let claims = inputs.stewardship;
    let counts =
        |claim: &&Ownership| began_anew(inputs.snapshot, &claim.identity, claim.recorded_at).is_none();
    let owners: HashMap<&str, &IdentityKey> = claims
        .ownerships
        .iter()
        .filter(counts)
        .map(|claim| (claim.identity.as_str(), &claim.owner))
        .collect();
    for position in &non_humans {
        let identity = &identities[*position as usize];
        let said = owners.get(identity.key.folded().as_str()).copied();
        // Whoever took it over may have left, too: then the policy says who follows them.
        let owner = said.or(identity.owner.as_ref());
        let follows = owner.and_then(|owner| successor(inputs, identities, by_key, owner));
        // Whoever follows has it from who answered for it last.
        let before = if follows.is_some() { said.cloned() } else { None };
        let successor = follows.or_else(|| said.cloned());
        let is_other =
            |successor: &IdentityKey| Some(successor) != identity.owner.as_ref() || before.is_some();
        if let Some(successor) = successor.filter(is_other) {
            let source = identities[*position as usize].owner.replace(successor);
            stewards.insert(*position, Steward { succeeds: before.or(source), stop: None });
        }
    }
    let mut stopped = Vec::new();
    for position in non_humans {
        if let Some((since, by, finished_at)) = stopped_since(inputs, identities, by_key, position) {
            stopped.push((position, since, by, finished_at));
        }
    }
    if stopped.is_empty() {
        return stewards;
    }
    let mut accounts: HashMap<u32, Vec<u32>> = HashMap::new();
    let wanted: BTreeSet<u32> = stopped.iter().map(|(position, ..)| *position).collect();
    for (account, correlation) in (0u32..).zip(correlation) {
        if let Correlation::To { identity, .. } = correlation
            && wanted.contains(identity)
        {
            accounts.entry(*identity).or_default().push(account);
        }
    }
    for (position, since, by, finished_at) in stopped {
        let accounts = accounts.get(&position).map_or(&[][..], Vec::as_slice);
        let used = use_since(inputs.snapshot, accounts, since);
        let watch = inputs.policy.succession.watch;
        let watched_until = since.checked_add(watch).unwrap_or(Timestamp::MAX);
        let is_over = watched_until <= inputs.now && is_seen(inputs.snapshot, accounts, watched_until);
        let by_itself = (used == UseSince::No && is_over).then_some(watched_until);
        let ended_at = finished_at.filter(|at| *at <= inputs.now).or(by_itself);
        let identity = &mut identities[position as usize];
        match ended_at {
            Some(ended_at) => {
                identity.state = LifecycleState::Left;
                identity.end = Some(identity.end.map_or(ended_at, |end| end.min(ended_at)));
            }
            None => identity.state = LifecycleState::Suspended,
        }
        let stop = Some(Stop { since, watched_until, by, used, ended_at });
        stewards.entry(position).or_default().stop = stop;
    }
    stewards
}

/// The first of a leaver's managers who is here, where the policy lets them take over.
fn successor(
    inputs: &Inputs<'_>,
    identities: &[Identity],
    by_key: &HashMap<String, u32>,
    owner: &IdentityKey,
) -> Option<IdentityKey> {
    if !inputs.policy.succession.to_manager {
        return None;
    }
    let find = |key: &IdentityKey| by_key.get(&key.folded()).map(|position| &identities[*position as usize]);
    let mut above = find(owner).filter(|owner| owner.has_left(inputs.now))?;
    for _ in 0..MANAGERS_MAX {
        above = find(above.manager.as_ref()?)?;
        if above.may_hold_access(inputs.now) {
            return Some(above.key.clone());
        }
    }
    None
}

/// When an identity was listed anew that was said something of before: after it was gone for so long that it is taken for another one
/// of the same name.
pub fn began_anew(snapshot: &Snapshot, key: &IdentityKey, said_at: Timestamp) -> Option<Timestamp> {
    snapshot.absence_of(key).map(|(_, back_at)| back_at).filter(|back_at| said_at < *back_at)
}

/// From when on a non-human is stopped, by whom, and when somebody said that it ends: by a person's word, or because its
/// owner left and nobody took it over.
fn stopped_since(
    inputs: &Inputs<'_>,
    identities: &[Identity],
    by_key: &HashMap<String, u32>,
    position: u32,
) -> Option<(Timestamp, Option<String>, Option<Timestamp>)> {
    let identity = &identities[position as usize];
    if identity.has_left(inputs.now) {
        return None;
    }
    let key = identity.key.folded();
    let said = inputs.stewardship.retirements.iter().find(|claim| claim.identity.as_str() == key);
    let is_of_another = |ended: Timestamp| began_anew(inputs.snapshot, &identity.key, ended).is_some();
    let counts =
        |claim: &&Retirement| claim.begun_at <= inputs.now && !claim.finished_at.is_some_and(is_of_another);
    if let Some(claim) = said.filter(counts) {
        return Some((claim.begun_at, Some(claim.recorded_by.clone()), claim.finished_at));
    }
    if !inputs.policy.succession.stop {
        return None;
    }
    let owner = *by_key.get(&identity.owner.as_ref()?.folded())?;
    let since = left_at(inputs.snapshot, owner, &identities[owner as usize], inputs.now)?;
    Some((since, None, None))
}

/// Whether every system of these accounts was read completely from this instant on: a use that no reading could show is no
/// proof that there was none (law 3).
fn is_seen(snapshot: &Snapshot, accounts: &[u32], from: Timestamp) -> bool {
    accounts.iter().all(|account| {
        let system = &snapshot.systems[snapshot.accounts[*account as usize].system as usize];
        system.latest_complete.as_ref().is_some_and(|epoch| epoch.started_at >= from)
    })
}

fn use_since(snapshot: &Snapshot, accounts: &[u32], since: Timestamp) -> UseSince {
    let of_accounts = accounts.iter().map(|account| snapshot.accounts[*account as usize].account.last_use);
    let of_credentials = accounts.iter().flat_map(|account| snapshot.credentials_of(*account));
    let uses: Vec<LastUse> =
        of_accounts.chain(of_credentials.map(|credential| credential.credential.last_use)).collect();
    let last = uses.iter().filter_map(|found| match found {
        LastUse::At(at) if *at > since => Some(*at),
        _ => None,
    });
    match last.max() {
        Some(at) => UseSince::At(at),
        None if uses.contains(&LastUse::Unknown) => UseSince::Unknown,
        None => UseSince::No,
    }
}

/// What movers keep: for each role with a hand-over, whom its predicate named by what was said of them before and does not
/// name by what is said now. Those that ended stay listed as long as the snapshot knows what was said.
pub(super) fn hand_overs(
    policy: &Policy,
    snapshot: &Snapshot,
    identities: &[Identity],
    is_ended: impl Fn(&str) -> bool,
) -> Vec<HandOver> {
    let with_hand_over = || policy.roles.iter().enumerate().filter(|(_, role)| role.hand_over.is_some());
    if snapshot.former_identities.is_empty() || with_hand_over().next().is_none() {
        return Vec::new();
    }
    let former: Vec<Identity> = snapshot.former_identities.iter().map(|former| former.was.clone()).collect();
    let (mut then, mut now) = (Attributes::new(&former), Attributes::new(identities));
    let mut latest: BTreeMap<(usize, u32), Timestamp> = BTreeMap::new();
    for (position, role) in with_hand_over() {
        let (Some(members), Some(hand_over)) = (&role.members, role.hand_over) else { continue };
        if is_ended(&role.name) {
            continue;
        }
        let present = members.value.members(&mut now);
        for was in members.value.members(&mut then) {
            let former = &snapshot.former_identities[was as usize];
            if present.contains(former.identity) || !former.was.may_hold_access(former.until) {
                continue;
            }
            // Who comes back begins anew.
            let back_at = snapshot.back_at(&former.was.key);
            if back_at.is_some_and(|back_at| former.until <= back_at) {
                continue;
            }
            let until = former.until.checked_add(hand_over).unwrap_or(Timestamp::MAX);
            let latest = latest.entry((position, former.identity)).or_insert(until);
            *latest = until.max(*latest);
        }
    }
    let hand_over = |((role, identity), until)| HandOver { identity: IdentityIndex(identity), role, until };
    latest.into_iter().map(hand_over).collect()
}

impl Evaluation<'_> {
    /// What became of a non-human by somebody's word, or because its owner left.
    pub fn steward_of(&self, identity: IdentityIndex) -> Option<&Steward> {
        self.stewards.get(&identity.0)
    }

    /// The non-humans that an identity answers for.
    pub fn non_humans_of(&self, owner: &IdentityKey) -> impl Iterator<Item = IdentityIndex> + use<'_> {
        let folded = owner.folded();
        let owned = move |(_, identity): &(u32, &Identity)| {
            identity.kind != IdentityKind::Person
                && identity.owner.as_ref().is_some_and(|owner| owner.folded() == folded)
        };
        (0u32..).zip(&self.identities).filter(owned).map(|(position, _)| IdentityIndex(position))
    }

    /// Every non-human that somebody took over, with who answered for it before.
    pub fn succeeded(&self) -> impl Iterator<Item = (IdentityIndex, &IdentityKey)> {
        self.stewards.iter().filter_map(|(position, steward)| {
            steward.succeeds.as_ref().map(|before| (IdentityIndex(*position), before))
        })
    }

    /// The non-humans that somebody took over from an identity.
    pub fn succeeded_from(&self, owner: &IdentityKey) -> impl Iterator<Item = IdentityIndex> + use<'_> {
        let folded = owner.folded();
        let from = move |(_, steward): &(&u32, &Steward)| {
            steward.succeeds.as_ref().is_some_and(|before| before.folded() == folded)
        };
        self.stewards.iter().filter(from).map(|(position, _)| IdentityIndex(*position))
    }

    /// When an identity left, as far as that is known.
    pub fn left_at(&self, identity: IdentityIndex) -> Option<Timestamp> {
        left_at(self.inputs.snapshot, identity.0, &self.identities[identity.index()], self.inputs.now)
    }

    /// When an identity had left and that had been said, too. Whose last day was told afterwards could learn what others know until then.
    pub fn known_left_at(&self, identity: IdentityIndex) -> Option<Timestamp> {
        Some(self.left_at(identity)?.max(said_at(self.inputs.snapshot, identity.0).unwrap_or(Timestamp::MIN)))
    }
}
