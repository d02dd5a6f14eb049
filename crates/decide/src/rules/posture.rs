//! Weaknesses that systems report: of enabled accounts, and what was given to everybody at once.

use leasehold_model::decision::{Because, DriftItem, DriftKind};

use super::{Context, about_account};
use crate::engine::EntitlementIndex;
use crate::evaluate::Evaluation;

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
    given_to_everybody(evaluation, items);
}

/// What every account holds through something that comes with it, and that does not come with it by the system's nature.
/// No account's grant could be revoked for it; an administrator takes it from everybody there.
fn given_to_everybody(evaluation: &Evaluation<'_>, items: &mut Vec<DriftItem>) {
    let containment = evaluation.graph.containment();
    for (index, held) in (0u32..).zip(&evaluation.inputs.snapshot.entitlements) {
        if !held.entitlement.inherent {
            continue;
        }
        for carried in containment.reaches(index).iter().copied().map(EntitlementIndex) {
            if evaluation.observed_entitlement(carried).is_none_or(|carried| carried.inherent) {
                continue;
            }
            let text = format!("every account holds it through {}", held.entitlement.name);
            items.push(DriftItem {
                kind: DriftKind::Posture,
                system: evaluation.inputs.snapshot.system(held.system).clone(),
                account: None,
                login: None,
                identity: None,
                entitlement: Some(evaluation.entitlement_name(carried).clone()),
                credential: None,
                since: None,
                because: vec![Because::Fact { text }],
            });
        }
    }
}
