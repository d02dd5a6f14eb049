//! Non-humans, and roles, for which nobody answers any more.

use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::id::IdentityKey;
use leasehold_model::identity::IdentityKind;

use super::{Context, about_account};
use crate::engine::IdentityIndex;
use crate::evaluate::Evaluation;

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    for (identity, who) in (0u32..).map(IdentityIndex).zip(&evaluation.identities) {
        if who.kind == IdentityKind::Person || who.has_left(evaluation.inputs.now) {
            continue;
        }
        let Some(text) = missing_owner(evaluation, who.owner.as_ref()) else { continue };
        for account in evaluation.graph.accounts_of(identity) {
            let because = vec![Because::Fact { text: format!("{} {} {text}", who.kind.as_str(), who.key) }];
            items.push(about_account(evaluation, DriftKind::Ownerless, account, because));
        }
    }
    for role in &evaluation.inputs.policy.roles {
        if evaluation.owner_is_live(&role.owner.value) != Some(false) {
            continue;
        }
        let Some(grant) = role.grants.first() else { continue };
        items.push(DriftItem {
            kind: DriftKind::Ownerless,
            system: grant.value.system.clone(),
            account: None,
            login: None,
            identity: Some(role.owner.value.clone()),
            entitlement: Some(grant.value.entitlement.clone()),
            since: None,
            because: vec![Because::Fact {
                text: format!("role {} is owned by {}, who is gone", role.name, role.owner.value),
            }],
        });
    }
}

/// What is wrong with an owner, in words; `None` where the owner is live.
fn missing_owner(evaluation: &Evaluation<'_>, owner: Option<&IdentityKey>) -> Option<String> {
    match owner {
        None => Some("has no owner".to_owned()),
        Some(owner) => match evaluation.owner_is_live(owner) {
            Some(true) => None,
            Some(false) => Some(format!("is owned by {owner}, who is gone")),
            None => Some(format!("is owned by {owner}, who is not an identity that was read")),
        },
    }
}
