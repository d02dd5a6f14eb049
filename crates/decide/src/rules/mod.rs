//! The drift rules: one file each, one line each in [`RULES`].

mod closed;
mod dormant;
mod grants;
mod leaver;
mod missing;
mod needless;
mod orphan;
mod ownerless;
mod posture;
mod replaced;
pub mod shared_secret;
mod stale_credential;
mod stopped_job;
mod toxic;

use jiff::Timestamp;
use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::id::EpochId;
use leasehold_model::snapshot::SnapshotCredential;

use crate::engine::drift::{self, DriftRow};
use crate::engine::{AccountIndex, EntitlementIndex, IdentityIndex};
use crate::evaluate::Evaluation;

pub(crate) use orphan::is_break_glass;

/// What a rule looks at: the evaluation and the engine's rows, computed once for all rules.
pub struct Context<'context, 'inputs> {
    /// Observations and claims.
    pub evaluation: &'context Evaluation<'inputs>,
    /// Direct grants that are not justified, and justified entitlements that are not held.
    pub rows: &'context [DriftRow],
}

/// One drift rule.
pub struct Rule {
    /// The kinds that it reports.
    pub kinds: &'static [DriftKind],
    /// Adds what it finds.
    pub find: fn(&Context<'_, '_>, &mut Vec<DriftItem>),
}

/// Every rule. `unknown_system` has none: none of today's connectors sees use of systems that are not connected.
pub const RULES: &[Rule] = &[
    Rule { kinds: &[DriftKind::Unjustified, DriftKind::Expired, DriftKind::Leaver], find: grants::find },
    Rule { kinds: &[DriftKind::Leaver, DriftKind::Unjustified], find: leaver::find },
    Rule { kinds: &[DriftKind::Unjustified], find: needless::find },
    Rule { kinds: &[DriftKind::Toxic], find: toxic::find },
    Rule { kinds: &[DriftKind::Orphan], find: orphan::find },
    Rule { kinds: &[DriftKind::Ownerless], find: ownerless::find },
    Rule { kinds: &[DriftKind::Ownerless, DriftKind::Leaver], find: stopped_job::find },
    Rule { kinds: &[DriftKind::Missing, DriftKind::RemovedOutOfBand], find: missing::find },
    Rule { kinds: &[DriftKind::Missing], find: closed::find },
    Rule { kinds: &[DriftKind::Dormant], find: dormant::find },
    Rule { kinds: &[DriftKind::StaleCredential], find: stale_credential::find },
    Rule { kinds: &[DriftKind::StaleCredential], find: shared_secret::find },
    Rule { kinds: &[DriftKind::Expired], find: replaced::find },
    Rule { kinds: &[DriftKind::Posture], find: posture::find },
];

/// All drift, in the order of kind, system, account, entitlement.
pub fn drift(evaluation: &Evaluation<'_>) -> Vec<DriftItem> {
    let mut rows: Vec<DriftRow> = Vec::new();
    drift::full(&evaluation.graph, &evaluation.justification, evaluation.now(), &mut rows);
    rows.retain(|row| {
        !is_inherent(evaluation, row.entitlement) && !missing::is_only_handed_over(evaluation, row)
    });
    let context = Context { evaluation, rows: &rows };
    let mut items = Vec::new();
    for rule in RULES {
        (rule.find)(&context, &mut items);
    }
    items.sort();
    items.dedup();
    items
}

/// What every account holds by its system's nature is never drift.
fn is_inherent(evaluation: &Evaluation<'_>, entitlement: EntitlementIndex) -> bool {
    evaluation.observed_entitlement(entitlement).is_some_and(|entitlement| entitlement.inherent)
}

/// An item about an account.
fn about_account(
    evaluation: &Evaluation<'_>,
    kind: DriftKind,
    account: AccountIndex,
    because: Vec<Because>,
) -> DriftItem {
    let observed = evaluation.account(account);
    let identity = evaluation.graph.identity_of(account);
    DriftItem {
        kind,
        system: evaluation.inputs.snapshot.system(observed.system).clone(),
        account: Some(observed.account.key.clone()),
        login: Some(observed.account.login.clone()),
        identity: identity.map(|identity| evaluation.identities[identity.index()].key.clone()),
        entitlement: None,
        credential: None,
        since: first_seen(evaluation, observed.since),
        because,
    }
}

/// An item about a credential.
fn about_credential(
    evaluation: &Evaluation<'_>,
    kind: DriftKind,
    credential: &SnapshotCredential,
    because: Vec<Because>,
) -> DriftItem {
    DriftItem {
        credential: Some((&credential.credential).into()),
        since: first_seen(evaluation, credential.since),
        ..about_account(evaluation, kind, evaluation.index_of(credential.account), because)
    }
}

/// An item about a direct grant.
fn about_grant(
    evaluation: &Evaluation<'_>,
    kind: DriftKind,
    account: AccountIndex,
    entitlement: EntitlementIndex,
    because: Vec<Because>,
) -> DriftItem {
    DriftItem {
        entitlement: Some(evaluation.entitlement_name(entitlement).clone()),
        since: evaluation.granted_since(account, entitlement),
        ..about_account(evaluation, kind, account, because)
    }
}

fn first_seen(evaluation: &Evaluation<'_>, epoch: EpochId) -> Option<Timestamp> {
    evaluation.inputs.snapshot.ended_at(epoch)
}

/// Why an identity holds nothing by right.
fn not_live(evaluation: &Evaluation<'_>, identity: IdentityIndex) -> Because {
    let identity = &evaluation.identities[identity.index()];
    let left = identity.has_left(evaluation.inputs.now);
    Because::IdentityNotLive {
        identity: identity.key.clone(),
        state: identity.state_at(evaluation.inputs.now).as_str().replace('_', " "),
        since: identity.end.filter(|_| left),
    }
}

/// A duration in whole days, for people.
fn days(duration: jiff::SignedDuration) -> i64 {
    duration.as_hours() / 24
}
