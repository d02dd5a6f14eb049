//! Weaknesses of enabled accounts that their systems report.

use leasehold_model::decision::{Because, DriftItem, DriftKind};

use super::{Context, about_account};

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    for (position, account) in (0u32..).zip(&evaluation.inputs.snapshot.accounts) {
        if !account.account.enabled || account.account.posture.is_empty() {
            continue;
        }
        let text = |finding: &leasehold_model::account::PostureFinding| Because::Fact {
            text: finding.as_str().replace('_', " "),
        };
        let because = account.account.posture.iter().map(text).collect();
        items.push(about_account(evaluation, DriftKind::Posture, evaluation.index_of(position), because));
    }
}
