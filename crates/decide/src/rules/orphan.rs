//! Accounts that match no identity, or several: a question to a person, never a guess.

use leasehold_model::decision::{Because, DriftItem, DriftKind};

use super::{Context, about_account};
use crate::correlate::Correlation;

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    for account in evaluation.graph.uncorrelated_accounts() {
        let because = match &evaluation.correlation[evaluation.position_of(account) as usize] {
            Correlation::Ambiguous { candidates, by } => {
                let keys =
                    candidates.iter().map(|position| evaluation.identities[*position as usize].key.clone());
                vec![
                    Because::Ambiguous { candidates: keys.collect() },
                    Because::Fact { text: format!("by rule `{by}`") },
                ]
            }
            Correlation::Orphan | Correlation::To { .. } => vec![Because::NoIdentity],
        };
        items.push(about_account(evaluation, DriftKind::Orphan, account, because));
    }
}
