//! Enabled accounts that were not used for longer than the policy allows, where use is known. Unknown is never dormant.

use leasehold_model::account::LastUse;
use leasehold_model::decision::{Because, DriftItem, DriftKind};

use super::{Context, about_account, days};

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    let Some(limit) = evaluation.inputs.policy.limits.dormant_after else { return };
    let now = evaluation.inputs.now;
    for (position, account) in (0u32..).zip(&evaluation.inputs.snapshot.accounts) {
        if !account.account.enabled {
            continue;
        }
        let text = match account.account.last_use {
            LastUse::Unknown => continue,
            LastUse::At(at) if now.duration_since(at) <= limit => continue,
            LastUse::At(at) => format!(
                "last used {at}, {} days ago; the limit is {} days",
                days(now.duration_since(at)),
                days(limit)
            ),
            // A system that keeps track and has seen nothing: unused since it was first seen at the latest.
            LastUse::Never => match evaluation.inputs.snapshot.ended_at(account.since) {
                Some(seen) if now.duration_since(seen) > limit => {
                    format!("never used since it was first seen {seen}")
                }
                _ => continue,
            },
        };
        let because = vec![Because::Fact { text }];
        items.push(about_account(evaluation, DriftKind::Dormant, evaluation.index_of(position), because));
    }
}
