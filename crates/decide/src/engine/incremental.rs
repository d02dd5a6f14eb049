//! Drift kept current change by change: a Z-set for the common case, recompute of one identity for everything else.
//!
//! Where an entitlement takes no part in containment and its account is the identity's only one in that system, an observed
//! change is its own drift change: weight -1 for a grant that appeared, +1 for one that vanished, and no justification is
//! looked up. Identities touched by anything else are compared before and after, and the difference is applied.

use super::bits::{BitSet, sort_by_upper_half};
pub use super::change::{Applied, Change, Delta};
use super::drift::{DriftKind, DriftRow, Scratch, Sink, classify_extra, full};
use super::graph::{Graph, NO_IDENTITY};
use super::justification::{Assignment, Explicit, Justification};
use super::sod::SodIndex;
use super::timeline::Timeline;
use super::zset::{Effect, Owner, ZSet, key};
use super::{AccountIndex, EngineError, EntitlementIndex, IdentityIndex, NEVER, Seconds, pair};

/// A graph, its justification and the drift between them, all current as of one time that never runs backwards.
#[derive(Debug)]
pub struct DriftState {
    pub(super) graph: Graph,
    pub(super) justification: Justification,
    pub(super) now: Seconds,
    pub(super) drift: ZSet,
    scratch: Scratch,
    sod: Option<SodIndex>,
    /// Identities whose reasons or grants begin or end at a time that is still to come.
    timeline: Timeline,
    /// Systems where a baseline covers grants that nothing else justifies.
    pub(super) baselined: BitSet,
}

impl DriftState {
    /// Computes drift in full and the times at which it will change by itself.
    pub fn new(graph: Graph, justification: Justification, now: Seconds) -> Self {
        let mut rows: Vec<DriftRow> = Vec::new();
        full(&graph, &justification, now, &mut rows);
        let mut drift = ZSet::with_capacity(rows.len());
        for row in &rows {
            drift.add(row_key(&graph, row), row.account.is_some());
        }
        let mut baselined = BitSet::default();
        for baseline in &justification.baselines {
            baselined.set(baseline.system as usize);
        }
        let timeline = timeline(&graph, &justification, now);
        let scratch = Scratch::new(&graph);
        DriftState { graph, justification, now, drift, scratch, sod: None, timeline, baselined }
    }

    /// Keeps an SoD index current from now on.
    pub fn attach_sod(&mut self, sod: SodIndex) {
        self.sod = Some(sod);
    }

    /// The SoD index, if one is attached.
    pub fn sod(&self) -> Option<&SodIndex> {
        self.sod.as_ref()
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The claims.
    pub fn justification(&self) -> &Justification {
        &self.justification
    }

    /// The latest time that was reached.
    pub fn now(&self) -> Seconds {
        self.now
    }

    /// Number of drift rows.
    pub fn row_count(&self) -> usize {
        self.drift.len()
    }

    /// Folds the graph's patches into new sparse rows.
    pub fn compact(&mut self) {
        self.graph.compact();
        self.justification.assignments.compact();
        self.justification.explicit.compact();
    }

    /// Heap bytes of graph, claims, drift and timeline.
    pub fn memory_bytes(&self) -> usize {
        self.graph.memory_bytes()
            + self.justification.memory_bytes()
            + self.drift.memory_bytes()
            + self.timeline.memory_bytes()
            + self.sod.as_ref().map_or(0, SodIndex::memory_bytes)
    }

    /// Every drift row with its kind, in no particular order.
    pub fn rows(&self, sink: &mut impl Sink) {
        for (owner, entitlement, extra) in self.drift.rows() {
            let (identity, account) = match owner {
                Owner::Account(account) => (self.graph.account_identity[account as usize], Some(account)),
                Owner::Identity(identity) => (identity, None),
            };
            let (account, kind) = match account.filter(|_| extra) {
                None => (None, DriftKind::Missing),
                Some(account) => {
                    let kind = self.kind(identity, account, entitlement);
                    (Some(AccountIndex(account)), kind)
                }
            };
            sink.row(DriftRow {
                identity: IdentityIndex(identity),
                account,
                entitlement: EntitlementIndex(entitlement),
                kind,
            });
        }
    }

    fn kind(&self, identity: u32, account: u32, entitlement: u32) -> DriftKind {
        // A row exists only while no baseline covers it, so the fallback is never what a row shows.
        classify_extra(&self.graph, &self.justification, self.now, identity, account, entitlement)
            .unwrap_or(DriftKind::Unjustified)
    }

    /// Applies a batch in order. Nothing is changed when any index in it is unknown.
    pub fn apply(&mut self, changes: &[Change]) -> Result<Applied, EngineError> {
        self.apply_with(changes, |_| {})
    }

    /// Applies a batch and tells `changed` about every drift row that appeared or vanished over the batch as a whole.
    pub fn apply_with(
        &mut self,
        changes: &[Change],
        mut changed: impl FnMut(Delta),
    ) -> Result<Applied, EngineError> {
        let mut grants = self.collect(changes)?;
        sort_by_upper_half(&mut grants, self.graph.account_count() as u32);
        let affected = self.affected(changes, &grants)?;
        let before = self.snapshot(&affected.list);
        let edited = self.edited_roles(&affected.edited);
        let mut applied = Applied { recomputed: affected.list.len() as u64, ..Applied::default() };
        if affected.others || !affected.list.is_empty() || grants.len() < changes.len() {
            for change in changes {
                let plain = match change {
                    Change::GrantAdded { account, .. } | Change::GrantRemoved { account, .. } => {
                        self.is_unaffected(*account, &affected.set)
                    }
                    _ => false,
                };
                if !plain {
                    self.apply_one(change)?;
                }
            }
        }
        self.apply_plain(&grants, &affected.set, &mut applied, &mut changed);
        self.apply_role_edits(&edited, &affected, &mut applied, &mut changed);
        self.settle_snapshot(&affected.list, before, &mut applied, &mut changed);
        self.graph.settle();
        Ok(applied)
    }

    /// Moves time forward and applies what begins or ends on the way. A time before [`DriftState::now`] changes nothing: a
    /// wall clock that steps back must not revive a reason.
    pub fn advance(&mut self, now: Seconds) -> Applied {
        self.advance_with(now, |_| {})
    }

    /// As [`DriftState::advance`], telling `changed` about every row.
    pub fn advance_with(&mut self, now: Seconds, mut changed: impl FnMut(Delta)) -> Applied {
        if now <= self.now {
            return Applied::default();
        }
        let mut due = self.timeline.take_due(now);
        for baseline in &self.justification.baselines {
            if self.now < baseline.end && baseline.end <= now {
                let accounts = self.graph.account_system.iter().zip(&self.graph.account_identity);
                let members = accounts
                    .filter(|(system, identity)| **system == baseline.system && **identity != NO_IDENTITY);
                due.extend(members.map(|(_, identity)| *identity));
            }
        }
        due.sort_unstable();
        due.dedup();
        let before = self.snapshot(&due);
        self.now = now;
        let mut applied = Applied { recomputed: due.len() as u64, ..Applied::default() };
        self.settle_snapshot(&due, before, &mut applied, &mut changed);
        if let Some(sod) = &mut self.sod {
            for identity in due.iter().filter(|identity| self.graph.irregular.get(**identity as usize)) {
                sod.refresh_identity(&self.graph, IdentityIndex(*identity), now);
            }
        }
        applied
    }

    /// Whether the account's identity is not compared as a whole in this batch, so that its grants go the short way.
    /// All changes of one account go the same way, so their order among themselves is kept.
    #[inline]
    fn is_unaffected(&self, account: AccountIndex, affected: &BitSet) -> bool {
        let identity = self.graph.account_identity[account.index()];
        identity != NO_IDENTITY && !affected.get(identity as usize)
    }

    /// Applies the sorted grant changes of identities that are not compared as a whole.
    ///
    /// Each changed row is copied once. Rows and slots of drift are first touched for a stretch of changes and then worked
    /// on, so that cache misses overlap instead of queueing.
    fn apply_plain(
        &mut self,
        grants: &[u64],
        affected: &BitSet,
        applied: &mut Applied,
        changed: &mut impl FnMut(Delta),
    ) {
        let mut effective: Vec<u64> = Vec::with_capacity(grants.len());
        let mut edits: Vec<(u32, bool)> = Vec::new();
        let of_one_account = |left: &u64, right: &u64| left >> 32 == right >> 32;
        let mut rest = grants;
        while !rest.is_empty() {
            // A stretch ends with an account, so that all changes of one row are one edit.
            let mut end = rest.len().min(STRETCH);
            while end < rest.len() && of_one_account(&rest[end - 1], &rest[end]) {
                end += 1;
            }
            let (stretch, after) = rest.split_at(end);
            rest = after;
            for packed in stretch {
                std::hint::black_box(self.graph.grants.touch((packed >> 32) as u32));
            }
            for of_account in stretch.chunk_by(of_one_account) {
                let (account, _) = unpack_grant(of_account[0]);
                if !self.is_unaffected(account, affected) {
                    continue;
                }
                edits.clear();
                edits.extend(of_account.iter().map(|packed| (*packed as u32 >> 1, packed & 1 == 1)));
                if edits.len() > 1 {
                    // Of several changes of one grant the last one counts: the sort is stable, and dedup keeps the first
                    // of what is reversed before.
                    edits.reverse();
                    edits.sort_by_key(|edit| edit.0);
                    edits.dedup_by_key(|edit| edit.0);
                }
                self.graph.edit_grants(account.0, &edits, |entitlement, added| {
                    effective.push(pair(account.0, entitlement << 1 | u32::from(added)));
                });
            }
        }
        self.drift.reserve(effective.len());
        for stretch in effective.chunks(STRETCH) {
            std::hint::black_box(stretch.iter().fold(0, |sum, packed| {
                let (account, entitlement) = unpack_grant(*packed);
                sum ^ self.drift.touch(key(Owner::Account(account.0), entitlement.0))
            }));
            for packed in stretch {
                let (account, entitlement) = unpack_grant(*packed);
                let added = packed & 1 == 1;
                let identity = IdentityIndex(self.graph.account_identity[account.index()]);
                let effect = self.drift.add(key(Owner::Account(account.0), entitlement.0), added);
                // An added grant either is held too much or mends what was missing; a removed one the other way round.
                let extra = added == (effect == Effect::Appeared);
                report(effect, identity, extra.then_some(account), entitlement, applied, changed);
            }
        }
        if let Some(sod) = &mut self.sod {
            for packed in effective {
                let (account, entitlement) = unpack_grant(packed);
                let identity = IdentityIndex(self.graph.account_identity[account.index()]);
                sod.grant_changed(&self.graph, identity, entitlement, self.now);
            }
        }
    }

    /// Applies any other change. Its identity is compared as a whole, or it is nobody's, so drift needs nothing here.
    fn apply_one(&mut self, change: &Change) -> Result<(), EngineError> {
        match *change {
            Change::GrantAdded { account, entitlement, validity } => {
                let system = self.graph.account_system[account.index()];
                if self.baselined.get(system as usize)
                    && self.graph.validity_of(account, entitlement).is_none()
                {
                    self.justification.baseline_forgets(system, account.0, entitlement.0);
                }
                if self.graph.insert_grant(account, entitlement, validity)? {
                    self.grant_changed(account, entitlement);
                    for time in [validity.from, validity.until] {
                        if let Some(identity) = self.graph.identity_of(account) {
                            self.schedule(time, identity.0);
                        }
                    }
                }
            }
            Change::GrantRemoved { account, entitlement } => {
                if self.graph.remove_grant(account, entitlement)? {
                    let system = self.graph.account_system[account.index()];
                    if self.baselined.get(system as usize) {
                        self.justification.baseline_forgets(system, account.0, entitlement.0);
                    }
                    self.grant_changed(account, entitlement);
                }
            }
            Change::ExplicitAdded { identity, entitlement, end, source } => {
                let reason = Explicit { entitlement: entitlement.0, end, source };
                self.justification.explicit.insert(identity.0, reason);
                self.schedule(end, identity.0);
            }
            Change::ExplicitRemoved { identity, entitlement, source } => {
                let kept = self.justification.explicit.row(identity.0).iter().copied();
                let kept =
                    kept.filter(|reason| reason.entitlement != entitlement.0 || reason.source != source);
                let kept = kept.collect();
                self.justification.explicit.replace(identity.0, kept);
            }
            Change::AssignmentAdded { identity, role, end } => {
                self.justification.assignments.insert(identity.0, Assignment { role: role.0, end });
                self.schedule(end, identity.0);
            }
            Change::AssignmentRemoved { identity, role, end } => {
                self.justification.assignments.remove(identity.0, Assignment { role: role.0, end });
            }
            Change::RoleEdited { role, ref entitlements } => {
                self.justification.set_role(&self.graph, role.0, entitlements);
            }
            Change::LiveChanged { identity, live: true } => self.justification.live.set(identity.index()),
            Change::LiveChanged { identity, live: false } => self.justification.live.clear(identity.index()),
            Change::WithheldChanged { identity, entitlement, withheld } => {
                let packed = pair(identity.0, entitlement.0);
                if withheld {
                    self.justification.withheld.insert(packed);
                    self.justification.has_withheld.set(identity.index());
                } else {
                    // The bit may outlive the last pair: it only says where to look.
                    self.justification.withheld.remove(&packed);
                }
            }
        }
        Ok(())
    }

    /// Tells the SoD index about a grant.
    fn grant_changed(&mut self, account: AccountIndex, entitlement: EntitlementIndex) {
        if let (Some(sod), Some(identity)) = (&mut self.sod, self.graph.identity_of(account)) {
            sod.grant_changed(&self.graph, identity, entitlement, self.now);
        }
    }

    fn schedule(&mut self, time: Seconds, identity: u32) {
        if self.now < time && time != NEVER {
            self.timeline.add(time, identity);
        }
    }

    /// The present rows of each identity, as sorted keys with the weight's sign.
    fn snapshot(&mut self, identities: &[u32]) -> Snapshot {
        let mut snapshot = Snapshot { rows: Vec::new(), ends: Vec::with_capacity(identities.len()) };
        for identity in identities {
            let start = snapshot.rows.len();
            let mut sink = KeySink { graph: &self.graph, rows: &mut snapshot.rows };
            self.scratch.identity(&self.graph, &self.justification, self.now, *identity, &mut sink);
            snapshot.rows[start..].sort_unstable();
            snapshot.ends.push(snapshot.rows.len());
        }
        snapshot
    }

    /// Applies the difference between the rows before and now.
    fn settle_snapshot(
        &mut self,
        identities: &[u32],
        before: Snapshot,
        applied: &mut Applied,
        changed: &mut impl FnMut(Delta),
    ) {
        let mut start = 0;
        let mut after = Vec::new();
        for (identity, end) in identities.iter().zip(before.ends) {
            after.clear();
            let mut sink = KeySink { graph: &self.graph, rows: &mut after };
            self.scratch.identity(&self.graph, &self.justification, self.now, *identity, &mut sink);
            after.sort_unstable();
            let old = &before.rows[start..end];
            start = end;
            // Both directions of the symmetric difference: a weight that goes is cancelled by its opposite.
            for row in old.iter().filter(|row| after.binary_search(row).is_err()) {
                let effect = self.drift.add(row.key, !row.extra);
                report(effect, IdentityIndex(*identity), row.account(), row.entitlement(), applied, changed);
            }
            for row in after.iter().filter(|row| old.binary_search(row).is_err()) {
                let effect = self.drift.add(row.key, row.extra);
                report(effect, IdentityIndex(*identity), row.account(), row.entitlement(), applied, changed);
            }
        }
    }
}

/// Changes whose memory is touched ahead of the work on them: more than a core keeps misses in flight, few enough to
/// stay in the first-level cache.
const STRETCH: usize = 64;

/// Account and entitlement of a packed grant change.
#[inline]
pub(super) fn unpack_grant(packed: u64) -> (AccountIndex, EntitlementIndex) {
    (AccountIndex((packed >> 32) as u32), EntitlementIndex(packed as u32 >> 1))
}

/// A drift row as the table stores it. Ordered by key, then sign.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct KeyRow {
    key: u64,
    extra: bool,
}

impl KeyRow {
    fn entitlement(self) -> EntitlementIndex {
        EntitlementIndex((self.key & 0x7FFF_FFFF) as u32)
    }

    fn account(self) -> Option<AccountIndex> {
        self.extra.then_some(AccountIndex(((self.key >> 31) & 0x7FFF_FFFF) as u32))
    }
}

struct Snapshot {
    rows: Vec<KeyRow>,
    ends: Vec<usize>,
}

struct KeySink<'a> {
    graph: &'a Graph,
    rows: &'a mut Vec<KeyRow>,
}

impl Sink for KeySink<'_> {
    fn row(&mut self, row: DriftRow) {
        self.rows.push(KeyRow { key: row_key(self.graph, &row), extra: row.account.is_some() });
    }
}

pub(super) fn report(
    effect: Effect,
    identity: IdentityIndex,
    account: Option<AccountIndex>,
    entitlement: EntitlementIndex,
    applied: &mut Applied,
    changed: &mut impl FnMut(Delta),
) {
    let appeared = effect == Effect::Appeared;
    if appeared {
        applied.appeared += 1;
    } else {
        applied.vanished += 1;
    }
    changed(Delta { identity, account, entitlement, appeared });
}

/// The key of a row: the account that holds too much; for a missing row see [`owned_key`].
fn row_key(graph: &Graph, row: &DriftRow) -> u64 {
    match row.account {
        Some(account) => key(Owner::Account(account.0), row.entitlement.0),
        None => owned_key(graph, row.identity.0, row.entitlement.0).0,
    }
}

/// The key of a row that names no account, with its account: the identity's only account in the entitlement's system, or
/// the identity where there is none or more than one.
pub(super) fn owned_key(graph: &Graph, identity: u32, entitlement: u32) -> (u64, Option<AccountIndex>) {
    let system = graph.entitlement_system[entitlement as usize];
    let mut accounts =
        graph.account_range(identity).filter(|account| graph.account_system[*account as usize] == system);
    match (accounts.next(), accounts.next()) {
        (Some(account), None) => (key(Owner::Account(account), entitlement), Some(AccountIndex(account))),
        _ => (key(Owner::Identity(identity), entitlement), None),
    }
}

/// Every time after `now` at which an identity's drift changes by itself; ends of baselines are looked up when they come.
fn timeline(graph: &Graph, justification: &Justification, now: Seconds) -> Timeline {
    let mut times = Vec::new();
    let mut add = |time: Seconds, identity: u32| {
        if now < time && time != NEVER {
            times.push((time, identity));
        }
    };
    for identity in 0..graph.identity_count() as u32 {
        justification.assignments.row(identity).iter().for_each(|assignment| add(assignment.end, identity));
        justification.explicit.row(identity).iter().for_each(|reason| add(reason.end, identity));
    }
    for (packed, validity) in &graph.validity {
        if let Some(identity) = graph.identity_of(AccountIndex((packed >> 32) as u32)) {
            add(validity.from, identity.0);
            add(validity.until, identity.0);
        }
    }
    Timeline::new(times)
}
