//! Accounts and credentials that let somebody in who may hold no access: who has left, is suspended, or has not started.

use leasehold_model::decision::{DriftItem, DriftKind};

use super::{Context, about_account, about_credential, not_live};
use crate::engine::IdentityIndex;

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
            if observed.enabled && open {
                items.push(about_account(evaluation, kind, account, vec![not_live(evaluation, identity)]));
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
