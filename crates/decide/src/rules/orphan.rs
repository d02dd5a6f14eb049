//! Accounts that match no identity, or several: a question to a person, never a guess.

use leasehold_model::decision::{Because, DriftItem, DriftKind};

use super::{Context, about_account};
use crate::correlate::Correlation;
use crate::engine::AccountIndex;
use crate::evaluate::Evaluation;

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    for account in evaluation.graph.uncorrelated_accounts() {
        if is_break_glass(evaluation, account) {
            continue;
        }
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

/// An emergency account is nobody's on purpose: it has an owner and an end, and until then it is no orphan.
fn is_break_glass(evaluation: &Evaluation<'_>, account: AccountIndex) -> bool {
    let observed = evaluation.account(account);
    let system = evaluation.inputs.snapshot.system(observed.system);
    evaluation.inputs.policy.protected.iter().any(|protected| {
        let live = protected.break_glass.as_ref().is_some_and(|(owner, until)| {
            *until > evaluation.inputs.now && evaluation.owner_is_live(owner) != Some(false)
        });
        let named = [&observed.account.login, &observed.account.key.0].contains(&&protected.account.login);
        live && named && &protected.account.system == system
    })
}
