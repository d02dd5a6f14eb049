//! What an action of ours closed while its holder was away, and who is here again: it is missing, and nobody removed it.

use std::collections::HashSet;

use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::identity::IdentityKind;

use super::{Context, about_account, about_credential};
use crate::engine::drift::DriftKind as Row;
use crate::engine::{AccountIndex, EntitlementIndex, SystemIndex};

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    let snapshot = evaluation.inputs.snapshot;
    if snapshot.closed.is_empty() && snapshot.stopped.is_empty() {
        return;
    }
    let missing: HashSet<(u32, SystemIndex)> = context
        .rows
        .iter()
        .filter(|row| row.kind == Row::Missing)
        .map(|row| (row.identity.0, evaluation.graph.system_of_entitlement(row.entitlement)))
        .collect();
    let unjustified: HashSet<(AccountIndex, EntitlementIndex)> =
        context.rows.iter().filter_map(|row| Some((row.account?, row.entitlement))).collect();
    let is_justified = |account: AccountIndex, entitlement: EntitlementIndex| {
        let observed = evaluation.observed_entitlement(entitlement);
        observed.is_none_or(|observed| !observed.inherent && observed.irrevocable.is_none())
            && !unjustified.contains(&(account, entitlement))
    };
    // A person who came back gets in where they have a reason to be: what has none stays closed. What comes with every account, and
    // what could not be taken away, is no reason. A service, workload or
    // agent that was stopped and is wanted again has all of it again, because nothing of it was ended.
    let has_reason = |account: AccountIndex| {
        let Some(identity) = evaluation.graph.identity_of(account) else { return false };
        let who = &evaluation.identities[identity.index()];
        who.may_hold_access(evaluation.inputs.now)
            && (who.kind != IdentityKind::Person
                || evaluation.graph.grants_of(account).any(|held| is_justified(account, held))
                || missing.contains(&(identity.0, evaluation.graph.system_of_account(account))))
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
