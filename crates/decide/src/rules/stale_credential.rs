//! Enabled accounts whose credential is older than the policy allows, where its age is known.

use leasehold_model::decision::{Because, DriftItem, DriftKind};

use super::{Context, about_account, days};

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    let Some(limit) = evaluation.inputs.policy.limits.credential_age_max else { return };
    for (position, account) in (0u32..).zip(&evaluation.inputs.snapshot.accounts) {
        let Some(changed) = account.account.credential_changed_at.filter(|_| account.account.enabled) else {
            continue;
        };
        let age = evaluation.inputs.now.duration_since(changed);
        if age > limit {
            let text = format!(
                "credential unchanged since {changed}, {} days; the limit is {} days",
                days(age),
                days(limit)
            );
            let because = vec![Because::Fact { text }];
            items.push(about_account(
                evaluation,
                DriftKind::StaleCredential,
                evaluation.index_of(position),
                because,
            ));
        }
    }
}
