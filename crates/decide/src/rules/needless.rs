//! Accounts of people who are here and have no reason for one any more: as after a move to another department. Only in systems in
//! which accounts are made for whoever has a reason; elsewhere an account may be there for itself.

use std::collections::{BTreeSet, HashSet};

use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::id::SystemName;
use leasehold_model::identity::IdentityKind;

use super::{Context, about_account, about_credential};
use crate::engine::access::{self, Listing};
use crate::engine::drift::DriftKind as Row;
use crate::engine::{AccountIndex, EntitlementIndex, IdentityIndex, SystemIndex};
use crate::evaluate::Evaluation;

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    let systems = decided(evaluation);
    if systems.is_empty() {
        return;
    }
    let now = evaluation.inputs.now;
    let unjustified: HashSet<(AccountIndex, EntitlementIndex)> =
        context.rows.iter().filter_map(|row| Some((row.account?, row.entitlement))).collect();
    let wanted: HashSet<(IdentityIndex, SystemIndex)> = context
        .rows
        .iter()
        .filter(|row| row.kind == Row::Missing)
        .map(|row| (row.identity, evaluation.graph.system_of_entitlement(row.entitlement)))
        .collect();
    let mut listing = Listing::default();
    for (identity, who) in (0u32..).map(IdentityIndex).zip(&evaluation.identities) {
        if who.kind != IdentityKind::Person || !who.may_hold_access(now) {
            continue;
        }
        for account in evaluation.graph.accounts_of(identity) {
            let observed = evaluation.account(account);
            let name = evaluation.inputs.snapshot.system(observed.system);
            let is_wanted = || wanted.contains(&(identity, evaluation.graph.system_of_account(account)));
            if !systems.contains(name) || is_covered(evaluation, account) || is_wanted() {
                continue;
            }
            let is_given = |held: EntitlementIndex| {
                !unjustified.contains(&(account, held))
                    && evaluation.observed_entitlement(held).is_none_or(|observed| !observed.inherent)
            };
            if evaluation.graph.grants_of(account).any(is_given) {
                continue;
            }
            // What is held through something that has no reason may have one.
            if has_reason(evaluation, account, identity, &mut listing) {
                continue;
            }
            let text =
                format!("no reason gives {} anything in {name}, where accounts are for who has one", who.key);
            let because = || vec![Because::Fact { text: text.clone() }];
            if observed.account.enabled {
                items.push(about_account(evaluation, DriftKind::Unjustified, account, because()));
            }
            for credential in evaluation.credentials_of(account) {
                if credential.credential.lets_in(now) {
                    items.push(about_credential(evaluation, DriftKind::Unjustified, credential, because()));
                }
            }
        }
    }
}

/// Systems in which Leasehold makes accounts, and in which every role that gives something can be decided.
fn decided<'inputs>(evaluation: &Evaluation<'inputs>) -> BTreeSet<&'inputs SystemName> {
    let makes = evaluation.inputs.systems.iter().filter(|(_, settings)| settings.new_account_login.is_some());
    let roles = &evaluation.inputs.policy.roles;
    let gives = |role: &crate::policy::Role, name: &SystemName| {
        role.grants.iter().any(|grant| grant.value.system == *name)
    };
    makes
        .map(|(name, _)| name)
        .filter(|name| {
            let mut giving = roles.iter().filter(|role| gives(role, name)).peekable();
            giving.peek().is_some() && giving.all(|role| evaluation.undecidable(role).is_none())
        })
        .collect()
}

/// Systems in which some role gives something.
pub(super) fn given(evaluation: &Evaluation<'_>) -> HashSet<SystemIndex> {
    let roles = evaluation.inputs.policy.roles.iter();
    let named = roles.flat_map(|role| &role.grants).filter_map(|grant| evaluation.entitlement(&grant.value));
    named.map(|entitlement| evaluation.graph.system_of_entitlement(entitlement)).collect()
}

/// Whether somebody holds anything by right with this account, by whatever path.
pub(super) fn has_reason(
    evaluation: &Evaluation<'_>,
    account: AccountIndex,
    identity: IdentityIndex,
    listing: &mut Listing,
) -> bool {
    let Evaluation { graph, justification, .. } = evaluation;
    access::list(graph, justification, identity, evaluation.now(), listing);
    listing.rows().iter().any(|row| row.account == account && row.justified)
}

/// Whether a baseline in force has seen the account: then it is there for that reason.
pub(super) fn is_covered(evaluation: &Evaluation<'_>, account: AccountIndex) -> bool {
    let observed = evaluation.account(account);
    let name = evaluation.inputs.snapshot.system(observed.system);
    let baselines = evaluation.inputs.baselines.iter();
    baselines
        .filter(|baseline| baseline.system == *name && baseline.until > evaluation.inputs.now)
        .any(|baseline| observed.since <= baseline.epoch)
}
