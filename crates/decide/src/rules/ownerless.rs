//! Non-humans, roles and entitlements for which nobody answers any more.

use leasehold_model::decision::{Because, DriftItem, DriftKind};
use leasehold_model::id::{EntitlementAddress, IdentityKey};
use leasehold_model::identity::IdentityKind;

use super::{Context, about_account};
use crate::engine::IdentityIndex;
use crate::evaluate::Evaluation;
use crate::evaluate::lifecycle::{Stop, UseSince};

pub(super) fn find(context: &Context<'_, '_>, items: &mut Vec<DriftItem>) {
    let evaluation = context.evaluation;
    for (identity, who) in (0u32..).map(IdentityIndex).zip(&evaluation.identities) {
        if who.kind == IdentityKind::Person || who.has_left(evaluation.inputs.now) {
            continue;
        }
        let Some(text) = missing_owner(evaluation, who.owner.as_ref()) else { continue };
        for account in evaluation.graph.accounts_of(identity) {
            let text = format!("{} {} {text}{}", who.kind.as_str(), who.key, stopped(evaluation, identity));
            let because = vec![Because::Fact { text }];
            items.push(about_account(evaluation, DriftKind::Ownerless, account, because));
        }
    }
    for role in &evaluation.inputs.policy.roles {
        if let Some(grant) = role.grants.first() {
            items.extend(without_owner(
                evaluation,
                &format!("role {}", role.name),
                &grant.value,
                &role.owner.value,
            ));
        }
    }
    for (address, owner) in &evaluation.inputs.policy.owners {
        items.extend(without_owner(evaluation, &address.value.to_string(), &address.value, &owner.value));
    }
}

/// An item about something whose owner is gone.
fn without_owner(
    evaluation: &Evaluation<'_>,
    what: &str,
    address: &EntitlementAddress,
    owner: &IdentityKey,
) -> Option<DriftItem> {
    (evaluation.owner_is_live(owner) == Some(false)).then(|| DriftItem {
        kind: DriftKind::Ownerless,
        system: address.system.clone(),
        account: None,
        login: None,
        identity: Some(owner.clone()),
        entitlement: Some(address.entitlement.clone()),
        credential: None,
        since: None,
        because: vec![Because::Fact { text: format!("{what} is owned by {owner}, who is gone") }],
    })
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

/// What is done about a non-human that nobody took over, in words.
fn stopped(evaluation: &Evaluation<'_>, identity: IdentityIndex) -> String {
    let Some(stop) = evaluation.steward_of(identity).and_then(|steward| steward.stop.as_ref()) else {
        return String::new();
    };
    let Stop { since, watched_until, used, .. } = stop;
    let then = match used {
        UseSince::No => format!("it ends for good on {watched_until} if it is not used until then"),
        UseSince::At(at) => format!("it was used on {at} all the same, so somebody needs it"),
        UseSince::Unknown => {
            "whether it is used is not known, so a person says when it ends for good".to_owned()
        }
    };
    format!("; it is stopped since {since}, and {then}")
}
