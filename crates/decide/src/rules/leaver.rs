//! Accounts and credentials that let somebody in who may hold no access: who has left, is suspended, or has not started.

use leasehold_model::Timestamp;
use leasehold_model::decision::{Because, DriftItem, DriftKind};

use super::{Context, about_account, about_credential, not_live};
use crate::engine::{AccountIndex, IdentityIndex};
use crate::evaluate::Evaluation;

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    for (identity, who) in (0u32..).map(IdentityIndex).zip(&evaluation.identities) {
        let now = evaluation.inputs.now;
        if who.may_hold_access(now) {
            continue;
        }
        let kind = if who.has_left(now) { DriftKind::Leaver } else { DriftKind::Unjustified };
        for account in evaluation.graph.accounts_of(identity) {
            let observed = &evaluation.account(account).account;
            let open = observed.expires_at.is_none_or(|end| end > now);
            let kept = kept_until(evaluation, identity, account).filter(|until| *until <= now);
            if (observed.enabled && open) || kept.is_some() {
                let passed = kept.map(|since| Because::RetentionPassed { since });
                let because = [not_live(evaluation, identity)].into_iter().chain(passed).collect();
                items.push(about_account(evaluation, kind, account, because));
            }
            // Each by itself: in many systems a key goes on working when its account's log-ins are stopped.
            for credential in evaluation.credentials_of(account) {
                if credential.credential.lets_in(now) {
                    let because = vec![not_live(evaluation, identity)];
                    items.push(about_credential(evaluation, kind, credential, because));
                }
            }
        }
    }
}

/// Until when the account of somebody who has left is kept, where it is not kept for good: a non-human that was stopped
/// and watched is not kept any longer.
fn kept_until(
    evaluation: &Evaluation<'_>,
    identity: IdentityIndex,
    account: AccountIndex,
) -> Option<Timestamp> {
    let stop = evaluation.steward_of(identity).and_then(|steward| steward.stop.as_ref());
    if let Some(ended_at) = stop.and_then(|stop| stop.ended_at) {
        return Some(ended_at);
    }
    let inputs = evaluation.inputs;
    let system = inputs.snapshot.system(evaluation.account(account).system);
    let retention = *inputs.policy.retention.get(system)?;
    evaluation.left_at(identity)?.checked_add(retention).ok()
}
