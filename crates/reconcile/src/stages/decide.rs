//! Decide: what the store knows, loaded once and handed to the pure part.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use leasehold_decide::evaluate::{Evaluation, Inputs, SystemSettings};
use leasehold_decide::merge;
use leasehold_decide::policy::{self, Policy, diagnostic::Diagnostic};
use leasehold_model::id::{EpochId, SystemName};
use leasehold_model::identity::LifecycleState;
use leasehold_model::plan::StateFingerprint;
use leasehold_model::reason::Baseline;
use leasehold_model::snapshot::{FORMER_DAYS, Snapshot};
use leasehold_model::stewardship::Stewardship;
use leasehold_store::{Departure, Store};
use sha2::{Digest, Sha256};

use crate::error::ReconcileError;
use crate::system::{self, Systems};

/// Facts and claims as they stand, or stood. Cheap to clone: the facts are shared.
#[derive(Clone)]
pub struct Loaded {
    /// What was observed.
    pub snapshot: Arc<Snapshot>,
    /// The live policy; empty where none was applied yet.
    pub policy: Arc<Policy>,
    /// Adopted baselines.
    pub baselines: Vec<Baseline>,
    /// Departures that a person decided on and nobody took back.
    pub departures: Vec<Departure>,
    /// How many others were taken back: what is decided after that is another plan.
    pub departures_taken_back: u64,
    /// What people said about non-humans.
    pub stewardship: Arc<Stewardship>,
    /// Settings by system.
    pub settings: BTreeMap<SystemName, SystemSettings>,
    /// The instant that decisions are for.
    pub now: Timestamp,
}

impl Loaded {
    /// Loads the present, or what was known and decided at an earlier instant.
    ///
    /// # Errors
    /// Where the store fails, or the live policy cannot be read by this release.
    pub async fn load(
        store: &Store,
        systems: &Systems,
        now: Timestamp,
        at: Option<Timestamp>,
    ) -> Result<Self, ReconcileError> {
        Self::load_with(store, system::settings(systems), now, at).await
    }

    /// The same from settings alone: who only asks needs no connector, and so none of its secrets.
    ///
    /// # Errors
    /// As [`Loaded::load`].
    pub async fn load_with(
        store: &Store,
        settings: BTreeMap<SystemName, SystemSettings>,
        now: Timestamp,
        at: Option<Timestamp>,
    ) -> Result<Self, ReconcileError> {
        let mut snapshot = store.snapshot(at).await?;
        let revision = match at {
            None => store.live_policy().await?,
            Some(at) => store
                .policy_revisions()
                .await?
                .into_iter()
                .filter(|revision| revision.applied_at <= at)
                .max_by_key(|revision| revision.id),
        };
        let policy = match revision {
            None => Policy::default(),
            Some(revision) => {
                policy::read::read(&revision.files).map_err(|all| ReconcileError::Policy(first(&all)))?
            }
        };
        if policy.roles.iter().any(|role| role.hand_over.is_some()) {
            let window = jiff::SignedDuration::from_hours(FORMER_DAYS * 24);
            let since = at.unwrap_or(now).checked_sub(window).unwrap_or(Timestamp::MIN);
            store.add_former_identities(&mut snapshot, since).await?;
        }
        merge::merge(&mut snapshot, &settings, at.unwrap_or(now));
        let stewardship = Arc::new(store.stewardship(at).await?);
        let mut baselines = store.baselines().await?;
        if let Some(at) = at {
            baselines.retain(|baseline| baseline.adopted_at <= at);
        }
        let baselines = in_force(baselines);
        let mut departures = store.departures().await?;
        let asked = at.unwrap_or(Timestamp::MAX);
        departures.retain(|departure| departure.recorded_at <= asked);
        let mut departures_taken_back = 0;
        departures.retain(|departure| {
            let Some(back_at) = departure.rescinded_at.filter(|back_at| *back_at <= asked) else {
                return true;
            };
            departures_taken_back += 1;
            // Gone until then, whatever their source said: the time of a departure to come had not begun.
            if departure.end < back_at {
                snapshot.was_away(departure.identity.as_str(), departure.end, back_at);
            }
            false
        });
        for (identity, from, until) in store.ended_for_a_time(at).await? {
            snapshot.was_away(&identity, from, until);
        }
        let departed: HashMap<&str, Timestamp> =
            departures.iter().map(|departure| (departure.identity.as_str(), departure.end)).collect();
        take_as_left(&mut snapshot, &departed);
        let (snapshot, policy) = (Arc::new(snapshot), Arc::new(policy));
        let now = at.unwrap_or(now);
        Ok(Self {
            snapshot,
            policy,
            baselines,
            departures,
            departures_taken_back,
            stewardship,
            settings,
            now,
        })
    }

    /// The same facts and claims at another instant: time alone ends reasons.
    pub fn at(&self, now: Timestamp) -> Self {
        Self { now, ..self.clone() }
    }

    /// The inputs of a decision.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs {
            snapshot: &self.snapshot,
            policy: &self.policy,
            baselines: &self.baselines,
            stewardship: &self.stewardship,
            systems: &self.settings,
            now: self.now,
        }
    }

    /// Facts and claims brought together.
    ///
    /// # Errors
    /// Where the facts contradict each other.
    pub fn evaluate(&self) -> Result<Evaluation<'_>, ReconcileError> {
        Ok(Evaluation::new(self.inputs())?)
    }

    /// What a plan made now would be made from.
    pub fn fingerprint(&self) -> StateFingerprint {
        let (baselines, departures, stewardship) = (&self.baselines, &self.departures, &*self.stewardship);
        let claims = match (departures.is_empty(), stewardship.is_empty(), self.departures_taken_back) {
            (true, true, 0) => serde_json::to_vec(baselines),
            (false, true, 0) => serde_json::to_vec(&(baselines, departures)),
            (_, false, 0) => serde_json::to_vec(&(baselines, departures, stewardship)),
            (.., taken_back) => serde_json::to_vec(&(baselines, departures, stewardship, taken_back)),
        };
        let claims = claims.unwrap_or_default();
        StateFingerprint {
            systems: self
                .snapshot
                .systems
                .iter()
                .map(|system| (system.name.clone(), system.generation))
                .collect(),
            policy: self.policy.digest.clone(),
            claims: hex::encode(Sha256::digest(claims)),
        }
    }
}

/// Takes identities as leaving at an instant, by folded key, where their source does not say so itself; from that instant
/// on they have left. Only this copy of the facts changes, not what the store holds.
pub fn take_as_left(snapshot: &mut Snapshot, departed: &HashMap<&str, Timestamp>) {
    if departed.is_empty() {
        return;
    }
    let mut by_end: Option<Vec<(Timestamp, EpochId)>> = None;
    for (position, (_, identity)) in snapshot.identities.iter_mut().enumerate() {
        let Some(end) = departed.get(identity.key.folded().as_str()) else { continue };
        let told = snapshot.identity_since.get(position);
        let told_at = told.and_then(|epoch| snapshot.epoch_ended_at.get(epoch));
        let is_told_later = told_at.is_some_and(|told_at| told_at > end);
        let earlier = Some(identity.end.map_or(*end, |known| known.min(*end)));
        if identity.state == LifecycleState::Left {
            // Where the source follows, they left when the person said so.
            identity.end = if is_told_later { earlier } else { identity.end };
        } else if !identity.has_left(*end) {
            // Until then they stand where their source says: a day to come lets nobody in, and takes nothing.
            identity.end = earlier;
            snapshot.offboarded.insert(position);
        }
        // What a source tells afterwards is no later news of it, and of an earlier day no earlier.
        if is_told_later {
            let by_end = by_end.get_or_insert_with(|| {
                let ended = snapshot.epoch_ended_at.iter().map(|(epoch, ended_at)| (*ended_at, *epoch));
                let mut ended: Vec<_> = ended.collect();
                ended.sort_unstable();
                ended
            });
            let is_earlier = identity.end.is_some_and(|said| said < *end);
            let since = if is_earlier {
                Some(by_end.partition_point(|(ended_at, _)| ended_at < end))
            } else {
                by_end.partition_point(|(ended_at, _)| ended_at <= end).checked_sub(1)
            };
            if let Some((_, epoch)) = since.and_then(|since| by_end.get(since)) {
                snapshot.identity_since[position] = *epoch;
            }
        }
    }
}

/// The last one of each system: adopting again replaces what was adopted before.
pub fn in_force(baselines: Vec<Baseline>) -> Vec<Baseline> {
    let last: BTreeMap<SystemName, Baseline> =
        baselines.into_iter().map(|baseline| (baseline.system.clone(), baseline)).collect();
    last.into_values().collect()
}

fn first(diagnostics: &[Diagnostic]) -> String {
    diagnostics
        .first()
        .map_or_else(String::new, |diagnostic| format!("{}: {}", diagnostic.file, diagnostic.message))
}

#[cfg(test)]
mod tests {
    use leasehold_model::identity::{Identity, IdentityKind, Unsaid};

    use super::*;

    #[test]
    fn a_feed_that_follows_an_offboarding_tells_no_later_leaving() {
        use LifecycleState::{Active, Left, PreHire, Suspended};
        let hour = |hour: i64| Timestamp::from_second(hour * 3_600).expect("an instant");
        let departure = hour(10);
        for (state, end, told, expected) in [
            // What the feed says, since which hour, and where they stand, when they left and since when that is said.
            (Active, None, 2, (Active, Some(10), 2)),
            (Active, None, 14, (Active, Some(10), 8)),
            (Active, Some(12), 14, (Active, Some(10), 8)),
            (Suspended, None, 2, (Suspended, Some(10), 2)),
            (PreHire, None, 2, (PreHire, Some(10), 2)),
            (Active, Some(5), 20, (Active, Some(5), 14)),
            (Active, Some(5), 2, (Active, Some(5), 2)),
            (Left, None, 14, (Left, Some(10), 8)),
            (Left, Some(5), 20, (Left, Some(5), 14)),
            (Left, None, 8, (Left, None, 8)),
        ] {
            let identity = Identity {
                key: "kim@example.com".into(),
                kind: IdentityKind::Person,
                state,
                start: None,
                end: end.map(hour),
                manager: None,
                owner: None,
                attributes: BTreeMap::new(),
                unsaid: Unsaid::default(),
            };
            let mut snapshot = Snapshot {
                identities: vec![(0, identity)],
                identity_since: vec![EpochId(told)],
                epoch_ended_at: [2, 8, 14, 20].map(|number| (EpochId(number), hour(number))).into(),
                ..Snapshot::default()
            };
            take_as_left(&mut snapshot, &HashMap::from([("kim@example.com", departure)]));
            let identity = &snapshot.identities[0].1;
            let (state_then, end_then, told_then) = expected;
            assert_eq!(
                (identity.state, identity.end, snapshot.identity_since[0]),
                (state_then, end_then.map(hour), EpochId(told_then)),
                "{state:?} {end:?} {told}"
            );
        }
    }
}
