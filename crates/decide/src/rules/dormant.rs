//! Enabled accounts and credentials that were not used for longer than the policy allows, where use is known. Unknown is never dormant.

use jiff::SignedDuration;
use leasehold_model::account::LastUse;
use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::id::EpochId;

use super::{Context, about_account, about_credential, days};
use crate::evaluate::Evaluation;

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    let Some(limit) = evaluation.inputs.policy.limits.dormant_after else { return };
    let now = evaluation.inputs.now;
    for (position, account) in (0u32..).zip(&evaluation.inputs.snapshot.accounts) {
        if !account.account.enabled {
            continue;
        }
        if let Some(text) = unused(evaluation, account.account.last_use, account.since, limit) {
            let because = vec![Because::Fact { text }];
            items.push(about_account(evaluation, DriftKind::Dormant, evaluation.index_of(position), because));
        }
    }
    for credential in &evaluation.inputs.snapshot.credentials {
        if !credential.credential.lets_in(now) {
            continue;
        }
        if let Some(text) = unused(evaluation, credential.credential.last_use, credential.since, limit) {
            let because = vec![Because::Fact { text }];
            items.push(about_credential(evaluation, DriftKind::Dormant, credential, because));
        }
    }
}

/// That something was not used for longer than the limit, in words.
fn unused(
    evaluation: &Evaluation<'_>,
    last_use: LastUse,
    since: EpochId,
    limit: SignedDuration,
) -> Option<String> {
    let now = evaluation.inputs.now;
    match last_use {
        LastUse::Unknown => None,
        LastUse::At(at) => (now.duration_since(at) > limit).then(|| {
            let ago = days(now.duration_since(at));
            format!("last used {at}, {ago} days ago; the limit is {} days", days(limit))
        }),
        // A system that keeps track and has seen nothing: unused since it was first seen at the latest.
        LastUse::Never => {
            let seen = evaluation.inputs.snapshot.ended_at(since)?;
            let is_long = now.duration_since(seen) > limit;
            is_long.then(|| format!("never used since it was first seen {seen}"))
        }
    }
}
