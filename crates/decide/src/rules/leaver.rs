//! Accounts that still let somebody in who has left.

use leasehold_model::decision::{DriftItem, DriftKind};

use super::{Context, about_account, not_live};
use crate::engine::IdentityIndex;

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    for (identity, who) in (0u32..).map(IdentityIndex).zip(&evaluation.identities) {
        if !who.has_left(evaluation.inputs.now) {
            continue;
        }
        for account in evaluation.graph.accounts_of(identity) {
            let observed = &evaluation.account(account).account;
            let open = observed.expires_at.is_none_or(|end| end > evaluation.inputs.now);
            if observed.enabled && open {
                items.push(about_account(
                    evaluation,
                    DriftKind::Leaver,
                    account,
                    vec![not_live(evaluation, identity)],
                ));
            }
        }
    }
}
