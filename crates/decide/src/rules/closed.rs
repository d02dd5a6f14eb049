//! What an action of ours closed while its holder was away, and who is here again: it is missing, and nobody removed it.

use std::collections::HashSet;

use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::identity::IdentityKind;

use super::{Context, about_account, about_credential, missing, needless};
use crate::engine::AccountIndex;
use crate::engine::access::Listing;
use crate::engine::drift::DriftKind as Row;

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    let snapshot = evaluation.inputs.snapshot;
    if snapshot.closed.is_empty() && snapshot.stopped.is_empty() {
        return;
    }
    let missing: HashSet<AccountIndex> = context
        .rows
        .iter()
        .filter(|row| row.kind == Row::Missing)
        .filter_map(|row| missing::account_for(evaluation, row.identity, row.entitlement))
        .collect();
    let given = needless::given(evaluation);
    let mut listing = Listing::default();
    // A person who came back gets in where they have a reason to be: what has none stays closed. Where roles say what is given, what
    // could not be taken away is no reason; where none does, nobody knows better than that something is held. A service, workload or
    // agent that was stopped and is wanted again has all of it again, because nothing of it was ended.
    let mut has_reason = |account: AccountIndex| {
        let Some(identity) = evaluation.graph.identity_of(account) else { return false };
        let who = &evaluation.identities[identity.index()];
        who.may_hold_access(evaluation.inputs.now)
            && (who.kind != IdentityKind::Person
                || needless::is_covered(evaluation, account)
                || match given.contains(&evaluation.graph.system_of_account(account)) {
                    true => needless::has_reason(evaluation, account, identity, &mut listing),
                    false => evaluation.graph.grants_of(account).next().is_some(),
                }
                || missing.contains(&account))
    };
    for (position, at) in &snapshot.closed {
        let account = evaluation.index_of(*position);
        if !evaluation.account(account).account.enabled && has_reason(account) {
            let text = format!("closed by an action of Leasehold on {at}, and its holder is here again");
            items.push(about_account(evaluation, DriftKind::Missing, account, vec![Because::Fact { text }]));
        }
    }
    for (position, at) in &snapshot.stopped {
        let credential = &snapshot.credentials[*position as usize];
        let account = evaluation.index_of(credential.account);
        if !credential.credential.active && has_reason(account) {
            let text = format!("stopped by an action of Leasehold on {at}, and its holder is here again");
            let because = vec![Because::Fact { text }];
            items.push(about_credential(evaluation, DriftKind::Missing, credential, because));
        }
    }
}
